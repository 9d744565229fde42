"""What the small CLIP of keys and doors is worth (`measures`): on arrangements and sizes that it never saw.

An egocentric picture does not show an open door that lies behind the agent, so agreement is computed for what is true
and for what the picture shows.
"""

from typing import NamedTuple

import numpy as np

from make.clip.caption_data import Captioned, sample_scenes
from make.clip.captions import (
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
    full_caption,
    interest_level,
)
from make.clip.measures import Fact, Row, Vectors, agreement_row, fact_row, retrieve, score_row, vectors_of
from sensei_lite.annotators.clip.annotator import ClipAnnotator
from sensei_lite.annotators.scripted import interest
from sensei_lite.worlds import KeyChest, KeyRoom
from sensei_lite.worlds.grid.world import GridWorld
from sensei_lite.worlds.registry import JAX_WORLDS


class HeldOut(NamedTuple):
    """A world to measure on."""

    label: str
    world: GridWorld
    unseen: str
    """What of it training never saw."""


# Where all episodes have one layout, it is training's or it is not: there is nothing to hold out.
ONE_LAYOUT = {"keyroom-lab", "keyroom-plain", "keychest-lab"}
PRESETS = {name: world for name, world in JAX_WORLDS.items() if isinstance(world, GridWorld) and name not in ONE_LAYOUT}

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

_MAIN = (EMPTY[0], KEY_IN_VIEW[0], HELD[0])

FACTS: dict[str, Fact] = {
    "key held": Fact(
        lambda s: s.key_held,
        lambda s: ~s.opened,
        (*HELD, *ALSO_HELD, *HELD_AT_LOCK),
        (*KEY_IN_VIEW, *EMPTY, *ALSO_EMPTY_HANDS, *AT_LOCK),
    ),
    "key in view": Fact(lambda s: s.key_in_view, lambda s: ~s.key_held, KEY_IN_VIEW, (*EMPTY, *ALSO_NO_KEY)),
    "lock in view": Fact(
        lambda s: s.lock_in_view,
        lambda s: ~s.opened & ~s.at_lock,
        tuple(f"{main}, {also}" for main in _MAIN for also in ALSO_LOCK),
        tuple(f"{main}, {also}" for main in _MAIN for also in ALSO_NO_LOCK),
    ),
    "at the lock": Fact(
        lambda s: s.at_lock,
        lambda s: ~s.opened,
        (*AT_LOCK, *HELD_AT_LOCK),
        (*KEY_IN_VIEW, *HELD, *EMPTY, *ALSO_LOCK),
    ),
    "lock open": Fact(
        lambda s: s.opened,
        lambda s: s.key_held,
        (*OPENED, *IN_DOORWAY, *IN_CLOSET, *ON_EXIT, *ALSO_EXIT),
        (*HELD, *HELD_AT_LOCK, *ALSO_LOCK),
    ),
    "in the closet": Fact(lambda s: s.in_closet, lambda s: s.opened, (*IN_CLOSET, *ON_EXIT), (*OPENED, *IN_DOORWAY)),
    "on the exit": Fact(lambda s: s.on_exit, lambda s: s.opened, ON_EXIT, (*OPENED, *IN_DOORWAY, *IN_CLOSET)),
}
"""What is asked of the pictures."""
NO_CHEST = ("in the closet", "on the exit")
"""Facts that a chest cannot have."""


def evaluate_clip(annotator: ClipAnnotator, pictures: int, seed: int = 1) -> dict[str, list[Row]]:
    """Compute all tables of the model card: ``agreement``, ``scores``, ``facts``, ``retrieval``."""
    tables: dict[str, list[Row]] = {"agreement": [], "scores": [], "facts": [], "retrieval": []}
    for held_out in HELD_OUT_WORLDS:
        sample = sample_scenes(held_out.world, pictures, held_out=True, seed=seed)
        scores, vectors = annotator.scores(sample.images), vectors_of(annotator, sample.images)
        levels, shown = interest(sample.facts), interest_level(sample.scene)
        about: Row = {"world": held_out.label, "never_seen": held_out.unseen, "pictures": len(scores)}
        tables["agreement"].append(about | agreement_row(scores, levels, shown, annotator.margin))
        tables["scores"].append(about | score_row(scores, shown, LEVELS))
        tables["facts"].append(about | key_facts(annotator, sample, vectors))
        tables["retrieval"].append(about | key_retrieval(annotator, sample, vectors))
    return tables


def key_facts(annotator: ClipAnnotator, sample: Captioned, vectors: Vectors) -> Row:
    """Compute the row of `FACTS`, each in the words of the world's lock."""
    words = {"a": "the agent", "l": "chest" if sample.chest else "door"}
    asked = {
        name: fact._replace(
            yes=tuple(text.format(**words) for text in fact.yes), no=tuple(text.format(**words) for text in fact.no)
        )
        for name, fact in FACTS.items()
    }
    row = fact_row(annotator, vectors, sample.scene, asked)
    return row | (dict.fromkeys(NO_CHEST, "") if sample.chest else {})


def key_retrieval(annotator: ClipAnnotator, sample: Captioned, vectors: Vectors) -> Row:
    """Compute the row of retrieval, also with how often the caption found is right but for the colour of the walls."""
    captions = [full_caption(sample.scene.one(i), chest=sample.chest) for i in range(len(sample.images))]
    found = retrieve(annotator, vectors, captions)
    # The colour of the walls is the last clause of every full caption.
    scenes = np.array([text.rsplit(", ", 1)[0] for text in found.distinct])
    row = found.row()
    names = ("captions", "caption_of_picture", "but_for_walls", "picture_of_caption", "by_chance")
    row["but_for_walls"] = round(float((scenes[found.found] == scenes[found.own]).mean()), 3)
    return {name: row[name] for name in names}
