"""Every annotated function of the package is checked at run time: shapes by jaxtyping, types by beartype.

Tests compile many small programs and run each a few times, so the compiler is told not to optimise: they take half the
time. (It must be told before JAX starts.)

PyBoy imports PyOpenGL, which then decides for the whole process how to reach OpenGL. Robodesk may come after it in the
same process and reaches it through EGL where there is one, so that is what is decided.
"""

import ctypes.util
import os

import pytest

if os.environ.get("MUJOCO_GL", "egl") == "egl" and ctypes.util.find_library("EGL"):
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0 " + os.environ.get("XLA_FLAGS", "")

from jaxtyping import install_import_hook

_hook = install_import_hook("sensei_lite", "beartype.beartype")


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_programs():
    """A worker runs many modules, and the programs of all of them would fill the memory of a small machine."""
    yield
    import jax

    jax.clear_caches()
