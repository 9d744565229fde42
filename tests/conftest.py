"""Every annotated function of the package is checked at run time: shapes by jaxtyping, types by beartype.

Tests compile many small programs and run each a few times, so the compiler is told not to optimise: they take half the
time. (It must be told before JAX starts.)
"""

import os

import pytest

os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0 " + os.environ.get("XLA_FLAGS", "")

from jaxtyping import install_import_hook

_hook = install_import_hook("sensei_lite", "beartype.beartype")


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_programs():
    """A worker runs many modules, and the programs of all of them would fill the memory of a small machine."""
    yield
    import jax

    jax.clear_caches()
