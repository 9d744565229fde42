"""What the learner's bench times: agents of two sizes, and a program for each kind of work.

Every program has the form  state, outputs = step(state, constants, key),  with the state's memory donated, as in
`training.jax_loop.train_chunk`. Outputs are kept, so that the compiler may leave nothing out.

LAB-XS is the size at which DreamerV3 projects were compared (the numbers are in `lab_xs`); transitions are random and
lie in a replay in memory. `lab` is the preset that a student runs, in its world; `paper` and `paper-robodesk` have the
sizes of the research code, the first in the grid world of that size, the second without a world, which no compiler
could take in.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from sensei_lite.agent import state as agents
from sensei_lite.agent import update as learning
from sensei_lite.agent.replay import Replay
from sensei_lite.config import BehaviourConfig, Config, DistilConfig, EnsembleConfig, TrainConfig, WorldModelConfig
from sensei_lite.models.world_model import Transition
from sensei_lite.presets import agent_config, lab, paper, paper_robodesk, smoke
from sensei_lite.reward.model import SemanticReward
from sensei_lite.training.jax_loop import start_training, train_chunk
from sensei_lite.training.side_by_side import start_seeds, train_seeds
from sensei_lite.types import Box, Discrete
from sensei_lite.worlds import World
from sensei_lite.worlds.registry import JAX_WORLDS


class Size(NamedTuple):
    """An agent's sizes, and what it looks at."""

    config: Config
    world: World | None
    """None: there is no world, transitions are random."""
    image_shape: tuple[int, int, int]
    actions: Discrete | Box


class Program(NamedTuple):
    """Something to time."""

    step: Any
    """The jitted function of the equation above."""
    state: PyTree
    constants: PyTree
    networks_of: Callable[[PyTree], dict[str, PyTree]]
    """The networks in the state (or in the constants), by name."""
    units: int
    """Updates, or policy steps, in one call."""


def lab_xs() -> Config:
    """Return LAB-XS: pictures of 64 x 64, 16 sequences of 32 steps, dreams of 15 steps from all 512 states."""
    return Config(
        world_model=WorldModelConfig(
            deter=256, stoch=16, classes=16, hidden=256, layers=2, encoder="conv", depth=16, bins=255
        ),
        ensemble=EnsembleConfig(heads=8, layers=2, hidden=256, reads="state", target="sample", measure="std"),
        behaviour=BehaviourConfig(horizon=15, starts=None, hidden=256, layers=2),
        train=TrainConfig(batch=16, length=32),
    )


def _size(name: str) -> Size:
    keyroom, large = JAX_WORLDS["keyroom"], JAX_WORLDS["keyroom-s15"]
    eight, arm = Discrete(tuple("abcdefgh")), Box(("right", "away", "up", "turn", "open"))
    sizes = {
        "LAB-XS": lambda: Size(lab_xs(), None, (64, 64, 3), eight),
        "lab": lambda: Size(lab(), keyroom, keyroom.image_shape, keyroom.actions),
        "paper": lambda: Size(paper(), large, large.image_shape, large.actions),
        "paper-robodesk": lambda: Size(paper_robodesk(), None, (64, 64, 3), arm),
        "smoke": lambda: Size(smoke(), keyroom, keyroom.image_shape, keyroom.actions),
    }
    if name not in sizes:
        raise ValueError(f"there is no size called {name!r}; there are {', '.join(sizes)}")
    return sizes[name]()


AGENTS = ("task", "plan2explore", "plan2explore and task", "sensei")


def agent_size(size: str, agent: str, precision: str = "float32") -> Size:
    """Return the sizes of one of `AGENTS`, with the rewards that it maximises, learning in some precision.

    Raises ValueError where there is no such size or agent.
    """
    if agent not in AGENTS:
        raise ValueError(f"there is no agent called {agent!r}; there are {', '.join(AGENTS)}")
    found = _size(size)
    train = dataclasses.replace(found.config.train, precision=precision)  # type: ignore[arg-type]
    found = found._replace(config=dataclasses.replace(found.config, train=train))
    if agent == "sensei":
        return found._replace(config=agent_config(found.config, agent))
    config, stream = found.config, "extrinsic" if agent == "task" else "disagreement"
    behaviour = dataclasses.replace(config.behaviour, reward_weights=((stream, 1.0),))
    ensemble = config.ensemble
    if agent == "task" and found.world is None:
        # A task agent does not teach its ensemble; here it is as small as can be, so as not to count as parameters.
        ensemble = dataclasses.replace(ensemble, heads=2, layers=1, hidden=1)
    return found._replace(config=dataclasses.replace(config, behaviour=behaviour, ensemble=ensemble))


