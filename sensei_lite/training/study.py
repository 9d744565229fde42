"""A study: several agents, several seeds, one table with intervals.

Agents differ only in what they want (see `presets.AGENTS`): the world, the model, the number of steps and updates are
the same. Every seed is a run of the whole method, with a D_init, answers and an R_psi of its own:

    <folder>/seed-3/                 the run folder of seed 3 (see `pipeline`), with an agent in each <agent>/
    <folder>/seed-3/llava/           the same D_init, asked about in another way: see `ANNOTATIONS`
    <folder>/rows.csv                what was measured, as it comes: agent, seed, measure, value
    <folder>/curves.csv              the share of episodes with an event over training: agent, seed, event, steps, share
    <folder>/table.csv               one row for each agent and measure: interquartile mean, 95% interval, every seed

An agent is named as in `presets.AGENTS`; ``sensei+experience`` has other settings (`VARIANTS`); ``sensei:llava``
learned from other answers than the bundled CLIP's; ``task-after-sensei`` is a task agent that goes on with SENSEI's
world model and replay, ``task`` one from scratch. A study that was stopped goes on, and what is finished is not trained
again; on another machine it goes on where ``rows.csv`` and ``curves.csv`` end. On a GPU all seeds of an agent can learn
side by side, in one program (see `side_by_side`).
"""

import csv
import dataclasses
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sensei_lite.config import Config, changed
from sensei_lite.presets import AGENTS, PRESETS, agent_config, learns, needs_reward_model
from sensei_lite.training import pipeline
from sensei_lite.training.evaluate import over_seeds, read_chunks, share_curve
from sensei_lite.training.machine import keep_compiled_programs
from sensei_lite.training.method import curious_plan, teach_reward
from sensei_lite.training.pipeline import AFTER
from sensei_lite.training.plan import PLANS, ExplorePlan, StudyPlan, TaskPlan
from sensei_lite.training.side_by_side import train_side_by_side
from sensei_lite.training.storage import load_reward, write_or_verify_manifest, write_rows
from sensei_lite.worlds.base import World

ROWS, CURVES, TABLE = "rows.csv", "curves.csv", "table.csv"
POINTS = 20
"""Of a curve over training."""

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


VARIANTS: dict[str, dict[str, Any]] = {
    "experience": {"switch.threshold": "experience"},
    "value": {"switch.rule": "value"},
    "no-ends": {"behaviour.semantic_end": "nothing", "behaviour.curiosity_end": "nothing"},
    "semantic-end": {"behaviour.semantic_end": "lasts", "behaviour.curiosity_end": "nothing"},
    "curiosity-end": {"behaviour.semantic_end": "nothing", "behaviour.curiosity_end": "average"},
}
"""Agents with other settings: a threshold of what was replayed; a switch on values, for `sensei-return`; what follows
an episode's end mended for neither reward, as in the paper, or for one of them alone (`lab` mends both)."""


def run_study(folder: Path, plan: StudyPlan) -> list[dict[str, object]]:
    """Train every agent with every seed, write what was measured as it comes, and return the table.

    What stands in ``rows.csv`` is not measured again, wherever its run folder is. With ``plan.jobs`` above 1 so many
    processes share this machine's cores: first seeds are taught, each by one process, then every run is one's.
    With ``plan.side_by_side`` all seeds of an explorer train in one program; task agents learn one after the other.

    Raises ValueError where there is no such agent, RunError where a folder holds another study.
    """
    seeds = range(plan.first_seed, plan.first_seed + plan.seeds)
    for agent in plan.agents:
        _check_name(agent)
    # Rows of runs that were longer, or of another world, are no rows of this study.
    same = ("world", "settings", "preset", "updates", "task_updates")
    write_or_verify_manifest(folder / "study.json", {name: getattr(plan, name) for name in same})
    there = {(row["agent"], int(row["seed"])) for row in read_rows(folder / ROWS)}
    missing = [(agent, seed) for seed in seeds for agent in plan.agents if (agent, seed) not in there]
    if plan.side_by_side:
        for agent in plan.agents:
            _train_together([folder / f"seed-{seed}" for seed in seeds], plan, agent, seeds)
    taught = dict.fromkeys(
        (annotation, seed) for agent, seed in missing if (annotation := _annotation(agent)) is not None
    )
    with _workers(plan.jobs) as work:
        # One seed's annotations share its D_init, so they are taught by one process.
        by_seed = [(seed, [annotation for annotation, of in taught if of == seed]) for seed in seeds]
        list(work(_teach_all, [(folder, plan, seed, annotations) for seed, annotations in by_seed if annotations]))
        for agent, seed, measures, curves in work(_train, [(folder, plan, agent, seed) for agent, seed in missing]):
            of_run = {"agent": agent, "seed": seed}
            # The rows come last: who has them is finished, and has its curves.
            if (agent, str(seed)) not in {(row["agent"], row["seed"]) for row in read_rows(folder / CURVES)}:
                append_rows(folder / CURVES, [of_run | point for point in curves])
            append_rows(folder / ROWS, [of_run | {"measure": name, "value": x} for name, x in measures.items()])
            _write_table(folder, plan.agents)
    return _write_table(folder, plan.agents)


