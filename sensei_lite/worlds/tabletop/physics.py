"""What happens in one step: a gripper moves, and everything else gives way, rolls, falls, or stays where it is.

A step is cut into sub-steps of equal length. In each, in this order:

1. the fingers open or close; what stands between them stops them, and is then *held*;
2. the gripper moves to the side (see `furniture`), and what it holds moves with it;
3. the gripper moves up or down, until it stands on something;
4. what is free falls by gravity, v_z <- v_z - g, until it stands on the highest thing under it. It is *balanced* if its
   middle is above that thing; otherwise it slips off to the side, and falls. Nothing is balanced on the ball;
5. whatever overlaps is moved apart (see `contacts`): objects out of the gripper and out of one another, several times,
   and at last the gripper out of objects that could not give way;
6. a ball rolls on: its velocity is the way it has come in this sub-step, times a factor below 1. Blocks have so much
   friction that they stop at once. What stands on a block that moves goes with it.

Simplified: nothing has weight or turns, and the gripper is stronger than everything else. While it holds something it
keeps between rim and ledge.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from sensei_lite.types import Count, Flag, Scalar
from sensei_lite.worlds.tabletop.contacts import (
    CORE,
    RADIUS,
    SLACK,
    at_most,
    between_objects,
    deepest,
    levels_meet,
    overlap_from_above,
    way_out,
    within_walls,
)
from sensei_lite.worlds.tabletop.desk import (
    BUTTON,
    BUTTON_HALF,
    CLOSED,
    DESK_LEFT,
    DESK_RIGHT,
    FINGER,
    FINGER_LENGTH,
    FLOOR,
    HALF,
    HEIGHT,
    IS_BALL,
    LEDGE,
    OPEN,
    PALM,
    PALM_HEIGHT,
    PRESSED,
    REACH_HIGH,
    REACH_LOW,
    RIM,
    TabletopState,
)
from sensei_lite.worlds.tabletop.furniture import lowest, move_sideways

GRAVITY = 0.05
"""Decimetres per sub-step, each sub-step."""
ROLLING = 0.9
"""What is left of the ball's speed after a sub-step."""
FASTEST = 0.25
STANDING = 0.01
"""A ball slower than this stops."""
SLIPPING = 0.12
FINGER_SPEED = 0.35
"""How far each finger moves in a step of full strength."""
PASSES = 3
IS_FINGER = np.array([True, True, False, False])
GRASP = 0.8
"""What is held has its middle between the fingers, or off by less than this part of its half depth."""
NOTHING = 100.0
"""The height of a held object where there is none: out of everything's way."""


class Bodies(NamedTuple):
    """What the gripper pushes with: left finger, right finger, palm, and what it holds."""

    middle: Float[Array, "pusher 2"]
    half: Float[Array, "pusher 2"]
    radius: Float[Array, " pusher"]
    bottom: Float[Array, " pusher"]
    top: Float[Array, " pusher"]


class Support(NamedTuple):
    """What objects stand on, or would land on."""

    height: Float[Array, " object"]
    by_object: Bool[Array, "object object"]
    """Whether the highest thing under the first is the second."""
    balanced: Bool[Array, " object"]
    slip: Float[Array, "object 2"]
    """The way along which an unbalanced object slips off."""


def advance(
    state: TabletopState, action: Float[Array, "4"], speed: float, substeps: int
) -> tuple[TabletopState, Float[Array, " object"]]:
    """Step the physics; also return how far contacts and the gripper have moved each object (decimetres).

    ``action`` is from -1 to 1, ``speed`` in decimetres a step. The clock stands still.
    """
    move, close = action[:3] * (speed / substeps), action[3] * (FINGER_SPEED / substeps)

    def one(_: Count, carry: tuple[TabletopState, Array]) -> tuple[TabletopState, Array]:
        state, pushed = carry
        state, shift = _substep(state, move, close)
        return state, pushed + shift

    after, pushed = jax.lax.fori_loop(0, substeps, one, (state, jnp.zeros(len(HEIGHT))))
    return after._replace(light=state.light ^ (after.pressed & ~state.pressed)), pushed


