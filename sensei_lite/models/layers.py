"""The layers that everything is built from: dense blocks and the recurrent cell.

A block is  silu(norm(W x)),  with LayerNorm (eps 1e-3) and no bias, as in DreamerV3's first version, which SENSEI used.
The recurrent cell is a GRU with one LayerNorm over all its gates:

    [r, c, u] = norm(W [x, h]),   h' = u tanh(r c) + (1 - u) h,   with r = sigmoid(r) and u = sigmoid(u - 1).

The -1 makes the cell keep its memory at the start of training. Every layer works on one example; batch and time are
added by the caller with ``vmap`` and ``scan``. Source: DreamerV3 (arXiv 2301.04104). Left out of today's
danijar/dreamerv3: the block-diagonal GRU, RMSNorm, max-pooling. Built in notebook 02_rssm.

Layers for pictures stand in `picture_layers`.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from sensei_lite.models._fast.layer_norm import LayerNorm, centred
from sensei_lite.models._fast.microbatch import worth_keeping
from sensei_lite.types import Seed

Networks = TypeVar("Networks")
Vector = Float[Array, "_"]
Vectors = Float[Array, "*batch _"]


class Linear(eqx.Module):
    """W x + b.

    Equinox's own layer says ``W @ x``, from which ``vmap`` makes a product whose result has the batch last; here it has
    the batch first, as everything around it. On a CPU gradients of an MLP then take little more than half the time.
    """

    weight: Float[Array, "size_out size_in"]
    bias: Float[Array, " size_out"] | None

    def __call__(self, x: Vector) -> Vector:
        """One example in, one out, in the precision of the weights."""
        y = _product(x, self.weight)
        return y if self.bias is None else y + self.bias

    def centred(self, x: Vector) -> Vector:
        """W x - mean(W x), for the norm that follows (see `layer_norm`)."""
        return _product(x, centred(self.weight, axis=0))


def _product(x: Vector, weight: Array) -> Vector:
    return worth_keeping(x.astype(weight.dtype) @ weight.T)


def linear(size_in: int, size_out: int, *, scale: float = 1.0, bias: bool = True, key: Seed) -> Linear:
    """A linear layer with weights drawn from a truncated normal of deviation scale / sqrt(size_in), and bias 0.

    ``scale=0`` makes a head that says the same for every input until it has learned something.
    """
    weight = truncated_normal((size_out, size_in), scale / np.sqrt(size_in), key=key)
    return Linear(weight, jnp.zeros(size_out) if bias else None)


def truncated_normal(shape: tuple[int, ...], deviation: float, *, key: Seed) -> Array:
    """Weights from a normal distribution of this deviation, cut off at two deviations before it is scaled."""
    # Cutting a normal off at 2 deviations leaves one with deviation 0.8796; the division makes up for that.
    return jax.random.truncated_normal(key, -2.0, 2.0, shape) * np.float32(deviation / 0.87962566)


class Block(eqx.Module):
    """silu(norm(W x))."""

    linear: Linear
    norm: LayerNorm

    def __init__(self, size_in: int, size_out: int, *, key: Seed):
        self.linear = linear(size_in, size_out, bias=False, key=key)
        self.norm = LayerNorm(size_out)

    def __call__(self, x: Vector) -> Vector:
        """One example in, one out."""
        return jax.nn.silu(self.norm(self.linear.centred(x)))


class MLP(eqx.Module):
    """Blocks, and a linear layer on top."""

    blocks: tuple[Block, ...]
    out: Linear

    def __init__(self, size_in: int, size_out: int, hidden: int, layers: int, *, out_scale: float = 1.0, key: Seed):
        out_key, *keys = jax.random.split(key, layers + 1)
        sizes = [size_in] + [hidden] * layers
        self.blocks = tuple(Block(a, b, key=k) for a, b, k in zip(sizes[:-1], sizes[1:], keys, strict=True))
        self.out = linear(sizes[-1], size_out, scale=out_scale, key=out_key)

    def __call__(self, x: Vector) -> Vector:
        """One example in, one out."""
        for block in self.blocks:
            x = block(x)
        return self.out(x)


class RecurrentCell(eqx.Module):
    """The GRU of the equation above."""

    gates: Linear
    norm: LayerNorm

    def __init__(self, size_in: int, deter: int, *, key: Seed):
        self.gates = linear(size_in + deter, 3 * deter, bias=False, key=key)
        self.norm = LayerNorm(3 * deter)

    def __call__(self, x: Vector, h: Float[Array, " deter"]) -> Float[Array, " deter"]:
        """The next h."""
        reset, candidate, update = jnp.split(self.norm(self.gates.centred(jnp.concatenate([x, h]))), 3)
        u = jax.nn.sigmoid(update - 1.0)
        return u * jnp.tanh(jax.nn.sigmoid(reset) * candidate) + (1 - u) * h


def in_precision(networks: Networks, precision: str) -> Networks:
    """The same networks with their weights in another precision, such as "bfloat16"; single numbers stay.

    Layers compute in the precision of their weights. The loss is taken of networks in lower precision, and the gradient
    reaches the float32 weights that they were made from: small steps of an optimiser would be lost in 8 bits.
    """

    def convert(leaf: Any) -> Any:
        is_weight = eqx.is_inexact_array(leaf) and leaf.ndim > 0
        return leaf.astype(precision) if is_weight and leaf.dtype != precision else leaf

    return jax.tree.map(convert, networks)


def in_rows(layer: Callable[[Vector], Vector], x: Vectors) -> Vectors:
    """Apply a layer to the last axis, with everything in front of it as the rows of one matrix."""
    return jax.vmap(layer)(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)
