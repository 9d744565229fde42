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


class Question(NamedTuple):
    """Two pictures in their order."""

    first: int
    """Index into the observations."""
    second: int
    names: tuple[str, str]
    """Hashes of both, under which the store keeps the answer."""


def open_questions(
    store: Store, who: AnnotatorId, observations: Observations, pairs: np.ndarray, *, both_orders: bool
) -> tuple[list[Question], int]:
    """Store the pictures, and find what the store has no answer to; equal pictures are one.

    Returns the open questions, the two orders of a pair one after the other, and how many others are answered. Raises
    ValueError for pairs that are none, and for a picture with itself.
    """
    check_images(observations.images)
    check_pairs(pairs, len(observations.images))
    hashes: dict[int, str] = {}
    used = np.unique(pairs)
    for indices in np.split(used, range(_BLOCK, len(used), _BLOCK)):
        some = observations.choose(indices)
        names = store.add_images(some.images, some.episode, some.t)
        hashes.update(zip(indices.tolist(), names, strict=True))
    questions: dict[tuple[str, str], Question] = {}
    for i, j in pairs.tolist():
        if hashes[i] == hashes[j]:
            raise ValueError(f"pair {[i, j]} is one picture twice")
        for first, second in [(i, j), (j, i)][: 1 + both_orders]:
            name = hashes[first], hashes[second]
            questions.setdefault(name, Question(first, second, name))
    answered = store.answered(who, questions)
    left = [question for question, done in zip(questions.values(), answered, strict=True) if not done]
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
    left, skipped = open_questions(store, annotator.id, observations, pairs, both_orders=both_orders)
    allowed = left[: budget.calls]
    replies: list[Reply] = []
    cost, at = 0.0, 0
    with tqdm(
        total=skipped + len(allowed),
        initial=skipped,
        desc=f"ask {annotator.name}",
        unit="question",
        disable=not progress,
        leave=not _IN_NOTEBOOK,  # a terminal scrolls on, and in a notebook a finished bar would stay for ever
    ) as bar:
        while at < len(allowed) and not _spent(budget, cost):
            size = _affordable(budget, cost, len(replies), annotator.chunk)
            chunk, at = allowed[at : at + size], at + size
            with contextlib.closing(_annotate(annotator, observations, chunk)) as answers:
                for question, reply in answers:
                    _record(store, annotator.id, question, reply)
                    replies.append(reply)
                    cost += reply.cost
                    bar.set_postfix_str(f"${cost:.4f}", refresh=False)
                    bar.update()
                    if _spent(budget, cost):
                        break
    given = Counter(reply.answer for reply in replies)
    counts = {answer: given[answer] for answer in Answer}
    return QueryStats(len(replies), skipped, len(left) - len(replies), counts, cost)


def _spent(budget: Budget, cost: float) -> bool:
    return budget.dollars is not None and cost >= budget.dollars


def _affordable(budget: Budget, cost: float, asked: int, chunk: int) -> int:
    """Choose how many questions to hand over, so that as few as can be are under way when the money ends."""
    if budget.dollars is None:
        return chunk
    if not asked:
        return min(chunk, 8)  # to learn what one costs
    if not cost:
        return chunk
    return max(1, min(chunk, int((budget.dollars - cost) / (cost / asked))))


def _annotate(
    annotator: Annotator, observations: Observations, questions: list[Question]
) -> Generator[tuple[Question, Reply], None, None]:
    """Yield the annotator's replies, each question at most once."""
    first, second = [q.first for q in questions], [q.second for q in questions]
    replies = annotator.annotate(observations.images[first], observations.images[second])
    seen: set[int] = set()
    try:
        for i, reply in replies:
            if i in seen or not 0 <= i < len(questions):
                raise ValueError(f"{annotator.name} answered question {i} of {len(questions)}" + " twice" * (i in seen))
            seen.add(i)
            yield questions[i], reply
    finally:
        # A generator that is not run to its end must learn of it: there may be calls under way.
        if hasattr(replies, "close"):
            replies.close()


def _record(store: Store, who: AnnotatorId, question: Question, reply: Reply) -> None:
    """Record one reply at once: a commit takes less than 0.1 ms, and the next reply may be long in coming."""
    at = [time.time()]
    try:
        store.record(who, [question.names], [reply], at)
    except KeyboardInterrupt:
        # Ctrl-C while it was written. Nobody knows how far that came, and writing the same again does no harm.
        store.record(who, [question.names], [reply], at)
        raise
