"""Ask an annotator about pairs of pictures, and lose nothing: not by Ctrl-C, not by an error, not by a kill.

    questions that the store has no answer to  ->  annotate(chunk)  ->  each reply to the store before the next is taken

Whoever is interrupted and asks again goes on where the store ends. Two processes that ask the same annotator the same
questions at the same time would both be answered (and both pay): give them different pairs.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Generator, Iterator
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from sensei_lite.annotators.base import Annotator, Answer, Reply
from sensei_lite.annotators.data import Observations, check_images
from sensei_lite.annotators.store import AnnotatorId, Store

_BLOCK = 1024
_IN_NOTEBOOK = any(base.__module__ == "tqdm.notebook" for base in tqdm.__mro__)

Question = tuple[int, int]
"""Indices into the observations: the first picture and the second."""


class Budget(NamedTuple):
    """What one call of `ask` may use up; whatever is None has no limit."""

    calls: int | None = None
    """Questions."""
    dollars: float | None = None
    """US dollars. Asking stops with the reply that reaches it, so it is passed by that reply's cost at most, and by
    that of questions which the annotator had already under way."""


class Tally(NamedTuple):
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


def ask(
    store: Store,
    annotator: Annotator,
    observations: Observations,
    pairs: np.ndarray,
    *,
    both_orders: bool = True,
    budget: Budget | None = None,
    progress: bool = True,
) -> Tally:
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
    check_images(observations.images)
    _check_pairs(pairs, len(observations.images))

    hashes = _store_pictures(store, observations, np.unique(pairs))
    who = AnnotatorId.of(annotator)
    by_hash = {(hashes[i], hashes[j]): (i, j) for i, j in _questions(pairs, both_orders)}
    if same := next(((i, j) for (first, second), (i, j) in by_hash.items() if first == second), None):
        raise ValueError(f"pair {list(same)} is one picture twice")
    names = list(by_hash)
    answered = store.answered(who, names)
    open_names = [name for name, done in zip(names, answered, strict=True) if not done]
    skipped = len(names) - len(open_names)
    allowed = open_names[: budget.calls]

    replies: list[Reply] = []
    cost = 0.0
    at = 0
    with tqdm(
        total=skipped + len(allowed),
        initial=skipped,
        desc=f"ask {who.name}",
        unit="question",
        disable=not progress,
        leave=not _IN_NOTEBOOK,  # a terminal scrolls on, and in a notebook a finished bar would stay for ever
    ) as bar:
        while at < len(allowed) and not _spent(budget, cost):
            size = _affordable(budget, cost, len(replies), annotator.chunk)
            chunk, at = allowed[at : at + size], at + size
            with contextlib.closing(_annotate(annotator, observations, [by_hash[name] for name in chunk])) as answers:
                for i, reply in answers:
                    _keep(store, who, chunk[i], reply)
                    replies.append(reply)
                    cost += reply.cost
                    bar.set_postfix_str(f"${cost:.4f}", refresh=False)
                    bar.update()
                    if _spent(budget, cost):
                        break
    given = Counter(reply.answer for reply in replies)
    return Tally(
        asked=len(replies),
        skipped=skipped,
        left=len(open_names) - len(replies),
        answers={answer: given[answer] for answer in Answer},
        cost=cost,
    )


def _check_pairs(pairs: np.ndarray, pictures: int) -> None:
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu" or not len(pairs):
        raise ValueError(f"pairs must be whole numbers [pairs 2], and these are {pairs.dtype} {list(pairs.shape)}")
    if pairs.min() < 0 or pairs.max() >= pictures:
        raise ValueError(f"pairs go from {pairs.min()} to {pairs.max()}, and there are pictures 0 to {pictures - 1}")


def _store_pictures(store: Store, observations: Observations, used: np.ndarray) -> dict[int, str]:
    """Store these pictures, some at a time. Returns their hashes by index."""
    hashes: dict[int, str] = {}
    for begin in range(0, len(used), _BLOCK):
        some = observations.choose(used[begin : begin + _BLOCK])
        names = store.add_images(some.images, some.episode, some.t)
        hashes.update(zip(used[begin : begin + _BLOCK].tolist(), names, strict=True))
    return hashes


def _questions(pairs: np.ndarray, both_orders: bool) -> Iterator[Question]:
    for i, j in pairs.tolist():
        yield i, j
        if both_orders:
            yield j, i


def _spent(budget: Budget, cost: float) -> bool:
    return budget.dollars is not None and cost >= budget.dollars


def _affordable(budget: Budget, cost: float, asked: int, chunk: int) -> int:
    """How many questions to hand over, so that as few as can be are under way when the money ends."""
    if budget.dollars is None:
        return chunk
    if not asked:
        return min(chunk, 8)  # to learn what one costs
    if not cost:
        return chunk
    return max(1, min(chunk, int((budget.dollars - cost) / (cost / asked))))


def _annotate(
    annotator: Annotator, observations: Observations, questions: list[Question]
) -> Generator[tuple[int, Reply], None, None]:
    """The annotator's replies, each question at most once."""
    first, second = np.array(questions).T
    replies = annotator.annotate(observations.images[first], observations.images[second])
    seen: set[int] = set()
    try:
        for i, reply in replies:
            if i in seen or not 0 <= i < len(questions):
                raise ValueError(f"{annotator.name} answered question {i} of {len(questions)}" + " twice" * (i in seen))
            seen.add(i)
            yield i, reply
    finally:
        # A generator that is not run to its end must learn of it: there may be calls under way.
        if hasattr(replies, "close"):
            replies.close()


def _keep(store: Store, who: AnnotatorId, question: tuple[str, str], reply: Reply) -> None:
    """Record one reply at once: a commit takes less than 0.1 ms, and the next reply may be long in coming."""
    at = [time.time()]
    try:
        store.record(who, [question], [reply], at)
    except KeyboardInterrupt:
        # Ctrl-C while it was written. Nobody knows how far that came, and writing the same again does no harm.
        store.record(who, [question], [reply], at)
        raise
