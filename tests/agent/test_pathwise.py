"""Pathwise gradients: through the dream to the actions, as finite differences have them, and no further."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.agent import state as agents
from sensei_lite.agent import update as learning
from sensei_lite.agent.actor_critic import Actor, imagine, pathwise_loss
from sensei_lite.agent.returns import lambda_return
from sensei_lite.config import BehaviourConfig, WorldModelConfig
from sensei_lite.models.ensemble import ensemble_std
from sensei_lite.models.rssm import RSSM, State
from sensei_lite.models.world_model import WorldModel
from sensei_lite.presets import paper, paper_robodesk, smoke
from sensei_lite.types import Box

KEY = jax.random.key(0)
STARTS, STEPS = 6, 5


class Bends(RSSM):
    """A smooth world: two numbers that follow the actions, and bend at each step."""

    def imagine_step(self, state: State, action: jax.Array, *, key: jax.Array) -> State:
        return State(state.h + 0.3 * jnp.sin(2 * state.h) + 0.5 * action, state.z)


SMALL = WorldModelConfig(deter=2, stoch=1, classes=1, hidden=4, depth=2)
MODEL = eqx.tree_at(lambda model: model.rssm, WorldModel(SMALL, (16, 16, 3), 2, key=KEY), Bends(SMALL, 2, 8, key=KEY))
START = State(jax.random.normal(KEY, (STARTS, 2)), jnp.zeros((STARTS, 1, 1)))


@pytest.fixture(scope="module")
def actor() -> Actor:
    return Actor(BehaviourConfig(hidden=8), 3, 2, False, 0.01, key=jax.random.key(1))


def worth(actor: Actor) -> jax.Array:
    """Mean return of dreams: it is good to be near (1, 1)."""
    states, _, _ = imagine(MODEL, actor, START, STEPS, gradient=True, key=KEY)
    reward = -jnp.square(states.h - 1.0).sum(-1)
    return lambda_return(reward, jnp.zeros_like(reward), jnp.full_like(reward, 0.9), 0.95).mean()


def test_the_gradient_is_that_of_finite_differences(actor):
    # A policy that reads nothing: then it makes no difference that no gradient flows through what it reads.
    blind = eqx.tree_at(lambda a: a.mlp.blocks[0].normed.weight, actor, replace_fn=jnp.zeros_like)
    bias = blind.mlp.out.bias
    gradient = eqx.filter_jit(eqx.filter_grad(worth))(blind).mlp.out.bias
    value = eqx.filter_jit(lambda bias: worth(with_bias(blind, bias)))
    for i in range(len(gradient)):
        step = jnp.zeros_like(gradient).at[i].set(1e-2)
        numeric = (value(bias + step) - value(bias - step)) / 2e-2
        np.testing.assert_allclose(gradient[i], numeric, rtol=0.02, atol=2e-3)
    assert (abs(gradient) > 1e-2).any()


def test_no_gradient_flows_through_what_the_policy_read(actor):
    """The actions of step 0 change what the policy reads at step 1; that is not held against them."""

    keys, bias = jax.random.split(KEY, 2), actor.mlp.out.bias
    first, _ = jax.random.split(keys[0])
    action = jax.vmap(actor)(START.features).sample(key=first)
    arrived = jax.vmap(lambda s, a: MODEL.rssm.imagine_step(s, a, key=KEY))(START, action)

    def second_action(bias):
        _, actions, _ = imagine(MODEL, with_bias(actor, bias), START, 2, gradient=True, key=KEY)
        return actions[1].sum()

    def the_same_from_a_given_state(bias):
        second, _ = jax.random.split(keys[1])
        return jax.vmap(with_bias(actor, bias))(arrived.features).sample(key=second).sum()

    np.testing.assert_allclose(second_action(bias), the_same_from_a_given_state(bias), rtol=1e-5)
    np.testing.assert_allclose(jax.grad(second_action)(bias), jax.grad(the_same_from_a_given_state)(bias), rtol=1e-5)


def with_bias(actor: Actor, bias: jax.Array) -> Actor:
    return eqx.tree_at(lambda a: a.mlp.out.bias, actor, bias)


def settings(gradient: str):
    base = smoke()
    streams = (("semantic", 1.0), ("disagreement", 1.0))
    return dataclasses.replace(
        base,
        ensemble=dataclasses.replace(base.ensemble, reads="state", measure="std", target="sample"),
        behaviour=dataclasses.replace(base.behaviour, gradient=gradient),
        switch=dataclasses.replace(base.switch, rule="return", go=streams, explore=streams),
    )


@pytest.mark.parametrize("gradient", ["reinforce", "pathwise"])
def test_a_dream_lets_the_gradient_through_only_where_it_is_wanted(gradient):
    agent = eqx.filter_jit(agents.init)(settings(gradient), (16, 24, 3), Box(("x", "y")), key=KEY)
    # Heads start at zero and say the same of every state.
    agent = eqx.tree_at(
        lambda a: (a.world_model.semantic.mlp.out.weight, a.critics["semantic"].mlp.out.weight),
        agent,
        replace_fn=lambda w: 0.1 * jnp.sin(jnp.arange(w.size, dtype=jnp.float32)).reshape(w.shape),
    )
    start = jax.tree.map(lambda x: jnp.broadcast_to(x, (8, *x.shape)), agent.world_model.rssm.initial())

    def advantage(behaviour):
        learner = dataclasses.replace(agent, actor=behaviour[0], critics=behaviour[1])
        return learning.dream(learner, start, jnp.zeros(8), key=KEY).judgement.advantage.mean()

    of_actor, of_critics = eqx.filter_jit(eqx.filter_grad(advantage))((agent.actor, agent.critics))
    assert not any(leaf.any() for leaf in jax.tree.leaves(of_critics)), "a critic is not taught to flatter the policy"
    sizes = [float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(of_actor)]
    assert all(np.isfinite(sizes))
    assert (max(sizes) > 0) == (gradient == "pathwise")
    before = agent
    after, metrics = eqx.filter_jit(learning.learn_to_act)(agent, start, jnp.zeros(8), key=KEY)
    assert all(np.isfinite(float(value)) for value in metrics.values())
    assert (after.actor.mlp.out.weight != before.actor.mlp.out.weight).any()
    same = jax.tree.map(lambda a, b: (a == b).all(), after.world_model, before.world_model)
    assert jax.tree.all(same), "acting does not teach the world model"


def test_the_entropy_counts_and_needs_no_path(actor):
    policy = jax.vmap(jax.vmap(actor))(jax.random.normal(KEY, (STEPS, STARTS, 3)))
    nothing, weight = jnp.zeros((STEPS, STARTS)), jnp.ones((STEPS, STARTS))
    loss, entropy = pathwise_loss(policy, nothing, weight, 0.5)
    np.testing.assert_allclose(loss, -0.5 * entropy, rtol=1e-6)

    def of_a_dream(h):
        policy = imagine(MODEL, actor, State(h, START.z), STEPS, gradient=True, key=KEY)[2]
        return pathwise_loss(policy, nothing, weight, 0.5)[0]

    assert not eqx.filter_jit(jax.grad(of_a_dream))(START.h).any(), "no state is sought because it confuses the policy"


def test_heads_that_agree_pass_no_gradient_and_no_nan():
    same = jnp.ones((3, 2, 4))
    assert not jax.grad(lambda x: ensemble_std(x).sum())(same).any()
    apart = jax.random.normal(KEY, (3, 2, 4))
    slope = jax.grad(lambda x: ensemble_std(x).sum())(apart)
    wanted = jax.grad(lambda x: jnp.std(x, 0).mean(-1).sum())(apart)
    np.testing.assert_allclose(slope, wanted, rtol=1e-4)


def test_the_presets_do_as_the_research_code_does():
    # Its configurations: actor_grad_cont is backprop, actor_grad_disc is reinforce.
    assert paper_robodesk().behaviour.gradient == "pathwise"
    assert paper().behaviour.gradient == "reinforce"
