"""Distributions agree with independent code, and are what their names say."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sensei_lite.models.distributions import (
    balanced_kl,
    bounded_normal,
    categorical_entropy,
    kl_categorical,
    log_prob_one_hot,
    mode_one_hot,
    sample_one_hot,
    symexp,
    symexp_bins,
    symlog,
    two_hot,
    two_hot_loss,
    two_hot_mean,
    unimix,
)

BINS = symexp_bins()
brief = settings(max_examples=40, deadline=None, database=None)

j_symlog, j_symexp, j_unimix = jax.jit(symlog), jax.jit(symexp), jax.jit(unimix)
j_two_hot, j_two_hot_mean = jax.jit(two_hot), jax.jit(two_hot_mean)
j_balanced_kl = jax.jit(balanced_kl)
j_kl = jax.jit(lambda p, q: kl_categorical(unimix(p), unimix(q)))
j_sample = jax.jit(lambda log_probs, key: sample_one_hot(log_probs, key=key))


def golden(name):
    return json.loads((Path(__file__).parents[1] / "golden" / f"{name}.json").read_text())


def floats(shape, limit):
    return arrays(np.float32, shape, elements=st.floats(-limit, limit, width=32, allow_subnormal=False))


def close(actual, expected, rtol=1e-5, atol=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def f32(numbers):
    return jnp.asarray(numbers, jnp.float32)


def states(key, *shape):
    """Log-probabilities [*shape stoch=3 classes=4]."""
    return j_unimix(2 * np.random.default_rng(key).normal(size=(*shape, 3, 4)).astype(np.float32))


# symlog and symexp


def test_symlog_and_symexp_agree_with_independent_code():
    file = golden("symlog_symexp")
    outputs = file["outputs"]
    for function, name in [(j_symlog, "symlog"), (j_symexp, "symexp")]:
        ours = function(f32(file["inputs"][f"{name}_of"]))
        close(ours, outputs["today"][name], rtol=2e-6, atol=0)
        close(ours, outputs["float64"][name], rtol=2e-6, atol=0)
        close(ours, outputs["torch_port"][name], rtol=2e-6, atol=1e-7)


@brief
@given(floats(8, 1e6))
def test_symexp_undoes_symlog(x):
    close(j_symexp(j_symlog(f32(x))), x, rtol=2e-5, atol=0)


@pytest.mark.parametrize("function", [symlog, symexp])
def test_the_derivative_at_zero_is_one(function):
    """Call-out D1."""
    assert jax.grad(function)(0.0) == 1
    close(jax.vmap(jax.grad(function))(f32([-1e-3, 1e-3])), 1, rtol=2e-3)


# two-hot


def test_bins_mirror_each_other_around_zero():
    assert BINS.shape == (255,)
    assert BINS[127] == 0
    assert np.all(np.diff(BINS) > 0)
    np.testing.assert_array_equal(BINS, -BINS[::-1])
    close(j_symlog(BINS), np.linspace(-20, 20, 255), atol=1e-5)
    assert symexp_bins(3).shape == (3,)


@pytest.mark.parametrize("number", [0, 1, 2, 254])
def test_bins_without_a_zero_are_refused(number):
    with pytest.raises(ValueError, match="odd and at least 3"):
        symexp_bins(number)


def test_two_hot_agrees_with_independent_code():
    file = golden("two_hot")
    outputs, targets = file["outputs"], f32(file["inputs"]["targets"])
    i = np.arange(255.0)
    logits = f32(
        [
            0 * i,
            -((i - 140) ** 2) / 18,
            -((i - 120) ** 2) / 18,
            -((i - 168.3) ** 2) / 8,
            -0.7 * np.abs(i - 127) + 0.3 * np.sin(i),
            3 * np.sin(0.3 * i),
        ]
    )
    close(BINS, outputs["bins"], rtol=2e-6, atol=0)
    weights = np.zeros((len(targets), 255))
    for row, entries in zip(weights, outputs["weights"], strict=True):
        for index, weight in entries:
            row[index] = weight
    close(j_two_hot(targets, BINS), weights, rtol=0, atol=2e-6)
    losses = jax.jit(two_hot_loss)(
        jnp.broadcast_to(logits[:, None], (6, 16, 255)), jnp.broadcast_to(targets, (6, 16)), BINS
    )
    close(losses, outputs["losses"])
    close(j_two_hot_mean(logits, BINS), outputs["mean"])
    close(j_two_hot_mean(logits, BINS), outputs["float64_mean"])


@brief
@given(floats(8, float(np.float32(4.8e8))), st.sampled_from([1.0, 1e-4, 1e-8]))
def test_two_hot_weights_share_one_between_neighbours_and_keep_the_number(x, shrink):
    x = f32(x) * shrink
    weights = np.asarray(j_two_hot(x, BINS))
    close(weights.sum(-1), 1)
    assert weights.min() >= 0
    for row in weights:
        used = np.flatnonzero(row)
        assert used[-1] - used[0] <= 1
    close((weights.astype(np.float64) * np.asarray(BINS, np.float64)).sum(-1), x, rtol=1e-6, atol=1e-6)


def test_two_hot_puts_what_is_out_of_range_on_the_end_bin():
    weights = j_two_hot(f32([-np.inf, -1e9, BINS[0], BINS[3], BINS[-1], 1e9, np.inf]), BINS)
    np.testing.assert_array_equal(weights, np.eye(255)[[0, 0, 0, 3, 254, 254, 254]])
    assert np.isnan(j_two_hot(f32(np.nan), BINS)).any()


def test_two_hot_loss_teaches_the_logits_and_leaves_the_target_alone():
    logits, target = jax.random.normal(jax.random.key(0), (255,)), f32(12.3)
    to_logits, to_target = jax.jit(jax.grad(two_hot_loss, argnums=(0, 1)))(logits, target, BINS)
    close(to_logits, jax.nn.softmax(logits) - j_two_hot(target, BINS), atol=1e-6)
    assert to_target == 0


@pytest.mark.parametrize("level", [0.0, 1.0, -7.3])
def test_equal_logits_mean_exactly_zero(level):
    assert np.all(j_two_hot_mean(jnp.full((5, 255), level), BINS) == 0)


def test_the_mean_of_two_equally_likely_numbers_is_halfway():
    """Call-out D2: in symlog space it would be 9."""
    logits = jnp.log(j_two_hot(f32([0.0, 100.0]), BINS).mean(0) + 1e-30)
    close(j_two_hot_mean(logits, BINS), 50)


# categoricals


def test_unimix_and_straight_through_agree_with_independent_code():
    file = golden("unimix")
    logits, c = f32(file["inputs"]["logits"]), f32(file["inputs"]["c"])
    log_probs = j_unimix(logits)

    def gradient(choose):
        return jax.jit(jax.grad(lambda logits: (c * choose(unimix(logits))).sum()))(logits)

    key = jax.random.key(0)
    ours = {
        "probs": jnp.exp(log_probs),
        "log_probs": log_probs,
        "entropy": categorical_entropy(log_probs),
        "mode": mode_one_hot(log_probs),
        "straight_through_gradient": gradient(lambda log_probs: sample_one_hot(log_probs, key=key)),
    }
    for outputs in file["outputs"].values():
        for name, expected in outputs.items():
            close(ours[name], expected)
    close(gradient(mode_one_hot), ours["straight_through_gradient"])


@brief
@given(floats((2, 5), 200))
def test_unimix_is_normalised_and_leaves_no_class_impossible(logits):
    probs = np.exp(j_unimix(f32(logits)))
    close(probs.sum(-1), 1)
    assert probs.min() >= 0.002 * (1 - 1e-5)


def test_unimix_of_nothing_is_softmax_and_of_everything_is_refused():
    logits = f32([[500.0, 0.0, -500.0]])
    np.testing.assert_array_equal(unimix(logits, 0.0), jax.nn.log_softmax(logits))
    for mix in (-0.1, 1.0):
        with pytest.raises(ValueError, match="mix"):
            unimix(logits, mix)


def test_samples_are_one_hot_and_as_frequent_as_their_probabilities():
    probs = f32([[0.5, 0.3, 0.2, 0.0], [0.0, 0.01, 0.0, 0.99], [0.25, 0.25, 0.25, 0.25]])
    samples = np.asarray(j_sample(jnp.broadcast_to(jnp.log(probs + 1e-30), (20_000, 3, 4)), jax.random.key(1)))
    assert set(np.unique(samples)) == {0.0, 1.0}
    np.testing.assert_array_equal(samples.sum(-1), 1)
    close(samples.mean(0), probs, rtol=0, atol=0.015)
    assert np.all(samples.mean(0)[probs == 0] == 0)
    together = np.einsum("nj,nk->jk", samples[:, 0], samples[:, 2]) / len(samples)
    close(together, np.outer(probs[0], probs[2]), rtol=0, atol=0.015)  # each variable has its own chance


def test_samples_follow_from_the_key():
    log_probs = jnp.broadcast_to(unimix(jnp.zeros(4)), (50, 4))
    first, again, other = (j_sample(log_probs, jax.random.key(key)) for key in (0, 0, 1))
    assert np.all(first == again)
    assert np.any(first != other)


@pytest.mark.parametrize("choose", [mode_one_hot, lambda log_probs: sample_one_hot(log_probs, key=jax.random.key(5))])
def test_a_choice_has_the_gradient_of_its_probabilities(choose):
    logits = jax.random.normal(jax.random.key(2), (3, 4))
    c = jax.random.normal(jax.random.key(3), (3, 4))
    through_choice = jax.jit(jax.grad(lambda logits: (c * choose(unimix(logits))).sum()))(logits)
    through_probs = jax.jit(jax.grad(lambda logits: (c * jnp.exp(unimix(logits))).sum()))(logits)
    assert np.abs(through_probs).max() > 0.01
    close(through_choice, through_probs, atol=1e-7)


def test_log_prob_and_entropy_of_known_categoricals():
    log_probs = jnp.log(f32([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]))
    close(log_prob_one_hot(log_probs, f32([[0, 1, 0], [0, 0, 1]])), np.log([0.3, 0.8]))
    close(categorical_entropy(log_probs), [1.0296530, 0.6390319])
    close(categorical_entropy(unimix(jnp.zeros(6))), np.log(6))


# KL


def test_balanced_kl_agrees_with_independent_code():
    file = golden("balanced_kl")
    logits = f32(file["inputs"]["posterior_logits"]), f32(file["inputs"]["prior_logits"])

    def loss(posterior, prior, free_bits):
        kl = balanced_kl(unimix(posterior), unimix(prior), free_bits)
        return (0.5 * kl.dynamics + 0.1 * kl.representation).sum(), kl

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True), static_argnums=2)
    gradients, kl = gradient(*logits, 1.0)
    for outputs in file["outputs"].values():
        for name in ("raw", "dynamics", "representation"):
            close(getattr(kl, name), outputs[name])
    expected = file["outputs"]["today"]
    close(gradients[0], expected["gradient_posterior"])
    close(gradients[1], expected["gradient_prior"])
    gradients, _ = gradient(*logits, 0.0)
    close(gradients[0], expected["without_free_bits"]["gradient_posterior"])
    close(gradients[1], expected["without_free_bits"]["gradient_prior"])


@brief
@given(floats((3, 2, 4), 20), floats((3, 2, 4), 20))
def test_kl_is_never_negative_and_zero_for_equals(p, q):
    kl = np.asarray(j_kl(f32(p), f32(q)))
    assert kl.shape == (3,)
    assert kl.min() >= -1e-6
    close(j_kl(f32(p), f32(p)), 0)
    close(j_kl(f32(p), f32(p) + 3), 0, atol=1e-5)  # the same distribution written otherwise
    apart = np.abs(np.exp(j_unimix(f32(p))) - np.exp(j_unimix(f32(q)))).max((-2, -1)) > 0.01
    assert np.all(kl[apart] > 1e-5)


def test_kl_of_known_numbers_adds_up_over_categoricals():
    p, q = jnp.log(f32([[0.5, 0.5], [0.9, 0.1]])), jnp.log(f32([[0.75, 0.25], [0.9, 0.1]]))
    close(kl_categorical(p, q), 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25))
    close(kl_categorical(jnp.tile(p, (3, 1)), jnp.tile(q, (3, 1))), 3 * kl_categorical(p, q))


def gradients_of(term):
    """Of one term's sum, with respect to posterior and prior."""
    return jax.jit(jax.grad(lambda *sides: getattr(balanced_kl(*sides), term).sum(), argnums=(0, 1)))


