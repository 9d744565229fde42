"""The layers that everything is built from: dense blocks and the recurrent cell.

A block is  silu(LayerNorm(W x))  without a bias, as in DreamerV3's first version, which SENSEI used, with

    LayerNorm(y) = scale (y - mean(y)) / sqrt(mean((y - mean(y))^2) + eps) + bias,      eps = 1e-3.

The recurrent cell is a GRU with one LayerNorm over all its gates:

    [r, c, u] = LayerNorm(W [x, h]),   h' = u tanh(r c) + (1 - u) h,   with r = sigmoid(r) and u = sigmoid(u - 1).

The -1 makes the cell keep its memory at the start of training. Every layer works on one example; batch and time are
added by the caller with ``vmap`` and ``scan``. Sources: DreamerV3 (arXiv 2301.04104); LayerNorm (arXiv 1607.06450).
Left out of today's danijar/dreamerv3: the block-diagonal GRU, RMSNorm, max-pooling. Built in notebook 02_rssm.

Layers for pictures stand in `image_layers`. What a CPU computes in the place of a decorated function: `_fast`.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from sensei_lite.models import _fast
from sensei_lite.models._fast import microbatch as parts
from sensei_lite.models._fast import normed_linear as fast
from sensei_lite.types import Seed

Networks = TypeVar("Networks")
Vector = Float[Array, "_"]
Vectors = Float[Array, "*batch _"]

EPS = fast.EPS
"""1e-3, of every LayerNorm; DreamerV3's."""


@_fast.on_cpu(fast.product)
def product(x: Vector, weight: Float[Array, "*_"]) -> Float[Array, "*_"]:
    """Multiply W x, in the precision of the weights; a weight of one row less gives one number."""
    return weight @ x.astype(weight.dtype)


@_fast.on_cpu(fast.normed_linear)
def normed_linear(
    x: Vector,
    weight: Float[Array, "out size"],
    scale: Float[Array, " out"],
    bias: Float[Array, " out"],
    plus: Float[Array, " out"] | None = None,
) -> Float[Array, " out"]:
    """Compute LayerNorm(W x + plus); the product in the precision of the weights, the norm in float32."""
    y = weight @ x.astype(weight.dtype)
    return layer_norm(y if plus is None else y + plus, scale, bias)


def layer_norm(
    y: Float[Array, "*batch size"], scale: Float[Array, " size"], bias: Float[Array, " size"]
) -> Float[Array, "*batch size"]:
    """Compute LayerNorm(y) over the last axis, in float32; the result has the precision of y."""
    exact = y.astype(jnp.float32)
    centred = exact - exact.mean(-1, keepdims=True)
    h = centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + EPS)
    return (h * scale + bias).astype(y.dtype)


class Linear(eqx.Module):
    """Map x to W x + b, one example."""

    weight: Float[Array, "*size_out size_in"]
    bias: Float[Array, "*size_out"] | None

    def __call__(self, x: Vector) -> Float[Array, "*size_out"]:
        """Return W x + b in the precision of the weights."""
        y = product(x, self.weight)
        return y if self.bias is None else y + self.bias


def linear(size_in: int, size_out: int | None, *, scale: float = 1.0, bias: bool = True, key: Seed) -> Linear:
    """Initialise a linear layer: weights of a truncated normal with standard deviation scale / sqrt(size_in), bias 0.

    ``scale=0`` makes a head that predicts the same for every input until it has learned something. With
    ``size_out=None`` the layer gives one number, not a vector.
    """
    shape = () if size_out is None else (size_out,)
    weight = truncated_normal((*shape, size_in), scale / np.sqrt(size_in), key=key)
    return Linear(weight, jnp.zeros(shape) if bias else None)


def truncated_normal(shape: tuple[int, ...], deviation: float, *, key: Seed) -> Array:
    """Sample weights from a normal distribution truncated at two standard deviations, scaled to this ``deviation``."""
    # Cutting a normal off at 2 deviations leaves one with deviation 0.8796; the division makes up for that.
    return jax.random.truncated_normal(key, -2.0, 2.0, shape) * np.float32(deviation / 0.87962566)


