"""The RSSM agrees with an independent implementation, step by step, and lets nothing leak between episodes."""

import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.config import WorldModelConfig
from sensei_lite.models.distributions import mode_one_hot
from sensei_lite.models.rssm import RSSM, State, clip_action

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "rssm_step.json").read_text())
CONFIG = WorldModelConfig(deter=16, stoch=4, classes=5, hidden=12)


def filled(name: str) -> jax.Array:
    """A weight by the formula in the file, transposed to Equinox's (out, in)."""
    layer = next(layer for layer in GOLDEN["inputs"]["layers"] if layer["name"] == name)
    k = np.arange(np.prod(layer["shape"]), dtype=np.float64)
    values = layer["offset"] + layer["amp"] * np.sin(layer["phase"] + 0.5 * k + 0.01 * k * k)
    np.testing.assert_allclose(values[:3], layer["check"]["first3"], rtol=1e-6)
    return jnp.asarray(values.reshape(layer["shape"]).T, jnp.float32)


@pytest.fixture(scope="module")
def transferred() -> RSSM:
    """An RSSM with the weights of the file."""
    rssm = RSSM(CONFIG, action_size=3, embedding_size=10, key=jax.random.key(0))
    posterior = filled("obs_out.linear.weight")
    places = [
        (lambda r: r.start, filled("initial.W")),
        (lambda r: r.into.normed.weight, filled("img_in.linear.weight")),
        (lambda r: r.into.normed.scale, filled("img_in.norm.scale")),
        (lambda r: r.into.normed.bias, filled("img_in.norm.offset")),
        (lambda r: r.cell.gates.weight, filled("gru.linear.weight")),
        (lambda r: r.cell.gates.scale, filled("gru.norm.scale")),
        (lambda r: r.cell.gates.bias, filled("gru.norm.offset")),
        (lambda r: r.prior_block.normed.weight, filled("img_out.linear.weight")),
        (lambda r: r.prior_block.normed.scale, filled("img_out.norm.scale")),
        (lambda r: r.prior_block.normed.bias, filled("img_out.norm.offset")),
        (lambda r: r.prior_out.weight, filled("prior_stat.linear.weight")),
        (lambda r: r.prior_out.bias, filled("prior_stat.linear.bias")),
        (lambda r: r.from_memory.weight, posterior[:, :16]),
        (lambda r: r.from_picture.weight, posterior[:, 16:]),
        (lambda r: r.from_memory.scale, filled("obs_out.norm.scale")),
        (lambda r: r.from_memory.bias, filled("obs_out.norm.offset")),
        (lambda r: r.posterior_out.weight, filled("post_stat.linear.weight")),
        (lambda r: r.posterior_out.bias, filled("post_stat.linear.bias")),
    ]
    for where, value in places:
        rssm = eqx.tree_at(where, rssm, value.reshape(where(rssm).shape))
    return rssm


def one_hot(indices) -> jax.Array:
    return jax.nn.one_hot(jnp.asarray(indices), 5)


def given(example: int) -> tuple[State, list[jax.Array], jax.Array]:
    """State, actions and embeddings [time ...] of one example."""
    inputs = GOLDEN["inputs"]
    state = State(jnp.asarray(inputs["h"][example]), one_hot(inputs["z_index"][example]))
    actions = [jax.nn.one_hot(a, 3) for a in inputs["action_index_b_t"][example]]
    return state, actions, jnp.asarray(inputs["embed"])[example]


@pytest.mark.parametrize("example", [0, 1])
def test_one_step_agrees_with_an_independent_implementation(transferred, example):
    state, actions, embeddings = given(example)
    expected = GOLDEN["outputs"]["single_step"]
    h = transferred.recur(state, actions[0])
    np.testing.assert_allclose(h, expected["h"][example], atol=2e-6)
    np.testing.assert_allclose(transferred.prior(h), expected["prior_log_probs_unimix"][example], atol=1e-5)
    posterior = transferred.posterior(h, embeddings[0])
    np.testing.assert_allclose(posterior, expected["post_log_probs_unimix"][example], atol=1e-5)


@pytest.mark.parametrize("example", [0, 1])
def test_dreaming_three_steps_agrees(transferred, example):
    state, actions, _ = given(example)
    for action, expected in zip(actions, GOLDEN["outputs"]["imagine_3_steps"], strict=True):
        h = transferred.recur(state, action)
        state = State(h, mode_one_hot(transferred.prior(h)))
        np.testing.assert_allclose(h, expected["h"][example], atol=5e-6)


