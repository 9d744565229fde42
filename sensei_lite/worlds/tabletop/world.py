"""Tabletop: a gripper over a desk with a drawer, a sliding door, a button with a lamp, a ball and two blocks.

A robotic world for a laptop, with Robodesk's objects (Kannan et al. 2021) and none of its joints. An action is four
numbers from -1 to 1: how far the gripper goes to the right, away from the camera and up, and how fast its fingers
close; minus one is the opposite, and zeros keep everything as it is. Rules of motion are in `physics` and `furniture`,
places and sizes (in decimetres) in `desk`, the camera in `view`, and in `numbers` what the setting of that name tells.

Events say what happened *at this step*:

- ``drawer_moved``, ``slide_moved``: the drawer, the sliding door went more than 0.1 in either direction;
- ``drawer_opened``: the drawer was pulled over half of its way;
- ``button_pressed``: the button went down. Every press switches the lamp: on, off, on. A lamp that glows only while the
  button is down would be hard to find again in a picture;
- ``ball_moved``, ``block_moved``: one of them went more than 0.1, and a contact or the gripper moved it. Rolling on
  and falling do not count;
- ``ball_lifted``, ``block_lifted``: its bottom rose over 0.3 above the desk in the gripper;
- ``block_stacked``: a block came to stand on the other one, and nobody holds it;
- ``object_off_table``: something fell below the desk's top. It stays on the floor for the rest of the episode.

The task is Robodesk's ``open_drawer``, with its sparse reward: 1 at every step after which the drawer is open. It is
the one that needs only one thing to be understood, and that random actions hardly ever solve. As in Robodesk no episode
is terminated: when the drawer is open, there is still a desk to explore.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from sensei_lite.types import Box, Count, Flag, Image, Scalar, Seed
from sensei_lite.worlds.base import Events, Step, World
from sensei_lite.worlds.tabletop.desk import (
    BALL,
    DESK_LEFT,
    DESK_RIGHT,
    DRAWER_IS_OPEN,
    FINGER_LENGTH,
    FLAT,
    HALF,
    HEIGHT,
    HOME,
    LEDGE,
    OBJECTS,
    OPEN,
    RIM,
    SLIDE_IS_OPEN,
    THIRD,
    UPRIGHT,
    TabletopState,
)
from sensei_lite.worlds.tabletop.furniture import hooks_the_drawer, is_at_the_door
from sensei_lite.worlds.tabletop.guide import PURPOSES, guide_any
from sensei_lite.worlds.tabletop.numbers import NUMBERS, numbers_of
from sensei_lite.worlds.tabletop.physics import advance, stacked
from sensei_lite.worlds.tabletop.view import draw

MOVED = 0.1
"""Decimetres in a step, half a pixel: less is not worth an event."""
LIFTED = 0.3
DISPLACED = 1.0
"""Decimetres from its place, five pixels: more, and a thing is not where it belongs."""
START_HEIGHT = 2.2
SMALLEST_PICTURE = 32


@dataclasses.dataclass(frozen=True)
class Tabletop(World):
    """A gripper over a desk. Raises ValueError for settings that make no world."""

    max_steps: int = 250
    """Agent steps after which an episode is truncated. Robodesk in the paper: 250."""
    image_size: int = 64
    """Rows and columns of the agent's picture. Paper: 64."""
    speed: float = 0.8
    """Decimetres that the gripper goes in a step of full strength."""
    substeps: int = 4
    """Equal parts into which a step is cut: more are more exact, and slower."""
    layout_range: float = 1.0
    """How much the starts of the gripper and of the objects differ between episodes: 1, all over the desk; 0, not at
    all."""
    numbers: bool = False
    """Tell the agent beside the picture where everything is (see `numbers`). Robodesk in the paper: pictures alone."""

    event_names: ClassVar[tuple[str, ...]] = (
        "drawer_moved",
        "drawer_opened",
        "slide_moved",
        "button_pressed",
        "ball_moved",
        "ball_lifted",
        "block_moved",
        "block_lifted",
        "block_stacked",
        "object_off_table",
    )

    def __post_init__(self) -> None:
        if self.max_steps < 1:
            raise ValueError(f"max_steps is {self.max_steps}; an episode needs at least 1 step")
        if self.image_size < SMALLEST_PICTURE:
            raise ValueError(f"image_size is {self.image_size}; below {SMALLEST_PICTURE} nobody can tell what happens")
        if not 0 < self.speed <= 1:
            raise ValueError(f"speed is {self.speed}; it must be over 0 and at most 1 (decimetres a step)")
        if self.substeps < 1 or self.speed / self.substeps > 0.2:
            raise ValueError(
                f"substeps is {self.substeps}; at speed {self.speed} there must be at least "
                f"{max(1, int(np.ceil(self.speed / 0.2 - 1e-9)))}, so that nothing passes through anything"
            )
        if not 0 <= self.layout_range <= 1:
            raise ValueError(f"layout_range is {self.layout_range}; it must be from 0 to 1")

    @property
    def actions(self) -> Box:
        """Four numbers: right, away from the camera, up, and fingers together; minus one is the opposite."""
        return Box(("right", "away", "up", "close"), ("left", "near", "down", "open"))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Rows, columns and colours of the agent's picture."""
        return self.image_size, self.image_size, 3

    @property
    def vector_size(self) -> int:
        """Number of `numbers`, 17; 0 where they are not given."""
        return NUMBERS if self.numbers else 0

    def vector(self, state: TabletopState) -> Float[Array, "17"]:
        """Return where everything is (see `numbers`)."""
        return numbers_of(state)

    def reset(self, *, key: Seed) -> TabletopState:
        """Start an episode: drawer and door closed, lamp off, and the objects apart on the desk in any order.

        With ``layout_range`` 0 each is in its own place.
        """
        u = jax.random.uniform(key, (3, 4))
        home = jnp.asarray(HOME)[jnp.argsort(u[:, 3])] if self.layout_range > 0 else jnp.asarray(HOME)
        free = np.stack([THIRD / 2 - HALF[:, 0] - 0.1, (LEDGE - RIM) / 2 - HALF[:, 1] - 0.2], 1)
        places = home + self.layout_range * free * (2 * u[:, :2] - 1)
        middle, reach = np.array([6.4, 3.0]), np.array([4.0, 2.0])
        at = middle + self.layout_range * reach * (2 * u[:2, 2] - 1)
        no = jnp.zeros((), bool)
        return TabletopState(
            gripper=jnp.concatenate([at, jnp.full(1, START_HEIGHT)]),
            fingers=jnp.full((), OPEN, jnp.float32),
            objects=jnp.concatenate([places, jnp.zeros((len(OBJECTS), 1))], 1),
            velocity=jnp.zeros((len(OBJECTS), 3)),
            held=jnp.zeros(len(OBJECTS), bool),
            drawer=jnp.zeros(()),
            slide=jnp.zeros(()),
            pressed=no,
            light=no,
            t=jnp.zeros((), jnp.int32),
        )

    def step(self, state: TabletopState, action: Float[Array, "4"], *, key: Seed) -> Step:
        """Take one step. Nothing here is random: ``key`` is part of every world's interface and not used."""
        after, pushed = advance(state, jnp.clip(action, -1.0, 1.0), self.speed, self.substeps)
        after = after._replace(t=state.t + 1)
        was, now = self._truths(state), self._truths(after)
        became = {name: now[name] & ~was[name] for name in now}
        way = jnp.sqrt(((after.objects - state.objects) ** 2).sum(-1))
        moved = (way > MOVED) & (pushed > MOVED / 2)
        events = {
            "drawer_moved": jnp.abs(after.drawer - state.drawer) > MOVED,
            "drawer_opened": became["drawer_opened"],
            "slide_moved": jnp.abs(after.slide - state.slide) > MOVED,
            "button_pressed": after.pressed & ~state.pressed,
            "ball_moved": moved[BALL],
            "ball_lifted": became["ball_lifted"],
            "block_moved": moved[UPRIGHT] | moved[FLAT],
            "block_lifted": became["upright_lifted"] | became["flat_lifted"],
            "block_stacked": became["block_stacked"],
            "object_off_table": became["ball_off"] | became["upright_off"] | became["flat_off"],
        }
        return Step(
            state=after,
            reward=now["drawer_opened"].astype(jnp.float32),
            terminated=jnp.zeros((), bool),
            truncated=after.t >= self.max_steps,
            events=events,
        )

    def render(self, state: TabletopState, scale: int = 1) -> Image:
        """Draw the desk, ``scale`` times as large (drawn finer, not only blown up).

        Raises ValueError where ``scale`` is under 1.
        """
        if scale < 1:
            raise ValueError(f"scale is {scale}; it must be at least 1")
        return draw(state, self.image_size * scale)

    # --- for measuring, and for scripted annotators -------------------------------------------------------------------

    def _truths(self, state: TabletopState) -> dict[str, Flag]:
        lifted = state.held & (state.objects[:, 2] > LIFTED)
        off = state.objects[:, 2] < -LIFTED
        each = {f"{name}_lifted": lifted[i] for i, name in enumerate(OBJECTS)}
        each |= {f"{name}_off": off[i] for i, name in enumerate(OBJECTS)}
        return each | {"drawer_opened": state.drawer > DRAWER_IS_OPEN, "block_stacked": stacked(state)}

    def facts(self, state: TabletopState) -> Events:
        """Return what is true now and can be seen, for scripted annotators, dull facts first.

        ``ball_displaced``, ``upright_displaced``, ``flat_displaced`` (not in its place, see `desk.HOME`), ``light_on``,
        ``slide_opened`` (over half), ``ball_lifted``, ``block_lifted``, ``drawer_opened``, ``block_stacked``; and two
        that do not count: ``object_reached`` (the fingertips are within a finger's width of something) and
        ``object_off_table``.
        """
        truths = self._truths(state)
        away = jnp.sqrt(((state.objects[:, :2] - HOME) ** 2).sum(-1)) > DISPLACED
        return {
            "object_reached": self._reaches(state),
            "ball_displaced": away[BALL],
            "upright_displaced": away[UPRIGHT],
            "flat_displaced": away[FLAT],
            "light_on": state.light,
            "slide_opened": state.slide > SLIDE_IS_OPEN,
            "ball_lifted": truths["ball_lifted"],
            "block_lifted": truths["upright_lifted"] | truths["flat_lifted"],
            "drawer_opened": truths["drawer_opened"],
            "block_stacked": truths["block_stacked"],
            "object_off_table": truths["ball_off"] | truths["upright_off"] | truths["flat_off"],
        }

    def _reaches(self, state: TabletopState) -> Flag:
        """Return whether something is between the fingers or beside them, or the gripper has a handle or the button."""
        d = jnp.abs(state.objects[:, :2] - state.gripper[:2])
        near = (d < HALF + jnp.stack([state.fingers + 0.3, jnp.full((), 0.5)])).all(-1)
        z, bottom = state.gripper[2], state.objects[:, 2]
        level = (z < bottom + HEIGHT) & (z + FINGER_LENGTH > bottom)
        return (near & level).any() | state.pressed | hooks_the_drawer(state) | is_at_the_door(state)

    @property
    def situations(self) -> int:
        """Number of situations that `situation` tells apart."""
        return 3 * 3 * 2 * 4 * 2 * 4 * 9

    def situation(self, state: TabletopState) -> Count:
        """Return the index of a state's situation: what is where.

        The drawer and the door (each closed, ajar or open), the lamp, what is in the hand (nothing, or one of three),
        whether blocks are stacked, how many things are off the table, in which third of the desk's width the gripper
        is, and whether it is before the desk, over it, or over its far end.
        """

        def thirds(opening: Scalar, is_open: float) -> Count:
            return (opening > MOVED).astype(jnp.int32) + (opening > is_open)

        truths = self._truths(state)
        hand = jnp.where(state.held.any(), 1 + state.held.argmax(), 0)
        off = (state.objects[:, 2] < -LIFTED).sum()
        x = jnp.clip((state.gripper[0] - DESK_LEFT) / (DESK_RIGHT - DESK_LEFT) * 3, 0, 2.9).astype(jnp.int32)
        y = jnp.where(state.gripper[1] < 0, 0, jnp.where(state.gripper[1] < LEDGE - HALF[BALL, 1], 1, 2))
        number = thirds(state.drawer, DRAWER_IS_OPEN)
        for size, value in (
            (3, thirds(state.slide, SLIDE_IS_OPEN)),
            (2, state.light),
            (4, hand),
            (2, truths["block_stacked"]),
            (4, off),
            (3, x),
            (3, y),
        ):
            number = size * number + value
        return number.astype(jnp.int32)

    @property
    def purposes(self) -> tuple[str, ...]:
        """What the `guide` can do, from easy to hard."""
        return PURPOSES

    def expert(self, state: TabletopState, purpose: Count) -> Callable[[TabletopState], Float[Array, "4"]]:
        """Return an expert for one of the `purposes` (see `guide`), which needs no plan and so no first state."""
        return jax.tree_util.Partial(self._guide, purpose)

    def _guide(self, purpose: Count, state: TabletopState) -> Float[Array, "4"]:
        return guide_any(purpose, state, self.speed)
