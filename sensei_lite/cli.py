"""The command line: ``sensei-lite`` and a word for each thing that it can do; ``--help`` lists them."""

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


def collect(
    folder: Path = Path("runs/taste"),
    world: str = "keyroom",
    settings: tuple[str, ...] = (),
    episodes: int = 100,
    play: Literal["guided", "random"] = "guided",
    seed: int = 0,
) -> None:
    """Collect pictures to ask about, with the true facts beside them.

    Args:
        folder: the run folder; the pictures go to observations.npz.
        world: the name of a JAX world, as in ``sensei_lite.worlds.world_names()``.
        settings: of the world, such as ``size=5 rooms=1``.
        episodes: how many are played to their ends.
        play: at random, or guided: each episode knows the way to some degree, so that all situations are seen.
        seed: chooses episodes and actions.
    """
    from sensei_lite import pipeline

    seen = pipeline.collect(folder, world, _read(settings), episodes=episodes, guided=play == "guided", seed=seed)
    print(f"{len(seen.images):,} pictures of {episodes} episodes are in {folder / pipeline.OBSERVATIONS}")
    for name, holds in seen.facts.items():
        print(f"  {name:24}{holds.mean():8.1%}")


def annotate(
    folder: Path = Path("runs/taste"),
    annotator: Literal["clip", "chat", "human", "scripted"] = "clip",
    settings: tuple[str, ...] = (),
    pairs: int = 5000,
    choose: Literal["random", "spread"] = "random",
    both_orders: bool | None = None,
    budget_calls: int | None = None,
    budget_dollars: float | None = None,
    seed: int = 0,
) -> None:
    """Ask which of two pictures is more interesting. Whoever is stopped and asks again goes on with what is open.

    Args:
        folder: a run folder with observations.npz; the answers go to preferences.sqlite.
        annotator: clip (a local model), chat (a vision-language model behind OpenAI's protocol, key in OPENAI_API_KEY),
            human (you, in a browser on this machine), scripted (the truth, with faults as you set them).
        settings: of the annotator, such as ``model=gpt-4o base_url=http://localhost:8000/v1 prompt=general
            price=(2.5,10)``, ``manner=llava noise=0.1``, or for clip ``model=ViT-B-32/laion2b_s34b_b79k margin=0.1``.
        pairs: how many pairs of pictures.
        choose: pairs at random, as the paper does, or spread over episodes and time, for small budgets.
        both_orders: ask about every pair twice, with the pictures exchanged, and call contradictions ties. If it is
            not said, everyone but a human is asked so.
        budget_calls: stop after so many questions.
        budget_dollars: stop when so much is spent.
        seed: chooses pairs.
    """
    from sensei_lite import pipeline
    from sensei_lite.annotators.ask import Budget

    pipeline.annotate(
        folder,
        annotator,
        _read(settings),
        pairs=pairs,
        choose=choose,
        both_orders=annotator != "human" if both_orders is None else both_orders,
        budget=Budget(budget_calls, budget_dollars),
        seed=seed,
    )


def distil(
    folder: Path = Path("runs/taste"),
    annotator: str | None = None,
    version: str | None = None,
    settings: tuple[str, ...] = (),
    seed: int = 0,
) -> None:
    """Teach R_psi, a reward for pictures, with the answers; measure it and draw it.

    Args:
        folder: a run folder with observations.npz and preferences.sqlite; R_psi goes to semantic_reward/.
        annotator: whose answers, where there are those of several.
        version: of that annotator, where there are several (as the report of ``annotate`` names it).
        settings: of `DistilConfig`, such as ``encoder=cnn hidden=512 learning_rate=1e-5 epochs=50``.
        seed: chooses held-out episodes and the first weights.
    """
    from sensei_lite import pipeline
    from sensei_lite.taste_report import draw_taste

    taste = pipeline.distil_taste(folder, _read(settings), annotator=annotator, version=version, seed=seed)
    held_out = taste.distilled.held_out
    print(f"R_psi {taste.content_hash} after {taste.distilled.best.number} epochs is in {folder / pipeline.REWARD}")
    print(f"it agrees with the annotator on {held_out.accuracy:.1%} of {held_out.pairs} held-out pairs")
    print(f"it orders pictures of held-out episodes as the truth does in {taste.truth:.1%} of pairs")
    print(f"expected calibration error {taste.calibration.error:.3f}; mean R_psi by situation:")
    for name, one in taste.situations.items():
        print(f"  {name:24}{one.mean:8.2f}  [{one.low:.2f}, {one.high:.2f}]")
    for farm in taste.farms:
        can = {True: "CAN be farmed: standing still pays more", False: "cannot be farmed", None: "may be farmable"}
        print(
            f"{farm.waiting} before {farm.event} {can[farm.farmable]} "
            f"(standing for ever {farm.stay:.1f}, going on {farm.go_on:.1f}, to the end {farm.finish:.1f})"
        )
    for path in draw_taste(folder, taste):
        print(path)


def bench(
    what: Literal["worlds", "learner", "taste", "all"] = "all", folder: Path = Path("runs/bench"), repeats: int = 7
) -> None:
    """Measure speed on this machine: worlds (MiniHack and MiniGrid too, where installed), learning, annotation.

    Args:
        what: worlds (environment steps), learner (updates and policy steps), taste (CLIP, the store of answers,
            distillation), or all of it.
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
    if what in ("taste", "all"):
        from sensei_lite.bench import annotation, clip

        clip.print_table(clip.bench_clip(folder / "clip.csv", repeats))
        annotation.print_table(annotation.bench_store(folder / "store.csv", min(repeats, 5)))
        annotation.print_distil(annotation.bench_distil(folder / "distil.csv"))


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
        | Annotated[None, tyro.conf.subcommand(name="collect", constructor=collect)]
        | Annotated[None, tyro.conf.subcommand(name="annotate", constructor=annotate)]
        | Annotated[None, tyro.conf.subcommand(name="distil", constructor=distil)]
        | Annotated[None, tyro.conf.subcommand(name="bench", constructor=bench)]
    )
    keep_compiled_programs()
    try:
        tyro.cli(commands, prog="sensei-lite", description="SENSEI, in JAX and Equinox.")
    except KeyboardInterrupt:
        raise SystemExit("sensei-lite: stopped; the same command goes on from the last checkpoint") from None
    except (ValueError, TypeError, ImportError, OSError, FloatingPointError) as error:
        raise SystemExit(f"sensei-lite: {error}") from error
