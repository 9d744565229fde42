"""Convolutions as one matrix product over blocks of pixels (*space to depth*), and their gradients.

With the kernel K [4 4 in out], stride 2 and one row and column of zeros around the picture,

    conv_down:   y[p, q, o] = sum over u, v, c of  x[2p + u - 1, 2q + v - 1, c]  K[u, v, c, o]

and ``conv_transpose_up`` is its transpose. The two are each other's gradient with respect to the picture, and both have
the same gradient with respect to the kernel, a sum over all places p, q of all pictures:

    conv_kernel_grad:   dK[u, v, c, o] = sum of  x[2p + u - 1, 2q + v - 1, c]  dy[p, q, o]

A place sees 2 x 2 blocks of 2 x 2 pixels, with one 2 x 2 part of the kernel each: what is left is one matrix product
with the four parts side by side, and four additions; for ``conv_transpose_up`` a convolution with stride 1.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sensei_lite.models._fast.microbatch import keep
from sensei_lite.models._fast.normed_linear import centre, norm_of_centred

Large = Float[Array, "n height width channel"]
Small = Float[Array, "n half_height half_width channel_out"]
Kernel = Float[Array, "4 4 channel channel_out"]


def normed_conv_down(x: Large, kernel: Kernel, scale: Array, bias: Array) -> Small:
    """Convolve and normalise over channels, the mean taken off the kernel."""
    return _normed(keep(conv_down(x.astype(kernel.dtype), centre(kernel, axis=3))), scale, bias)


def normed_conv_up(y: Small, kernel: Kernel, scale: Array, bias: Array) -> Large:
    """Convolve transposed and normalise over channels, the mean taken off the kernel."""
    return _normed(keep(conv_transpose_up(y.astype(kernel.dtype), centre(kernel, axis=2))), scale, bias)


def conv_up(y: Small, kernel: Kernel) -> Large:
    """Convolve transposed."""
    return keep(conv_transpose_up(y.astype(kernel.dtype), kernel))


def _normed(y: Large, scale: Array, bias: Array) -> Large:
    flat = y.reshape(-1, y.shape[-1])
    return jax.vmap(lambda one: norm_of_centred(one, scale, bias))(flat).reshape(y.shape)


@jax.custom_vjp
def conv_down(x: Large, kernel: Kernel) -> Small:
    """Convolve with stride 2: every block times the four parts of the kernel that can see it, added up by place."""
    blocks, out = _in_blocks(x), kernel.shape[-1]
    parts = (blocks.reshape(-1, blocks.shape[-1]) @ _side_by_side(kernel)).reshape(*blocks.shape[:-1], -1)
    upper_left, upper_right, lower_left, lower_right = (parts[..., i * out : (i + 1) * out] for i in range(4))
    return upper_left[:, :-1, :-1] + upper_right[:, :-1, 1:] + lower_left[:, 1:, :-1] + lower_right[:, 1:, 1:]


@jax.custom_vjp
def conv_transpose_up(y: Small, kernel: Kernel) -> Large:
    """Transpose `conv_down`: every block of pixels is seen by 2 x 2 places of y, a convolution that gives blocks."""
    _, _, channels, out = kernel.shape
    by_part = _side_by_side(kernel).reshape(4 * channels, 2, 2, out)
    blocks = jax.lax.conv_general_dilated(
        y,
        by_part[:, ::-1, ::-1].transpose(1, 2, 3, 0),
        (1, 1),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    n, rows, columns, depth = blocks.shape
    pixels = jnp.swapaxes(blocks.reshape(n, rows, columns, 2, 2, depth // 4), 2, 3)
    # The blocks begin one pixel outside the picture, as the zeros around it do.
    return pixels.reshape(n, 2 * rows, 2 * columns, depth // 4)[:, 1:-1, 1:-1]


def conv_kernel_grad(x: Large, y: Small) -> Kernel:
    """Compute the kernel's gradient: blocks times the four places that see each of them, all in one product."""
    blocks = _in_blocks(x)
    # Where a block is seen by fewer than four places, at the picture's edge, the others are zeros.
    around, (_, rows, columns, _) = _with_zeros_around(y), blocks.shape
    places = [around[:, 1 - u : 1 - u + rows, 1 - v : 1 - v + columns] for u in (0, 1) for v in (0, 1)]
    seeing = jnp.concatenate(places, axis=-1)
    product = blocks.reshape(-1, blocks.shape[-1]).T @ seeing.reshape(-1, seeing.shape[-1])
    return _from_side_by_side(product, x.shape[-1])


