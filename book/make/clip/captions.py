"""What a caption can truthfully say about a picture of a grid world, in many wordings.

CLIP learns from pictures with captions. Here captions are written from the true state, in two steps:

    state -> scene (what the picture shows)  ->  words (one of many wordings)

A *scene* counts only what can be seen: a door that was opened but lies outside the agent's view is not in it, because
no one who has only the picture could know. A caption always says what matters most in its scene (the level of
`interest_level`), and says some of the rest, chosen at random, so that no two captions of a scene need be alike.

Source: CLIP (arXiv 2103.00020) for what captions are for; the order of the levels is that of KeyRoom's and KeyChest's
events (`sensei_lite.worlds`). Simplified: the grammar is small on purpose, with fewer than a hundred words.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from make.clip.wordings import all_clauses, one_of, some_clauses, words_of
from sensei_lite.types import AnyArray
from sensei_lite.worlds import KeyChest
from sensei_lite.worlds.grid import tiles
from sensei_lite.worlds.grid.layout import DOORWAY, next_to
from sensei_lite.worlds.grid.world import GridState, GridWorld


class Scene(NamedTuple):
    """What a picture shows: true or false each, and the colour of the walls. One scene, or arrays of many."""

    key_held: AnyArray
    """The status strip shows the key."""
    key_in_view: AnyArray
    """A key lies where it can be seen."""
    lock_in_view: AnyArray
    """The door or chest can be seen, locked or open."""
    at_lock: AnyArray
    """The agent stands beside the locked door or chest."""
    opened: AnyArray
    """It can be seen that the door or chest is open."""
    in_doorway: AnyArray
    """The agent stands in the open door."""
    in_closet: AnyArray
    """The agent stands in the closet, and it can be seen that it is the closet."""
    on_exit: AnyArray
    """The agent stands on the exit."""
    exit_in_view: AnyArray
    """The exit can be seen (and the agent does not stand on it)."""
    in_room: AnyArray
    """KeyChest: the agent stands in a room, and not in the corridor or one of the doorways, which count to it."""
    walls: AnyArray
    """Which of `WALL_COLOURS`; -1 where no wall is in view."""

    def one(self, i: int) -> "Scene":
        """Return the i-th of many scenes, as plain Python values."""
        return one_of(self, i)


LEVELS = ("empty floor", "key in view", "holding the key", "at the lock with the key", "lock opened", "on the exit")
"""From dull to interesting: the order that a caption's reader should find in the pictures. It is that of the scripted
annotator (`scripted.LEVELS`), but for what is out of view."""


def scene_of(world: GridWorld, state: GridState) -> Scene:
    """Compute the scene of one state, what its picture shows, as JAX booleans and one integer."""
    layout, agent = state.layout, state.agent
    rows, columns = world.grid_shape
    row, column = jnp.arange(rows)[:, None], jnp.arange(columns)[None, :]
    shown = world.lit(state)
    if world.view is not None:
        near = (abs(row - agent[0]) <= world.view // 2) & (abs(column - agent[1]) <= world.view // 2)
        shown = shown & near
    no = jnp.zeros((), bool)
    lock_in_view = shown[layout.lock[0], layout.lock[1]]
    region = layout.region[agent[0], agent[1]]
    on_exit = exit_shown = in_closet = in_doorway = in_room = no
    if isinstance(world, KeyChest):
        in_room = (region > 0) & (region < DOORWAY)
    else:
        on_exit = (agent == layout.goal).all()
        exit_shown = shown[layout.goal[0], layout.goal[1]]
        in_closet = (region > 0) & (lock_in_view | exit_shown)
        in_doorway = (agent == layout.lock).all()
    wall = jnp.where(shown & (layout.kind >= tiles.WALL) & (layout.kind < tiles.FLOOR), layout.kind, 0).max()
    return Scene(
        key_held=state.has_key,
        key_in_view=~state.has_key & shown[layout.key[0], layout.key[1]],
        lock_in_view=lock_in_view,
        at_lock=next_to(agent, layout.lock) & ~state.unlocked,
        opened=state.unlocked & (lock_in_view | exit_shown),
        in_doorway=in_doorway,
        in_closet=in_closet,
        on_exit=on_exit,
        exit_in_view=exit_shown & ~on_exit,
        in_room=in_room,
        walls=jnp.where(wall > 0, wall.astype(jnp.int32) - tiles.WALL, -1),
    )


def interest_level(scene: Scene, library: Any = np) -> AnyArray:
    """Compute the level of interest of one scene or of many: the index in `LEVELS` of the highest that holds.

    ``library`` is `numpy`, or `jax.numpy` within a compiled function.
    """
    at_lock_with_key = library.asarray(scene.at_lock) & library.asarray(scene.key_held)
    holds = [scene.on_exit, scene.opened, at_lock_with_key, scene.key_held, scene.key_in_view]
    return library.select([library.asarray(part) for part in holds], [5, 4, 3, 2, 1], 0)


WALL_COLOURS = ("slate", "brown", "blue", "green", "purple", "black")
AGENTS = ("the agent", "the player", "the blue figure")

EMPTY = ("{a} stands on empty floor", "{a} walks over empty floor", "there is nothing but empty floor")
AT_LOCK = (
    "{a} stands beside the locked {l} without a key",
    "{a} is at the locked {l} but has no key",
    "{a} waits next to a locked {l} with empty hands",
)
KEY_IN_VIEW = (
    "a key lies on the floor",
    "{a} sees a key on the floor",
    "there is a golden key to pick up",
    "a key is in view",
)
HELD = (
    "{a} holds the key",
    "{a} carries the key",
    "{a} has picked up the key",
    "{a} walks with the key in hand",
    "the key is in the inventory",
)
HELD_AT_LOCK = (
    "{a} holds the key beside a locked {l}",
    "{a} stands next to the locked {l} with the key in hand",
    "{a} is at the locked {l} and carries the key",
    "with the key in hand {a} waits beside the locked {l}",
)
OPENED = ("the {l} is open", "{a} has opened the {l}", "the {l} stands open", "an open {l}")
IN_DOORWAY = ("{a} stands in the open door", "{a} walks through the open door", "the door is open with {a} in it")
IN_CLOSET = ("the door is open and {a} is inside the closet", "{a} is inside the closet behind the open door")
ON_EXIT = ("{a} has reached the exit behind the open door", "{a} stands on the exit inside the closet")

ALSO_HELD = ("with the key in hand", "the inventory shows the key")
ALSO_EMPTY_HANDS = ("with empty hands", "the inventory is empty")
ALSO_KEY = ("a key lies on the floor", "a key is in view")
ALSO_NO_KEY = ("no key in view",)
ALSO_LOCK = ("a locked {l} is in view", "there is a locked {l}")
ALSO_NO_LOCK = ("no {l} in view",)
ALSO_EXIT = ("the exit is in view",)
ALSO_PLACE = ("in the corridor", "in a room")
ALSO_WALLS = ("the walls are {w}", "between {w} walls", "{w} walls")

WALLS_SHARE = 0.4
"""How often the colour of the walls is said, of the times that another thing would be. It fills much of the picture and
is easy to tell; the key is small, and it is the key that the captions are about."""


def main_wordings(scene: Scene) -> tuple[str, ...]:
    """Return the wordings of what matters most in one scene."""
    if scene.on_exit:
        return ON_EXIT
    if scene.in_closet and scene.opened:
        return IN_CLOSET
    if scene.in_doorway:
        return IN_DOORWAY
    if scene.opened:
        return OPENED
    if scene.at_lock:
        return HELD_AT_LOCK if scene.key_held else AT_LOCK
    if scene.key_held:
        return HELD
    return KEY_IN_VIEW if scene.key_in_view else EMPTY


def also_wordings(scene: Scene, *, chest: bool) -> list[tuple[str, ...]]:
    """Return the wordings of everything else that is true in one scene."""
    also: list[tuple[str, ...]] = []
    if not scene.opened:
        also.append(ALSO_HELD if scene.key_held else ALSO_EMPTY_HANDS)
    if not scene.key_held and not scene.key_in_view:
        also.append(ALSO_NO_KEY)
    elif scene.key_in_view and scene.at_lock:
        also.append(ALSO_KEY)
    if not scene.at_lock and not scene.opened:
        also.append(ALSO_LOCK if scene.lock_in_view else ALSO_NO_LOCK)
    if scene.exit_in_view:
        also.append(ALSO_EXIT)
    if chest:
        also.append((ALSO_PLACE[scene.in_room],))
    if scene.walls >= 0:
        also.append(ALSO_WALLS)
    return also


def write_caption(scene: Scene, *, chest: bool, random: np.random.Generator, share: float = 0.5) -> str:
    """Sample a caption of one scene (`Scene.one`).

    Args:
        scene: what the picture shows.
        chest: the world's lock is a chest (KeyChest), and not a door (KeyRoom).
        random: chooses the wording, and which of the less important things are said.
        share: the chance of each of those to be said; the colour of the walls is said less often.
    """
    words = some_clauses(
        main_wordings(scene),
        also_wordings(scene, chest=chest),
        random=random,
        share=share,
        chance={ALSO_WALLS: WALLS_SHARE},
    )
    return words.format(
        a=AGENTS[random.integers(len(AGENTS))],
        l="chest" if chest else "door",
        w=WALL_COLOURS[scene.walls] if scene.walls >= 0 else "",
    )


def full_caption(scene: Scene, *, chest: bool) -> str:
    """Return the one caption that says all about a scene in its first wording: equal scenes, equal words."""
    words = all_clauses(main_wordings(scene), also_wordings(scene, chest=chest))
    return words.format(
        a=AGENTS[0], l="chest" if chest else "door", w=WALL_COLOURS[scene.walls] if scene.walls >= 0 else ""
    )


def vocabulary() -> list[str]:
    """Return every word that a caption can have, in alphabetical order."""
    every: list[tuple[str, ...]] = [EMPTY, AT_LOCK, KEY_IN_VIEW, HELD, HELD_AT_LOCK]
    every += [OPENED, IN_DOORWAY, IN_CLOSET, ON_EXIT]
    every += [ALSO_HELD, ALSO_EMPTY_HANDS, ALSO_KEY, ALSO_NO_KEY, ALSO_LOCK, ALSO_NO_LOCK, ALSO_EXIT, ALSO_PLACE]
    every += [ALSO_WALLS, AGENTS, WALL_COLOURS, ("door", "chest")]
    return words_of(every)
