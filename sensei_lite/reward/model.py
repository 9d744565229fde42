"""R_psi: from a picture to one number that says how interesting it is.

    R_psi(x) = (f_psi(x) - mean) / std

f_psi is a network, learned from preferences (`reward.distil`). Preferences fix f only up to a constant, and its scale
is how sure the annotator was. So R is standardised over the pictures that f was taught with: mean 0, standard deviation
1. Then a weight on this reward means the same whoever the annotator was; ``std`` keeps the scale that probabilities
need.

Two networks:

- *cnn*, the research code's: three convolutions (kernels 8, 4, 3; strides 4, 2, 2; no padding) with ELU, a 2 x 2
  max-pool, two hidden layers with ReLU, orthogonal weights.
- *patch*: every patch is embedded, each 3 x 3 neighbourhood of patches gives features, and the picture has a feature as
  strongly as the place where it is strongest. A grid world's situations are neighbourhoods of tiles ("the agent beside
  the door"), and they mean the same at every place. A layer that reads all patches at once has to learn that anew for
  every place: after 5,000 pairs it could not tell "beside the door with the key" from "with the key".

Source: SENSEI (arXiv 2503.01584) and its research code; Motif (arXiv 2310.00166). Simplified: the picture alone is read
(there MiniHack's inventory is a second input; our worlds draw it), and both networks take bytes as -0.5 to 0.5.
Built in notebook 06_reward_distillation.
"""

import dataclasses
import hashlib
import json
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from sensei_lite.config import DistilConfig
from sensei_lite.models.image_layers import PatchEncoder, conv_valid
from sensei_lite.models.layers import MLP, Block, batch_apply
from sensei_lite.types import Scalar, Seed

Shape = tuple[int, int, int]
"""Rows, columns and channels."""
Flat = Float[Array, "batch height width channel"]
"""Pictures with one batch axis and values around 0."""


