"""Ask an annotator about pairs of pictures, and lose nothing: not by Ctrl-C, not by an error, not by a kill.

    questions that the store has no answer to  ->  annotate(chunk)  ->  each reply to the store before the next is taken

Whoever is interrupted and asks again goes on where the store ends. Two processes that ask the same annotator the same
questions at the same time would both be answered (and both pay): give them different pairs.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Generator
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from sensei_lite.annotators.base import Annotator, AnnotatorId, Answer, Reply
from sensei_lite.annotators.data import Observations, check_images
from sensei_lite.annotators.pairs import check_pairs
from sensei_lite.annotators.store import Store

_BLOCK = 1024
_IN_NOTEBOOK = any(base.__module__ == "tqdm.notebook" for base in tqdm.__mro__)


class Budget(NamedTuple):
    """What one call of `ask` may use up; whatever is None has no limit."""

    calls: int | None = None
    """Questions."""
    dollars: float | None = None
    """US dollars. Asking stops with the reply that reaches it, so it is passed by that reply's cost at most, and by
    that of questions which the annotator had already under way."""


class QueryStats(NamedTuple):
    """What one call of `ask` did."""

    asked: int
    """Questions that were answered now."""
    skipped: int
    """Questions that the store had the answer to."""
    left: int
    """Questions that are still open: the budget was used up, or the annotator did not answer them."""
    answers: dict[Answer, int]
    """How often each answer was given now."""
    cost: float
    """US dollars, now."""


Questions = dict[tuple[str, str], tuple[int, int]]
"""The hashes of the first picture and the second, under which the store keeps the answer: their indices."""


def open_questions(
    store: Store, who: AnnotatorId, observations: Observations, pairs: np.ndarray, *, both_orders: bool
) -> tuple[Questions, int]:
    """Store the pictures, and find the questions that the store has no answer to; equal pictures are one.

    Returns these, the two orders of a pair one after the other, and how many others are answered.

    Raises ValueError for pairs that are none, and for a picture with itself.
    """
    check_images(observations.images)
    check_pairs(pairs, len(observations.images))
    hashes: dict[int, str] = {}
    used = np.unique(pairs)
    for indices in np.split(used, range(_BLOCK, len(used), _BLOCK)):
        some = observations.choose(indices)
        hashes.update(zip(indices.tolist(), store.add_images(some.images, some.episode, some.t), strict=True))
    questions: Questions = {}
    for i, j in pairs.tolist():
        if hashes[i] == hashes[j]:
            raise ValueError(f"pair {[i, j]} is one picture twice")
        for first, second in [(i, j), (j, i)][: 1 + both_orders]:
            questions.setdefault((hashes[first], hashes[second]), (first, second))
    answered = store.answered(who, questions)
    left = {names: indices for (names, indices), done in zip(questions.items(), answered, strict=True) if not done}
    return left, len(questions) - len(left)


def ask(
    store: Store,
    annotator: Annotator,
    observations: Observations,
    pairs: np.ndarray,
    *,
    both_orders: bool = True,
    budget: Budget | None = None,
    progress: bool = True,
) -> QueryStats:
    """Ask about every pair that the store has no answer to from this annotator, version and prompt.

    The two orders of a pair follow each other, so that wherever asking stops, the pairs that were asked are complete.

    Args:
        store: where the pictures and the answers go.
        annotator: whom to ask, at most ``annotator.chunk`` questions at a time.
        observations: the pictures.
        pairs: indices of the first and the second picture of each, int [pairs 2].
        both_orders: ask the second question too, with the pictures exchanged.
        budget: when to stop.
        progress: show a bar with the cost so far and the time left.

    Raises ValueError for pairs that are none, a picture with itself and a budget below 0, before anything is asked.
    Whatever the annotator raises passes through, as does KeyboardInterrupt; all replies that came before are in the
    store then.
    """
    budget = budget or Budget()
    for field, limit in budget._asdict().items():
        if limit is not None and not limit >= 0:
            raise ValueError(f"budget.{field} is {limit}; it must be at least 0, or None for no limit")
    who = annotator.id
    left, skipped = open_questions(store, who, observations, pairs, both_orders=both_orders)
    allowed = [] if budget.dollars == 0 else list(left.items())[: budget.calls]
    given: Counter[Answer] = Counter()
    cost = 0.0
    bar = tqdm(
        total=skipped + len(allowed),
        initial=skipped,
        desc=f"ask {annotator.name}",
        unit="question",
        disable=not progress,
        leave=not _IN_NOTEBOOK,  # a terminal scrolls on, and in a notebook a finished bar would stay for ever
    )
    with bar, contextlib.closing(_replies(annotator, observations, allowed)) as replies:
        for names, reply in replies:
            _record(store, who, names, reply)
            given[reply.answer] += 1
            cost += reply.cost
            bar.set_postfix_str(f"${cost:.4f}", refresh=False)
            bar.update()
            if budget.dollars is not None and cost >= budget.dollars:
                break
    asked = given.total()
    return QueryStats(asked, skipped, len(left) - asked, {answer: given[answer] for answer in Answer}, cost)


def _replies(
    annotator: Annotator, observations: Observations, questions: list[tuple[tuple[str, str], tuple[int, int]]]
) -> Generator[tuple[tuple[str, str], Reply], None, None]:
    """Hand the questions over, some at a time, and yield the replies, each question's at most once."""
    for begin in range(0, len(questions), annotator.chunk):
        chunk = questions[begin : begin + annotator.chunk]
        first, second = np.array([indices for _, indices in chunk]).T
        replies = annotator.annotate(observations.images[first], observations.images[second])
        seen: set[int] = set()
        try:
            for i, reply in replies:
                if i in seen or not 0 <= i < len(chunk):
                    raise ValueError(f"{annotator.name} answered question {i} of {len(chunk)}" + " twice" * (i in seen))
                seen.add(i)
                yield chunk[i][0], reply
        finally:
            # A generator that is not run to its end must learn of it: there may be calls under way.
            if hasattr(replies, "close"):
                replies.close()


def _record(store: Store, who: AnnotatorId, question: tuple[str, str], reply: Reply) -> None:
    """Record one reply at once: a commit takes less than 0.1 ms, and the next reply may be long in coming."""
    at = [time.time()]
    try:
        store.record(who, [question], [reply], at)
    except KeyboardInterrupt:
        # Ctrl-C while it was written. Nobody knows how far that came, and writing the same again does no harm.
        store.record(who, [question], [reply], at)
        raise
