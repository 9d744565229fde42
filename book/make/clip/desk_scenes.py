"""States of the desk that are set and not played: what stands where, what is open, and what the gripper is about.

Every part is drawn by itself, so that a lifted ball meets an open drawer and a lamp that is on as often as not. The
gripper is placed for one of the `PLACES`. Then the world's own physics runs for two steps without an action: what hangs
in the air falls, what overlaps is moved apart, and the state is one that play could have come to.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sensei_lite.types import Count, Flag, Scalar, Seed
from sensei_lite.worlds.tabletop import Tabletop, TabletopState
from sensei_lite.worlds.tabletop.desk import (
    BUTTON,
    BUTTON_HALF,
    CLOSED,
    DESK_LEFT,
    DESK_RIGHT,
    DRAWER_TRAVEL,
    DRAWER_X,
    FINGER,
    FLAT,
    FLOOR,
    HALF,
    HANDLE,
    HANDLE_Z,
    HEIGHT,
    HOME,
    HOOKED,
    LEDGE,
    LEDGE_HEIGHT,
    OBJECTS,
    OPEN,
    REACH_HIGH,
    REACH_LOW,
    RIM,
    SLIDE_HANDLE_X,
    SLIDE_TRAVEL,
    UPRIGHT,
)
from sensei_lite.worlds.tabletop.physics import advance

TIDY = 0.6
"""The share of objects that are in their places when an episode begins."""
NEARLY = 0.25
"""Decimetres in x and y by which they are not quite there."""
SETTLING = 2
"""Steps without an action after a state was set."""
PLACES = (
    "in the air",
    "at an object",
    "holding an object",
    "near an object",
    "at the handle of the drawer",
    "before the desk",
    "at the button",
    "at the door",
)
"""Where the gripper is put, with the chances `_CHANCES`."""
_CHANCES = jnp.array([0.2, 0.2, 0.2, 0.12, 0.08, 0.06, 0.07, 0.07])
_LOW, _HIGH = jnp.asarray(REACH_LOW), jnp.asarray(REACH_HIGH)


def tidied(start: TabletopState, *, key: Seed) -> TabletopState:
    """Put some objects of an episode's start in their places, or nearly so, as agents find them in the lab."""
    choice_key, place_key = jax.random.split(key)
    chosen = jax.random.uniform(choice_key, (len(OBJECTS), 1)) < TIDY
    place = HOME + jax.random.uniform(place_key, HOME.shape, minval=-NEARLY, maxval=NEARLY)
    objects = start.objects.at[:, :2].set(jnp.where(chosen, place, start.objects[:, :2]))
    return start._replace(objects=objects)


def set_state(world: Tabletop, start: TabletopState, *, key: Seed) -> TabletopState:
    """Sample a state of an episode that began with ``start``: objects stand where they stood, or some were moved."""
    furniture_key, object_key, gripper_key = jax.random.split(key, 3)
    state = _lay_objects(_open_furniture(start, key=furniture_key), key=object_key)
    state = _place_gripper(state, key=gripper_key)

    def settle(_: Count, state: TabletopState) -> TabletopState:
        return advance(state, jnp.zeros(4), world.speed, world.substeps)[0]

    return jax.lax.fori_loop(0, SETTLING, settle, state)


def _open_furniture(state: TabletopState, *, key: Seed) -> TabletopState:
    """Sample drawer and door, closed or anywhere on their ways, and the lamp, on or off."""
    u = jax.random.uniform(key, (5,))
    return state._replace(
        drawer=jnp.where(u[0] < 0.55, 0.0, u[1] * DRAWER_TRAVEL),
        slide=jnp.where(u[2] < 0.5, 0.0, u[3] * SLIDE_TRAVEL),
        light=u[4] < 0.4,
    )


def _lay_objects(state: TabletopState, *, key: Seed) -> TabletopState:
    """Sample the objects: some elsewhere on the desk or on the floor, sometimes one block on the other."""
    move_key, x_key, y_key, fall_key, stack_key = jax.random.split(key, 5)
    number = len(OBJECTS)
    x = jax.random.uniform(x_key, (number,), minval=DESK_LEFT, maxval=DESK_RIGHT)
    low, high = RIM + HALF[:, 1], LEDGE - HALF[:, 1]
    y = low + (high - low) * jax.random.uniform(y_key, (number,))
    moved = jnp.stack([x, y, jnp.zeros(number)], 1)
    objects = jnp.where((jax.random.uniform(move_key, (number,)) < 0.35)[:, None], moved, state.objects)
    beside = jnp.where(x < (DESK_LEFT + DESK_RIGHT) / 2, DESK_LEFT - HALF[:, 0], DESK_RIGHT + HALF[:, 0])
    fallen = jnp.stack([beside, y, jnp.full(number, FLOOR)], 1)
    objects = jnp.where((jax.random.uniform(fall_key, (number,)) < 0.07)[:, None], fallen, objects)
    # One block on the other: most of the time the upright one on the flat one.
    u = jax.random.uniform(stack_key, (4,))
    for upper, lower, low_chance, high_chance in ((UPRIGHT, FLAT, 0.0, 0.2), (FLAT, UPRIGHT, 0.2, 0.23)):
        offset = (u[1:3] - 0.5) * 1.6 * HALF[lower]
        on_top = jnp.append(objects[lower, :2] + offset, objects[lower, 2] + float(HEIGHT[lower]))
        chosen = (u[0] >= low_chance) & (u[0] < high_chance) & (objects[lower, 2] > -0.1)
        objects = objects.at[upper].set(jnp.where(chosen, on_top, objects[upper]))
    return state._replace(objects=objects)