conv_down.defvjp(
    lambda x, kernel: (conv_down(x, kernel), (x, kernel)),
    lambda seen, dy: (conv_transpose_up(dy, seen[1]), conv_kernel_grad(seen[0], dy)),
)
conv_transpose_up.defvjp(
    lambda y, kernel: (conv_transpose_up(y, kernel), (y, kernel)),
    lambda seen, dx: (conv_down(dx, seen[1]), conv_kernel_grad(dx, seen[0])),
)


def conv_valid(x: Float[Array, "n _ _ _"], kernel: Float[Array, "_ _ _ _"], stride: int) -> Float[Array, "n _ _ _"]:
    """Convolve without padding, as one matrix product.

    The picture becomes blocks of ``stride`` x ``stride`` pixels, and an output cell sees as many of them as cover the
    kernel, which zeros fill up.
    """
    side, reach = kernel.shape[0], -(-kernel.shape[0] // stride)
    rows, columns = ((size - side) // stride + 1 for size in x.shape[1:3])
    high, wide = rows + reach - 1, columns + reach - 1
    x = jnp.pad(x, ((0, 0), (0, stride), (0, stride), (0, 0)))[:, : high * stride, : wide * stride]
    blocks = x.reshape(len(x), high, stride, wide, stride, -1).swapaxes(2, 3).reshape(len(x), high, wide, -1)
    offsets = [(i, j) for i in range(reach) for j in range(reach)]
    seen = jnp.concatenate([blocks[:, i : i + rows, j : j + columns] for i, j in offsets], -1)
    more, out = reach * stride - side, kernel.shape[-1]
    kernel = jnp.pad(kernel, ((0, more), (0, more), (0, 0), (0, 0)))
    matrix = kernel.reshape(reach, stride, reach, stride, -1, out).swapaxes(1, 2).reshape(-1, out)
    return (seen.reshape(-1, seen.shape[-1]) @ matrix).reshape(*seen.shape[:-1], -1)


def _in_blocks(x: Large) -> Float[Array, "n rows columns channel_x_4"]:
    """Cut the picture, with zeros around it, into blocks of 2 x 2 pixels, each as one vector: *space to depth*."""
    n, height, width, channels = x.shape
    rows, columns = height // 2 + 1, width // 2 + 1
    pairs = _with_zeros_around(x).reshape(n, rows, 2, columns, 2 * channels)
    return jnp.concatenate([pairs[:, :, 0], pairs[:, :, 1]], axis=-1)


def _with_zeros_around(x: Float[Array, "n height width channel"]) -> Float[Array, "n _ _ channel"]:
    """One row and column of zeros on all sides. XLA would compute `jnp.pad` anew for every use, and slowly."""
    n, height, width, channels = x.shape
    return jax.lax.dynamic_update_slice(jnp.zeros((n, height + 2, width + 2, channels), x.dtype), x, (0, 1, 1, 0))


def _side_by_side(kernel: Kernel) -> Float[Array, "channel_x_4 channel_out_x_4"]:
    """Return the four 2 x 2 parts of the kernel, each as the matrix that it multiplies a block by."""
    _, _, channels, out = kernel.shape
    parts = kernel.reshape(2, 2, 2, 2, channels, out)  # [part's row, pixel's row, part's column, pixel's column ...]
    return parts.transpose(1, 3, 4, 0, 2, 5).reshape(4 * channels, 4 * out)


def _from_side_by_side(matrix: Float[Array, "channel_x_4 channel_out_x_4"], channels: int) -> Kernel:
    parts = matrix.reshape(2, 2, channels, 2, 2, -1)
    return parts.transpose(3, 0, 4, 1, 2, 5).reshape(4, 4, channels, -1)
