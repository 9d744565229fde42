"""How is the real Robodesk drawn on a machine without a screen, perhaps without a GPU? The camera, and its OpenGL.

The camera stands to the robot's right and looks along the desk. As in SENSEI's research code the picture is drawn at
224 x 224 pixels and made smaller, which smooths its edges. MuJoCo draws with OpenGL. Without a screen this works in two
ways: EGL (on the GPU, or with Mesa on the CPU) and OSMesa (on the CPU only).

Source: the place of the camera is that of the research code of SENSEI (arXiv 2503.01584) with ``camera="right"``.
Changed: no shadows, no reflections and no multisampling, which take nearly all of the time where a CPU draws (measured:
2.4 steps/s on one core with them, 50 without). ``shadows=True`` gives them back, for a GPU.
"""

import contextlib
import ctypes
import ctypes.util
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image as Picture

LOOK_AT, DISTANCE, AZIMUTH, ELEVATION = (-0.13597396, 0.535, 0.64500556), 1.55, 180.0, -18.0  # metres, degrees
IMAGE, DRAWN = 64, 224  # pixels each way: of the agent's picture, and as it is drawn before it is made smaller

PACKAGES = "Debian and Ubuntu: apt-get install libegl1 libgl1-mesa-dri (for MUJOCO_GL=egl) or libosmesa6 (for osmesa)"


def choose_opengl() -> None:
    """Set MUJOCO_GL for this process and its children, where nobody has and there is no screen: egl, else osmesa.

    It must be called before dm_control is imported, which reads the variable at import. It looks for the libraries by
    name only, so a library without its driver is found out later, by `check_opengl`.
    """
    if not os.environ.get("MUJOCO_GL") and _is_headless():
        found = [name for name, library in (("egl", "EGL"), ("osmesa", "OSMesa")) if ctypes.util.find_library(library)]
        if found:
            os.environ["MUJOCO_GL"] = found[0]
    if os.environ.get("MUJOCO_GL") == "osmesa":
        # dm_control would draw in a thread of its own, and complain at exit where an environment was not closed.
        os.environ.setdefault("DISABLE_RENDER_THREAD_OFFLOADING", "1")


def load_triton_first() -> None:
    """Load the library of triton, which torch brings along, if it is installed. Before anything is drawn.

    Triton and Mesa (OpenGL on a CPU) each bring an LLVM. If Mesa's is loaded first, triton takes parts of it for its
    own and the process dies of a segmentation fault, as soon as the CLIP annotator is asked. The other way round works.
    """
    found = importlib.util.find_spec("triton")
    for folder in (found.submodule_search_locations or ()) if found else ():
        for library in Path(folder, "_C").glob("libtriton*.so"):
            with contextlib.suppress(OSError):  # then torch will not be able to load it either
                ctypes.CDLL(str(library), mode=os.RTLD_NOW)


def check_opengl() -> None:
    """Raise ImportError, with a way out, where dm_control cannot draw."""
    try:
        backend = importlib.import_module("dm_control._render").BACKEND
        problem = "it switches drawing off, or no OpenGL library was found"
    except Exception as error:  # what PyOpenGL and EGL raise differs with what is missing
        backend, problem = None, f"{type(error).__name__}: {error}"
    if backend == "glfw" and _is_headless():
        backend, problem = None, "dm_control was imported before it was set and chose glfw, which needs a screen"
    if backend not in ("egl", "osmesa", "glfw"):
        asked = os.environ.get("MUJOCO_GL") or "(not set)"
        raise ImportError(
            f"Robodesk cannot draw with MUJOCO_GL={asked} ({problem}). {PACKAGES}; then begin a new process, with "
            "MUJOCO_GL=osmesa where egl does not work."
        )


def _is_headless() -> bool:
    return sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class DeskCamera:
    """Draws what the camera sees of a desk. ``shadows``: draw it as the library does, slowly (see above)."""

    def __init__(self, physics: Any, largest: int, *, shadows: bool) -> None:
        self._physics, self._shadows = physics, shadows
        visual = physics.model.vis  # read when the first picture is drawn
        if not shadows:
            visual.quality.shadowsize = visual.quality.offsamples = 0
        visual.global_.offwidth = visual.global_.offheight = max(largest, DRAWN)
        self._cameras: dict[int, Any] = {}

    def small(self) -> UInt8[np.ndarray, "64 64 3"]:
        """Draw the agent's picture."""
        picture = Picture.fromarray(self.draw(DRAWN)).resize((IMAGE, IMAGE), Picture.Resampling.LANCZOS)
        return np.array(picture)

    def draw(self, pixels: int) -> UInt8[np.ndarray, "pixels pixels 3"]:
        """Draw a picture of ``pixels`` rows and columns."""
        if pixels not in self._cameras:
            self._cameras[pixels] = self._camera(pixels)
        return self._cameras[pixels].render().copy()

    def _camera(self, pixels: int) -> Any:
        camera = importlib.import_module("dm_control.mujoco").MovableCamera(self._physics, pixels, pixels)
        camera.set_pose(LOOK_AT, DISTANCE, AZIMUTH, ELEVATION)
        if not self._shadows:
            flags = importlib.import_module("mujoco").mjtRndFlag
            camera.scene.flags[[int(flags.mjRND_SHADOW), int(flags.mjRND_REFLECTION)]] = 0
        return camera