class PatchNetwork(eqx.Module):
    """Patches, their neighbourhoods, the maximum of every feature over places, a number."""

    encoder: PatchEncoder
    look: Block
    head: MLP

    def __init__(self, config: DistilConfig, *, key: Seed):
        encoder_key, look_key, head_key = jax.random.split(key, 3)
        self.encoder = PatchEncoder(config.patch, config.depth, key=encoder_key)
        self.look = Block(9 * config.depth, config.hidden, key=look_key)
        self.head = MLP(config.hidden, 1, config.hidden, 1, key=head_key)

    def __call__(self, pictures: Flat) -> Float[Array, " batch"]:
        """Compute raw scores of pictures."""
        batch, height, width, _ = pictures.shape
        rows, columns = height // self.encoder.patch, width // self.encoder.patch
        grid = self.encoder(pictures).reshape(batch, rows, columns, -1)
        grid = jnp.pad(grid, ((0, 0), (1, 1), (1, 1), (0, 0)))
        near = [grid[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
        features = batch_apply(self.look, jnp.concatenate(near, -1)).reshape(batch, rows * columns, -1)
        # Not max(): its gradient asks which places equal the maximum, and where XLA computes the features anew for that
        # question, rounded differently, none does and the gradient is 0 / 0.
        strongest = jax.lax.stop_gradient(features).argmax(1, keepdims=True)
        return batch_apply(self.head, jnp.take_along_axis(features, strongest, 1)[:, 0])[:, 0]


class ConvNetwork(eqx.Module):
    """The research code's network, with its sizes at ``depth=16, hidden=512``."""

    kernels: tuple[Float[Array, "_ _ _ _"], ...]
    biases: tuple[Float[Array, " _"], ...]
    dense: tuple[eqx.nn.Linear, ...]

    def __init__(self, config: DistilConfig, shape: Shape, *, key: Seed):
        *keys, dense_key = jax.random.split(key, 4)
        orthogonal = jax.nn.initializers.orthogonal()
        channels = [3, config.depth, 2 * config.depth, 4 * config.depth]
        sizes = zip((8, 4, 3), channels[:-1], channels[1:], keys, strict=True)
        self.kernels = tuple(orthogonal(k, (side, side, a, b)) for side, a, b, k in sizes)
        self.biases = tuple(jnp.zeros(b) for b in channels[1:])
        picture = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        wide = [
            jax.eval_shape(_convolve, self.kernels, self.biases, picture).shape[-1],
            config.hidden // 2,
            config.hidden,
            1,
        ]
        self.dense = tuple(
            _orthogonal_linear(a, b, key=k)
            for a, b, k in zip(wide[:-1], wide[1:], jax.random.split(dense_key, 3), strict=True)
        )

    def __call__(self, pictures: Flat) -> Float[Array, " batch"]:
        """Compute raw scores of pictures."""
        x = _convolve(self.kernels, self.biases, pictures)
        for layer in self.dense[:-1]:
            x = jax.nn.relu(batch_apply(layer, x))
        return batch_apply(self.dense[-1], x)[:, 0]


def _convolve(kernels: tuple[Array, ...], biases: tuple[Array, ...], x: Flat) -> Float[Array, "batch features"]:
    for kernel, bias, stride in zip(kernels, biases, (4, 2, 2), strict=True):
        x = jax.nn.elu(conv_valid(x, kernel, stride) + bias)
    # A picture under 52 pixels leaves fewer than 2 rows or columns: then there is nothing to pool.
    window = (1, min(2, x.shape[1]), min(2, x.shape[2]), 1)
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")
    return x.reshape(len(x), -1)


def _orthogonal_linear(size_in: int, size_out: int, *, key: Seed) -> eqx.nn.Linear:
    layer = eqx.nn.Linear(size_in, size_out, key=key)
    weight = jax.nn.initializers.orthogonal()(key, (size_out, size_in))
    return eqx.tree_at(lambda layer: (layer.weight, layer.bias), layer, (weight, jnp.zeros(size_out)))


class SemanticReward(eqx.Module):
    """R_psi. Pure, so it can be called inside compiled code, on any axes in front of the pictures."""

    network: PatchNetwork | ConvNetwork
    mean: Scalar
    """Mean of the raw scores of the pictures that it was taught with."""
    std: Scalar
    """Their standard deviation, in logits: a difference of 1 in R_psi is ``std`` in the log-odds of being preferred."""
    image_shape: Shape = eqx.field(static=True)
    config: DistilConfig = eqx.field(static=True)

    def __init__(self, config: DistilConfig, image_shape: Shape, *, key: Seed):
        """Initialise an R_psi, not standardised. Raises ValueError for pictures that do not fit the encoder."""
        config.check_image(image_shape)
        self.config, self.image_shape = config, image_shape
        patches = config.encoder == "patch"
        self.network = PatchNetwork(config, key=key) if patches else ConvNetwork(config, image_shape, key=key)
        self.mean, self.std = jnp.zeros(()), jnp.ones(())

    def __call__(self, images: UInt8[Array | np.ndarray, "*batch height width channel"]) -> Float[Array, "*batch"]:
        """Compute R_psi of pictures: 0 for an average one of its training, +1 for a standard deviation above it.

        Raises ValueError for pictures of another size or type than those it was taught with.
        """
        return (self.scores(images) - self.mean) / self.std

    def scores(self, images: UInt8[Array | np.ndarray, "*batch height width channel"]) -> Float[Array, "*batch"]:
        """Compute raw scores f_psi of pictures: sigmoid(f(a) - f(b)) is the probability that a is preferred to b.

        Raises ValueError as R_psi does.
        """
        if images.shape[-3:] != self.image_shape or images.dtype != jnp.uint8:
            raise ValueError(
                f"this R_psi reads uint8 pictures of {list(self.image_shape)}, and these are "
                f"{images.dtype} {list(images.shape[-3:])}"
            )
        flat = jnp.asarray(images).reshape(-1, *self.image_shape).astype(jnp.float32) / 255.0 - 0.5
        return self.network(flat).reshape(images.shape[:-3])

    def standardised(self, images: np.ndarray) -> "SemanticReward":
        """Return this R_psi standardised to mean 0 and standard deviation 1 over pictures, uint8 [n height width 3].

        Raises ValueError where all of them have the same score: then there is no scale.
        """
        # Call-out P2 (ours): the research code takes R_psi as it comes, with a constant that no preference decides.
        scores = scores_of(self, images)
        mean, std = float(scores.mean()), float(scores.std())
        if not std > 1e-6:
            raise ValueError(f"R_psi says the same of all {len(images)} pictures: are they different at all?")
        where = lambda reward: (reward.mean, reward.std)  # noqa: E731
        return eqx.tree_at(where, self, (jnp.float32(mean), jnp.float32(std)))


def rewards_of(reward: SemanticReward, images: np.ndarray, chunk: int = 256) -> Float[np.ndarray, " n"]:
    """Compute R_psi of pictures, uint8 [n height width 3], ``chunk`` at a time. Raises ValueError as R_psi does."""
    return (scores_of(reward, images, chunk) - float(reward.mean)) / float(reward.std)


def scores_of(reward: SemanticReward, images: np.ndarray, chunk: int = 256) -> Float[np.ndarray, " n"]:
    """Compute raw scores of many pictures, uint8 [n height width 3]. Raises ValueError as R_psi does."""
    if images.ndim != 4:
        raise ValueError(
            f"pictures must be uint8 [n height width 3], and these are {images.dtype} {list(images.shape)}"
        )
    parts = [np.zeros(0, np.float32)]
    for begin in range(0, len(images), chunk):
        part = images[begin : begin + chunk]
        # Filled up to a full chunk, so that one compiled program does for all.
        full = np.concatenate([part, np.zeros((chunk - len(part), *part.shape[1:]), part.dtype)])
        parts.append(np.asarray(_scores(reward, full))[: len(part)])
    return np.concatenate(parts)


@eqx.filter_jit
def _scores(reward: SemanticReward, images: Any) -> Float[Array, " n"]:
    return reward.scores(images)


def content_hash(reward: SemanticReward) -> str:
    """Compute an R_psi's name: the hash of its settings and of every weight, 32 hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(settings_of(reward), sort_keys=True).encode())
    leaves, _ = jax.tree_util.tree_flatten_with_path(eqx.filter(reward, eqx.is_array))
    for path, leaf in leaves:
        digest.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode())
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:32]


def settings_of(reward: SemanticReward) -> dict[str, Any]:
    """Return what is needed to initialise an R_psi of the same shapes: its image shape and its settings."""
    return {"image_shape": list(reward.image_shape), "config": dataclasses.asdict(reward.config)}
