"""Learning: one update teaches the model, the reward streams, and, in a dream, the policy and its critics.

    update(agent, batch, key)
        learn_model      batch -> states s_t                      one step of encoder, RSSM, decoder and heads
        learn_streams    (s_t, a_t, s_{t+1})                      one step of what each reward stream learns
        dream_starts     some of the states s_t
        learn_to_act     s_0 -> dream -> rewards -> returns -> advantages -> one step of policy and critics

Which rewards count is a setting: Plan2Explore maximises disagreement, VLM-Motif the semantic reward, a task agent the
extrinsic one, and SENSEI switches between two of them. In a dream policy and critics are asked once about every state
(critics a second time for a pathwise gradient, which must not reach them); the losses go by what they said.

Sources: DreamerV3 (arXiv 2301.04104), Plan2Explore (arXiv 2005.05960), SENSEI (arXiv 2503.01584).
"""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sensei_lite.agent import optimisers
from sensei_lite.agent.actor_critic import (
    Actor,
    Policy,
    actor_loss,
    critic_loss,
    dream_weights,
    imagine,
    pathwise_loss,
)
from sensei_lite.agent.state import AgentState, Metrics, behaviour_optimiser, model_optimiser
from sensei_lite.agent.switch import Imagined, Judgement
from sensei_lite.models.distributions import TwoHot
from sensei_lite.models.layers import cast_to_compute_dtype
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import PosteriorRollout, Transition, TwoHotHead
from sensei_lite.types import Seed


def update(agent: AgentState, batch: Transition, *, key: Seed) -> tuple[AgentState, Metrics]:
    """Take one step of everything on a batch of sequences [batch time ...].

    Returns the agent and its metrics, scalars by name; units as in `WorldModel.loss`.
    """
    model_key, start_key, dream_key = jax.random.split(key, 3)
    agent, rollout, of_model = learn_model(agent, batch, key=model_key)
    agent, of_streams = learn_streams(agent, rollout, batch)
    start, start_is_terminal = dream_starts(rollout.states, batch, agent.config.behaviour.starts, key=start_key)
    agent, of_behaviour = learn_to_act(agent, start, start_is_terminal, batch.semantic, key=dream_key)
    return dataclasses.replace(agent, updates=agent.updates + 1), of_model | of_streams | of_behaviour


def cast_networks(agent: AgentState) -> AgentState:
    """Return the agent with its networks in the precision in which it computes (``train.precision``), to read only."""
    precision = agent.config.train.precision
    names = ("world_model", "actor", "critics", "slow_critics")
    parts = {name: cast_to_compute_dtype(getattr(agent, name), precision) for name in names}
    parts["streams"] = {name: stream.cast(precision) for name, stream in agent.streams.items()}
    return dataclasses.replace(agent, **parts)


def learn_model(agent: AgentState, batch: Transition, *, key: Seed) -> tuple[AgentState, PosteriorRollout, Metrics]:
    """Take one step of the world model. Also returns the states that it inferred from the batch before that step."""
    precision = agent.config.train.precision
    (_, (terms, rollout)), gradient = eqx.filter_value_and_grad(
        lambda model: cast_to_compute_dtype(model, precision).loss(batch, key=key), has_aux=True
    )(agent.world_model)
    model, state, norm = optimisers.step(
        model_optimiser(agent.config), gradient, agent.optimisers.world_model, agent.world_model
    )
    metrics = {f"loss/{name}": term for name, term in terms.items()} | {"gradient/world_model": norm}
    states = agent.optimisers._replace(world_model=state)
    return dataclasses.replace(agent, world_model=model, optimisers=states), rollout, metrics


def learn_streams(agent: AgentState, rollout: PosteriorRollout, batch: Transition) -> tuple[AgentState, Metrics]:
    """Take one step of what each reward stream learns, such as the ensemble."""
    learned = {name: stream.learn(agent.config, rollout, batch) for name, stream in agent.streams.items()}
    metrics = {name: value for _, told in learned.values() for name, value in told.items()}
    return dataclasses.replace(agent, streams={name: stream for name, (stream, _) in learned.items()}), metrics


def dream_starts(
    states: State, batch: Transition, number: int | None, *, key: Seed
) -> tuple[State, Float[Array, " starts"]]:
    """Sample the replayed states from which dreams start, without repetition; all of them where ``number`` is None."""
    # Call-out A3 (ours): with a number in `behaviour.starts` only so many dreams are dreamt, to save time.
    flat = jax.tree.map(lambda x: jax.lax.stop_gradient(x).reshape(-1, *x.shape[2:]), states)
    is_terminal = batch.is_terminal.reshape(-1).astype(jnp.float32)
    if number is None or number >= len(is_terminal):
        return flat, is_terminal
    chosen = jax.random.choice(key, len(is_terminal), (number,), replace=False)
    return jax.tree.map(lambda x: x[chosen], flat), is_terminal[chosen]


class Dream(NamedTuple):
    """What was dreamt, what policy and critics said of it, and what it is worth [steps starts ...]."""

    actions: Float[Array, "steps starts action"]
    policy: Policy
    predicted: dict[str, TwoHot]
    """The critics' answers; their gradient reaches the critics."""
    slow_values: dict[str, Float[Array, "steps starts"]]
    judgement: Judgement
    weight: Float[Array, "steps starts"]
    metrics: Metrics


