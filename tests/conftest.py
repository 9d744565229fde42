"""What all tests share: checked annotations, a compiler that hurries, one cache of compiled programs.

Every annotated function of the package is checked at run time: shapes by jaxtyping, types by beartype.

Tests compile many programs and run each a few times. So the compiler is told not to optimise, and to leave out the
emitters that take most of its time on a CPU (a quarter of the time is left); and what one test compiled, another loads
from a folder that the whole run shares: all modules, all workers, and the processes that tests start. (All of that must
be told before JAX starts.)

PyBoy imports PyOpenGL, which then decides for the whole process how to reach OpenGL. Robodesk may come after it in the
same process and reaches it through EGL where there is one, so that is what is decided.
"""

import ctypes.util
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

IN_A_HURRY = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
OWN_FOLDER: str | None = None

if os.environ.get("MUJOCO_GL", "egl") == "egl" and ctypes.util.find_library("EGL"):
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
if IN_A_HURRY not in os.environ.get("XLA_FLAGS", ""):  # workers and other processes inherit it
    os.environ["XLA_FLAGS"] = f"{IN_A_HURRY} {os.environ.get('XLA_FLAGS', '')}".strip()
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        OWN_FOLDER = os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="compiled-for-tests-")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

from jaxtyping import install_import_hook  # noqa: E402, because it starts JAX

_hook = install_import_hook("sensei_lite", "beartype.beartype")


def pytest_unconfigure():
    """Remove the compiled programs, unless whoever started the tests named a folder for them."""
    if OWN_FOLDER:
        shutil.rmtree(OWN_FOLDER, ignore_errors=True)


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory) -> Path:
    """The folder of a whole run (`smoke_plan.PLAN`), made once for all workers. Copy it to change something."""
    from smoke_plan import PLAN

    from sensei_lite.training.method import run

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, done = shared / "smoke run", shared / "smoke run is done"
    with FileLock(shared / "smoke run.lock"):
        if not done.exists():
            run(folder, PLAN)
            done.touch()
    return folder


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_programs():
    """A worker runs many modules, and the programs of all of them would fill the memory of a small machine."""
    yield
    import jax

    jax.clear_caches()
