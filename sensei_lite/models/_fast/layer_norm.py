"""Layer normalisation behind a linear map, its mean taken off the weights, and its gradient written out.

    y = W x,      h = (y - mean(y)) / sqrt(mean((y - mean(y))^2) + eps),      norm = weight h + bias

The mean of y is itself a linear map of x: its row is the mean of W's rows. Taken off every row of W, it is taken off y,

    C = W - mean of W's rows,      y = C x has mean 0,      h = y / sqrt(mean(y^2) + eps),

so the large array of activations needs one mean and not two, and the gradient of h one more:

    dy = (dh - h mean(h dh)) / sqrt(mean(y^2) + eps)

The norm is that of DreamerV3; only the order of the arithmetic is ours. What JAX derives by itself from the first line
is as right, but on a CPU it takes several times as long, and there are norms behind every layer. For the same reason a
mean is a product with a vector, for which XLA's CPU compiler uses all lanes of a processor where a sum takes one number
after another. A GPU adds well as it is, and there it stays a mean.

Source: Ba, Kiros, Hinton, "Layer Normalization" (arXiv 1607.06450).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

EPS = 1e-3
"""DreamerV3's."""

Vector = Float[Array, " size"]
Number = Float[Array, ""]


def centred(weights: Float[Array, "*_"], axis: int) -> Float[Array, "*_"]:
    """C: the weights of a linear map whose outputs, counted along ``axis`` of the weights, have mean 0."""
    exact = weights.astype(jnp.float32)
    return (exact - exact.mean(axis, keepdims=True)).astype(weights.dtype)


class LayerNorm(eqx.Module):
    """weight h + bias, with h of the equation above, for one vector of a fixed size and mean 0 (see `centred`)."""

    weight: Vector
    bias: Vector

    def __init__(self, size: int):
        self.weight, self.bias = jnp.ones(size), jnp.zeros(size)

    def __call__(self, y: Vector) -> Vector:
        """One example in, one out, in the precision of y; the mean is float32's."""
        return (normalise(y.astype(jnp.float32)) * self.weight + self.bias).astype(y.dtype)


@jax.custom_vjp
def normalise(y: Vector) -> Vector:
    """h: y with (but for eps) mean square 1."""
    return _normalise(y)[0]


def _normalise(y: Vector) -> tuple[Vector, Number]:
    scale = jax.lax.rsqrt(_mean(jnp.square(y)) + EPS)
    return y * scale, scale


def _forward(y: Vector) -> tuple[Vector, Vector]:
    return normalise(y), y


def _backward(y: Vector, dh: Vector) -> tuple[Vector]:
    h, scale = _normalise(y)
    return (scale * (dh - h * _mean(h * dh)),)


normalise.defvjp(_forward, _backward)


def _mean(x: Vector) -> Number:
    return jax.lax.platform_dependent(x, cpu=_mean_by_product, default=jnp.mean)


def _mean_by_product(x: Vector) -> Number:
    return x @ jnp.full(x.shape, 1 / len(x), x.dtype)
