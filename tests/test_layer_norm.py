"""Our layer norm against Equinox's, values and gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.layer_norm import EPS, LayerNorm, normalise

KEYS = jax.random.split(jax.random.key(0), 4)


def weighted(norm, x, weights):
    """A number that depends on every output."""
    return (jnp.tanh(jax.vmap(norm)(x)) * weights).sum()


@pytest.mark.parametrize("size", [3, 16, 48, 256])
@pytest.mark.parametrize("mean", [0.0, 50.0])
def test_values_and_gradients_are_those_of_equinox(size, mean):
    x = mean + jax.random.normal(KEYS[0], (7, size))
    weight, bias, weights = jax.random.normal(KEYS[1], (3, size)).at[2].add(0.5)
    ours, theirs = LayerNorm(size), eqx.nn.LayerNorm(size, eps=EPS)
    ours, theirs = (eqx.tree_at(lambda n: (n.weight, n.bias), norm, (weight, bias)) for norm in (ours, theirs))
    np.testing.assert_allclose(jax.vmap(ours)(x), jax.vmap(theirs)(x), rtol=1e-4, atol=2e-4)
    of_ours, of_theirs = (
        jax.grad(lambda both: weighted(*both, weights))((norm, x)) for norm in (ours, eqx.filter(theirs, eqx.is_array))
    )
    np.testing.assert_allclose(of_ours[1], of_theirs[1], rtol=1e-3, atol=2e-4)
    np.testing.assert_allclose(of_ours[0].weight, of_theirs[0].weight, rtol=1e-3, atol=2e-3)
    np.testing.assert_allclose(of_ours[0].bias, of_theirs[0].bias, rtol=1e-3, atol=2e-4)


def test_what_comes_out_has_mean_0_and_variance_1_and_a_gradient_at_right_angles_to_both():
    x, dh = 3.0 + 2.0 * jax.random.normal(KEYS[0], (64,)), jax.random.normal(KEYS[1], (64,))
    h, pull = jax.vjp(normalise, x)
    assert float(h.mean()) == pytest.approx(0, abs=1e-6)
    assert float(h.var()) == pytest.approx(1, rel=1e-3)
    # To add a number to x, or (but for eps) to multiply it by one, changes nothing.
    (dx,) = pull(dh)
    assert float(dx.sum()) == pytest.approx(0, abs=1e-5)
    assert float(dx @ (x - x.mean())) == pytest.approx(0, abs=1e-2)
    assert float(jnp.abs(dx).max()) > 0.1


def test_a_vector_of_equal_numbers_has_finite_gradients():
    h, pull = jax.vjp(normalise, jnp.full(8, 4.0))
    np.testing.assert_array_equal(h, 0)
    (dx,) = pull(jnp.arange(8.0))
    np.testing.assert_allclose(dx, (jnp.arange(8.0) - 3.5) / np.sqrt(EPS), rtol=1e-5)


def test_low_precision_goes_in_and_comes_out_and_means_are_float32s():
    x = (100.0 + jax.random.normal(KEYS[0], (256,))).astype(jnp.bfloat16)
    y = LayerNorm(256)(x)
    assert y.dtype == jnp.bfloat16
    exact = np.asarray(x, np.float64)
    exact = (exact - exact.mean()) / np.sqrt(exact.var() + EPS)
    np.testing.assert_allclose(np.asarray(y, np.float64), exact, rtol=1e-2, atol=1e-2)


def test_other_devices_are_given_a_mean():
    """A product of low precision, as on a GPU, would not do for a mean: there it is not one."""
    for platform, product in (("cpu", True), ("cuda", False)):
        program = (
            jax.jit(lambda x: LayerNorm(16)(x)).trace(jnp.ones(16)).lower(lowering_platforms=(platform,)).as_text()
        )
        assert ("dot_general" in program) == product
