"""The captioning task of each small CLIP: where its pictures and captions come from, and what it is measured on.

`annotators.clip.bundled` knows what the small CLIPs are, `training` trains on whichever task it is given.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import UInt8

from make.clip import captions, desk_captions
from make.clip.caption_data import TRAINING_WORLDS, sample_scenes
from make.clip.desk_data import is_clear, sample_desk
from make.clip.desk_evaluation import evaluate_desk_clip
from make.clip.evaluation import evaluate_clip
from make.clip.measures import Row
from sensei_lite.annotators.clip.annotator import ClipAnnotator
from sensei_lite.annotators.clip.bundled import DESK, KEYS, SmallClip
from sensei_lite.annotators.clip.model import fit_pictures
from sensei_lite.worlds.grid.world import GridWorld
from sensei_lite.worlds.tabletop import Tabletop


class Round(NamedTuple):
    """Pairs to learn from."""

    images: UInt8[np.ndarray, "n size size channel"]
    captions: list[str]


class DrawRound(Protocol):
    """Samples fresh pairs: ``per_world`` pictures of every world, each in a square of ``size``, shuffled."""

    def __call__(self, per_world: int, size: int, *, seed: int, random: np.random.Generator) -> Round:
        """Sample pairs. ``seed`` chooses the pictures, ``random`` their captions and their order."""


class CaptionTask(NamedTuple):
    """All that `training` needs to know of a small CLIP."""

    clip: SmallClip
    vocabulary: Callable[[], list[str]]
    """The words of its captions."""
    draw: DrawRound
    measure: Callable[[ClipAnnotator, int], dict[str, list[Row]]]
    """The tables of the model card, from about so many held-out pictures of every world."""
    tables: Path
    """Where the card's tables are, from the project's folder."""
    settings: dict[str, Any]
    """What is not as in `training.ClipTraining`."""


def draw_keys(
    per_world: int,
    size: int,
    *,
    seed: int,
    random: np.random.Generator,
    worlds: Sequence[GridWorld] = TRAINING_WORLDS,
) -> Round:
    """Sample pictures of KeyRooms and KeyChests, each at a place of its own in the square, and their captions."""
    images, texts = [], []
    for number, world in enumerate(worlds):
        some = sample_scenes(world, per_world, held_out=False, seed=seed * len(worlds) + number)
        images.append(_shift(fit_pictures(some.images, size), some.images.shape[1:3], random))
        texts += [
            captions.write_caption(some.scene.one(i), chest=some.chest, random=random) for i in range(len(some.images))
        ]
    return _shuffled(np.concatenate(images), texts, random)


def draw_desk(per_world: int, size: int, *, seed: int, random: np.random.Generator) -> Round:
    """Sample pictures of Tabletop's desk and their captions.

    Pictures that hide what the gripper has are left out: nothing true can be said of them.
    """
    some = sample_desk(Tabletop(), per_world, held_out=False, seed=seed)
    clear = np.flatnonzero(is_clear(some.scene))
    # Short captions teach to see what the fingers do; long ones teach that all the rest counts, too.
    texts = [
        desk_captions.write_caption(some.scene.one(i), random=random, share=random.random()) for i in clear.tolist()
    ]
    return _shuffled(fit_pictures(some.images[clear], size), texts, random)


def _shuffled(images: np.ndarray, texts: list[str], random: np.random.Generator) -> Round:
    order = random.permutation(len(texts))
    return Round(images[order], [texts[i] for i in order])


def _shift(images: np.ndarray, drawn: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Shift every picture within its black margin: where it lies must not matter."""
    size = images.shape[1]
    slack = [max(0, size - length) for length in drawn]
    first = [s // 2 for s in slack]
    moves = [random.integers(-f, s - f + 1, len(images)) for f, s in zip(first, slack, strict=True)]
    return np.stack([np.roll(image, (down, right), (0, 1)) for image, down, right in zip(images, *moves, strict=True)])


CAPTION_TASKS: dict[str, CaptionTask] = {
    "keys": CaptionTask(KEYS, captions.vocabulary, draw_keys, evaluate_clip, Path("book/data/clip"), {}),
    "desk": CaptionTask(
        DESK,
        desk_captions.vocabulary,
        draw_desk,
        evaluate_desk_clip,
        Path("book/data/clip_desk"),
        {"per_world": 4096, "steps": 4000},
    ),
}
"""By the name that ``--lesson`` takes."""
