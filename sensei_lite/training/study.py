"""A study: several agents, several seeds, one table with intervals.

Agents differ only in what they want (see `explorers`): the world, the model, the number of steps and updates are the
same. Every seed is a run of the whole method, with a D_init, answers and an R_psi of its own:

    <folder>/seed-3/                 the run folder of seed 3 (see `pipeline`), with an agent in each <agent>/
    <folder>/seed-3/llava/           the same D_init, asked about in another way: see `ANNOTATIONS`
    <folder>/table.csv               one row for each agent and figure: interquartile mean, 95% interval, every seed

An agent is named as in `explorers`; ``sensei:llava`` learned from other answers than the bundled CLIP's; ``task-after-
sensei`` is a task agent that goes on with SENSEI's world model and replay, and ``task`` one that begins from scratch.
A study that was stopped goes on, and what is finished is not trained again. On a GPU all seeds of an agent can learn
side by side, in one program (see `side_by_side`).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from sensei_lite.config import Config
from sensei_lite.presets import AGENTS, PRESETS, agent_config, learns, needs_reward_model
from sensei_lite.training import pipeline
from sensei_lite.training.evaluate import over_seeds
from sensei_lite.training.pipeline import AFTER
from sensei_lite.training.plan import PLANS, teach_taste
from sensei_lite.training.side_by_side import train_side_by_side
from sensei_lite.training.storage import load_reward, write_rows
from sensei_lite.worlds.base import World

DOOR_LOVER = ("key_in_view", "key_picked_up", "door_opened", "exit_reached", "door_reached_with_key")
"""KeyRoom's facts from dull to interesting for somebody who finds a locked door the best thing in the world."""

HANDLER = ("object_reached", "ball_lifted", "block_lifted")
"""Tabletop's facts from dull to interesting for somebody who finds only that interesting which a gripper does now."""

ANNOTATIONS: dict[str, dict[str, Any]] = {
    "scripted": {"annotator": "scripted"},
    "noisy": {"annotator": "scripted", "annotator_settings": {"noise": 0.25}},
    "llava": {"annotator": "scripted", "annotator_settings": {"noise_model": "llava"}, "both_orders": False},
    "llava-both-orders": {"annotator": "scripted", "annotator_settings": {"noise_model": "llava"}},
    "few": {"pairs": 250},
    "one-round": {"rounds": 1},
    "door-lover": {"annotator": "scripted", "annotator_settings": {"levels": DOOR_LOVER}},
    "handler": {"annotator": "scripted", "annotator_settings": {"levels": HANDLER}},
}
"""Other answers than the bundled CLIP's, as changes to the plan: the truth (an upper bound); a quarter of it wrong;
biased by position as LLaVA's answers were, asked once or in both orders; CLIP's about a twentieth of the pairs; CLIP's
about random pairs only; the truth by a taste that can be farmed, and by one for hands at work."""


def run_study(
    folder: Path,
    world: str,
    settings: Mapping[str, Any],
    *,
    preset: str,
    agents: Sequence[str],
    seeds: Sequence[int],
    updates: int,
    task_updates: int = 0,
    side_by_side: bool = False,
) -> list[dict[str, object]]:
    """Train every agent with every seed, and write and return the table.

    ``task_updates`` is how long task agents learn; 0: as long as the others. ``side_by_side`` trains all seeds of an
    explorer in one program; task agents learn one after the other in any case.

    Raises ValueError where there is no such agent or only one seed, RunError where a folder holds another study.
    """
    if len(seeds) < 2:
        raise ValueError(f"there are {len(seeds)} seeds; a study needs at least 2 to say anything about their spread")
    for agent in agents:
        _check_name(agent)
    if side_by_side:
        for agent in agents:
            _train_together([folder / f"seed-{seed}" for seed in seeds], world, settings, agent, preset, updates, seeds)
    figures: dict[str, list[dict[str, float]]] = {agent: [] for agent in agents}
    for seed in seeds:
        for agent in agents:
            length = (task_updates or updates) if agent.startswith("task") else updates
            run = _train(folder / f"seed-{seed}", world, settings, agent, preset, length, updates, seed)
            figures[agent].append(run)
    rows: list[dict[str, object]] = []
    for agent, runs in figures.items():
        for name in runs[0]:
            values = [run[name] for run in runs]
            numbers = over_seeds(values)._asdict()
            numbers |= {f"seed_{seed}": value for seed, value in zip(seeds, values, strict=True)}
            rows.append({"agent": agent, "figure": name, **{key: float(f"{x:.4g}") for key, x in numbers.items()}})
    write_rows(folder / "table.csv", rows)
    return rows


