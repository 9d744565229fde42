"""The whole method in one command: every stage of a plan, in order.

    collect (Plan2Explore) -> annotate -> distil -> explore (SENSEI, as many steps as Plan2Explore) -> evaluate

A run folder belongs to one plan, which stands in its run.json. Every stage can be stopped and goes on where it was; a
finished stage is not repeated; only one process at a time works in a folder.
"""

import dataclasses
from pathlib import Path
from typing import Any

from sensei_lite.config import DistilConfig
from sensei_lite.training import pipeline
from sensei_lite.training.evaluate import LATE_SHARE, MEANINGFUL
from sensei_lite.training.plan import AnnotatePlan, CollectPlan, DistilPlan, ExplorePlan, RunPlan
from sensei_lite.training.stages import timed_stage
from sensei_lite.training.storage import RunError, folder_lock, read_manifest, write_or_verify_manifest

FORMAT = 2
"""Of run.json; 1 was that of version 0.1."""


def run(folder: Path, plan: RunPlan) -> list[str]:
    """Carry out a plan in a folder, or go on with it; returns what came out, in one line for each agent.

    Raises RunError where the folder belongs to another plan or another process works in it; and what the stages raise.
    """
    with folder_lock(folder):
        if (folder / "run.json").exists() and (found := read_manifest(folder / "run.json").get("format")) != FORMAT:
            raise RunError(
                f"{folder} was begun by another version of sensei_lite (format {found}, and this one's is {FORMAT}): "
                "begin again in another folder"
            )
        write_or_verify_manifest(folder / "run.json", {"format": FORMAT} | dataclasses.asdict(plan))
        with timed_stage(folder, "collect") as is_open:
            if is_open and plan.first_generation is None:
                pipeline.collect(folder, curious_plan(plan))
            elif is_open:
                earlier = Path(plan.first_generation)  # type: ignore[arg-type]
                pipeline.collect_from(folder, earlier, pictures=plan.pictures, seed=plan.seed)
        teach_reward(folder, plan)
        for agent in plan.agents:
            with timed_stage(folder, f"explore-{agent}") as is_open:
                if is_open:
                    pipeline.explore(folder, ExplorePlan(agent, plan.preset, plan.updates, plan.seed))
        with timed_stage(folder, "evaluate") as is_open:
            if is_open:
                pipeline.evaluate(folder, plan.agents, seed=plan.seed)
    return [_told(folder, agent) for agent in plan.agents]


def teach_reward(folder: Path, plan: RunPlan) -> None:
    """Annotate and distil in a folder with observations, in one round or two. What is finished is not repeated."""
    for number in range(plan.rounds):
        suffix = "-again" if number else ""
        with timed_stage(folder, f"annotate{suffix}") as is_open:
            if is_open:
                # Call-out P1 (ours): the second round asks where the agent will go. See `RunPlan.rounds`.
                choose: Any = "interesting" if number else "random"
                asked = AnnotatePlan(
                    annotator=plan.annotator,
                    settings=plan.annotator_settings,
                    pairs=plan.pairs // plan.rounds,
                    choose=choose,
                    both_orders=plan.both_orders,
                    seed=plan.seed + number,
                )
                stats = pipeline.annotate(folder, asked)
                if stats.left:  # a human closed the notebook
                    raise RunError(f"{stats.left} questions are still open; the same command goes on with them")
        with timed_stage(folder, f"distil{suffix}") as is_open:
            if is_open:
                pipeline.distil_reward(folder, DistilPlan(config=DistilConfig(**plan.distil_settings), seed=plan.seed))


def _told(folder: Path, agent: str) -> str:
    """In how many episodes an agent did what counts at the end; in a world of another kind, the last three events."""
    measures = {
        row["measure"]: float(row["value"]) for row in pipeline.read_evaluation(folder) if row["agent"] == agent
    }
    shares = {name.removesuffix(LATE_SHARE): value for name, value in measures.items() if name.endswith(LATE_SHARE)}
    chosen = [name for name in shares if name in MEANINGFUL] or list(shares)[-3:]
    told = ", ".join(f"{name.replace('_', ' ')} {shares[name]:.0%}" for name in chosen)
    return f"{agent}, share of episodes in the last fifth of training: {told}"


def curious_plan(plan: RunPlan) -> CollectPlan:
    """Return how a run's D_init is collected: by a Plan2Explore agent that learns as long as the others."""
    return CollectPlan(
        world=plan.world,
        settings=plan.settings,
        play="curious",
        preset=plan.preset,
        updates=plan.updates,
        pictures=plan.pictures,
        seed=plan.seed,
    )