def _place_gripper(state: TabletopState, *, key: Seed) -> TabletopState:
    place_key, object_key, where_key, finger_key, lift_key = jax.random.split(key, 5)
    place = jax.random.choice(place_key, len(PLACES), p=_CHANCES)
    i = jax.random.randint(object_key, (), 0, len(OBJECTS))
    u, v = jax.random.uniform(where_key, (3,)), jax.random.uniform(finger_key, (2,))
    half, at = jnp.asarray(HALF)[i], state.objects[i]
    height = jnp.asarray(HEIGHT)[i]
    fingers = jnp.where(v[0] < 0.35, OPEN, jnp.where(v[0] < 0.65, CLOSED, CLOSED + v[1] * (OPEN - CLOSED)))
    signed = 2 * u - 1
    closed = CLOSED + v[1] * (HOOKED - CLOSED)
    grip = half[0] + float(FINGER[0])

    # What is held is on the desk or in the air; it keeps its place between the fingers.
    holds = (place == PLACES.index("holding an object")) & (at[2] > -0.1)
    lift_u = jax.random.uniform(lift_key, (2,))
    top = REACH_HIGH[2] - height
    z = jnp.where(lift_u[0] < 0.3, at[2], 0.3 + lift_u[1] ** 1.5 * (top - 0.3))
    in_hand = jnp.append(at[:2] + jnp.stack([0.0 * u[0], signed[1] * 0.6 * half[1]]), z + 0.05 + u[2] * 0.6 * height)

    around = at[:2] + signed[:2] * (half + jnp.stack([fingers + 0.35, jnp.asarray(0.55)]))
    nearby = at[:2] + signed[:2] * (half + jnp.stack([fingers + 1.2, jnp.asarray(1.5)]))
    button = jnp.asarray(BUTTON)
    goals = jnp.stack(
        [
            jnp.append(_LOW[:2] + u[:2] * (_HIGH - _LOW)[:2], u[2] * float(REACH_HIGH[2])),
            jnp.append(around, at[2] + u[2] * height),
            in_hand,
            jnp.append(nearby, at[2] + u[2] * (height + 1.2)),
            _at(DRAWER_X, -state.drawer - 0.65, HANDLE_Z, signed * jnp.asarray(HANDLE) * jnp.array([1.2, 0.6, 1.1])),
            _LOW + u * (jnp.array([12.2, -0.3, 0.5]) - _LOW),
            jnp.append(button + signed[:2] * BUTTON_HALF * 1.3, LEDGE_HEIGHT + u[2] ** 2 * 1.2),
            _at(SLIDE_HANDLE_X + state.slide, 6.6, 1.4, signed * jnp.array([1.2, 0.15, 0.8])),
        ]
    )
    gripper = jnp.clip(goals[place], _LOW, _HIGH)
    is_at = {name: place == number for number, name in enumerate(PLACES)}
    narrow = is_at["at the handle of the drawer"] | is_at["at the button"] | is_at["at the door"]
    fingers = jnp.where(holds, grip, jnp.where(narrow & (v[0] < 0.8), closed, fingers))
    held = holds & (jnp.arange(len(OBJECTS)) == i)
    objects = jnp.where(held[:, None], jnp.append(at[:2], jnp.maximum(z, at[2])), state.objects)
    return _lowered(state._replace(gripper=gripper, fingers=fingers, held=held, objects=objects), holds)


def _at(x: float | Scalar, y: float | Scalar, z: float, offset: Float[Array, "3"]) -> Float[Array, "3"]:
    return jnp.stack([jnp.asarray(x), jnp.asarray(y), jnp.asarray(z)]) + offset


def _lowered(state: TabletopState, holds: Flag) -> TabletopState:
    """Lift the gripper out of desk and ledge, and where it holds something, over the desk."""
    x, y, z = state.gripper
    ground = jnp.where(y > LEDGE - 0.25, LEDGE_HEIGHT, jnp.where(y > -0.26, 0.0, float(REACH_LOW[2])))
    state = state._replace(gripper=jnp.stack([x, y, jnp.maximum(z, ground + 0.02)]))
    return state._replace(held=state.held & holds)
