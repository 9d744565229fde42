"""Agents that are trained already, for the notebooks: what a reader would have after `sensei-lite run --preset lab`.

The folder `trained` beside this file holds, from one run on keyroom-lab: the curious and the SENSEI agent at its end,
R_psi, and a part of D_init. `provenance.json` says with which commands, seed and versions they were made, and
what they scored; `book/make/trained.py` took them out of the run's folder.

An agent is kept without what only training needs (optimisers, slow critics, replay), and its large arrays in half
precision: 3.6 MB instead of 450.
"""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sensei_lite.agent import state as agents
from sensei_lite.agent.state import AgentState
from sensei_lite.annotators.data import Observations, load_observations
from sensei_lite.config import config_from
from sensei_lite.reward.model import SemanticReward
from sensei_lite.training.evaluate import read_chunks
from sensei_lite.training.storage import load_checkpoint, load_reward, read_manifest
from sensei_lite.worlds.grid.world import GridWorld
from sensei_lite.worlds.registry import make_world

FOLDER = Path(__file__).parent / "trained"
NAMES = ("plan2explore", "sensei")
PARTS = ("world_model", "actor", "critics", "normalisers", "rule", "updates")
"""What is kept of an agent, beside what its reward streams have learned."""
LARGE = 256
"""Arrays of at least so many numbers are stored in half precision."""


def trained_world(folder: Path = FOLDER) -> GridWorld:
    """Make the world that the agents were trained in."""
    description = read_manifest(folder / "world.json")
    world = make_world(description["world"], **description["settings"])
    assert isinstance(world, GridWorld)
    return world


def trained_agent(name: str, folder: Path = FOLDER) -> AgentState:
    """Load a trained agent. It can act, dream and go on learning (with new optimisers).

    Raises ValueError for a name that is not in `NAMES`, CheckpointError where the file is damaged.
    """
    if name not in NAMES:
        raise ValueError(f"there is no trained agent {name!r}; there are {', '.join(NAMES)}")
    world = trained_world(folder)
    config = config_from(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
    new = agents.init(config, world.image_shape, world.actions, key=jax.random.key(0))
    parts = parts_of(new)
    stored = load_checkpoint(folder / f"{name}.npz", jax.eval_shape(halved, parts))
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
    """Load R_psi, distilled from the bundled CLIP's answers about what the curious agent saw."""
    return load_reward(folder / "semantic_reward")


def curious_observations(folder: Path = FOLDER) -> Observations:
    """Load a part of D_init: whole episodes of pictures that the curious agent saw, and the true facts of them."""
    return load_observations(folder / "observations.npz")


def learning_curves(name: str, folder: Path = FOLDER) -> list[dict[str, float]]:
    """Read an agent's learning curves: counts of events for every chunk of updates, as events.csv has them."""
    return read_chunks(folder / "curves" / name)


@functools.cache
def provenance() -> dict[str, Any]:
    """Read how the shipped agents were made, and what they scored."""
    return json.loads((FOLDER / "provenance.json").read_text(encoding="utf-8"))


def halved(parts: Any) -> Any:
    """Cast large arrays of numbers to half precision, as they are stored."""

    def half(leaf: jax.Array) -> jax.Array:
        large = leaf.size >= LARGE and jnp.issubdtype(leaf.dtype, jnp.floating)
        return leaf.astype(jnp.float16) if large else leaf

    return jax.tree.map(half, parts)
