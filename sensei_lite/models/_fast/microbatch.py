"""Microbatches: what does not fit into a CPU's cache is computed a few rows at a time.

The activations of a batch of pictures, or of an ensemble that judges a whole dream, are tens of megabytes for each
layer. A CPU that writes them to memory after one layer and reads them for the next waits for memory most of the time.
If a few rows go through all layers, and then the next few, what lies between two layers stays in the cache:

    [f(rows 0..31), f(rows 32..63), ...]    in place of    f(rows 0..511)

For the gradient, products are kept and the cheap steps between them (norms, activations) are computed a second time:
``jax.checkpoint`` (rematerialisation) with a policy by name. Where a loss is all that follows, nothing has to be kept:
the gradient is accumulated in the same pass (`accumulated_mean`).
"""

from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float, PyTree

Network = TypeVar("Network")

KEPT = "product"


def keep(x: Array) -> Array:
    """Mark an array as dear to compute, so that the checkpoint policy of `microbatch` keeps it for the gradient."""
    return checkpoint_name(x, KEPT)


def microbatch(f: Callable[..., Array], *arrays: Float[Array, "n *_"], size: int) -> Float[Array, "n *_"]:
    """Compute ``f(*arrays)`` for at most ``size`` rows at once.

    Where ``size`` does not divide n, the largest smaller number that does is taken. If that is less than a quarter of
    ``size`` (n may be prime), tiny parts would be slower than all at once, and all at once it is.
    """
    n = len(arrays[0])
    size = _size_of_a_part(n, size)
    if size == n:
        return f(*arrays)

    def of_part(*part: Array) -> Array:
        return f(*part)

    # A function of its own: `jax.checkpoint` hashes what it is given, and f may be a method of a layer, full of arrays.
    of_part = jax.checkpoint(of_part, policy=jax.checkpoint_policies.save_only_these_names(KEPT))
    results = jax.lax.map(lambda part: of_part(*part), tuple(_split(array, size) for array in arrays))
    return results.reshape(n, *results.shape[2:])


def accumulated_mean(
    f: Callable[[Network, Array, Array], Float[Array, " n"]],
    network: Network,
    inputs: Float[Array, "n *_"],
    targets: Float[Array, "n *_"],
    *,
    size: int,
) -> Float[Array, ""]:
    """Compute the mean of ``f(network, inputs, targets)``, and its gradient, where asked for, in the same pass.

    The gradient reaches the network and the inputs. Raises RuntimeError (Equinox's) where that of the targets is asked
    for.
    """
    return _mean((network, inputs), f, targets, size)


@eqx.filter_custom_vjp
def _mean(learned: tuple[Network, Array], f: Callable, targets: Array, size: int) -> Float[Array, ""]:
    network, inputs = learned
    return microbatch(lambda inputs, targets: f(network, inputs, targets), inputs, targets, size=size).mean()


@_mean.def_fwd
def _mean_and_gradient(
    _: PyTree, learned: tuple[Network, Array], f: Callable, targets: Array, size: int
) -> tuple[Float[Array, ""], PyTree]:
    network, inputs = learned
    weights, rest = eqx.partition(network, eqx.is_inexact_array)
    n = len(inputs)

    def share(weights: PyTree, inputs: Array, targets: Array) -> Float[Array, ""]:
        return f(eqx.combine(weights, rest), inputs, targets).sum() / n

    def add(so_far: PyTree, part: tuple[Array, Array]) -> tuple[PyTree, Array]:
        value, (of_weights, of_inputs) = jax.value_and_grad(share, argnums=(0, 1))(weights, *part)
        return jax.tree.map(jnp.add, so_far, (value, of_weights)), of_inputs

    # Sums of many parts need float32, whatever the precision of a part.
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.promote_types(x.dtype, jnp.float32)), weights)
    size = _size_of_a_part(n, size)
    parts = (_split(inputs, size), _split(targets, size))
    (value, of_weights), of_inputs = jax.lax.scan(add, (jnp.zeros(()), nothing), parts)
    return value, (of_weights, of_inputs.reshape(inputs.shape))


@_mean.def_bwd
def _scaled(
    gradient: PyTree, scale: Float[Array, ""], _: PyTree, learned: tuple[Network, Array], *__: Any
) -> tuple[Network, Array]:
    like = eqx.filter(learned, eqx.is_inexact_array)
    return jax.tree.map(lambda g, x: (scale * g).astype(x.dtype), gradient, like)


def _size_of_a_part(n: int, most: int) -> int:
    size = max(size for size in range(1, most + 1) if n % size == 0)
    return n if 4 * size < most else size


def _split(array: Array, size: int) -> Array:
    return array.reshape(-1, size, *array.shape[1:])
