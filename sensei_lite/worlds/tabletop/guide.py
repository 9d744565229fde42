"""An expert at the desk: for every purpose a policy, which looks at the true state.

No agent may do that. It shows that everything on the desk can be done, what it looks like, and how many steps it takes.
The policy has no memory: it looks at where things are and takes the next step, so it can be asked in any state. Most
purposes are one pattern: rise, go over the place, come down to it, and then do something there.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sensei_lite.types import Count, Flag, Scalar
from sensei_lite.worlds.tabletop.desk import (
    BALL,
    BUTTON,
    DESK_LEFT,
    DESK_RIGHT,
    DRAWER_X,
    FINGER,
    FLAT,
    HALF,
    HANDLE_Z,
    HEIGHT,
    HOOKED,
    LEDGE_HEIGHT,
    OPEN,
    SLIDE_HANDLE_X,
    UPRIGHT,
    TabletopState,
)
from sensei_lite.worlds.tabletop.furniture import hooks_the_drawer

Action = Float[Array, "4"]

CLOSE, LOOSEN = 1.0, -1.0
ABOVE_ALL = 2.9
NEAR = 0.12


def guide(purpose: str, state: TabletopState, speed: float = 0.8) -> Action:
    """Compute the expert's action for one of `PURPOSES`, in a world of that speed (decimetres a step).

    Raises ValueError for another purpose.
    """
    if purpose not in _HOW:
        raise ValueError(f"there is no purpose called {purpose!r}; there are {', '.join(PURPOSES)}")
    return _HOW[purpose](state, speed)


def guide_any(purpose: Count, state: TabletopState, speed: float = 0.8) -> Action:
    """Compute the expert's action for a purpose given by its index in `PURPOSES`, which can differ in a batch."""
    return jax.lax.switch(purpose, [lambda s, how=how: how(s, speed) for how in _HOW.values()], state)


def _towards(state: TabletopState, target: Float[Array, "3"], fingers: float | Scalar, speed: float) -> Action:
    """Move straight to a place, no further."""
    return jnp.append(jnp.clip((target - state.gripper) / speed, -1.0, 1.0), fingers)


def _over_and_down(state: TabletopState, target: Float[Array, "3"], fingers: float | Scalar, speed: float) -> Action:
    """Move to a target by rising, going over it and coming down: nothing on the way is touched."""
    far = jnp.abs(target[:2] - state.gripper[:2]).max() > NEAR
    high = jnp.full((), ABOVE_ALL)
    rise = state.gripper.at[2].set(high)
    over = jnp.append(target[:2], high)
    ready = state.gripper[2] > ABOVE_ALL - 0.3
    goal = jnp.where(far, jnp.where(ready, over, rise), target)
    return _towards(state, goal, fingers, speed)


def _press(state: TabletopState, speed: float) -> Action:
    target = jnp.array([*BUTTON, LEDGE_HEIGHT + 0.05])
    return _over_and_down(state, target, CLOSE, speed)


def _open_drawer(state: TabletopState, speed: float) -> Action:
    handle = jnp.stack([jnp.asarray(DRAWER_X), -state.drawer - 0.6, jnp.asarray(HANDLE_Z)])
    closed = state.fingers <= HOOKED
    approach = _over_and_down(state, handle, CLOSE, speed)
    return jnp.where(hooks_the_drawer(state) & closed, jnp.array([0.0, -1.0, 0.0, CLOSE]), approach)


def _slide(state: TabletopState, speed: float) -> Action:
    x, y, z = state.gripper
    handle = SLIDE_HANDLE_X + state.slide
    beside = (x < handle) & (x > handle - 1.2) & (y > 6.45) & (z < 1.6)
    target = jnp.stack([handle - 0.9, jnp.asarray(6.65), jnp.asarray(1.2)])
    return jnp.where(beside, jnp.array([1.0, 0.0, 0.0, CLOSE]), _over_and_down(state, target, CLOSE, speed))


def _push(state: TabletopState, speed: float, i: int) -> Action:
    """Push object i towards the nearer end of the desk, until it falls."""
    (x, y, _), (at_x, at_y, _) = state.gripper, state.objects[i]
    way = jnp.where(at_x > (DESK_LEFT + DESK_RIGHT) / 2, 1.0, -1.0)
    behind = (at_x - x) * way
    beside = (jnp.abs(y - at_y) < 0.3) & (state.gripper[2] < 0.4) & (behind > 0)
    target = jnp.stack([at_x - way * (float(HALF[i, 0]) + 0.6), at_y, jnp.asarray(0.1)])
    go = jnp.stack([way, jnp.clip((at_y - y) / speed, -1.0, 1.0), jnp.zeros(()), jnp.asarray(CLOSE)])
    return jnp.where(beside, go, _over_and_down(state, target, CLOSE, speed))


