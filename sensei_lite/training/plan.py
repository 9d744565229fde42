"""A whole run in one command: what is done in which order, and how much of it.

    collect (Plan2Explore) -> annotate -> distil -> explore (SENSEI, as many steps as Plan2Explore) -> evaluate

A run folder belongs to one plan, which stands in its run.json. Every stage can be stopped and goes on where it was; a
finished stage is not repeated; only one process at a time works in a folder.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sensei_lite.annotators.query import Budget
from sensei_lite.training import pipeline
from sensei_lite.training.evaluate import MEANINGFUL, RATE
from sensei_lite.training.stages import timed_stage
from sensei_lite.training.storage import RunError, folder_lock, write_or_verify_manifest

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """What a run is. Raises ValueError where a number makes no sense."""

    world: str = "keyroom-lab"
    """A name as in `worlds.world_names`."""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Changes to the world."""
    preset: str = "lab"
    """Sizes and ratios of the agent (see `config`)."""
    seed: int = 0
    """Chooses everything that is chosen by chance."""
    pictures: int = 12_000
    """How many pictures of what the Plan2Explore agent saw are kept to ask about."""
    annotator: str = "clip"
    """Who is asked (see `annotators.registry`)."""
    annotator_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of the annotator."""
    pairs: int = 5_000
    """How many pairs are asked about, each in both orders. Paper: 100,000."""
    rounds: int = 2
    """1: all pairs are drawn at random. 2: half of them are, and the others by the R_psi that these have taught, of
    pictures that it finds interesting (`pairs.interesting_pairs`). Paper: 1."""
    both_orders: bool = True
    """Ask about every pair twice, with the pictures exchanged. Paper: once."""
    distil_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Changes to `DistilConfig`."""
    updates: int = 5_000
    """Updates of each exploring agent, that which collects D_init too."""
    agents: tuple[str, ...] = ("plan2explore", "sensei")
    """Who explores (see `explorers`)."""
    first_generation: str | None = None
    """A run folder whose SENSEI agent collected D_init: the second generation. None: a Plan2Explore agent does."""

    def __post_init__(self) -> None:
        for name in ("pictures", "pairs", "updates"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.rounds not in (1, 2):
            raise ValueError(f"rounds is {self.rounds}; it must be 1 or 2")
        if not self.agents:
            raise ValueError("agents is empty; somebody must explore")


_PAPER = RunPlan(
    world="keyroom-s15",
    preset="paper",
    pictures=100_000,
    pairs=100_000,
    rounds=1,
    both_orders=False,
    distil_settings={"encoder": "cnn", "hidden": 512, "learning_rate": 1e-5, "epochs": 50, "patience": 50},
    updates=250_000,
)

PLANS = {
    "smoke": RunPlan(preset="smoke", pictures=300, pairs=200, distil_settings={"epochs": 2}, updates=20),
    "lab": RunPlan(),
    "lab-tabletop": RunPlan(world="tabletop-lab", preset="lab-tabletop", updates=8_000),
    "lab-tabletop-numbers": RunPlan(world="tabletop-numbers", preset="lab-tabletop-numbers", updates=10_000),
    # Plan2Explore and SENSEI see 500,000 environment steps each, as in the paper: 2 for each update.
    "paper": _PAPER,
    # 250,000 agent steps each, 2 for each update: the part of the paper's run whose interactions are published.
    "paper-robodesk": dataclasses.replace(
        _PAPER, world="robodesk", preset="paper-robodesk", pairs=200_000, updates=125_000
    ),
}
"""A plan for each preset."""


def run(folder: Path, plan: RunPlan) -> list[str]:
    """Carry out a plan in a folder, or go on with it; returns what came out, in one line for each agent.

    Raises RunError where the folder belongs to another plan or another process works in it; and what the stages raise.
    """
    with folder_lock(folder):
        write_or_verify_manifest(folder / "run.json", {"format": FORMAT} | dataclasses.asdict(plan))
        with timed_stage(folder, "collect") as is_open:
            if is_open and plan.first_generation is None:
                pipeline.collect_curious(
                    folder,
                    plan.world,
                    plan.settings,
                    preset=plan.preset,
                    updates=plan.updates,
                    pictures=plan.pictures,
                    seed=plan.seed,
                )
            elif is_open:
                earlier = Path(plan.first_generation)  # type: ignore[arg-type]
                pipeline.collect_from(folder, earlier, pictures=plan.pictures, seed=plan.seed)
        teach_taste(folder, plan)
        for agent in plan.agents:
            with timed_stage(folder, f"explore-{agent}") as is_open:
                if is_open:
                    pipeline.explore(folder, agent, preset=plan.preset, updates=plan.updates, seed=plan.seed)
        with timed_stage(folder, "evaluate") as is_open:
            if is_open:
                pipeline.evaluate(folder, plan.agents, seed=plan.seed)
    return [_told(folder, agent) for agent in plan.agents]


def teach_taste(folder: Path, plan: RunPlan) -> None:
    """Annotate and distil in a folder with observations, in one round or two. What is finished is not repeated."""
    for number in range(plan.rounds):
        suffix = "-again" if number else ""
        with timed_stage(folder, f"annotate{suffix}") as is_open:
            if is_open:
                # Call-out P1 (ours): the second round asks where the agent will go. See `RunPlan.rounds`.
                stats = pipeline.annotate(
                    folder,
                    plan.annotator,
                    plan.annotator_settings,
                    pairs=plan.pairs // plan.rounds,
                    choose="interesting" if number else "random",
                    both_orders=plan.both_orders,
                    budget=Budget(None, None),
                    seed=plan.seed + number,
                )
                if stats.left:  # a human closed the notebook
                    raise RunError(f"{stats.left} questions are still open; the same command goes on with them")
        with timed_stage(folder, f"distil{suffix}") as is_open:
            if is_open:
                pipeline.distil_taste(folder, plan.distil_settings, annotator=None, version=None, seed=plan.seed)


def _told(folder: Path, agent: str) -> str:
    """How often an agent caused what counts while it explored; in a world of another kind, the last three events."""
    figures = {row["figure"]: float(row["value"]) for row in pipeline.read_evaluation(folder) if row["agent"] == agent}
    rates = {name.removesuffix(RATE): value for name, value in figures.items() if name.endswith(RATE)}
    chosen = [name for name in rates if name in MEANINGFUL] or list(rates)[-3:]
    told = ", ".join(f"{name.replace('_', ' ')} {rates[name]:.1f}" for name in chosen)
    return f"{agent}, per 1,000 steps: {told}"
