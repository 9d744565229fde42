"""Every annotated function of the package is checked at run time: shapes by jaxtyping, types by beartype.

Tests compile many small programs and run each a few times, so the compiler is told not to optimise: they take half the
time. (It must be told before JAX starts.)
"""

import os

os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0 " + os.environ.get("XLA_FLAGS", "")

from jaxtyping import install_import_hook

_hook = install_import_hook("sensei_lite", "beartype.beartype")
