"""From clauses to a caption: which of the true things are said, in which words and in which order.

A *clause* is a tuple of wordings that mean the same. The first clause of a caption is always said, for it tells what
matters most. Of the others each is said by chance, in any order, so that no two captions of a scene need be alike. What
the clauses are is for each world's captions to know (`captions`, `desk_captions`).

Wordings can have places to be filled later, such as ``{a}``: one letter in braces.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

Clause = tuple[str, ...]
Scenes = TypeVar("Scenes", bound=tuple)


def one_of(scenes: Scenes, i: int) -> Scenes:
    """Return the i-th of many scenes (a named tuple of arrays), as plain Python values."""
    return type(scenes)(*(np.asarray(part)[i].item() for part in scenes))


def some_clauses(
    main: Clause,
    also: Sequence[Clause],
    *,
    random: np.random.Generator,
    share: float,
    chance: Mapping[Clause, float] | None = None,
) -> str:
    """Sample a caption: the main clause, and some of the others behind it, each in one of its wordings.

    Args:
        main: what is always said.
        also: what else is true.
        random: chooses.
        share: the chance of each of ``also`` to be said.
        chance: what ``share`` is multiplied with, for clauses that are to be said less often.
    """
    less = chance or {}
    said = [clause for clause in also if random.random() < share * less.get(clause, 1.0)]
    clauses = [main, *(said[i] for i in random.permutation(len(said)))]
    return ", ".join(clause[random.integers(len(clause))] for clause in clauses)


def all_clauses(main: Clause, also: Sequence[Clause]) -> str:
    """Return a caption of all clauses, each in its first wording."""
    return ", ".join(clause[0] for clause in (main, *also))


def words_of(clauses: Iterable[Clause]) -> list[str]:
    """Return every word that the clauses can have, in alphabetical order."""
    phrases = " ".join(phrase for clause in clauses for phrase in clause)
    return sorted(set(re.findall(r"[a-z]+", re.sub(r"{.}", " ", phrases))))
