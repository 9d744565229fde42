"""Layer normalisation, and its gradient written out.

    h = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps),      y = weight h + bias

The gradient of h needs the same two means once more, and nothing else:

    dx = (dh - mean(dh) - h mean(h dh)) / sqrt(mean((x - mean(x))^2) + eps)

What JAX derives by itself is as right, but on a CPU it takes several times as long, and there are norms behind every
layer. Two things make the difference: the equation above in place of the derivative of every step, and a
mean that is a product with a vector, for which XLA's CPU compiler uses all lanes of a processor where a sum takes one
number after another. A GPU adds well as it is, and there it stays a mean.

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


class LayerNorm(eqx.Module):
    """weight h + bias, with h of the equation above, for one vector of a fixed size."""

    weight: Vector
    bias: Vector

    def __init__(self, size: int):
        self.weight, self.bias = jnp.ones(size), jnp.zeros(size)

    def __call__(self, x: Vector) -> Vector:
        """One example in, one out, in the precision of x; the means are float32's."""
        return (normalise(x.astype(jnp.float32)) * self.weight + self.bias).astype(x.dtype)


@jax.custom_vjp
def normalise(x: Vector) -> Vector:
    """h: x with mean 0 and (but for eps) variance 1."""
    return _normalise(x)[0]


def _normalise(x: Vector) -> tuple[Vector, Number]:
    centred = x - _mean(x)
    scale = jax.lax.rsqrt(_mean(jnp.square(centred)) + EPS)
    return centred * scale, scale


def _forward(x: Vector) -> tuple[Vector, Vector]:
    return normalise(x), x


def _backward(x: Vector, dh: Vector) -> tuple[Vector]:
    h, scale = _normalise(x)
    return (scale * (dh - _mean(dh) - h * _mean(h * dh)),)


normalise.defvjp(_forward, _backward)


def _mean(x: Vector) -> Number:
    return jax.lax.platform_dependent(x, cpu=_mean_by_product, default=jnp.mean)


def _mean_by_product(x: Vector) -> Number:
    return x @ jnp.full(x.shape, 1 / len(x), x.dtype)
