"""The command line: ``sensei-lite`` and a word for each thing that it can do; ``--help`` lists them."""

import ast
import errno
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from sensei_lite.training.machine import keep_compiled_programs
from sensei_lite.training.storage import folder_lock

Explorer = Literal[
    "random", "rnd", "plan2explore", "vlm-motif", "sensei-no-switch", "sensei-paper", "sensei", "sensei-range", "task"
]
Preset = Literal["smoke", "lab", "lab-tabletop", "lab-tabletop-numbers", "paper", "paper-robodesk"]


def run(
    folder: Path = Path("runs/lab"),
    preset: Preset = "lab",
    world: str | None = None,
    settings: tuple[str, ...] = (),
    agents: tuple[Explorer, ...] | None = None,
    annotator: Literal["clip", "chat", "human", "scripted"] = "clip",
    annotator_settings: tuple[str, ...] = (),
    pictures: int | None = None,
    pairs: int | None = None,
    updates: int | None = None,
    from_run: Annotated[Path | None, tyro.conf.arg(name="from")] = None,
    seed: int = 0,
) -> None:
    """Run the whole method: collect, annotate, distil, explore, evaluate, report. A run that was stopped goes on.

    Args:
        folder: the run folder. The same command goes on with it; another is refused.
        preset: how much of everything (see ``sensei_lite.training.plan.PLANS``).
        world: a name, as in ``sensei_lite.worlds.world_names()``; otherwise the preset's.
        settings: of the world, such as ``size=5``.
        agents: who explores, each as long as the others; otherwise plan2explore and sensei.
        annotator: who is asked which of two pictures is more interesting (see ``sensei-lite annotate --help``).
        annotator_settings: of the annotator.
        pictures: how many of those that the Plan2Explore agent remembers are kept to ask about.
        pairs: how many pairs are asked about, in both orders.
        updates: how often each agent learns, that which collects pictures too.
        from_run: an earlier run folder, whose SENSEI agent's pictures are asked about instead: a second generation.
        seed: chooses everything that is chosen by chance.
    """
    import dataclasses

    from sensei_lite.plots.report import write_report
    from sensei_lite.training.plan import PLANS
    from sensei_lite.training.plan import run as carry_out

    changes: dict[str, Any] = {
        "world": world,
        "settings": _read(settings) or None,
        "agents": agents,
        "annotator_settings": _read(annotator_settings) or None,
        "pictures": pictures,
        "pairs": pairs,
        "updates": updates,
        "first_generation": from_run and str(from_run),
    }
    plan = dataclasses.replace(
        PLANS[preset], annotator=annotator, seed=seed, **{name: x for name, x in changes.items() if x is not None}
    )
    for line in carry_out(folder, plan):
        print(line)
    print(f"the report: {write_report(folder)}")


def train(
    folder: Path = Path("runs/train"),
    agent: Literal["rnd", "plan2explore", "task"] = "plan2explore",
    world: str = "keyroom-lab",
    settings: tuple[str, ...] = (),
    preset: Preset = "lab",
    updates: int = 5000,
    seed: int = 0,
) -> None:
    """Train one agent that needs no R_psi in a folder of its own. A run that was stopped goes on.

    Args:
        folder: where settings, progress and checkpoints go.
        agent: plan2explore and rnd are curious and want to know the world; task wants the world's reward.
        world: a name, as in ``sensei_lite.worlds.world_names()``, or ``gymnasium:`` and any Gymnasium id.
        settings: of the world, such as ``size=5 rooms=1``.
        preset: sizes and ratios (see ``sensei_lite.config``).
        updates: how often the agent learns in all.
        seed: chooses weights, layouts and chance.
    """
    from contextlib import closing

    from sensei_lite.presets import PRESETS, agent_config
    from sensei_lite.training.run import train_in
    from sensei_lite.worlds import make_world

    config = agent_config(PRESETS[preset](), agent)
    with closing(make_world(world, num_envs=config.train.envs, **_read(settings))) as made:
        train_in(folder, config, made, updates=updates, seed=seed)
    print(f"metrics.csv, events.csv and checkpoint.npz are in {folder}")


def study(
    folder: Path = Path("runs/study"),
    agents: tuple[str, ...] = ("random", "plan2explore", "sensei"),
    world: str = "keyroom-lab",
    settings: tuple[str, ...] = (),
    preset: Preset = "lab",
    updates: int = 5000,
    task_updates: int = 0,
    seeds: int = 5,
    first_seed: int = 1,
    side_by_side: bool = False,
) -> None:
    """Train several agents with several seeds and compare them. A study that was stopped goes on.

    Args:
        folder: where the runs and table.csv go.
        agents: random, rnd, plan2explore, vlm-motif, sensei-no-switch, sensei-paper, sensei, sensei-range, task; with
            another annotator than the bundled CLIP as in ``sensei:llava`` (scripted, noisy, llava, llava-both-orders,
            few, one-round, door-lover, handler); a task agent that goes on where an explorer stopped as in
            ``task-after-sensei``.
        world: the name of a JAX world, as in ``sensei_lite.worlds.world_names()``.
        settings: of the world, such as ``size=5``.
        preset: sizes and ratios (see ``sensei_lite.config``).
        updates: how often each agent learns.
        task_updates: how often each task agent learns; 0: as often as the others.
        seeds: how many seeds; 2 at least.
        first_seed: the first of them. Settings were chosen by looking at seed 0, so studies begin at 1.
        side_by_side: train all seeds of an explorer in one program: fast on a GPU. Checkpoints come at the end only.
    """
    from sensei_lite.training.study import print_table, run_study

    numbers = range(first_seed, first_seed + seeds)
    print_table(
        run_study(
            folder,
            world,
            _read(settings),
            preset=preset,
            agents=agents,
            seeds=numbers,
            updates=updates,
            task_updates=task_updates,
            side_by_side=side_by_side,
        )
    )
    print(f"the table with every seed is {folder / 'table.csv'}")


