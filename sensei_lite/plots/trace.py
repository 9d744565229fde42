"""A trace of one episode: semantic reward, disagreement and the go/explore switch in every state.

The agent acts as in training: it samples. In each state s_t, which it infers from the picture x_t, four questions are
asked of it that acting alone would not ask:

    r_sem(s_t)          how interesting is it here? the world model's head, which has learned R_psi from replay
    r_dis(s_t, a_t)     how new is what a_t leads to? the disagreement of the ensemble about s_{t+1}
    c_t >= Q            which way does the switch stand, and what does it compare with its threshold?
    w(s_t)              what does each reward weigh on that side?

The switch works in imagination. With ``compares="reward"`` it compares r_sem, so c_t = r_sem(s_t). With
``compares="return"`` it compares the semantic lambda-return of each imagined state, R_sem,t, which adds up what a dream
from s_t meets *after* s_t. A played episode has no dream, so c_t = v_sem(s_t) stands for it: the critic that has
learned to predict just that return. It is an estimate of the mean over dreams; while the agent learns, a single dream
from s_t may fall on the other side of Q. Where the episode has ended nothing follows, and c_t means nothing.

Time: everything belongs to s_t (`time`), but an action and its disagreement belong to a step from s_t to s_{t+1}
(`steps`, one fewer). So ``disagreement[t]`` is the reward for arriving in s_{t+1}, counted where the choice was made;
in a dream (`agent.update.stream_rewards`) the same number has the index t+1.

Source: SENSEI (arXiv 2503.01584). Built in notebook 07_sensei.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from sensei_lite.agent import state as agents
from sensei_lite.agent.state import AgentState
from sensei_lite.agent.switch import Switch
from sensei_lite.models.rssm import State
from sensei_lite.reward.model import SemanticReward
from sensei_lite.types import AnyArray, Discrete, Seed
from sensei_lite.worlds.base import TimeStep, World, reset_batch, step_limit
from sensei_lite.worlds.rollout import RolloutState, rollout


class Trace(NamedTuple):
    """One whole episode of T steps: states 0 to T (`time`), and the steps between them (`steps`). All NumPy."""

    images: UInt8[np.ndarray, "time height width channel"]
    """x_t, as the agent saw it."""
    actions: AnyArray
    """a_t: choices, int32 [steps], or numbers from -1 to 1, float32 [steps action]."""
    action_names: tuple[str, ...]
    """The names of the choices; empty where actions are numbers."""
    reward: Float[np.ndarray, " time"]
    """The task's reward for arriving in s_t."""
    events: dict[str, Bool[np.ndarray, " time"]]
    """What happened on the way to s_t, by name, in the world's order."""
    is_terminal: bool
    """Whether the world ended in s_T; otherwise the episode ran out of time."""
    semantic: Float[np.ndarray, " time"] | None
    """r_sem(s_t), predicted; None for an agent that does not want what is interesting."""
    r_psi: Float[np.ndarray, " time"] | None
    """R_psi(x_t), which r_sem is to predict; None where no R_psi was given."""
    disagreement: Float[np.ndarray, " steps"] | None
    """r_dis for arriving in s_{t+1} by a_t; None for an agent that does not want what is new."""
    weights: dict[str, Float[np.ndarray, " time"]]
    """The weight of each reward stream in s_t: by its branch, or the same everywhere where there is no switch."""
    compares: str | None
    """``reward`` or ``return`` (see above); None where there is no switch, and so for what follows."""
    compared: Float[np.ndarray, " time"] | None
    """c_t."""
    threshold: float | None
    """Q. It stays the same during the episode, because the agent does not learn meanwhile."""
    exploring: Bool[np.ndarray, " time"] | None
    """True: the switch says explore. False: it says go."""

    @property
    def steps(self) -> int:
        """T."""
        return len(self.images) - 1

    def happened(self, t: int) -> list[str]:
        """Return the events on the way to s_t."""
        return [name for name, happened in self.events.items() if happened[t]]

    def action_name(self, t: int) -> str:
        """Return a word or numbers for a_t; empty in the last state, where no action follows. Raises IndexError."""
        if t == self.steps:
            return ""
        action = self.actions[t]
        return self.action_names[int(action)] if self.action_names else np.array2string(action, precision=2)


