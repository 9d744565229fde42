"""A training run in a folder: progress on the screen, numbers in CSV, a checkpoint to go on from.

    config.json      settings, world and seed: what the run is
    metrics.csv      one row a chunk: means of losses, rewards, returns
    events.csv       one row a chunk: how often each event happened, episodes, environment steps
    checkpoint.npz   everything that changes
    semantic_reward/ the R_psi of an agent that wants what is interesting
    tensorboard/     the same numbers for TensorBoard, where the package tensorboardX is installed

A run that was stopped, by Ctrl-C or by force, goes on from its last checkpoint and then gives exactly the numbers of a
run that was not stopped (on the same machine, on a CPU): rows after the checkpoint are dropped and computed again. Only
a host world cannot promise that: it keeps its state to itself, so the run goes on in new episodes.
"""

import csv
import dataclasses
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from sensei_lite.config import Config, config_from
from sensei_lite.reward.model import SemanticReward, content_hash
from sensei_lite.training.host_loop import begin_host_training, go_on_in_new_episodes, play_at_random, train_host_chunk
from sensei_lite.training.jax_loop import TrainState, on_devices, random_chunks, start_task, start_training, train_chunk
from sensei_lite.training.storage import (
    folder_lock,
    load_checkpoint,
    load_reward,
    read_manifest,
    save_checkpoint,
    save_reward,
    write_atomically,
    write_or_verify_manifest,
)
from sensei_lite.worlds.base import World
from sensei_lite.worlds.gym_adapter import HostWorld

CHECKPOINT, REWARD_MODEL, VISITS = "checkpoint.npz", "semantic_reward", "visits.npz"


def train_in(
    folder: Path,
    config: Config,
    world: World | HostWorld,
    *,
    updates: int,
    seed: int = 0,
    reward_model: SemanticReward | None = None,
    explored: TrainState | None = None,
    seconds_between_checkpoints: float = 60.0,
) -> TrainState:
    """Train until the agent has had ``updates`` updates, going on from the folder's checkpoint if there is one.

    ``reward_model`` is the R_psi of an agent that wants what is interesting. With ``explored`` a run begins with that
    state's world model and replay (see `jax_loop.start_task`).

    Raises RunError where the folder belongs to another run, FloatingPointError at the first loss that is not a number
    (the message names it and the checkpoint to go back to), CheckpointError where the checkpoint is damaged.
    """
    if updates % config.train.chunk_updates:
        raise ValueError(f"updates is {updates}; it must be a multiple of chunk_updates ({config.train.chunk_updates})")
    if explored is not None:
        reward_model = explored.reward_model  # what it found interesting goes on being told beside every picture
    with folder_lock(folder):
        return _train(folder, config, world, updates, seed, reward_model, explored, seconds_between_checkpoints)


def _train(
    folder: Path,
    config: Config,
    world: World | HostWorld,
    updates: int,
    seed: int,
    reward_model: SemanticReward | None,
    explored: TrainState | None,
    seconds_between_checkpoints: float,
) -> TrainState:
    description = describe_run(config, world, seed, reward_model)
    if explored is not None:
        description["explored"] = {"updates": int(explored.agent.updates), "steps": int(explored.steps)}
    write_or_verify_manifest(folder / "config.json", description)
    if reward_model is not None and not (folder / REWARD_MODEL).exists():
        save_reward(folder / REWARD_MODEL, reward_model)
    state = on_devices(config.train, _begin_or_resume(folder, config, world, reward_model, explored, seed))
    done = int(state.agent.updates)
    for name in ("metrics.csv", "events.csv"):
        drop_rows_after(folder / name, done)
    saved = time.monotonic()
    board = _board(folder / "tensorboard", int(state.steps))
    train = train_chunk if isinstance(world, World) else train_host_chunk
    with tqdm(total=updates, initial=done, desc=f"train {_name(world)}", unit="update") as bar:
        while done < updates:
            began = time.monotonic()
            state, metrics, counts = train(config, world, state)  # type: ignore[arg-type]
            done = int(state.agent.updates)
            row = {name: float(value) for name, value in sorted(metrics.items())}
            stop_where_not_a_number(folder, done, row)
            happened = {name: float(number) for name, number in sorted(counts.items())}
            append_row(folder / "metrics.csv", {"updates": done, "steps": int(state.steps)} | row)
            append_row(folder / "events.csv", {"updates": done} | happened)
            for name, number in (row | {f"events/{name}": number for name, number in happened.items()}).items():
                board.add_scalar(name, number, int(state.steps))
            bar.update(config.train.chunk_updates)
            bar.set_postfix_str(_news(state, row, happened, time.monotonic() - began))
            if done >= updates or time.monotonic() - saved >= seconds_between_checkpoints:
                save_checkpoint(folder / CHECKPOINT, state)
                saved = time.monotonic()
    board.close()
    return state


