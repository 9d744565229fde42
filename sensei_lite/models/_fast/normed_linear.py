"""Linear maps, norms and sums in the order of arithmetic that a CPU likes.

The mean of y = W x is itself a linear map of x: its row is the mean of W's rows. Taken off every row of W, it is taken
off y, so the large array of activations needs one mean and not two, and the gradient of the norm one more:

    C = W - mean of W's rows,     y = C x,     h = y / sqrt(mean(y^2) + eps),     dy = (dh - h mean(h dh)) / sqrt(...)

A mean is a product with a vector, for which XLA's CPU compiler uses all lanes of a processor where a sum takes one
number after another.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sensei_lite.models._fast.microbatch import keep

EPS = 1e-3
"""Of every LayerNorm; DreamerV3's."""

Vector = Float[Array, " size"]
Number = Float[Array, ""]


def product(x: Vector, weight: Float[Array, "*_"]) -> Float[Array, "*_"]:
    """Multiply W x with the batch in front, as in all around it; ``vmap`` of ``W @ x`` puts it last."""
    return keep(x.astype(weight.dtype) @ weight.T)


def normed_linear(
    x: Vector,
    weight: Float[Array, "out size"],
    scale: Float[Array, " out"],
    bias: Float[Array, " out"],
    plus: Float[Array, " out"] | None = None,
) -> Float[Array, " out"]:
    """Normalise W x + plus, the mean of W x taken off the weights."""
    y = product(x, centre(weight, axis=0))
    return norm_of_centred(y if plus is None else y + (plus - _mean(plus)), scale, bias)


def norm_of_centred(y: Vector, scale: Vector, bias: Vector) -> Vector:
    """Normalise one vector of mean 0, in the precision of y; the mean of squares is float32's."""
    return (normalise(y.astype(jnp.float32)) * scale + bias).astype(y.dtype)


def centre(weights: Float[Array, "*_"], axis: int) -> Float[Array, "*_"]:
    """Compute C: the weights of a linear map whose outputs, counted along ``axis`` of the weights, have mean 0."""
    exact = weights.astype(jnp.float32)
    return (exact - exact.mean(axis, keepdims=True)).astype(weights.dtype)


@jax.custom_vjp
def normalise(y: Vector) -> Vector:
    """Compute h: y with (but for eps) mean square 1."""
    return _parts(y)[0]


def _parts(y: Vector) -> tuple[Vector, Number]:
    scale = jax.lax.rsqrt(_mean(jnp.square(y)) + EPS)
    return y * scale, scale


def _forward(y: Vector) -> tuple[Vector, Vector]:
    return normalise(y), y


def _backward(y: Vector, dh: Vector) -> tuple[Vector]:
    h, scale = _parts(y)
    return (scale * (dh - h * _mean(h * dh)),)


normalise.defvjp(_forward, _backward)


def _mean(x: Vector) -> Number:
    return x @ jnp.full(x.shape, 1 / len(x), x.dtype)


def sum_of_squares(errors: Float[Array, "*batch rows size"]) -> Float[Array, "*batch"]:
    """Sum over the last two axes, first the last: XLA adds long rows of a matrix faster than small blocks."""
    return jnp.square(errors).reshape(-1, errors.shape[-1]).sum(-1).reshape(errors.shape[:-1]).sum(-1)


def mean_over_heads(x: Float[Array, "heads *rest"]) -> Float[Array, "*rest"]:
    """Add a few arrays: XLA reduces a leading axis ten times slower."""
    return sum(x[1:], x[0]) / len(x)
