"""The reader answers in a notebook: two pictures, buttons and keys, in JupyterLab or Colab.

What happens is `human`'s affair; here is only the way to the browser and back, and the way to the store. Used in
notebook 05_vlm_annotation.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sensei_lite.annotators.base import Answer, Reply
from sensei_lite.annotators.combine import combine
from sensei_lite.annotators.data import Observations
from sensei_lite.annotators.human import QUESTION, HumanSession, Record, question_hash, shown_width
from sensei_lite.annotators.store import AnnotatorId, Store

try:
    import anywidget
    import ipywidgets
    import traitlets
except ImportError as error:
    raise ImportError('widgets need more packages: pip install "sensei-lite[notebooks]"') from error

_HERE = Path(__file__).parent


class HumanPanel(anywidget.AnyWidget):
    """Pairs of pictures on a page, one after the other, to be answered by clicks or keys.

    Left arrow or 1: the first; right arrow or 2: the second; down arrow or t: a tie; n: no idea; s: skip, the pair
    comes back at the end; u or backspace: undo. Keys count only while the panel has the focus. Nothing is fetched from
    the network. What was answered so far is ``panel.answers``, by index of pair. (Colab must be told to show widgets
    that are not its own; anywidget does that.)

    Args:
        observations: the pictures: `Observations`, or uint8 [n height width 3].
        pairs: indices of the first (left) and the second (right) picture of each pair. Who makes them sees to it that
            which one is first is left to chance, as `pairs` does.
        record: is called with the index of a pair and each `Reply` as it is given; see `HumanSession`, as for the rest.
        forget: is called with the index of a pair whose answer is taken back.
        undo_answers: how many answers can be taken back; None: all.
        compare_with: answers of other annotators by name, to show the agreement with them while answering.
        question: what the person is asked.
        answered: what this person said before, by index of pair; these pairs are not shown.

    Raises ValueError where pictures, pairs or other answers do not fit together.
    """

    question = traitlets.Unicode().tag(sync=True)
    width = traitlets.Int().tag(sync=True)
    whole_page = traitlets.Bool(False).tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)
    """What changes, see `HumanSession.frame`."""

    _esm = (_HERE / "human.js").read_text(encoding="utf-8")
    _css = (_HERE / "human.css").read_text(encoding="utf-8")

    def __init__(
        self,
        observations: Observations | np.ndarray,
        pairs: np.ndarray,
        record: Record = lambda index, reply: None,
        *,
        forget: Callable[[int], object] | None = None,
        undo_answers: int | None = None,
        compare_with: Mapping[str, Sequence[int] | np.ndarray] | None = None,
        question: str = QUESTION,
        answered: Mapping[int, Answer] | None = None,
    ) -> None:
        images = observations.images if isinstance(observations, Observations) else observations
        self.session = HumanSession(
            images,
            pairs,
            record,
            forget=forget,
            undo_answers=undo_answers,
            compare_with=compare_with,
            question=question,
            answered=answered,
        )
        super().__init__(
            question=question,
            width=shown_width(images),
            frame=self.session.frame(),
            layout=ipywidgets.Layout(width="auto"),
        )
        self.on_msg(self._receive)

    def __repr__(self) -> str:
        frame = self.session.frame()
        return f"Pairs of pictures, {frame['status']}; to be answered where this notebook runs."

    @property
    def answers(self) -> dict[int, Answer]:
        """What was said of each pair, by its index."""
        return dict(self.session.answers)

    def _receive(self, _: Any, message: dict[str, Any], __: Any) -> None:
        self.session.handle(message)
        self.frame = self.session.frame()


def annotate_by_hand(
    store: Store,
    observations: Observations,
    pairs: np.ndarray,
    *,
    person: str = "reader",
    compare_with: Sequence[AnnotatorId] = (),
    question: str = QUESTION,
) -> HumanPanel:
    """Show the pairs that this person has not answered yet; every answer is in the store before the next pair is shown.

    Where all are answered, the panel says so. What was answered before counts in it too, and can no longer be undone.

    Args:
        store: where pictures and answers go. It must stay open while the panel is used.
        observations: the pictures.
        pairs: indices of the first and the second picture of each pair.
        person: whose answers they are: the annotator's version in the store.
        compare_with: annotators of the store to show the agreement with.
        question: what the person is asked; its hash is the annotator's prompt in the store.

    Raises ValueError where pairs and pictures do not fit together.
    """
    who = human_id(person, question)
    used, place = np.unique(pairs, return_inverse=True)
    some = observations.choose(used)
    hashes = store.add_images(some.images, some.episode, some.t)
    questions = [(hashes[i], hashes[j]) for i, j in place.reshape(-1, 2)]
    said = {row[:2]: Answer(row[5]) for row in store.questions() if row[2:5] == who}

    def record(index: int, reply: Reply) -> None:
        store.record(who, [questions[index]], [reply])

    def forget(index: int) -> None:
        store.forget(who, [questions[index]])

    others = {" ".join(filter(None, other)): judgements_of(store, other, questions) for other in compare_with}
    return HumanPanel(
        observations,
        np.asarray(pairs),
        record,
        forget=forget,
        compare_with=others,
        question=question,
        answered={index: said[asked] for index, asked in enumerate(questions) if asked in said},
    )


def human_id(person: str, question: str = QUESTION) -> AnnotatorId:
    """The name under which a store keeps this person's answers to this question."""
    return AnnotatorId("human", person, question_hash(question))


def judgements_of(store: Store, who: AnnotatorId, questions: Sequence[tuple[str, str]]) -> list[Answer]:
    """What an annotator of the store says about each question, both orders combined; UNKNOWN where it says nothing."""
    rows = [(first, second, answer) for first, second, *other, answer, _, _, _ in store.questions() if (*other,) == who]
    if not rows:
        return [Answer.UNKNOWN] * len(questions)
    number: dict[str, int] = {}
    first, second = (np.array([number.setdefault(row[i], len(number)) for row in rows]) for i in (0, 1))
    judged = combine(first, second, np.array([row[2] for row in rows]))
    said = {1.0: Answer.FIRST, 0.0: Answer.SECOND, 0.5: Answer.TIE}
    known: dict[tuple[int | None, int | None], Answer] = {}
    for i, j, target in zip(judged.first.tolist(), judged.second.tolist(), judged.target.tolist(), strict=True):
        known[i, j], known[j, i] = said[target], said[target].swapped()
    return [known.get((number.get(a), number.get(b)), Answer.UNKNOWN) for a, b in questions]
