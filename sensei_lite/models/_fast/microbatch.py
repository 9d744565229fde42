"""What does not fit into a CPU's cache is computed a few rows at a time.

The activations of a batch of pictures, or of an ensemble that judges a whole dream, are tens of megabytes for each
layer. A CPU that writes them to memory after one layer and reads them for the next waits for memory most of the time.
If a few rows go through all layers, and then the next few, what lies between two layers stays in the cache:

    [f(rows 0..31), f(rows 32..63), ...]    in place of    f(rows 0..511)

The result is the same. For the gradient, products are kept, and the cheap steps between them (norms, activations) are
computed a second time: ``jax.checkpoint`` (rematerialisation). Where a loss is all that follows, nothing has to be
kept: a few rows go forwards and back at once (`mean_in_one_pass`). A GPU has the bandwidth, and there everything is
computed at once.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float, PyTree

Network = TypeVar("Network")

KEPT = "worth keeping"


def worth_keeping(x: Array) -> Array:
    """The same array, marked: dear to compute, so `a_few_at_a_time` keeps it for the gradient."""
    return checkpoint_name(x, KEPT)


def a_few_at_a_time(f: Callable[..., Array], *rows: Float[Array, "n *_"], few: int) -> Float[Array, "n *_"]:
    """``f(*rows)``, on a CPU for at most ``few`` rows at once.

    Each of the n results of ``f`` must depend on its own row of every array only. Where ``few`` does not divide n, the
    largest smaller number that does is taken. If that is less than a quarter of ``few`` (n may be prime), tiny parts
    would be slower than all at once, and all at once it is.
    """
    n = len(rows[0])
    size = _size_of_a_part(n, few)

    def at_once(*rows: Array) -> Array:
        return f(*rows)

    def in_parts(*rows: Array) -> Array:
        if size == n:
            return f(*rows)
        policy = jax.checkpoint_policies.save_only_these_names(KEPT)
        parts = tuple(_split(array, size) for array in rows)
        results = jax.lax.map(lambda part: jax.checkpoint(at_once, policy=policy)(*part), parts)
        return results.reshape(n, *results.shape[2:])

    return jax.lax.platform_dependent(*rows, cpu=in_parts, default=at_once)


def mean_in_one_pass(
    f: Callable[[Network, Array, Array], Float[Array, " n"]],
    network: Network,
    rows: Float[Array, "n *_"],
    targets: Float[Array, "n *_"],
    *,
    few: int,
) -> Float[Array, ""]:
    """The mean of ``f(network, rows, targets)``; where its gradient is asked for, it is taken in the same pass.

    The gradient reaches the network and the rows. For ``f`` and ``few`` see `a_few_at_a_time`.

    Raises RuntimeError (Equinox's) where a gradient of the targets is asked for.
    """
    return _mean((network, rows), f, targets, few)


@eqx.filter_custom_vjp
def _mean(learned: tuple[Network, Array], f: Callable, targets: Array, few: int) -> Float[Array, ""]:
    network, rows = learned
    return a_few_at_a_time(lambda rows, targets: f(network, rows, targets), rows, targets, few=few).mean()


@_mean.def_fwd
def _mean_and_gradient(
    _: PyTree, learned: tuple[Network, Array], f: Callable, targets: Array, few: int
) -> tuple[Float[Array, ""], PyTree]:
    network, rows = learned
    weights, rest = eqx.partition(network, eqx.is_inexact_array)
    n = len(rows)

    def share(weights: PyTree, rows: Array, targets: Array) -> Float[Array, ""]:
        return f(eqx.combine(weights, rest), rows, targets).sum() / n

    def in_parts_of(size: int, weights: PyTree, rows: Array, targets: Array) -> tuple[Array, PyTree]:
        def add(so_far: PyTree, part: tuple[Array, Array]) -> tuple[PyTree, Array]:
            value, (of_weights, of_rows) = jax.value_and_grad(share, argnums=(0, 1))(weights, *part)
            return jax.tree.map(jnp.add, so_far, (value, of_weights)), of_rows

        # Sums of many parts need float32, whatever the precision of a part.
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.promote_types(x.dtype, jnp.float32)), weights)
        parts = (_split(rows, size), _split(targets, size))
        (value, of_weights), of_rows = jax.lax.scan(add, (jnp.zeros(()), nothing), parts)
        return value, (of_weights, of_rows.reshape(rows.shape))

    size = _size_of_a_part(n, few)
    return jax.lax.platform_dependent(
        weights,
        rows,
        targets,
        cpu=lambda *arrays: in_parts_of(size, *arrays),
        default=lambda *arrays: in_parts_of(n, *arrays),
    )


@_mean.def_bwd
def _scaled(
    gradient: PyTree, scale: Float[Array, ""], _: PyTree, learned: tuple[Network, Array], *__: Any
) -> tuple[Network, Array]:
    like = eqx.filter(learned, eqx.is_inexact_array)
    return jax.tree.map(lambda g, x: (scale * g).astype(x.dtype), gradient, like)


def _size_of_a_part(n: int, few: int) -> int:
    size = max(size for size in range(1, few + 1) if n % size == 0)
    return n if 4 * size < few else size


def _split(rows: Array, size: int) -> Array:
    return rows.reshape(-1, size, *rows.shape[1:])
