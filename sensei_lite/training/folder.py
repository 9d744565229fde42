"""What a folder holds is written in it: a command that is given again goes on with the same work, or is refused."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout


class RunError(ValueError):
    """A run folder that does not fit what was asked; the message names the file and the field."""


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Inside, no other process works in this folder. The folder is made if need be; a killed process frees it.

    Raises RunError where another process works there already, OSError where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # A singleton can be taken again by whoever has it: a run holds its folder while its stages do the same.
    lock = FileLock(folder / ".lock", timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        raise RunError(f"another process works in {folder}. Wait for it, or choose another folder") from None
    try:
        yield
    finally:
        lock.release()


def write_or_verify_manifest(path: Path, description: dict[str, Any]) -> None:
    """Write down what the work is, as JSON, or make sure that what stands there is the same.

    Raises RunError where it is not, or the file is damaged.
    """
    description = json.loads(json.dumps(description))
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
        unfinished.write_text(json.dumps(description, indent=1) + "\n")
        unfinished.replace(path)  # whoever is killed here leaves no half of it
        return
    if different := _first_difference(read_manifest(path), description):
        raise RunError(f"{path} belongs to another run: {different}. Choose another folder")


def read_manifest(path: Path) -> dict[str, Any]:
    """What `write_or_verify_manifest` wrote. Raises FileNotFoundError, or RunError where the file is damaged."""
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is damaged: {error}") from error


def _first_difference(before: Any, now: Any, place: str = "") -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted(set(before) | set(now)):
            if found := _first_difference(before.get(name), now.get(name), f"{place}.{name}" if place else name):
                return found
        return ""
    return "" if before == now else f"{place} was {before!r} and is {now!r}"
