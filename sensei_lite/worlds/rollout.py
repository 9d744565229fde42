"""One rollout for all: a policy acts in a batch of JAX worlds, and somebody watches.

    memory, a_t = policy(memory, x_t)
    s_{t+1}, x_{t+1} = step(s_t, a_t)
    memory, y_t = observe(memory, s_{t+1}, x_{t+1})

It is one ``lax.scan``: nothing leaves the compiled code until the end. Collecting, evaluating, tracing and counting
differ in the policy, and in what is observed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float, Int, PyTree

from sensei_lite.types import Box, Seed
from sensei_lite.worlds.base import TimeStep, World, reset_batch, step_batch

Policy = Callable[[Any, TimeStep, Seed], tuple[Any, Array]]
"""``policy(memory, timestep, key) -> (memory, actions)``, actions for a batch of worlds."""
Observer = Callable[[Any, PyTree, TimeStep], tuple[Any, Any]]
"""``observe(memory, state, timestep) -> (memory, output)``, called after every step."""


class RolloutState(NamedTuple):
    """The state of a rollout, from which it can go on."""

    state: PyTree
    """Of the worlds [batch ...]."""
    timestep: TimeStep
    """The newest one [batch ...]."""
    memory: Any
    """Whatever policy and observer keep from step to step."""


def begin_rollout(world: World, batch: int, memory: Any = (), *, key: Seed) -> RolloutState:
    """Reset ``batch`` worlds; return the state from which a rollout starts."""
    return RolloutState(*reset_batch(world, keys=jax.random.split(key, batch)), memory)


def timesteps(memory: Any, state: PyTree, timestep: TimeStep) -> tuple[Any, TimeStep]:
    """Observe the time steps themselves, an `Observer`."""
    return memory, timestep


def rollout(
    world: World, policy: Policy, start: RolloutState, steps: int, *, observe: Observer = timesteps, key: Seed
) -> tuple[RolloutState, Any]:
    """Roll out a policy for ``steps`` steps of a batch of worlds; finished episodes start anew (`base.step_batch`).

    Returns the state after the last step, and the observer's outputs, stacked [steps ...].
    """

    def step(now: RolloutState, key: Array) -> tuple[RolloutState, Any]:
        act_key, world_key = jax.random.split(key)
        memory, action = policy(now.memory, now.timestep, act_key)
        keys = jax.random.split(world_key, len(now.timestep.is_last))
        state, timestep = step_batch(world, now.state, now.timestep.is_last, action, keys=keys)
        memory, output = observe(memory, state, timestep)
        return RolloutState(state, timestep, memory), output

    return jax.lax.scan(step, start, jax.random.split(key, steps))


def random_policy(world: World) -> Policy:
    """Make the policy that acts at random: what any agent must beat."""
    return lambda memory, timestep, key: (memory, random_actions(world, timestep.is_last.shape, key=key))


def random_actions(
    world: World, shape: tuple[int, ...], *, key: Seed
) -> Int[Array, "*shape"] | Float[Array, "*shape action"]:
    """Sample actions uniformly: int32 choices [*shape], or float32 numbers from -1 to 1, [*shape action]."""
    if isinstance(world.actions, Box):
        return jax.random.uniform(key, (*shape, world.actions.size), minval=-1.0, maxval=1.0)
    return jax.random.randint(key, shape, 0, world.actions.size)
