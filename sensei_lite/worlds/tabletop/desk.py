"""What stands on the desk, how large it is, and what a moment of an episode is made of.

Lengths are in decimetres. x goes to the right, y away from the camera, z up; the point (0, 0, 0) is on the front edge
of the desk's top, at the picture's left border. Gripper and objects are boxes whose sides are parallel to the axes; the
ball alone is round. Seen from above:

    y 7.0  ----- wall: cabinet with a sliding door, and a lamp -----
    y 5.7  ----- a low ledge; the button stands on it ---------------
           desk top, x from 1.2 to 11.6: ball, upright block, flat block
    y 0.3  ----- a low rim: nothing falls over the front edge --------
    y 0.0  ----- the desk's front, with the drawer -------------------

Things fall over the left and the right edge. The objects are those of Robodesk, with one button instead of three.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

from sensei_lite.types import Count, Flag, Scalar

OBJECTS = ("ball", "upright", "flat")
"""The things that can be carried; everything about them is in this order."""
BALL, UPRIGHT, FLAT = range(3)
IS_BALL = np.array([True, False, False])
HALF = np.array([[0.65, 0.65], [0.5, 0.5], [0.8, 0.6]], np.float32)
"""Half their width and depth (the ball: its radius), [object 2]."""
HEIGHT = np.array([1.3, 1.6, 0.7], np.float32)

DESK_LEFT, DESK_RIGHT = 1.2, 11.6
RIM, LEDGE, WALL = 0.3, 5.7, 7.0
RIM_HEIGHT, LEDGE_HEIGHT = 0.25, 0.5
FLOOR = -3.6
THIRD = (DESK_RIGHT - DESK_LEFT - 1.0) / 3
"""How much of the desk's width each object has for itself when an episode begins."""
HOME = np.array([[DESK_LEFT + 0.5 + THIRD * (i + 0.5), (RIM + LEDGE) / 2] for i in range(3)], np.float32)
"""Where each object stands when everything is in its place: in a row, from left to right, [object 2]."""
PICTURE_WIDTH = 12.8

FINGER = np.array([0.15, 0.25], np.float32)
"""Half a finger's width and depth."""
FINGER_LENGTH = 1.6
CLOSED, OPEN = 0.15, 1.2
"""From the middle of the gripper to the middle of a finger."""
PALM = np.array([1.35, 0.4], np.float32)
PALM_HEIGHT = 0.6
REACH_LOW = np.array([0.6, -3.9, -1.7], np.float32)
REACH_HIGH = np.array([12.2, 6.75, 3.2], np.float32)
"""The box in which the fingertips move."""

DRAWER_X, DRAWER_HALF = 4.6, 2.4
DRAWER_TOP, DRAWER_BOTTOM = -0.5, -2.1
DRAWER_TRAVEL = 3.0
DRAWER_IS_OPEN = 1.5
PANEL = 0.2
"""Thickness of the drawer's front."""
HANDLE_Z = -1.2
HANDLE = np.array([1.0, 0.8, 0.6], np.float32)
"""How far from its middle the drawer's handle can be hooked: to the side, in front of the drawer, up and down."""
HOOKED = 0.6
"""Fingers no further apart than this hold the handle."""

CABINET_LEFT, CABINET_RIGHT, CABINET_TOP = 1.8, 8.2, 3.2
SLIDE_TRAVEL = 3.2
SLIDE_IS_OPEN = 1.6
SLIDE_HANDLE_X = 4.4
"""Where the door's handle is while the door is closed."""
SLIDE_HANDLE_FRONT = 6.5
SLIDE_HANDLE_HALF = 0.15
SLIDE_HANDLE_BOTTOM, SLIDE_HANDLE_TOP = 0.9, 2.3

BUTTON = np.array([10.1, 6.35], np.float32)
BUTTON_HALF = np.array([0.7, 0.55], np.float32)
"""How far from the button's middle a fingertip still presses it."""
BUTTON_TOP = 0.9
"""Height of the button's top; pressed, it is down at the ledge."""
PRESSED = 0.65
"""A fingertip at this height or lower has pressed it."""


class TabletopState(NamedTuple):
    """The state of the desk; lengths in decimetres."""

    gripper: Float[Array, "3"]
    """(x, y, z) in the middle between the fingertips."""
    fingers: Scalar
    """Half the distance between the fingers, from `CLOSED` to `OPEN`."""
    objects: Float[Array, "object 3"]
    """(x, y) of their middles and z of their bottoms."""
    velocity: Float[Array, "object 3"]
    """Decimetres per sub-step: a ball rolls, and what is in the air falls."""
    held: Bool[Array, " object"]
    """Which one the gripper holds: one at most."""
    drawer: Scalar
    """How far the drawer is pulled out, from 0 to `DRAWER_TRAVEL`."""
    slide: Scalar
    """How far the door is pushed to the right, from 0 to `SLIDE_TRAVEL`."""
    pressed: Flag
    """The button is down."""
    light: Flag
    """The lamp is on."""
    t: Count
