"""One page about one run: what the agents caused, what R_psi pays for, how the switch stood, and with which settings.

`write_report` reads a run folder (see `run_plan`) and writes ``report.html``, which needs nothing but itself, the
figures in it once more under ``figures/``, and ``rollout_<agent>.mp4`` for each agent. What the folder does not have is
left out, or the page says what is missing. Numbers stand as they were measured, whichever way they came out.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax

from sensei_lite.plots import report_page
from sensei_lite.plots.exploration import curves_figure, rounded, words_for
from sensei_lite.plots.report_parts import (
    Run,
    agent_words,
    answers_part,
    interest_part,
    keep,
    rollouts_part,
    settings_part,
    switch_part,
)
from sensei_lite.plots.style import EVENT_WORDS
from sensei_lite.plots.trace import Trace, play_trace
from sensei_lite.presets import AGENTS
from sensei_lite.training import pipeline
from sensei_lite.training.evaluate import MEANINGFUL, read_chunks
from sensei_lite.training.storage import REWARD_SETTINGS, load_reward, read_manifest
from sensei_lite.worlds import World
from sensei_lite.worlds.registry import JAX_WORLDS

"""The events that count for the headline, where a world has them: those that the key is for."""
BASELINE = "plan2explore"


def write_report(folder: Path) -> Path:
    """Write ``report.html``, its figures and its videos into a run folder, and return the page's path.

    Raises FileNotFoundError where the folder holds no run; and as `run_folder.read_manifest` does.
    """
    run = _read_run(folder)
    traces, problems = _play(run)
    parts = {
        "reached": ("What the agents caused", list(_caused(run))),
        "interest": ("What R_psi finds interesting", list(interest_part(run))),
        "switch": ("Go and explore, step by step", list(switch_part(run, traces))),
        "pairs": ("What the annotator answered", list(answers_part(run))),
        "rollouts": ("One episode of each agent", [*rollouts_part(run, traces), *map(report_page.paragraph, problems)]),
        "settings": ("Settings, versions, time and memory", list(settings_part(run))),
    }
    parts = {anchor: part for anchor, part in parts.items() if part[1]}
    title = f"{agent_words(run.lead) or 'A run'} in {run.plan.get('world', 'a world')}"
    body = [report_page.heading(title, 1), *_headline(run)]
    body.append(report_page.contents({anchor: name for anchor, (name, _) in parts.items()}))
    for anchor, (name, content) in parts.items():
        body += [report_page.heading(name, 2, anchor), *content]
    path = folder / "report.html"
    unfinished = path.with_name(".report.html.unfinished")
    unfinished.write_text(report_page.page(title, body), encoding="utf-8")
    unfinished.replace(path)
    return path


# --- reading ---------------------------------------------------------------------------------------------------------


def _read_run(folder: Path) -> Run:
    there = [name for name in ("run.json", pipeline.WORLD) if (folder / name).exists()]
    if not there:
        raise FileNotFoundError(f"{folder} holds no run: neither run.json nor {pipeline.WORLD} is there")
    plan = read_manifest(folder / there[0])
    agents = [name for name in plan.get("agents") or AGENTS if (folder / name / "events.csv").exists()]
    chunks = {name: read_chunks(folder / name) for name in agents}
    chunks = {name: rows for name, rows in chunks.items() if rows}
    counted = {name for rows in chunks.values() for name in rows[0]}
    counted -= {"updates", "steps", "episodes", "reward", "situations"}
    order = list(EVENT_WORDS)
    events = sorted(counted, key=lambda name: (order.index(name) if name in order else len(order), name))
    world = pipeline.world_of(folder) if plan.get("world") in JAX_WORLDS else None
    taste = load_reward(folder / pipeline.REWARD) if (folder / pipeline.REWARD / REWARD_SETTINGS).exists() else None
    return Run(folder, plan, chunks, tuple(events), world if isinstance(world, World) else None, taste)


def _play(run: Run) -> tuple[dict[str, Trace], list[str]]:
    """An episode of each agent that can be played, and in words why others cannot."""
    if run.world is None:
        missing = "This world is stepped by a host loop; episodes are shown for JAX worlds only."
        return {}, [missing] if run.chunks else []
    traces, problems = {}, []
    for name in run.chunks:
        try:
            agent = pipeline.load_explorer(run.folder, name).agent
        except (FileNotFoundError, ValueError) as error:
            problems.append(f"{agent_words(name)} cannot be played: {error}")
            continue
        # The first episode that this seed gives, the same room for each agent; it was not chosen.
        key = jax.random.fold_in(jax.random.key(int(run.plan.get("seed", 0))), 2)
        traces[name] = play_trace(agent, run.world, taste=run.taste, key=key)
    return traces, problems


# --- what the agents caused ------------------------------------------------------------------------------------------


def rate(chunks: Sequence[Mapping[str, float]], events: Sequence[str]) -> float:
    """How often these events happened together, per 1,000 environment steps; 0 where there were no steps."""
    steps = sum(chunk["steps"] for chunk in chunks)
    return 1000 * sum(chunk.get(name, 0.0) for chunk in chunks for name in events) / max(steps, 1.0)


def compared(lead: float, base: float, base_name: str) -> str:
    """What another agent's rate is, and how many times as often the first one's is, in words."""
    if base == 0:
        return f"{base_name} none" + (" either" if lead == 0 else "")
    if lead == 0:
        return f"{base_name} {rounded(base)}, so more"
    ratio = lead / base
    times = f"{rounded(float(f'{ratio:.2g}'))} times as many"
    words = "about as many" if 0.9 < ratio < 1.1 else times if ratio > 1 else f"only {times}, so fewer"
    return f"{base_name} {rounded(base)}: {words}"


def _headline(run: Run) -> Iterator[str]:
    counted = [name for name in run.events if name in MEANINGFUL]
    if not run.chunks:
        yield report_page.paragraph("No agent has explored yet.", "headline")
        return
    if not counted:
        yield report_page.paragraph("This world reports no event that counts as meaningful.", "headline")
        return
    lead, others = run.lead, [name for name in run.chunks if name != run.lead]
    base = BASELINE if BASELINE in others else next(iter(others), None)
    own = rate(run.chunks[lead], counted)
    said = f"{agent_words(lead)} caused {rounded(own)} meaningful events per 1,000 environment steps"
    if base is None:
        yield report_page.paragraph(f"{said}. No other agent explored beside it to compare with.", "headline")
    else:
        other = rate(run.chunks[base], counted)
        yield report_page.paragraph(f"{said}, {compared(own, other, agent_words(base))}.", "headline")
    each = [
        f"{words_for([name])}: "
        + ", ".join(f"{agent_words(a)} {rounded(rate(c, [name]))}" for a, c in run.chunks.items())
        for name in counted
    ]
    yield report_page.paragraph("Meaningful are these events, each per 1,000 steps of the whole exploration:")
    yield report_page.bullets(each)
    steps = ", ".join(f"{agent_words(a)} {sum(c['steps'] for c in rows):,.0f}" for a, rows in run.chunks.items())
    yield report_page.paragraph(
        f"Environment steps: {steps}. This is one run with one seed; whether a difference is more than chance, only "
        "several seeds can tell (sensei-lite study)."
    )


def _caused(run: Run) -> Iterator[str]:
    if not run.chunks or not run.events:
        return
    runs = {agent_words(name): run.folder / name for name in run.chunks}
    happened = [name for name in run.events if any(rate(chunks, [name]) for chunks in run.chunks.values())]
    if happened:
        drawing = curves_figure(runs, happened, columns=3)
        keep(run, "curves", drawing)
        yield report_page.plot(
            drawing,
            "How often each event happened while the agents learned. Each point stands for a tenth of the run.",
            narrow=curves_figure(runs, happened, columns=1),
        )
    if never := [words_for([name]) for name in run.events if name not in happened]:
        yield report_page.paragraph(f"Nobody ever caused this: {', '.join(never)}.")
    head = ["event"]
    rows: list[list[str | float]] = [[words_for([event])] for event in run.events]
    for name, chunks in run.chunks.items():
        head += [agent_words(name), f"{agent_words(name)}, last fifth"]
        late = chunks[-max(1, len(chunks) // 5) :]
        rows = [[*row, rate(chunks, [e]), rate(late, [e])] for row, e in zip(rows, run.events, strict=True)]
    yield report_page.table(
        head, rows, "Events per 1,000 environment steps: in the whole exploration, and in its last fifth."
    )
    yield from _evaluation(run)


def _evaluation(run: Run) -> Iterator[str]:
    if not (run.folder / pipeline.EVALUATION).exists():
        yield report_page.paragraph("There are no test episodes: the stage “evaluate” has not been run.")
        return
    of_training = ("per 1000 steps", "steps to", "per chunk", "share of dreams")
    values = {(row["figure"], row["agent"]): float(row["value"]) for row in pipeline.read_evaluation(run.folder)}
    values = {key: value for key, value in values.items() if not any(words in key[0] for words in of_training)}
    agents = list(dict.fromkeys(agent for _, agent in values))
    there = dict.fromkeys(figure for figure, _ in values)
    shares = [name for event in run.events if (name := f"{event} in test episodes") in there]
    rows = []
    for figure in dict.fromkeys([*shares, *there]):
        name = figure.removesuffix(" in test episodes")
        told = words_for([name]) if name != figure else figure.replace("_", " ")
        rows.append([told, *(values.get((figure, agent), float("nan")) for agent in agents)])
    if rows:
        caption = (
            "Test episodes after exploring: the share in which each event happened. And how many situations there were."
        )
        head = ["figure", *map(agent_words, agents)]
        yield report_page.table(head, rows, caption)
