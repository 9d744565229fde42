"""The pictures: every tile of the grid worlds, drawn by formulas at any size.

A tile is drawn in unit coordinates (u to the right, v down, both from 0 to 1) on a fine raster and averaged down to
the size that is asked for, so the same picture is legible at 8 pixels, where the agent sees it, and at 48, where a
person or a vision-language model does. Shapes are far apart in colour *and* in brightness, so that they can be told
apart in grey.

A *kind* of tile is a number. Kinds of floor and wall come in several looks, which mean nothing: they are the harmless
novelty that a curious agent can be distracted by.
"""

import functools

import numpy as np
import numpy.typing as npt

Canvas = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

WALL_SHADES = 6
FLOOR_TEXTURES = 6
DECORATIONS = 6

DARK, DOOR_LOCKED, DOOR_OPEN, EXIT, CHEST_LOCKED, CHEST_OPEN, PANEL, SLOT_EMPTY, SLOT_KEY = range(9)
WALL = 9  # first of WALL_SHADES kinds
FLOOR = WALL + WALL_SHADES  # first of FLOOR_TEXTURES x (1 + DECORATIONS) kinds: plain, then decorated
KINDS = FLOOR + FLOOR_TEXTURES * (1 + DECORATIONS)

NOTHING, AGENT, KEY = range(3)
"""What lies on top of a tile."""

WALKABLE = np.array([kind in (DOOR_OPEN, EXIT, CHEST_OPEN) or kind >= FLOOR for kind in range(KINDS)])
"""Which kinds can be stood on, bool [KINDS]."""

INK = (0.10, 0.10, 0.13)
GOLD = (1.00, 0.82, 0.13)
FLOOR_COLOURS = [
    (0.80, 0.77, 0.70),
    (0.70, 0.75, 0.79),
    (0.77, 0.71, 0.63),
    (0.72, 0.77, 0.70),
    (0.79, 0.73, 0.76),
    (0.74, 0.74, 0.74),
]
WALL_COLOURS = [
    (0.33, 0.32, 0.36),
    (0.41, 0.30, 0.25),
    (0.26, 0.33, 0.41),
    (0.29, 0.37, 0.31),
    (0.38, 0.29, 0.40),
    (0.23, 0.23, 0.24),
]
DECORATION_COLOURS = [
    (0.45, 0.60, 0.40),
    (0.55, 0.52, 0.48),
    (0.85, 0.60, 0.62),
    (0.50, 0.60, 0.72),
    (0.66, 0.56, 0.42),
    (0.58, 0.50, 0.66),
]


SMALLEST = 4
"""Pixels of the side of the smallest tile at which tiles can be told apart."""


@functools.cache
def atlas(pixels: int) -> npt.NDArray[np.uint8]:
    """Draw all tiles at ``pixels`` x ``pixels``, uint8 [3 KINDS pixels pixels 3]; index: ``on_top * KINDS + kind``.

    Raises ValueError where a tile is under `SMALLEST` pixels.
    """
    if pixels < SMALLEST:
        raise ValueError(f"tile size is {pixels} pixels; {SMALLEST} is the smallest at which tiles can be told apart")
    raster = _raster(pixels)
    tiles = []
    for on_top in (NOTHING, AGENT, KEY):
        for kind in range(KINDS):
            canvas = _draw_kind(kind, raster)
            if on_top == AGENT:
                _draw_agent(canvas, raster)
            elif on_top == KEY:
                _draw_key(canvas, raster)
            tiles.append(canvas)
    fine = np.stack(tiles)
    factor = fine.shape[1] // pixels
    coarse = fine.reshape(len(tiles), pixels, factor, pixels, factor, 3).mean((2, 4))
    return np.round(coarse * 255).astype(np.uint8)


