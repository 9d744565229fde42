"""What the small CLIP of the desk is worth (`measures`): on arrangements of objects that it never saw.

Three samples: situations balanced as in training, and pictures of guided and of random play as they come. What an agent
sees at first is like these: in most of them nothing is touched.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from make.clip.desk_captions import (
    AJAR,
    AWAY,
    CLOSED,
    DOORS,
    DRAWERS,
    EMPTY,
    GRIPPERS,
    HELD,
    HIDDEN,
    HOLDS,
    IN_PLACE,
    LEVELS,
    LIFTED_UP,
    LIFTS,
    LIGHT,
    NOTHING,
    OPEN,
    PLACES,
    STACKED,
    THINGS,
    TOUCHED,
    TOUCHES,
    UNCLEAR,
    UNSEEN,
    full_caption,
    interest_level,
)
from make.clip.desk_data import DeskPictures, is_clear, sample_desk, sample_play
from make.clip.measures import Fact, Row, agreement_row, fact_row, retrieve, score_row, share, vectors_of
from sensei_lite.annotators.clip.annotator import ClipAnnotator
from sensei_lite.annotators.scripted import interest
from sensei_lite.worlds.tabletop import Tabletop
from sensei_lite.worlds.tabletop.desk import OBJECTS


class HeldOutDesk(NamedTuple):
    """A sample to measure on."""

    label: str
    draw: Callable[[int, int], DeskPictures]
    """From a number of pictures and a seed."""


def _play(guided: bool) -> Callable[[int, int], DeskPictures]:
    return lambda number, seed: sample_play(Tabletop(), number, guided=guided, held_out=True, seed=seed)


MEASURED = (
    HeldOutDesk("balanced", lambda number, seed: sample_desk(Tabletop(), number, held_out=True, seed=seed)),
    HeldOutDesk("guided play", _play(guided=True)),
    HeldOutDesk("random play", _play(guided=False)),
)
"""The samples of the card."""
MORE = 4
"""One desk has as many situations as several rooms: so many times the pictures of one."""
FEWEST = 20
"""Of fewer pictures no accuracy is computed: play seldom shows some things."""


def _sentences(*clauses: Sequence[str]) -> tuple[str, ...]:
    """Return all wordings of some clauses, with all names of things."""
    named = (text.format(g=GRIPPERS[0], t=thing[0]) for clause in clauses for text in clause for thing in THINGS)
    return tuple(dict.fromkeys(named))


_HANDS = _sentences((*EMPTY, *TOUCHED, *HELD, *LIFTED_UP))


def _with_hands(clause: Sequence[str]) -> tuple[str, ...]:
    """Return a clause behind everything that the gripper could do."""
    return tuple(f"{hand}, {text.format(g=GRIPPERS[0])}" for hand in _HANDS for text in clause)


FACTS: dict[str, Fact] = {
    "thing touched": Fact(
        lambda s: s.grip > NOTHING,
        lambda s: is_clear(s) & (s.grip < LIFTS),
        _sentences((*TOUCHED, *HELD)),
        _sentences(EMPTY),
    ),
    "thing held": Fact(
        lambda s: s.grip == HOLDS,
        lambda s: np.isin(s.grip, (TOUCHES, HOLDS)) & (s.thing < len(OBJECTS)),
        _sentences(HELD),
        _sentences(TOUCHED),
    ),
    "held thing lifted": Fact(
        lambda s: s.grip == LIFTS, lambda s: s.grip >= HOLDS, _sentences(LIFTED_UP), _sentences(HELD)
    ),
    "ball away": Fact(
        lambda s: s.ball_place == AWAY,
        lambda s: s.ball_place != UNSEEN,
        _with_hands(PLACES[0][AWAY]),
        _with_hands(PLACES[0][IN_PLACE]),
    ),
    "upright block away": Fact(
        lambda s: s.blue_place == AWAY,
        lambda s: s.blue_place != UNSEEN,
        _with_hands(PLACES[1][AWAY]),
        _with_hands(PLACES[1][IN_PLACE]),
    ),
    "flat block away": Fact(
        lambda s: s.green_place == AWAY,
        lambda s: s.green_place != UNSEEN,
        _with_hands(PLACES[2][AWAY]),
        _with_hands(PLACES[2][IN_PLACE]),
    ),
    "lamp on": Fact(lambda s: s.light, lambda s: s.grip >= HIDDEN, _with_hands(LIGHT[1]), _with_hands(LIGHT[0])),
    "door open": Fact(
        lambda s: s.door == OPEN,
        lambda s: s.door != UNCLEAR,
        _with_hands(DOORS[OPEN]),
        _with_hands((*DOORS[CLOSED], *DOORS[AJAR])),
    ),
    "drawer ajar": Fact(
        lambda s: s.drawer == AJAR,
        lambda s: np.isin(s.drawer, (CLOSED, AJAR)),
        _with_hands(DRAWERS[AJAR]),
        _with_hands(DRAWERS[CLOSED]),
    ),
    "drawer open": Fact(
        lambda s: s.drawer == OPEN,
        lambda s: s.drawer != UNCLEAR,
        _with_hands(DRAWERS[OPEN]),
        _with_hands((*DRAWERS[CLOSED], *DRAWERS[AJAR])),
    ),
    "blocks stacked": Fact(lambda s: s.stacked, lambda s: s.grip >= HIDDEN, _with_hands(STACKED), _HANDS),
}
"""What is asked of the pictures."""


def evaluate_desk_clip(annotator: ClipAnnotator, pictures: int, seed: int = 1) -> dict[str, list[Row]]:
    """Compute all tables of the model card: ``agreement``, ``scores``, ``levels``, ``facts``, ``retrieval``."""
    tables: dict[str, list[Row]] = {"agreement": [], "scores": [], "levels": [], "facts": [], "retrieval": []}
    for number, measured in enumerate(MEASURED):
        sample = measured.draw(MORE * pictures, seed + number)
        scores, vectors = annotator.scores(sample.images), vectors_of(annotator, sample.images)
        levels, shown = interest(sample.facts), interest_level(sample.scene)
        about: Row = {"pictures_of": measured.label, "pictures": len(scores)}
        tables["agreement"].append(about | agreement_row(scores, levels, shown, annotator.margin))
        tables["scores"].append(about | score_row(scores, shown, LEVELS))
        tables["facts"].append(about | fact_row(annotator, vectors, sample.scene, FACTS, FEWEST))
        if not number:
            clear = is_clear(sample.scene)
            captions = [full_caption(sample.scene.one(i)) for i in np.flatnonzero(clear).tolist()]
            tables["retrieval"].append(about | retrieve(annotator, vectors[clear], captions).row())
            tables["levels"] = level_rows(annotator, sample, shown)
    return tables


def level_rows(annotator: ClipAnnotator, sample: DeskPictures, shown: np.ndarray) -> list[Row]:
    """Compute, for the pictures of each level, the share for which each level is the most probable one."""
    of_prompt = np.unique(list(annotator.prompts.values()), return_inverse=True)[1]
    chances = annotator.prompt_probabilities(sample.images) @ np.eye(of_prompt.max() + 1)[of_prompt]
    said = chances.argmax(1)
    return [
        {"shown": name, "pictures": int((shown == i).sum())}
        | {other: share(said[shown == i] == j, 3) for j, other in enumerate(LEVELS)}
        for i, name in enumerate(LEVELS)
    ]
