"""The small CLIPs that ship with this package: which worlds each of them knows, its files, its prompts and its words.

Each was trained on one family of worlds and means nothing elsewhere (`book/make/clip` says how they were taught). They
are told apart by name, so that run folders and agents that name one keep what they were trained with when another is
added.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sensei_lite.annotators.clip.prompts import DESK_PROMPTS, KEY_PROMPTS

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
    """How the names of the worlds begin that it is asked about (see `worlds.registry`)."""
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
KEYS = SmallClip(BUNDLED, "sensei_small_clip", ("keyroom", "keychest", "minihack"), KEY_PROMPTS, _FOLDER)
DESK = SmallClip(BUNDLED_DESK, "sensei_small_clip_desk", ("tabletop",), DESK_PROMPTS, _FOLDER / "desk")
SMALL_CLIPS = (KEYS, DESK)


def small_clip_called(name: str) -> SmallClip | None:
    """Find the small CLIP of that name or architecture; None if there is none."""
    return next((clip for clip in SMALL_CLIPS if name in (clip.name, clip.architecture)), None)


def small_clip_for(world: str) -> SmallClip | None:
    """Find the small CLIP for a world by its name, such as ``keyroom-s15``; None if none of them knows it."""
    return next((clip for clip in SMALL_CLIPS if world.startswith(clip.worlds)), None)


class WordTokenizer:
    """Tokenizes texts for a small CLIP, one token for each word. Called like open_clip's own tokenizers.

    Large CLIPs cut text into pieces of words, from a table of 49,408. Captions of a hundred words need no more than

        0 nothing (after the end)    1 .. n the words    n + 1 start    n + 2 end

    `open_clip` reads a text at its largest token, so the end must have the largest.

    Args:
        words: the vocabulary.
        context_length: how many tokens a text has.
    """

    def __init__(self, words: Sequence[str], context_length: int) -> None:
        self.numbers = {word: 1 + i for i, word in enumerate(words)}
        self.start, self.end = len(words) + 1, len(words) + 2
        self.size = len(words) + 3
        self.context_length = context_length

    def __call__(self, texts: str | Sequence[str]) -> Any:
        """Convert texts to a torch tensor, int64 [n context].

        Raises ValueError for words that the vocabulary does not have, and for texts longer than the context.
        """
        import torch

        rows = [self._tokens(text) for text in ([texts] if isinstance(texts, str) else texts)]
        return torch.tensor([row + [0] * (self.context_length - len(row)) for row in rows], dtype=torch.long)

    def _tokens(self, text: str) -> list[int]:
        words = re.findall(r"\w+", text.lower())
        if strange := sorted({word for word in words if word not in self.numbers}):
            raise ValueError(
                f"the small CLIP was never taught {', '.join(strange)} (in {text!r}). It knows {len(self.numbers)} "
                "words, those of its captions: use them, or another model"
            )
        if len(words) + 2 > self.context_length:
            raise ValueError(f"{text!r} has {len(words)} words; the small CLIP reads {self.context_length - 2} at most")
        return [self.start, *(self.numbers[word] for word in words), self.end]
