"""A training run in a folder: progress on the screen, numbers in CSV, a checkpoint to go on from.

    config.json      settings, world and seed: what the run is
    metrics.csv      one row a chunk: means of losses, rewards, returns
    events.csv       one row a chunk: how often each event happened, episodes, environment steps
    checkpoint.npz   everything that changes
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
from tqdm import tqdm

from sensei_lite.checkpoint import load_checkpoint, save_checkpoint
from sensei_lite.config import Config
from sensei_lite.run_folder import claim
from sensei_lite.train import TrainState, on_devices, start_training, train_chunk
from sensei_lite.train_host import begin_host_training, go_on_in_new_episodes, play_at_random, train_host_chunk
from sensei_lite.worlds.base import World
from sensei_lite.worlds.host import HostWorld

CHECKPOINT = "checkpoint.npz"


def train_in(
    folder: Path,
    config: Config,
    world: World | HostWorld,
    *,
    updates: int,
    seed: int = 0,
    seconds_between_checkpoints: float = 60.0,
) -> TrainState:
    """Train until the agent has had ``updates`` updates, going on from the folder's checkpoint if there is one.

    Raises RunError where the folder belongs to another run, FloatingPointError at the first loss that is not a number
    (the message names it and the checkpoint to go back to), CheckpointError where the checkpoint is damaged.
    """
    if updates % config.train.chunk_updates:
        raise ValueError(f"updates is {updates}; it must be a multiple of chunk_updates ({config.train.chunk_updates})")
    claim(folder / "config.json", _describe(config, world, seed))
    state = on_devices(config.train, _begin_or_resume(folder, config, world, seed))
    done = int(state.agent.updates)
    for name in ("metrics.csv", "events.csv"):
        _drop_rows_after(folder / name, done)
    saved = time.monotonic()
    board = _board(folder / "tensorboard", int(state.steps))
    train = train_chunk if isinstance(world, World) else train_host_chunk
    with tqdm(total=updates, initial=done, desc=f"train {_name(world)}", unit="update") as bar:
        while done < updates:
            began = time.monotonic()
            state, metrics, counts = train(config, world, state)  # type: ignore[arg-type]
            done = int(state.agent.updates)
            row = {name: float(value) for name, value in sorted(metrics.items())}
            _stop_where_not_a_number(folder, done, row)
            happened = {name: float(number) for name, number in sorted(counts.items())}
            _append(folder / "metrics.csv", {"updates": done, "steps": int(state.steps)} | row)
            _append(folder / "events.csv", {"updates": done} | happened)
            for name, number in (row | {f"events/{name}": number for name, number in happened.items()}).items():
                board.add_scalar(name, number, int(state.steps))
            bar.update(config.train.chunk_updates)
            bar.set_postfix_str(_news(state, row, happened, time.monotonic() - began))
            if done >= updates or time.monotonic() - saved >= seconds_between_checkpoints:
                save_checkpoint(folder / CHECKPOINT, state)
                saved = time.monotonic()
    board.close()
    return state


def _news(state: TrainState, metrics: dict[str, float], counts: dict[str, float], seconds: float) -> str:
    """What the progress bar says beside updates per second and the time left."""
    rate, reward = counts["steps"] / seconds, counts["reward"] / max(counts["episodes"], 1.0)
    return (
        f"{int(state.steps)} env steps, {rate:.0f}/s, reward {reward:.2f}/episode, "
        f"image {metrics['loss/image']:.3g}, kl {metrics['loss/kl']:.3g}"
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


def _describe(config: Config, world: World | HostWorld, seed: int) -> dict[str, Any]:
    of_world = world.settings if isinstance(world, HostWorld) else dataclasses.asdict(world)  # type: ignore[call-overload]
    settings = {"world": {"name": _name(world)} | of_world, "seed": seed}
    return settings | {"agent": dataclasses.asdict(config)}


def _begin_or_resume(folder: Path, config: Config, world: World | HostWorld, seed: int) -> TrainState:
    key, path = jax.random.key(seed), folder / CHECKPOINT
    if isinstance(world, HostWorld):
        state = begin_host_training(config, world, key=key)
        if path.exists():
            return go_on_in_new_episodes(world, load_checkpoint(path, state))
        return play_at_random(config, world, state)
    if not path.exists():
        return start_training(config, world, key=key)
    return load_checkpoint(path, jax.eval_shape(lambda: start_training(config, world, key=key)))


def _stop_where_not_a_number(folder: Path, updates: int, row: dict[str, float]) -> None:
    if wrong := [name for name, value in row.items() if not math.isfinite(value)]:
        last = folder / CHECKPOINT
        back = f"the last checkpoint is {last}" if last.exists() else "there is no checkpoint yet"
        raise FloatingPointError(f"after {updates} updates {', '.join(wrong)} is not a finite number; {back}")


def _append(path: Path, row: Mapping[str, float | int]) -> None:
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def _drop_rows_after(path: Path, updates: int) -> None:
    """Keep the rows up to the checkpoint; a row that was cut off in the middle goes too."""
    if not path.exists():
        return
    header, *rows = path.read_text().splitlines(keepends=True)
    kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[0]) <= updates]
    path.write_text(header + "".join(kept)) if kept else path.unlink()
