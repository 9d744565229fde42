"""The command line: ``sensei-lite demo``, ``train``, ``study``, ``bench``."""

import ast
from pathlib import Path
from typing import Annotated, Any, Literal

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


def train(
    folder: Path = Path("runs/train"),
    agent: Literal["plan2explore", "task"] = "plan2explore",
    world: str = "keyroom",
    settings: tuple[str, ...] = (),
    preset: Literal["smoke", "lab", "paper"] = "lab",
    updates: int = 5000,
    seed: int = 0,
) -> None:
    """Train one agent in a run folder. A run that was stopped goes on when the same command is given again.

    Args:
        folder: where settings, progress and checkpoints go.
        agent: plan2explore is curious and wants to know the world; task wants the world's reward.
        world: a name, as in ``sensei_lite.worlds.world_names()``, or ``gymnasium:`` and any Gymnasium id.
        settings: of the world, such as ``size=5 rooms=1``.
        preset: sizes and ratios (see ``sensei_lite.config``).
        updates: how often the agent learns in all.
        seed: chooses weights, layouts and chance.
    """
    from sensei_lite.config import PRESETS
    from sensei_lite.study import agent_config
    from sensei_lite.training_run import train_in
    from sensei_lite.worlds import HostWorld, make_world

    config = agent_config(PRESETS[preset](), agent)
    made = make_world(world, num_envs=config.train.envs, **_read(settings))
    try:
        train_in(folder, config, made, updates=updates, seed=seed)
    finally:
        if isinstance(made, HostWorld):
            made.close()
    print(f"metrics.csv, events.csv and checkpoint.npz are in {folder}")


def study(
    folder: Path = Path("runs/study"),
    agents: tuple[Literal["random", "plan2explore", "task"], ...] = ("random", "plan2explore", "task"),
    world: str = "keyroom",
    settings: tuple[str, ...] = (),
    preset: Literal["smoke", "lab", "paper"] = "lab",
    updates: int = 5000,
    seeds: int = 5,
    first_seed: int = 0,
) -> None:
    """Train several agents with several seeds and compare them. A study that was stopped goes on.

    Args:
        folder: where the runs and table.csv go.
        agents: which agents to compare.
        world: the name of a JAX world, as in ``sensei_lite.worlds.world_names()``.
        settings: of the world, such as ``size=5 rooms=1``.
        preset: sizes and ratios (see ``sensei_lite.config``).
        updates: how often each agent learns.
        seeds: how many seeds; 2 at least.
        first_seed: the first of them; settings that were chosen by looking at some seeds are studied with others.
    """
    from sensei_lite.config import PRESETS
    from sensei_lite.study import print_table, run_study
    from sensei_lite.worlds import HostWorld, make_world

    made = make_world(world, **_read(settings))
    if isinstance(made, HostWorld):
        made.close()
        raise ValueError(f"a study needs a JAX world, and {world} is a host world")
    numbers = range(first_seed, first_seed + seeds)
    print_table(run_study(folder, PRESETS[preset](), made, agents=agents, seeds=numbers, updates=updates))
    print(f"the table with every seed is {folder / 'table.csv'}")


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


def _read(settings: tuple[str, ...]) -> dict[str, Any]:
    """``size=5 view=None`` as arguments. What is no Python value is a word."""
    found: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"a setting is written name=value, and {setting!r} has no '='")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


def main() -> None:
    """Read the command line and do what it says. Wrong input ends in one line that says what was wrong."""
    commands = (
        Annotated[None, tyro.conf.subcommand(name="demo", constructor=demo)]
        | Annotated[None, tyro.conf.subcommand(name="train", constructor=train)]
        | Annotated[None, tyro.conf.subcommand(name="study", constructor=study)]
        | Annotated[None, tyro.conf.subcommand(name="bench", constructor=bench)]
    )
    keep_compiled_programs()
    try:
        tyro.cli(commands, prog="sensei-lite", description="SENSEI, in JAX and Equinox.")
    except KeyboardInterrupt:
        raise SystemExit("sensei-lite: stopped; the same command goes on from the last checkpoint") from None
    except (ValueError, TypeError, ImportError, OSError, FloatingPointError) as error:
        raise SystemExit(f"sensei-lite: {error}") from error
