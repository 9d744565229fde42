"""How words become the numbers that the small CLIP reads: one number for each word.

Large CLIPs cut text into pieces of words, from a table of 49,408. A small CLIP whose captions have a hundred words
needs one number per word:

    0 nothing (after the end)    1 .. n the words    n + 1 start    n + 2 end

`open_clip` reads a text at its largest number, so the end must have the largest. Source: the text tower of CLIP
(arXiv 2103.00020).
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class WordTokenizer:
    """Turns texts into numbers, int64 [n context]. Called like open_clip's own tokenizers."""

    def __init__(self, words: Sequence[str], context_length: int) -> None:
        self.numbers = {word: 1 + i for i, word in enumerate(words)}
        self.context_length = context_length
        self.start, self.end = len(words) + 1, len(words) + 2

    @classmethod
    def from_file(cls, path: Path, context_length: int) -> "WordTokenizer":
        """Read a vocabulary: one word on each line."""
        return cls(path.read_text(encoding="utf-8").split(), context_length)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self.end + 1

    def __call__(self, texts: str | Sequence[str]) -> Any:
        """Texts as a torch tensor, int64 [n context].

        Raises ValueError for words that the vocabulary does not have, and for texts longer than the context.
        """
        import torch

        rows = torch.zeros((1 if isinstance(texts, str) else len(texts), self.context_length), dtype=torch.long)
        for row, text in zip(rows, [texts] if isinstance(texts, str) else texts, strict=True):
            numbers = self._numbers(text)
            row[: len(numbers)] = torch.tensor(numbers)
        return rows

    def _numbers(self, text: str) -> list[int]:
        words = re.findall(r"\w+", text.lower())
        if strange := sorted({word for word in words if word not in self.numbers}):
            raise ValueError(
                f"the small CLIP was never taught {', '.join(strange)} (in {text!r}). It knows {len(self.numbers)} "
                "words, those of its captions: use them, or another model"
            )
        if len(words) + 2 > self.context_length:
            raise ValueError(f"{text!r} has {len(words)} words; the small CLIP reads {self.context_length - 2} at most")
        return [self.start, *(self.numbers[word] for word in words), self.end]