def collect(
    folder: Path = Path("runs/taste"),
    world: str = "keyroom-lab",
    settings: tuple[str, ...] = (),
    play: Literal["curious", "guided", "random"] = "guided",
    episodes: int = 100,
    preset: Preset = "lab",
    updates: int = 5000,
    pictures: int = 10_000,
    seed: int = 0,
) -> None:
    """Collect pictures to ask about, with the true facts beside them.

    Args:
        folder: the run folder; the pictures go to observations.npz.
        world: a name, as in ``sensei_lite.worlds.world_names()``; only a curious agent can play host worlds.
        settings: of the world, such as ``size=5 rooms=1``.
        play: curious, a Plan2Explore agent that learns meanwhile (the paper's D_init); at random; or guided: each
            episode knows the way to some degree, so that all situations are seen within seconds.
        episodes: how many are played to their ends (random and guided).
        preset: sizes and ratios of the curious agent.
        updates: how often the curious agent learns.
        pictures: how many of those that the curious agent remembers are kept.
        seed: chooses episodes and actions.
    """
    from sensei_lite.training import pipeline

    chosen = _read(settings)
    with folder_lock(folder):
        if play == "curious":
            seen = pipeline.collect_curious(
                folder, world, chosen, preset=preset, updates=updates, pictures=pictures, seed=seed
            )
        else:
            seen = pipeline.collect(folder, world, chosen, episodes=episodes, guided=play == "guided", seed=seed)
    print(f"{len(seen.images):,} pictures of {len(set(seen.episode.tolist()))} episodes are in {folder}")
    for name, holds in seen.facts.items():
        print(f"  {name:24}{holds.mean():8.1%}")


def annotate(
    folder: Path = Path("runs/taste"),
    annotator: Literal["clip", "chat", "human", "scripted"] = "clip",
    settings: tuple[str, ...] = (),
    pairs: int = 5000,
    choose: Literal["random", "spread", "interesting"] = "random",
    both_orders: bool | None = None,
    budget_calls: int | None = None,
    budget_dollars: float | None = None,
    seed: int = 0,
) -> None:
    """Ask which of two pictures is more interesting. Whoever is stopped and asks again goes on with what is open.

    Args:
        folder: a run folder with observations.npz; the answers go to preferences.sqlite.
        annotator: clip (a local model), chat (a vision-language model behind OpenAI's protocol, key in OPENAI_API_KEY),
            human (you, in a notebook that JupyterLab opens), scripted (the truth, with faults as you set them).
        settings: of the annotator, such as ``model=gpt-4o base_url=http://localhost:8000/v1 prompt=general
            price=(2.5,10)``, ``noise_model=llava noise=0.1``, or for clip ``model=ViT-B-32/laion2b_s34b_b79k``.
        pairs: how many pairs of pictures.
        choose: pairs at random, as the paper does; spread over episodes and time, for small budgets; or of what the
            folder's R_psi finds interesting, for a second round after ``distil``.
        both_orders: ask about every pair twice, with the pictures exchanged, and call contradictions ties. If it is
            not said, everyone but a human is asked so.
        budget_calls: stop after so many questions.
        budget_dollars: stop when so much is spent.
        seed: chooses pairs.
    """
    from sensei_lite.annotators.query import Budget
    from sensei_lite.training import pipeline

    with folder_lock(folder):
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
    from sensei_lite.plots.taste import draw_taste
    from sensei_lite.training import pipeline

    with folder_lock(folder):
        taste = pipeline.distil_taste(folder, _read(settings), annotator=annotator, version=version, seed=seed)
    held_out = taste.distilled.held_out
    print(f"R_psi {taste.content_hash} after {taste.distilled.best.number} epochs is in {folder / pipeline.REWARD}")
    print(f"it agrees with the annotator on {held_out.accuracy:.1%} of {held_out.pairs} held-out pairs")
    print(f"it orders pictures of held-out episodes as the truth does in {taste.truth:.1%} of pairs")
    print(f"expected calibration error {taste.calibration.error:.3f}; mean R_psi by situation:")
    for name, one in taste.situations.items():
        print(f"  {name:24}{one.mean:8.2f}  [{one.low:.2f}, {one.high:.2f}]")
    for hack in taste.reward_hacks:
        can = {True: "CAN be farmed: standing still pays more", False: "cannot be farmed", None: "may be farmable"}
        print(
            f"{hack.waiting} before {hack.event} {can[hack.hackable]} "
            f"(standing for ever {hack.stay:.1f}, going on {hack.go_on:.1f}, to the end {hack.finish:.1f})"
        )
    for path in draw_taste(folder, taste):
        print(path)


