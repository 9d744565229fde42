"""A few rows at a time give what all at once give, and so do their gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.models._fast.microbatch import a_few_at_a_time, mean_in_one_pass, worth_keeping
from sensei_lite.models.layers import MLP, cast_to_compute_dtype

KEYS = jax.random.split(jax.random.key(0), 3)


def layers(weight, x, other):
    return jnp.tanh(worth_keeping(x.reshape(len(x), -1) @ weight)).sum(-1) * other


@pytest.mark.parametrize(("n", "few"), [(12, 4), (12, 5), (12, 12), (12, 100), (7, 3), (1, 4)])
def test_results_and_gradients_are_the_same(n, few):
    weight, x = jax.random.normal(KEYS[0], (6, 5)), jax.random.normal(KEYS[1], (n, 2, 3))
    other = jax.random.normal(KEYS[2], (n,))

    def in_parts(weight, x, other):
        return a_few_at_a_time(lambda x, other: layers(weight, x, other), x, other, few=few)

    np.testing.assert_allclose(jax.jit(in_parts)(weight, x, other), layers(weight, x, other), rtol=1e-5, atol=1e-6)
    ours, theirs = (
        jax.jit(jax.grad(lambda *a, f=f: jnp.square(f(*a)).sum(), (0, 1, 2)))(weight, x, other)
        for f in (in_parts, layers)
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_on_a_cpu_it_is_a_loop_of_the_largest_size_that_fits_and_elsewhere_none():
    def shapes(platform, n, few):
        def f(x):
            seen.append(x.shape)
            return x.sum(-1)

        seen: list = []
        program = jax.jit(lambda x: a_few_at_a_time(f, x, few=few)).trace(jnp.ones((n, 2)))
        return "while" in program.lower(lowering_platforms=(platform,)).as_text(), seen

    loop, seen = shapes("cpu", 12, 5)
    assert loop
    assert (4, 2) in seen
    assert not shapes("cuda", 12, 5)[0]
    assert not shapes("cpu", 12, 12)[0]
    assert not shapes("cpu", 37, 32)[0], "37 parts of one row are no gain"
    assert shapes("cpu", 64, 32)[0]


def test_the_gradient_computes_no_product_twice_and_everything_else_again():
    weight, x = jnp.ones((6, 5)), jnp.ones((12, 6))

    def loss(weight):
        return a_few_at_a_time(lambda x: jnp.tanh(jnp.sin(worth_keeping(x @ weight))).sum(-1), x, few=4).sum()

    program = jax.jit(jax.value_and_grad(loss)).trace(weight).lower(lowering_platforms=("cpu",)).as_text()
    assert program.count("dot_general") == 2, "one forwards, one for the weight's gradient"
    assert program.count("stablehlo.tanh") == 2, "one forwards, one when the gradient is taken"


def error(mlp, x, targets):
    return jnp.square(jax.vmap(mlp)(x) - targets).sum(-1)


@pytest.mark.parametrize(("n", "few"), [(12, 4), (12, 100), (7, 3), (1, 4)])
def test_a_mean_in_one_pass_is_the_mean_and_so_is_its_gradient(n, few):
    mlp = MLP(3, 2, hidden=5, layers=1, key=KEYS[0])
    x, targets = jax.random.normal(KEYS[1], (n, 3)), jax.random.normal(KEYS[2], (n, 2))

    def in_one_pass(learned, targets):
        return mean_in_one_pass(error, *learned, targets, few=few)

    def at_once(learned, targets):
        return error(*learned, targets).mean()

    np.testing.assert_allclose(eqx.filter_jit(in_one_pass)((mlp, x), targets), at_once((mlp, x), targets), rtol=1e-5)
    ours, theirs = (
        eqx.filter_jit(eqx.filter_grad(lambda *a, f=f: 3 * f(*a) + f(*a) ** 2))((mlp, x), targets)
        for f in (in_one_pass, at_once)
    )
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_mean_in_one_pass_computes_nothing_twice():
    mlp, x, targets = MLP(3, 2, hidden=5, layers=1, key=KEYS[0]), jnp.ones((12, 3)), jnp.ones((12, 2))
    weights, rest = eqx.partition(mlp, eqx.is_array)

    def loss(weights, x):
        return mean_in_one_pass(error, eqx.combine(weights, rest), x, targets, few=4)

    def count(what, few_at_once):
        program = jax.jit(jax.grad(few_at_once, (0, 1))).trace(weights, x).lower(lowering_platforms=("cpu",)).as_text()
        return program.count(what)

    def at_once(weights, x):
        return error(eqx.combine(weights, rest), x, targets).mean()

    assert count("stablehlo.while", loss) == 1, "forwards and back in one loop"
    for what in ("stablehlo.dot_general", "stablehlo.logistic"):
        assert count(what, loss) == count(what, at_once)


def test_targets_have_no_gradient():
    mlp, x = MLP(3, 2, hidden=5, layers=1, key=KEYS[0]), jnp.ones((12, 3))
    with pytest.raises(RuntimeError, match="cannot be autodifferentiated"):
        jax.grad(lambda targets: mean_in_one_pass(error, mlp, x, targets, few=4))(jnp.ones((12, 2)))


def test_many_parts_in_low_precision_add_up_in_float32():
    mlp, n = MLP(3, 2, hidden=5, layers=1, key=KEYS[0]), 4096
    x, targets = jax.random.normal(KEYS[1], (n, 3)), jax.random.normal(KEYS[2], (n, 2))

    def gradient(few):
        def loss(mlp):
            return mean_in_one_pass(
                error, cast_to_compute_dtype(mlp, "bfloat16"), x.astype(jnp.bfloat16), targets, few=few
            )

        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(eqx.filter_jit(eqx.filter_grad(loss))(mlp))])

    at_once, in_parts = gradient(n), gradient(4)
    assert np.linalg.norm(in_parts - at_once) < 0.02 * np.linalg.norm(at_once)
