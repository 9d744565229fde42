"""What a run folder's R_psi looks like: figures, with a page that says in words what each shows."""

from collections.abc import Iterator
from pathlib import Path

import jax

from sensei_lite.plots.reward import (
    Drawing,
    calibration_figure,
    episode_figure,
    landscape_figure,
    learning_figure,
    situation_figure,
)
from sensei_lite.plots.style import save_figure
from sensei_lite.reward.hacking import reward_hack_table
from sensei_lite.training.pipeline import DistilReport, world_of
from sensei_lite.worlds.grid.oracle import shortest_plan
from sensei_lite.worlds.grid.world import GridWorld

FRESH_ROOM = 1_000_000
"""Seed of the room in the pictures; observations come from seeds of their own."""


def draw_taste(folder: Path, taste: DistilReport) -> list[Path]:
    """Write the figures into ``folder/figures`` and the page ``folder/taste.md``; returns what was written."""
    written, lines = [], ["# R_psi", "", f"content hash `{taste.content_hash}`", ""]
    for name, drawing in _drawings(folder, taste):
        path = folder / "figures" / f"{name}.png"
        save_figure(drawing.figure, path)
        written.append(path)
        lines += [f"![{drawing.alt}](figures/{path.name})", "", drawing.alt, ""]
    if taste.reward_hacks:
        lines += ["## Can it be farmed?", "", reward_hack_table(taste.reward_hacks), ""]
    page = folder / "taste.md"
    page.write_text("\n".join(lines), encoding="utf-8")
    return [*written, page]


def _drawings(folder: Path, taste: DistilReport) -> Iterator[tuple[str, Drawing]]:
    yield "learning", learning_figure(taste.distilled.history, taste.distilled.best)
    yield "calibration", calibration_figure(taste.calibration)
    if taste.situations:
        yield "situations", situation_figure(taste.situations)
    world = world_of(folder)
    if isinstance(world, GridWorld):
        state = jax.jit(lambda key: world.reset(key=key))(jax.random.key(FRESH_ROOM))
        reward = taste.distilled.reward
        yield "landscape", landscape_figure(world, state, reward)
        plan = shortest_plan(world, state)
        yield "episode", episode_figure(world, state, plan, reward, "R_psi along a shortest solution of a fresh room")
