"""Learning: one update teaches the model, the ensemble, and, in a dream, the policy and its critics.

    update(agent, rows, key)
        learn_model         rows -> states s_t                       one step of encoder, RSSM, decoder and heads
        learn_to_disagree   (s_t, a_t) -> z_{t+1}                    one step of the ensemble
        learn_novelty       s_t                                      one step of random network distillation
        dream_starts        some of the states s_t
        learn_to_act        s_0 -> dream -> rewards -> returns -> advantages -> one step of policy and critics

Which rewards count is a setting: Plan2Explore maximises disagreement, VLM-Motif the semantic reward, a task agent the
extrinsic one, and SENSEI switches between two of them. In a dream policy and critics are asked once about every state
(critics a second time for a pathwise gradient, which must not reach them); the losses go by what they said.

Sources: DreamerV3 (arXiv 2301.04104), Plan2Explore (arXiv 2005.05960), SENSEI (arXiv 2503.01584).
"""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from sensei_lite.agent.actor_critic import (
    Actor,
    Policy,
    actor_loss,
    advantages,
    critic_loss,
    dream_weights,
    imagine,
    pathwise_loss,
)
from sensei_lite.agent.returns import PercentileNormaliser, absorbing_state_reward, lambda_return
from sensei_lite.agent.state import (
    AgentState,
    Metrics,
    behaviour_optimiser,
    ensemble_optimiser,
    model_optimiser,
    novelty_optimiser,
)
from sensei_lite.agent.switch import Switch
from sensei_lite.config import BehaviourConfig
from sensei_lite.models.distributions import TwoHot
from sensei_lite.models.layers import cast_to_compute_dtype
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import PosteriorRollout, Transition, TwoHotHead
from sensei_lite.types import Seed


def update(agent: AgentState, rows: Transition, *, key: Seed) -> tuple[AgentState, Metrics]:
    """Learn from one batch of sequences. Metrics are scalars by name; units as in `WorldModel.loss`."""
    model_key, start_key, dream_key = jax.random.split(key, 3)
    agent, rollout, of_model = learn_model(agent, rows, key=model_key)
    agent, of_ensemble = learn_to_disagree(agent, rollout, rows)
    agent, of_novelty = learn_novelty(agent, rollout)
    start, start_is_terminal = dream_starts(rollout.states, rows, agent.config.behaviour.starts, key=start_key)
    agent, of_behaviour = learn_to_act(agent, start, start_is_terminal, key=dream_key)
    return dataclasses.replace(agent, updates=agent.updates + 1), of_model | of_ensemble | of_novelty | of_behaviour


def cast_networks(agent: AgentState) -> AgentState:
    """The agent with its networks in the precision in which it computes (``train.precision``), to read and not keep."""
    names = ("world_model", "ensemble", "novelty", "actor", "critics", "slow_critics")
    parts = {name: cast_to_compute_dtype(getattr(agent, name), agent.config.train.precision) for name in names}
    return dataclasses.replace(agent, **parts)


def learn_model(agent: AgentState, rows: Transition, *, key: Seed) -> tuple[AgentState, PosteriorRollout, Metrics]:
    """One step of the world model; also what it saw in the rows before that step."""
    precision = agent.config.train.precision
    (_, (terms, rollout)), gradient = eqx.filter_value_and_grad(
        lambda model: cast_to_compute_dtype(model, precision).loss(rows, key=key), has_aux=True
    )(agent.world_model)
    model, state, norm = _step(model_optimiser(agent.config), gradient, agent.optimisers.world_model, agent.world_model)
    metrics = {f"loss/{name}": term for name, term in terms.items()} | {"gradient/world_model": norm}
    optimisers = agent.optimisers._replace(world_model=state)
    return dataclasses.replace(agent, world_model=model, optimisers=optimisers), rollout, metrics


def learn_to_disagree(agent: AgentState, rollout: PosteriorRollout, rows: Transition) -> tuple[AgentState, Metrics]:
    """One step of the ensemble, if its reward counts for anything."""
    if "disagreement" not in agent.config.streams:
        return agent, {}
    precision = agent.config.train.precision
    loss, gradient = eqx.filter_value_and_grad(
        lambda ensemble: cast_to_compute_dtype(ensemble, precision).loss(rollout, rows.action, rows.is_first)
    )(agent.ensemble)
    ensemble, state, _ = _step(ensemble_optimiser(agent.config), gradient, agent.optimisers.ensemble, agent.ensemble)
    optimisers = agent.optimisers._replace(ensemble=state)
    return dataclasses.replace(agent, ensemble=ensemble, optimisers=optimisers), {"loss/ensemble": loss}


