"""The agent: everything that changes in one pytree, and three pure functions around it.

    init(config, image_shape, actions, key)  -> AgentState
    act(state, memory, image, is_first, key) -> memory, with the action in it
    update(state, rows, key)                 -> AgentState, metrics

One update teaches the world model and the ensemble from replayed sequences, dreams from the states that it met there,
and teaches the policy and the critics in the dream. Which rewards count is a setting: Plan2Explore maximises
disagreement, VLM-Motif the semantic reward, a task agent the extrinsic one, and SENSEI switches between two of them.

Sources: DreamerV3 (arXiv 2301.04104), Plan2Explore (arXiv 2005.05960), SENSEI (arXiv 2503.01584).
"""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, PyTree

from sensei_lite.actor_critic import (
    Actor,
    actor_loss,
    advantages,
    critic_loss,
    dream_weights,
    imagine,
    pathwise_loss,
    returns_of,
)
from sensei_lite.config import BehaviourConfig, Config, EnsembleConfig, NoveltyConfig, WorldModelConfig
from sensei_lite.disagreement import Ensemble
from sensei_lite.exploration import Switch
from sensei_lite.networks import in_precision
from sensei_lite.novelty import RandomDistillation
from sensei_lite.returns import PercentileNormaliser, lasting_reward
from sensei_lite.rssm import State
from sensei_lite.shapes import AnyArray, Images, Seed
from sensei_lite.spaces import Box, Discrete
from sensei_lite.world_model import Rows, TwoHotHead, Watched, WorldModel

Metrics = dict[str, Array]


class Optimisers(NamedTuple):
    """The optimiser states of the things that learn with rates of their own."""

    world_model: PyTree
    ensemble: PyTree
    novelty: PyTree
    behaviour: PyTree


class AgentState(eqx.Module):
    """Everything that changes while the agent learns."""

    world_model: WorldModel
    ensemble: Ensemble
    novelty: RandomDistillation
    actor: Actor
    critics: dict[str, TwoHotHead]
    slow_critics: dict[str, TwoHotHead]
    normalisers: dict[str, PercentileNormaliser]
    switch: Switch | None
    """The go/explore switch, where there is one."""
    optimisers: Optimisers
    updates: Array
    """Updates so far."""
    config: Config = eqx.field(static=True)


class Memory(NamedTuple):
    """What the agent carries from one step to the next, for every world [envs ...]."""

    state: State
    action: Float[Array, "envs action"]
    """The action it took last, one-hot or continuous."""


def init(
    config: Config, image_shape: tuple[int, int, int], actions: Discrete | Box, vector_size: int = 0, *, key: Seed
) -> AgentState:
    """A new agent for pictures of ``image_shape``, ``vector_size`` numbers beside them, and an action space.

    Raises ValueError where the pictures do not fit the encoder.
    """
    model_key, ensemble_key, actor_key, critic_key = jax.random.split(key, 4)
    model, behaviour = config.world_model, config.behaviour
    world_model = WorldModel(model, image_shape, actions.size, vector_size, key=model_key)
    size_z = model.stoch * model.classes
    size = model.deter + size_z
    ensemble = Ensemble(config.ensemble, model.deter, actions.size, model.stoch, model.classes, key=ensemble_key)
    novelty = RandomDistillation(config.novelty, size, key=jax.random.fold_in(ensemble_key, 1))
    discrete = isinstance(actions, Discrete)
    actor = Actor(behaviour, size, actions.size, discrete, model.unimix, key=actor_key)
    names = config.critics
    keys = jax.random.split(critic_key, len(names))
    critics = {
        name: TwoHotHead(size, behaviour.hidden, behaviour.layers, model.bins, key=k)
        for name, k in zip(names, keys, strict=True)
    }
    optimisers = Optimisers(
        _model_optimiser(config).init(world_model),
        _ensemble_optimiser(config).init(ensemble),
        _novelty_optimiser(config).init(novelty),
        _behaviour_optimiser(config).init((actor, critics)),
    )
    return AgentState(
        world_model=world_model,
        ensemble=ensemble,
        novelty=novelty,
        actor=actor,
        critics=critics,
        # A copy of its own: donated buffers must not appear twice in one state.
        slow_critics=jax.tree.map(jnp.copy, critics),
        normalisers={name: PercentileNormaliser.create() for name in names},
        switch=Switch.create(config.switch) if behaviour.switched else None,
        optimisers=optimisers,
        updates=jnp.zeros((), jnp.int32),
        config=config,
    )