def _take(state: TabletopState, speed: float, i: int) -> Action:
    """Grasp object i: go over it with open fingers, come down and close them."""
    target = state.objects[i].at[2].add(0.1)
    there = (jnp.abs(target[:2] - state.gripper[:2]) < NEAR).all() & (state.gripper[2] < target[2] + 0.1)
    grips = there & (state.fingers > HALF[i, 0] + FINGER[0] - 0.05)
    # Fingers that are low and not open (they have closed on nothing) are opened first.
    loosens = (state.fingers < OPEN - 0.05) & (state.gripper[2] < ABOVE_ALL - 0.3)
    approach = _over_and_down(state, target, LOOSEN, speed)
    approach = jnp.where(loosens, jnp.array([0.0, 0.0, 0.0, LOOSEN]), approach)
    return jnp.where(grips, jnp.array([0.0, 0.0, 0.0, CLOSE]), approach)


def _lift(state: TabletopState, speed: float, i: int) -> Action:
    raise_it = jnp.array([0.0, 0.0, 1.0, CLOSE])
    return jnp.where(state.held[i], raise_it, _take(state, speed, i))


def _stack(state: TabletopState, speed: float) -> Action:
    """Put the upright block on the flat one, let it go, and go up."""
    offset = state.gripper - state.objects[UPRIGHT]
    top = state.objects[FLAT].at[2].add(float(HEIGHT[FLAT]))
    d = jnp.abs(state.objects[UPRIGHT] - top)
    is_on = (d[:2] < 0.4).all() & (d[2] < 0.05)
    carry = _over_and_down(state, top + offset, CLOSE, speed)
    leave = jnp.zeros(4).at[2].set(state.fingers > OPEN - 0.05).at[3].set(LOOSEN)
    held = state.held[UPRIGHT]
    return jnp.where(is_on, leave, jnp.where(held, carry, _take(state, speed, UPRIGHT)))


def _drop_outside(state: TabletopState, speed: float) -> Action:
    """Carry the ball over the nearer end of the desk and let it fall."""
    way = jnp.where(state.objects[BALL, 0] > (DESK_LEFT + DESK_RIGHT) / 2, 1.0, -1.0)
    out: Flag = (state.objects[BALL, 0] < 0.75) | (state.objects[BALL, 0] > 12.05)
    high = state.gripper[2] > 1.0
    sideways, up, fingers = jnp.where(high, way, 0.0), jnp.where(high, 0.0, 1.0), jnp.where(out, LOOSEN, CLOSE)
    carry = jnp.stack([sideways, jnp.zeros(()), up, fingers])
    return jnp.where(state.held[BALL], carry, _take(state, speed, BALL))


_HOW: dict[str, Callable[[TabletopState, float], Action]] = {
    "press the button": _press,
    "push the ball": lambda state, speed: _push(state, speed, BALL),
    "push the upright block": lambda state, speed: _push(state, speed, UPRIGHT),
    "push the flat block": lambda state, speed: _push(state, speed, FLAT),
    "slide the door": _slide,
    "lift the ball": lambda state, speed: _lift(state, speed, BALL),
    "lift the upright block": lambda state, speed: _lift(state, speed, UPRIGHT),
    "lift the flat block": lambda state, speed: _lift(state, speed, FLAT),
    "open the drawer": _open_drawer,
    "stack the blocks": _stack,
    "drop the ball outside": _drop_outside,
}
PURPOSES = tuple(_HOW)
"""What the expert can do, from easy to hard."""
EVENT_OF = {
    "press the button": "button_pressed",
    "push the ball": "ball_moved",
    "push the upright block": "block_moved",
    "push the flat block": "block_moved",
    "slide the door": "slide_moved",
    "lift the ball": "ball_lifted",
    "lift the upright block": "block_lifted",
    "lift the flat block": "block_lifted",
    "open the drawer": "drawer_opened",
    "stack the blocks": "block_stacked",
    "drop the ball outside": "object_off_table",
}
"""The event that each of them leads to."""
