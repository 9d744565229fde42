"""Returns, loss weights and running statistics agree with independent code and with their definitions."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sensei_lite.agent.returns import (
    PercentileNormaliser,
    RunningQuantile,
    absorbing_state_reward,
    discount_weights,
    lambda_return,
)
from sensei_lite.models.distributions import (
    categorical_entropy,
    log_prob_one_hot,
    symexp_bins,
    two_hot_loss,
    two_hot_mean,
    unimix,
)

HORIZON, BATCH = 5, 3
brief = settings(max_examples=40, deadline=None, database=None)
j_lambda_return = jax.jit(lambda_return, static_argnums=3)
j_discount_weights = jax.jit(discount_weights)
j_normalise = jax.jit(lambda normaliser, returns: normaliser.update(returns))
j_quantile = jax.jit(lambda quantile, x: quantile.update(x, 75.0))


def golden(name):
    return json.loads((Path(__file__).parents[1] / "golden" / f"{name}.json").read_text())


def close(actual, expected, rtol=1e-5, atol=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def time_first(numbers):
    """Golden arrays are [batch time ...]."""
    return jnp.swapaxes(jnp.asarray(numbers, jnp.float32), 0, 1)


def episode_arrays(limit):
    return arrays(np.float32, (HORIZON + 1, BATCH), elements=st.floats(-limit, limit, width=32, allow_subnormal=False))


sequences = st.tuples(
    episode_arrays(10), episode_arrays(10), episode_arrays(1).map(np.abs), st.sampled_from([0.0, 0.5, 0.95, 1.0])
)


def a_dream():
    """Reward, value and discount [time batch] of imagined states."""
    rng, shape = np.random.default_rng(0), (HORIZON + 1, BATCH)
    numbers = rng.normal(size=shape), rng.normal(size=shape), rng.uniform(0.5, 0.99, shape)
    return tuple(jnp.asarray(x, jnp.float32) for x in numbers)


def n_step_return(reward, value, discount, t, n):
    """The first n rewards after s_t, then the value of where that leads: all discounted."""
    total, carried = 0.0, 1.0
    for k in range(t + 1, t + n + 1):
        total += carried * reward[k]
        carried *= discount[k]
    return total + carried * value[t + n]


def lambda_return_by_definition(reward, value, discount, lam):
    """The mean of all n-step returns, n having the weight (1 - lam) lam^(n-1) and the longest one the rest."""
    horizon = len(reward) - 1
    returns = []
    for t in range(horizon):
        longest = horizon - t
        total = lam ** (longest - 1) * n_step_return(reward, value, discount, t, longest)
        for n in range(1, longest):
            total += (1 - lam) * lam ** (n - 1) * n_step_return(reward, value, discount, t, n)
        returns.append(total)
    return np.array(returns)


# lambda-return


def test_lambda_return_agrees_with_independent_code():
    file = golden("lambda_return")
    inputs, outputs = file["inputs"], file["outputs"]
    discount = np.float32(inputs["gamma"]) * time_first(inputs["continue"])
    ours = j_lambda_return(time_first(inputs["reward"]), time_first(inputs["value"]), discount, inputs["lam"])
    for implementation in ("today", "torch_port", "version_1"):
        close(ours, time_first(outputs[implementation]))


@brief
@given(sequences)
def test_lambda_return_is_the_mean_of_n_step_returns(sequence):
    reward, value, discount, lam = sequence
    expected = lambda_return_by_definition(*(x.astype(np.float64) for x in (reward, value, discount)), lam)
    close(j_lambda_return(*map(jnp.asarray, (reward, value, discount)), lam), expected, rtol=1e-5, atol=1e-4)


def test_lambda_zero_is_one_step_and_lambda_one_is_monte_carlo():
    dream = a_dream()
    reward, value, discount = map(np.asarray, dream)
    close(j_lambda_return(*dream, 0.0), reward[1:] + discount[1:] * value[1:])
    ours, monte_carlo = j_lambda_return(*dream, 1.0), value[-1]
    for t in reversed(range(HORIZON)):
        monte_carlo = reward[t + 1] + discount[t + 1] * monte_carlo
        close(ours[t], monte_carlo)


def test_a_world_that_ends_cuts_off_everything_after():
    reward, value, discount = a_dream()
    end = 3
    discount = discount.at[end].set(0.0)
    returns = j_lambda_return(reward, value, discount, 0.95)
    close(returns[end - 1], reward[end])  # the last reward still counts
    # What was imagined afterwards, and the value of the end itself, change no return before it.
    elsewhere = j_lambda_return(
        reward.at[end + 1 :].add(7.0), value.at[end:].add(7.0), discount.at[end + 1 :].mul(0.1), 0.95
    )
    np.testing.assert_array_equal(returns[:end], elsewhere[:end])
    assert np.all(returns[end:] != elsewhere[end:])


def test_each_return_depends_on_what_follows_it_and_on_nothing_else():
    derivatives = jax.jacobian(lambda r, v, d: lambda_return(r, v, d, 0.9), argnums=(0, 1, 2))(
        *(x[:, 0] for x in a_dream())
    )
    later = np.arange(HORIZON + 1)[None] > np.arange(HORIZON)[:, None]  # [step t, state k]: k > t
    for derivative in derivatives:
        np.testing.assert_array_equal(np.asarray(derivative) != 0, later)


def test_lambda_return_does_not_mix_examples():
    dream, order = a_dream(), np.array([2, 0, 1])
    returns = j_lambda_return(*dream, 0.95)
    np.testing.assert_array_equal(j_lambda_return(*(x[:, order] for x in dream), 0.95), returns[:, order])
    np.testing.assert_allclose(lambda_return(*(x[:, 1] for x in dream), 0.95), returns[:, 1], rtol=1e-6)


def test_a_horizon_of_zero_is_refused():
    one_state = jnp.zeros((1, BATCH))
    with pytest.raises(ValueError, match="at least two states"):
        lambda_return(one_state, one_state, one_state, 0.95)


# weights


def test_discount_weights_agree_with_independent_code():
    """Call-out R1: version 1 is ours times the start's true continue, and the torch port is one step late."""
    file = golden("actor_critic_losses")
    go_on = time_first(file["inputs"]["continue"])
    ours = j_discount_weights(np.float32(file["inputs"]["gamma"]) * go_on)
    close(go_on[0] * ours, time_first(file["outputs"]["version_1_weight"])[:-1])

    file = golden("lambda_return")
    discount = np.float32(file["inputs"]["gamma"]) * time_first(file["inputs"]["continue"])
    ours, torch_port = j_discount_weights(discount), time_first(file["outputs"]["torch_port_weights"])
    close(discount[0] * ours, torch_port[1:])
    assert ours[7, 0] == 0  # the state that was foreseen to be the end does not count
    assert torch_port[7, 0] > 0.9


