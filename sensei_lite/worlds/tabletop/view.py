"""The picture: an orthographic camera in front of the desk that looks down by about 37 degrees.

With sin = 3/5 and cos = 4/5 of that angle, a point (x, y, z) is seen, in pixels of a 64 x 64 picture (5 to the
decimetre), at

    column = 5 x,     row = 45 - 3 y - 4 z,

so depth and height both go up the picture, and a shadow under a thing tells them apart. A box shows its front and its
top, two upright rectangles, and nothing else. Things are painted from back to front (see `brush`). Colours are far
apart in hue *and* in brightness, so the picture can be read in grey.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Bool

from sensei_lite.types import Count, Flag, Image, Scalar
from sensei_lite.worlds.tabletop.brush import (
    SIDE,
    Canvas,
    Colour,
    Number,
    Share,
    Window,
    ellipse,
    paint,
    rectangle,
    shade,
    through,
    whole,
)
from sensei_lite.worlds.tabletop.desk import (
    BUTTON,
    BUTTON_TOP,
    CABINET_LEFT,
    CABINET_RIGHT,
    CABINET_TOP,
    DESK_LEFT,
    DESK_RIGHT,
    DRAWER_BOTTOM,
    DRAWER_HALF,
    DRAWER_TOP,
    DRAWER_X,
    FINGER,
    FINGER_LENGTH,
    FLOOR,
    HALF,
    HANDLE_Z,
    HEIGHT,
    IS_BALL,
    LEDGE,
    LEDGE_HEIGHT,
    PALM,
    PALM_HEIGHT,
    PANEL,
    PRESSED,
    RIM,
    RIM_HEIGHT,
    SLIDE_HANDLE_BOTTOM,
    SLIDE_HANDLE_FRONT,
    SLIDE_HANDLE_HALF,
    SLIDE_HANDLE_TOP,
    SLIDE_HANDLE_X,
    WALL,
    TabletopState,
)
from sensei_lite.worlds.tabletop.furniture import lowest
from sensei_lite.worlds.tabletop.physics import support_of

ACROSS, DEEP, HIGH, FRONT_EDGE = 5.0, 3.0, 4.0, 45.0

WALL_COLOUR: Colour = (0.80, 0.84, 0.88)
FLOOR_COLOUR: Colour = (0.52, 0.52, 0.55)
DESK: Colour = (0.78, 0.59, 0.38)
DESK_FRONT: Colour = (0.50, 0.34, 0.20)
DRAWER_FRONT: Colour = (0.70, 0.50, 0.28)
INSIDE: Colour = (0.13, 0.09, 0.07)
LINING: Colour = (0.98, 0.93, 0.78)
LEDGE_COLOUR: Colour = (0.62, 0.46, 0.30)
CABINET: Colour = (0.42, 0.44, 0.50)
DOOR: Colour = (0.38, 0.70, 0.76)
METAL: Colour = (0.97, 0.97, 0.99)
INK: Colour = (0.10, 0.10, 0.12)
BUTTON_COLOUR: Colour = (1.00, 0.50, 0.05)
LAMP_OFF: Colour = (0.50, 0.53, 0.50)
LAMP_ON: Colour = (1.00, 1.00, 0.45)
ARM: Colour = (0.55, 0.56, 0.60)
PALM_COLOUR: Colour = (0.25, 0.25, 0.29)
FINGER_COLOUR: Colour = (0.14, 0.14, 0.17)
FRONTS = np.array([(0.86, 0.10, 0.14), (0.16, 0.32, 0.90), (0.60, 1.00, 0.52)], np.float32)
"""Red ball, blue upright block, green flat block."""
TOPS = np.array([(1.0, 0.75, 0.72), (0.52, 0.66, 1.00), (0.86, 1.0, 0.80)], np.float32)
LAMP_X, LAMP_Z, LAMP_RADIUS = 10.1, 2.6, 0.95
EDGE = 0.4
"""Width of outlines, in pixels."""


def column(x: Number) -> Number:
    """Project x (decimetres) to a column of the picture."""
    return ACROSS * x


def row(y: Number, z: Number) -> Number:
    """Project depth y and height z (decimetres) to a row of the picture."""
    return FRONT_EDGE - DEEP * y - HIGH * z


def _front(window: Window, left: Number, right: Number, y: Number, bottom: Number, top: Number) -> Share:
    """Compute the share of a rectangle that stands upright at depth y."""
    return rectangle(window, column(left), column(right), row(y, top), row(y, bottom))


def _top(window: Window, left: Number, right: Number, near: Number, far: Number, z: Number) -> Share:
    """Compute the share of a rectangle that lies at height z."""
    return rectangle(window, column(left), column(right), row(far, z), row(near, z))


def draw(state: TabletopState, pixels: int) -> Image:
    """Draw a state, uint8 [pixels pixels 3]."""
    canvas = _draw_button(_draw_door(jnp.asarray(_room(pixels)), state), state)
    canvas = _draw_panel(_draw_inside_of_drawer(canvas, state), state, where=True)
    canvas = _draw_shadows(canvas, state)
    # Painted from far to near: a large y is far, and of two things at the same depth the lower one is behind.
    order = jnp.argsort(DEEP * state.objects[:, 2] - HIGH * state.objects[:, 1])
    before_gripper = state.objects[:, 1] + 0.5 * HALF[:, 1] < state.gripper[1]

    def draw_objects(canvas: Canvas, which: Bool[Array, " object"]) -> Canvas:
        def one(place: Count, canvas: Canvas) -> Canvas:
            return _draw_object(canvas, state, order[place], where=which[order[place]])

        return jax.lax.fori_loop(0, len(HEIGHT), one, canvas)

    canvas = draw_objects(canvas, ~before_gripper)
    canvas = draw_objects(_draw_gripper(canvas, state), before_gripper)
    in_drawer = (state.gripper[2] < 0) & (state.gripper[1] > PANEL - state.drawer)
    canvas = _draw_panel(canvas, state, where=in_drawer)
    return jnp.round(canvas * 255).astype(jnp.uint8).transpose(1, 2, 0)


@functools.cache
def _room(pixels: int) -> npt.NDArray[np.float32]:
    """Draw the background, which never changes, float32 [3 pixels pixels]."""
    with jax.ensure_compile_time_eval():
        window, floor_far = whole(pixels), row(WALL, FLOOR)
        left, right = DESK_LEFT, DESK_RIGHT
        canvas = paint(jnp.zeros((3, pixels, pixels)), rectangle(window, 0.0, SIDE, 0.0, SIDE), WALL_COLOUR)
        canvas = paint(canvas, rectangle(window, 0.0, SIDE, floor_far, SIDE), FLOOR_COLOUR)
        canvas = paint(canvas, rectangle(window, 0.0, SIDE, floor_far - 1, floor_far), METAL)
        # The desk: legs, front, top with a few lines of grain, rim, ledge.
        canvas = paint(canvas, _front(window, left, right, 0.0, FLOOR, 0.0), shade(DESK_FRONT, 0.7))
        canvas = paint(canvas, _front(window, left + 0.8, right - 0.8, 0.0, FLOOR, -2.6), INSIDE)
        canvas = paint(canvas, _front(window, left, right, 0.0, -2.6, 0.0), DESK_FRONT)
        canvas = paint(canvas, _top(window, left, right, 0.0, WALL, 0.0), DESK)
        for y in (1.3, 2.6, 3.9, 5.0):
            canvas = paint(canvas, _top(window, left, right, y, y + 0.15, 0.0), shade(DESK, 0.93))
        canvas = paint(canvas, _top(window, left, right, 0.0, RIM, RIM_HEIGHT), shade(DESK, 1.12))
        canvas = paint(canvas, _front(window, left, right, 0.0, 0.0, RIM_HEIGHT), shade(DESK, 0.75))
        canvas = paint(canvas, _top(window, left, right, LEDGE, WALL, LEDGE_HEIGHT), LEDGE_COLOUR)
        canvas = paint(canvas, _front(window, left, right, LEDGE, 0.0, LEDGE_HEIGHT), shade(LEDGE_COLOUR, 0.7))
        # The cabinet: a dark hole on the left, in which something bright stands, a closed half on the right.
        low, left, right = LEDGE_HEIGHT, CABINET_LEFT, CABINET_RIGHT
        canvas = paint(canvas, _front(window, left, right, WALL, low, CABINET_TOP), CABINET)
        hole = _front(window, left + 0.2, (left + right) / 2, WALL, low, CABINET_TOP - 0.25)
        canvas = paint(canvas, hole, INSIDE)
        for x, high, colour in ((2.4, 1.2, LINING), (3.0, 1.5, BUTTON_COLOUR), (3.6, 1.0, LINING)):
            canvas = paint(canvas, _front(window, x, x + 0.4, WALL, low, low + high), colour)
        # The lamp's socket, and what the button stands on.
        radius = ACROSS * LAMP_RADIUS + 1
        canvas = paint(canvas, ellipse(window, column(LAMP_X), row(WALL, LAMP_Z), radius, radius), INK)
        canvas = paint(canvas, _front(window, LAMP_X - 0.15, LAMP_X + 0.15, WALL, low, LAMP_Z - 1), INK)
        x, y = float(BUTTON[0]), float(BUTTON[1])
        canvas = paint(canvas, _top(window, x - 0.75, x + 0.75, y - 0.5, y + 0.5, low), INK)
        return np.asarray(canvas)


def _draw_door(canvas: Canvas, state: TabletopState) -> Canvas:
    left, handle, high = CABINET_LEFT + state.slide, SLIDE_HANDLE_X + state.slide, CABINET_TOP - 0.15
    right = left + (CABINET_RIGHT - CABINET_LEFT) / 2

    def painter(part: Canvas, window: Window) -> Canvas:
        part = paint(part, _front(window, left, right, WALL, LEDGE_HEIGHT, high), shade(DOOR, 0.6))
        part = paint(part, _front(window, left + 0.2, right - 0.2, WALL, LEDGE_HEIGHT + 0.2, high - 0.2), DOOR)
        wide, low = SLIDE_HANDLE_HALF + 0.05, SLIDE_HANDLE_BOTTOM
        bar = _front(window, handle - wide, handle + wide, SLIDE_HANDLE_FRONT, low, SLIDE_HANDLE_TOP)
        return paint(part, bar, METAL)

    size = HIGH * (high - LEDGE_HEIGHT), ACROSS * (CABINET_RIGHT - CABINET_LEFT) / 2
    return through(canvas, row(WALL, high), column(left), *size, painter)


def _draw_button(canvas: Canvas, state: TabletopState) -> Canvas:
    x, y, radius = float(BUTTON[0]), float(BUTTON[1]), ACROSS * LAMP_RADIUS
    across, down = column(LAMP_X), row(WALL, LAMP_Z)
    high = jnp.where(state.pressed, PRESSED - 0.1, BUTTON_TOP)

    def painter(part: Canvas, window: Window) -> Canvas:
        glow = ellipse(window, across, down, 2.4 * radius, 2.4 * radius) * 0.45
        part = paint(part, glow + 0.4 * ellipse(window, across, down, 1.7 * radius, 1.7 * radius), LAMP_ON, state.light)
        bulb = ellipse(window, across, down, radius, radius)
        part = paint(paint(part, bulb, LAMP_OFF), bulb, LAMP_ON, state.light)
        sides = _front(window, x - 0.5, x + 0.5, y - 0.3, LEDGE_HEIGHT, high)
        cap = _top(window, x - 0.5, x + 0.5, y - 0.3, y + 0.3, high)
        return paint(paint(part, sides, shade(BUTTON_COLOUR, 0.7)), cap, BUTTON_COLOUR)

    size = 2.4 * radius
    return through(canvas, down - size, across - size, 2 * size, 2 * size, painter)


DRAWER_LEFT, DRAWER_RIGHT = DRAWER_X - DRAWER_HALF, DRAWER_X + DRAWER_HALF


def _draw_inside_of_drawer(canvas: Canvas, state: TabletopState) -> Canvas:
    """Draw what one sees of the drawer from above: its side walls, its bottom, and the hole in the desk."""
    y, left, right = -state.drawer, DRAWER_LEFT, DRAWER_RIGHT

    def painter(part: Canvas, window: Window) -> Canvas:
        part = paint(part, _top(window, left, right, y, 0.0, DRAWER_TOP), DRAWER_FRONT)
        part = paint(part, _top(window, left + 0.3, right - 0.3, y, 0.0, DRAWER_TOP), INSIDE)
        return paint(part, _top(window, left + 0.6, right - 0.6, y, -0.7, DRAWER_TOP), LINING)

    return through(canvas, row(0.0, DRAWER_TOP), column(left), 10.0, ACROSS * (right - left), painter)


def _draw_panel(canvas: Canvas, state: TabletopState, *, where: Flag | bool) -> Canvas:
    """Draw the drawer's front, with its handle."""
    y, left, right, edge = -state.drawer, DRAWER_LEFT, DRAWER_RIGHT, 0.2

    def painter(part: Canvas, window: Window) -> Canvas:
        outline = _front(window, left - edge, right + edge, y, DRAWER_BOTTOM - edge, DRAWER_TOP + edge)
        part = paint(part, outline, INK, where)
        part = paint(part, _front(window, left, right, y, DRAWER_BOTTOM, DRAWER_TOP), DRAWER_FRONT, where)
        below = _front(window, DRAWER_X - 0.9, DRAWER_X + 0.9, y - 0.3, HANDLE_Z - 0.45, HANDLE_Z - 0.2)
        handle = _front(window, DRAWER_X - 0.9, DRAWER_X + 0.9, y - 0.3, HANDLE_Z - 0.2, HANDLE_Z + 0.2)
        return paint(paint(part, below, INK, where), handle, METAL, where)

    return through(canvas, row(y, DRAWER_TOP + edge), column(left - edge), 9.0, ACROSS * (right - left + 0.4), painter)


