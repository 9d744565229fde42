"""Environment steps per second, with drawing: our worlds beside MiniHack and MiniGrid, in one process and one run."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from make.bench.measure import Row, Speed, machine, measure, print_columns, write_table
from sensei_lite.worlds import KeyRoom, World
from sensei_lite.worlds.base import TimeStep
from sensei_lite.worlds.registry import JAX_WORLDS
from sensei_lite.worlds.rollout import begin_rollout, random_policy, rollout

BATCHES = (1, 64, 1024)


def bench_worlds(path: Path, repeats: int = 7) -> list[Row]:
    """Measure every world; write the table to ``path`` and return its rows."""
    ours, peers = _ours(), list(_peers())
    rows: list[Row] = []
    with tqdm(total=len(ours) * len(BATCHES) + len(peers), desc="bench worlds", unit="row") as bar:
        for label, world in ours:
            for batch in BATCHES:
                rows.append(_jax_world(label, world, batch, repeats))
                bar.update()
        for label, env in peers:
            rows.append(_gymnasium_env(label, env, repeats))
            bar.update()
    for row in rows:
        row["machine"] = machine()
    write_table(rows, path)
    return rows


def _ours() -> list[tuple[str, World]]:
    return [
        ("KeyRoom", JAX_WORLDS["keyroom-whole"]),
        ("KeyRoom, 5x5 crop", KeyRoom(view=5)),
        ("KeyRoom-S15, 5x5 crop", JAX_WORLDS["keyroom-s15"]),
        ("KeyChest", JAX_WORLDS["keychest"]),
        ("Tabletop", JAX_WORLDS["tabletop"]),
    ]


def _jax_world(label: str, world: World, batch: int, repeats: int) -> Row:
    steps = max(16, 16384 // batch)
    play = jax.jit(
        lambda now, key: rollout(world, random_policy(world), now, steps, observe=_keep_picture, key=key)[0],
        donate_argnums=0,
    )
    now = jax.jit(lambda key: begin_rollout(world, batch, key=key))(jax.random.key(0))
    now, calls = now._replace(memory=jnp.zeros_like(now.timestep.image)), 0

    def call() -> None:
        nonlocal now, calls
        calls += 1
        now = jax.block_until_ready(play(now, jax.random.key(calls)))

    return _row(label, world.image_shape, batch, steps * batch, measure(call, repeats), compiled=True)


def _keep_picture(memory: jax.Array, state: Any, timestep: TimeStep) -> tuple[jax.Array, None]:
    """Keep the newest pictures, so that they are drawn."""
    return timestep.image, None


def _peers() -> Iterator[tuple[str, gymnasium.Env]]:
    """Yield other people's worlds, where they are installed."""
    if importlib.util.find_spec("minihack"):
        yield "MiniHack KeyRoom-S15 as wrapped here", gymnasium.make("SenseiLite/MiniHackKeyRoom-v0")
        import minihack  # noqa: F401  (registers the ids)

        bare: dict[str, Any] = {"observation_keys": ("pixel_crop",), "obs_crop_h": 5, "obs_crop_w": 5}
        yield "MiniHack KeyRoom-S15 (pixel crop)", gymnasium.make("MiniHack-KeyRoom-S15-v0", **bare)
    if importlib.util.find_spec("minigrid"):
        from minigrid.wrappers import RGBImgPartialObsWrapper

        yield "MiniGrid DoorKey-8x8 (RGB)", RGBImgPartialObsWrapper(gymnasium.make("MiniGrid-DoorKey-8x8-v0"))


def _gymnasium_env(label: str, env: gymnasium.Env, repeats: int, steps: int = 1000) -> Row:
    env.reset(seed=0)
    env.action_space.seed(0)

    def call() -> None:
        for _ in range(steps):
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                env.reset()

    space = env.observation_space
    shape: tuple[int, ...] = space.shape or ()
    if isinstance(space, gymnasium.spaces.Dict):
        shape = next(
            part.shape or () for part in space.values() if part.dtype == np.uint8 and len(part.shape or ()) == 3
        )
    speed = measure(call, repeats)
    env.close()
    return _row(label, shape, 1, steps, speed, compiled=False)


def _row(label: str, image: tuple[int, ...], batch: int, steps: int, speed: Speed, *, compiled: bool) -> Row:
    return {
        "world": label,
        "image": "x".join(map(str, image[:2])),
        "environments": batch,
        "steps_per_second": round(steps / speed.median),
        "slowest": round(steps / speed.slowest),
        "fastest": round(steps / speed.fastest),
        "first_call_seconds": round(speed.first, 1) if compiled else "",
    }


def print_table(rows: list[Row]) -> None:
    """Print the rows for a person."""
    print_columns(
        rows,
        {
            "world": lambda row: row["world"],
            "image": lambda row: row["image"],
            "envs": lambda row: str(row["environments"]),
            "steps/s": lambda row: f"{row['steps_per_second']:,}",
            "[slowest, fastest]": lambda row: f"[{row['slowest']:,}, {row['fastest']:,}]",
            "first call": lambda row: f"{row['first_call_seconds']} s" if row["first_call_seconds"] != "" else "",
        },
    )