def _adam(
    settings: WorldModelConfig | EnsembleConfig | NoveltyConfig | BehaviourConfig, eps: float
) -> optax.GradientTransformation:
    # Call-out A2 (ours): beta 2 is a setting, and 0.95 in the lab preset, for the reason given in `WorldModelConfig`.
    adam = optax.adam(settings.learning_rate, b2=settings.second_moment, eps=eps)
    return optax.chain(optax.clip_by_global_norm(settings.clip), adam)


def _model_optimiser(config: Config) -> optax.GradientTransformation:
    return _adam(config.world_model, eps=1e-8)


def _ensemble_optimiser(config: Config) -> optax.GradientTransformation:
    return _adam(config.ensemble, eps=1e-5)


def _novelty_optimiser(config: Config) -> optax.GradientTransformation:
    return _adam(config.novelty, eps=1e-5)


def _behaviour_optimiser(config: Config) -> optax.GradientTransformation:
    # Actor and critics are clipped each by its own norm, as in the research code, and so share no scale.
    one = _adam(config.behaviour, eps=1e-5)
    labels = lambda tree: (  # noqa: E731
        jax.tree.map(lambda _: "actor", tree[0]),
        {name: jax.tree.map(lambda _, name=name: name, critic) for name, critic in tree[1].items()},
    )
    return optax.multi_transform({"actor": one} | {name: one for name in config.critics}, labels)


def encode_action(actions: Discrete | Box, action: AnyArray) -> Float[Array, "*batch action"]:
    """A world's action as the model reads it: a choice becomes one-hot, numbers stay."""
    return jax.nn.one_hot(action, actions.size) if isinstance(actions, Discrete) else action


def decode_action(actions: Discrete | Box, action: Float[Array, "*batch action"]) -> Array:
    """The model's action as the world takes it: a one-hot vector becomes a choice, numbers are kept within -1 and 1."""
    if isinstance(actions, Discrete):
        return action.argmax(-1).astype(jnp.int32)
    return jnp.clip(action, -1.0, 1.0)


def first_memory(agent: AgentState, envs: int, action_size: int) -> Memory:
    """The memory before anything was seen."""
    state = jax.tree.map(lambda x: jnp.broadcast_to(x, (envs, *x.shape)), agent.world_model.rssm.initial())
    return Memory(state, jnp.zeros((envs, action_size)))


def act(
    agent: AgentState,
    memory: Memory,
    image: Images,
    is_first: Bool[Array, " batch"],
    vector: Float[Array, "batch vector"] | None = None,
    *,
    key: Seed,
) -> Memory:
    """Look at the newest picture of every world and choose an action, which stands in the memory that is returned.

    ``is_first`` says which pictures start an episode: there the memory is wiped.
    """
    state_key, action_key = jax.random.split(key)
    embeddings = agent.world_model.embed(image, vector)
    keys = jax.random.split(state_key, len(embeddings))
    state, _ = jax.vmap(lambda s, a, e, f, k: agent.world_model.rssm.observe_step(s, a, e, f, key=k))(
        memory.state, memory.action, embeddings, is_first, keys
    )
    return Memory(state, jax.vmap(agent.actor)(state.features).sample(key=action_key))