def make_program(size: str, agent: str, work: str, precision: str = "float32") -> Program:
    """Make the program of one of the works ``update``, ``chunk``, ``seeds N`` (chunks of N seeds) or ``act N``.

    ``act N`` is a policy step for N observations. ``model`` and ``ensemble`` are updates that stop after that part, to
    see where the time goes. Raises ValueError where there is no such size, agent or work.
    """
    sizes, key = agent_size(size, agent, precision), jax.random.key(0)
    kind, _, number = work.partition(" ")
    if kind not in ("update", "model", "ensemble", "chunk", "seeds", "act"):
        raise ValueError(
            f"there is no work called {work!r}; there are update, model, ensemble, chunk, seeds N and act N"
        )
    if kind in ("chunk", "seeds"):
        if sizes.world is None:
            raise ValueError(f"{size} has no world to collect in; its work is 'update'")
        if kind == "seeds":
            return _seeds(sizes.config, sizes.world, int(number), key)
        return _chunk(sizes.config, sizes.world, key)
    new_agent = eqx.filter_jit(agents.init)(sizes.config, sizes.image_shape, sizes.actions, key=key)
    if kind == "act":
        return _act(sizes, new_agent, int(number), key)
    if kind in ("model", "ensemble"):
        return _part(sizes, new_agent, kind, key)
    if agent == "plan2explore and task":
        return _update_with_second(sizes, new_agent, key)
    return _update(sizes, new_agent, key)


def _update(sizes: Size, agent: agents.AgentState, key: jax.Array) -> Program:
    settings = sizes.config.train

    @jax.jit(donate_argnums=0)
    def step(agent: agents.AgentState, replay: Replay, key: jax.Array) -> tuple[agents.AgentState, PyTree]:
        sample_key, update_key = jax.random.split(key)
        batch = replay.sample(settings.batch, settings.length, key=sample_key)
        return learning.update(agent, batch, key=update_key)

    return Program(step, agent, _random_replay(sizes, key), networks_of, 1)


def _update_with_second(sizes: Size, agent: agents.AgentState, key: jax.Array) -> Program:
    """Make what peers do at once: explore, and learn the task. The second agent has only its own behaviour."""
    config, settings = sizes.config, sizes.config.train
    task = dataclasses.replace(config.behaviour, reward_weights=(("extrinsic", 1.0),))
    config = dataclasses.replace(config, behaviour=task)
    second = eqx.filter_jit(agents.init)(config, sizes.image_shape, sizes.actions, key=jax.random.fold_in(key, 1))
    second = _with_model(second, None)

    @jax.jit(donate_argnums=0)
    def step(both: tuple, replay: Replay, key: jax.Array) -> tuple[tuple, PyTree]:
        agent, second = both
        sample_key, model_key, start_key, *dream_keys = jax.random.split(key, 5)
        batch = replay.sample(settings.batch, settings.length, key=sample_key)
        agent, rollout, of_model = learning.learn_model(agent, batch, key=model_key)
        agent, of_ensemble = learning.learn_streams(agent, rollout, batch)
        starts = learning.dream_starts(rollout.states, batch, config.behaviour.starts, key=start_key)
        agent, of_curiosity = learning.learn_to_act(agent, *starts, key=dream_keys[0])
        second = _with_model(second, agent.world_model)
        second, of_task = learning.learn_to_act(second, *starts, key=dream_keys[1])
        return (agent, _with_model(second, None)), (of_model, of_ensemble, of_curiosity, of_task)

    def networks(both: tuple) -> dict[str, PyTree]:
        agent, second = both
        return networks_of(agent) | {f"second {name}": part for name, part in _behaviour_of(second).items()}

    return Program(step, (agent, second), _random_replay(sizes, key), networks, 1)


def _with_model(agent: agents.AgentState, model: Any) -> agents.AgentState:
    return eqx.tree_at(lambda a: a.world_model, agent, model, is_leaf=lambda x: x is None)


def _part(sizes: Size, agent: agents.AgentState, part: str, key: jax.Array) -> Program:
    """Make an update that stops early: after the world model, or after the ensemble."""
    settings = sizes.config.train

    @jax.jit(donate_argnums=0)
    def step(agent: agents.AgentState, replay: Replay, key: jax.Array) -> tuple[agents.AgentState, PyTree]:
        sample_key, model_key = jax.random.split(key)
        batch = replay.sample(settings.batch, settings.length, key=sample_key)
        agent, rollout, metrics = learning.learn_model(agent, batch, key=model_key)
        if part == "model":
            return agent, metrics
        agent, of_ensemble = learning.learn_streams(agent, rollout, batch)
        return agent, metrics | of_ensemble

    return Program(step, agent, _random_replay(sizes, key), networks_of, 1)