@pytest.mark.parametrize("term", ["dynamics", "representation", "raw"])
def test_each_term_teaches_its_own_side(term):
    to_posterior, to_prior = gradients_of(term)(states(0, 5), states(1, 5))
    assert (np.abs(to_posterior).max() > 0.01) == (term == "representation")
    assert (np.abs(to_prior).max() > 0.01) == (term == "dynamics")
    assert np.all((to_prior if term == "representation" else to_posterior) == 0)


@pytest.mark.parametrize("term", ["dynamics", "representation"])
def test_free_bits_silence_each_step_on_its_own(term):
    prior = states(1, 2, 4)
    near = jax.nn.log_softmax(prior + 0.1 * states(2, 2, 4))
    far = states(3, 2, 4)
    is_far = np.array([[True, False, False, True], [False, False, True, False]])
    posterior = jnp.where(is_far[..., None, None], far, near)
    kl = j_balanced_kl(posterior, prior)
    assert kl.raw.shape == (2, 4)
    assert np.array_equal(kl.raw > 1, is_far)
    close(getattr(kl, term), np.where(is_far, kl.raw, 1.0))
    gradients = gradients_of(term)(posterior, prior)
    np.testing.assert_array_equal(np.abs(gradients[term == "dynamics"]).max((-2, -1)) > 0, is_far)


