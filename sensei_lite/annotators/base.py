"""Who says which of two images is more interesting: one interface for models, services and people.

    annotate(images_a, images_b) -> for each pair an answer in {FIRST, SECOND, TIE, UNKNOWN}

Answers come one by one, in any order, as soon as they are known, so that each can be stored before the next is there.
Checking, asking in both orders, resuming and counting cost belong to `query` and `store`, once for every annotator.

Source: the answers are those of SENSEI's prompt (arXiv 2503.01584): the first image, the second, both, no idea. Built
in notebook 05_vlm_annotation.
"""

import abc
import enum
import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

HostImages = UInt8[np.ndarray, "batch height width channel"]


class Answer(enum.IntEnum):
    """Which of two images is more interesting. The numbers are stored: they never change their meaning."""

    FIRST = 0
    SECOND = 1
    TIE = 2
    UNKNOWN = 3
    """No idea, a refusal, or words that mean nothing: such a pair teaches nothing."""

    def swapped(self) -> "Answer":
        """Return the same judgement about the same two images in the other order."""
        return {Answer.FIRST: Answer.SECOND, Answer.SECOND: Answer.FIRST}.get(self, self)


class Reply(NamedTuple):
    """One answer, and what it was made of."""

    answer: Answer
    raw: str = ""
    """What the annotator said in its own words or numbers."""
    cost: float = 0.0
    """What it cost, in US dollars."""


class AnnotatorId(NamedTuple):
    """Whose answers: the fields of an `Annotator`."""

    name: str
    version: str
    prompt_hash: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, self))


class Annotator(abc.ABC):
    """Someone who compares images."""

    name: str
    """Who: ``clip``, ``chat``, ``scripted``."""
    version: str
    """Which: changes whenever the same question could get another answer (model, weights, settings)."""
    prompt_hash: str = ""
    """Hash of the words of the question, where there are any."""
    chunk: int = 256
    """Questions that are handed over in one call of `annotate`, at most."""

    @property
    def id(self) -> AnnotatorId:
        """The identity under which its answers are kept."""
        return AnnotatorId(self.name, self.version, self.prompt_hash)

    @abc.abstractmethod
    def annotate(self, images_a: HostImages, images_b: HostImages) -> Iterator[tuple[int, Reply]]:
        """Compare ``images_a[i]`` (first) with ``images_b[i]`` (second), for every i.

        Yields (i, reply), each i once, in any order, as soon as each is known. The caller may stop at any time.
        """


def image_hash(image: np.ndarray) -> str:
    """Compute the name of a picture from its shape and bytes. Equal pictures have equal names, on every machine."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()[:32]
