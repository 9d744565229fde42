"""The two linear maps of picture layers, and their gradients: halve a picture, and double it.

With the kernel K [4 4 in out], stride 2 and one row and column of zeros around the picture,

    halve:   y[p, q, o] = sum over u, v, c of  x[2p + u - 1, 2q + v - 1, c]  K[u, v, c, o]

and ``double`` is its transpose. The two are each other's gradient with respect to the picture, and both have the same
gradient with respect to the kernel, a sum over all places p, q of all pictures:

    correlate:   dK[u, v, c, o] = sum of  x[2p + u - 1, 2q + v - 1, c]  dy[p, q, o]

So three functions are all that is needed. A GPU's library is fast at the three as they stand. On a CPU they are written
here with 2 x 2 blocks of pixels in the place of single ones (*space to depth*): then a place sees 2 x 2 blocks, every
block once, and what is left is four matrix products, or for ``double`` a convolution with stride 1.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Large = Float[Array, "n height width channel"]
Small = Float[Array, "n half_height half_width channel_out"]
Kernel = Float[Array, "4 4 channel channel_out"]


@jax.custom_vjp
def halve(x: Large, kernel: Kernel) -> Small:
    """Convolve with stride 2. The picture's sides must be even."""
    return jax.lax.platform_dependent(x, kernel, cpu=_halve_by_blocks, default=_halve_at_once)


@jax.custom_vjp
def double(y: Small, kernel: Kernel) -> Large:
    """The transpose of `halve`: the same kernel [4 4 out in], from small to large."""
    return jax.lax.platform_dependent(y, kernel, cpu=_double_by_blocks, default=_double_by_transposing)


def correlate(x: Large, y: Small) -> Kernel:
    """The gradient of both with respect to the kernel."""
    return jax.lax.platform_dependent(x, y, cpu=_correlate_by_blocks, default=_correlate_by_transposing)


def _halve_forward(x: Large, kernel: Kernel) -> tuple[Small, tuple[Large, Kernel]]:
    return halve(x, kernel), (x, kernel)


def _halve_backward(seen: tuple[Large, Kernel], dy: Small) -> tuple[Large, Kernel]:
    x, kernel = seen
    return double(dy, kernel), correlate(x, dy)


def _double_forward(y: Small, kernel: Kernel) -> tuple[Large, tuple[Small, Kernel]]:
    return double(y, kernel), (y, kernel)


def _double_backward(seen: tuple[Small, Kernel], dx: Large) -> tuple[Small, Kernel]:
    y, kernel = seen
    return halve(dx, kernel), correlate(dx, y)


halve.defvjp(_halve_forward, _halve_backward)
double.defvjp(_double_forward, _double_backward)


def _convolve(x: Array, kernel: Array, *, stride: int) -> Array:
    """With one row and column of zeros around the picture."""
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _halve_at_once(x: Large, kernel: Kernel) -> Small:
    return _convolve(x, kernel, stride=2)


def _double_by_transposing(y: Small, kernel: Kernel) -> Large:
    n, height, width, _ = y.shape
    like = jax.ShapeDtypeStruct((n, 2 * height, 2 * width, kernel.shape[2]), y.dtype)
    (x,) = jax.linear_transpose(lambda x: _halve_at_once(x, kernel), like)(y)
    return x


def _correlate_by_transposing(x: Large, y: Small) -> Kernel:
    like = jax.ShapeDtypeStruct((4, 4, x.shape[-1], y.shape[-1]), x.dtype)
    (kernel,) = jax.linear_transpose(lambda kernel: _halve_at_once(x, kernel), like)(y)
    return kernel


def _halve_by_blocks(x: Large, kernel: Kernel) -> Small:
    """Every place sees 2 x 2 blocks: the sum of the equation, as one matrix product for each of the four."""
    seen, weights = _seen_by_place(x), _in_blocks(kernel)
    flat = sum((seen[u][v] @ weights[u, v] for u in (0, 1) for v in (0, 1)), jnp.zeros((), x.dtype))
    n, height, width, _ = x.shape
    return flat.reshape(n, height // 2, width // 2, -1)


def _double_by_blocks(y: Small, kernel: Kernel) -> Large:
    """Every 2 x 2 block of pixels sees 2 x 2 places of y: a convolution that gives blocks."""
    seen_backwards = jnp.swapaxes(_in_blocks(kernel)[::-1, ::-1], 2, 3)
    blocks = _convolve(y, seen_backwards, stride=1)
    n, rows, columns, depth = blocks.shape
    pixels = jnp.swapaxes(blocks.reshape(n, rows, columns, 2, 2, depth // 4), 2, 3)
    # The blocks begin one pixel outside the picture, as the zeros around it do.
    return pixels.reshape(n, 2 * rows, 2 * columns, depth // 4)[:, 1:-1, 1:-1]


def _correlate_by_blocks(x: Large, y: Small) -> Kernel:
    """One product for each of the four blocks again; each gives the part of the kernel that sees it."""
    seen, flat = _seen_by_place(x), y.reshape(-1, y.shape[-1])
    parts = jnp.stack([jnp.stack([seen[u][v].T @ flat for v in (0, 1)]) for u in (0, 1)])
    return _swap_middle(parts.reshape(2, 2, 2, 2, x.shape[-1], -1)).reshape(4, 4, x.shape[-1], -1)


def _seen_by_place(x: Large) -> list[list[Float[Array, "places channel_x_4"]]]:
    """The upper left, upper right, lower left and lower right block of pixels that every place of y sees."""
    n, height, width, channels = x.shape
    rows, columns = height // 2, width // 2
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))).reshape(n, rows + 1, 2, columns + 1, 2, channels)
    blocks = jnp.swapaxes(padded, 2, 3).reshape(n, rows + 1, columns + 1, 4 * channels)
    return [[blocks[:, u : u + rows, v : v + columns].reshape(-1, 4 * channels) for v in (0, 1)] for u in (0, 1)]


def _in_blocks(kernel: Kernel) -> Float[Array, "2 2 channel_x_4 channel_out"]:
    """The kernel as 2 x 2 blocks see it: which block, and which of its pixels."""
    _, _, channels, out = kernel.shape
    return _swap_middle(kernel.reshape(2, 2, 2, 2, channels, out)).reshape(2, 2, 4 * channels, out)


def _swap_middle(x: Array) -> Array:
    return jnp.swapaxes(x, 1, 2)