@brief
@given(episode_arrays(1).map(np.abs))
def test_discount_weights_are_products_of_the_steps_before(discount):
    weights = j_discount_weights(jnp.asarray(discount))
    assert weights.shape == (HORIZON, BATCH)
    for t in range(HORIZON):
        close(weights[t], discount.astype(np.float64)[1 : t + 1].prod(0))


@brief
@given(episode_arrays(10), episode_arrays(1).map(np.abs), st.floats(-5, 5, width=32))
def test_no_choice_depends_on_a_constant_in_a_reward_that_lasts(reward, continues, constant):
    """Call-out R3: whenever an episode ends, a constant adds the same to every return."""
    discount = 0.9

    def returns(reward, values):
        lasting = absorbing_state_reward(jnp.asarray(reward), jnp.asarray(continues), discount)
        return lambda_return(lasting, values, discount * jnp.asarray(continues), 0.95)

    # The critic has learned the constant too: k for ever is worth k / (1 - g).
    worth = constant / (1 - discount)
    values = jnp.zeros(reward.shape)
    close(returns(reward + constant, values + worth) - returns(reward, values), worth, rtol=1e-3, atol=2e-2)


def test_a_lasting_reward_is_paid_for_ever_at_a_sure_end_and_once_elsewhere():
    reward, continues = jnp.array([[3.0], [2.0]]), jnp.array([[1.0], [0.0]])
    close(absorbing_state_reward(reward, continues, 0.9), [[3.0], [2.0 / (1 - 0.9)]])


def test_no_gradient_flows_through_weights():
    assert np.all(jax.grad(lambda d: discount_weights(d).sum())(a_dream()[2]) == 0)


def test_all_pieces_together_give_the_losses_of_independent_code():
    file = golden("actor_critic_losses")
    inputs, outputs = file["inputs"], file["outputs"]
    normaliser = PercentileNormaliser(*map(jnp.float32, inputs["low_high"]))
    action = jnp.asarray(np.eye(3, dtype=np.float32)[np.swapaxes(inputs["action"], 0, 1)])
    discount = np.float32(inputs["gamma"]) * time_first(inputs["continue"])
    values, slow_values = (
        -((np.arange(255.0) - np.swapaxes(inputs[name], 0, 1)[..., None]) ** 2) / 18
        for name in ("value_centre", "slow_value_centre")
    )

    @jax.jit
    def losses(policy, values, slow_values):
        bins = symexp_bins()
        value, slow_value = two_hot_mean(values, bins), two_hot_mean(slow_values, bins)
        returns = lambda_return(time_first(inputs["reward"]), value, discount, inputs["lam"])
        weight = discount[0] * discount_weights(discount)  # today's version starts with d_0
        advantage = (returns - value[:-1]) / normaliser.scale
        log_probs = unimix(policy)[:-1]
        gain = log_prob_one_hot(log_probs, action[:-1]) * advantage
        policy_loss = -weight * (gain + inputs["entropy_weight"] * categorical_entropy(log_probs))
        to_returns = two_hot_loss(values[:-1], returns, bins)
        to_slow = two_hot_loss(values[:-1], slow_value[:-1], bins)
        return policy_loss.mean(), (returns, policy_loss, weight * (to_returns + to_slow))

    logits = time_first(inputs["policy_logits"]), jnp.float32(values), jnp.float32(slow_values)
    gradient, (returns, policy_loss, value_loss) = jax.grad(losses, has_aux=True)(*logits)
    close(returns, time_first(outputs["returns"]), rtol=2e-5)
    close(policy_loss, time_first(outputs["policy_loss"]), rtol=2e-5)
    close(value_loss, time_first(outputs["value_loss"]), rtol=2e-5)
    close(gradient, time_first(outputs["policy_logits_gradient"]), rtol=2e-5)


