"""Frames to an MP4 that any browser plays."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def save_mp4(
    frames: Sequence[np.ndarray], path: Path, frames_per_second: int = 6, hold_seconds: float = 1.5, scale: int = 1
) -> None:
    """Write uint8 frames [height width 3] as H.264 video that rests on its last frame for ``hold_seconds``.

    Every pixel becomes ``scale`` x ``scale``; browsers play colour at half the resolution, so small pictures want 2 or
    more. An odd side is lengthened by one pixel of the edge, because H.264 wants even ones.

    Raises ValueError where there are no frames or they are of several sizes.
    """
    import av

    if not len(frames):
        raise ValueError("there are no frames to write")
    if len(shapes := {frame.shape for frame in frames}) > 1:
        raise ValueError(f"all frames of a video must have one size, and these have {sorted(shapes)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    held = [*frames, *[frames[-1]] * round(hold_seconds * frames_per_second)]
    height, width = (scale * side + scale * side % 2 for side in frames[0].shape[:2])
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        # `faststart` puts the table of contents in front, so that playing can begin before all is loaded.
        with av.open(str(unfinished), "w", format="mp4", options={"movflags": "+faststart"}) as file:
            stream = file.add_stream("libx264", rate=frames_per_second, options={"crf": "20", "preset": "medium"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for frame in held:
                large = frame.repeat(scale, 0).repeat(scale, 1)
                edges = ((0, height - large.shape[0]), (0, width - large.shape[1]), (0, 0))
                picture = av.VideoFrame.from_ndarray(np.pad(large, edges, mode="edge"), format="rgb24")
                file.mux(stream.encode(picture))
            file.mux(stream.encode(None))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
