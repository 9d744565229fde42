"""The reader as annotator, in JupyterLab or Colab: two pictures, buttons and keys.

A person is shown two pictures and says which is more interesting, that neither is, or has no idea; skips a pair, which
comes back at the end; or takes back the last step. Every answer is in the store before the next pair is shown.
Everything that a person sees goes to the browser as one ``frame``, and everything that a person does comes back as one
message {do, turn}.

Agreement with other annotators is shown while answering: the share of pairs judged alike and Cohen's kappa (see
`agreement`). Simplified: nothing measures how tired the person is, or shows a pair twice to see if the answer stays.
Used in notebook 05_vlm_annotation and in `notebooks/templates/annotate.py`.
"""

import base64
import functools
import hashlib
import io
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

from sensei_lite.annotators.agreement import agreement_between
from sensei_lite.annotators.base import AnnotatorId, Answer, Reply
from sensei_lite.annotators.data import Observations
from sensei_lite.annotators.query import open_questions
from sensei_lite.annotators.store import Store

try:
    import anywidget
    import ipywidgets
    import traitlets
except ImportError as error:
    raise ImportError('widgets need more packages: pip install "sensei-lite[notebooks]"') from error

QUESTION = "Which picture is more interesting?"
PICTURE_WIDTH = 320
"""About how many screen pixels wide a picture is shown; every pixel of it becomes a whole number of them."""
ANSWERS = {"first": Answer.FIRST, "second": Answer.SECOND, "tie": Answer.TIE, "unknown": Answer.UNKNOWN}
"""What the browser calls each answer."""
WORDS = {Answer.FIRST: "first", Answer.SECOND: "second", Answer.TIE: "tie", Answer.UNKNOWN: "no idea"}

_HERE = Path(__file__).parent