def _substep(state: TabletopState, move: Array, close: Array) -> tuple[TabletopState, Float[Array, " object"]]:
    before = state
    standing_on = support_of(state).by_object & ~_in_the_air(state)[:, None]
    # 1. Fingers.
    between = _between_the_fingers(state)
    stop = jnp.where(between, _width_between(state), CLOSED).max()
    fingers = jnp.clip(state.fingers - close, jnp.minimum(stop, OPEN), OPEN)
    held = state.held & (fingers <= HALF[:, 0] + FINGER[0] + 0.06)
    state = state._replace(fingers=fingers, held=held)
    # 2. To the side.
    moved = move_sideways(state, move[:2])
    at = _with_its_load(state, moved.gripper)
    state = _carry(state, jnp.concatenate([at - state.gripper[:2], jnp.zeros(1)]))
    state = state._replace(drawer=moved.drawer, slide=moved.slide)
    objects = state.objects.at[:, :2].add(jnp.where((~held & IS_BALL)[:, None], state.velocity[:, :2], 0.0))
    state = state._replace(objects=objects)
    free_way = objects[:, :2]
    # 3. Up and down.
    state = _carry(state, jnp.zeros(3).at[2].set(_height_change(state, move[2])))
    # 4. Falling.
    state = _fall(state)
    slipped = state.objects[:, :2] - free_way
    # 5. Contacts.
    state = _apart(state)
    contact = state.objects[:, :2] - free_way - slipped
    # 6. What goes on: riders, and the ball.
    ridden = state.objects[:, :2] - before.objects[:, :2]
    riding = (standing_on.astype(jnp.float32) @ ridden) * ~held[:, None]
    objects = within_walls(state.objects.at[:, :2].add(riding))
    way = at_most(objects[:, :2] - before.objects[:, :2], FASTEST) * ROLLING
    rolls = IS_BALL & ~held & (objects[:, 2] > -SLACK) & ((way**2).sum(-1) > STANDING**2)
    velocity = state.velocity.at[:, :2].set(jnp.where(rolls[:, None], way, 0.0))
    deep = jnp.abs(before.objects[:, 1] - before.gripper[1]) < GRASP * HALF[:, 1]
    grasped = between & deep & (close > 0) & (fingers <= HALF[:, 0] + FINGER[0] + 0.02) & ~held.any()
    held = held | (grasped & (jnp.arange(len(HEIGHT)) == grasped.argmax()))
    tip = state.gripper - jnp.array([*BUTTON, 0.0])
    pressed = (jnp.abs(tip[:2]) < BUTTON_HALF).all() & (tip[2] <= PRESSED)
    carried = jnp.where(state.held, jnp.abs(state.objects - before.objects).sum(-1), 0.0)
    pushed = jnp.abs(contact).sum(-1) + jnp.abs(riding).sum(-1) + carried
    return state._replace(objects=objects, velocity=velocity, held=held, pressed=pressed), pushed


# --- the gripper ------------------------------------------------------------------------------------------------------


def _width_between(state: TabletopState) -> Float[Array, " object"]:
    """Return at which opening each object would stop the fingers, if it were in the middle between them."""
    beyond = jnp.maximum(jnp.abs(state.objects[:, 1] - state.gripper[1]) - FINGER[1], 0.0)
    # A ball that is not deep between the fingers is thinner there: half a chord.
    chord = jnp.sqrt(jnp.maximum(HALF[:, 0] ** 2 - beyond**2, 0.0))
    return FINGER[0] + jnp.where(IS_BALL, chord, HALF[:, 0])


def _between_the_fingers(state: TabletopState) -> Bool[Array, " object"]:
    """Return which objects are in the gap and stop the fingers."""
    d = jnp.abs(state.objects[:, :2] - state.gripper[:2])
    z, bottom = state.gripper[2], state.objects[:, 2]
    level = levels_meet(z, z + FINGER_LENGTH, bottom, bottom + HEIGHT)
    in_gap = (d[:, 0] < state.fingers) & (state.fingers >= _width_between(state) - SLACK)
    return in_gap & (d[:, 1] < HALF[:, 1] + FINGER[1]) & level


