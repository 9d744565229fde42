"""Keep compiled programs between runs: what was compiled once on this machine is loaded the next time.

On a laptop, compilation is a large part of what a person waits for. JAX can store its results; this turns it on, in the
place where the operating system wants such files. It changes no result.
"""

import os
from pathlib import Path

import jax
from platformdirs import user_cache_path


def keep_compiled_programs() -> Path | None:
    """Turn JAX's persistent compilation cache on, unless the user chose otherwise; returns its folder.

    ``JAX_COMPILATION_CACHE_DIR`` names another folder; ``JAX_ENABLE_COMPILATION_CACHE=false`` turns it off. Where the
    folder cannot be written, nothing is kept and nothing fails: returns None.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR") or not jax.config.jax_enable_compilation_cache:  # type: ignore[attr-defined]
        return None
    folder = user_cache_path("sensei_lite") / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    return folder
