"""World-model health: whether a dream shows what will be interesting, in layouts that the agent has never seen.

    s_t from what was seen up to x_t;  s_{t+1} ... s_{t+k} dreamt with the actions that were really taken
    R2_k = 1 - sum (R_psi(x_{t+k}) - r_sem(s_{t+k}))^2 / sum (R_psi(x_{t+k}) - mean)^2

k = 0 asks the semantic reward head about seen states; 1, 5 and 10 steps ahead ask the dream. 1 is perfect, 0 no better
than the mean, and below 0 worse. An actor learns from dreams only: where these are at 0 nothing else needs a look.
"""

from collections.abc import Callable, Sequence

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


def open_loop_r2(
    agent: AgentState,
    world: World,
    reward_model: Callable[[Array], Array],
    *,
    worlds: int = 64,
    steps: int = 60,
    ahead: Sequence[int] = AHEAD,
    key: Seed,
) -> dict[int, float]:
    """Compute R2_k of the predicted semantic reward, for every k of ``ahead``, where the agent goes by itself.

    ``reward_model`` is R_psi, of images [... height width channel].
    It plays ``worlds`` new worlds side by side for ``steps`` steps. A dream that would go over the end of an episode is
    left out.

    Raises ValueError where ``steps`` is not more than the farthest k.
    """
    if steps <= max(ahead):
        raise ValueError(f"steps is {steps}; to dream {max(ahead)} steps ahead it must be more")
    real, said, valid = jax.device_get(_dreams(agent, world, reward_model, worlds, steps, tuple(ahead), key=key))
    found = {}
    for i, k in enumerate(ahead):
        truth, dreamt = real[i][valid[i]], said[i][valid[i]]
        found[k] = float(1.0 - np.square(truth - dreamt).sum() / np.square(truth - truth.mean()).sum())
    return found


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
) -> tuple[list[Float[Array, "n worlds"]], list[Float[Array, "n worlds"]], list[Bool[Array, "n worlds"]]]:
    """For every k: R_psi of the pictures, what was dreamt of them, and which of these are of one episode."""
    begin_key, play_key, dream_key = jax.random.split(key, 3)
    act = agents.policy(agent, world.actions)
    start = begin_rollout(world, worlds, agents.initial_policy_state(agent, worlds, world.actions.size), key=begin_key)

    def see(memory: agents.PolicyState, state: object, timestep: TimeStep) -> tuple:
        return memory, (memory, timestep)

    _, (memories, rows) = rollout(world, act, start, steps, observe=see, key=play_key)
    # After step i the memory has s_i and the action a_i taken in it, and the row is x_{i+1} with its R_psi.
    truth, states, actions, first = reward_model(rows.image), memories.state, memories.action, rows.is_first
    real, said, valid = [], [], []
    for k in ahead:
        n = steps - max(k, 1)
        # s_i for i = 1 ... n, then a_i ... a_{i+k-1}, to s_{i+k}, whose picture is row i + k - 1.
        state = jax.tree.map(lambda x: x[1 : n + 1].reshape(-1, *x.shape[2:]), states)  # noqa: B023
        within = jnp.ones((n, worlds), bool)
        for j in range(k):
            action = actions[1 + j : n + 1 + j].reshape(-1, actions.shape[-1])
            keys = jax.random.split(jax.random.fold_in(dream_key, 1000 + j), len(action))
            state = jax.vmap(lambda s, a, q: agent.world_model.rssm.imagine_step(s, a, key=q))(state, action, keys)
            within &= ~first[1 + j : n + 1 + j]
        real.append(truth[k : n + k])
        said.append(_ask(agent, state).reshape(n, worlds))
        valid.append(within)
    return real, said, valid


def _ask(agent: AgentState, state: State) -> Float[Array, " n"]:
    return jax.vmap(agent.world_model.semantic)(state.features)