def _write_table(folder: Path, agents: Sequence[str]) -> list[dict[str, object]]:
    if rows := table_of(read_rows(folder / ROWS), agents):
        write_rows(folder / TABLE, rows)
    return rows


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file; none where it is not there."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def append_rows(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """Add rows to a CSV file, numbers to four digits: all of them, or none if this is stopped."""
    short = [{k: float(f"{x:.4g}") if isinstance(x, float) else x for k, x in row.items()} for row in rows]
    write_rows(path, [*read_rows(path), *short])


def table_of(rows: Sequence[dict[str, str]], agents: Sequence[str]) -> list[dict[str, object]]:
    """Make the table of a study: for each agent and measure the interquartile mean, its 95% interval, and every seed.

    An agent with fewer than two seeds is left out: one says nothing about spread.
    """
    found: dict[tuple[str, str], dict[int, float]] = {}
    for row in rows:
        found.setdefault((row["agent"], row["measure"]), {})[int(row["seed"])] = float(row["value"])
    table: list[dict[str, object]] = []
    seeds = sorted({seed for values in found.values() for seed in values})
    order = {agent: number for number, agent in enumerate(agents)}
    for (agent, measure), values in sorted(found.items(), key=lambda item: order.get(item[0][0], len(order))):
        if len(values) < 2:
            continue
        numbers = over_seeds([values[seed] for seed in sorted(values)])._asdict()
        short = {key: float(f"{x:.4g}") for key, x in numbers.items()}
        each = {f"seed_{seed}": float(f"{values[seed]:.4g}") if seed in values else "" for seed in seeds}
        table.append({"agent": agent, "measure": measure, **short, **each})
    return table


@contextmanager
def _workers(jobs: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """Yield a map over calls: in this process, or in ``jobs`` processes with a share of the cores each.

    Results come as they are ready.
    """
    if jobs == 1:
        yield lambda function, calls: (function(*call) for call in calls)
        return
    context = multiprocessing.get_context("spawn")
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    numbers = context.Value("i", 0)
    with ProcessPoolExecutor(jobs, context, initializer=_take_cores, initargs=(numbers, jobs, cores)) as pool:

        def work(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
            for future in as_completed([pool.submit(function, *call) for call in calls]):
                yield future.result()

        yield work


def _take_cores(number: Any, jobs: int, cores: Sequence[int]) -> None:
    """Keep this process to its share of the cores: JAX starts as many threads as it sees, and too many wait."""
    with number.get_lock():
        own, number.value = number.value, number.value + 1
    if share := cores[own % jobs :: jobs]:
        os.sched_setaffinity(0, share)
    keep_compiled_programs()


class _Named(NamedTuple):
    """What the name of an agent in a study says."""

    agent: str
    variant: str
    annotation: str

    @staticmethod
    def read(name: str) -> "_Named":
        """Read ``task-after-agent+variant:annotation``, of which only the agent must be there."""
        rest, _, annotation = name.removeprefix(AFTER).partition(":")
        agent, _, variant = rest.partition("+")
        return _Named(agent, variant, annotation)

    @property
    def folder(self) -> str:
        """The agent's folder in a run folder."""
        return f"{self.agent}+{self.variant}" if self.variant else self.agent

    def plan(self, preset: str, updates: int, seed: int) -> ExplorePlan:
        """How it explores."""
        changes = VARIANTS[self.variant] if self.variant else {}
        return ExplorePlan(self.agent, preset, updates, seed, changes=changes, name=self.folder if changes else None)


