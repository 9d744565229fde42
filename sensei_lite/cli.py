"""The command line: ``sensei-lite demo``, ``sensei-lite bench``."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from sensei_lite.compilation import keep_compiled_programs


def demo(folder: Path = Path("runs/demo"), rows: int = 5000, seed: int = 0) -> None:
    """Show what exists so far: worlds, a random agent, and what a solution looks like.

    Args:
        folder: where the pictures go.
        rows: steps in each of 64 copies of a world.
        seed: chooses layouts and actions.
    """
    from sensei_lite.demo import run_demo

    run_demo(folder, rows, seed)


def bench(
    what: Literal["worlds", "learner", "all"] = "all", folder: Path = Path("runs/bench"), repeats: int = 7
) -> None:
    """Measure speed on this machine: the worlds beside MiniHack and MiniGrid where they are installed, and learning.

    Args:
        what: worlds (environment steps), learner (updates and policy steps), or both.
        folder: where the tables go, as CSV.
        repeats: timed calls for each figure; the median counts.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; it must be at least 1")
    if what in ("worlds", "all"):
        from sensei_lite.bench import worlds

        worlds.print_table(worlds.bench_worlds(folder / "worlds.csv", repeats))
    if what in ("learner", "all"):
        from sensei_lite.bench import learner

        learner.print_table(learner.bench_learner(folder / "learner.csv", repeats))


def main() -> None:
    """Read the command line and do what it says. Wrong input ends in one line that says what was wrong."""
    commands = (
        Annotated[None, tyro.conf.subcommand(name="demo", constructor=demo)]
        | Annotated[None, tyro.conf.subcommand(name="bench", constructor=bench)]
    )
    keep_compiled_programs()
    try:
        tyro.cli(commands, prog="sensei-lite", description="SENSEI, in JAX and Equinox.")
    except (ValueError, TypeError, ImportError, OSError) as error:
        raise SystemExit(f"sensei-lite: {error}") from error
