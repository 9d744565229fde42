"""A few rows at a time give what all at once give, and so do their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.a_few_at_a_time import a_few_at_a_time, worth_keeping

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