def _raster(pixels: int) -> tuple[Canvas, Canvas]:
    """Return the unit coordinates (u, v) of a raster several times finer than the tile."""
    fine = pixels * max(2, 48 // pixels)
    at = ((np.arange(fine) + 0.5) / fine).astype(np.float32)
    v, u = np.meshgrid(at, at, indexing="ij")
    return u, v


def _draw_kind(kind: int, raster: tuple[Canvas, Canvas]) -> Canvas:
    canvas = np.zeros((*raster[0].shape, 3), np.float32)
    if kind >= FLOOR:
        texture, decoration = divmod(kind - FLOOR, 1 + DECORATIONS)
        _draw_floor(canvas, raster, texture)
        if decoration:
            _draw_decoration(canvas, raster, decoration - 1)
    elif kind >= WALL:
        _draw_wall(canvas, raster, kind - WALL)
    elif kind == DARK:
        canvas[:] = (0.06, 0.06, 0.09)
    elif kind in (DOOR_LOCKED, DOOR_OPEN):
        _draw_door(canvas, raster, is_open=kind == DOOR_OPEN)
    elif kind == EXIT:
        _draw_exit(canvas, raster)
    elif kind in (CHEST_LOCKED, CHEST_OPEN):
        _draw_chest(canvas, raster, is_open=kind == CHEST_OPEN)
    else:
        _draw_panel(canvas, raster)
        if kind != PANEL:
            _draw_slot(canvas, raster, holds_key=kind == SLOT_KEY)
    return canvas


def _paint(canvas: Canvas, mask: Mask, colour: tuple[float, float, float]) -> None:
    canvas[mask] = colour


def _shade(colour: tuple[float, float, float], by: float) -> tuple[float, float, float]:
    red, green, blue = (min(1.0, max(0.0, part * by)) for part in colour)
    return red, green, blue


def _box(raster: tuple[Canvas, Canvas], left: float, top: float, right: float, bottom: float) -> Mask:
    u, v = raster
    return (u >= left) & (u < right) & (v >= top) & (v < bottom)


def _disc(raster: tuple[Canvas, Canvas], u0: float, v0: float, radius: float) -> Mask:
    u, v = raster
    return (u - u0) ** 2 + (v - v0) ** 2 < radius**2


def _draw_floor(canvas: Canvas, raster: tuple[Canvas, Canvas], texture: int) -> None:
    u, v = raster
    colour = FLOOR_COLOURS[texture]
    canvas[:] = colour
    lines = [
        (u < 0.06) | (v < 0.06),  # flagstones
        ((v * 4) % 1 < 0.16) & (u > 0.02),  # planks
        ((u * 2).astype(int) + (v * 2).astype(int)) % 2 == 0,  # chequers
        ((u + v) * 3) % 1 < 0.22,  # diagonal weave
        ((u * 4) % 1 < 0.3) & ((v * 4) % 1 < 0.3),  # mosaic
        np.zeros_like(u, bool),  # bare
    ][texture]
    _paint(canvas, lines, _shade(colour, 0.91))


def _draw_decoration(canvas: Canvas, raster: tuple[Canvas, Canvas], which: int) -> None:
    u, v = raster
    colour = DECORATION_COLOURS[which]
    angle = np.arctan2(v - 0.5, u - 0.5)
    distance = np.hypot(u - 0.5, v - 0.5)
    shape = [
        distance < 0.22 + 0.08 * np.sin(5 * angle),  # moss
        np.abs(v - 0.5 - 0.15 * np.sin(9 * u)) < 0.07,  # crack
        distance < 0.16 + 0.17 * np.abs(np.cos(2 * angle)),  # petals
        _box(raster, 0.15, 0.3, 0.85, 0.7),  # mat
        (distance < 0.36) & (distance > 0.24),  # ring
        np.abs(u - 0.5) + np.abs(v - 0.5) < 0.34,  # rhombus
    ][which]
    _paint(canvas, shape, colour)


def _draw_wall(canvas: Canvas, raster: tuple[Canvas, Canvas], shade: int) -> None:
    u, v = raster
    colour = WALL_COLOURS[shade]
    canvas[:] = colour
    course = (v * 3).astype(int)
    mortar = ((v * 3) % 1 < 0.14) | (((u * 2 + 0.5 * (course % 2)) % 1) < 0.08)
    _paint(canvas, mortar, _shade(colour, 0.72))


def _draw_door(canvas: Canvas, raster: tuple[Canvas, Canvas], *, is_open: bool) -> None:
    canvas[:] = (0.30, 0.18, 0.09)
    if is_open:
        _paint(canvas, _box(raster, 0.14, 0.14, 0.86, 0.86), (0.93, 0.90, 0.80))
        _paint(canvas, _box(raster, 0.14, 0.14, 0.26, 0.86), (0.58, 0.33, 0.13))
    else:
        _paint(canvas, _box(raster, 0.12, 0.08, 0.88, 0.92), (0.66, 0.36, 0.13))
        _paint(canvas, _box(raster, 0.47, 0.08, 0.53, 0.92), (0.45, 0.24, 0.09))
        _paint(canvas, _disc(raster, 0.5, 0.46, 0.19), GOLD)
        _paint(canvas, _disc(raster, 0.5, 0.43, 0.075) | _box(raster, 0.465, 0.43, 0.535, 0.6), INK)


def _draw_exit(canvas: Canvas, raster: tuple[Canvas, Canvas]) -> None:
    canvas[:] = (0.04, 0.20, 0.16)
    for step in range(4):
        top = 0.12 + 0.2 * step
        colour = _shade((0.35, 0.95, 0.62), 1.0 - 0.2 * step)
        _paint(canvas, _box(raster, 0.1 + 0.1 * step, top, 0.9, top + 0.13), colour)


def _draw_chest(canvas: Canvas, raster: tuple[Canvas, Canvas], *, is_open: bool) -> None:
    canvas[:] = (0.74, 0.73, 0.71)
    _paint(canvas, _box(raster, 0.08, 0.2, 0.92, 0.9), (0.28, 0.07, 0.10))
    if is_open:
        _paint(canvas, _box(raster, 0.08, 0.06, 0.92, 0.24), (0.62, 0.13, 0.17))
        _paint(canvas, _box(raster, 0.16, 0.28, 0.84, 0.56), (1.0, 0.93, 0.45))
        _paint(canvas, _disc(raster, 0.35, 0.4, 0.09), (0.35, 0.85, 0.95))
        _paint(canvas, _disc(raster, 0.62, 0.44, 0.09), (0.95, 0.35, 0.55))
        _paint(canvas, _box(raster, 0.14, 0.58, 0.86, 0.84), (0.62, 0.13, 0.17))
    else:
        _paint(canvas, _box(raster, 0.14, 0.26, 0.86, 0.84), (0.62, 0.13, 0.17))
        _paint(canvas, _box(raster, 0.14, 0.46, 0.86, 0.53), (0.28, 0.07, 0.10))
        _paint(canvas, _box(raster, 0.38, 0.4, 0.62, 0.68), GOLD)
        _paint(canvas, _box(raster, 0.465, 0.48, 0.535, 0.6), INK)


def _draw_panel(canvas: Canvas, raster: tuple[Canvas, Canvas]) -> None:
    canvas[:] = (0.13, 0.14, 0.19)
    _paint(canvas, _box(raster, 0.0, 0.0, 1.0, 0.1), (0.27, 0.29, 0.37))


def _draw_slot(canvas: Canvas, raster: tuple[Canvas, Canvas], *, holds_key: bool) -> None:
    _paint(canvas, _box(raster, 0.04, 0.08, 0.96, 0.98), (0.52, 0.55, 0.64))
    if holds_key:
        _paint(canvas, _box(raster, 0.12, 0.16, 0.88, 0.9), (0.10, 0.16, 0.42))
        _draw_key(canvas, raster)
    else:
        _paint(canvas, _box(raster, 0.12, 0.16, 0.88, 0.9), (0.13, 0.14, 0.19))


def _draw_key(canvas: Canvas, raster: tuple[Canvas, Canvas]) -> None:
    def key(margin: float) -> Mask:
        bow = _disc(raster, 0.5, 0.3, 0.2 + margin)
        shaft = _box(raster, 0.43 - margin, 0.3, 0.57 + margin, 0.88 + margin)
        teeth = _box(raster, 0.5, 0.58 - margin, 0.76 + margin, 0.68 + margin)
        teeth |= _box(raster, 0.5, 0.76 - margin, 0.76 + margin, 0.88 + margin)
        return bow | shaft | teeth

    _paint(canvas, key(0.05), INK)
    _paint(canvas, key(0.0), GOLD)
    _paint(canvas, _disc(raster, 0.5, 0.3, 0.08), INK)


def _draw_agent(canvas: Canvas, raster: tuple[Canvas, Canvas]) -> None:
    _paint(canvas, _disc(raster, 0.5, 0.36, 0.33) | _box(raster, 0.12, 0.5, 0.88, 0.97), INK)
    _paint(canvas, _box(raster, 0.18, 0.56, 0.82, 0.92), (0.10, 0.35, 0.90))
    _paint(canvas, _disc(raster, 0.5, 0.36, 0.27), (0.36, 0.72, 1.00))
    for eye in (0.39, 0.61):
        _paint(canvas, _disc(raster, eye, 0.35, 0.085), (1.0, 1.0, 1.0))
        _paint(canvas, _disc(raster, eye, 0.37, 0.04), INK)
