"""What a caption can truthfully say about a picture of the robot's desk (Tabletop), in many wordings.

As for the grid worlds (`captions`), there are two steps:

    state and its picture -> scene (what the picture shows)  ->  words (one of many wordings)

A *scene* counts only what can be seen. Drawer, door and lamp are so large that the gripper never hides them, but it
can hide a ball: a thing counts as seen if enough pixels of the picture have its colour. A drawer that is out by half a
pixel is said to be neither closed nor ajar. A caption tells some of all this, chosen at random, and what the
gripper lifts in any case.

Source: CLIP (arXiv 2103.00020) for what captions are for; what counts as interesting is what counts for the scripted
annotator (`scripted.COUNTED`). Simplified: the grammar is small on purpose.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from make.clip.wordings import Clause, all_clauses, one_of, some_clauses, words_of
from sensei_lite.types import AnyArray, Flag, Image, Scalar
from sensei_lite.worlds.tabletop import Tabletop, TabletopState
from sensei_lite.worlds.tabletop.desk import BALL, DRAWER_IS_OPEN, OBJECTS, SLIDE_IS_OPEN
from sensei_lite.worlds.tabletop.furniture import hooks_the_drawer, is_at_the_door
from sensei_lite.worlds.tabletop.physics import stacked
from sensei_lite.worlds.tabletop.view import FRONTS
from sensei_lite.worlds.tabletop.world import LIFTED

HANDLE, BUTTON, DOOR = range(len(OBJECTS), len(OBJECTS) + 3)
"""What else the gripper can have: numbers that go on from those of the objects."""
HIDDEN, NOTHING, TOUCHES, HOLDS, LIFTS = range(-1, 4)
"""What the gripper does with a thing. HIDDEN: it touches one, but the picture does not show that."""
UNCLEAR, CLOSED, AJAR, OPEN = range(-1, 3)
"""How far drawer and door are open."""
UNSEEN, IN_PLACE, AWAY = range(-1, 2)
"""Whether an object is where it belongs (`desk.HOME`)."""

IS_CLOSED, IS_AJAR = 0.1, 0.4
"""Decimetres. Under the first, drawer and door have not left their places; over the second, by a pixel at least."""
SEEN_SHARE = 6 / 64**2
"""A thing is seen if this share of the picture has its colour: 6 pixels of 64 x 64."""
ALIKE = 30.0
"""Colours are the same if red, green and blue each differ by less, of 255."""
_FAR = 1000.0


class Scene(NamedTuple):
    """What a picture shows. One scene, or arrays of many."""

    grip: AnyArray
    """What the gripper does: `HIDDEN`, `NOTHING`, `TOUCHES`, `HOLDS` (on the desk) or `LIFTS`."""
    thing: AnyArray
    """With what: a place in `THINGS`, -1 for nothing."""
    drawer: AnyArray
    """`UNCLEAR`, `CLOSED`, `AJAR` or `OPEN`."""
    door: AnyArray
    """The same of the cabinet's door."""
    light: AnyArray
    """The lamp is on."""
    stacked: AnyArray
    """A block stands on the other one, and both can be seen."""
    ball_place: AnyArray
    """`UNSEEN`, `IN_PLACE` or `AWAY`."""
    blue_place: AnyArray
    """The same of the upright block."""
    green_place: AnyArray
    """The same of the flat block."""
    ball_fallen: AnyArray
    """The ball can be seen on the floor."""
    blue_fallen: AnyArray
    """The same of the upright block."""
    green_fallen: AnyArray
    """The same of the flat block."""

    def one(self, i: int) -> "Scene":
        """Return the i-th of many scenes, as plain Python values."""
        return one_of(self, i)


LEVELS = ("nothing", "one thing", "two", "three", "four", "five", "six", "seven", "eight")
"""How much there is to see (`interest_level`), from dull to interesting."""


