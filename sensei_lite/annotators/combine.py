"""What the answers about a pair of pictures say together, when it was asked in both orders.

    the same judgement twice -> that judgement
    two different ones       -> a tie, for the annotator looked at the position (or guessed); it is counted
    UNKNOWN in one or both   -> nothing: the pair is dropped
    asked in one order only  -> the judgement that there is

Real annotators prefer a position: GPT-4 chose the second picture in 58% of SENSEI's Robodesk pairs, LLaVA the first in
83% (see `agreement`). An annotator that always says "first" contradicts itself in every pair, so nothing is left of
its bias but ties. So an answer whose other order got UNKNOWN must not stand for both: nobody has checked it, and it is
as biased as before. Simplified: a tie against a decided answer counts as a tie too, where one could give it a weight.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

_TARGET = np.array([1.0, 0.0, 0.5, np.nan])
"""P[first is more interesting] by `Answer`; not a number where nothing is known."""
_NOT_ASKED = -1.0
"""In place of a judgement, where the pair was not asked in that order."""


class Judgements(NamedTuple):
    """One judgement for each pair about which anything is known, in the order in which the pairs were first asked."""

    first: Int[np.ndarray, " pairs"]
    """Number of the picture that stood first when the pair was first asked."""
    second: Int[np.ndarray, " pairs"]
    target: Float[np.ndarray, " pairs"]
    """1: the first is more interesting; 0: the second; 0.5: a tie."""
    both_orders: Bool[np.ndarray, " pairs"]
    """Whether both orders were asked (and gave an answer other than UNKNOWN, or the pair would not be here)."""
    contradicted: Bool[np.ndarray, " pairs"]
    """Whether those two answers were different judgements."""
    dropped: int
    """Pairs of which nothing is known: UNKNOWN in an order that was asked."""


def combine_answers(first: np.ndarray, second: np.ndarray, answer: np.ndarray) -> Judgements:
    """Combine one annotator's answers, at most one for each order of a pair.

    Args:
        first: numbers of the pictures that stood first [questions], from 0 to 2^31 - 1.
        second: those that stood second [questions].
        answer: values of `Answer` [questions].
    """
    _, asked_first, pair = np.unique(pair_code(first, second), return_index=True, return_inverse=True)
    forward = first < second
    said = _TARGET[answer]
    # Both are P[the picture of the lower number is more interesting], not a number where the answer was UNKNOWN.
    one, other = np.full(len(asked_first), _NOT_ASKED), np.full(len(asked_first), _NOT_ASKED)
    one[pair[forward]] = said[forward]
    other[pair[~forward]] = 1 - said[~forward]
    both = (one != _NOT_ASKED) & (other != _NOT_ASKED)
    twice = np.where(np.isnan(one + other), np.nan, np.where(one == other, one, 0.5))
    target = np.where(both, twice, np.where(one == _NOT_ASKED, other, one))
    target = np.where(forward[asked_first], target, 1 - target)
    order = np.argsort(asked_first)
    order = order[~np.isnan(target[order])]
    asked = asked_first[order]
    contradicted = both & (one != other)
    dropped = int(np.isnan(target).sum())
    return Judgements(first[asked], second[asked], target[order], both[order], contradicted[order], dropped)


def pair_code(first: np.ndarray, second: np.ndarray) -> Int[np.ndarray, " n"]:
    """Return one number for each pair of numbers below 2^31, the same in both orders."""
    return np.minimum(first, second).astype(np.int64) << 32 | np.maximum(first, second).astype(np.int64)
