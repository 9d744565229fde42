"""What a run asks of this machine: compiled programs that are kept, and large pages of memory.

On a laptop, compilation is a large part of what a person waits for. JAX can store its results; this turns it on, in the
place where the operating system wants such files. It changes no result.

XLA asks for an update's memory when it begins and gives it back when it ends, so the operating system hands out and
clears every page again each time; 4 KiB at a time that costs a third of an update. With pages of 2 MiB there are 500
times fewer. The C library of Linux (glibc 2.35 and later) asks for them if the environment variable ``GLIBC_TUNABLES``
says so when a process starts, and in no other way; hence the restart. Where Linux has no such pages to give, or another
C library is in use, nothing changes.
"""

import os
import sys
from pathlib import Path

VARIABLE = "GLIBC_TUNABLES"
LARGE_PAGES = "glibc.malloc.hugetlb=1"


def restart_with_large_pages() -> None:
    """Start this program again with large pages, in the same process and with the same arguments; at most once.

    A value that the user gave to the variable, an empty one too, is left alone and nothing is restarted. Call it before
    anything heavy is imported.
    """
    if sys.platform != "linux" or VARIABLE in os.environ:
        return
    os.environ[VARIABLE] = LARGE_PAGES
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def keep_compiled_programs() -> Path | None:
    """Turn JAX's persistent compilation cache on, unless the user chose otherwise; returns its folder.

    ``JAX_COMPILATION_CACHE_DIR`` names another folder; ``JAX_ENABLE_COMPILATION_CACHE=false`` turns it off. Where the
    folder cannot be written, nothing is kept and nothing fails: returns None.
    """
    import jax
    from platformdirs import user_cache_path

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
