"""The agent: everything that changes in one pytree, and two pure functions around it.

    init(config, image_shape, actions, key)        -> AgentState
    act(state, policy_state, image, is_first, key) -> policy_state, with the action in it

How it changes stands in `update`. Here are the parts that it is made of.

Sources: DreamerV3 (arXiv 2301.04104), Plan2Explore (arXiv 2005.05960), SENSEI (arXiv 2503.01584).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, PyTree

from sensei_lite.agent import optimisers, streams
from sensei_lite.agent.actor_critic import Actor
from sensei_lite.agent.returns import PercentileNormaliser
from sensei_lite.agent.streams.base import RewardStream, Sizes
from sensei_lite.agent.switch import RULES, Rule
from sensei_lite.config import Config
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import TwoHotHead, WorldModel
from sensei_lite.types import AnyArray, Box, Discrete, Images, Seed

Metrics = dict[str, Array]


class OptimiserStates(NamedTuple):
    """The optimisers' states of world model and behaviour; each stream has its own."""

    world_model: PyTree
    behaviour: PyTree


class AgentState(eqx.Module):
    """Everything that changes while the agent learns."""

    world_model: WorldModel
    streams: dict[str, RewardStream]
    """The reward streams that count for anything, by name."""
    actor: Actor
    critics: dict[str, TwoHotHead]
    slow_critics: dict[str, TwoHotHead]
    normalisers: dict[str, PercentileNormaliser]
    rule: Rule
    """How the streams become one advantage: fixed weights, or the go/explore switch."""
    optimisers: OptimiserStates
    updates: Array
    """Updates so far."""
    config: Config = eqx.field(static=True)


class PolicyState(NamedTuple):
    """What the agent carries from one step to the next, for every world [envs ...]."""

    state: State
    action: Float[Array, "envs action"]
    """The action it took last, one-hot or continuous."""


def init(
    config: Config, image_shape: tuple[int, int, int], actions: Discrete | Box, vector_size: int = 0, *, key: Seed
) -> AgentState:
    """Initialise an agent for pictures of ``image_shape``, ``vector_size`` numbers beside them, and an action space.

    Raises ValueError where the pictures do not fit the encoder, or a reward stream is not known.
    """
    model_key, streams_key, actor_key, critic_key = jax.random.split(key, 4)
    model, behaviour = config.world_model, config.behaviour
    world_model = WorldModel(model, image_shape, actions.size, vector_size, key=model_key)
    size = model.deter + model.stoch * model.classes
    sizes = Sizes(size, model.deter, model.stoch, model.classes, actions.size)
    discrete = isinstance(actions, Discrete)
    actor = Actor(behaviour, size, actions.size, discrete, model.unimix, key=actor_key)
    rule = RULES[config.switch.rule]
    names = rule.critics(config.streams)
    keys = jax.random.split(critic_key, len(names))
    critics = {
        name: TwoHotHead(size, behaviour.hidden, behaviour.layers, model.bins, key=k)
        for name, k in zip(names, keys, strict=True)
    }
    return AgentState(
        world_model=world_model,
        streams={name: streams.stream(name).init(config, sizes, key=streams_key) for name in config.streams},
        actor=actor,
        critics=critics,
        # A copy of its own: donated buffers must not appear twice in one state.
        slow_critics=jax.tree.map(jnp.copy, critics),
        normalisers={name: PercentileNormaliser.create() for name in names},
        rule=rule.create(config),
        optimisers=OptimiserStates(
            optimisers.init(model_optimiser(config), world_model),
            optimisers.init(behaviour_optimiser(config), (actor, critics)),
        ),
        updates=jnp.zeros((), jnp.int32),
        config=config,
    )


def model_optimiser(config: Config) -> optax.GradientTransformation:
    """Make the optimiser of the world model."""
    return optimisers.adam(config.world_model, eps=1e-8)


def behaviour_optimiser(config: Config) -> optax.GradientTransformation:
    """Make the optimiser of policy and critics, as the pair (actor, critics)."""
    # Actor and critics are clipped each by its own norm, as in the research code, and so share no scale.
    one = optimisers.adam(config.behaviour, eps=1e-5)
    names = RULES[config.switch.rule].critics(config.streams)
    labels = lambda tree: (  # noqa: E731
        jax.tree.map(lambda _: "actor", tree[0]),
        {name: jax.tree.map(lambda _, name=name: name, critic) for name, critic in tree[1].items()},
    )
    return optax.multi_transform({"actor": one} | {name: one for name in names}, labels)


def encode_action(actions: Discrete | Box, action: AnyArray) -> Float[Array, "*batch action"]:
    """Encode a world's action as the model reads it: a choice becomes one-hot, numbers stay."""
    return jax.nn.one_hot(action, actions.size) if isinstance(actions, Discrete) else action


def decode_action(actions: Discrete | Box, action: Float[Array, "*batch action"]) -> Array:
    """Decode the model's action as the world takes it: one-hot becomes a choice, numbers are clipped to [-1, 1]."""
    if isinstance(actions, Discrete):
        return action.argmax(-1).astype(jnp.int32)
    return jnp.clip(action, -1.0, 1.0)


def initial_policy_state(agent: AgentState, envs: int, action_size: int) -> PolicyState:
    """Return the policy's state before anything was seen."""
    state = jax.tree.map(lambda x: jnp.broadcast_to(x, (envs, *x.shape)), agent.world_model.rssm.initial())
    return PolicyState(state, jnp.zeros((envs, action_size)))


def act(
    agent: AgentState,
    policy_state: PolicyState,
    image: Images,
    is_first: Bool[Array, " batch"],
    vector: Float[Array, "batch vector"] | None = None,
    *,
    key: Seed,
) -> PolicyState:
    """Look at the newest picture of every world and choose an action, which stands in the memory that is returned.

    ``is_first`` says which pictures start an episode: there the memory is wiped.
    """
    state_key, action_key = jax.random.split(key)
    embeddings = agent.world_model.embed(image, vector)
    keys = jax.random.split(state_key, len(embeddings))
    state, _ = jax.vmap(lambda s, a, e, f, k: agent.world_model.rssm.observe_step(s, a, e, f, key=k))(
        policy_state.state, policy_state.action, embeddings, is_first, keys
    )
    return PolicyState(state, jax.vmap(agent.actor)(state.features).sample(key=action_key))


def policy(agent: AgentState, actions: Discrete | Box) -> Callable[[PolicyState, Any, Seed], tuple[PolicyState, Array]]:
    """Make the agent's policy as `worlds.rollout` takes it: (policy state, time step, key) -> state, actions."""

    def choose(policy_state: PolicyState, timestep: Any, key: Seed) -> tuple[PolicyState, Array]:
        policy_state = act(agent, policy_state, timestep.image, timestep.is_first, timestep.vector, key=key)
        return policy_state, decode_action(actions, policy_state.action)

    return choose