@pytest.mark.parametrize("example", [0, 1])
def test_following_three_steps_with_a_reset_agrees(transferred, example):
    """Example 0 starts a new episode at the third step, from the learned initial state; example 1 never does."""
    state, actions, embeddings = given(example)
    expected = GOLDEN["outputs"]["initial_learned"]
    np.testing.assert_allclose(transferred.initial().h, expected["initial"]["h"], atol=1e-6)
    assert transferred.initial().z.argmax(-1).tolist() == expected["initial"]["z_index"]
    for t, rows in enumerate(expected["filter_3_steps"]):
        is_first = jnp.asarray(bool(GOLDEN["inputs"]["is_first_b_t"][example][t]))
        following, posterior = transferred.observe_step(
            state, actions[t], embeddings[t], is_first, key=jax.random.key(t)
        )
        np.testing.assert_allclose(following.h, rows["h"][example], atol=5e-6)
        state = State(following.h, mode_one_hot(posterior))


@pytest.fixture(scope="module")
def sequence():
    rssm = RSSM(CONFIG, action_size=3, embedding_size=10, key=jax.random.key(1))
    actions = jax.nn.one_hot(jax.random.randint(jax.random.key(2), (7,), 0, 3), 3)
    embeddings = jax.random.normal(jax.random.key(3), (7, 10))
    is_first = jnp.zeros(7, bool).at[jnp.array([0, 4])].set(True)
    return rssm, actions, embeddings, is_first


def test_the_scan_equals_step_by_step(sequence):
    rssm, actions, embeddings, is_first = sequence
    start, key = rssm.initial(), jax.random.key(5)
    states, posteriors, priors = jax.jit(lambda *rows: rssm.observe(*rows, key=key))(
        start, actions, embeddings, is_first
    )
    state = start
    for t, step_key in enumerate(jax.random.split(key, 7)):
        state, posterior = rssm.observe_step(state, actions[t], embeddings[t], is_first[t], key=step_key)
        np.testing.assert_allclose(states.h[t], state.h, atol=1e-6)
        assert (states.z[t].argmax(-1) == state.z.argmax(-1)).all()
        np.testing.assert_allclose(posteriors[t], posterior, atol=1e-5)
        np.testing.assert_allclose(priors[t], rssm.prior(state.h), atol=1e-5)


def test_nothing_leaks_over_the_start_of_an_episode(sequence):
    """Changing all that came before the second episode, and the action of its first row, changes nothing in it."""
    rssm, actions, embeddings, is_first = sequence
    observe = jax.jit(lambda s, a, e: rssm.observe(s, a, e, is_first, key=jax.random.key(5)))
    states, posteriors, priors = observe(rssm.initial(), actions, embeddings)
    other_start = jax.tree.map(lambda x: x + 1.0, rssm.initial())
    changed = observe(other_start, actions.at[:5].set(actions[:5][::-1] + 1.0), embeddings.at[:4].add(1.0))
    for before, after in zip(jax.tree.leaves((states, posteriors, priors)), jax.tree.leaves(changed), strict=True):
        assert (before[4:] == after[4:]).all()
    assert (changed[0].h[:4] != states.h[:4]).any()


def test_an_action_reaches_the_state_that_it_led_to_and_no_earlier_one(sequence):
    rssm, actions, embeddings, is_first = sequence
    observe = jax.jit(lambda a: rssm.observe(rssm.initial(), a, embeddings, is_first, key=jax.random.key(5))[0].h)
    difference = abs(observe(actions.at[2].set(actions[2][::-1] + 0.5)) - observe(actions)).sum(-1)
    assert (difference[:2] == 0).all()
    assert difference[2] > 0


def test_the_initial_state_learns(sequence):
    rssm, actions, embeddings, is_first = sequence

    def loss(rssm):
        states, _, _ = rssm.observe(rssm.initial(), actions, embeddings, is_first, key=jax.random.key(5))
        return jnp.square(states.h[0] - 1.0).sum()

    assert (eqx.filter_jit(eqx.filter_grad(loss))(rssm).start != 0).any()


def test_actions_are_clipped_as_the_world_clips_them_when_observing_and_when_dreaming():
    """Research code: a * sg(1 / max(1, |a|)). So a dream never goes farther than any step of the world."""
    action = jnp.array([-3.3, 0.5, 1.2, 0.0])
    np.testing.assert_allclose(clip_action(action), [-1.0, 0.5, 1.0, 0.0], rtol=1e-6)
    slope = jax.grad(lambda a: clip_action(a).sum())(action)
    np.testing.assert_allclose(slope, [1 / 3.3, 1.0, 1 / 1.2, 1.0], rtol=1e-6)

    rssm = RSSM(CONFIG, action_size=4, embedding_size=10, key=jax.random.key(0))
    state, picture = rssm.initial(), jax.random.normal(jax.random.key(1), (10,))
    carried_out, halved = jnp.clip(action, -1.0, 1.0), action / 2.0

    def reached(a):
        seen, _ = rssm.observe_step(state, a, picture, jnp.asarray(False), key=jax.random.key(2))
        return rssm.imagine_step(state, a, key=jax.random.key(2)).h, seen.h

    for ours, real, other in zip(reached(action), reached(carried_out), reached(halved), strict=True):
        np.testing.assert_allclose(ours, real, rtol=1e-6)
        assert (ours != other).any()
