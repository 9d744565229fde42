"""What the small CLIP is worth: measured on arrangements of key, lock and exit, and on sizes, that it never saw.

- *Agreement*: pairs of pictures from different levels of the scripted annotator; the share of decided answers that
  prefer the higher one, the share of ties, and Cohen's kappa over three answers, with pairs of one level (where the
  scripted annotator says tie) among them. An egocentric picture does not show an open door that lies behind the agent:
  ``shown`` is the same agreement with levels of what the picture shows.
- *Scores*: the mean score of each level.
- *Facts*: sentences for and against a fact; right where those that are true get more than half of the softmax.
- *Retrieval*: pictures of distinct scenes, each with its full caption; the share that finds its own among all of them.

Source: zero-shot classification and retrieval as in CLIP (arXiv 2103.00020).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from sensei_lite.annotators.agreement import cohen_kappa
from sensei_lite.annotators.caption_data import Captioned, sample_scenes
from sensei_lite.annotators.captions import (
    ALSO_EMPTY_HANDS,
    ALSO_EXIT,
    ALSO_HELD,
    ALSO_LOCK,
    ALSO_NO_KEY,
    ALSO_NO_LOCK,
    AT_LOCK,
    EMPTY,
    HELD,
    HELD_AT_LOCK,
    IN_CLOSET,
    IN_DOORWAY,
    KEY_IN_VIEW,
    LEVELS,
    ON_EXIT,
    OPENED,
    Scene,
    full_caption,
    interest_level,
)
from sensei_lite.annotators.clip import ClipAnnotator
from sensei_lite.annotators.scripted import interest
from sensei_lite.worlds import KeyChest, KeyRoom
from sensei_lite.worlds.catalogue import JAX_WORLDS
from sensei_lite.worlds.grid import GridWorld

Row = dict[str, Any]


class HeldOut(NamedTuple):
    """A world to measure on."""

    label: str
    world: GridWorld
    unseen: str
    """What of it training never saw."""


# In the plain room everything stays where it is but the agent: all its layouts are one, and are training's or not.
PRESETS = {
    name: world for name, world in JAX_WORLDS.items() if isinstance(world, GridWorld) and name != "keyroom-plain"
}

HELD_OUT_WORLDS = (
    *(HeldOut(name, world, "layouts") for name, world in PRESETS.items() if isinstance(world, KeyRoom)),
    HeldOut("KeyRoom 6x6", KeyRoom(size=6), "layouts and size"),
    HeldOut("KeyRoom 8x8, closet 2x2", KeyRoom(size=8, closet=2), "layouts and size"),
    HeldOut(
        "KeyRoom 11x11, closet 4x4, 5x5 crop",
        KeyRoom(size=11, closet=4, view=5, tile_pixels=10, image_size=64),
        "layouts and size",
    ),
    *(HeldOut(name, world, "layouts") for name, world in PRESETS.items() if isinstance(world, KeyChest)),
    HeldOut("KeyChest rooms 3x3", KeyChest(room=3), "layouts and size"),
)

Truth = Callable[[Scene], Any]

_MAIN = (EMPTY[0], KEY_IN_VIEW[0], HELD[0])

FACTS: dict[str, tuple[Truth, Truth, tuple[str, ...], tuple[str, ...]]] = {
    "key held": (
        lambda s: s.key_held,
        lambda s: ~s.opened,
        (*HELD, *ALSO_HELD, *HELD_AT_LOCK),
        (*KEY_IN_VIEW, *EMPTY, *ALSO_EMPTY_HANDS, *AT_LOCK),
    ),
    "key in view": (lambda s: s.key_in_view, lambda s: ~s.key_held, KEY_IN_VIEW, (*EMPTY, *ALSO_NO_KEY)),
    "lock in view": (
        lambda s: s.lock_in_view,
        lambda s: ~s.opened & ~s.at_lock,
        tuple(f"{main}, {also}" for main in _MAIN for also in ALSO_LOCK),
        tuple(f"{main}, {also}" for main in _MAIN for also in ALSO_NO_LOCK),
    ),
    "at the lock": (
        lambda s: s.at_lock,
        lambda s: ~s.opened,
        (*AT_LOCK, *HELD_AT_LOCK),
        (*KEY_IN_VIEW, *HELD, *EMPTY, *ALSO_LOCK),
    ),
    "lock open": (
        lambda s: s.opened,
        lambda s: s.key_held,
        (*OPENED, *IN_DOORWAY, *IN_CLOSET, *ON_EXIT, *ALSO_EXIT),
        (*HELD, *HELD_AT_LOCK, *ALSO_LOCK),
    ),
    "in the closet": (lambda s: s.in_closet, lambda s: s.opened, (*IN_CLOSET, *ON_EXIT), (*OPENED, *IN_DOORWAY)),
    "on the exit": (lambda s: s.on_exit, lambda s: s.opened, ON_EXIT, (*OPENED, *IN_DOORWAY, *IN_CLOSET)),
}
"""Each fact: whether it holds, among which scenes it is asked, sentences for it and against it."""


def evaluate_clip(annotator: ClipAnnotator, pictures: int, seed: int = 1) -> dict[str, list[Row]]:
    """All tables for the model card: ``agreement``, ``scores``, ``facts``, ``retrieval``."""
    tables: dict[str, list[Row]] = {"agreement": [], "scores": [], "facts": [], "retrieval": []}
    for held_out in HELD_OUT_WORLDS:
        sample = sample_scenes(held_out.world, pictures, held_out=True, seed=seed)
        scores = annotator.scores(sample.images)
        about: Row = {"world": held_out.label, "never_seen": held_out.unseen, "pictures": len(scores)}
        tables["agreement"].append(about | agreement_row(annotator, sample, scores))
        tables["scores"].append(about | score_row(sample, scores))
        tables["facts"].append(about | fact_row(annotator, sample))
        tables["retrieval"].append(about | retrieval_row(annotator, sample))
    return tables


def agreement_row(annotator: ClipAnnotator, sample: Captioned, scores: np.ndarray, pairs: int = 10_000) -> Row:
    """Agreement with the scripted annotator, and with what the pictures show, on random pairs."""
    random = np.random.default_rng(0)
    first, second = random.integers(0, len(scores), (2, pairs))
    said = _compare(scores[first], scores[second], annotator.margin)
    state, shown = interest(sample.facts), interest_level(sample.scene)
    truth = np.sign(state[first] - state[second])
    table = np.zeros((3, 3))
    np.add.at(table, (truth + 1, said + 1), 1)
    kappa = cohen_kappa(table)
    decided = (truth != 0) & (said != 0)
    visible = np.sign(shown[first] - shown[second])
    return {
        "pairs": int((truth != 0).sum()),
        "agreement": _share((truth == said)[decided]),
        "tied": _share(said[truth != 0] == 0),
        "kappa": round(kappa.value, 3),
        "kappa_low": round(kappa.low, 3),
        "kappa_high": round(kappa.high, 3),
        "shown": _share((visible == said)[(visible != 0) & (said != 0)]),
    }


def _share(holds: np.ndarray) -> float | str:
    """The share of true ones; empty where there are none to ask."""
    return round(float(holds.mean()), 4) if holds.size else ""


def _compare(a: np.ndarray, b: np.ndarray, margin: float) -> Int[np.ndarray, " pairs"]:
    """1 where a is more interesting, -1 where b is, 0 for a tie."""
    return np.where(abs(a - b) < margin, 0, np.sign(a - b)).astype(np.int64)


def score_row(sample: Captioned, scores: np.ndarray) -> Row:
    """The mean score of each level that the pictures show; empty where a world has no such level."""
    level = interest_level(sample.scene)
    return {
        name: round(float(scores[level == i].mean()), 3) if (level == i).any() else "" for i, name in enumerate(LEVELS)
    }


def fact_row(annotator: ClipAnnotator, sample: Captioned) -> Row:
    """Balanced accuracy of each fact: the mean of the shares found among true and among untrue ones."""
    vectors = annotator.model.embed_images(sample.images, annotator.batch)
    row: Row = {}
    for name, (truth, among, yes, no) in FACTS.items():
        asked = np.asarray(among(sample.scene), bool)
        holds = np.asarray(truth(sample.scene), bool)[asked]
        if holds.all() or not holds.any() or (sample.chest and name in ("in the closet", "on the exit")):
            row[name] = ""
            continue
        said = _fact_said(annotator, vectors[asked], yes, no, chest=sample.chest)
        row[name] = round(float((said[holds].mean() + (~said)[~holds].mean()) / 2), 3)
    return row


def _fact_said(
    annotator: ClipAnnotator, vectors: np.ndarray, yes: tuple[str, ...], no: tuple[str, ...], *, chest: bool
) -> Bool[np.ndarray, " n"]:
    texts = [text.format(a="the agent", l="chest" if chest else "door") for text in (*yes, *no)]
    logits = annotator.model.sharpness * vectors @ annotator.model.embed_texts(texts).T
    chances = np.exp(logits - logits.max(1, keepdims=True))
    # Means, so that a side does not win by having more sentences.
    return chances[:, : len(yes)].mean(1) > chances[:, len(yes) :].mean(1)


def retrieval_row(annotator: ClipAnnotator, sample: Captioned) -> Row:
    """Top-1 retrieval among the distinct full captions of the sample, and what guessing would find."""
    captions = [full_caption(sample.scene.one(i), chest=sample.chest) for i in range(len(sample.images))]
    distinct = sorted(set(captions))
    place = {text: i for i, text in enumerate(distinct)}
    own = np.array([place[text] for text in captions])
    vectors = annotator.model.embed_images(sample.images, annotator.batch)
    similarity = vectors @ annotator.model.embed_texts(distinct).T
    found = similarity.argmax(1)
    # The colour of the walls is the last clause of every full caption.
    scenes = np.array([text.rsplit(", ", 1)[0] for text in distinct])
    firsts = np.array([np.flatnonzero(own == i)[0] for i in range(len(distinct))])
    return {
        "captions": len(distinct),
        "caption_of_picture": round(float((found == own).mean()), 3),
        "but_for_walls": round(float((scenes[found] == scenes[own]).mean()), 3),
        "picture_of_caption": round(float((similarity[firsts].argmax(0) == np.arange(len(distinct))).mean()), 3),
        "by_chance": round(1 / len(distinct), 3),
    }
