"""What does not fit into a CPU's cache is computed a few rows at a time.

The activations of a batch of pictures, or of an ensemble that judges a whole dream, are tens of megabytes for each
layer. A CPU that writes them to memory after one layer and reads them for the next waits for memory most of the time.
If a few rows go through all layers, and then the next few, what lies between two layers stays in the cache:

    [f(rows 0..31), f(rows 32..63), ...]    in place of    f(rows 0..511)

The result is the same. For the gradient, products are kept, and the cheap steps between them (norms, activations) are
computed a second time: ``jax.checkpoint`` (rematerialisation). A GPU has the bandwidth, and there everything is
computed at once.
"""

from collections.abc import Callable

import jax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

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

    def at_once(*rows: Array) -> Array:
        return f(*rows)

    def in_parts(*rows: Array) -> Array:
        n = len(rows[0])
        size = max(size for size in range(1, few + 1) if n % size == 0)
        if size == n or 4 * size < few:
            return f(*rows)
        policy = jax.checkpoint_policies.save_only_these_names(KEPT)
        parts = [array.reshape(n // size, size, *array.shape[1:]) for array in rows]
        results = jax.lax.map(lambda part: jax.checkpoint(at_once, policy=policy)(*part), parts)
        return results.reshape(n, *results.shape[2:])

    return jax.lax.platform_dependent(*rows, cpu=in_parts, default=at_once)