def play_in(folder: Path, config: Config, world: World | HostWorld, *, updates: int, seed: int = 0) -> None:
    """Run an agent that acts at random and learns nothing: as many steps as ``updates`` updates would take.

    Raises ValueError for a host world, RunError as `train_in` does.
    """
    if isinstance(world, HostWorld):
        raise ValueError("the random agent plays JAX worlds only")
    with folder_lock(folder):
        write_or_verify_manifest(folder / "config.json", describe_run(config, world, seed))
        counts, visits = random_chunks(config, world, updates // config.train.chunk_updates, key=jax.random.key(seed))
        (folder / "events.csv").unlink(missing_ok=True)
        for chunk in range(updates // config.train.chunk_updates):
            row = {name: float(values[chunk]) for name, values in sorted(counts.items())}
            append_row(folder / "events.csv", {"updates": (chunk + 1) * config.train.chunk_updates} | row)
        with write_atomically(folder / VISITS) as file:
            np.savez(file, visits=np.asarray(visits), allow_pickle=False)


def read_visits(folder: Path) -> np.ndarray:
    """Read how often the agent of `play_in` was in each situation. Raises FileNotFoundError where nobody played."""
    with np.load(folder / VISITS, allow_pickle=False) as stored:
        return stored["visits"]


def load_run(folder: Path, world: World | HostWorld) -> TrainState:
    """Load the last checkpoint of a training run in this world, whatever its settings are.

    Raises FileNotFoundError where there is none, CheckpointError where it is damaged, ValueError where the run is of
    another version or of another world.
    """
    if not (folder / CHECKPOINT).exists():
        raise FileNotFoundError(f"{folder / CHECKPOINT} is not there: nobody has trained in {folder}")
    description = read_manifest(folder / "config.json")
    config = config_from(description["agent"])
    reward_model = load_reward(folder / REWARD_MODEL) if description["reward_model"] else None
    if isinstance(world, HostWorld):
        like = begin_host_training(config, world, reward_model, key=jax.random.key(0))
    else:
        like = jax.eval_shape(lambda: start_training(config, world, reward_model, key=jax.random.key(0)))
    return load_checkpoint(folder / CHECKPOINT, like)


def _news(state: TrainState, metrics: dict[str, float], counts: dict[str, float], seconds: float) -> str:
    """Write what the progress bar says beside updates per second and the time left."""
    seen = "vector" if "loss/image" not in metrics else "image"
    rate, reward = counts["steps"] / seconds, counts["reward"] / max(counts["episodes"], 1.0)
    return (
        f"{int(state.steps)} env steps, {rate:.0f}/s, reward {reward:.2f}/episode, "
        f"{seen} {metrics[f'loss/{seen}']:.3g}, kl {metrics['loss/kl']:.3g}"
    )


class _NoBoard:
    """What stands for a TensorBoard writer where there is none."""

    def add_scalar(self, name: str, value: float, step: int) -> None:
        pass

    def close(self) -> None:
        pass


def _board(folder: Path, steps: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return _NoBoard()
    # What was written after the checkpoint is hidden by the new writer's numbers.
    return SummaryWriter(str(folder), purge_step=steps + 1)


def _name(world: World | HostWorld) -> str:
    return world.name if isinstance(world, HostWorld) else type(world).__name__


def describe_run(
    config: Config, world: World | HostWorld, seed: int, reward_model: SemanticReward | None = None
) -> dict[str, Any]:
    """Describe a training run: its world, seed, R_psi and settings, as config.json has them."""
    of_world = world.settings if isinstance(world, HostWorld) else dataclasses.asdict(world)  # type: ignore[call-overload]
    settings = {"world": {"name": _name(world)} | of_world, "seed": seed}
    settings["reward_model"] = None if reward_model is None else content_hash(reward_model)
    return settings | {"agent": dataclasses.asdict(config)}


def _begin_or_resume(
    folder: Path,
    config: Config,
    world: World | HostWorld,
    reward_model: SemanticReward | None,
    explored: TrainState | None,
    seed: int,
) -> TrainState:
    key, path = jax.random.key(seed), folder / CHECKPOINT
    if isinstance(world, HostWorld):
        if explored is None:
            state = begin_host_training(config, world, reward_model, key=key)
        else:
            state = start_task(config, world, explored, key=key)
        if path.exists():
            return go_on_in_new_episodes(world, load_checkpoint(path, state))
        return play_at_random(config, world, state) if explored is None else go_on_in_new_episodes(world, state)

    def begin() -> TrainState:
        if explored is not None:
            return start_task(config, world, explored, key=key)
        return start_training(config, world, reward_model, key=key)

    return load_checkpoint(path, jax.eval_shape(begin)) if path.exists() else begin()


def stop_where_not_a_number(folder: Path, updates: int, row: Mapping[str, float]) -> None:
    """Raise FloatingPointError where a metric is no finite number: its name, and the checkpoint to go back to."""
    if wrong := [name for name, value in row.items() if not math.isfinite(value)]:
        last = folder / CHECKPOINT
        back = f"the last checkpoint is {last}" if last.exists() else "there is no checkpoint yet"
        raise FloatingPointError(f"after {updates} updates {', '.join(wrong)} is not a finite number; {back}")


def append_row(path: Path, row: Mapping[str, float | int]) -> None:
    """Add a row to a CSV file, whose first row decides the columns."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def drop_rows_after(path: Path, updates: int) -> None:
    """Keep the rows up to the checkpoint; a row that was cut off in the middle goes too."""
    if not path.exists():
        return
    header, *rows = path.read_text().splitlines(keepends=True)
    kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[0]) <= updates]
    if not kept:
        path.unlink()
        return
    with write_atomically(path) as file:
        file.write((header + "".join(kept)).encode())
