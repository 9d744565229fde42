"""The loop for worlds that cannot be compiled: the same agent, acting in Gymnasium environments from a host loop.

    JAX world          one compiled chunk: act, step, remember, learn, all under `lax.scan`
    Gymnasium world    act (compiled) -> step (Python) -> remember (compiled) -> learn (compiled)

What is remembered and how it is learned from are the same functions (`replay.add`, `jax_loop.learn_step`); only the
step in the middle leaves the compiled code. A host world keeps its state to itself, so it cannot be stored in a
checkpoint: a run that goes on from one begins with new episodes, and its numbers are not those of an uninterrupted run.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from sensei_lite.agent import state as agents
from sensei_lite.agent.replay import Replay
from sensei_lite.agent.state import AgentState, Metrics, PolicyState
from sensei_lite.config import Config
from sensei_lite.reward.model import SemanticReward
from sensei_lite.training.jax_loop import (
    TrainState,
    check_reward_model,
    chunk_schedule,
    count_row,
    happened_by,
    learn_step,
    nothing_happened,
    to_transition,
)
from sensei_lite.types import Box, Discrete, Seed
from sensei_lite.worlds.base import TimeStep
from sensei_lite.worlds.gym_adapter import HostWorld


def begin_host_training(
    config: Config, world: HostWorld, reward_model: SemanticReward | None = None, *, key: Seed
) -> TrainState:
    """Initialise an agent in a host world that has just been reset; its replay holds the first rows only.

    Raises ValueError where the world does not have ``train.envs`` copies, and as `start_training` does.
    """
    check_reward_model(config, reward_model)
    settings = config.train
    if world.num_envs != settings.envs:
        raise ValueError(f"train.envs is {settings.envs}, but {world.name} was made with {world.num_envs} copies")
    agent_key, begin_key, key = jax.random.split(key, 3)
    agent = eqx.filter_jit(agents.init)(config, world.image_shape, world.actions, world.vector_size, key=agent_key)
    timestep = world.reset(seed=_number(begin_key))
    replay = Replay.create(settings.capacity // settings.envs, to_transition(world.actions, timestep, reward_model))
    policy_state = agents.initial_policy_state(agent, settings.envs, world.actions.size)
    replay = _remember(replay, world.actions, timestep, reward_model)
    return TrainState(
        agent,
        replay,
        (),
        timestep,
        policy_state,
        key,
        steps=jnp.zeros((), jnp.int32),
        visits=jnp.zeros(0, jnp.int32),
        happened=nothing_happened(timestep),
        reward_model=reward_model,
    )


def play_at_random(config: Config, world: HostWorld, state: TrainState) -> TrainState:
    """Fill the replay with ``train.prefill_steps`` rows of random play; ``state`` is used up."""
    key, play_key = jax.random.split(state.key)
    chance = np.random.default_rng(_number(play_key))
    replay, timestep, steps = state.replay, state.timestep, 0
    for _ in range(config.train.prefill_steps // config.train.envs):
        timestep = world.step(_random_actions(world, chance))
        replay = _remember(replay, world.actions, timestep, state.reward_model)
        steps += int((~timestep.is_first).sum())
    return state._replace(replay=replay, timestep=timestep, key=key, steps=state.steps + steps)


def go_on_in_new_episodes(world: HostWorld, state: TrainState) -> TrainState:
    """Go on from a checkpoint: the same agent and replay, in worlds that begin again."""
    key, begin_key = jax.random.split(state.key)
    timestep = world.reset(seed=_number(begin_key))
    return state._replace(
        timestep=timestep, replay=_remember(state.replay, world.actions, timestep, state.reward_model), key=key
    )


def _number(key: Seed) -> int:
    return int(jax.random.randint(key, (), 0, 2**31 - 1))


def train_host_chunk(
    config: Config, world: HostWorld, state: TrainState
) -> tuple[TrainState, Metrics, dict[str, Array]]:
    """Train for one chunk, as `jax_loop.train_chunk` does, in a host world; ``state`` is used up."""
    rounds, collects, updates = chunk_schedule(config.train)
    actions, rows, metrics = world.actions, [], []
    for _ in range(rounds):
        key, collect_key, learn_key = jax.random.split(state.key, 3)
        agent, replay, timestep, policy_state = state.agent, state.replay, state.timestep, state.policy_state
        happened = state.happened
        for act_key in jax.random.split(collect_key, collects):
            policy_state, action = _choose(agent, policy_state, timestep._replace(events={}), actions, key=act_key)
            timestep = world.step(np.asarray(action))
            replay = _remember(replay, actions, timestep, state.reward_model)
            happened = happened_by(happened, timestep)
            rows.append(count_row(timestep, happened))
        state = state._replace(replay=replay, timestep=timestep, policy_state=policy_state, key=key, happened=happened)
        for update_key in jax.random.split(learn_key, updates):
            agent, new = _learn(config, state.agent, state.replay, key=update_key)
            state = state._replace(agent=agent)
            metrics.append(new)
    means = jax.tree.map(lambda *values: jnp.stack(values).mean(), *metrics)
    sums = {name: jnp.asarray(sum(counts[name] for counts in rows)) for name in rows[0]}
    return state._replace(steps=state.steps + sums["steps"].astype(jnp.int32)), means, sums


def _random_actions(world: HostWorld, chance: np.random.Generator) -> np.ndarray:
    if isinstance(world.actions, Discrete):
        return chance.integers(world.actions.size, size=world.num_envs).astype(np.int32)
    return chance.uniform(-1.0, 1.0, (world.num_envs, world.actions.size)).astype(np.float32)


@eqx.filter_jit
def _choose(
    agent: AgentState, policy_state: PolicyState, timestep: TimeStep, actions: Discrete | Box, *, key: Seed
) -> tuple[PolicyState, Array]:
    policy_state = agents.act(agent, policy_state, timestep.image, timestep.is_first, timestep.vector, key=key)
    return policy_state, agents.decode_action(actions, policy_state.action)


@functools.partial(jax.jit, static_argnums=1, donate_argnums=0)
def _remember(
    replay: Replay, actions: Discrete | Box, timestep: TimeStep, reward_model: SemanticReward | None
) -> Replay:
    return replay.add(to_transition(actions, timestep, reward_model))


@eqx.filter_jit
def _learn(config: Config, agent: AgentState, replay: Replay, *, key: Seed) -> tuple[AgentState, Metrics]:
    return learn_step(config, agent, replay, key=key)
