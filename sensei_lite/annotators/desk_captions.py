"""What a caption can truthfully say about a picture of the robot's desk (Tabletop), in many wordings.

As for the grid worlds (`captions`), there are two steps:

    state and its picture -> scene (what the picture shows)  ->  words (one of many wordings)

A *scene* counts only what can be seen. Drawer, door and lamp are so large that the gripper never hides them, but it
can hide a ball: a thing counts as seen if enough pixels of the picture have its colour. A drawer that is out by half a
pixel is said to be neither closed nor ajar. A caption always says what matters most first (`interest_level`), and then
some of the rest, chosen at random.

Source: CLIP (arXiv 2103.00020) for what captions are for; the order of the levels is that of the scripted annotator
(`scripted.LEVELS`). Simplified: the grammar is small on purpose.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from sensei_lite.annotators.wordings import Clause, all_clauses, one_of, some_clauses, words_of
from sensei_lite.shapes import AnyArray, Flag, Image, Scalar
from sensei_lite.worlds.tabletop import Tabletop, TabletopState
from sensei_lite.worlds.tabletop.desk import BALL, DRAWER_IS_OPEN, OBJECTS, SLIDE_IS_OPEN
from sensei_lite.worlds.tabletop.furniture import hooks_the_drawer
from sensei_lite.worlds.tabletop.physics import stacked
from sensei_lite.worlds.tabletop.view import FRONTS
from sensei_lite.worlds.tabletop.world import LIFTED

HANDLE, BUTTON = len(OBJECTS), len(OBJECTS) + 1
"""What else the gripper can have: numbers that go on from those of the objects."""
HIDDEN, NOTHING, TOUCHES, HOLDS, LIFTS = range(-1, 4)
"""What the gripper does with a thing. HIDDEN: it touches one, but the picture does not show that."""
UNCLEAR, CLOSED, AJAR, OPEN = range(-1, 3)
"""How far drawer and door are open."""

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
    ball_fallen: AnyArray
    """The ball can be seen on the floor."""
    blue_fallen: AnyArray
    """The same of the upright block."""
    green_fallen: AnyArray
    """The same of the flat block."""

    def one(self, i: int) -> "Scene":
        """The i-th of many, as plain Python values."""
        return one_of(self, i)


LEVELS = (
    "nothing touched",
    "a thing touched",
    "lamp on",
    "door open",
    "ball lifted",
    "block lifted",
    "drawer open",
    "blocks stacked",
)
"""From dull to interesting: the order of the scripted annotator (`scripted.LEVELS`)."""


def scene_of(world: Tabletop, state: TabletopState, seen: Bool[Array, " object"]) -> Scene:
    """What the picture of one state shows, as JAX integers and booleans; ``seen`` as `seen_in` finds in it."""
    touched = _touched(world, state)
    has = jnp.where(state.held.any(), state.held, touched[: len(OBJECTS)])
    has = jnp.concatenate([has, touched[len(OBJECTS) :]])
    thing = jnp.where(has.any(), has.argmax(), -1).astype(jnp.int32)
    lifts = (state.held & (state.objects[:, 2] > LIFTED)).any()
    grip = jnp.where(lifts, LIFTS, jnp.where(state.held.any(), HOLDS, jnp.where(has.any(), TOUCHES, NOTHING)))
    # The gripper itself is always seen, so it is seen to be at the handle or at the button.
    shows = jnp.append(seen, jnp.ones(2, bool))[thing] | (grip == NOTHING)
    fallen = seen & (state.objects[:, 2] < -LIFTED)
    return Scene(
        grip=jnp.where(shows, grip, HIDDEN).astype(jnp.int32),
        thing=jnp.where(shows, thing, -1),
        drawer=_openness(state.drawer, DRAWER_IS_OPEN),
        door=_openness(state.slide, SLIDE_IS_OPEN),
        light=state.light,
        stacked=stacked(state) & seen[BALL + 1 :].all(),
        ball_fallen=fallen[0],
        blue_fallen=fallen[1],
        green_fallen=fallen[2],
    )


def seen_in(image: Image) -> Bool[Array, " object"]:
    """Which of the objects can be seen in a picture: enough pixels have the colour of its front."""
    far = jnp.abs(image.astype(jnp.float32) - 255 * jnp.asarray(FRONTS)[:, None, None]).max(-1)
    return (far < ALIKE).mean((1, 2)) >= SEEN_SHARE


def _touched(world: Tabletop, state: TabletopState) -> AnyArray:
    """What the gripper reaches, bool [thing]: the world's own fact, asked for every object as if it were alone."""
    hooks = hooks_the_drawer(state)

    def alone(number: AnyArray) -> Flag:
        away = jnp.arange(len(OBJECTS)) != number
        objects = jnp.where(away[:, None], -_FAR, state.objects)
        return world.facts(state._replace(objects=objects, pressed=jnp.zeros((), bool)))["object_reached"]

    each = jax.vmap(alone)(jnp.arange(len(OBJECTS))) & ~hooks
    return jnp.concatenate([each, jnp.stack([hooks, state.pressed])])