def _with_its_load(state: TabletopState, at: Float[Array, "2"]) -> Float[Array, "2"]:
    """Clip the gripper's place so that what it holds stays between rim and ledge."""
    offset = state.objects[:, 1] - state.gripper[1]
    low = jnp.where(state.held, RIM + HALF[:, 1] - offset, REACH_LOW[1]).max()
    high = jnp.where(state.held, LEDGE - HALF[:, 1] - offset, REACH_HIGH[1]).min()
    return jnp.stack([at[0], jnp.clip(at[1], low, high)])


def _carry(state: TabletopState, by: Float[Array, "3"]) -> TabletopState:
    return state._replace(gripper=state.gripper + by, objects=state.objects + jnp.where(state.held[:, None], by, 0.0))


def _height_change(state: TabletopState, wanted: Scalar) -> Scalar:
    """Compute how far the gripper goes up or down, until it or its load stands on something."""
    x, y, z = state.gripper
    bodies = _bodies(state)
    over = overlap_from_above(bodies.middle, bodies.half, bodies.radius, state.objects) & ~state.held[None]
    tops = state.objects[:, 2] + HEIGHT
    over &= bodies.bottom[:, None] >= tops[None] - SLACK
    room = jnp.where(over, bodies.bottom[:, None] - tops[None], NOTHING).min()
    load = jnp.where(state.held, state.objects[:, 2], NOTHING).min()  # its place on the desk
    room = jnp.minimum(room, jnp.minimum(load, z - lowest(x, y, z, state.drawer, state.fingers)))
    return jnp.minimum(jnp.maximum(wanted, -jnp.maximum(room, 0.0)), REACH_HIGH[2] - z)


def _bodies(state: TabletopState) -> Bodies:
    z = state.gripper[2]
    held = state.held.astype(jnp.float32)
    fingers = [state.gripper[:2] + jnp.stack([way, jnp.zeros(())]) for way in (-state.fingers, state.fingers)]
    load_z = jnp.where(state.held.any(), held @ state.objects[:, 2], NOTHING)
    return Bodies(
        middle=jnp.stack([*fingers, state.gripper[:2], held @ state.objects[:, :2]]),
        half=jnp.stack([jnp.asarray(FINGER), jnp.asarray(FINGER), jnp.asarray(PALM), held @ CORE]),
        radius=jnp.concatenate([jnp.zeros(3), (held @ RADIUS)[None]]),
        bottom=jnp.stack([z, z, z + FINGER_LENGTH, load_z]),
        top=jnp.stack([z + FINGER_LENGTH, z + FINGER_LENGTH, z + FINGER_LENGTH + PALM_HEIGHT, load_z + held @ HEIGHT]),
    )


# --- what is free -----------------------------------------------------------------------------------------------------


def support_of(state: TabletopState) -> Support:
    """Compute what every object stands on, or would land on."""
    objects = state.objects
    top, number = objects[:, 2] + HEIGHT, np.arange(len(HEIGHT))
    others = number[:, None] != number[None]
    over = overlap_from_above(objects[:, :2], jnp.asarray(CORE), jnp.asarray(RADIUS), objects) & others
    over &= top[None] <= objects[:, 2:] + 0.2
    x, half = objects[:, 0], HALF[:, 0]
    above_desk = (x + half > DESK_LEFT) & (x - half < DESK_RIGHT) & (objects[:, 2] > -0.2)
    ground = jnp.where(above_desk, 0.0, FLOOR)
    highest = jnp.where(over, top[None], -NOTHING)
    height = jnp.maximum(ground, highest.max(1))
    by_object = over & (highest >= height[:, None] - 1e-4)
    d = objects[:, None, :2] - objects[None, :, :2]
    middle_over = (jnp.abs(d) < HALF[None]).all(-1) & ~IS_BALL[None] & ~IS_BALL[:, None]
    on_object = by_object.any(1)
    on_desk_well = (x >= DESK_LEFT) & (x <= DESK_RIGHT) | (height < -1.0)
    balanced = jnp.where(on_object, (by_object & middle_over).any(1), on_desk_well)
    # Off an object to the side (on the floor along the desk, where there is more room), and off the desk outwards.
    side = jnp.where((by_object * jnp.where(d[..., 0] >= 0, 1.0, -1.0)).sum(1) >= 0, 1.0, -1.0)
    along = jnp.where((by_object * objects[None, :, 1]).sum(1) < (RIM + LEDGE) / 2, 1.0, -1.0)
    out = jnp.where(x > (DESK_LEFT + DESK_RIGHT) / 2, 1.0, -1.0)
    nil = jnp.zeros_like(side)
    off_object = jnp.where((height < -0.2)[:, None], jnp.stack([nil, along], -1), jnp.stack([side, nil], -1))
    slip = jnp.where(on_object[:, None], off_object, jnp.stack([out, nil], -1))
    return Support(height, by_object, balanced, slip)


