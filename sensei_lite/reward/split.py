"""Which preferences can teach, and which of them check what was learned.

Pictures of one episode are nearly alike, so a picture says little about how R_psi does on its neighbours in time. That
is why a share of the *episodes* is drawn and held out. A pair is a training pair only if neither of its pictures is
from a held-out episode; all other pairs check. Some of these straddle the border: they hold an unseen picture against
a known one. Pairs between two unseen pictures are fewer (a share p of the episodes makes p^2 of random pairs) and are
counted on their own. So no held-out picture is ever learned from, and no answer is thrown away.

Different from the research code, which holds out pairs whatever their episodes.
"""

import hashlib
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from sensei_lite.annotators.data import Preferences, check_images
from sensei_lite.types import Seed


class Split(NamedTuple):
    """The training pairs and the held-out pairs."""

    train: Int[np.ndarray, " train"]
    """Indices of training pairs: neither picture is from a held-out episode."""
    held_out: Int[np.ndarray, " held_out"]
    """Indices of all others."""
    unseen: Int[np.ndarray, " unseen"]
    """Those of them whose pictures are both from held-out episodes."""
    episodes: Int[np.ndarray, " episodes"]
    """The held-out episodes."""


def split_by_episode(preferences: Preferences, share: float, *, key: Seed) -> Split:
    """Split preferences: hold out the pairs that touch a ``share`` of the episodes, drawn at random (at least one).

    Raises ValueError where there is one episode only, or no pair is left to learn from.
    """
    first, second = preferences.episode[preferences.first], preferences.episode[preferences.second]
    episodes = np.union1d(first, second)
    if len(episodes) < 2:
        raise ValueError(
            f"all pairs are from {len(episodes)} episode: there must be 2 or more, one of them to check with"
        )
    number = min(max(1, round(share * len(episodes))), len(episodes) - 1)
    held = np.asarray(jax.random.choice(key, episodes, (number,), replace=False))
    a, b = np.isin(first, held), np.isin(second, held)
    split = Split(np.flatnonzero(~a & ~b), np.flatnonzero(a | b), np.flatnonzero(a & b), np.sort(held))
    if not len(split.train):
        raise ValueError(
            f"no pair is left to learn from when {number} of {len(episodes)} episodes are held out: there must be "
            "pairs within single episodes, more episodes, or a smaller distil.held_out"
        )
    return split


def check_preferences(preferences: Preferences) -> None:
    """Check preferences. Raises ValueError where there is nothing to learn from them, or they do not fit together."""
    check_images(preferences.images)
    n, pairs, target = len(preferences.images), len(preferences.first), preferences.target
    if not pairs:
        raise ValueError("there are no pairs to learn from: has the annotator answered yet?")
    if not (len(preferences.second) == len(target) == pairs and len(preferences.episode) == n):
        raise ValueError(
            f"first, second and target have {pairs}, {len(preferences.second)} and {len(target)} entries, episode and "
            f"images {len(preferences.episode)} and {n}: they must agree"
        )
    for name, index in (("first", preferences.first), ("second", preferences.second)):
        if index.min() < 0 or index.max() >= n:
            raise ValueError(f"preferences.{name} points at picture {index.max()}, and there are {n}")
    if not ((target >= 0) & (target <= 1)).all():
        raise ValueError("preferences.target must be between 0 and 1 everywhere")
    decided = target[target != 0.5]
    if not len(decided):
        raise ValueError(f"all {pairs} answers are ties: nothing can be learned from them")
    for side, always in (("first", (decided > 0.5).all()), ("second", (decided < 0.5).all())):
        if always:
            raise ValueError(
                f"the {side} picture was preferred in all {len(decided)} pairs that were decided. That speaks of the "
                "annotator's position bias, not of the pictures: ask every pair in both orders"
            )


def deduplicate(preferences: Preferences) -> Preferences:
    """Deduplicate pictures: equal ones become one, the first, so that none is both held out and learned from."""
    seen: dict[bytes, int] = {}
    same = np.array(
        [seen.setdefault(hashlib.blake2b(image.tobytes()).digest(), i) for i, image in enumerate(preferences.images)]
    )
    return preferences._replace(first=same[preferences.first], second=same[preferences.second])