def _chunk(config: Config, world: World, key: jax.Array) -> Program:
    @jax.jit(donate_argnums=0)
    def step(state: PyTree, constants: None, key: jax.Array) -> tuple[PyTree, PyTree]:
        state, *outputs = train_chunk(config, world, state._replace(key=key))
        return state, outputs

    reward_model = _untrained_reward_model(world) if "semantic" in config.streams else None
    state = start_training(config, world, reward_model, key=key)
    return Program(step, state, None, lambda state: networks_of(state.agent), config.train.chunk_updates)


def _untrained_reward_model(world: World) -> SemanticReward:
    """Initialise an R_psi of the research code's size: untrained it takes as long as trained."""
    settings = DistilConfig(encoder="cnn", hidden=512)
    return SemanticReward(settings, world.image_shape, key=jax.random.key(2))


def _seeds(config: Config, world: World, number: int, key: jax.Array) -> Program:
    @jax.jit(donate_argnums=0)
    def step(states: PyTree, constants: None, key: jax.Array) -> tuple[PyTree, PyTree]:
        states, *outputs = train_seeds(config, world, states._replace(key=jax.random.split(key, number)))
        return states, outputs

    states = start_seeds(config, world, keys=jax.random.split(key, number))
    return Program(step, states, None, lambda state: networks_of(state.agent), number * config.train.chunk_updates)


def _act(sizes: Size, agent: agents.AgentState, number: int, key: jax.Array) -> Program:
    @jax.jit(donate_argnums=0)
    def step(state: agents.PolicyState, constants: tuple, key: jax.Array) -> tuple[agents.PolicyState, None]:
        agent, image, is_first = constants
        return agents.act(agent, state, image, is_first, key=key), None

    image = jax.random.bits(key, (number, *sizes.image_shape), jnp.uint8)
    state = agents.initial_policy_state(agent, number, sizes.actions.size)
    constants = (agent, image, jnp.zeros(number, bool))
    return Program(step, state, constants, lambda _: networks_of(agent), 1)


def _random_replay(sizes: Size, key: jax.Array, worlds: int = 16) -> Replay:
    """Fill a replay with random transitions: twice as many of each world as a sequence is long."""

    def transition(key: jax.Array) -> Transition:
        image, action, reward, semantic = jax.random.split(key, 4)
        numbers = jax.random.uniform(action, (worlds, sizes.actions.size), minval=-1.0)
        choice = jax.nn.one_hot(numbers.argmax(-1), sizes.actions.size)
        return Transition(
            image=jax.random.bits(image, (worlds, *sizes.image_shape), jnp.uint8),
            action=numbers if isinstance(sizes.actions, Box) else choice,
            reward=jax.random.normal(reward, (worlds,)),
            semantic=jax.random.normal(semantic, (worlds,)),
            is_first=jnp.zeros(worlds, bool),
            is_terminal=jnp.zeros(worlds, bool),
        )

    @jax.jit
    def fill(keys: jax.Array) -> Replay:
        empty = Replay.create(len(keys), transition(keys[0]))
        return jax.lax.scan(lambda replay, key: (replay.add(transition(key)), None), empty, keys)[0]

    return fill(jax.random.split(key, 2 * sizes.config.train.length))


def networks_of(agent: agents.AgentState) -> dict[str, PyTree]:
    """Return the agent's networks by name, without slow copies and optimisers."""
    model = agent.world_model
    parts = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    parts = {name: part for name, part in parts.items() if jax.tree.leaves(eqx.filter(part, eqx.is_array))}
    learned = {name: stream.network for name, stream in agent.streams.items() if stream.network is not None}
    return parts | learned | _behaviour_of(agent)


def _behaviour_of(learner: Any) -> dict[str, PyTree]:
    return {"actor": learner.actor} | {f"critic of {name}": critic for name, critic in learner.critics.items()}


def fingerprint(networks: dict[str, PyTree]) -> dict[str, int]:
    """Compute a hash of each network, which changes when one of its weights does."""
    # Of copies: an array that NumPy has looked at cannot be given away any more.
    copies = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))(networks)
    return {
        name: hash(tuple(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(copies[name]))) for name in networks
    }
