"""A second behaviour for the same world model, so that Plan2Explore can be timed doing the work that peers do.

Peers' Plan2Explore learns two policies at once: one explores, one does the task. `agents.update` learns one. This is
the same pass of behaviour learning once more, for the extrinsic reward, put together from `actor_critic`'s public
functions. It is for the bench only.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from sensei_lite.actor_critic import Actor, actor_loss, advantages, critic_loss, dream_weights, imagine, returns_of
from sensei_lite.agent import AgentState, Metrics
from sensei_lite.config import BehaviourConfig
from sensei_lite.returns import PercentileNormaliser
from sensei_lite.rssm import State
from sensei_lite.shapes import Seed
from sensei_lite.spaces import Discrete
from sensei_lite.world_model import TwoHotHead

STREAM = "extrinsic"


class SecondBehaviour(NamedTuple):
    """An actor with its critic, and what belongs to them."""

    actor: Actor
    critics: dict[str, TwoHotHead]
    slow_critics: dict[str, TwoHotHead]
    normalisers: dict[str, PercentileNormaliser]
    optimiser: PyTree


def _optimiser(settings: BehaviourConfig) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(settings.clip), optax.adam(settings.learning_rate, eps=1e-5))


def new_second(agent: AgentState, actions: Discrete, *, key: Seed) -> SecondBehaviour:
    """An actor and a critic of the sizes that the agent's own have."""
    actor_key, critic_key = jax.random.split(key)
    model, settings = agent.config.world_model, agent.config.behaviour
    size = model.deter + model.stoch * model.classes
    actor = Actor(settings, size, actions.size, True, model.unimix, key=actor_key)
    critics = {STREAM: TwoHotHead(size, settings.hidden, settings.layers, model.bins, key=critic_key)}
    return SecondBehaviour(
        actor=actor,
        critics=critics,
        slow_critics=jax.tree.map(jnp.copy, critics),
        normalisers={STREAM: PercentileNormaliser.create()},
        optimiser=_optimiser(settings).init((actor, critics)),
    )


def learn_second(
    agent: AgentState, second: SecondBehaviour, start: State, *, key: Seed
) -> tuple[SecondBehaviour, Metrics]:
    """Dream from ``start`` [starts ...] with the agent's world model, and teach the second actor and its critic."""
    settings, model = agent.config.behaviour, agent.world_model
    states, actions = imagine(model, second.actor, start, settings.horizon, key=key)
    features = states.features
    rewards = {STREAM: jax.vmap(jax.vmap(model.reward))(features)}
    discount_continue = settings.discount * jax.vmap(jax.vmap(model.continues))(features)
    weight = dream_weights(discount_continue, jnp.zeros(len(start.h)))
    returns, values = returns_of(second.critics, rewards, features, discount_continue, settings.lam)
    normaliser = second.normalisers[STREAM].update(returns[STREAM], decay=settings.return_decay)
    advantage = advantages(returns, values, {STREAM: normaliser}, {STREAM: 1.0})

    def loss(behaviour: tuple[Actor, dict[str, TwoHotHead]]) -> tuple[jax.Array, Metrics]:
        actor, critics = behaviour
        of_actor, entropy = actor_loss(actor, features[:-1], actions, advantage, weight, settings.entropy)
        of_critic = critic_loss(critics[STREAM], second.slow_critics[STREAM], features[:-1], returns[STREAM], weight)
        metrics = {"loss/actor": of_actor, "loss/critic": of_critic, "policy/entropy": entropy}
        return of_actor + of_critic, metrics

    behaviour = (second.actor, second.critics)
    (_, metrics), gradient = eqx.filter_value_and_grad(loss, has_aux=True)(behaviour)
    changes, optimiser = _optimiser(settings).update(gradient, second.optimiser, behaviour)
    actor, critics = optax.apply_updates(behaviour, changes)
    rate = settings.slow_rate
    slow = jax.tree.map(lambda old, new: (1 - rate) * old + rate * new, second.slow_critics, critics)
    return SecondBehaviour(actor, critics, slow, {STREAM: normaliser}, optimiser), metrics
