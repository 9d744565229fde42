"""Every definition and its fast twin say the same, and teach the same."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.models import _fast, ensemble, image_layers, layers  # noqa: F401  (they register their twins)
from sensei_lite.models._fast.normed_linear import centre
from sensei_lite.models.layers import EPS, MLP, cast_to_compute_dtype, normed_linear

KEYS = jax.random.split(jax.random.key(0), 8)


def drawn(*shapes):
    return tuple(jax.random.normal(key, shape) for key, shape in zip(KEYS, shapes, strict=False))


def squares(mlp, x, targets):
    return jnp.square(jax.vmap(mlp)(x) - targets).sum(-1)


ARGUMENTS = {
    "product": drawn((5,), (7, 5)),
    "normed_linear": drawn((5,), (7, 5), (7,), (7,), (7,)),
    "sum_of_squares": drawn((2, 3, 4, 5)),
    "mean_of_heads": drawn((4, 3, 5)),
    "conv_down": drawn((2, 6, 4, 3), (4, 4, 3, 5)),
    "conv_transpose_up": drawn((2, 3, 2, 5), (4, 4, 3, 5)),
    "normed_conv_down": drawn((2, 6, 4, 3), (4, 4, 3, 5), (5,), (5,)),
    "normed_conv_up": drawn((2, 3, 2, 5), (4, 4, 3, 5), (3,), (3,)),
    "conv_valid": drawn((2, 12, 9, 3), (4, 4, 3, 5)),
    "microbatch": drawn((12, 5), (12, 2)),
    "mean_loss": drawn((12, 3), (12, 2)),
}
WEIGHT, MLP_OF_3 = drawn((5, 2))[0], MLP(3, 2, hidden=5, layers=1, key=KEYS[7])


def call(name, function, arguments):
    if name == "conv_valid":
        return function(*arguments, 3)
    if name == "microbatch":
        return function(lambda x, y: jnp.tanh(layers.batch_apply(lambda x: x @ WEIGHT, x)) * y, *arguments, size=5)
    if name == "mean_loss":
        return function(squares, MLP_OF_3, arguments[0], jax.lax.stop_gradient(arguments[1]), size=5)
    return function(*arguments)


@pytest.mark.parametrize("name", sorted(_fast.TWINS))
def test_a_twin_computes_what_its_definition_says_and_so_does_its_gradient(name):
    def number(arguments, function):
        out = call(name, function, arguments)
        return (jnp.tanh(out / 10) * jnp.arange(1.0, 1.0 + out.size).reshape(out.shape)).sum()

    arguments = ARGUMENTS[name]
    definition, twin = _fast.TWINS[name]
    np.testing.assert_allclose(call(name, twin, arguments), call(name, definition, arguments), rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(*(jax.grad(number)(arguments, f) for f in (twin, definition)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-3)
    if name != "mean_loss":
        assert all(jnp.abs(gradient).max() > 0 for gradient in jax.grad(number)(arguments, definition))


class Rows(eqx.Module):
    mlp: MLP

    def apply(self, x):
        return jax.vmap(self.mlp)(x)


def test_a_method_of_a_layer_is_applied_in_parts_and_learns():
    """`ConvEncoder` hands over a method of its own, and while it learns its weights are traced."""
    x, (definition, twin) = drawn((12, 3))[0], _fast.TWINS["microbatch"]
    ours, theirs = (
        eqx.filter_grad(lambda rows, f=f: jnp.square(f(rows.apply, x, size=4)).sum())(Rows(MLP_OF_3))
        for f in (twin, definition)
    )
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("n", "size"), [(12, 4), (12, 100), (7, 3), (1, 4)])
def test_an_accumulated_mean_teaches_network_and_inputs(n, size):
    x, targets = jax.random.normal(KEYS[1], (n, 3)), jax.random.normal(KEYS[2], (n, 2))
    definition, twin = _fast.TWINS["mean_loss"]

    def total(learned, mean):
        return 3 * mean(squares, *learned, targets, size=size) + mean(squares, *learned, targets, size=size) ** 2

    ours, theirs = (eqx.filter_grad(total)((MLP_OF_3, x), mean) for mean in (twin, definition))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_many_parts_in_low_precision_add_up_in_float32():
    n, twin = 4096, _fast.TWINS["mean_loss"][1]
    x, targets = jax.random.normal(KEYS[1], (n, 3)), jax.random.normal(KEYS[2], (n, 2))

    def gradient(precision):
        mlp = lambda mlp: cast_to_compute_dtype(mlp, precision)  # noqa: E731
        loss = lambda m: twin(squares, mlp(m), x.astype(precision), targets, size=4)  # noqa: E731
        return np.concatenate(
            [np.ravel(leaf) for leaf in jax.tree.leaves(eqx.filter_jit(eqx.filter_grad(loss))(MLP_OF_3))]
        )

    exact = gradient("float32")
    assert np.abs(gradient("bfloat16") - exact).max() < 0.02 * np.abs(exact).max()


def test_the_environment_switches_all_twins_off(monkeypatch):
    assert _fast.is_on()
    monkeypatch.setenv("SENSEI_LITE_FAST", "0")
    assert not _fast.is_on()
    x, weight, scale, bias, _ = ARGUMENTS["normed_linear"]
    program = str(jax.make_jaxpr(lambda x: normed_linear(x, weight, scale, bias))(x))
    assert "custom_vjp" not in program
    monkeypatch.delenv("SENSEI_LITE_FAST")
    assert "custom_vjp" in str(jax.make_jaxpr(lambda x: normed_linear(x, weight, scale, bias))(x))


@pytest.mark.parametrize("fast", ["0", "1"])
def test_a_norm_of_zeros_has_finite_gradients_and_low_precision_stays_low(fast, monkeypatch):
    monkeypatch.setenv("SENSEI_LITE_FAST", fast)
    scale, bias = jnp.ones(8), jnp.zeros(8)
    out, pull = jax.vjp(lambda weight: normed_linear(jnp.ones(4), weight, scale, bias), jnp.zeros((8, 4)))
    assert (out == 0).all()
    assert jnp.isfinite(pull(jnp.arange(8.0))[0]).all()
    low = (100.0 * jax.random.normal(KEYS[0], (256, 4))).astype(jnp.bfloat16)
    out = normed_linear(jnp.ones(4), low, jnp.ones(256), jnp.zeros(256))
    assert out.dtype == jnp.bfloat16
    y = np.asarray(low, np.float64).sum(1)
    np.testing.assert_allclose(
        np.asarray(out, np.float64), (y - y.mean()) / np.sqrt(y.var() + EPS), rtol=0.1, atol=0.05
    )


def test_the_mean_is_taken_off_weights_in_float32():
    weights = (1.0 + jax.random.normal(KEYS[1], (256, 4)) / 16).astype(jnp.bfloat16)
    exact = np.asarray(weights, np.float64)
    assert centre(weights, axis=0).dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(centre(weights, 0), np.float64), exact - exact.mean(0), rtol=1e-2, atol=1e-4)