def update(agent: AgentState, rows: Rows, *, key: Seed) -> tuple[AgentState, Metrics]:
    """Learn from one batch of sequences. Metrics are scalars by name; units as in `WorldModel.loss`."""
    model_key, start_key, dream_key = jax.random.split(key, 3)
    agent, watched, of_model = learn_model(agent, rows, key=model_key)
    agent, of_ensemble = learn_to_disagree(agent, watched, rows)
    agent, of_novelty = learn_novelty(agent, watched)
    start, start_is_terminal = dream_starts(watched.states, rows, agent.config.behaviour.starts, key=start_key)
    agent, of_behaviour = learn_to_act(agent, start, start_is_terminal, key=dream_key)
    return dataclasses.replace(agent, updates=agent.updates + 1), of_model | of_ensemble | of_novelty | of_behaviour


def as_it_computes(agent: AgentState) -> AgentState:
    """The agent with its networks in the precision in which it computes (``train.precision``), to read and not keep."""
    names = ("world_model", "ensemble", "novelty", "actor", "critics", "slow_critics")
    parts = {name: in_precision(getattr(agent, name), agent.config.train.precision) for name in names}
    return dataclasses.replace(agent, **parts)


def learn_model(agent: AgentState, rows: Rows, *, key: Seed) -> tuple[AgentState, Watched, Metrics]:
    """One step of the world model; also what it saw in the rows before that step."""
    precision = agent.config.train.precision
    (_, (terms, watched)), gradient = eqx.filter_value_and_grad(
        lambda model: in_precision(model, precision).loss(rows, key=key), has_aux=True
    )(agent.world_model)
    model, state, norm = _step(
        _model_optimiser(agent.config), gradient, agent.optimisers.world_model, agent.world_model
    )
    metrics = {f"loss/{name}": term for name, term in terms.items()} | {"gradient/world_model": norm}
    optimisers = agent.optimisers._replace(world_model=state)
    return dataclasses.replace(agent, world_model=model, optimisers=optimisers), watched, metrics


def learn_to_disagree(agent: AgentState, watched: Watched, rows: Rows) -> tuple[AgentState, Metrics]:
    """One step of the ensemble, if its reward counts for anything."""
    if "disagreement" not in agent.config.streams:
        return agent, {}
    precision = agent.config.train.precision
    loss, gradient = eqx.filter_value_and_grad(
        lambda ensemble: in_precision(ensemble, precision).loss(watched, rows.action, rows.is_first)
    )(agent.ensemble)
    ensemble, state, _ = _step(_ensemble_optimiser(agent.config), gradient, agent.optimisers.ensemble, agent.ensemble)
    optimisers = agent.optimisers._replace(ensemble=state)
    return dataclasses.replace(agent, ensemble=ensemble, optimisers=optimisers), {"loss/ensemble": loss}


def learn_novelty(agent: AgentState, watched: Watched) -> tuple[AgentState, Metrics]:
    """One step of random network distillation, if its reward counts for anything."""
    if "novelty" not in agent.config.streams:
        return agent, {}
    features, precision = watched.states.features, agent.config.train.precision
    loss, gradient = eqx.filter_value_and_grad(lambda novelty: in_precision(novelty, precision).error(features).mean())(
        agent.novelty
    )
    novelty, state, _ = _step(_novelty_optimiser(agent.config), gradient, agent.optimisers.novelty, agent.novelty)
    optimisers = agent.optimisers._replace(novelty=state)
    agent = dataclasses.replace(agent, novelty=novelty.updated(loss), optimisers=optimisers)
    return agent, {"loss/novelty": loss}


def _step(
    optimiser: optax.GradientTransformation, gradient: PyTree, state: PyTree, module: PyTree
) -> tuple[Any, PyTree, Array]:
    changes, state = optimiser.update(gradient, state, module)
    return optax.apply_updates(module, changes), state, optax.tree.norm(gradient)


