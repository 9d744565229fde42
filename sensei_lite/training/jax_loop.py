"""The loop: collect, remember, learn; in a JAX world all of it inside one compiled call.

A chunk is ``train.chunk_updates`` times (collect ``env_steps_per_update`` steps in all worlds together, then update
once). It is one ``lax.scan`` with its buffers donated: nothing leaves the compiled code until the chunk is over, when
metrics are read and progress is shown.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Int, Key, PyTree

from sensei_lite.agent import state as agents
from sensei_lite.agent import update as learning
from sensei_lite.agent.replay import Replay
from sensei_lite.agent.state import AgentState, Metrics, PolicyState
from sensei_lite.config import Config, TrainConfig
from sensei_lite.models.world_model import Transition
from sensei_lite.reward.model import SemanticReward
from sensei_lite.types import Box, Discrete, Seed
from sensei_lite.worlds.base import TimeStep, World
from sensei_lite.worlds.gym_adapter import HostWorld
from sensei_lite.worlds.rollout import RolloutState, begin_rollout, random_policy, rollout

REWARDED = "rewarded"
"""What stands beside a world's events: that the episode has earned a reward."""
EPISODES_WITH = "episodes with "
"""Prefix of a count: of the episodes that ended, those in which an event had happened."""

Happened = dict[str, Bool[Array, " envs"]]
"""By event: whether it has happened in each world's episode so far; ``rewarded`` is that the world has paid."""


class TrainState(NamedTuple):
    """Everything that changes while a run goes on: with it a run can be stopped and resumed exactly."""

    agent: AgentState
    replay: Replay
    world: PyTree
    timestep: TimeStep
    """The newest row of every world; it is already in the replay."""
    policy_state: PolicyState
    key: Key[Array, ""]
    """All randomness of what is still to come."""
    steps: Array
    """Environment steps so far, all worlds together."""
    visits: Int[Array, " situations"]
    """How often the agent was in each situation of the world (see `World.situation`), random play not counted."""
    happened: Happened
    """What has happened in the episodes that are running."""
    reward_model: SemanticReward | None = None
    """R_psi, which never changes here; None: nothing is interesting."""


def to_transition(actions: Discrete | Box, timestep: TimeStep, reward_model: SemanticReward | None) -> Transition:
    """Make the transition that is remembered of a time step: with how interesting R_psi finds the picture."""
    return Transition(
        image=timestep.image,
        action=agents.encode_action(actions, timestep.action),
        reward=timestep.reward,
        semantic=jnp.zeros_like(timestep.reward) if reward_model is None else reward_model(timestep.image),
        is_first=timestep.is_first,
        is_terminal=timestep.is_terminal,
        vector=timestep.vector,
    )


def chunk_schedule(settings: TrainConfig) -> tuple[int, int, int]:
    """Divide a chunk: rounds, and in each how many steps of all worlds and then how many updates.

    Raises ValueError where ``train.chunk_updates`` cannot be divided so.
    """
    steps = settings.env_steps_per_update / settings.envs
    collects, updates = (int(steps), 1) if steps >= 1 else (1, round(1 / steps))
    if settings.chunk_updates % updates:
        raise ValueError(
            f"train.chunk_updates is {settings.chunk_updates}; with {updates} updates for each step of the worlds it "
            f"must be a multiple of {updates}"
        )
    return settings.chunk_updates // updates, collects, updates


