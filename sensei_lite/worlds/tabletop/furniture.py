"""How the gripper moves among what is fixed: desk, ledge, drawer, sliding door. Things that can be carried come later.

Furniture moves along one axis, and only where the gripper moves it:

- *drawer*: closed fingers hook its handle, and then it goes where they go; from the front or from inside the gripper
  pushes it, whatever the fingers do;
- *door*: a finger beside its handle pushes it to the right or to the left.

At the end of its travel it stops, and so does the gripper.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from sensei_lite.types import Flag, Scalar
from sensei_lite.worlds.tabletop.desk import (
    DRAWER_HALF,
    DRAWER_TOP,
    DRAWER_TRAVEL,
    DRAWER_X,
    FINGER,
    FINGER_LENGTH,
    HANDLE,
    HANDLE_Z,
    HOOKED,
    LEDGE,
    LEDGE_HEIGHT,
    PANEL,
    REACH_HIGH,
    REACH_LOW,
    SLIDE_HANDLE_BOTTOM,
    SLIDE_HANDLE_FRONT,
    SLIDE_HANDLE_HALF,
    SLIDE_HANDLE_TOP,
    SLIDE_HANDLE_X,
    SLIDE_TRAVEL,
    TabletopState,
)

WIDE, DEEP = float(FINGER[0]), float(FINGER[1])
NEAR = 0.01
TOUCHING = 0.3
"""Decimetres, a finger's width: what is this near a handle is said to be at it."""


class Moved(NamedTuple):
    """Where gripper and furniture are after a sideways move."""

    gripper: Float[Array, "2"]
    drawer: Scalar
    slide: Scalar


def move_sideways(state: TabletopState, move: Float[Array, "2"]) -> Moved:
    """Move the gripper by (x, y), as far as the furniture lets it."""
    z = state.gripper[2]
    goal = jnp.clip(state.gripper[:2] + move, REACH_LOW[:2], REACH_HIGH[:2])
    x_new = jnp.where(z < DRAWER_TOP, _beside_the_drawer(state, goal[0]), goal[0])
    # Where the gripper is low, it stands before the ledge, or before the desk's front.
    y_most = jnp.where(z < 0, -DEEP, jnp.where(z < LEDGE_HEIGHT, LEDGE - DEEP, REACH_HIGH[1]))
    y_new, drawer = _along_the_drawer(state, x_new, jnp.minimum(goal[1], y_most))
    x_new, y_new, slide = _along_the_door(state, x_new, y_new)
    return Moved(jnp.stack([x_new, y_new]), drawer, slide)


def _beside_the_drawer(state: TabletopState, x_new: Scalar) -> Scalar:
    """Clip x where the gripper is low in front of the desk: it stays on its side of the drawer's sides."""
    x, y, _ = state.gripper
    wide = state.fingers + WIDE
    left, right = DRAWER_X - DRAWER_HALF, DRAWER_X + DRAWER_HALF
    within = jnp.clip(x_new, left + wide, right - wide)
    outside = jnp.where(x < DRAWER_X, jnp.minimum(x_new, left - wide), jnp.maximum(x_new, right + wide))
    kept = jnp.where((x > left) & (x < right), within, outside)
    return jnp.where(y + DEEP > NEAR - state.drawer, kept, x_new)


def _along_the_drawer(state: TabletopState, x_new: Scalar, y_new: Scalar) -> tuple[Scalar, Scalar]:
    _, y, z = state.gripper
    drawer = state.drawer
    pulled = jnp.clip(drawer - (y_new - y), 0.0, DRAWER_TRAVEL)
    pulled_y = y - (pulled - drawer)

    meets = (z < DRAWER_TOP) & (jnp.abs(x_new - DRAWER_X) < DRAWER_HALF + state.fingers + WIDE)
    before, inside = y + DEEP <= NEAR - drawer, y - DEEP >= PANEL - NEAR - drawer
    pushed_in = jnp.clip(jnp.minimum(drawer, -(y_new + DEEP)), 0.0, DRAWER_TRAVEL)
    pushed_out = jnp.clip(jnp.maximum(drawer, PANEL - (y_new - DEEP)), 0.0, DRAWER_TRAVEL)
    pushed = jnp.where(meets & before, pushed_in, jnp.where(meets & inside, pushed_out, drawer))
    pushed_y = jnp.where(meets & before, jnp.minimum(y_new, -pushed - DEEP), y_new)
    pushed_y = jnp.where(meets & inside, jnp.maximum(y_new, PANEL - pushed + DEEP), pushed_y)

    hooks = hooks_the_drawer(state)
    return jnp.where(hooks, pulled_y, pushed_y), jnp.where(hooks, pulled, pushed)