def dream_starts(states: State, rows: Rows, number: int | None, *, key: Seed) -> tuple[State, Float[Array, " starts"]]:
    """The replayed states from which dreams start: all of them, or some drawn at random without repetition."""
    # Call-out A3 (ours): with a number in `behaviour.starts` only so many dreams are dreamt, to save time.
    flat = jax.tree.map(lambda x: jax.lax.stop_gradient(x).reshape(-1, *x.shape[2:]), states)
    is_terminal = rows.is_terminal.reshape(-1).astype(jnp.float32)
    if number is None or number >= len(is_terminal):
        return flat, is_terminal
    chosen = jax.random.choice(key, len(is_terminal), (number,), replace=False)
    return jax.tree.map(lambda x: x[chosen], flat), is_terminal[chosen]


def stream_rewards(
    agent: AgentState, states: State, actions: Float[Array, "steps starts action"]
) -> dict[str, Float[Array, "time starts"]]:
    """The rewards of a dream for every stream that counts, on arrival: index t belongs to s_t, index 0 is not used."""
    features, model = states.features, agent.world_model
    of: dict[str, Any] = {
        "extrinsic": lambda: jax.vmap(jax.vmap(model.reward))(features),
        "semantic": lambda: jax.vmap(jax.vmap(model.semantic))(features),
        "novelty": lambda: agent.novelty.reward(features),
        "disagreement": lambda: jnp.pad(agent.ensemble.reward(states, actions), ((1, 0), (0, 0))),
    }
    return {name: of[name]() for name in agent.config.streams}


def after_the_end(
    agent: AgentState,
    rewards: dict[str, Float[Array, "time starts"]],
    features: Float[Array, "time starts features"],
    continues: Float[Array, "time starts"],
) -> dict[str, Float[Array, "time starts"]]:
    """The rewards of a dream, with what is to follow where it foresees an episode's end.

    What is interesting lasts (`returns.lasting_reward`). Curiosity finds an average state, for a new episode begins:
    the mean value of the states from which dreams start. The task's reward is over.
    """
    settings, rewards = agent.config.behaviour, dict(rewards)
    if settings.semantic_end == "lasts" and "semantic" in rewards:
        rewards["semantic"] = lasting_reward(rewards["semantic"], continues, settings.discount)
    if settings.curiosity_end == "average":
        for name in [name for name in agent.critics if name in ("disagreement", "novelty")]:
            # Call-out A4 (ours): in paper and research code nothing follows, and the curious are afraid of ends, such
            # as an exit. Random network distillation's authors, too, let curiosity go on (arXiv 1810.12894).
            average = jax.vmap(agent.critics[name])(features[0]).mean()
            rewards[name] += (1.0 - continues) * settings.discount * average
    return rewards


class Dream(NamedTuple):
    """What was dreamt, and what it is worth to the policy [steps starts ...]."""

    features: Float[Array, "steps starts features"]
    actions: Float[Array, "steps starts action"]
    advantage: Float[Array, "steps starts"]
    returns: dict[str, Float[Array, "steps starts"]]
    weight: Float[Array, "steps starts"]
    normalisers: dict[str, PercentileNormaliser]
    """As they are after these returns."""
    switch: Switch | None
    """Likewise."""
    metrics: Metrics