def _check_name(agent: str) -> None:
    name, _, annotation = agent.removeprefix(AFTER).partition(":")
    if name not in AGENTS:
        raise ValueError(f"there is no agent called {name!r}; there are {', '.join(AGENTS)}")
    if annotation and annotation not in ANNOTATIONS:
        raise ValueError(f"{agent}: there is no annotation called {annotation!r}; there are {', '.join(ANNOTATIONS)}")
    if annotation and not needs_reward_model(agent_config(Config(), name)):
        raise ValueError(f"{agent}: {name} asks nobody what is interesting")


def _train(
    base: Path,
    world: str,
    settings: Mapping[str, Any],
    agent: str,
    preset: str,
    updates: int,
    explorer_updates: int,
    seed: int,
) -> dict[str, float]:
    """All figures of one agent of one seed, trained if it is not yet."""
    name, _, annotation = agent.removeprefix(AFTER).partition(":")
    folder = base / annotation
    pipeline.begin(base, world, settings)
    if needs_reward_model(agent_config(PRESETS[preset](), name)):
        _teach(base, world, settings, annotation, preset, explorer_updates, seed)
    if agent.startswith(AFTER):
        pipeline.explore(folder, name, preset=preset, updates=explorer_updates, seed=seed)
        pipeline.learn_task(folder, name, preset=preset, updates=updates, seed=seed)
        name = f"{AFTER}{name}"
    else:
        pipeline.explore(folder, name, preset=preset, updates=updates, seed=seed)
    with closing(pipeline.world_of(folder)) as made:
        figures = pipeline.figures_of(folder, name, made, seed=seed)
    if not agent.startswith(AFTER) and needs_reward_model(agent_config(PRESETS[preset](), name)):
        figures |= pipeline.taste_figures(folder)
    return figures


def _teach(
    base: Path, world: str, settings: Mapping[str, Any], annotation: str, preset: str, updates: int, seed: int
) -> None:
    """Collect, annotate and distil for one seed, as far as it is not done."""
    plan, folder = PLANS[preset], base / annotation
    pipeline.collect_curious(base, world, settings, preset=preset, updates=updates, pictures=plan.pictures, seed=seed)
    if annotation:
        pipeline.share_observations(folder, base)
    changes = ANNOTATIONS[annotation] if annotation else {}
    teach_taste(folder, dataclasses.replace(plan, seed=seed, **changes))


def _train_together(
    bases: Sequence[Path],
    world: str,
    settings: Mapping[str, Any],
    agent: str,
    preset: str,
    updates: int,
    seeds: Sequence[int],
) -> None:
    """Train one explorer with all seeds in one program; what needs no training, or a task agent, waits for `_train`.

    Raises ValueError for a host world.
    """
    name, _, annotation = agent.partition(":")
    config = agent_config(PRESETS[preset](), name.removeprefix(AFTER))
    if name.startswith((AFTER, "task")) or not learns(name):
        return
    for base in bases:
        pipeline.begin(base, world, settings)
    tastes = None
    if needs_reward_model(config):
        _train_together(bases, world, settings, pipeline.COLLECTOR, preset, updates, seeds)
        with ThreadPoolExecutor(len(seeds)) as pool:
            list(
                pool.map(
                    lambda base, seed: _teach(base, world, settings, annotation, preset, updates, seed), bases, seeds
                )
            )
        tastes = [load_reward(base / annotation / pipeline.REWARD) for base in bases]
    with closing(pipeline.world_of(bases[0])) as made:
        if not isinstance(made, World):
            raise ValueError(f"{world} is a host world: its seeds cannot learn side by side")
        folders = [base / annotation / name for base in bases]
        train_side_by_side(folders, config, made, updates=updates, seeds=seeds, reward_models=tastes)


def print_table(rows: list[dict[str, object]]) -> None:
    """One line for each agent and figure."""
    width = max(len(str(row["figure"])) for row in rows)
    first = max(len(str(row["agent"])) for row in rows) + 2
    for row in rows:
        print(f"{row['agent']:{first}}{row['figure']:{width}}{row['iqm']:10.4g}  [{row['low']:.4g}, {row['high']:.4g}]")
