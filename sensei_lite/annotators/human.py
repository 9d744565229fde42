"""The reader as annotator: which pair is next, what was answered, what can be taken back.

A person is shown two pictures and says which is more interesting, that neither is, or has no idea; skips a pair, which
comes back at the end; or takes back the last step. Everything that a person sees goes to the browser as one ``frame``,
and everything that a person does comes back as one message {do, turn}. Two front ends share this, and the same
JavaScript (human.js): the panel of a notebook (`human_panel`) and a page for the command line (`human_page`).

Agreement with another annotator is shown while answering: the share of pairs judged alike and Cohen's kappa (see
`agreement`). Simplified: nothing measures how tired the person is, or shows a pair twice to see if the answer stays.
"""

import base64
import functools
import hashlib
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image as Picture

from sensei_lite.annotators.agreement import cohen_kappa
from sensei_lite.annotators.base import Answer, Reply
from sensei_lite.annotators.data import check_images

QUESTION = "Which picture is more interesting?"
PICTURE_WIDTH = 320
"""About how many screen pixels wide a picture is shown; every pixel of it becomes a whole number of them."""

ANSWERS = {"first": Answer.FIRST, "second": Answer.SECOND, "tie": Answer.TIE, "unknown": Answer.UNKNOWN}
"""What the browser calls each answer."""
WORDS = {Answer.FIRST: "first", Answer.SECOND: "second", Answer.TIE: "tie", Answer.UNKNOWN: "no idea"}

Record = Callable[[int, Reply], object]
"""Takes the index of a pair and what was said of it. A later reply about the same pair replaces the earlier."""


def question_hash(question: str) -> str:
    """The ``prompt_hash`` of a question to a person."""
    return hashlib.sha256(question.encode()).hexdigest()[:16]