def hooks_the_drawer(state: TabletopState) -> Flag:
    """Return whether closed fingers are at the drawer's handle."""
    x, y, z = state.gripper
    before = -state.drawer - y  # how far the gripper's middle is in front of the drawer
    at_handle = (jnp.abs(x - DRAWER_X) < HANDLE[0]) & (jnp.abs(z - HANDLE_Z) < HANDLE[2])
    return at_handle & (before > DEEP - NEAR) & (before < DEEP + HANDLE[1]) & (state.fingers <= HOOKED)


def is_at_the_door(state: TabletopState) -> Flag:
    """Return whether a finger is at the handle of the sliding door, from the front or from beside it."""
    x, y, z = state.gripper
    handle, reach = SLIDE_HANDLE_X + state.slide, SLIDE_HANDLE_HALF + WIDE
    level = (z < SLIDE_HANDLE_TOP) & (z + FINGER_LENGTH > SLIDE_HANDLE_BOTTOM)
    away = jnp.minimum(jnp.abs(x - state.fingers - handle), jnp.abs(x + state.fingers - handle))
    return level & (away < reach + TOUCHING) & (y + DEEP > SLIDE_HANDLE_FRONT - TOUCHING)


def _along_the_door(state: TabletopState, x_new: Scalar, y_new: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    x, y, z = state.gripper
    handle, reach = SLIDE_HANDLE_X + state.slide, SLIDE_HANDLE_HALF + WIDE
    level = (z < SLIDE_HANDLE_TOP) & (z + FINGER_LENGTH > SLIDE_HANDLE_BOTTOM)
    side = jnp.array([-1.0, 1.0])
    beside = jnp.abs(x + side * state.fingers - handle) >= reach - NEAR
    before = y + DEEP <= SLIDE_HANDLE_FRONT + NEAR
    meets = level & (jnp.abs(x_new + side * state.fingers - handle) < reach)
    # From the front a finger is stopped by the handle; from beside it pushes the handle away.
    y_new = jnp.where((meets & before).any(), jnp.minimum(y_new, SLIDE_HANDLE_FRONT - DEEP), y_new)
    pushes = meets & beside & ~before & (y_new + DEEP > SLIDE_HANDLE_FRONT)
    finger, finger_new = x + side * state.fingers, x_new + side * state.fingers
    away = jnp.where(handle >= finger, finger_new + reach - handle, finger_new - reach - handle)
    push = jnp.where(pushes, away, 0.0)
    slide = jnp.clip(state.slide + push.max() + push.min(), 0.0, SLIDE_TRAVEL)
    back = jnp.where(pushes.any(), push.max() + push.min() - (slide - state.slide), 0.0)
    return x_new - back, y_new, slide


def lowest(x: Scalar, y: Scalar, z: Scalar, drawer: Scalar, fingers: Scalar) -> Scalar:
    """Compute how low the fingertips can go here: on desk or ledge, in front of the desk, on the drawer's front."""
    on_panel = (jnp.abs(x - DRAWER_X) < DRAWER_HALF + fingers + WIDE) & (
        (y + DEEP > NEAR - drawer) & (y - DEEP < PANEL - NEAR - drawer)
    )
    before_desk = jnp.where(on_panel & (z >= DRAWER_TOP - NEAR), DRAWER_TOP, float(REACH_LOW[2]))
    return jnp.where(y + DEEP > LEDGE + NEAR, LEDGE_HEIGHT, jnp.where(y + DEEP > NEAR, 0.0, before_desk))