class HumanPanel(anywidget.AnyWidget):
    """Pairs of pictures, one after the other, to be answered by clicks or keys; what the store knows is not shown.

    Left arrow or 1: the first; right arrow or 2: the second; down arrow or t: a tie; n: no idea; s: skip, the pair
    comes back at the end; u or backspace: undo. Keys count only while the panel has the focus. Nothing is fetched from
    the network. (Colab must be told to show widgets that are not its own; anywidget does that.)

    What was answered before this panel was made counts as answered, and can no longer be undone.

    Args:
        store: where pictures and answers go. It must stay open while the panel is used.
        observations: the pictures.
        pairs: indices of the first (left) and the second (right) picture of each pair. Who makes them sees to it that
            which one is first is left to chance, as `pairs` does.
        person: whose answers they are: the annotator's version in the store.
        question: what the person is asked; its hash is the annotator's prompt in the store.
        compare_with: annotators of the store to show the agreement with.

    Raises ValueError where pairs and pictures do not fit together, and for a picture with itself.
    """

    question = traitlets.Unicode().tag(sync=True)
    width = traitlets.Int().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)
    """What changes, see `_frame`."""

    _esm = (_HERE / "panel.js").read_text(encoding="utf-8")
    _css = (_HERE / "panel.css").read_text(encoding="utf-8")

    def __init__(
        self,
        store: Store,
        observations: Observations,
        pairs: np.ndarray,
        *,
        person: str = "reader",
        question: str = QUESTION,
        compare_with: Sequence[AnnotatorId] = (),
    ) -> None:
        self.who = human_id(person, question)
        self._store, self._images = store, observations.images
        left, before = open_questions(store, self.who, observations, pairs, both_orders=False)
        self._queue = list(left)
        self._indices, self._total = left, before + len(left)
        self._counts = Counter(Answer(answer) for answer in store.answers(self.who).answer)
        self._others = {who: store.judgements(who) for who in compare_with}
        self._history: list[tuple[tuple[str, str], Answer | None]] = []
        """What was done here, the last step last; None: skipped."""
        self._turn, self._said, self._problem = 0, "", ""
        width = observations.images.shape[2]
        super().__init__(
            question=question,
            width=width * max(1, round(PICTURE_WIDTH / width)),
            frame=self._frame(),
            layout=ipywidgets.Layout(width="auto"),
        )
        self.on_msg(self._receive)

    def __repr__(self) -> str:
        return f"Pairs of pictures, {self.frame['status']}; to be answered where this notebook runs."

    def _receive(self, _: Any, message: Mapping[str, Any], __: Any) -> None:
        """Do what the browser sent: ``do`` is an answer (`ANSWERS`), "skip" or "undo"; ``turn`` is its frame's.

        A message about an earlier frame does nothing: two quick presses must not judge a pair that was not yet seen.
        """
        do = message.get("do")
        steps: dict[Any, Callable[[], str]] = {}
        if self._history:
            steps["undo"] = self._undo
        if self._queue:
            steps |= {name: functools.partial(self._answer, answer) for name, answer in ANSWERS.items()}
        if len(self._queue) > 1:
            steps["skip"] = self._skip
        if message.get("turn") != self._turn or do not in steps:
            return
        try:
            self._said, self._problem = steps[do](), ""
            self._turn += 1
        except Exception as error:  # the person is told, and the pair stays
            self._problem = f"Not stored ({type(error).__name__}: {error}). Try again."
        self.frame = self._frame()

    def _answer(self, answer: Answer) -> str:
        question = self._queue[0]
        self._store.record(self.who, [question], [Reply(answer, WORDS[answer])])
        self._history.append((self._queue.pop(0), answer))
        self._counts[answer] += 1
        return f"last: {WORDS[answer]}"

    def _skip(self) -> str:
        self._queue.append(self._queue.pop(0))
        self._history.append((self._queue[-1], None))
        return "skipped, comes back at the end"

    def _undo(self) -> str:
        question, answer = self._history[-1]
        if answer is None:
            self._queue.remove(question)
        else:
            self._store.forget(self.who, [question])
            self._counts[answer] -= 1
        self._history.pop()
        self._queue.insert(0, question)
        return "taken back"

    def _frame(self) -> dict[str, Any]:
        """Return everything that a person sees, for panel.js."""
        counts = [f"{word} {self._counts[answer]}" for answer, word in WORDS.items()]
        if waiting := {question for question, answer in self._history if answer is None} & set(self._queue):
            counts.append(f"skipped {len(waiting)}")
        done = self._total - len(self._queue)
        return {
            "pictures": [
                _data_address(self._images[i]) for question in self._queue[:1] for i in self._indices[question]
            ],
            "turn": self._turn,
            "over": not self._queue,
            "done": done,
            "total": self._total,
            "status": ", ".join(filter(None, [f"{done} of {self._total} answered", self._said])),
            "counts": ", ".join(counts),
            "agreement": [] if self._problem else [self._agreement(who) for who in self._others],
            "can_undo": bool(self._history),
            "can_skip": len(self._queue) > 1,
            "problem": self._problem,
        }

    def _agreement(self, who: AnnotatorId) -> str:
        found = agreement_between(self.who, self._store.judgements(self.who), who, self._others[who])
        if not found.pairs:
            return f"With {who}: no common answer yet"
        words = f"With {who}: alike in {round(found.alike * found.pairs)} of {found.pairs} ({found.alike:.0%})"
        return words if math.isnan(found.kappa.value) else f"{words}, kappa {found.kappa.value:.2f}"


def human_id(person: str = "reader", question: str = QUESTION) -> AnnotatorId:
    """Return the identity under which a store keeps this person's answers to this question."""
    return AnnotatorId("human", person, hashlib.sha256(question.encode()).hexdigest()[:16])


def _data_address(picture: np.ndarray) -> str:
    """Encode a picture, uint8 [height width 3], as a PNG in a data address."""
    file = io.BytesIO()
    Picture.fromarray(picture).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
