"""The fast forms of the strided convolution against XLA's own, and against the equation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.models._fast import convolutions
from sensei_lite.models._fast.convolutions import conv_down, conv_kernel_grad, conv_transpose_up

KEYS = jax.random.split(jax.random.key(0), 4)


@pytest.fixture(params=[1, 6, 32])
def case(request):
    """Pictures, a kernel, and small pictures: of numbers that 16 divides and of numbers that it does not."""
    n = request.param
    x = jax.random.normal(KEYS[0], (n, 8, 12, 3))
    return x, jax.random.normal(KEYS[1], (4, 4, 3, 5)), jax.random.normal(KEYS[2], (n, 4, 6, 5))


def test_halving_is_the_equation(case):
    x, kernel, _ = (np.asarray(part, np.float64) for part in case)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = sum(padded[:, u : u + 8 : 2, v : v + 12 : 2] @ kernel[u, v] for u in range(4) for v in range(4))
    np.testing.assert_allclose(conv_down(*case[:2]), expected, rtol=1e-4, atol=1e-4)


def test_doubling_is_the_transpose_of_halving(case):
    """<halve(x), y> = <x, double(y)> = <K, correlate(x, y)>."""
    x, kernel, y = case
    product = float((conv_down(x, kernel) * y).sum())
    assert float((x * conv_transpose_up(y, kernel)).sum()) == pytest.approx(product, rel=1e-4, abs=1e-3)
    assert float((kernel * conv_kernel_grad(x, y)).sum()) == pytest.approx(product, rel=1e-4, abs=1e-3)


def test_all_gradients_are_those_of_xlas_convolution(case):
    x, kernel, _ = case

    def own(x, kernel):
        return conv_transpose_up(jnp.tanh(conv_down(x, kernel)), kernel)

    def of_xla(x, kernel):
        def convolve(x):
            return jax.lax.conv_general_dilated(
                x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
            )

        small, _ = jax.vjp(convolve, x)
        return jax.vjp(convolve, x)[1](jnp.tanh(small))[0]

    weights = jax.random.normal(KEYS[3], x.shape)
    gradients = [jax.jit(jax.grad(lambda *a, f=f: (f(*a) * weights).sum(), (0, 1)))(x, kernel) for f in (own, of_xla)]
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-3 * float(abs(theirs).max()))


def test_other_devices_compute_the_same(case):
    """What a GPU is given, on the CPU."""
    x, kernel, y = case
    np.testing.assert_allclose(conv_down(x, kernel), convolutions._halve_at_once(x, kernel), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        conv_transpose_up(y, kernel), convolutions._double_by_transposing(y, kernel), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        conv_kernel_grad(x, y), convolutions._correlate_by_transposing(x, y), rtol=1e-3, atol=1e-3
    )
