"""Compiled programs are kept between runs, and nothing fails where they cannot be."""

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import jax
from sensei_lite.training.machine import keep_compiled_programs
print(keep_compiled_programs())
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: x * 2 + 1)(3.0)
"""


def run(**changes: str) -> tuple[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")} | changes
    told = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    return told.stdout.strip(), told.stderr


def test_programs_are_kept_and_loaded_again(tmp_path):
    folder, errors = run(XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path), LOCALAPPDATA=str(tmp_path))
    assert Path(folder).is_relative_to(tmp_path)
    assert errors == ""
    kept = {path.name for path in Path(folder).iterdir() if path.name.endswith("-cache")}
    assert kept
    run(XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path), LOCALAPPDATA=str(tmp_path))
    assert {path.name for path in Path(folder).iterdir() if path.name.endswith("-cache")} == kept


def test_the_user_can_choose_otherwise(tmp_path):
    assert run(XDG_CACHE_HOME=str(tmp_path), JAX_ENABLE_COMPILATION_CACHE="false")[0] == "None"
    assert run(XDG_CACHE_HOME=str(tmp_path), JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own"))[0] == "None"
    assert not (tmp_path / "sensei_lite").exists()


def test_a_place_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    assert run(XDG_CACHE_HOME=str(tmp_path / "file"), HOME=str(tmp_path / "file"))[0] == "None"
