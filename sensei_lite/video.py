"""Frames to a moving picture that any browser shows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Picture


def save_gif(
    frames: Sequence[np.ndarray], path: Path, frames_per_second: float = 6.0, hold_seconds: float = 1.5
) -> None:
    """Write uint8 frames [height width 3] as an endless GIF that rests on its last frame.

    Raises ValueError where there are no frames.
    """
    if not frames:
        raise ValueError("there are no frames to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [Picture.fromarray(frame).quantize(64, dither=Picture.Dither.NONE) for frame in frames]
    each = round(1000 / frames_per_second)
    durations = [each] * (len(pictures) - 1) + [round(1000 * hold_seconds)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, loop=0)