def _draw_shadows(canvas: Canvas, state: TabletopState) -> Canvas:
    ground, (x, y, z) = support_of(state).height, state.gripper
    for i in range(len(HEIGHT)):
        wide, deep = ACROSS * (float(HALF[i, 0]) + 0.15), DEEP * (float(HALF[i, 1]) + 0.15)
        canvas = _draw_shadow(canvas, state.objects[i, 0], row(state.objects[i, 1], ground[i]), wide, deep, 0.45)
    under = lowest(x, y, z, state.drawer, state.fingers)
    on_floor = (under < 0) | (x < DESK_LEFT) | (x > DESK_RIGHT)
    return _draw_shadow(canvas, x, row(y, jnp.where(on_floor, FLOOR, under)), ACROSS * 0.9, DEEP * 0.6, 0.35)


def _draw_shadow(canvas: Canvas, x: Scalar, down: Number, wide: float, deep: float, dark: float) -> Canvas:
    def painter(part: Canvas, window: Window) -> Canvas:
        return part * (1.0 - dark * ellipse(window, column(x), down, wide, deep))

    return through(canvas, down - deep - 1, column(x) - wide - 1, 2 * deep + 2, 2 * wide + 2, painter)


def _draw_object(canvas: Canvas, state: TabletopState, i: Count, *, where: Flag) -> Canvas:
    """Draw outline, front and top of one object; a ball has a shine instead of a top."""
    x, y, z = state.objects[i]
    (wide, deep), high = jnp.asarray(HALF)[i], jnp.asarray(HEIGHT)[i]
    is_ball, left, right, near, far = jnp.asarray(IS_BALL)[i], x - wide, x + wide, y - deep, y + deep

    def painter(part: Canvas, window: Window) -> Canvas:
        across, down, radius = column(x), row(y, z + wide), ACROSS * wide
        disc = [ellipse(window, across, down, radius + grow, radius + grow) for grow in (0.5, -0.3)]
        shine = ellipse(window, across - 0.35 * radius, down - 0.35 * radius, 0.35 * radius, 0.35 * radius)
        box = rectangle(
            window, column(left) - EDGE, column(right) + EDGE, row(far, z + high) - EDGE, row(near, z) + EDGE
        )
        front, top = _front(window, left, right, near, z, z + high), _top(window, left, right, near, far, z + high)
        part = paint(part, jnp.where(is_ball, disc[0], box), INK, where)
        part = paint(part, jnp.where(is_ball, disc[1], front), jnp.asarray(FRONTS)[i], where)
        return paint(part, jnp.where(is_ball, shine, top), jnp.asarray(TOPS)[i], where)

    up = jnp.where(is_ball, row(y, z + high), row(far, z + high)) - 0.5
    return through(canvas, up, column(left) - 0.5, 10.4, 9.0, painter)


