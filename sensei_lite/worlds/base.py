"""What every world offers: start an episode, take a step, draw a picture.

A world is a partially observed decision process written as three pure functions,

    s_0 = reset(key),     (s_{t+1}, r_{t+1}, end, events) = step(s_t, a_t, key),     x_t = render(s_t),

so that a thousand copies run side by side under ``jax.vmap`` and whole episodes compile with ``jax.lax.scan``. The
agent sees the picture x_t and nothing else. *Events* say what happened (the key was picked up, the door opened): they
measure exploration, and no agent ever receives them.

An episode can end in two ways that a learner must not confuse. *Terminated*: the world is over, nothing comes after, so
the value of the last state is zero. *Truncated*: somebody stopped the clock, and the value of the last state is
whatever it would have been.

Built in notebook 01_worlds.
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from sensei_lite.types import AnyArray, Box, Count, Discrete, Flag, Image, Images, Scalar, Seed

Events = dict[str, Flag]
"""Named facts about one step: true where the thing happened at this step."""


class Step(NamedTuple):
    """What a world returns for an action."""

    state: PyTree
    reward: Scalar
    terminated: Flag
    truncated: Flag
    events: Events


class World(abc.ABC):
    """A world of pure functions. Subclasses are frozen dataclasses whose fields are the world's settings.

    Being frozen makes a world hashable, so it can be a static argument of a compiled function.
    """

    event_names: ClassVar[tuple[str, ...]]
    """The events that this world reports, in the order in which a successful episode meets them."""

    @property
    @abc.abstractmethod
    def actions(self) -> Discrete | Box:
        """The action space."""

    @property
    @abc.abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """Rows, columns and colours of the agent's picture."""

    @abc.abstractmethod
    def reset(self, *, key: Seed) -> Any:
        """Start an episode; return its first state."""

    @abc.abstractmethod
    def step(self, state: Any, action: Array, *, key: Seed) -> Step:
        """Take one step. The state may be any that `reset` or `step` returned, the last of an episode excepted.

        ``action`` is an int32 choice, or float32 [action] from -1 to 1.
        """

    @abc.abstractmethod
    def render(self, state: Any, scale: int = 1) -> Image:
        """Draw a state. ``scale=1`` is the agent's picture; larger scales have more pixels, for people and VLMs."""

    @property
    def vector_size(self) -> int:
        """Number of numbers that the agent is given beside the picture; 0 where a world has none."""
        return 0

    def vector(self, state: Any) -> Float[Array, " vector"]:
        """Return the numbers that the agent is given beside the picture, such as the angles of an arm.

        Raises NotImplementedError where a world has none.
        """
        raise NotImplementedError(f"{type(self).__name__} gives no numbers beside its pictures")

    def close(self) -> None:
        """Free what the world holds: nothing here, but host worlds have processes and windows."""
        return

    def facts(self, state: Any) -> Events:
        """Return named truths about a state, for measures and scripted annotators; empty where a world has none."""
        return {}

    @property
    def situations(self) -> int:
        """Number of situations that `situation` tells apart; 0 where a world has no such measure."""
        return 0

    def situation(self, state: Any) -> Count:
        """Return the index of a state's situation: what coverage counts. Like events, no agent ever sees it.

        Raises NotImplementedError where a world tells no situations apart.
        """
        raise NotImplementedError(f"{type(self).__name__} tells no situations apart")

    @property
    def purposes(self) -> tuple[str, ...]:
        """Names of what an `expert` can be asked to do; empty where a world has no expert."""
        return ()

    def expert(self, state: Any, purpose: Count) -> Callable[[Any], Array]:
        """Return an expert policy for the rest of an episode, from states to actions, for one of the `purposes`.

        It looks at the true state, as no agent may: it is for making and testing annotators, and for tests. The policy
        is a pytree (``jax.tree_util.Partial``), so ``vmap`` gives one for each of a batch of states and purposes.
        Raises NotImplementedError where a world has no expert.
        """
        raise NotImplementedError(f"{type(self).__name__} has no expert")


class TimeStep(NamedTuple):
    """One time step of experience: what came back from the world, and the action that caused it.

    Time is aligned on arrival: ``action`` is a_{t-1}, and everything else belongs to the moment t at which it led to.
    An episode's first time step has no cause: its action and reward are zero and ``is_first`` is set.
    """

    image: AnyArray
    """x_t, uint8 [height width channel]."""
    action: AnyArray
    """a_{t-1}: an int32 choice, or float32 [action]."""
    reward: AnyArray
    """r_t, float32: the task's reward for arriving here."""
    is_first: AnyArray
    """An episode starts here."""
    is_last: AnyArray
    """No more of this episode follows (terminated or truncated)."""
    is_terminal: AnyArray
    """The world ended here: the value of this state is zero."""
    events: dict[str, AnyArray]
    """What happened on the way from t-1 to t."""
    vector: AnyArray | None = None
    """The world's numbers beside the picture, float32 [vector]; None where it has none."""


