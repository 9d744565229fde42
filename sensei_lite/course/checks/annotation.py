"""Checks of notebook 05_vlm_annotation."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sensei_lite.annotators.base import Answer
from sensei_lite.annotators.combine import combine_answers
from sensei_lite.course.checks.verdict import NotQuite, NotYet, check, expect, result_of

FIRST, SECOND, TIE, UNKNOWN = Answer

_SHARES = {
    "5 times first, 3 times second, 2 ties, 4 times no idea": (5, 3, 2, 4),
    "2 times first, 6 times second, 1 tie, once no idea": (2, 6, 1, 1),
    "only first and second": (9, 1, 0, 0),
}
"""How often FIRST, SECOND, TIE and UNKNOWN were said."""


@check
def share_of_first(attempt: Callable[..., Any]) -> str:
    """Check the position bias: attempt(answers [questions]) -> the share of FIRST among the decided answers."""
    for words, (first, second, tie, unknown) in _SHARES.items():
        said = np.random.default_rng(0).permutation(np.repeat(np.arange(4), (first, second, tie, unknown)))
        mistakes = {
            "Ties and 'no idea' say nothing about position: do not divide by them.": first / len(said),
            "A tie names no position: do not divide by it.": first / (first + second + tie),
            "'No idea' names no position: do not divide by it.": first / (first + second + unknown),
            "Is a tie half a 'first'? It names no position: leave it out.": (first + tie / 2) / (first + second + tie),
            "That is the share of the second position.": second / (first + second),
            "That is a number of answers, and a share is wanted.": first,
        }
        hint = "Divide the number of 'first' by the number of answers that name a position."
        expect(result_of(attempt, said), first / (first + second), of=words, mistakes=mistakes, hint=hint)
    return "the share of 'first' among the answers that name a position."


@check
def combine_orders(attempt: Callable[..., Any]) -> str:
    """Check the label from two orders: attempt(answer to a b, answer to b a) -> P[a is more interesting], or nan."""
    cases = sorted(itertools.product(Answer, Answer), key=_how_telling)
    for there, back in cases:
        of = f"a, b: {there.name}; b, a: {back.name}"
        if UNKNOWN in (there, back):
            _expect_nan(attempt, there, back)
            continue
        wanted = float(combine_answers(np.array([0, 1]), np.array([1, 0]), np.array([there, back])).target[0])
        found = result_of(attempt, there, back)
        if isinstance(found, float) and math.isnan(found):
            raise NotQuite(f"{of}: expected {wanted:g}, and yours is nan. {_hint(there, back)}")
        expect(found, wanted, of=of, mistakes=_mistakes(there, back), hint=_hint(there, back))
    return f"all {len(cases)} ways to answer twice."


_VALUE = {FIRST: 1.0, SECOND: 0.0, TIE: 0.5}
_TURN = "Did you turn the second answer round? In 'b, a' the word SECOND means a."


def _how_telling(case: tuple[Answer, Answer]) -> tuple[bool, bool, bool]:
    """Return a sort key that puts the most telling pairs of answers first.

    Agreement shows who forgets to turn an answer, and SECOND twice who counts one order only.
    """
    there, back = case
    return UNKNOWN in case, there != back.swapped(), case != (SECOND, SECOND)


def _mistakes(there: Answer, back: Answer) -> dict[str, float]:
    """Compute what well-known mistakes give; of those that give the same, the likelier first."""
    here, turned = _VALUE[there], _VALUE[back.swapped()]
    if there == back.swapped():
        return {_TURN: 0.5}
    return {
        "Does the second order count, too?": here,
        "The two orders contradict each other. Is that a choice?": 1.0,
        "Does the first order count, too?": turned,
        "A choice in one order and a tie in the other are two different judgements: a tie, not a part of one.": (
            (here + turned) / 2
        ),
    }


def _hint(there: Answer, back: Answer) -> str:
    if there == back.swapped():
        return "Both orders say the same about the two pictures. That is the judgement."
    return "The two orders say different things about the same pictures."


def _expect_nan(attempt: Callable[..., Any], there: Answer, back: Answer) -> None:
    """Check that the label is nan where nothing is known: no tie, and no answer that stands alone.

    Raises `NotQuite` where it is not.
    """
    problem = f"a, b: {there.name}; b, a: {back.name}: expected nan, for nothing is known. "
    problem += (
        "A tie would teach that both are equally interesting."
        if there == back
        else "An answer that was not confirmed may be one by position, and 'no idea' is no tie."
    )
    try:
        found = result_of(attempt, there, back)
    except NotYet:
        raise NotQuite(f"{problem} Give float('nan').") from None
    try:
        is_nan = math.isnan(found)
    except TypeError:
        is_nan = False
    if not is_nan:
        raise NotQuite(problem)