def dream(
    agent: AgentState, actor: Actor, start: State, start_is_terminal: Float[Array, " starts"], *, key: Seed
) -> Dream:
    """Dream from ``start`` [starts ...] under a policy, and judge every step by the streams that count.

    The gradient reaches the actor where the pathwise one is wanted (``behaviour.gradient``), and nothing otherwise.
    """
    settings, pathwise = agent.config.behaviour, agent.config.behaviour.gradient == "pathwise"
    states, actions = imagine(agent.world_model, actor, start, settings.horizon, gradient=pathwise, key=key)
    features = states.features
    rewards = stream_rewards(agent, states, actions)
    continues = jax.vmap(jax.vmap(agent.world_model.continues))(features)
    discount_continue = settings.discount * continues
    told = {f"reward/{name}": reward[1:].mean() for name, reward in rewards.items()}

    lasting = after_the_end(agent, rewards, features, continues)
    weights: dict[str, Any] = dict(settings.reward_weights)
    total, switch, by_reward = sum(weights.values()), agent.switch, agent.config.critics == ("exploration",)
    if switch and by_reward:
        switch = switch.update(rewards["semantic"][1:])
        exploring = switch.is_exploring(rewards["semantic"])
        lasting, weights, total = {"exploration": switch.reward(lasting, exploring)}, {"exploration": 1.0}, 1.0
        told |= {"switch/threshold": switch.threshold, "switch/exploring": exploring.mean()}
    returns, values = returns_of(agent.critics, lasting, features, discount_continue, settings.lam, gradient=pathwise)
    if switch and not by_reward:
        switch = switch.update(returns["semantic"])
        exploring = switch.is_exploring(returns["semantic"])
        weights, total = switch.weights(exploring), switch.total_weight
        told |= {"switch/threshold": switch.threshold, "switch/exploring": exploring.mean()}
    normalisers = {
        name: normaliser.update(returns[name], decay=settings.return_decay)
        for name, normaliser in agent.normalisers.items()
    }
    for name in returns:
        told |= {f"return/{name}": returns[name].mean(), f"scale/{name}": normalisers[name].scale}
    advantage = advantages(returns, values, normalisers, weights, total)
    weight = dream_weights(discount_continue, start_is_terminal)
    return Dream(features[:-1], actions, advantage, returns, weight, normalisers, switch, told)


def learn_to_act(
    agent: AgentState, start: State, start_is_terminal: Float[Array, " starts"], *, key: Seed
) -> tuple[AgentState, Metrics]:
    """Dream from ``start`` [starts ...], and one step of the policy and its critics with what was dreamt."""
    settings, precision, fast = agent.config.behaviour, agent.config.train.precision, as_it_computes(agent)
    stop = jax.lax.stop_gradient

    def loss(behaviour: tuple[Actor, dict[str, TwoHotHead]]) -> tuple[Array, tuple[Metrics, Dream]]:
        actor, critics = in_precision(behaviour, precision)
        # Call-out A5 (ours): `lab` takes REINFORCE for actions that are numbers, too, as danijar/dreamerv3 does today.
        # Version 1 and SENSEI take the pathwise gradient there.
        if settings.gradient == "pathwise":
            dreamt = dream(fast, actor, start, start_is_terminal, key=key)
            of_actor, entropy = pathwise_loss(actor, dreamt.features, dreamt.advantage, dreamt.weight, settings.entropy)
        else:
            dreamt = dream(fast, fast.actor, start, start_is_terminal, key=key)
            of_actor, entropy = actor_loss(
                actor, dreamt.features, dreamt.actions, dreamt.advantage, dreamt.weight, settings.entropy
            )
        dreamt = stop(dreamt)
        of_critics = {
            name: critic_loss(critic, fast.slow_critics[name], dreamt.features, dreamt.returns[name], dreamt.weight)
            for name, critic in critics.items()
        }
        metrics = {"loss/actor": of_actor, "policy/entropy": entropy}
        metrics |= {f"loss/critic_{name}": value for name, value in of_critics.items()}
        return of_actor + sum(of_critics.values(), jnp.zeros(())), (metrics, dreamt)

    behaviour = (agent.actor, agent.critics)
    (_, (metrics, dreamt)), gradient = eqx.filter_value_and_grad(loss, has_aux=True)(behaviour)
    (actor, critics), state, _ = _step(
        _behaviour_optimiser(agent.config), gradient, agent.optimisers.behaviour, behaviour
    )
    rate = settings.slow_rate
    slow = jax.tree.map(lambda old, new: (1 - rate) * old + rate * new, agent.slow_critics, critics)
    agent = dataclasses.replace(
        agent,
        actor=actor,
        critics=critics,
        slow_critics=slow,
        normalisers=dreamt.normalisers,
        switch=dreamt.switch,
        optimisers=agent.optimisers._replace(behaviour=state),
    )
    return agent, metrics | dreamt.metrics
