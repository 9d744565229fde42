"""Our layer norm, its mean taken off the weights before it, against Equinox's: values and gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.models._fast.convolutions import halve
from sensei_lite.models._fast.layer_norm import EPS, LayerNorm, centred, normalise
from sensei_lite.models.image_layers import StridedConvolution, StridedDeconvolution
from sensei_lite.models.layers import linear

KEYS = jax.random.split(jax.random.key(0), 4)


def ours(linear, norm, x):
    return norm(linear.centred(x))


def by_equinox(linear, norm, x):
    plain = eqx.nn.LayerNorm(len(norm.weight), eps=EPS)
    return eqx.tree_at(lambda n: (n.weight, n.bias), plain, (norm.weight, norm.bias))(linear(x))


@pytest.mark.parametrize("size", [3, 16, 48, 256])
@pytest.mark.parametrize("mean", [0.0, 2.0])
def test_behind_a_linear_map_values_and_gradients_are_those_of_equinox(size, mean):
    x, weights = jax.random.normal(KEYS[0], (7, 5)), jax.random.normal(KEYS[1], (size,))
    layer = linear(5, size, bias=False, key=KEYS[2])
    layer = eqx.tree_at(lambda layer: layer.weight, layer, layer.weight + mean)
    scale_and_bias = jax.random.normal(KEYS[3], (2, size)) + 0.5
    norm = eqx.tree_at(lambda n: (n.weight, n.bias), LayerNorm(size), tuple(scale_and_bias))

    def outputs(f):
        return jax.vmap(lambda x: f(layer, norm, x))(x)

    def gradients(f):
        def a_number_that_depends_on_every_output(both):
            return (jnp.tanh(jax.vmap(lambda x: f(*both[0], x))(both[1])) * weights).sum()

        return jax.tree.leaves(jax.grad(a_number_that_depends_on_every_output)(((layer, norm), x)))

    np.testing.assert_allclose(outputs(ours), outputs(by_equinox), rtol=1e-3, atol=5e-4)
    for a, b in zip(gradients(ours), gradients(by_equinox), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("kind", [StridedConvolution, StridedDeconvolution])
def test_convolutions_take_the_mean_over_channels_off(kind):
    layer, pictures = kind(3, 8, key=KEYS[0]), jax.random.normal(KEYS[1], (2, 4, 6, 3))
    if kind is StridedConvolution:
        plain, y = halve(pictures, layer.kernel), layer(pictures)
    else:
        plain, y = layer(pictures), layer.centred(pictures)
    assert float(jnp.abs(plain.mean(-1)).max()) > 0.1
    np.testing.assert_allclose(y, plain - plain.mean(-1, keepdims=True), atol=1e-5)


def test_what_comes_out_has_mean_square_1_and_a_gradient_at_right_angles_to_it():
    y, dh = 2.0 * jax.random.normal(KEYS[0], (64,)), jax.random.normal(KEYS[1], (64,))
    h, pull = jax.vjp(normalise, y)
    assert float(jnp.square(h).mean()) == pytest.approx(1, rel=1e-3)
    # But for eps, to multiply y by a number changes nothing.
    (dy,) = pull(dh)
    assert float(dy @ y) == pytest.approx(0, abs=1e-2)
    assert float(jnp.abs(dy).max()) > 0.1


def test_zeros_have_finite_gradients():
    h, pull = jax.vjp(normalise, jnp.zeros(8))
    np.testing.assert_array_equal(h, 0)
    (dy,) = pull(jnp.arange(8.0))
    np.testing.assert_allclose(dy, jnp.arange(8.0) / np.sqrt(EPS), rtol=1e-5)


def test_low_precision_goes_in_and_comes_out_and_means_are_float32s():
    y = (100.0 * jax.random.normal(KEYS[0], (256,))).astype(jnp.bfloat16)
    out = LayerNorm(256)(y)
    assert out.dtype == jnp.bfloat16
    exact = np.asarray(y, np.float64)
    np.testing.assert_allclose(np.asarray(out, np.float64), exact / np.sqrt((exact**2).mean() + EPS), rtol=1e-2)
    weights = (1.0 + jax.random.normal(KEYS[1], (256, 4)) / 16).astype(jnp.bfloat16)
    assert centred(weights, axis=0).dtype == jnp.bfloat16
    exact = np.asarray(weights, np.float64)
    np.testing.assert_allclose(
        np.asarray(centred(weights, axis=0), np.float64), exact - exact.mean(0), rtol=1e-2, atol=1e-4
    )


def test_other_devices_are_given_a_mean():
    """A product of low precision, as on a GPU, would not do for a mean: there it is not one."""
    for platform, product in (("cpu", True), ("cuda", False)):
        program = (
            jax.jit(lambda x: LayerNorm(16)(x)).trace(jnp.ones(16)).lower(lowering_platforms=(platform,)).as_text()
        )
        assert ("dot_general" in program) == product