def _openness(out: Scalar, is_open: float) -> AnyArray:
    degrees = jnp.select([out > is_open, out > IS_AJAR, out < IS_CLOSED], [OPEN, AJAR, CLOSED], UNCLEAR)
    return degrees.astype(jnp.int32)


def interest_level(scene: Scene, library: Any = np) -> AnyArray:
    """The index in `LEVELS` of one scene or of many: the highest level that holds.

    ``library`` is `numpy`, or `jax.numpy` within a compiled function.
    """
    lifts, is_ball = library.asarray(scene.grip) == LIFTS, library.asarray(scene.thing) == BALL
    holds = [
        library.asarray(scene.stacked),
        library.asarray(scene.drawer) == OPEN,
        lifts & ~is_ball,
        lifts & is_ball,
        library.asarray(scene.door) == OPEN,
        library.asarray(scene.light),
        library.asarray(scene.grip) > NOTHING,
    ]
    return library.select(holds, [7, 6, 5, 4, 3, 2, 1], 0)


GRIPPERS = ("the gripper", "the robot", "the hand")
THINGS: tuple[Clause, ...] = (
    ("the red ball", "the ball"),
    ("the blue block", "the upright block"),
    ("the green block", "the flat block"),
    ("the handle of the drawer",),
    ("the button",),
)

STACKED = ("one block stands on the other", "the blocks are stacked", "{g} has put one block on top of the other")
DRAWER_OPEN = ("the drawer is open", "{g} has opened the drawer", "the drawer is pulled out", "an open drawer")
LIFTED_UP = ("{g} lifts {t}", "{g} holds {t} in the air", "{g} has lifted {t} from the desk", "{t} hangs in the air")
DOOR_OPEN = ("the door of the cabinet is open", "{g} has opened the door", "the door is pushed aside", "an open door")
LIGHT_ON = ("the lamp is on", "the lamp shines", "{g} has switched on the lamp", "yellow light comes from the lamp")
HELD = ("{g} holds {t} on the desk", "the fingers have closed on {t}", "{g} grips {t}")
TOUCHED = ("{g} touches {t}", "{g} has reached {t}", "the fingers are at {t}")
EMPTY = ("{g} touches nothing", "{g} is away from everything", "nothing is touched", "the fingers are in the empty air")

ALSO_LIFTED = ("with {t} in the air", "{t} is lifted")
ALSO_HELD = ("with {t} between the fingers",)
ALSO_TOUCHED = ("with the fingers at {t}", "touching {t}")
ALSO_EMPTY = ("touching nothing", "with empty fingers")
ALSO_LIGHT: tuple[Clause, ...] = (("lamp off", "without light"), ("lamp on", "with light"))
ALSO_DOOR: tuple[Clause, ...] = (("door closed",), ("door ajar", "door half closed"), ("door open", "door aside"))
ALSO_DRAWER: tuple[Clause, ...] = (
    ("drawer closed",),
    ("drawer ajar", "drawer half closed"),
    ("drawer open", "drawer out"),
)
ALSO_FALLEN = tuple(tuple(f"{thing[0]} {where}" for where in ("on the floor", "has fallen")) for thing in THINGS[:3])

