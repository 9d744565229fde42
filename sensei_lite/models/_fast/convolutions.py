"""The two linear maps of picture layers, and their gradients: halve a picture, and double it.

With the kernel K [4 4 in out], stride 2 and one row and column of zeros around the picture,

    halve:   y[p, q, o] = sum over u, v, c of  x[2p + u - 1, 2q + v - 1, c]  K[u, v, c, o]

and ``double`` is its transpose. The two are each other's gradient with respect to the picture, and both have the same
gradient with respect to the kernel, a sum over all places p, q of all pictures:

    correlate:   dK[u, v, c, o] = sum of  x[2p + u - 1, 2q + v - 1, c]  dy[p, q, o]

So three functions are all that is needed. A GPU's library is fast at the three as they stand. On a CPU they are written
here with 2 x 2 blocks of pixels in the place of single ones (*space to depth*). A place sees 2 x 2 blocks, with one
2 x 2 part of the kernel each: what is left is one matrix product with the four parts side by side, and four additions;
for ``double`` a convolution with stride 1.
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
    """Every block times the four parts of the kernel that can see it; a place adds up the four blocks that it sees."""
    blocks, out = _in_blocks(x), kernel.shape[-1]
    parts = (blocks.reshape(-1, blocks.shape[-1]) @ _side_by_side(kernel)).reshape(*blocks.shape[:-1], -1)
    upper_left, upper_right, lower_left, lower_right = (parts[..., i * out : (i + 1) * out] for i in range(4))
    return upper_left[:, :-1, :-1] + upper_right[:, :-1, 1:] + lower_left[:, 1:, :-1] + lower_right[:, 1:, 1:]


def _double_by_blocks(y: Small, kernel: Kernel) -> Large:
    """Every block of pixels is seen by 2 x 2 places of y: a convolution that gives blocks."""
    _, _, channels, out = kernel.shape
    by_part = _side_by_side(kernel).reshape(4 * channels, 2, 2, out)
    blocks = _convolve(y, by_part[:, ::-1, ::-1].transpose(1, 2, 3, 0), stride=1)
    n, rows, columns, depth = blocks.shape
    pixels = jnp.swapaxes(blocks.reshape(n, rows, columns, 2, 2, depth // 4), 2, 3)
    # The blocks begin one pixel outside the picture, as the zeros around it do.
    return pixels.reshape(n, 2 * rows, 2 * columns, depth // 4)[:, 1:-1, 1:-1]


def _correlate_by_blocks(x: Large, y: Small) -> Kernel:
    """Blocks times the four places that see each of them: all parts of the kernel's gradient in one product."""
    blocks = _in_blocks(x)
    # Where a block is seen by fewer than four places, at the picture's edge, the others are zeros.
    around, (_, rows, columns, _) = _with_zeros_around(y), blocks.shape
    places = [around[:, 1 - u : 1 - u + rows, 1 - v : 1 - v + columns] for u in (0, 1) for v in (0, 1)]
    seeing = jnp.concatenate(places, axis=-1)
    product = blocks.reshape(-1, blocks.shape[-1]).T @ seeing.reshape(-1, seeing.shape[-1])
    return _from_side_by_side(product, x.shape[-1])


def _in_blocks(x: Large) -> Float[Array, "n rows columns channel_x_4"]:
    """The picture with zeros around it, cut into blocks of 2 x 2 pixels, each as one vector: *space to depth*."""
    n, height, width, channels = x.shape
    rows, columns = height // 2 + 1, width // 2 + 1
    pairs = _with_zeros_around(x).reshape(n, rows, 2, columns, 2 * channels)
    return jnp.concatenate([pairs[:, :, 0], pairs[:, :, 1]], axis=-1)


def _with_zeros_around(x: Float[Array, "n height width channel"]) -> Float[Array, "n _ _ channel"]:
    """One row and column of zeros on all sides. XLA would compute `jnp.pad` anew for every use, and slowly."""
    n, height, width, channels = x.shape
    return jax.lax.dynamic_update_slice(jnp.zeros((n, height + 2, width + 2, channels), x.dtype), x, (0, 1, 1, 0))


def _side_by_side(kernel: Kernel) -> Float[Array, "channel_x_4 channel_out_x_4"]:
    """The four 2 x 2 parts of the kernel, each as the matrix that it multiplies a block by."""
    _, _, channels, out = kernel.shape
    parts = kernel.reshape(2, 2, 2, 2, channels, out)  # [part's row, pixel's row, part's column, pixel's column ...]
    return parts.transpose(1, 3, 4, 0, 2, 5).reshape(4 * channels, 4 * out)


def _from_side_by_side(matrix: Float[Array, "channel_x_4 channel_out_x_4"], channels: int) -> Kernel:
    parts = matrix.reshape(2, 2, channels, 2, 2, -1)
    return parts.transpose(3, 0, 4, 1, 2, 5).reshape(4, 4, channels, -1)
