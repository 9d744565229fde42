"""The small CLIPs that ship with this package: which worlds each of them knows, its files, and its prompts.

Each was trained on one family of worlds and means nothing elsewhere (`lessons` says how they were taught). They are
told apart by name, so that run folders and agents that name one keep what they were trained with when another is added.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sensei_lite.annotators.clip.prompts import DESK_PROMPTS, PROMPTS

BUNDLED = "bundled"
BUNDLED_DESK = "bundled-desk"
_FOLDER = Path(__file__).parent / "small_clip"


class SmallClip(NamedTuple):
    """One of the small CLIPs."""

    name: str
    """What it is asked for by."""
    architecture: str
    """What open_clip calls its network."""
    worlds: tuple[str, ...]
    """How the names of the worlds begin that it is asked about (see `worlds.catalogue`)."""
    prompts: Mapping[str, float]
    """Sentences in its own words, with their interest."""
    folder: Path
    """Where its files are."""

    @property
    def config(self) -> Path:
        """The sizes of its network, as open_clip reads them."""
        return self.folder / f"{self.architecture}.json"

    @property
    def weights(self) -> Path:
        """What it has learned."""
        return self.folder / "weights.safetensors"

    @property
    def words(self) -> Path:
        """The words that it knows, one on each line."""
        return self.folder / "vocabulary.txt"


# The real MiniHack has the same rooms and keys, and is asked about with the same prompts; it looks different, though.
KEYS = SmallClip(BUNDLED, "sensei_small_clip", ("keyroom", "keychest", "minihack"), PROMPTS, _FOLDER)
DESK = SmallClip(BUNDLED_DESK, "sensei_small_clip_desk", ("tabletop",), DESK_PROMPTS, _FOLDER / "desk")
SMALL_CLIPS = (KEYS, DESK)


def small_clip_called(name: str) -> SmallClip | None:
    """The small CLIP of that name or architecture; None if there is none."""
    return next((clip for clip in SMALL_CLIPS if name in (clip.name, clip.architecture)), None)


def small_clip_for(world: str) -> SmallClip | None:
    """The small CLIP for a world by its name, such as ``keyroom-s15``; None for a world that none of them knows."""
    return next((clip for clip in SMALL_CLIPS if world.startswith(clip.worlds)), None)
