"""What passes between the stages: pictures that an agent saw, and which of two of them was preferred.

    observations  ->  pairs  ->  answers  ->  preferences  ->  R_psi

Both are plain NumPy, so that neither the annotators nor the models need to know where pictures come from.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from sensei_lite.annotators.base import image_hash

FORMAT = "observations format"
VERSION = 1
_FACT = "fact/"


class Observations(NamedTuple):
    """Pictures that an agent saw, each with its place in time, and what was true there if the world can tell."""

    images: UInt8[np.ndarray, "n height width channel"]
    episode: Int[np.ndarray, " n"]
    """The number of the episode that a picture is from: pictures of one episode are never told apart by chance."""
    t: Int[np.ndarray, " n"]
    """Its step in the episode, from 0."""
    facts: dict[str, Bool[np.ndarray, " n"]]
    """Named truths about the state, such as ``door_opened``: for measuring and for scripted annotators, never for
    agents. Empty where the world cannot tell."""

    def choose(self, which: np.ndarray) -> "Observations":
        """Return only those with these indices, or those where a mask is true."""
        return Observations(
            self.images[which], self.episode[which], self.t[which], {k: v[which] for k, v in self.facts.items()}
        )


class Preferences(NamedTuple):
    """Answers as a learner takes them: P[first is more interesting than second] for pairs of pictures."""

    images: UInt8[np.ndarray, "n height width channel"]
    """Every picture once."""
    episode: Int[np.ndarray, " n"]
    """The episode in which each was first seen; held-out pairs come from episodes of their own."""
    first: Int[np.ndarray, " pairs"]
    """Index of the first picture of each pair."""
    second: Int[np.ndarray, " pairs"]
    target: Float[np.ndarray, " pairs"]
    """1: the first is more interesting; 0: the second; 0.5: a tie."""


def join_observations(parts: Sequence[Observations]) -> Observations:
    """Concatenate them. All must know the same facts and have pictures of one size."""
    return Observations(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.episode for part in parts]),
        np.concatenate([part.t for part in parts]),
        {name: np.concatenate([part.facts[name] for part in parts]) for name in parts[0].facts},
    )


def save_observations(path: Path, observations: Observations) -> None:
    """Write them to one file (NumPy's .npz, no pickle), compressed. The folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {_FACT + name: values for name, values in observations.facts.items()}
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            np.savez_compressed(
                file,
                allow_pickle=False,
                **{FORMAT: np.int64(VERSION)},
                images=observations.images,
                episode=observations.episode,
                t=observations.t,
                **facts,
            )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_observations(path: Path) -> Observations:
    """Read what `save_observations` wrote.

    Raises FileNotFoundError, or ValueError where the file is none of these or of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            version = int(stored[FORMAT]) if FORMAT in stored else None
            if version != VERSION:
                raise ValueError(f"observations format {version}, and this code reads {VERSION}")
            facts = {name.removeprefix(_FACT): stored[name] for name in stored.files if name.startswith(_FACT)}
            observations = Observations(stored["images"], stored["episode"], stored["t"], facts)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{path} holds no observations: {error}") from error
    check_images(observations.images)
    return observations


def check_images(images: np.ndarray) -> None:
    """Raise ValueError where these are not pictures: uint8 [n height width 3]."""
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise ValueError(
            f"pictures must be uint8 [n height width 3], and these are {images.dtype} {list(images.shape)}"
        )


def distinct_images(
    images: UInt8[np.ndarray, "n height width channel"],
) -> tuple[Int[np.ndarray, " distinct"], Int[np.ndarray, " n"]]:
    """Find the first index of every different picture, in the order of their hashes, and which of these each image is.

    Raises ValueError for what is no picture.
    """
    check_images(images)
    names = np.array([image_hash(image) for image in images], dtype=str)
    _, first, which = np.unique(names, return_index=True, return_inverse=True)
    return first, which