class NormedLinear(eqx.Module):
    """Compute LayerNorm(W x): one layer that owns the weights and the norm behind them."""

    weight: Float[Array, "size_out size_in"]
    scale: Float[Array, " size_out"]
    bias: Float[Array, " size_out"]

    def __init__(self, size_in: int, size_out: int, *, key: Seed):
        self.weight = linear(size_in, size_out, bias=False, key=key).weight
        self.scale, self.bias = jnp.ones(size_out), jnp.zeros(size_out)

    def __call__(self, x: Vector, plus: Vector | None = None) -> Vector:
        """Return LayerNorm(W x + plus) of one example."""
        return normed_linear(x, self.weight, self.scale, self.bias, plus)


class Block(eqx.Module):
    """Compute silu(LayerNorm(W x))."""

    normed: NormedLinear

    def __init__(self, size_in: int, size_out: int, *, key: Seed):
        self.normed = NormedLinear(size_in, size_out, key=key)

    def __call__(self, x: Vector) -> Vector:
        """Return the block's output for one example."""
        return jax.nn.silu(self.normed(x))


class MLP(eqx.Module):
    """Stack blocks, with a linear layer on top."""

    blocks: tuple[Block, ...]
    out: Linear

    def __init__(
        self, size_in: int, size_out: int | None, hidden: int, layers: int, *, out_scale: float = 1.0, key: Seed
    ):
        out_key, *keys = jax.random.split(key, layers + 1)
        sizes = [size_in] + [hidden] * layers
        self.blocks = tuple(Block(a, b, key=k) for a, b, k in zip(sizes[:-1], sizes[1:], keys, strict=True))
        self.out = linear(sizes[-1], size_out, scale=out_scale, key=out_key)

    def __call__(self, x: Vector) -> Float[Array, "*size_out"]:
        """Return the network's output for one example; one number where ``size_out`` is None."""
        for block in self.blocks:
            x = block(x)
        return self.out(x)


class RecurrentCell(eqx.Module):
    """Update the memory: the GRU of the equation above."""

    gates: NormedLinear

    def __init__(self, size_in: int, deter: int, *, key: Seed):
        self.gates = NormedLinear(size_in + deter, 3 * deter, key=key)

    def __call__(self, x: Vector, h: Float[Array, " deter"]) -> Float[Array, " deter"]:
        """Compute the next h."""
        reset, candidate, update = jnp.split(self.gates(jnp.concatenate([x, h])), 3)
        u = jax.nn.sigmoid(update - 1.0)
        return u * jnp.tanh(jax.nn.sigmoid(reset) * candidate) + (1 - u) * h


def cast_to_compute_dtype(networks: Networks, precision: str) -> Networks:
    """Cast the weights of networks to another precision, such as "bfloat16"; single numbers stay.

    Layers compute in the precision of their weights. The loss is taken of networks in lower precision, and the gradient
    reaches the float32 weights that they were made from: small steps of an optimiser would be lost in 8 bits.
    """

    def convert(leaf: Any) -> Any:
        is_weight = eqx.is_inexact_array(leaf) and leaf.ndim > 0
        return leaf.astype(precision) if is_weight and leaf.dtype != precision else leaf

    return jax.tree.map(convert, networks)


def batch_apply(layer: Callable[[Vector], Array], x: Vectors) -> Array:
    """Apply a layer to the last axis, with everything in front of it as the rows of one matrix."""
    y = jax.vmap(layer)(x.reshape(-1, x.shape[-1]))
    return y.reshape(*x.shape[:-1], *y.shape[1:])


@_fast.on_cpu(parts.microbatch)
def microbatch(f: Callable[..., Array], *arrays: Float[Array, "n *_"], size: int) -> Float[Array, "n *_"]:
    """Compute ``f(*arrays)``, whose row i depends on rows i only; on a CPU in microbatches of ``size`` rows."""
    return f(*arrays)


@_fast.on_cpu(parts.accumulated_mean)
def mean_loss(
    f: Callable[..., Float[Array, " n"]],
    network: Any,
    inputs: Float[Array, "n *_"],
    targets: Float[Array, "n *_"],
    *,
    size: int,
) -> Float[Array, ""]:
    """Compute the mean of ``f(network, inputs, targets)``; on a CPU accumulated over microbatches of ``size`` rows."""
    return f(network, inputs, targets).mean()