@eqx.filter_jit
def start_training(
    config: Config, world: World, reward_model: SemanticReward | None = None, *, key: Seed
) -> TrainState:
    """Initialise an agent and its worlds, with ``train.prefill_steps`` transitions of random play in the replay.

    Raises ValueError where the agent wants what is interesting and there is no ``reward_model``, or it reads other
    pictures.
    """
    check_reward_model(config, reward_model)
    agent_key, world_key, play_key, key = jax.random.split(key, 4)
    settings = config.train
    agent = agents.init(config, world.image_shape, world.actions, world.vector_size, key=agent_key)
    start = begin_rollout(world, settings.envs, key=world_key)
    first, facts = to_transition(world.actions, start.timestep, reward_model), facts_of(world, start.state)
    replay = Replay.create(settings.capacity // settings.envs, first, facts).add(first, facts)

    def remember(replay: Replay, state: PyTree, timestep: TimeStep) -> tuple[Replay, None]:
        return replay.add(to_transition(world.actions, timestep, reward_model), facts_of(world, state)), None

    number = settings.prefill_steps // settings.envs
    start = start._replace(memory=replay)
    end, _ = rollout(world, random_policy(world), start, number, observe=remember, key=play_key)
    # Random play did not use the policy's state: it begins with the next step as if an episode started there.
    policy_state = agents.initial_policy_state(agent, settings.envs, world.actions.size)
    steps = jnp.asarray(number * settings.envs, jnp.int32)
    # A copy of R_psi: the state is used up by training, and the caller's must not be.
    reward_model = jax.tree.map(jnp.copy, reward_model)
    return TrainState(
        agent,
        end.memory,
        end.state,
        end.timestep,
        policy_state,
        key,
        steps,
        visits=no_visits(world),
        happened=nothing_happened(end.timestep),
        reward_model=reward_model,
    )


def start_task(config: Config, world: World | HostWorld, explored: TrainState, *, key: Seed) -> TrainState:
    """Initialise a task agent that begins where an explorer of this world stopped.

    It has the explorer's world model, replay, and worlds as they were left; its policy and critics know nothing, and
    its counts begin at 0.
    """
    agent_key, key = jax.random.split(key)
    # Call-out T1 (ours): there a task policy learns in imagination all through exploration, and takes over at the end.
    fresh = eqx.filter_jit(agents.init)(config, world.image_shape, world.actions, world.vector_size, key=agent_key)
    optimisers = fresh.optimisers._replace(world_model=explored.agent.optimisers.world_model)
    fresh = dataclasses.replace(fresh, world_model=explored.agent.world_model, optimisers=optimisers)
    state = explored._replace(agent=fresh, key=key)
    state = state._replace(steps=jnp.zeros_like(state.steps), visits=jnp.zeros_like(state.visits))
    # A copy: the state is used up by training, and the explorer's must not be.
    return jax.tree.map(jnp.copy, state)


def check_reward_model(config: Config, reward_model: SemanticReward | None) -> None:
    """Raise ValueError where the agent wants what is interesting, and there is no R_psi to say what that is."""
    if reward_model is None and "semantic" in config.streams:
        raise ValueError("this agent maximises the semantic reward, so it needs an R_psi: distil one first")


def facts_of(world: World, state: PyTree) -> dict[str, Array]:
    """Return the true facts about the states of all worlds [envs]."""
    return jax.vmap(world.facts)(state)


def collect(world: World, state: TrainState, steps: int, *, key: Seed) -> tuple[TrainState, dict[str, Array]]:
    """Act ``steps`` times in every world and remember what came back. Also returns the counts of each step [steps]."""
    policy = agents.policy(state.agent, world.actions)
    Memory = tuple[PolicyState, Replay, Array, Array, Happened]

    def act(memory: Memory, timestep: TimeStep, key: Seed) -> tuple[Memory, Array]:
        policy_state, action = policy(memory[0], timestep, key)
        return (policy_state, *memory[1:]), action

    def remember(memory: Memory, world_state: PyTree, timestep: TimeStep) -> tuple[Memory, dict[str, Array]]:
        policy_state, replay, steps, visits, happened = memory
        transition = to_transition(world.actions, timestep, state.reward_model)
        replay = replay.add(transition, facts_of(world, world_state))
        happened = happened_by(happened, timestep)
        counts = count(world, world_state, timestep, happened)
        visits = visits.at[counts["situations"]].add(1) if world.situations else visits
        return (policy_state, replay, steps + counts["steps"], visits, happened), counts

    memory = (state.policy_state, state.replay, state.steps, state.visits, state.happened)
    end, counts = rollout(
        world, act, RolloutState(state.world, state.timestep, memory), steps, observe=remember, key=key
    )
    policy_state, replay, total, visits, happened = end.memory
    state = state._replace(world=end.state, timestep=end.timestep, policy_state=policy_state)
    return state._replace(replay=replay, steps=total, visits=visits, happened=happened), counts


def no_visits(world: World) -> Int[Array, " situations"]:
    """Return the count before anything was visited."""
    return jnp.zeros(world.situations, jnp.int32)


def nothing_happened(timestep: TimeStep) -> Happened:
    """Return what has happened where episodes begin, for the events of these worlds."""
    return {name: jnp.zeros(timestep.is_last.shape, bool) for name in (*timestep.events, REWARDED)}


def happened_by(happened: Happened, timestep: TimeStep) -> Happened:
    """Return what has happened in the running episodes when this time step is over; its first row begins anew."""
    now = {**timestep.events, REWARDED: timestep.reward > 0}
    return {name: (before & ~timestep.is_first) | now[name] for name, before in happened.items()}


def count(world: World, state: PyTree, timestep: TimeStep, happened: Happened) -> dict[str, Array]:
    """Count what one step of all worlds adds to a chunk; ``situations`` are numbers [envs], not yet a count."""
    counts = count_row(timestep, happened)
    return counts | ({"situations": jax.vmap(world.situation)(state)} if world.situations else {})


def count_row(timestep: TimeStep, happened: Happened) -> dict[str, Any]:
    """Count events, episodes, steps and reward of one time step of all worlds; and episodes that ended, by event.

    ``happened`` is that of `happened_by`, with this time step in it.
    """
    counts = {name: happened.sum() for name, happened in timestep.events.items()}
    counts |= {f"{EPISODES_WITH}{name}": (so_far & timestep.is_last).sum() for name, so_far in happened.items()}
    return counts | {
        "episodes": timestep.is_last.sum(),
        "steps": (~timestep.is_first).sum(),
        "reward": timestep.reward.sum(),
    }


def add_up(world: World, counts: dict[str, Array]) -> dict[str, Array]:
    """Add up the counts of many steps; of situations, how many different ones there were."""
    situations = counts.pop("situations", None)
    sums = jax.tree.map(jnp.sum, counts)
    if situations is None:
        return sums
    return sums | {"situations": jnp.zeros(world.situations, jnp.int32).at[situations.reshape(-1)].set(1).sum()}


def learn_step(config: Config, agent: AgentState, replay: Replay, *, key: Seed) -> tuple[AgentState, Metrics]:
    """Draw a batch and update the agent once."""
    sample_key, update_key = jax.random.split(key)
    rows = replay.sample(config.train.batch, config.train.length, key=sample_key)
    if config.train.devices > 1:
        # All that follows from a row is computed where the row lies, and JAX's compiler adds up the gradients.
        spread = NamedSharding(_mesh(config.train), PartitionSpec("batch"))
        rows = jax.lax.with_sharding_constraint(rows, spread)
    return learning.update(agent, rows, key=update_key)


def on_devices(settings: TrainConfig, state: TrainState) -> TrainState:
    """Put the state where `train_chunk` expects it: whole on each of ``train.devices`` devices.

    Raises ValueError where this machine has fewer.
    """
    if settings.devices == 1:
        return state
    return jax.device_put(state, NamedSharding(_mesh(settings), PartitionSpec()))


def _mesh(settings: TrainConfig) -> Mesh:
    found = jax.local_devices()
    if len(found) < settings.devices:
        raise ValueError(f"train.devices is {settings.devices}, and this machine has {len(found)}")
    return Mesh(np.asarray(found[: settings.devices]), ("batch",))


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def train_chunk(config: Config, world: World, state: TrainState) -> tuple[TrainState, Metrics, dict[str, Array]]:
    """Train for one chunk. Returns the state, the mean of every metric over the chunk, and event counts added up."""
    rounds, collects, updates = chunk_schedule(config.train)

    def one_round(state: TrainState, key: Array) -> tuple[TrainState, tuple[Metrics, dict[str, Array]]]:
        collect_key, learn_key = jax.random.split(key)
        state, counts = collect(world, state, collects, key=collect_key)
        replay = state.replay
        agent, metrics = jax.lax.scan(
            lambda a, k: learn_step(config, a, replay, key=k), state.agent, jax.random.split(learn_key, updates)
        )
        return state._replace(agent=agent), (jax.tree.map(jnp.mean, metrics), counts)

    key, chunk_key = jax.random.split(state.key)
    keys = jax.random.split(chunk_key, rounds)
    state, (metrics, counts) = jax.lax.scan(one_round, state._replace(key=key), keys)
    return state, jax.tree.map(jnp.mean, metrics), add_up(world, counts)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def random_chunks(
    config: Config, world: World, chunks: int, *, key: Seed
) -> tuple[dict[str, Array], Int[Array, " situations"]]:
    """Play an agent that acts at random and learns nothing: the counts of each chunk [chunks], and all visits."""
    rounds, collects, _ = chunk_schedule(config.train)
    begin_key, play_key = jax.random.split(key)

    Memory = tuple[Array, Happened]

    def observe(memory: Memory, state: PyTree, timestep: TimeStep) -> tuple[Memory, dict[str, Array]]:
        visits, happened = memory
        happened = happened_by(happened, timestep)
        counts = count(world, state, timestep, happened)
        return ((visits.at[counts["situations"]].add(1) if world.situations else visits), happened), counts

    def chunk(now: RolloutState, key: Array) -> tuple[RolloutState, dict[str, Array]]:
        now, counts = rollout(world, random_policy(world), now, rounds * collects, observe=observe, key=key)
        return now, add_up(world, counts)

    start = begin_rollout(world, config.train.envs, key=begin_key)
    start = start._replace(memory=(no_visits(world), nothing_happened(start.timestep)))
    end, counts = jax.lax.scan(chunk, start, jax.random.split(play_key, chunks))
    return counts, end.memory[0]