def step_limit(world: World) -> int:
    """Return the most steps of an episode. Raises ValueError where the world has no limit (``max_steps``)."""
    if (limit := getattr(world, "max_steps", None)) is None:
        raise ValueError(f"{type(world).__name__} has no max_steps, so it is not known when its episodes are over")
    return int(limit)


def no_action(world: World) -> Array:
    """Return the action of an episode's first time step: choice 0, or zeros (``is_first`` masks it)."""
    if isinstance(world.actions, Discrete):
        return jnp.zeros((), jnp.int32)
    return jnp.zeros((world.actions.size,), jnp.float32)


def reset_batch(world: World, *, keys: Key[Array, " batch"]) -> tuple[PyTree, TimeStep]:
    """Reset a batch of worlds, one for each key; return states and first time steps [batch ...]."""

    def one(key: Array) -> tuple[PyTree, TimeStep]:
        state = world.reset(key=key)
        return state, _with_sight(world, state, _first_row(world))

    return jax.vmap(one)(keys)


def step_batch(
    world: World,
    state: PyTree,
    is_last: Bool[Array, " batch"],
    action: Int[Array, " batch"] | Float[Array, "batch action"],
    *,
    keys: Key[Array, " batch"],
) -> tuple[PyTree, TimeStep]:
    """Step a batch of worlds, or reset those whose last time step ended an episode; all [batch ...].

    A finished episode's last picture is thus seen (it is where the reward is), and the time step after it is the first
    of the next episode; the action chosen for it is ignored. Gymnasium calls this ``AutoresetMode.NEXT_STEP``.
    """
    state, timestep = jax.vmap(lambda s, a, k: _advance_unseen(world, s, a, key=k))(state, action, keys)

    def restart_finished(state: PyTree, timestep: TimeStep) -> tuple[PyTree, TimeStep]:
        # Each world either steps or restarts, so its key is used once although both branches are given it.
        fresh_state = jax.vmap(lambda k: world.reset(key=k))(keys)
        fresh = jax.tree.map(lambda old, new: jnp.broadcast_to(new, old.shape), timestep, _first_row(world))
        return jax.tree.map(lambda new, old: _where(is_last, new, old), (fresh_state, fresh), (state, timestep))

    # Laying out an episode costs more than a step, and few steps need it: one branch for the whole batch.
    state, timestep = jax.lax.cond(
        is_last.any(), restart_finished, lambda state, timestep: (state, timestep), state, timestep
    )
    return state, jax.vmap(lambda s, r: _with_sight(world, s, r))(state, timestep)


def render_batch(world: World, state: PyTree, scale: int = 1) -> Images:
    """Draw a batch of states, [batch height width 3]."""
    return jax.vmap(lambda s: world.render(s, scale))(state)


_UNSEEN = None
"""Stands for a time step's picture until the state is final, so that every state is drawn once only."""


def _first_row(world: World) -> TimeStep:
    no, yes = jnp.zeros((), bool), jnp.ones((), bool)
    return TimeStep(
        image=_UNSEEN,
        action=no_action(world),
        reward=jnp.zeros((), jnp.float32),
        is_first=yes,
        is_last=no,
        is_terminal=no,
        events={name: no for name in world.event_names},
    )


def _with_sight(world: World, state: PyTree, timestep: TimeStep) -> TimeStep:
    """Return the time step with what the agent sees of a state."""
    return timestep._replace(image=world.render(state), vector=world.vector(state) if world.vector_size else None)


def _advance_unseen(world: World, state: PyTree, action: Array, *, key: Seed) -> tuple[PyTree, TimeStep]:
    state, reward, terminated, truncated, events = world.step(state, action, key=key)
    timestep = TimeStep(
        image=_UNSEEN,
        action=action.astype(no_action(world).dtype),
        reward=reward,
        is_first=jnp.zeros((), bool),
        is_last=terminated | truncated,
        is_terminal=terminated,
        events=events,
    )
    return state, timestep


def _where(flag: Bool[Array, " batch"], new: Array, old: Array) -> Array:
    return jnp.where(flag.reshape(flag.shape + (1,) * (new.ndim - 1)), new, old)