def _check_name(agent: str) -> None:
    name, variant, annotation = _Named.read(agent)
    if name not in AGENTS:
        raise ValueError(f"there is no agent called {name!r}; there are {', '.join(AGENTS)}")
    if variant and variant not in VARIANTS:
        raise ValueError(f"{agent}: there is no variant called {variant!r}; there are {', '.join(VARIANTS)}")
    if annotation and annotation not in ANNOTATIONS:
        raise ValueError(f"{agent}: there is no annotation called {annotation!r}; there are {', '.join(ANNOTATIONS)}")
    if annotation and not needs_reward_model(agent_config(Config(), name)):
        raise ValueError(f"{agent}: {name} asks nobody what is interesting")


def _annotation(agent: str) -> str | None:
    """Return whose answers an agent learns from: "" for the bundled CLIP's, None where it asks nobody."""
    name, _, annotation = _Named.read(agent)
    return annotation if needs_reward_model(agent_config(Config(), name)) else None


def _teach_all(folder: Path, plan: StudyPlan, seed: int, annotations: Sequence[str]) -> None:
    base = folder / f"seed-{seed}"
    pipeline.begin(base, plan.world, plan.settings)
    for annotation in annotations:
        _teach(base, plan, annotation, seed)


def _train(
    study: Path, plan: StudyPlan, agent: str, seed: int
) -> tuple[str, int, dict[str, float], list[dict[str, object]]]:
    """Take all measures of one agent of one seed, trained if it is not yet; and its curves over training."""
    base, named = study / f"seed-{seed}", _Named.read(agent)
    folder, name = base / named.annotation, named.folder
    pipeline.begin(base, plan.world, plan.settings)
    updates = (plan.task_updates or plan.updates) if agent.startswith("task") else plan.updates
    if agent.startswith(AFTER):
        pipeline.explore(folder, named.plan(plan.preset, plan.updates, seed))
        pipeline.learn_task(folder, TaskPlan(name, plan.preset, updates, seed))
        name = f"{AFTER}{name}"
    else:
        pipeline.explore(folder, named.plan(plan.preset, updates, seed))
    with closing(pipeline.world_of(folder)) as made:
        measures = pipeline.measures_of(folder, name, made, seed=seed)
        events = made.event_names
    if not agent.startswith(AFTER) and _annotation(agent) is not None:
        measures |= pipeline.reward_model_measures(folder)
    chunks = read_chunks(folder / name)
    curves: list[dict[str, object]] = [
        {"event": event, "steps": int(steps), "share": float(share)}
        for event in events
        for steps, share in zip(*share_curve(chunks, event, slices=POINTS), strict=True)
    ]
    return agent, seed, measures, curves


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
    named = _Named.read(agent)
    config = agent_config(PRESETS[plan.preset](), named.agent)
    if agent.startswith((AFTER, "task")) or not learns(named.agent):
        return
    config = changed(config, VARIANTS[named.variant] if named.variant else {})
    for base in bases:
        pipeline.begin(base, plan.world, plan.settings)
    reward_models = None
    if needs_reward_model(config):
        _train_together(bases, plan, pipeline.COLLECTOR, seeds)
        with ThreadPoolExecutor(len(seeds)) as pool:
            list(pool.map(lambda base, seed: _teach(base, plan, named.annotation, seed), bases, seeds))
        reward_models = [load_reward(base / named.annotation / pipeline.REWARD) for base in bases]
    with closing(pipeline.world_of(bases[0])) as made:
        if not isinstance(made, World):
            raise ValueError(f"{plan.world} is a host world: its seeds cannot learn side by side")
        folders = [base / named.annotation / named.folder for base in bases]
        train_side_by_side(folders, config, made, updates=plan.updates, seeds=seeds, reward_models=reward_models)


def print_table(rows: list[dict[str, object]]) -> None:
    """Print one line for each agent and measure."""
    width = max(len(str(row["measure"])) for row in rows)
    first = max(len(str(row["agent"])) for row in rows) + 2
    for row in rows:
        print(
            f"{row['agent']:{first}}{row['measure']:{width}}{row['iqm']:10.4g}  [{row['low']:.4g}, {row['high']:.4g}]"
        )