# running statistics


def test_percentile_normaliser_agrees_with_independent_code():
    file = golden("percentile_normaliser")
    normaliser, ours = PercentileNormaliser.create(), []
    for batch in file["inputs"]["batches"]:
        normaliser = j_normalise(normaliser, jnp.asarray(batch, jnp.float32))
        ours.append([normaliser.offset, normaliser.scale])
    for implementation in ("today", "torch_port", "version_1"):
        close(ours, file["outputs"][implementation])


def test_percentile_normaliser_comes_to_rest_on_the_percentiles():
    returns = 30 * jax.random.normal(jax.random.key(0), (16, 25))
    normaliser = PercentileNormaliser.create()
    for _ in range(900):
        normaliser = j_normalise(normaliser, returns)
    low, high = np.percentile(returns, [5, 95])
    close([normaliser.low, normaliser.high, normaliser.scale], [low, high, high - low], rtol=1e-3)


@brief
@given(arrays(np.float32, (4, 6), elements=st.floats(-100, 100, width=32)), st.permutations(range(24)))
def test_percentile_normaliser_has_a_least_scale_and_no_order(returns, order):
    before = PercentileNormaliser.create()
    after = j_normalise(before, jnp.asarray(returns))
    shuffled = j_normalise(before, jnp.asarray(returns.ravel()[list(order)].reshape(4, 6)))
    assert after.scale >= 1
    assert (after.low, after.high) == (shuffled.low, shuffled.high)
    assert (before.low, before.high, before.scale) == (0, 0, 1)  # the old state is as it was
    close([after.low, after.high], 0.01 * np.percentile(returns, [5, 95]), atol=1e-5)


def test_percentile_normaliser_has_settings():
    returns = jnp.arange(101.0)
    after = PercentileNormaliser.create().update(returns, decay=0.5, percentiles=(10.0, 80.0))
    close([after.low, after.high], [5, 40])


def test_no_gradient_flows_through_running_statistics():
    def scale(returns):
        return PercentileNormaliser.create().update(returns, decay=0.0).scale

    def threshold(x):
        return RunningQuantile.create().update(x, 75.0).value

    x = jnp.arange(9.0)
    assert scale(x) > 1
    assert np.all(jax.grad(scale)(x) == 0)
    assert np.all(jax.grad(threshold)(x) == 0)


def test_running_quantile_starts_with_the_first_batch_and_then_moves_slowly():
    """Call-out R2."""
    quantile = RunningQuantile.create()
    assert not quantile.initialised
    batches = np.random.default_rng(0).normal(5, 2, (6, 4, 25)).astype(np.float32)
    expected = np.percentile(batches[0], 75)
    for i, batch in enumerate(batches):
        quantile = j_quantile(quantile, jnp.asarray(batch))
        if i > 0:
            expected = 0.99 * expected + 0.01 * np.percentile(batch, 75)
        assert quantile.initialised
        close(quantile.value, expected)


def test_running_quantile_follows_the_percentile_and_the_decay():
    x = jnp.arange(101.0)
    quantile = RunningQuantile.create().update(x, 90.0)
    close(quantile.value, 90)
    close(quantile.update(x, 10.0, decay=0.75).value, 70)
    for percentile in (-1.0, 100.5):
        with pytest.raises(ValueError, match="from 0 to 100"):
            quantile.update(x, percentile)


def test_running_statistics_live_in_a_scan():
    """State in, the same type out, so a compiled loop can carry it."""
    batches = jax.random.normal(jax.random.key(0), (4, 20))

    def one_update(state, batch):
        normaliser, quantile = state
        return (normaliser.update(batch), quantile.update(batch, 75.0)), None

    state = PercentileNormaliser.create(), RunningQuantile.create()
    scanned, _ = jax.lax.scan(one_update, state, batches)
    for batch in batches:
        state, _ = one_update(state, batch)
    assert jax.tree.structure(state) == jax.tree.structure(scanned)
    jax.tree.map(lambda a, b: close(a, b), state, scanned)