def learn_novelty(agent: AgentState, rollout: PosteriorRollout) -> tuple[AgentState, Metrics]:
    """One step of random network distillation, if its reward counts for anything."""
    if "novelty" not in agent.config.streams:
        return agent, {}
    features, precision = rollout.states.features, agent.config.train.precision
    loss, gradient = eqx.filter_value_and_grad(
        lambda novelty: cast_to_compute_dtype(novelty, precision).error(features).mean()
    )(agent.novelty)
    novelty, state, _ = _step(novelty_optimiser(agent.config), gradient, agent.optimisers.novelty, agent.novelty)
    optimisers = agent.optimisers._replace(novelty=state)
    agent = dataclasses.replace(agent, novelty=novelty.updated(loss), optimisers=optimisers)
    return agent, {"loss/novelty": loss}


def _step(
    optimiser: optax.GradientTransformation, gradient: PyTree, state: PyTree, module: PyTree
) -> tuple[Any, PyTree, Array]:
    changes, state = optimiser.update(gradient, state, module)
    return optax.apply_updates(module, changes), state, optax.tree.norm(gradient)


def dream_starts(
    states: State, rows: Transition, number: int | None, *, key: Seed
) -> tuple[State, Float[Array, " starts"]]:
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


def terminal_bootstrap(
    settings: BehaviourConfig,
    rewards: dict[str, Float[Array, "time starts"]],
    values: dict[str, Float[Array, "time starts"]],
    continues: Float[Array, "time starts"],
) -> dict[str, Float[Array, "time starts"]]:
    """The rewards of a dream, with what is to follow where it foresees an episode's end.

    What is interesting lasts (`returns.absorbing_state_reward`). Curiosity finds an average state, for a new episode begins:
    the mean value of the states from which dreams start. The task's reward is over.
    """
    rewards = dict(rewards)
    if settings.semantic_end == "lasts" and "semantic" in rewards:
        rewards["semantic"] = absorbing_state_reward(rewards["semantic"], continues, settings.discount)
    if settings.curiosity_end == "average":
        for name in [name for name in values if name in ("disagreement", "novelty")]:
            # Call-out A4 (ours): in paper and research code nothing follows, and the curious are afraid of ends, such
            # as an exit. Random network distillation's authors, too, let curiosity go on (arXiv 1810.12894).
            rewards[name] += (1.0 - continues) * settings.discount * values[name][0].mean()
    return rewards


class Dream(NamedTuple):
    """What was dreamt, what policy and critics said of it, and what it is worth [steps starts ...]."""

    actions: Float[Array, "steps starts action"]
    policy: Policy
    predicted: dict[str, TwoHot]
    """The critics' answers; their gradient reaches the critics."""
    slow_values: dict[str, Float[Array, "steps starts"]]
    returns: dict[str, Float[Array, "steps starts"]]
    advantage: Float[Array, "steps starts"]
    weight: Float[Array, "steps starts"]
    normalisers: dict[str, PercentileNormaliser]
    """As they are after these returns."""
    switch: Switch | None
    """Likewise."""
    metrics: Metrics