def test_free_bits_count_the_whole_state():
    """Two categoricals of 0.55 nats each are above 1 nat together."""
    certain, even = jnp.log(f32([[0.99, 0.01]] * 2)), jnp.log(f32([[0.55, 0.45]] * 2))
    kl = balanced_kl(certain, even)
    assert 1.0 < kl.dynamics < 1.2
    assert balanced_kl(certain, even, free_bits=2.0).dynamics == 2


def test_batch_order_changes_nothing():
    order, posterior, prior = np.array([3, 0, 4, 1, 2]), states(0, 5), states(1, 5)
    for ours, permuted in zip(
        j_balanced_kl(posterior, prior), j_balanced_kl(posterior[order], prior[order]), strict=True
    ):
        np.testing.assert_array_equal(ours[order], permuted)


# continuous actions


def test_bounded_normal_agrees_with_independent_code():
    file = golden("bounded_normal")
    raw_mean, raw_std, action = (f32(file["inputs"][name]) for name in ("raw_mean", "raw_std", "action"))
    policy = bounded_normal(raw_mean, raw_std)
    ours = {"mean": policy.mode(), "std": policy.std, "log_prob": policy.log_prob(action), "entropy": policy.entropy()}
    log_prob_gradients = jax.jit(jax.grad(lambda *raw: bounded_normal(*raw).log_prob(action).sum(), argnums=(0, 1)))
    ours["log_prob_gradient_raw_mean"], ours["log_prob_gradient_raw_std"] = log_prob_gradients(raw_mean, raw_std)
    entropy_gradient = jax.jit(jax.grad(lambda raw: bounded_normal(raw_mean, raw).entropy().sum()))
    ours["entropy_gradient_raw_std"] = entropy_gradient(raw_std)
    for outputs in file["outputs"].values():
        for name, expected in outputs.items():
            close(ours[name], expected)


