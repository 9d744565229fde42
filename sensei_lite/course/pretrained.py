"""Agents that are trained already, for the notebooks: what a reader would have after `sensei-lite run --preset lab`.

The folder `trained` beside this file holds, from one run on keyroom-lab: the curious and the SENSEI agent at its end,
R_psi, and a part of D_init. `provenance.json` says with which command, seed and versions they were made, and
what they scored. To make them anew:

    sensei-lite run --preset lab
    python -m sensei_lite.course.pretrained runs/lab

An agent is kept without what only training needs (optimisers, slow critics, replay), and its large arrays in half
precision: 3.6 MB instead of 450.
"""

import dataclasses
import functools
import json
import platform
import shutil
import subprocess
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import tyro

from sensei_lite.agent import state as agents
from sensei_lite.agent.state import AgentState
from sensei_lite.annotators.data import Observations, load_observations, save_observations
from sensei_lite.config import config_from
from sensei_lite.reward.model import SemanticReward, load_reward
from sensei_lite.training import pipeline
from sensei_lite.training.evaluate import read_chunks
from sensei_lite.training.run import load_run
from sensei_lite.training.storage import load_checkpoint, read_manifest, save_checkpoint
from sensei_lite.worlds.grid.world import GridWorld
from sensei_lite.worlds.registry import make_world

FOLDER = Path(__file__).parent / "trained"
NAMES = ("plan2explore", "sensei")
PARTS = ("world_model", "actor", "critics", "normalisers", "rule", "updates")
"""What is kept of an agent, beside what its reward streams have learned."""
LARGE = 256
"""Arrays of at least so many numbers are stored in half precision."""


def trained_world(folder: Path = FOLDER) -> GridWorld:
    """The world that the agents were trained in."""
    description = read_manifest(folder / "world.json")
    world = make_world(description["world"], **description["settings"])
    assert isinstance(world, GridWorld)
    return world


def trained_agent(name: str, folder: Path = FOLDER) -> AgentState:
    """A trained agent. It can act, dream and go on learning (with new optimisers).

    Raises ValueError for a name that is not in `NAMES`, CheckpointError where the file is damaged.
    """
    if name not in NAMES:
        raise ValueError(f"there is no trained agent {name!r}; there are {', '.join(NAMES)}")
    world = trained_world(folder)
    config = config_from(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
    new = agents.init(config, world.image_shape, world.actions, key=jax.random.key(0))
    parts = parts_of(new)
    stored = load_checkpoint(folder / f"{name}.npz", jax.eval_shape(_halved, parts))
    parts = jax.tree.map(lambda half, full: half.astype(full.dtype), stored, parts)
    networks = parts.pop("streams")
    streams = {
        name: eqx.tree_at(lambda s: s.network, stream, networks[name], is_leaf=lambda x: x is None)
        for name, stream in new.streams.items()
    }
    return dataclasses.replace(new, streams=streams, slow_critics=jax.tree.map(jnp.copy, parts["critics"]), **parts)


def parts_of(agent: AgentState) -> dict[str, Any]:
    """Return what is kept of an agent, by name: `PARTS`, and the networks of its reward streams."""
    networks = {name: stream.network for name, stream in agent.streams.items()}
    return {part: getattr(agent, part) for part in PARTS} | {"streams": networks}


def trained_reward_model(folder: Path = FOLDER) -> SemanticReward:
    """R_psi, distilled from the bundled CLIP's answers about what the curious agent saw."""
    return load_reward(folder / "semantic_reward")


def curious_observations(folder: Path = FOLDER) -> Observations:
    """A part of D_init: whole episodes of pictures that the curious agent saw, with the true facts beside them."""
    return load_observations(folder / "observations.npz")


def learning_curves(name: str, folder: Path = FOLDER) -> list[dict[str, float]]:
    """What the agent caused while it learned: a row of counts for every chunk of updates, as events.csv has them."""
    return read_chunks(folder / "curves" / name)


@functools.cache
def provenance() -> dict[str, Any]:
    """How the shipped agents were made, and what they scored."""
    return json.loads((FOLDER / "provenance.json").read_text(encoding="utf-8"))


def _halved(parts: Any) -> Any:
    """Large arrays of numbers in half precision."""

    def half(leaf: jax.Array) -> jax.Array:
        large = leaf.size >= LARGE and jnp.issubdtype(leaf.dtype, jnp.floating)
        return leaf.astype(jnp.float16) if large else leaf

    return jax.tree.map(half, parts)


def keep(run: Path, /, folder: Path = FOLDER, pictures: int = 4000) -> None:
    """Take the agents, R_psi and a part of D_init out of the folder of a finished `sensei-lite run`.

    Args:
        run: the run folder.
        folder: where to put them.
        pictures: how many pictures of D_init to keep, in whole episodes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(run / "world.json", folder / "world.json")
    with closing(pipeline.world_of(run)) as world:
        for name in NAMES:
            agent = load_run(run / name, world).agent
            settings = json.dumps(dataclasses.asdict(agent.config), indent=1)
            (folder / f"{name}.json").write_text(settings + "\n", encoding="utf-8")
            save_checkpoint(folder / f"{name}.npz", _halved(parts_of(agent)))
            (folder / "curves" / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(run / name / "events.csv", folder / "curves" / name / "events.csv")
    shutil.copytree(run / "semantic_reward", folder / "semantic_reward", dirs_exist_ok=True)
    save_observations(
        folder / "observations.npz", _some_episodes(load_observations(run / "observations.npz"), pictures)
    )
    made = {
        "commands": ["sensei-lite run --preset lab", "python -m sensei_lite.course.pretrained runs/lab"],
        "run": json.loads((run / "run.json").read_text(encoding="utf-8")),
        "commit": _commit(),
        "versions": {name: version(name) for name in ("sensei-lite", "jax", "equinox", "optax", "numpy")},
        "python": platform.python_version(),
        "processor": platform.machine(),
        "scores": pipeline.read_evaluation(run),
    }
    (folder / "provenance.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    print(f"kept {', '.join(NAMES)} in {folder}: {sum(f.stat().st_size for f in folder.rglob('*.*')) / 1e6:.1f} MB")


def _some_episodes(observations: Observations, pictures: int) -> Observations:
    """About so many pictures: whole episodes, spread evenly over those there are."""
    episodes = np.unique(observations.episode)
    share = min(1.0, pictures / len(observations.episode))
    chosen = episodes[np.unique(np.linspace(0, len(episodes) - 1, max(1, int(share * len(episodes)))).astype(int))]
    return observations.choose(np.isin(observations.episode, chosen))


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, cwd=FOLDER.parent)
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    tyro.cli(keep)
