"""The layers that read and draw pictures: patches for small worlds, convolutions for the sizes of the research code.

    encoder    picture [height width 3] -> embedding           decoder    features -> picture
    patch      every square of pixels by one block             conv       four layers of stride 2, norm and silu

They take any axes in front (`*batch`) and put all pixels or patches of all pictures in the rows of one matrix, because
on a CPU one large product takes half the time of the same work under ``vmap``. A decoder's loss is the sum of squared
pixel errors. Source: DreamerV3 (arXiv 2301.04104). Built in notebook 02_rssm.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from sensei_lite.models import _fast
from sensei_lite.models._fast import convolutions, normed_linear
from sensei_lite.models.layers import (
    Block,
    Linear,
    Vectors,
    batch_apply,
    layer_norm,
    linear,
    mean_loss,
    microbatch,
    truncated_normal,
)
from sensei_lite.types import Seed

Pictures = Float[Array, "*batch _ _ _"]
"""Rows, columns and channels, which a layer may all change."""

Stack = Float[Array, "n _ _ _"]
Kernel = Float[Array, "_ _ _ _"]

PICTURES = 32
"""Pictures of a microbatch on a CPU, which go through all convolutions together."""


def patches_of(pictures: Pictures, patch: int) -> Float[Array, "*batch patches pixels"]:
    """Cut pictures into patches of ``patch`` x ``patch`` pixels, row by row, each flattened to one vector."""
    *batch, height, width, _ = pictures.shape
    squares = pictures.reshape(*batch, height // patch, patch, width // patch, patch, 3)
    return jnp.swapaxes(squares, -4, -3).reshape(*batch, -1, patch * patch * 3)


@_fast.on_cpu(normed_linear.sum_of_squares)
def sum_of_squares(errors: Float[Array, "*batch rows size"]) -> Float[Array, "*batch"]:
    """Sum the squares over the last two axes."""
    return jnp.square(errors).sum((-2, -1))


@_fast.on_cpu(convolutions.conv_down)
def conv_down(x: Stack, kernel: Kernel) -> Stack:
    """Convolve with stride 2, one row and column of zeros around: kernel [4 4 in out] halves even sides."""
    return _conv_down(x, kernel)


def _conv_down(x: Stack, kernel: Kernel) -> Stack:
    return jax.lax.conv_general_dilated(x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC"))


@_fast.on_cpu(convolutions.conv_up)
def conv_transpose_up(y: Stack, kernel: Kernel) -> Stack:
    """Apply the transpose of `conv_down`: the same kernel, [4 4 out in], doubles the sides."""
    n, height, width, _ = y.shape
    large = jax.ShapeDtypeStruct((n, 2 * height, 2 * width, kernel.shape[2]), kernel.dtype)
    (x,) = jax.linear_transpose(lambda x: _conv_down(x, kernel), large)(y.astype(kernel.dtype))
    return x


@_fast.on_cpu(convolutions.normed_conv_down)
def normed_conv_down(x: Stack, kernel: Kernel, scale: Array, bias: Array) -> Stack:
    """Compute LayerNorm over channels of `conv_down`."""
    return layer_norm(conv_down(x.astype(kernel.dtype), kernel), scale, bias)


@_fast.on_cpu(convolutions.normed_conv_up)
def normed_conv_up(y: Stack, kernel: Kernel, scale: Array, bias: Array) -> Stack:
    """Compute LayerNorm over channels of `conv_transpose_up`."""
    return layer_norm(conv_transpose_up(y, kernel), scale, bias)


@_fast.on_cpu(convolutions.conv_valid)
def conv_valid(x: Stack, kernel: Kernel, stride: int) -> Stack:
    """Convolve without padding."""
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


class PatchEncoder(eqx.Module):
    """A convolution whose stride equals its kernel: every patch of the picture is embedded by the same block."""

    patch: int = eqx.field(static=True)
    embed: Block

    def __init__(self, patch: int, depth: int, *, key: Seed):
        self.patch = patch
        self.embed = Block(patch * patch * 3, depth, key=key)

    def __call__(self, pictures: Pictures) -> Vectors:
        """Encode pictures with values around 0 [*batch height width 3]: all patches' embeddings, concatenated."""
        return batch_apply(self.embed, patches_of(pictures, self.patch)).reshape(*pictures.shape[:-3], -1)

    def size(self, shape: tuple[int, int, int]) -> int:
        """Return the length of the embedding of a picture of this shape."""
        return shape[0] // self.patch * (shape[1] // self.patch) * self.embed.normed.weight.shape[0]