def test_bounded_normal_keeps_its_bounds():
    policy = bounded_normal(f32([[-100.0, 0.0, 100.0]]), f32([[-100.0, -2.0, 100.0]]), min_std=0.2, max_std=0.8)
    close(policy.mean, [[-1, 0, 1]])
    close(policy.std, [[0.2, 0.5, 0.8]])


def test_bounded_normal_samples_fit_its_own_numbers():
    policy = bounded_normal(f32([0.3, -1.0]), f32([-3.0, 0.5]))

    @jax.jit
    def draw(key):
        sample = policy.sample(key=key)
        return sample, policy.log_prob(sample)

    samples, log_probs = jax.vmap(draw)(jax.random.split(jax.random.key(0), 20_000))
    samples = np.asarray(samples)
    close(samples.mean(0), policy.mean, rtol=0, atol=0.03)
    close(samples.std(0), policy.std, rtol=0.03)
    close(np.corrcoef(samples.T)[0, 1], 0, atol=0.03)
    close(-np.mean(log_probs), policy.entropy(), rtol=0, atol=0.03)
    assert np.abs(samples).max() > 1  # clipping is somebody else's


def test_a_sampled_action_leads_back_to_mean_and_std():
    key = jax.random.key(4)
    to_mean, to_std = jax.jit(jax.grad(lambda *raw: bounded_normal(*raw).sample(key=key).sum(), argnums=(0, 1)))(
        f32([0.3]), f32([0.5])
    )
    close(to_mean, 1 - np.tanh(0.3) ** 2)
    share = 1 / (1 + np.exp(-2.5))
    close(to_std, 0.9 * share * (1 - share) * jax.random.normal(key, (1,)))
