"""Painting with soft edges: a pixel takes on as much of a colour as the shape covers of it.

For an upright rectangle that share is exact, a product of two overlaps,

    share(i, j) = |[i, i+1] ∩ [top, bottom]| * |[j, j+1] ∩ [left, right]|,

so a row and a column are worked out instead of a picture. Painting is canvas <- canvas + share (colour - canvas), from
back to front. A small thing is painted through a *window*, a part of the picture around it: a 12 x 12 window has 144
pixels to work out where the picture has 4,096.

Places are given for a picture of `SIDE` x `SIDE`, in pixels; larger pictures are the same ones drawn finer.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from sensei_lite.types import Flag, Scalar

SIDE = 64.0
Canvas = Float[Array, "3 height width"]
Share = Float[Array, "height width"]
Colour = tuple[float, float, float]
Number = float | Scalar


class Window(NamedTuple):
    """Which pixels are painted: where each row's and each column's upper left corner is, and the size of a pixel."""

    rows: Float[Array, " height"]
    columns: Float[Array, " width"]
    pixel: float


def through(
    canvas: Canvas,
    top: Number,
    left: Number,
    height: float,
    width: float,
    painter: Callable[[Canvas, Window], Canvas],
) -> Canvas:
    """Paint the part of a picture that begins at (top, left), or so far inside that it fits, with ``painter``."""
    pixels = canvas.shape[-1]
    times = pixels / SIDE
    high, wide = (min(pixels, int(np.ceil(size * times)) + 1) for size in (height, width))
    first_row = jnp.clip(jnp.floor(jnp.asarray(top) * times), 0, pixels - high).astype(jnp.int32)
    first_column = jnp.clip(jnp.floor(jnp.asarray(left) * times), 0, pixels - wide).astype(jnp.int32)
    start = (jnp.zeros((), jnp.int32), first_row, first_column)
    window = Window((first_row + jnp.arange(high)) / times, (first_column + jnp.arange(wide)) / times, 1 / times)
    part = jax.lax.dynamic_slice(canvas, start, (3, high, wide))
    return jax.lax.dynamic_update_slice(canvas, painter(part, window), start)


def whole(pixels: int) -> Window:
    """Return the window that is the whole picture."""
    at = jnp.arange(pixels) * (SIDE / pixels)
    return Window(at, at, SIDE / pixels)


def rectangle(window: Window, left: Number, right: Number, top: Number, bottom: Number) -> Share:
    """Compute the share of every pixel that an upright rectangle covers."""
    rows = _overlap(window.rows, window.pixel, top, bottom)
    return rows[:, None] * _overlap(window.columns, window.pixel, left, right)[None]


def _overlap(at: Float[Array, " n"], pixel: float, low: Number, high: Number) -> Float[Array, " n"]:
    return jnp.clip((jnp.minimum(high, at + pixel) - jnp.maximum(low, at)) / pixel, 0.0, 1.0)


def ellipse(window: Window, column: Number, row: Number, wide: Number, high: Number) -> Share:
    """Compute the share of every pixel that an ellipse covers, nearly: its edge is about a pixel soft."""
    u = ((window.columns + 0.5 * window.pixel - column) / wide) ** 2
    v = ((window.rows + 0.5 * window.pixel - row) / high) ** 2
    sharp = 0.5 * jnp.minimum(wide, high) / window.pixel
    return jnp.clip(0.5 + sharp * (1.0 - u[None] - v[:, None]), 0.0, 1.0)


def paint(canvas: Canvas, share: Share, colour: Colour | Float[Array, "3"], where: Flag | bool = True) -> Canvas:
    """Paint a colour over a picture by its share of every pixel; nothing happens unless ``where``."""
    return canvas + share * where * (jnp.asarray(colour, jnp.float32)[:, None, None] - canvas)


def shade(colour: Colour, by: float) -> Colour:
    """Make a colour darker (``by`` under 1) or lighter."""
    red, green, blue = (min(1.0, part * by) for part in colour)
    return red, green, blue