def dream(agent: AgentState, start: State, start_is_terminal: Float[Array, " starts"], *, key: Seed) -> Dream:
    """Dream from ``start`` [starts ...] under the agent's policy, and judge every step by the streams that count.

    The gradient of ``policy`` reaches the actor and that of ``predicted`` the critics. That of ``advantage`` reaches
    the actor where the pathwise one is wanted (``behaviour.gradient``), and nothing otherwise.
    """
    settings, pathwise = agent.config.behaviour, agent.config.behaviour.gradient == "pathwise"
    stop = jax.lax.stop_gradient
    states, actions, policy = imagine(
        agent.world_model, agent.actor, start, settings.horizon, gradient=pathwise, key=key
    )
    features = states.features
    rewards = stream_rewards(agent, states, actions)
    continues = jax.vmap(jax.vmap(agent.world_model.continues))(features)
    discount_continue = settings.discount * continues
    metrics = {f"reward/{name}": reward[1:].mean() for name, reward in rewards.items()}

    predicted = {name: jax.vmap(jax.vmap(critic.predict))(stop(features)) for name, critic in agent.critics.items()}
    if pathwise:  # the policy's gradient runs through what a critic read, but not into the critic: asked a second time
        values = {name: jax.vmap(jax.vmap(stop(critic)))(features) for name, critic in agent.critics.items()}
    else:
        values = {name: stop(answer).mean() for name, answer in predicted.items()}
    slow_values = {name: jax.vmap(jax.vmap(slow))(features[:-1]) for name, slow in agent.slow_critics.items()}

    lasting = terminal_bootstrap(settings, rewards, values, continues)
    weights: dict[str, Any] = dict(settings.reward_weights)
    total, switch, by_reward = sum(weights.values()), agent.switch, agent.config.critics == ("exploration",)
    if switch and by_reward:
        switch = switch.update(rewards["semantic"][1:])
        exploring = switch.is_exploring(rewards["semantic"])
        lasting, weights, total = {"exploration": switch.reward(lasting, exploring)}, {"exploration": 1.0}, 1.0
        metrics |= {"switch/threshold": switch.threshold, "switch/exploring": exploring.mean()}
    returns = {name: lambda_return(lasting[name], values[name], discount_continue, settings.lam) for name in values}
    if switch and not by_reward:
        switch = switch.update(returns["semantic"])
        exploring = switch.is_exploring(returns["semantic"])
        weights, total = switch.weights(exploring), switch.total_weight
        metrics |= {"switch/threshold": switch.threshold, "switch/exploring": exploring.mean()}
    normalisers = {
        name: normaliser.update(returns[name], decay=settings.return_decay)
        for name, normaliser in agent.normalisers.items()
    }
    for name in returns:
        metrics |= {f"return/{name}": returns[name].mean(), f"scale/{name}": normalisers[name].scale}
    values_before, predicted_before = jax.tree.map(lambda x: x[:-1], (values, predicted))
    return Dream(
        actions=actions,
        policy=policy,
        predicted=predicted_before,
        slow_values=slow_values,
        returns=returns,
        advantage=advantages(returns, values_before, normalisers, weights, total),
        weight=dream_weights(discount_continue, start_is_terminal),
        normalisers=normalisers,
        switch=switch,
        metrics=metrics,
    )


def learn_to_act(
    agent: AgentState, start: State, start_is_terminal: Float[Array, " starts"], *, key: Seed
) -> tuple[AgentState, Metrics]:
    """Dream from ``start`` [starts ...], and one step of the policy and its critics with what was dreamt."""
    settings = agent.config.behaviour

    def loss(behaviour: tuple[Actor, dict[str, TwoHotHead]]) -> tuple[Array, tuple[Metrics, Dream]]:
        actor, critics = behaviour
        learner = cast_networks(dataclasses.replace(agent, actor=actor, critics=critics))
        dreamt = dream(learner, start, start_is_terminal, key=key)
        # Call-out A5 (ours): `lab` takes REINFORCE for actions that are numbers, too, as danijar/dreamerv3 does today.
        # Version 1 and SENSEI take the pathwise gradient there.
        if settings.gradient == "pathwise":
            of_actor, entropy = pathwise_loss(dreamt.policy, dreamt.advantage, dreamt.weight, settings.entropy)
        else:
            of_actor, entropy = actor_loss(
                dreamt.policy, dreamt.actions, dreamt.advantage, dreamt.weight, settings.entropy
            )
        of_critics = {
            name: critic_loss(predicted, dreamt.returns[name], dreamt.slow_values[name], dreamt.weight)
            for name, predicted in dreamt.predicted.items()
        }
        metrics = {"loss/actor": of_actor, "policy/entropy": entropy}
        metrics |= {f"loss/critic_{name}": value for name, value in of_critics.items()}
        return of_actor + sum(of_critics.values(), jnp.zeros(())), (metrics, dreamt)

    behaviour = (agent.actor, agent.critics)
    (_, (metrics, dreamt)), gradient = eqx.filter_value_and_grad(loss, has_aux=True)(behaviour)
    (actor, critics), state, _ = _step(
        behaviour_optimiser(agent.config), gradient, agent.optimisers.behaviour, behaviour
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