def scene_of(world: Tabletop, state: TabletopState, seen: Bool[Array, " object"]) -> Scene:
    """Compute the scene of one state, what its picture shows, as JAX integers and booleans; ``seen`` by `seen_in`."""
    touched = _touched(world, state)
    has = jnp.where(state.held.any(), state.held, touched[: len(OBJECTS)])
    has = jnp.concatenate([has, touched[len(OBJECTS) :]])
    thing = jnp.where(has.any(), has.argmax(), -1).astype(jnp.int32)
    lifts = (state.held & (state.objects[:, 2] > LIFTED)).any()
    grip = jnp.where(lifts, LIFTS, jnp.where(state.held.any(), HOLDS, jnp.where(has.any(), TOUCHES, NOTHING)))
    # The gripper itself is always seen, so it is seen to be at a handle or at the button.
    shows = jnp.append(seen, jnp.ones(len(THINGS) - len(OBJECTS), bool))[thing] | (grip == NOTHING)
    fallen = seen & (state.objects[:, 2] < -LIFTED)
    facts = world.facts(state)
    away = jnp.stack([facts[f"{name}_displaced"] for name in OBJECTS])
    place = jnp.where(seen, jnp.where(away, AWAY, IN_PLACE), UNSEEN).astype(jnp.int32)
    return Scene(
        grip=jnp.where(shows, grip, HIDDEN).astype(jnp.int32),
        thing=jnp.where(shows, thing, -1),
        drawer=_openness(state.drawer, DRAWER_IS_OPEN),
        door=_openness(state.slide, SLIDE_IS_OPEN),
        light=state.light,
        stacked=stacked(state) & seen[BALL + 1 :].all(),
        ball_place=place[0],
        blue_place=place[1],
        green_place=place[2],
        ball_fallen=fallen[0],
        blue_fallen=fallen[1],
        green_fallen=fallen[2],
    )


def seen_in(image: Image) -> Bool[Array, " object"]:
    """Return which objects can be seen in a picture: enough pixels have the colour of an object's front."""
    far = jnp.abs(image.astype(jnp.float32) - 255 * jnp.asarray(FRONTS)[:, None, None]).max(-1)
    return (far < ALIKE).mean((1, 2)) >= SEEN_SHARE


def _touched(world: Tabletop, state: TabletopState) -> AnyArray:
    """Return what the gripper reaches, bool [thing]: the world's own fact for every object as if it were alone."""
    fixed = jnp.stack([hooks_the_drawer(state), state.pressed, is_at_the_door(state)])

    def alone(number: AnyArray) -> Flag:
        away = jnp.arange(len(OBJECTS)) != number
        objects = jnp.where(away[:, None], -_FAR, state.objects)
        return world.facts(state._replace(objects=objects, pressed=jnp.zeros((), bool)))["object_reached"]

    # At a handle the fact holds for every object, as it would for none.
    each = jax.vmap(alone)(jnp.arange(len(OBJECTS))) & ~(fixed[HANDLE - len(OBJECTS)] | fixed[DOOR - len(OBJECTS)])
    return jnp.concatenate([each, fixed])


def _openness(out: Scalar, is_open: float) -> AnyArray:
    degrees = jnp.select([out > is_open, out > IS_AJAR, out < IS_CLOSED], [OPEN, AJAR, CLOSED], UNCLEAR)
    return degrees.astype(jnp.int32)


def interest_level(scene: Scene) -> AnyArray:
    """Compute the level of interest of one scene or of many, an index in `LEVELS`: how many of eight things it shows.

    The ball, each of two blocks is not in its place; something is in the air; the lamp is on; the door, the drawer is
    open; one block stands on the other.
    """
    shown = (
        np.asarray(scene.ball_place) == AWAY,
        np.asarray(scene.blue_place) == AWAY,
        np.asarray(scene.green_place) == AWAY,
        np.asarray(scene.grip) == LIFTS,
        np.asarray(scene.light, bool),
        np.asarray(scene.door) == OPEN,
        np.asarray(scene.drawer) == OPEN,
        np.asarray(scene.stacked, bool),
    )
    return np.sum(shown, 0)


GRIPPERS = ("the gripper", "the robot", "the hand")
THINGS: tuple[Clause, ...] = (
    ("the red ball", "the ball"),
    ("the blue block", "the upright block"),
    ("the green block", "the flat block"),
    ("the handle of the drawer",),
    ("the button",),
    ("the handle of the door",),
)