def play_trace(agent: AgentState, world: World, *, reward_model: SemanticReward | None = None, key: Seed) -> Trace:
    """Play one episode and record everything in `Trace`.

    Raises ValueError where the world has no limit of steps (``max_steps``), or ``reward_model`` reads other pictures.
    """
    rows, internals = jax.device_get(_play(agent, world, reward_model, step_limit(world), key=key))
    last = int(rows.is_last.argmax())  # what comes after it belongs to another episode
    disagreement = internals.pop("disagreement", None)
    rows, internals = jax.tree.map(lambda leaf: leaf[: last + 1], (rows, internals))
    switch, discrete = switch_of(agent), isinstance(world.actions, Discrete)
    return Trace(
        images=rows.image,
        actions=rows.action[1:],
        action_names=world.actions.names if discrete else (),
        reward=rows.reward,
        events={name: rows.events[name] for name in world.event_names},  # compiled code sorts names
        is_terminal=bool(rows.is_terminal[-1]),
        semantic=internals.get("semantic"),
        r_psi=internals.get("r_psi"),
        disagreement=None if disagreement is None else disagreement[:last],
        weights={name: internals["weights"][name] for name in agent.config.streams},
        compares=None if switch is None else switch.settings.rule,
        compared=internals.get("compared"),
        threshold=None if switch is None else float(switch.threshold),
        exploring=internals.get("exploring"),
    )


@eqx.filter_jit
def _play(
    agent: AgentState, world: World, reward_model: SemanticReward | None, steps: int, *, key: Seed
) -> tuple[TimeStep, dict[str, Any]]:
    """Return the rows of ``steps`` steps in one world, without the axis of worlds, and `agent_internals`."""
    begin_key, play_key, last_key = jax.random.split(key, 3)
    policy, memory = agents.policy(agent, world.actions), agents.initial_policy_state(agent, 1, world.actions.size)
    start = RolloutState(*reset_batch(world, keys=begin_key[None]), memory)
    observe = lambda memory, state, timestep: (memory, (memory, timestep))  # noqa: E731
    end, (memories, rows) = rollout(world, policy, start, steps, observe=observe, key=play_key)
    last, _ = policy(end.memory, end.timestep, last_key)  # s_T is looked at too, though no action follows
    join = lambda *parts: jnp.concatenate(parts)[:, 0]  # noqa: E731
    rows = jax.tree.map(lambda first, others: join(first[None], others), start.timestep, rows)
    memories = jax.tree.map(lambda others, last: join(others, last[None]), memories, last)
    return rows, agent_internals(agent, memories.state, memories.action[:-1], rows.image, reward_model)


def switch_of(agent: AgentState) -> Switch | None:
    """Return the agent's go/explore switch, None where it has fixed weights."""
    return agent.rule if isinstance(agent.rule, Switch) else None


def agent_internals(
    agent: AgentState,
    states: State,
    actions: Float[Array, "steps action"],
    images: UInt8[Array, "time height width channel"],
    reward_model: SemanticReward | None,
) -> dict[str, Any]:
    """Compute from the agent's own states [time ...] the fields of `Trace` from ``semantic`` to ``exploring``.

    ``actions`` are one-hot or continuous. What an agent does not have is left out. Pure: it can be compiled.
    """
    features, streams, switch = states.features, agent.config.streams, switch_of(agent)
    told: dict[str, Any] = {}
    if "semantic" in streams:
        told["semantic"] = jax.vmap(agent.world_model.semantic)(features)
    if "disagreement" in streams:
        told["disagreement"] = agent.streams["disagreement"].network.reward(states, actions)
    if reward_model is not None:
        told["r_psi"] = reward_model(images)
    if switch is None:
        fixed = agent.config.behaviour.reward_weights
        return told | {"weights": {name: jnp.full(len(features), weight) for name, weight in fixed}}
    by_reward = switch.settings.rule == "reward"
    told["compared"] = told["semantic"] if by_reward else jax.vmap(agent.critics["semantic"])(features)
    told["exploring"] = switch.is_exploring(told["compared"])
    return told | {"weights": switch.weights(told["exploring"])}