def explore(
    folder: Path = Path("runs/taste"),
    agent: Explorer = "sensei",
    preset: Preset = "lab",
    changes: tuple[str, ...] = (),
    name: str | None = None,
    updates: int = 5000,
    seed: int = 0,
) -> None:
    """Let an agent explore a run folder's world, with the folder's R_psi if it wants what is interesting.

    Args:
        folder: a run folder that was collected in, and distilled in if the agent needs an R_psi.
        agent: who explores (see ``sensei_lite.presets``); it goes to a folder of its own inside.
        preset: sizes and ratios.
        changes: to single settings of ``sensei_lite.config``, such as ``switch.percentile=75 behaviour.entropy=1e-3``.
        name: of the folder inside, which an agent with changed settings needs.
        updates: how often the agent learns.
        seed: chooses weights and chance.
    """
    from sensei_lite.training import pipeline

    pipeline.explore(folder, agent, preset=preset, updates=updates, seed=seed, changes=_read(changes), name=name)
    print(f"metrics.csv, events.csv and checkpoint.npz are in {folder / (name or agent)}")


def learn_task(
    folder: Path = Path("runs/taste"),
    after: Explorer = "sensei",
    preset: Preset = "lab",
    updates: int = 2500,
    seed: int = 0,
) -> None:
    """Teach the world's task to an agent that goes on with an explorer's world model and replay.

    Args:
        folder: a run folder in which an agent explored.
        after: whose world model and replay.
        preset: sizes and ratios, the explorer's own.
        updates: how often the task agent learns.
        seed: chooses weights and chance.
    """
    from sensei_lite.training import pipeline

    pipeline.learn_task(folder, after, preset=preset, updates=updates, seed=seed)
    print(f"metrics.csv, events.csv and checkpoint.npz are in {folder / (pipeline.AFTER + after)}")


def evaluate(
    folder: Path = Path("runs/lab"), agents: tuple[str, ...] = ("sensei", "plan2explore"), seed: int = 0
) -> None:
    """Write and print what agents of a run folder caused while they explored, and do in test episodes.

    Args:
        folder: a run folder in which these agents explored.
        agents: whose figures.
        seed: chooses the test episodes.
    """
    from sensei_lite.training import pipeline

    rows = pipeline.evaluate(folder, agents, seed=seed)
    width = max(len(str(row["figure"])) for row in rows)
    for row in rows:
        print(f"{row['agent']:18}{row['figure']:{width}}{row['value']:10.4g}")


def report(folder: Path = Path("runs/lab")) -> None:
    """Write a run folder's report.html: a page that needs nothing but itself.

    Args:
        folder: a run folder in which agents explored.
    """
    from sensei_lite.plots.report import write_report

    print(write_report(folder))


def _read(settings: tuple[str, ...]) -> dict[str, Any]:
    """``size=5 view=None`` as arguments. What is no Python value is a word, but ``true`` and ``false`` are values."""
    found: dict[str, Any] = {}
    values = {"true": True, "false": False, "none": None}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"a setting is written name=value, and {setting!r} has no '='")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = values.get(value, value)
    return found


def main() -> None:
    """Read the command line and do what it says. Wrong input ends in one line that says what was wrong."""
    commands = (
        Annotated[None, tyro.conf.subcommand(name="run", constructor=run)]
        | Annotated[None, tyro.conf.subcommand(name="train", constructor=train)]
        | Annotated[None, tyro.conf.subcommand(name="study", constructor=study)]
        | Annotated[None, tyro.conf.subcommand(name="collect", constructor=collect)]
        | Annotated[None, tyro.conf.subcommand(name="annotate", constructor=annotate)]
        | Annotated[None, tyro.conf.subcommand(name="distil", constructor=distil)]
        | Annotated[None, tyro.conf.subcommand(name="explore", constructor=explore)]
        | Annotated[None, tyro.conf.subcommand(name="learn-task", constructor=learn_task)]
        | Annotated[None, tyro.conf.subcommand(name="evaluate", constructor=evaluate)]
        | Annotated[None, tyro.conf.subcommand(name="report", constructor=report)]
    )
    keep_compiled_programs()
    try:
        tyro.cli(commands, prog="sensei-lite", description="SENSEI, in JAX and Equinox.")
    except KeyboardInterrupt:
        raise SystemExit("sensei-lite: stopped; the same command goes on from the last checkpoint") from None
    except (ValueError, TypeError, ImportError, OSError, FloatingPointError) as error:
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        hint = "; what was stored before is kept: make room, and the same command goes on" if full else ""
        raise SystemExit(f"sensei-lite: {error}{hint}") from error