class PatchDecoder(eqx.Module):
    """The way back: every patch is drawn from an embedding of its own by the same layer."""

    patch: int = eqx.field(static=True)
    shape: tuple[int, int, int] = eqx.field(static=True)
    dense: Block
    out: Linear

    def __init__(self, size_in: int, shape: tuple[int, int, int], patch: int, depth: int, *, key: Seed):
        dense_key, out_key = jax.random.split(key)
        self.patch, self.shape = patch, shape
        patches = shape[0] // patch * (shape[1] // patch)
        self.dense = Block(size_in, patches * depth, key=dense_key)
        self.out = linear(depth, patch * patch * 3, key=out_key)

    def __call__(self, features: Vectors) -> Pictures:
        """Decode features to pictures with values around 0, [*batch height width 3]."""
        height, width, _ = self.shape
        batch, p = features.shape[:-1], self.patch
        squares = self._patches(features).reshape(*batch, height // p, width // p, p, p, 3)
        return jnp.swapaxes(squares, -4, -3).reshape(*batch, height, width, 3)

    def loss(self, features: Vectors, pictures: Pictures) -> Float[Array, ""]:
        """Compute the sum of squared pixel errors, mean over pictures.

        Patch by patch: putting the drawn patches in their places takes longer.
        """
        return sum_of_squares(self._patches(features) - patches_of(pictures, self.patch)).mean()

    def _patches(self, features: Vectors) -> Float[Array, "*batch patches pixels"]:
        embeddings = batch_apply(self.dense, features).reshape(*features.shape[:-1], -1, self.out.weight.shape[1])
        return batch_apply(self.out, embeddings)


class NormedConv(eqx.Module):
    """Convolve with kernel 4 and stride 2, down to half of the sides or up to twice, and normalise over channels."""

    kernel: Float[Array, "4 4 _ _"]
    scale: Float[Array, " channel_out"]
    bias: Float[Array, " channel_out"]
    up: bool = eqx.field(static=True)

    def __init__(self, channels_in: int, channels_out: int, *, up: bool, key: Seed):
        self.up, self.kernel = up, conv_kernel(channels_in, channels_out, up=up, key=key)
        self.scale, self.bias = jnp.ones(channels_out), jnp.zeros(channels_out)

    def __call__(self, x: Stack) -> Stack:
        """Return the normalised maps [n height width channel_out]."""
        convolve = normed_conv_up if self.up else normed_conv_down
        return convolve(x, self.kernel, self.scale, self.bias)


def conv_kernel(channels_in: int, channels_out: int, *, up: bool, key: Seed) -> Kernel:
    """Initialise a kernel: [4 4 in out] to go down, [4 4 out in] to go up."""
    if not up:
        return truncated_normal((4, 4, channels_in, channels_out), 1 / np.sqrt(16 * channels_in), key=key)
    # Every output pixel is a sum over 2 x 2 inputs.
    return truncated_normal((4, 4, channels_out, channels_in), 1 / np.sqrt(4 * channels_in), key=key)


class ConvEncoder(eqx.Module):
    """Four convolutions of stride 2, each with LayerNorm over channels and SiLU; channels double, sides halve."""

    layers: tuple[NormedConv, ...]

    def __init__(self, depth: int, *, key: Seed):
        sizes = [3, depth, 2 * depth, 4 * depth, 8 * depth]
        keys = jax.random.split(key, 4)
        self.layers = tuple(
            NormedConv(a, b, up=False, key=k) for a, b, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )

    def __call__(self, pictures: Pictures) -> Vectors:
        """Encode pictures with values around 0 [*batch height width 3] to embeddings [*batch size]."""
        embeddings = microbatch(self._embed, pictures.reshape(-1, *pictures.shape[-3:]), size=PICTURES)
        return embeddings.reshape(*pictures.shape[:-3], -1)

    def _embed(self, x: Stack) -> Vectors:
        for layer in self.layers:
            x = jax.nn.silu(layer(x))
        return x.reshape(len(x), -1)

    def size(self, shape: tuple[int, int, int]) -> int:
        """Return the length of the embedding of a picture of this shape."""
        return shape[0] // 16 * (shape[1] // 16) * self.layers[-1].kernel.shape[-1]


class ConvDecoder(eqx.Module):
    """The way back: a dense layer to a small picture, then four transposed convolutions."""

    small: tuple[int, int, int] = eqx.field(static=True)
    dense: Linear
    layers: tuple[NormedConv, ...]
    kernel: Float[Array, "4 4 3 depth"]

    def __init__(self, size_in: int, shape: tuple[int, int, int], depth: int, *, key: Seed):
        dense_key, *keys = jax.random.split(key, 5)
        sizes = [8 * depth, 4 * depth, 2 * depth, depth]
        self.small = (shape[0] // 16, shape[1] // 16, sizes[0])
        self.dense = linear(size_in, int(np.prod(self.small)), key=dense_key)
        self.layers = tuple(
            NormedConv(a, b, up=True, key=k) for a, b, k in zip(sizes[:-1], sizes[1:], keys[:-1], strict=True)
        )
        self.kernel = conv_kernel(depth, 3, up=True, key=keys[-1])

    def __call__(self, features: Vectors) -> Pictures:
        """Decode features to pictures with values around 0, [*batch height width 3]."""
        x = batch_apply(self.dense, features).reshape(-1, *self.small)
        for layer in self.layers:
            x = jax.nn.silu(layer(x))
        pictures = conv_transpose_up(x, self.kernel)
        return pictures.reshape(*features.shape[:-1], *pictures.shape[1:])

    def loss(self, features: Vectors, pictures: Pictures) -> Float[Array, ""]:
        """Compute the sum of squared pixel errors, mean over pictures; gradients reach the decoder and the features."""

        def of_each(decoder: ConvDecoder, features: Vectors, pictures: Pictures) -> Float[Array, " n"]:
            errors = decoder(features) - pictures
            return sum_of_squares(errors.reshape(*errors.shape[:-2], -1))

        stacks = (features.reshape(-1, features.shape[-1]), pictures.reshape(-1, *pictures.shape[-3:]))
        return mean_loss(of_each, self, *stacks, size=PICTURES)
