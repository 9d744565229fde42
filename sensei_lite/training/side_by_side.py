"""The same agent with several seeds, all in one program: for a GPU that one small agent would not fill.

    folder 1, folder 2, ...   ->   one TrainState with an axis for the seeds   ->   folder 1, folder 2, ...

Each folder ends up as if `run.train_in` had been called for it, and its numbers are those of the seed alone
but for the order in which numbers are added. Only JAX worlds can be trained so. Source of the idea: purejaxrl (Lu et
al., arXiv 2210.05639).
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key
from tqdm import tqdm

from sensei_lite.agent.state import Metrics
from sensei_lite.config import Config
from sensei_lite.reward.model import SemanticReward
from sensei_lite.training.jax_loop import TrainState, start_training, train_chunk
from sensei_lite.training.run import (
    CHECKPOINT,
    REWARD_MODEL,
    append_row,
    describe_run,
    drop_rows_after,
    stop_where_not_a_number,
)
from sensei_lite.training.storage import load_checkpoint, save_checkpoint, save_reward, write_or_verify_manifest
from sensei_lite.worlds.base import World


def train_side_by_side(
    folders: Sequence[Path],
    config: Config,
    world: World,
    *,
    updates: int,
    seeds: Sequence[int],
    reward_models: Sequence[SemanticReward] | None = None,
) -> None:
    """Train one agent for each folder and seed until it has had ``updates`` updates. Folders that have are left alone.

    Checkpoints are written when all is done; a run that was stopped before begins again. ``reward_models`` has an
    R_psi for each folder.

    Raises ValueError where ``updates`` cannot be divided into chunks, and as `run.train_in` does.
    """
    if updates % config.train.chunk_updates:
        raise ValueError(f"updates is {updates}; it must be a multiple of chunk_updates ({config.train.chunk_updates})")
    wanted = [None] * len(seeds) if reward_models is None else list(reward_models)
    every = list(zip(folders, seeds, wanted, strict=True))
    for folder, seed, reward_model in every:
        write_or_verify_manifest(folder / "config.json", describe_run(config, world, seed, reward_model))
        if reward_model is not None and not (folder / REWARD_MODEL).exists():
            save_reward(folder / REWARD_MODEL, reward_model)
    unfinished = [one for one in every if updates_of(one[0], config, world, one[2]) < updates]
    if not unfinished:
        return
    opened = [folder for folder, _, _ in unfinished]
    for folder in opened:
        for name in ("metrics.csv", "events.csv"):
            drop_rows_after(folder / name, 0)
    together = None if reward_models is None else _stack([reward_model for _, _, reward_model in unfinished])
    keys = jnp.stack([jax.random.key(seed) for _, seed, _ in unfinished])
    states = start_seeds(config, world, together, keys=keys)
    with tqdm(total=updates, desc=f"train {len(opened)} x {type(world).__name__}", unit="update") as bar:
        for done in range(config.train.chunk_updates, updates + 1, config.train.chunk_updates):
            states, metrics, counts = train_seeds(config, world, states)
            told = {name: np.asarray(values) for name, values in sorted(metrics.items())}
            happened = {name: np.asarray(values) for name, values in sorted(counts.items())}
            steps = np.asarray(states.steps)
            for i, folder in enumerate(opened):
                row = {name: float(values[i]) for name, values in told.items()}
                stop_where_not_a_number(folder, done, row)
                append_row(folder / "metrics.csv", {"updates": done, "steps": int(steps[i])} | row)
                events = {name: float(values[i]) for name, values in happened.items()}
                append_row(folder / "events.csv", {"updates": done} | events)
            bar.update(config.train.chunk_updates)
            bar.set_postfix_str(f"{int(steps.sum())} env steps, kl {told['loss/kl'].mean():.3g}")
    for i, folder in enumerate(opened):
        save_checkpoint(folder / CHECKPOINT, jax.tree.map(lambda leaf, i=i: leaf[i], states))


def updates_of(folder: Path, config: Config, world: World, reward_model: SemanticReward | None) -> int:
    """How many updates the agent in this folder has had when it was last stored; 0 where there is none.

    Raises CheckpointError where the checkpoint is damaged or another agent's.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    like = jax.eval_shape(lambda: start_training(config, world, reward_model, key=jax.random.key(0)))
    stored: TrainState = load_checkpoint(path, like)
    return int(stored.agent.updates)


def _stack(trees: Sequence[SemanticReward | None]) -> SemanticReward:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def start_seeds(
    config: Config, world: World, reward_models: SemanticReward | None = None, *, keys: Key[Array, " seeds"]
) -> TrainState:
    """Start training for every key, as `start_training` does: every array has an axis ``seeds`` in front.

    ``reward_models`` is the R_psi of every seed, in one with such an axis. Memory grows with the number of seeds,
    above all for the replays: ``train.capacity`` pictures each.
    """
    return eqx.filter_vmap(lambda reward_model, key: start_training(config, world, reward_model, key=key))(
        reward_models, keys
    )


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def train_seeds(config: Config, world: World, states: TrainState) -> tuple[TrainState, Metrics, dict[str, Array]]:
    """Train for one chunk with every seed, in one program: states, metrics and counts all have ``seeds`` in front.

    Made for a GPU that one small agent would not fill. Each seed's numbers are those of the seed alone, but for the
    order in which numbers are added. ``states`` is used up, as in `train_chunk`. A ``lax.cond`` in a world costs both
    of its branches here.
    """
    return jax.vmap(lambda state: train_chunk(config, world, state))(states)