LIFTED_UP = ("{g} lifts {t}", "{g} holds {t} in the air", "{g} has lifted {t} from the desk", "{t} hangs in the air")
HELD = ("{g} holds {t} on the desk", "the fingers have closed on {t}", "{g} grips {t}")
TOUCHED = ("{g} touches {t}", "{g} has reached {t}", "the fingers are at {t}")
EMPTY = ("{g} touches nothing", "{g} is away from everything", "nothing is touched", "the fingers are in the empty air")

LIGHT: tuple[Clause, ...] = (
    ("lamp off", "without light"),
    ("lamp on", "the lamp shines", "{g} has switched on the lamp", "yellow light comes from the lamp"),
)
DOORS: tuple[Clause, ...] = (
    ("door closed",),
    ("door ajar", "door half closed"),
    ("door open", "the door of the cabinet is open", "the door is pushed aside", "an open door"),
)
DRAWERS: tuple[Clause, ...] = (
    ("drawer closed",),
    ("drawer ajar", "drawer half closed"),
    ("drawer open", "{g} has opened the drawer", "the drawer is pulled out", "an open drawer"),
)
STACKED = ("one block stands on the other", "the blocks are stacked", "{g} has put one block on top of the other")
PLACES: tuple[tuple[Clause, Clause], ...] = tuple(
    ((f"{thing[0]} in its place",), (f"{thing[0]} away", f"{thing[0]} not in its place")) for thing in THINGS[:3]
)
FALLEN = tuple(tuple(f"{thing[0]} {where}" for where in ("on the floor", "has fallen")) for thing in THINGS[:3])


UNSAID = 0.5
"""How often nothing is said of the gripper, of the times that it lifts nothing."""


def main_wordings(scene: Scene) -> Clause:
    """Return the wordings of what the gripper does in one scene."""
    return {LIFTS: LIFTED_UP, HOLDS: HELD, TOUCHES: TOUCHED, NOTHING: EMPTY}[scene.grip]


def also_wordings(scene: Scene) -> list[Clause]:
    """Return the wordings of everything else that is true in one scene."""
    places = (scene.ball_place, scene.blue_place, scene.green_place)
    also: list[Clause] = [PLACES[i][place] for i, place in enumerate(places) if place != UNSEEN]
    also.append(LIGHT[scene.light])
    if scene.door != UNCLEAR:
        also.append(DOORS[scene.door])
    if scene.drawer != UNCLEAR:
        also.append(DRAWERS[scene.drawer])
    if scene.stacked:
        also.append(STACKED)
    fallen = (scene.ball_fallen, scene.blue_fallen, scene.green_fallen)
    return also + [words for words, fell in zip(FALLEN, fallen, strict=True) if fell]


def write_caption(scene: Scene, *, random: np.random.Generator, share: float = 0.5) -> str:
    """Sample a caption of one scene (`Scene.one`).

    Args:
        scene: what the picture shows.
        random: chooses the wording, and which things are said.
        share: the chance of each of those to be said.

    Raises:
        KeyError: the scene hides what the gripper touches, so nothing can be said of it.
    """
    main, also = main_wordings(scene), also_wordings(scene)
    if scene.grip != LIFTS and random.random() < UNSAID:
        words = some_clauses(also.pop(random.integers(len(also))), also, random=random, share=share)
    else:
        words = some_clauses(main, also, random=random, share=share)
    names = THINGS[scene.thing]
    return words.format(g=GRIPPERS[random.integers(len(GRIPPERS))], t=names[random.integers(len(names))])


def full_caption(scene: Scene) -> str:
    """Return the one caption that says all about a scene in its first wording: equal scenes, equal words."""
    return all_clauses(main_wordings(scene), also_wordings(scene)).format(g=GRIPPERS[0], t=THINGS[scene.thing][0])


def vocabulary() -> list[str]:
    """Return every word that a caption can have, in alphabetical order."""
    clauses = [LIFTED_UP, HELD, TOUCHED, EMPTY, *LIGHT, *DOORS, *DRAWERS, STACKED, *FALLEN]
    clauses += [words for thing in PLACES for words in thing]
    return words_of([*clauses, GRIPPERS, *THINGS])
