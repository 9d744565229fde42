"""The command line: ``sensei-lite`` and a word for each thing that it can do; ``--help`` lists them.

What can be decided is declared once, as the fields of the plans in `training.plan`.
"""

import errno
import itertools
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import tyro
from tyro.conf import OmitArgPrefixes

from sensei_lite.presets import PRESETS, agent_config
from sensei_lite.training import pipeline
from sensei_lite.training.machine import keep_compiled_programs
from sensei_lite.training.plan import (
    PLANS,
    AnnotatePlan,
    CollectPlan,
    DistilPlan,
    ExplorePlan,
    RunPlan,
    StudyPlan,
    TaskPlan,
    TrainPlan,
)
from sensei_lite.training.storage import folder_lock
from sensei_lite.worlds import World

LAB, OWN = Path("runs/lab"), Path("runs/mine")


def run(plan: OmitArgPrefixes[RunPlan], folder: Path = LAB) -> None:
    """Run the whole method: collect, annotate, distil, explore, evaluate, report. A run that was stopped goes on.

    Args:
        plan: how much of everything; the preset chooses what is not said.
        folder: the run folder. The same command goes on with it; another is refused.
    """
    from sensei_lite.plots.report import write_report
    from sensei_lite.training.method import run as carry_out

    for line in carry_out(folder, plan):
        print(line)
    print(f"the report: {write_report(folder)}")


def train(plan: OmitArgPrefixes[TrainPlan], folder: Path = Path("runs/train")) -> None:
    """Train one agent that needs no R_psi in a folder of its own. A run that was stopped goes on.

    Args:
        plan: who and where.
        folder: where settings, progress and checkpoints go.
    """
    from sensei_lite.training.run import train_in
    from sensei_lite.worlds import make_world

    config = agent_config(PRESETS[plan.preset](), plan.agent)
    with closing(make_world(plan.world, num_envs=config.train.envs, **plan.settings)) as made:
        train_in(folder, config, made, updates=plan.updates, seed=plan.seed)
    print(f"metrics.csv, events.csv and checkpoint.npz are in {folder}")


def study(plan: OmitArgPrefixes[StudyPlan], folder: Path = Path("runs/study")) -> None:
    """Train several agents with several seeds and compare them. A study that was stopped goes on.

    Args:
        plan: who, where, and how often.
        folder: where the runs and table.csv go.
    """
    from sensei_lite.training.study import print_table, run_study

    print_table(run_study(folder, plan))
    print(f"the table with every seed is {folder / 'table.csv'}")


def collect(plan: OmitArgPrefixes[CollectPlan], folder: Path = OWN) -> None:
    """Collect pictures to ask about, with the true facts beside them.

    Args:
        plan: who plays, and where.
        folder: the run folder; the pictures go to observations.npz.
    """
    with folder_lock(folder):
        seen = pipeline.collect(folder, plan)
    print(f"{len(seen.images):,} pictures of {len(set(seen.episode.tolist()))} episodes are in {folder}")
    for name, holds in seen.facts.items():
        print(f"  {name:24}{holds.mean():8.1%}")


def annotate(plan: OmitArgPrefixes[AnnotatePlan], folder: Path = OWN) -> None:
    """Ask which of two pictures is more interesting. Whoever is stopped and asks again goes on with what is open.

    Args:
        plan: who is asked, and about what.
        folder: a run folder with observations.npz; the answers go to preferences.sqlite.
    """
    with folder_lock(folder):
        pipeline.annotate(folder, plan)


def distil(plan: OmitArgPrefixes[DistilPlan], folder: Path = OWN) -> None:
    """Distil R_psi, a reward for pictures, from the answers; measure it and draw it.

    Args:
        plan: whose answers, and how it is taught.
        folder: a run folder with observations.npz and preferences.sqlite; R_psi goes to semantic_reward/.
    """
    from sensei_lite.plots.reward import save_reward_figures

    with folder_lock(folder):
        report = pipeline.distil_reward(folder, plan)
    held_out = report.distilled.held_out
    print(f"R_psi {report.content_hash} after {report.distilled.best.number} epochs is in {folder / pipeline.REWARD}")
    print(f"it agrees with the annotator on {held_out.accuracy:.1%} of {held_out.pairs} held-out pairs")
    print(f"it orders pictures of held-out episodes as the truth does in {report.truth:.1%} of pairs")
    print(f"expected calibration error {report.calibration.error:.3f}; mean R_psi by situation:")
    for name, one in report.situations.items():
        print(f"  {name:24}{one.mean:8.2f}  [{one.low:.2f}, {one.high:.2f}]")
    for hack in report.reward_hacks:
        can = {True: "CAN be farmed: standing still pays more", False: "cannot be farmed", None: "may be farmable"}
        print(
            f"{hack.waiting} before {hack.event} {can[hack.hackable]} "
            f"(standing for ever {hack.stay:.1f}, going on {hack.go_on:.1f}, to the end {hack.finish:.1f})"
        )
    measures = report.calibration, report.situations, report.reward_hacks
    for path in save_reward_figures(folder, pipeline.world_of(folder), report.distilled, *measures):
        print(path)


