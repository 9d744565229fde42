"""The desk in numbers: where everything is, for a world model that is not to learn to see.

    numbers(state) = [gripper, fingers, ball, upright block, flat block, drawer, door, lamp, button]      17 of them

Places are (x, y, z) from the middle of the desk's top, in units of `UNIT`, so that all numbers are of about one size.
A picture says nearly the same, but has to be understood first, and a world model of a laptop's size takes longer for
that than for all else here. Robots know their own joints; where things are, a real one has to be told by a camera, too.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from sensei_lite.worlds.tabletop.desk import DESK_LEFT, DESK_RIGHT, LEDGE, OBJECTS, RIM, TabletopState

MIDDLE = np.array([(DESK_LEFT + DESK_RIGHT) / 2, (RIM + LEDGE) / 2, 0.0], np.float32)
UNIT = 3.0
"""Decimetres."""
NUMBERS = 3 + 1 + 3 * len(OBJECTS) + 4


def numbers_of(state: TabletopState) -> Float[Array, "17"]:
    """Compute the state's numbers: where everything is, in the order of the equation above."""
    places = (jnp.concatenate([state.gripper[None], state.objects]) - MIDDLE) / UNIT
    furniture = jnp.stack([state.drawer, state.slide, state.light * 1.0, state.pressed * 1.0])
    return jnp.concatenate([places[0], state.fingers[None], places[1:].reshape(-1), furniture])


def state_of(numbers: Float[Array, "17"]) -> TabletopState:
    """Make a state with these numbers, to draw it: at rest, with nothing in the hand, at an episode's first step."""
    objects = numbers[4 : 4 + 3 * len(OBJECTS)].reshape(len(OBJECTS), 3)
    drawer, slide, light, pressed = numbers[-4:]
    return TabletopState(
        gripper=numbers[:3] * UNIT + MIDDLE,
        fingers=numbers[3],
        objects=objects * UNIT + MIDDLE,
        velocity=jnp.zeros_like(objects),
        held=jnp.zeros(len(OBJECTS), bool),
        drawer=drawer,
        slide=slide,
        pressed=pressed > 0.5,
        light=light > 0.5,
        t=jnp.zeros((), jnp.int32),
    )
