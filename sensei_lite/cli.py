"""The command line: ``sensei-lite demo``, ``sensei-lite bench``."""

from pathlib import Path
from typing import Annotated

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


def bench(folder: Path = Path("runs/bench"), repeats: int = 7) -> None:
    """Measure speed on this machine, beside MiniHack and MiniGrid where they are installed.

    Args:
        folder: where the tables go, as CSV.
        repeats: timed calls for each figure; the median counts.
    """
    from sensei_lite.bench.worlds import bench_worlds, print_table

    print_table(bench_worlds(folder / "worlds.csv", repeats))


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