def _draw_gripper(canvas: Canvas, state: TabletopState) -> Canvas:
    """Draw palm and fingers; the arm comes from above."""
    x, y, z = state.gripper
    wide, deep, palm, palm_deep = (float(size) for size in (*FINGER, *PALM))
    base, palm_top = z + FINGER_LENGTH, z + FINGER_LENGTH + PALM_HEIGHT

    def arm(part: Canvas, window: Window) -> Canvas:
        return paint(part, rectangle(window, column(x - 0.35), column(x + 0.35), -1.0, row(y, palm_top)), ARM)

    def hand(part: Canvas, window: Window) -> Canvas:
        part = paint(part, _front(window, x - palm, x + palm, y - palm_deep, base, palm_top), PALM_COLOUR)
        lid = _top(window, x - palm, x + palm, y - palm_deep, y + palm_deep, palm_top)
        part = paint(part, lid, shade(PALM_COLOUR, 1.7))
        for side in (-1.0, 1.0):
            at = x + side * state.fingers
            part = paint(part, _front(window, at - wide - 0.05, at + wide + 0.05, y - deep, z, base), FINGER_COLOUR)
        return part

    canvas = through(canvas, 0.0, column(x - 0.35), SIDE, 3.5, arm)
    return through(canvas, row(y + palm_deep, palm_top), column(x - palm), 12.0, ACROSS * 2 * palm, hand)