def _in_the_air(state: TabletopState) -> Bool[Array, " object"]:
    return state.objects[:, 2] > support_of(state).height + 0.02


def _fall(state: TabletopState) -> TabletopState:
    support = support_of(state)
    free = ~state.held
    speed = jnp.where(free, state.velocity[:, 2] - GRAVITY, 0.0)
    falling = state.objects[:, 2] + speed
    lands = free & (falling <= support.height)
    z = jnp.where(free, jnp.maximum(falling, support.height), state.objects[:, 2])
    slip = jnp.where((lands & ~support.balanced)[:, None], SLIPPING * support.slip, 0.0)
    objects = jnp.concatenate([state.objects[:, :2] + slip, z[:, None]], 1)
    velocity = state.velocity.at[:, 2].set(jnp.where(lands, 0.0, speed))
    return state._replace(objects=objects, velocity=velocity)


def _apart(state: TabletopState) -> TabletopState:
    """End all overlaps: objects give way first, and the gripper where they cannot."""
    free = ~state.held[:, None]

    def out_of_the_gripper(state: TabletopState) -> Float[Array, "pusher object 2"]:
        bodies = _bodies(state)
        # Two fingers with a gap that an object does not fit in push it as one.
        as_one = IS_FINGER[:, None] & (state.fingers < _width_between(state) - SLACK)[None]
        both = jnp.stack([state.fingers + FINGER[0], jnp.asarray(FINGER[1])])
        middle = jnp.where(as_one[..., None], state.gripper[:2], bodies.middle[:, None])
        half = jnp.where(as_one[..., None], both, bodies.half[:, None])
        out = way_out(state.objects[None, :, :2] - middle, half + CORE[None], bodies.radius[:, None] + RADIUS[None])
        top = state.objects[:, 2] + HEIGHT
        meet = levels_meet(bodies.bottom[:, None], bodies.top[:, None], state.objects[None, :, 2], top[None])
        return jnp.where((meet & ~state.held[None])[..., None], out, 0.0)

    def give_way(_: Count | int, state: TabletopState) -> TabletopState:
        push = out_of_the_gripper(state)
        objects = state.objects.at[:, :2].add(push.max(0) + push.min(0))
        return state._replace(objects=among_objects(objects))

    def among_objects(objects: Array) -> Array:
        objects = objects.at[:, :2].add(jnp.where(free, between_objects(objects), 0.0))
        return within_walls(objects)

    state = jax.lax.fori_loop(0, PASSES, give_way, state)
    state = state._replace(objects=among_objects(among_objects(state.objects)))
    back = state.gripper[:2] - deepest(out_of_the_gripper(state))
    back = jnp.clip(back, REACH_LOW[:2], REACH_HIGH[:2]) - state.gripper[:2]
    return give_way(0, _carry(state, jnp.concatenate([back, jnp.zeros(1)])))


def stacked(state: TabletopState) -> Flag:
    """Return whether a block that is not held stands on the other one, on the desk."""
    support = support_of(state)
    stands = jnp.abs(state.objects[:, 2] - support.height) < 0.02
    on_block = support.by_object.any(1) & support.balanced & ~state.held & stands
    return (on_block & (state.objects[:, 2] > 0)).any()