def explore(plan: OmitArgPrefixes[ExplorePlan], folder: Path = OWN) -> None:
    """Let an agent explore a run folder's world, with the folder's R_psi if it wants what is interesting.

    Args:
        plan: who explores, and for how long.
        folder: a run folder that was collected in, and distilled in if the agent needs an R_psi.
    """
    pipeline.explore(folder, plan)
    print(f"metrics.csv, events.csv and checkpoint.npz are in {folder / (plan.name or plan.agent)}")


def learn_task(plan: OmitArgPrefixes[TaskPlan], folder: Path = OWN) -> None:
    """Teach the world's task to an agent that goes on with an explorer's world model and replay.

    Args:
        plan: after which explorer.
        folder: a run folder in which an agent explored.
    """
    pipeline.learn_task(folder, plan)
    print(f"metrics.csv, events.csv and checkpoint.npz are in {folder / (pipeline.AFTER + plan.after)}")


def evaluate(agents: tuple[str, ...] = ("sensei", "plan2explore"), seed: int = 0, folder: Path = LAB) -> None:
    """Write and print what agents of a run folder caused while they explored, and do in test episodes.

    Args:
        agents: whose figures.
        seed: chooses the test episodes.
        folder: a run folder in which these agents explored.
    """
    rows = pipeline.evaluate(folder, agents, seed=seed)
    width = max(len(str(row["measure"])) for row in rows)
    for row in rows:
        print(f"{row['agent']:18}{row['measure']:{width}}{row['value']:10.4g}")


def health(agents: tuple[str, ...] = ("vlm-motif", "sensei"), seed: int = 0, folder: Path = LAB) -> None:
    """Print and draw how well agents' dreams foretell what is interesting, in layouts that they have never seen.

    Args:
        agents: who knows an R_psi.
        seed: chooses the layouts.
        folder: a run folder in which these agents explored.
    """
    from sensei_lite.plots.exploration import health_figure
    from sensei_lite.plots.style import save_figure

    with closing(pipeline.world_of(folder)) as world:
        if not isinstance(world, World):
            raise ValueError(f"{folder} is of a host world, whose layouts cannot be played anew from here")
        found = {agent: pipeline.health_of(folder, agent, world, seed=seed) for agent in agents}
    for agent, one in found.items():
        print(f"{agent:18}R2 " + ", ".join(f"{value:.2f} at {k}" for k, value in one.r2.items()) + " steps ahead")
        for event, jump in one.jumps.items():
            if jump.number:
                print(f"  {event:24}{jump.number:5} times, jump of R_psi {jump.real:5.2f}, dreamt {jump.dreamt:5.2f}")
    r2 = {agent: one.r2 for agent, one in found.items()}
    save_figure(health_figure(r2).figure, folder / "figures" / "health.png")
    print(folder / "figures" / "health.png")


def report(folder: Path = LAB) -> None:
    """Write a run folder's report: report.ipynb, which can be changed, and report.html, which needs nothing but itself.

    Args:
        folder: a run folder in which agents explored.
    """
    from sensei_lite.plots.report import write_report

    print(write_report(folder))


COMMANDS = {
    command.__name__.replace("_", "-"): command
    for command in (run, train, study, collect, annotate, distil, explore, learn_task, evaluate, health, report)
}


def default_plan(words: Sequence[str]) -> RunPlan:
    """Return the plan of the preset that the words of a command name; it says what they do not."""
    named = [two for one, two in itertools.pairwise(words) if one == "--preset"]
    named += [word.partition("=")[2] for word in words if word.startswith("--preset=")]
    return PLANS.get(named[-1] if named else "lab", RunPlan())


def main() -> None:
    """Read the command line and do what it says. Wrong input ends in one line that says what was wrong."""
    run.__defaults__ = (default_plan(sys.argv[1:]), LAB)
    keep_compiled_programs()
    try:
        tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="sensei-lite", description="SENSEI, in JAX and Equinox.")
    except KeyboardInterrupt:
        raise SystemExit("sensei-lite: stopped; the same command goes on from the last checkpoint") from None
    except (ValueError, TypeError, ImportError, OSError, FloatingPointError) as error:
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        hint = "; what was stored before is kept: make room, and the same command goes on" if full else ""
        raise SystemExit(f"sensei-lite: {error}{hint}") from error