class HumanSession:
    """One person's way through some pairs.

    Args:
        images: uint8 [n height width 3].
        pairs: indices of the first (left) and the second (right) picture of each pair.
        record: is called with every answer as it is given; what it raises is shown to the person, and the pair stays.
        forget: is called with the index of a pair whose answer was taken back. Without it the answer that is given
            then is recorded as any other, and replaces the one before.
        undo_answers: how many answers can be taken back, one after the other; None: all.
        compare_with: answers of other annotators by name, values of `Answer` [pairs] each; UNKNOWN where there is none.
        question: what the person is asked.
        answered: what this person said before, by index of pair. These pairs count as answered and are not shown.

    Raises ValueError where the pictures are none, there are no pairs, or they name pictures that are not there.
    """

    def __init__(
        self,
        images: np.ndarray,
        pairs: np.ndarray,
        record: Record,
        *,
        forget: Callable[[int], object] | None = None,
        undo_answers: int | None = None,
        compare_with: Mapping[str, Sequence[int] | np.ndarray] | None = None,
        question: str = QUESTION,
        answered: Mapping[int, Answer] | None = None,
    ) -> None:
        check_images(images)
        pairs = np.asarray(pairs)
        if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs) or not np.issubdtype(pairs.dtype, np.integer):
            raise ValueError(
                f"pairs must be integers [pairs 2], at least one pair, and are {pairs.dtype} {pairs.shape}"
            )
        if pairs.min() < 0 or pairs.max() >= len(images):
            raise ValueError(
                f"pairs go from {pairs.min()} to {pairs.max()}, and there are pictures 0 to {len(images) - 1}"
            )
        self.question = question
        self.answers: dict[int, Answer] = dict(answered or {})
        """What was said of each pair, by its index, in the order of saying."""
        self._images, self._pairs = images, pairs
        self._record, self._forget, self._undo_answers = record, forget, undo_answers
        self._others = {name: _as_answers(name, answers, len(pairs)) for name, answers in (compare_with or {}).items()}
        self._queue = [index for index in range(len(pairs)) if index not in self.answers]
        self._history: list[tuple[str, int]] = []
        self._skipped: set[int] = set()
        self._turn = 0
        self._said = ""
        self._problem = ""

    @property
    def current(self) -> int | None:
        """The index of the pair that is shown; None when all are answered."""
        return self._queue[0] if self._queue else None

    def handle(self, message: Mapping[str, Any]) -> None:
        """Do what the browser sent: ``do`` is an answer (`ANSWERS`), "skip" or "undo"; ``turn`` is its frame's.

        A message about an earlier frame does nothing: two quick presses must not judge a pair that was not yet seen.
        """
        if message.get("turn") != self._turn:
            return
        do = message.get("do")
        if do == "undo":
            self.undo()
        elif do == "skip":
            self.skip()
        elif do in ANSWERS:
            self.answer(ANSWERS[do])

    def answer(self, answer: Answer) -> None:
        """Answer the pair that is shown. Nothing when all are answered."""
        if self.current is None:
            return
        if self._try(lambda: self._record(self._queue[0], Reply(answer, WORDS[answer]))):
            index = self._queue.pop(0)
            self.answers[index] = answer
            self._remember("answer", index)
            self._said = f"last: {WORDS[answer]}"

    def skip(self) -> None:
        """Put the pair that is shown behind all others. Nothing where it is the only one left."""
        if len(self._queue) > 1:
            index = self._queue.pop(0)
            self._queue.append(index)
            self._remember("skip", index)
            self._said = "skipped, comes back at the end"
            self._problem = ""

    def undo(self) -> None:
        """Take back the last answer, or the last skip. Nothing where there is none that can be taken back."""
        if not self._history:
            return
        kind, index = self._history[-1]
        if kind == "answer":
            if self._forget is not None and not self._try(functools.partial(self._forget, index)):
                return
            del self.answers[index]
        else:
            self._queue.pop()
            self._skipped.discard(index)
        self._history.pop()
        self._queue.insert(0, index)
        self._turn += 1
        self._said, self._problem = "taken back", ""

    def agreement(self, name: str) -> tuple[int, int, float]:
        """With the annotator of that name: pairs judged alike, pairs judged by both, and Cohen's kappa.

        Kappa is not a number where it is not defined: for no common pairs, or where both always said the same thing.
        """
        table = np.zeros((3, 3))
        for index, answer in self.answers.items():
            other = self._others[name][index]
            if Answer.UNKNOWN not in (answer, other):
                table[answer, other] += 1
        # Which picture is called first is arbitrary: every pair counts both ways round, with half its weight each.
        swapped = np.array([answer.swapped() for answer in (Answer.FIRST, Answer.SECOND, Answer.TIE)])
        kappa = cohen_kappa((table + table[swapped][:, swapped]) / 2).value
        return int(np.trace(table)), int(table.sum()), kappa

    def frame(self) -> dict[str, Any]:
        """Everything that a person sees, for human.js."""
        shown: dict[str, Any] = {"pictures": []}
        if self.current is not None:
            pair = self._images[self._pairs[self.current]]
            shown = {
                "pictures": [png_address(image) for image in pair],
                "alts": [f"{which} picture of pair {self.current + 1}" for which in ("first", "second")],
            }
        total, done = len(self._pairs), len(self.answers)
        waiting = len(self._skipped & set(self._queue))
        given = list(self.answers.values())
        return shown | {
            "turn": self._turn,
            "over": self.current is None,
            "done": done,
            "total": total,
            "status": f"{done} of {total} answered" + (f", {self._said}" if self._said else ""),
            "counts": ", ".join(f"{word} {given.count(answer)}" for answer, word in WORDS.items())
            + (f", skipped {waiting}" if waiting else ""),
            "agreement": [self._agreement_words(name) for name in self._others],
            "can_undo": bool(self._history),
            "can_skip": len(self._queue) > 1,
            "problem": self._problem,
        }

    def _agreement_words(self, name: str) -> str:
        alike, both, kappa = self.agreement(name)
        if not both:
            return f"With {name}: no common answer yet"
        words = f"With {name}: alike in {alike} of {both} ({100 * alike / both:.0f}%)"
        return words if math.isnan(kappa) else f"{words}, kappa {kappa:.2f}"

    def _remember(self, kind: str, index: int) -> None:
        self._turn += 1
        self._history.append((kind, index))
        if kind == "skip":
            self._skipped.add(index)
        if self._undo_answers is not None:
            while sum(kind == "answer" for kind, _ in self._history) > self._undo_answers:
                self._history.pop(0)

    def _try(self, write: Callable[[], object]) -> bool:
        """Whether the answer's keeper did what it was asked to; if not, the person is told and nothing changes."""
        try:
            write()
        except Exception as error:
            self._problem = f"Not stored ({type(error).__name__}: {error}). Try again."
            return False
        self._problem = ""
        return True


def _as_answers(name: str, answers: Sequence[int] | np.ndarray, number: int) -> list[Answer]:
    if len(answers) != number:
        raise ValueError(f"compare_with has {len(answers)} answers of {name}, and there are {number} pairs")
    return [Answer(int(answer)) for answer in answers]


def png_address(picture: np.ndarray) -> str:
    """A picture, uint8 [height width 3], as a PNG in a data address."""
    file = io.BytesIO()
    Picture.fromarray(picture).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def shown_width(images: np.ndarray) -> int:
    """How wide to show these pictures, in screen pixels: a whole number for each of theirs."""
    width = images.shape[2]
    return width * max(1, round(PICTURE_WIDTH / width))