FURNITURE_SHARE = 0.5
"""How often lamp, door and drawer are said behind the main clause, of the times that another thing would be. They are
large and easy to tell; whether the fingers have a thing is not, and it is that which captions should teach."""
_CHANCE = dict.fromkeys((*ALSO_LIGHT, *ALSO_DOOR, *ALSO_DRAWER), FURNITURE_SHARE)


def main_wordings(scene: Scene) -> Clause:
    """The wordings of what matters most in one scene."""
    if scene.stacked:
        return STACKED
    if scene.drawer == OPEN:
        return DRAWER_OPEN
    if scene.grip == LIFTS:
        return LIFTED_UP
    if scene.door == OPEN:
        return DOOR_OPEN
    if scene.light:
        return LIGHT_ON
    return {HOLDS: HELD, TOUCHES: TOUCHED, NOTHING: EMPTY}[scene.grip]


def also_wordings(scene: Scene) -> list[Clause]:
    """The wordings of everything else that is true in one scene."""
    level = interest_level(scene)
    also: list[Clause] = []
    has: dict[int, Clause] = {LIFTS: ALSO_LIFTED, HOLDS: ALSO_HELD, TOUCHES: ALSO_TOUCHED, NOTHING: ALSO_EMPTY}
    lift_comes_first = scene.grip == LIFTS and level in (LEVELS.index("ball lifted"), LEVELS.index("block lifted"))
    if level > LEVELS.index("a thing touched") and scene.grip in has and not lift_comes_first:
        also.append(has[scene.grip])
    if level != LEVELS.index("lamp on"):
        also.append(ALSO_LIGHT[scene.light])
    if level != LEVELS.index("door open") and scene.door != UNCLEAR:
        also.append(ALSO_DOOR[scene.door])
    if level != LEVELS.index("drawer open") and scene.drawer != UNCLEAR:
        also.append(ALSO_DRAWER[scene.drawer])
    fallen = (scene.ball_fallen, scene.blue_fallen, scene.green_fallen)
    return also + [words for words, fell in zip(ALSO_FALLEN, fallen, strict=True) if fell]


def write_caption(scene: Scene, *, random: np.random.Generator, share: float = 0.5) -> str:
    """One caption of one scene (`Scene.one`).

    Args:
        scene: what the picture shows.
        random: chooses the wording, and which of the less important things are said.
        share: the chance of each of those to be said; of lamp, door and drawer it is half of that.

    Raises:
        KeyError: the scene hides what the gripper touches, and nothing else can be said first.
    """
    words = some_clauses(main_wordings(scene), also_wordings(scene), random=random, share=share, chance=_CHANCE)
    names = THINGS[scene.thing]
    return words.format(g=GRIPPERS[random.integers(len(GRIPPERS))], t=names[random.integers(len(names))])


def full_caption(scene: Scene) -> str:
    """The one caption that says everything about a scene in its first wording: equal scenes, equal words."""
    return all_clauses(main_wordings(scene), also_wordings(scene)).format(g=GRIPPERS[0], t=THINGS[scene.thing][0])


def vocabulary() -> list[str]:
    """Every word that a caption can have, in the order of the alphabet."""
    main = [STACKED, DRAWER_OPEN, LIFTED_UP, DOOR_OPEN, LIGHT_ON, HELD, TOUCHED, EMPTY]
    also = [ALSO_LIFTED, ALSO_HELD, ALSO_TOUCHED, ALSO_EMPTY, *ALSO_LIGHT, *ALSO_DOOR, *ALSO_DRAWER, *ALSO_FALLEN]
    return words_of([*main, *also, GRIPPERS, *THINGS])
