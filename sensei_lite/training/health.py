"""World-model health: whether a dream shows what will be interesting, in layouts that the agent has never seen.

    s_t from what was seen up to x_t;  s_{t+1} ... s_{t+k} dreamt with the actions that were really taken
    R2_k     1 - sum (R_psi(x_{t+k}) - r_sem(s_{t+k}))^2 / sum (R_psi(x_{t+k}) - mean)^2
    jump     where an event happens on the way from x_t to x_{t+1}: the mean of R_psi(x_{t+1}) - R_psi(x_t), and of
             r_sem(s_{t+1}) - r_sem(s_t) in a dream of this one step

k = 0 asks the semantic reward head about seen states; 1, 5 and 10 steps ahead ask the dream. 1 is perfect, 0 no better
than the mean, and below 0 worse. Most of what is interesting lasts, so R2 can be high before the model knows what makes
it change; the jump says whether a dream shows the event. An actor learns from dreams only, and cannot want what they do
not show: where the dreamt jump is near 0, nothing else needs a look.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from sensei_lite.agent import state as agents
from sensei_lite.agent.state import AgentState
from sensei_lite.models.rssm import State
from sensei_lite.types import Seed
from sensei_lite.worlds.base import TimeStep, World
from sensei_lite.worlds.rollout import begin_rollout, rollout

AHEAD = (0, 1, 5, 10)
"""k: how many steps are dreamt."""


class Jump(NamedTuple):
    """What an event does to the semantic reward, in the unit of R_psi."""

    number: int
    """How often the event happened."""
    real: float
    """The mean change of R_psi with it; nan where it never happened."""
    dreamt: float
    """The mean change of r_sem in a dream of the same step."""


class Health(NamedTuple):
    """How well dreams foretell the semantic reward."""

    r2: dict[int, float]
    """By k, the steps ahead."""
    jumps: dict[str, Jump]
    """By event of the world."""


class _Dreamt(NamedTuple):
    """Of every state that a dream started from [n worlds], and of the one that it led to."""

    before: Float[Array, "n worlds"]
    said_before: Float[Array, "n worlds"]
    after: Float[Array, "n worlds"]
    said_after: Float[Array, "n worlds"]
    within: Bool[Array, "n worlds"]
    """Whether all of it belongs to one episode."""


def world_model_health(
    agent: AgentState,
    world: World,
    reward_model: Callable[[Array], Array],
    *,
    worlds: int = 256,
    steps: int = 60,
    ahead: Sequence[int] = AHEAD,
    key: Seed,
) -> Health:
    """Measure R2_k for every k of ``ahead``, and the jump at every event, where the agent goes by itself.

    It plays ``worlds`` new worlds side by side for ``steps`` steps; ``reward_model`` is R_psi, of images [... height
    width channel]. A dream that would go over the end of an episode is left out.

    Raises ValueError where ``steps`` is not more than the farthest k.
    """
    if steps <= max(ahead):
        raise ValueError(f"steps is {steps}; to dream {max(ahead)} steps ahead it must be more")
    dreams, events = jax.device_get(_dreams(agent, world, reward_model, worlds, steps, (1, *ahead), key=key))
    one_step, jumps = dreams[0], {}
    for name in world.event_names:
        happened = events[name] & one_step.within
        jumps[name] = Jump(int(happened.sum()), *_changes(one_step, happened))
    r2 = {k: _r2(dream) for k, dream in zip(ahead, dreams[1:], strict=True)}
    return Health(r2, jumps)


def _changes(dream: _Dreamt, where: np.ndarray) -> tuple[float, float]:
    if not where.any():
        return float("nan"), float("nan")
    return (
        float((dream.after - dream.before)[where].mean()),
        float((dream.said_after - dream.said_before)[where].mean()),
    )


def _r2(dream: _Dreamt) -> float:
    real, said = dream.after[dream.within], dream.said_after[dream.within]
    if not real.size or not real.var():
        return float("nan")  # episodes are shorter than the dream, or nothing was more interesting than anything else
    return float(1.0 - np.square(real - said).sum() / np.square(real - real.mean()).sum())


@eqx.filter_jit
def _dreams(
    agent: AgentState,
    world: World,
    reward_model: Callable[[Array], Array],
    worlds: int,
    steps: int,
    ahead: tuple[int, ...],
    *,
    key: Seed,
) -> tuple[list[_Dreamt], dict[str, Bool[Array, "n worlds"]]]:
    """Dream k steps from every state, for every k; also which events the first step of each had."""
    begin_key, play_key, dream_key = jax.random.split(key, 3)
    act = agents.policy(agent, world.actions)
    start = begin_rollout(world, worlds, agents.initial_policy_state(agent, worlds, world.actions.size), key=begin_key)

    def see(memory: agents.PolicyState, state: Any, timestep: TimeStep) -> tuple[Any, Any]:
        return memory, (memory, timestep)

    _, (memories, rows) = rollout(world, act, start, steps, observe=see, key=play_key)
    # After step i the memory has s_i and the action a_i taken in it, and the row is x_{i+1}.
    truth, actions, first = reward_model(rows.image), memories.action, rows.is_first
    said = jax.vmap(jax.vmap(agent.world_model.semantic))(memories.state.features)
    dreams = []
    for k in ahead:
        n = steps - max(k, 1)
        # From s_i for i = 1 ... n with a_i ... a_{i+k-1} to s_{i+k}, whose picture is that of row i + k - 1.
        state: State = jax.tree.map(lambda x, n=n: x[1 : n + 1].reshape(-1, *x.shape[2:]), memories.state)
        within = jnp.ones((n, worlds), bool)
        for j in range(k):
            action = actions[1 + j : n + 1 + j].reshape(-1, actions.shape[-1])
            keys = jax.random.split(jax.random.fold_in(dream_key, j), len(action))
            state = jax.vmap(lambda s, a, q: agent.world_model.rssm.imagine_step(s, a, key=q))(state, action, keys)
            within &= ~first[1 + j : n + 1 + j]
        said_after = jax.vmap(agent.world_model.semantic)(state.features).reshape(n, worlds)
        dreams.append(_Dreamt(truth[:n], said[1 : n + 1], truth[k : n + k], said_after, within))
    return dreams, {name: happened[1:] for name, happened in rows.events.items()}
