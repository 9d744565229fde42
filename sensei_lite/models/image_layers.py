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

from sensei_lite.models._fast.convolutions import double, halve
from sensei_lite.models._fast.layer_norm import LayerNorm, centred
from sensei_lite.models._fast.microbatch import a_few_at_a_time, mean_in_one_pass, worth_keeping
from sensei_lite.models.layers import Block, Linear, Vectors, in_rows, linear, truncated_normal
from sensei_lite.types import Seed

Pictures = Float[Array, "*batch _ _ _"]
"""Rows, columns and channels, which a layer may all change."""

PICTURES = 32
"""Pictures that go through all convolutions together on a CPU (see `a_few_at_a_time`)."""


def patches_of(pictures: Pictures, patch: int) -> Float[Array, "*batch patches pixels"]:
    """Cut pictures into squares of ``patch`` pixels, row by row, each as one vector."""
    *batch, height, width, _ = pictures.shape
    squares = pictures.reshape(*batch, height // patch, patch, width // patch, patch, 3)
    return jnp.swapaxes(squares, -4, -3).reshape(*batch, -1, patch * patch * 3)


def sum_of_squares(errors: Float[Array, "*batch rows size"]) -> Float[Array, "*batch"]:
    """Sum over the last two axes, first the last: XLA adds long rows of a matrix faster than small blocks."""
    return jnp.square(errors).reshape(-1, errors.shape[-1]).sum(-1).reshape(errors.shape[:-1]).sum(-1)


class PatchEncoder(eqx.Module):
    """A convolution whose stride equals its kernel: every patch of the picture is embedded by the same block."""

    patch: int = eqx.field(static=True)
    embed: Block

    def __init__(self, patch: int, depth: int, *, key: Seed):
        self.patch = patch
        self.embed = Block(patch * patch * 3, depth, key=key)

    def __call__(self, pictures: Pictures) -> Vectors:
        """Pictures with values around 0 to their embeddings, the patches' embeddings in a row."""
        return in_rows(self.embed, patches_of(pictures, self.patch)).reshape(*pictures.shape[:-3], -1)

    def size(self, shape: tuple[int, int, int]) -> int:
        """How long the embedding of a picture of this shape is."""
        return shape[0] // self.patch * (shape[1] // self.patch) * self.embed.linear.weight.shape[0]


class PatchDecoder(eqx.Module):
    """The way back: every patch is drawn from an embedding of its own by the same layer."""

    patch: int = eqx.field(static=True)
    shape: tuple[int, int, int] = eqx.field(static=True)
    spread: Block
    draw: Linear

    def __init__(self, size_in: int, shape: tuple[int, int, int], patch: int, depth: int, *, key: Seed):
        spread_key, draw_key = jax.random.split(key)
        self.patch, self.shape = patch, shape
        patches = shape[0] // patch * (shape[1] // patch)
        self.spread = Block(size_in, patches * depth, key=spread_key)
        self.draw = linear(depth, patch * patch * 3, key=draw_key)

    def __call__(self, features: Vectors) -> Pictures:
        """Features to pictures with values around 0."""
        height, width, _ = self.shape
        batch, p = features.shape[:-1], self.patch
        squares = self._patches(features).reshape(*batch, height // p, width // p, p, p, 3)
        return jnp.swapaxes(squares, -4, -3).reshape(*batch, height, width, 3)

    def loss(self, features: Vectors, pictures: Pictures) -> Float[Array, ""]:
        """The sum of squared pixel errors, mean over pictures.

        Patch by patch: putting the drawn patches in their places takes longer.
        """
        return sum_of_squares(self._patches(features) - patches_of(pictures, self.patch)).mean()

    def _patches(self, features: Vectors) -> Float[Array, "*batch patches pixels"]:
        embeddings = in_rows(self.spread, features).reshape(*features.shape[:-1], -1, self.draw.weight.shape[1])
        return in_rows(self.draw, embeddings)


class StridedConvolution(eqx.Module):
    """A convolution with kernel 4 and stride 2 that halves the picture (see `convolutions`), for a norm to follow."""

    kernel: Float[Array, "4 4 channel_in channel_out"]

    def __init__(self, channels_in: int, channels_out: int, *, key: Seed):
        deviation = 1 / np.sqrt(16 * channels_in)
        self.kernel = truncated_normal((4, 4, channels_in, channels_out), deviation, key=key)

    def __call__(self, x: Pictures) -> Pictures:
        """[height width in] to [height/2 width/2 out], the mean over ``out`` taken off (see `layer_norm`)."""
        *batch, height, width, channels = x.shape
        flat = halve(x.reshape(-1, height, width, channels).astype(self.kernel.dtype), centred(self.kernel, axis=-1))
        return worth_keeping(flat.reshape(*batch, *flat.shape[1:]))


class StridedDeconvolution(eqx.Module):
    """The transpose of `StridedConvolution`: doubles the picture."""

    kernel: Float[Array, "4 4 channel_out channel_in"]

    def __init__(self, channels_in: int, channels_out: int, *, key: Seed):
        deviation = 1 / np.sqrt(4 * channels_in)  # every output pixel is a sum over 2 x 2 inputs
        self.kernel = truncated_normal((4, 4, channels_out, channels_in), deviation, key=key)

    def __call__(self, x: Pictures) -> Pictures:
        """[height width in] to [2 height 2 width out]."""
        return _doubled(x, self.kernel)

    def centred(self, x: Pictures) -> Pictures:
        """The same, the mean over ``out`` taken off, for the norm that follows (see `layer_norm`)."""
        return _doubled(x, centred(self.kernel, axis=2))


def _doubled(x: Pictures, kernel: Array) -> Pictures:
    *batch, height, width, channels = x.shape
    flat = double(x.reshape(-1, height, width, channels).astype(kernel.dtype), kernel)
    return worth_keeping(flat.reshape(*batch, *flat.shape[1:]))


class ConvEncoder(eqx.Module):
    """Four strided convolutions, each with LayerNorm over channels and SiLU; channels double, sides halve."""

    layers: tuple[StridedConvolution, ...]
    norms: tuple[LayerNorm, ...]

    def __init__(self, depth: int, *, key: Seed):
        sizes = [3, depth, 2 * depth, 4 * depth, 8 * depth]
        keys = jax.random.split(key, 4)
        self.layers = tuple(
            StridedConvolution(a, b, key=k) for a, b, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )
        self.norms = tuple(LayerNorm(size) for size in sizes[1:])

    def __call__(self, pictures: Pictures) -> Vectors:
        """Pictures with values around 0 to their embeddings."""
        embeddings = a_few_at_a_time(self._embed, pictures.reshape(-1, *pictures.shape[-3:]), few=PICTURES)
        return embeddings.reshape(*pictures.shape[:-3], -1)

    def _embed(self, x: Pictures) -> Vectors:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = jax.nn.silu(in_rows(norm, layer(x)))
        return x.reshape(len(x), -1)

    def size(self, shape: tuple[int, int, int]) -> int:
        """How long the embedding of a picture of this shape is."""
        return shape[0] // 16 * (shape[1] // 16) * self.layers[-1].kernel.shape[-1]


class ConvDecoder(eqx.Module):
    """The way back: a linear layer to a small picture, then four strided deconvolutions."""

    small: tuple[int, int, int] = eqx.field(static=True)
    spread: Linear
    layers: tuple[StridedDeconvolution, ...]
    norms: tuple[LayerNorm, ...]

    def __init__(self, size_in: int, shape: tuple[int, int, int], depth: int, *, key: Seed):
        spread_key, *keys = jax.random.split(key, 5)
        sizes = [8 * depth, 4 * depth, 2 * depth, depth, 3]
        self.small = (shape[0] // 16, shape[1] // 16, sizes[0])
        self.spread = linear(size_in, int(np.prod(self.small)), key=spread_key)
        self.layers = tuple(
            StridedDeconvolution(a, b, key=k) for a, b, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )
        self.norms = tuple(LayerNorm(size) for size in sizes[1:-1])

    def __call__(self, features: Vectors) -> Pictures:
        """Features to pictures with values around 0."""
        x = in_rows(self.spread, features).reshape(*features.shape[:-1], *self.small)
        for layer, norm in zip(self.layers[:-1], self.norms, strict=True):
            x = jax.nn.silu(in_rows(norm, layer.centred(x)))
        return self.layers[-1](x)

    def loss(self, features: Vectors, pictures: Pictures) -> Float[Array, ""]:
        """The sum of squared pixel errors, mean over pictures. The gradient reaches the decoder and the features."""

        def of_each(decoder: ConvDecoder, features: Vectors, pictures: Pictures) -> Float[Array, " n"]:
            errors = decoder(features) - pictures
            return sum_of_squares(errors.reshape(*errors.shape[:-2], -1))

        stacks = (features.reshape(-1, features.shape[-1]), pictures.reshape(-1, *pictures.shape[-3:]))
        return mean_in_one_pass(of_each, self, *stacks, few=PICTURES)
