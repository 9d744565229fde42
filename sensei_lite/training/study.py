"""A study: several agents, several seeds, one table with intervals.

Agents differ only in what they want (see `presets.AGENTS`): the world, the model, the number of steps and updates are
the same. Every seed is a run of the whole method, with a D_init, answers and an R_psi of its own:

    <folder>/seed-3/                 the run folder of seed 3 (see `pipeline`), with an agent in each <agent>/
    <folder>/seed-3/llava/           the same D_init, asked about in another way: see `ANNOTATIONS`
    <folder>/table.csv               one row for each agent and figure: interquartile mean, 95% interval, every seed

An agent is named as in `presets.AGENTS`; ``sensei:llava`` learned from other answers than the bundled CLIP's;
``task-after-sensei`` is a task agent that goes on with SENSEI's world model and replay, ``task`` one from scratch.
A study that was stopped goes on, and what is finished is not trained again. On a GPU all seeds of an agent can learn
side by side, in one program (see `side_by_side`).
"""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from sensei_lite.config import Config
from sensei_lite.presets import AGENTS, PRESETS, agent_config, learns, needs_reward_model
from sensei_lite.training import pipeline
from sensei_lite.training.evaluate import over_seeds
from sensei_lite.training.method import curious_plan, teach_reward
from sensei_lite.training.pipeline import AFTER
from sensei_lite.training.plan import PLANS, ExplorePlan, StudyPlan, TaskPlan
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


def run_study(folder: Path, plan: StudyPlan) -> list[dict[str, object]]:
    """Train every agent with every seed, and write and return the table.

    With ``plan.side_by_side`` all seeds of an explorer train in one program; task agents learn one after the other in
    any case.

    Raises ValueError where there is no such agent, RunError where a folder holds another study.
    """
    seeds = range(plan.first_seed, plan.first_seed + plan.seeds)
    for agent in plan.agents:
        _check_name(agent)
    if plan.side_by_side:
        for agent in plan.agents:
            _train_together([folder / f"seed-{seed}" for seed in seeds], plan, agent, seeds)
    figures: dict[str, list[dict[str, float]]] = {agent: [] for agent in plan.agents}
    for seed in seeds:
        for agent in plan.agents:
            figures[agent].append(_train(folder / f"seed-{seed}", plan, agent, seed))
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


def _train(base: Path, plan: StudyPlan, agent: str, seed: int) -> dict[str, float]:
    """Measure all figures of one agent of one seed, trained if it is not yet."""
    name, _, annotation = agent.removeprefix(AFTER).partition(":")
    folder = base / annotation
    pipeline.begin(base, plan.world, plan.settings)
    updates = (plan.task_updates or plan.updates) if agent.startswith("task") else plan.updates
    needs_reward = needs_reward_model(agent_config(PRESETS[plan.preset](), name))
    if needs_reward:
        _teach(base, plan, annotation, seed)
    if agent.startswith(AFTER):
        pipeline.explore(folder, ExplorePlan(name, plan.preset, plan.updates, seed))
        pipeline.learn_task(folder, TaskPlan(name, plan.preset, updates, seed))
        name = f"{AFTER}{name}"
    else:
        pipeline.explore(folder, ExplorePlan(name, plan.preset, updates, seed))
    with closing(pipeline.world_of(folder)) as made:
        figures = pipeline.figures_of(folder, name, made, seed=seed)
    if not agent.startswith(AFTER) and needs_reward:
        figures |= pipeline.reward_model_figures(folder)
    return figures


def _teach(base: Path, plan: StudyPlan, annotation: str, seed: int) -> None:
    """Collect, annotate and distil for one seed, as far as it is not done."""
    run = dataclasses.replace(
        PLANS[plan.preset], world=plan.world, settings=plan.settings, updates=plan.updates, seed=seed
    )
    pipeline.collect(base, curious_plan(run))
    folder = base / annotation
    if annotation:
        pipeline.share_observations(folder, base)
        run = dataclasses.replace(run, **ANNOTATIONS[annotation])
    teach_reward(folder, run)


def _train_together(bases: Sequence[Path], plan: StudyPlan, agent: str, seeds: Sequence[int]) -> None:
    """Train one explorer with all seeds in one program; what needs no training, or a task agent, waits for `_train`.

    Raises ValueError for a host world.
    """
    name, _, annotation = agent.partition(":")
    config = agent_config(PRESETS[plan.preset](), name.removeprefix(AFTER))
    if name.startswith((AFTER, "task")) or not learns(name):
        return
    for base in bases:
        pipeline.begin(base, plan.world, plan.settings)
    reward_models = None
    if needs_reward_model(config):
        _train_together(bases, plan, pipeline.COLLECTOR, seeds)
        with ThreadPoolExecutor(len(seeds)) as pool:
            list(pool.map(lambda base, seed: _teach(base, plan, annotation, seed), bases, seeds))
        reward_models = [load_reward(base / annotation / pipeline.REWARD) for base in bases]
    with closing(pipeline.world_of(bases[0])) as made:
        if not isinstance(made, World):
            raise ValueError(f"{plan.world} is a host world: its seeds cannot learn side by side")
        folders = [base / annotation / name for base in bases]
        train_side_by_side(folders, config, made, updates=plan.updates, seeds=seeds, reward_models=reward_models)


def print_table(rows: list[dict[str, object]]) -> None:
    """Print one line for each agent and figure."""
    width = max(len(str(row["figure"])) for row in rows)
    first = max(len(str(row["agent"])) for row in rows) + 2
    for row in rows:
        print(f"{row['agent']:{first}}{row['figure']:{width}}{row['iqm']:10.4g}  [{row['low']:.4g}, {row['high']:.4g}]")
