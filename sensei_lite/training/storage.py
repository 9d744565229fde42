"""Files of a run folder, agents and R_psi: written at once or not at all, never read wrongly.

A checkpoint is a ZIP of arrays (NumPy's .npz, no pickle), one for each leaf of a pytree, under the leaf's path in it,
such as ``.agent.world_model.rssm.start``. Typed PRNG keys are stored as their numbers. Whatever is written, is written
beside its place, flushed and renamed, so whoever is killed in the middle leaves the last good file behind.

What a folder holds is written in it: a command that is given again goes on with the same work, or is refused.
"""

import csv
import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from filelock import FileLock, Timeout

from sensei_lite.config import DistilConfig
from sensei_lite.reward.model import SemanticReward, content_hash, settings_of
from sensei_lite.types import AnyArray

Tree = TypeVar("Tree")

FORMAT = "format"
VERSION = 1

REWARD_WEIGHTS, REWARD_SETTINGS = "weights.npz", "reward.json"
REWARD_VERSION = 1


class CheckpointError(ValueError):
    """A file that is not the checkpoint that was wanted; the message names the file and the field."""


@contextmanager
def write_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Write a file at once or not at all: beside its place, flushed to the disk, then renamed. Makes the folder.

    Raises OSError where it cannot be written or the disk is full; the file that was there is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows with the same columns as CSV, at once or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with write_atomically(path) as file:
        file.write(text.getvalue().encode())


def save_checkpoint(path: Path, tree: object) -> None:
    """Write every array of ``tree`` to ``path``, replacing what was there only when all is on the disk.

    Raises OSError where the folder cannot be written or the disk is full; the file that was there is then untouched.
    """
    arrays = {name: np.asarray(_numbers(leaf)) for name, leaf in _named_leaves(tree).items()}
    with write_atomically(path) as file:
        np.savez(file, allow_pickle=False, **{FORMAT: np.int64(VERSION)}, **arrays)


def load_checkpoint(path: Path, like: Tree) -> Tree:
    """Read the arrays of ``path`` into a pytree of the structure, shapes and types of ``like``.

    ``like`` may hold arrays or `jax.ShapeDtypeStruct` (from `jax.eval_shape`); its values are not used.

    Raises FileNotFoundError, or CheckpointError where the file is damaged, of another version, or of another tree.
    """
    wanted = _named_leaves(like)
    try:
        with np.load(path, allow_pickle=False) as stored:
            version = int(stored[FORMAT]) if FORMAT in stored else None
            if version != VERSION:
                raise CheckpointError(f"{path} has checkpoint format {version}, and this code reads {VERSION}")
            found = set(stored.files) - {FORMAT}
            if missing := sorted(set(wanted) - found):
                raise CheckpointError(f"{path} has no {missing[0]} (and {len(missing) - 1} more): another agent's?")
            if surplus := sorted(found - set(wanted)):
                raise CheckpointError(f"{path} has {surplus[0]} (and {len(surplus) - 1} more), unknown to this agent")
            leaves = [_leaf(path, name, stored[name], leaf) for name, leaf in wanted.items()]
    except (zipfile.BadZipFile, EOFError, KeyError, OSError, ValueError) as error:
        if isinstance(error, CheckpointError | FileNotFoundError):
            raise
        raise CheckpointError(f"{path} is damaged or is no checkpoint: {error}") from error
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def save_reward(folder: Path, reward: SemanticReward) -> str:
    """Save an R_psi's weights (.npz, no pickle) and settings (JSON) in ``folder``; return its content hash.

    Raises OSError where the folder cannot be written.
    """
    name = content_hash(reward)
    save_checkpoint(folder / REWARD_WEIGHTS, eqx.filter(reward, eqx.is_array))
    settings = {"format": REWARD_VERSION, "content_hash": name} | settings_of(reward)
    with write_atomically(folder / REWARD_SETTINGS) as file:
        file.write(f"{json.dumps(settings, indent=1)}\n".encode())
    return name


def load_reward(folder: Path) -> SemanticReward:
    """Load an R_psi that `save_reward` saved.

    Raises FileNotFoundError, or CheckpointError where a file is damaged or of another version, or where weights and
    settings do not belong together.
    """
    path = folder / REWARD_SETTINGS
    try:
        settings = json.loads(path.read_text())
        version, name = settings["format"], settings["content_hash"]
        if version != REWARD_VERSION:
            raise CheckpointError(f"{path} has format {version}, and this code reads {REWARD_VERSION}")
        config, shape = DistilConfig(**settings["config"]), tuple(settings["image_shape"])
        like = eqx.filter_eval_shape(lambda: SemanticReward(config, shape, key=jax.random.key(0)))
    except (CheckpointError, FileNotFoundError):
        raise
    except Exception as error:
        raise CheckpointError(f"{path} does not describe an R_psi: {error!r}") from error
    reward = load_checkpoint(folder / REWARD_WEIGHTS, like)
    if content_hash(reward) != name:
        raise CheckpointError(f"{folder / REWARD_WEIGHTS} holds other weights than those that {path} was written for")
    return reward


def _named_leaves(tree: object) -> dict[str, AnyArray]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path) or "root": leaf for path, leaf in leaves}


def _is_key(leaf: AnyArray) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _numbers(leaf: AnyArray) -> AnyArray:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _leaf(path: Path, name: str, stored: np.ndarray, wanted: AnyArray) -> jax.Array:
    expected = jax.eval_shape(_numbers, wanted)
    if stored.shape != expected.shape or stored.dtype != expected.dtype:
        raise CheckpointError(
            f"{path}: {name} is {stored.dtype} {stored.shape}, and this agent's is {expected.dtype} {expected.shape}"
        )
    array = jnp.asarray(stored)
    return jax.random.wrap_key_data(array) if _is_key(wanted) else array


class RunError(ValueError):
    """A run folder that does not fit what was asked; the message names the file and the field."""


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Lock a folder: inside, no other process works in it. The folder is made if need be; a killed process frees it.

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
    if not path.exists():
        with write_atomically(path) as file:
            file.write((json.dumps(description, indent=1) + "\n").encode())
        return
    if different := _first_difference(read_manifest(path), description):
        raise RunError(f"{path} belongs to another run: {different}. Choose another folder")


def read_manifest(path: Path) -> dict[str, Any]:
    """Read what `write_or_verify_manifest` wrote. Raises FileNotFoundError, or RunError where the file is damaged."""
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