def dream(
    agent: AgentState,
    start: State,
    start_is_terminal: Float[Array, " starts"],
    experience: Float[Array, "..."] | None = None,
    *,
    key: Seed,
) -> Dream:
    """Dream from ``start`` [starts ...] under the agent's policy, and judge every step by the streams that count.

    ``experience`` are the semantic rewards of what was replayed, for a switch whose threshold is of them.

    The gradient of ``policy`` reaches the actor and that of ``predicted`` the critics. That of the judgement's
    advantage reaches the actor where the pathwise one is wanted (``behaviour.gradient``), and nothing otherwise.
    """
    settings, pathwise = agent.config.behaviour, agent.config.behaviour.gradient == "pathwise"
    stop = jax.lax.stop_gradient
    states, actions, policy = imagine(
        agent.world_model, agent.actor, start, settings.horizon, gradient=pathwise, key=key
    )
    features = states.features
    rewards = {name: stream.reward(agent.world_model, states, actions) for name, stream in agent.streams.items()}
    # Call-out A6 (ours): a dream that may end counts for as much as it is likely to go on. The research code takes the
    # mode: it goes on or it does not.
    continues = jax.vmap(jax.vmap(agent.world_model.continues))(features)

    predicted = {name: jax.vmap(jax.vmap(critic.predict))(stop(features)) for name, critic in agent.critics.items()}
    if pathwise:  # the policy's gradient runs through what a critic read, but not into the critic: asked a second time
        values = {name: jax.vmap(jax.vmap(stop(critic)))(features) for name, critic in agent.critics.items()}
    else:
        values = {name: stop(answer).mean() for name, answer in predicted.items()}
    slow_values = {name: jax.vmap(jax.vmap(slow))(features[:-1]) for name, slow in agent.slow_critics.items()}

    bootstrap = {name: stream.bootstrap for name, stream in agent.streams.items()}
    imagined = Imagined(rewards, values, continues, bootstrap, experience)
    judgement = agent.rule.judge(imagined, agent.normalisers, settings)
    metrics = {f"reward/{name}": reward[1:].mean() for name, reward in rewards.items()} | judgement.metrics
    for name, returns in judgement.returns.items():
        metrics |= {f"return/{name}": returns.mean(), f"scale/{name}": judgement.normalisers[name].scale}
    return Dream(
        actions=actions,
        policy=policy,
        predicted=jax.tree.map(lambda x: x[:-1], predicted),
        slow_values=slow_values,
        judgement=judgement,
        weight=dream_weights(settings.discount * continues, start_is_terminal),
        metrics=metrics,
    )


def learn_to_act(
    agent: AgentState,
    start: State,
    start_is_terminal: Float[Array, " starts"],
    experience: Float[Array, "..."] | None = None,
    *,
    key: Seed,
) -> tuple[AgentState, Metrics]:
    """Dream from ``start`` [starts ...], and take one step of the policy and its critics on what was dreamt.

    ``experience`` as in `dream`.
    """
    settings = agent.config.behaviour

    def loss(behaviour: tuple[Actor, dict[str, TwoHotHead]]) -> tuple[Array, tuple[Metrics, Judgement]]:
        actor, critics = behaviour
        learner = cast_networks(dataclasses.replace(agent, actor=actor, critics=critics))
        dreamt = dream(learner, start, start_is_terminal, experience, key=key)
        advantage, returns = dreamt.judgement.advantage, dreamt.judgement.returns
        # Call-out A5 (ours): `lab` takes REINFORCE for actions that are numbers, too, as danijar/dreamerv3 does today.
        # Version 1 and SENSEI take the pathwise gradient there.
        if settings.gradient == "pathwise":
            of_actor, entropy = pathwise_loss(dreamt.policy, advantage, dreamt.weight, settings.entropy)
        else:
            of_actor, entropy = actor_loss(dreamt.policy, dreamt.actions, advantage, dreamt.weight, settings.entropy)
        of_critics = {
            name: critic_loss(predicted, returns[name], dreamt.slow_values[name], dreamt.weight)
            for name, predicted in dreamt.predicted.items()
        }
        metrics = dreamt.metrics | {"loss/actor": of_actor, "policy/entropy": entropy}
        metrics |= {f"loss/critic_{name}": value for name, value in of_critics.items()}
        return of_actor + sum(of_critics.values(), jnp.zeros(())), (metrics, dreamt.judgement)

    behaviour = (agent.actor, agent.critics)
    (_, (metrics, judgement)), gradient = eqx.filter_value_and_grad(loss, has_aux=True)(behaviour)
    (actor, critics), state, _ = optimisers.step(
        behaviour_optimiser(agent.config), gradient, agent.optimisers.behaviour, behaviour
    )
    rate = settings.slow_rate
    slow = jax.tree.map(lambda old, new: (1 - rate) * old + rate * new, agent.slow_critics, critics)
    agent = dataclasses.replace(
        agent,
        actor=actor,
        critics=critics,
        slow_critics=slow,
        normalisers=judgement.normalisers,
        rule=judgement.rule,
        optimisers=agent.optimisers._replace(behaviour=state),
    )
    return agent, metrics
