"""The parts of a run's page below its headline: what R_psi pays for, the switch, answers, rollouts and settings.

Each part gives pieces of HTML (see `report_page`), and none where the run folder does not have what it shows. Figures
are also kept in ``figures/`` and videos as ``rollout_<agent>.mp4``.
"""

import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from sensei_lite.annotators.base import AnnotatorId, Answer, image_hash
from sensei_lite.annotators.data import Observations, load_observations
from sensei_lite.annotators.scripted import interest, is_counted, levels_of, situations
from sensei_lite.annotators.store import Store
from sensei_lite.plots import report_page
from sensei_lite.plots.exploration import rounded, state_figure, tell_moments, trace_figure, words_for
from sensei_lite.plots.reward import Drawing, landscape_figure, situation_figure
from sensei_lite.plots.style import save_figure
from sensei_lite.plots.taste import FRESH_ROOM
from sensei_lite.plots.trace import Trace
from sensei_lite.plots.video import save_mp4
from sensei_lite.reward.metrics import mean_rewards
from sensei_lite.reward.model import SemanticReward, rewards_of
from sensei_lite.training import pipeline
from sensei_lite.training.stages import read_stages
from sensei_lite.training.storage import read_manifest
from sensei_lite.worlds import World
from sensei_lite.worlds.grid.world import GridWorld

AGENT_WORDS = {
    "sensei": "SENSEI",
    "sensei-paper": "SENSEI (paper's switch)",
    "sensei-no-switch": "SENSEI without switch",
    "vlm-motif": "VLM-Motif",
    "plan2explore": "Plan2Explore",
    "rnd": "RND",
    "random": "random play",
    "task": "task agent",
}
SAMPLE_PAIRS = 8
FRAMES_PER_SECOND = 4
PACKAGES = ("sensei-lite", "jax", "jaxlib", "equinox", "optax", "numpy", "gymnasium", "open_clip_torch", "torch")


class Run(NamedTuple):
    """What the page is made from."""

    folder: Path
    plan: dict[str, Any]
    """run.json, or what stands for it where a run was made stage by stage."""
    chunks: dict[str, list[dict[str, float]]]
    """Rows of events.csv, for each agent that explored."""
    events: tuple[str, ...]
    """All events that were counted, those first that an episode meets first."""
    world: World | None
    """None for a host world."""
    taste: SemanticReward | None

    @property
    def lead(self) -> str:
        """The agent that the page is about."""
        return next((name for name in self.chunks if name.startswith("sensei")), next(iter(self.chunks), ""))


def agent_words(name: str) -> str:
    """What people call an agent."""
    return AGENT_WORDS.get(name, name)


# --- R_psi and the switch --------------------------------------------------------------------------------------------


def interest_part(run: Run) -> Iterator[str]:
    """R_psi at each cell of a fresh room, and in each situation of the pictures that were asked about."""
    if run.taste is None:
        return
    if isinstance(run.world, GridWorld):
        world = run.world
        state = jax.jit(lambda key: world.reset(key=key))(jax.random.key(FRESH_ROOM))
        drawing = landscape_figure(world, state, run.taste)
        keep(run, "landscape", drawing)
        caption = "R_psi with the agent at each cell of a room that nobody was asked about; higher is more interesting."
        yield report_page.plot(drawing, caption)
    observations = _observations(run)
    names = _levels(observations)
    if observations is not None and names:
        rewards = rewards_of(run.taste, observations.images)
        drawing = situation_figure(mean_rewards(rewards, observations.episode, situations(observations.facts)))
        keep(run, "situations", drawing)
        yield report_page.plot(drawing, "Mean R_psi of the first pictures, by what is true in them; dull ones first.")
    else:
        yield report_page.paragraph("This world tells no facts about its states, so R_psi cannot be held against them.")


def _observations(run: Run) -> Observations | None:
    path = run.folder / pipeline.OBSERVATIONS
    return load_observations(path) if path.exists() else None


def _levels(observations: Observations | None) -> tuple[str, ...]:
    """The facts of this world from dull to interesting; none where it has no such order."""
    try:
        return () if observations is None else levels_of(observations.facts)
    except ValueError:
        return ()


def switch_part(run: Run, traces: Mapping[str, Trace]) -> Iterator[str]:
    """One episode of the agent that the page is about: to scrub through, as a figure, and one state of it."""
    if run.lead not in traces:
        return
    trace, name = traces[run.lead], agent_words(run.lead)
    if trace.exploring is None:
        yield report_page.paragraph(f"{name} has no go/explore switch; this is what its rewards were in one episode.")
    elif trace.compares == "return":
        yield report_page.paragraph(
            "Where the semantic return is at or above a running percentile of itself, the switch says explore, and "
            "disagreement counts most; below it says go, and what is interesting counts most. In learning, the return "
            "is that of a dream; here the critic's estimate of it, v_sem, is shown."
        )
    else:
        yield report_page.paragraph(
            "Where the predicted semantic reward r_sem is at or above a running percentile of itself, the switch says "
            "explore, and disagreement counts most; below it says go."
        )
    yield report_page.player(trace, name)
    drawing = trace_figure(trace)
    keep(run, "trace", drawing)
    yield report_page.plot(
        drawing,
        f"One episode of {name} after exploring, the first that the seed gives. R_psi is computed from the real "
        "picture; r_sem is what the agent predicts of it; r_dis belongs to the step between two states.",
        narrow=trace_figure(trace, width=3.6),
    )
    if trace.exploring is not None and (trace.exploring != trace.exploring[0]).any():
        t = int((trace.exploring != trace.exploring[0]).argmax())
        drawing = state_figure(trace, t)
        keep(run, "state", drawing)
        yield report_page.plot(
            drawing,
            f"Step {t}, where the switch turns for the first time. Every number stands on the range that it has in "
            "this episode.",
            narrow=state_figure(trace, t, width=3.6),
        )


def rollouts_part(run: Run, traces: Mapping[str, Trace]) -> Iterator[str]:
    """A video of one episode of each agent."""
    shown = []
    for name, trace in traces.items():
        path = run.folder / f"rollout_{name.replace('-', '_')}.mp4"
        scale = max(1, round(320 / trace.images.shape[2]))
        try:
            save_mp4(list(trace.images), path, FRAMES_PER_SECOND, scale=scale)
        except ImportError as error:
            yield report_page.paragraph(f"There are no videos: {error}.")
            return
        shown.append(report_page.video(path.read_bytes(), _captions(trace), agent_words(name), tell_moments(trace)))
    if shown:
        same = "Both start in the same room" if len(shown) == 2 else "All start in the same room"
        together = f"{same}, and none of the episodes was chosen. " if len(shown) > 1 else ""
        yield report_page.paragraph(
            f"{together}{FRAMES_PER_SECOND} steps a second. Captions say what happens; the list, when each event "
            "happened for the first time."
        )
        yield f'<div class="videos">{"".join(shown)}</div>'


def _captions(trace: Trace) -> str:
    """WebVTT: every event for two seconds, or until the next."""
    moments = [t for t in range(trace.steps + 1) if trace.happened(t)]
    cues = ["WEBVTT"]
    for t, following in zip(moments, [*moments[1:], trace.steps + 8], strict=True):
        begin, end = (at / FRAMES_PER_SECOND for at in (t, min(following, t + 8)))
        cues.append(f"{_clock(begin)} --> {_clock(end)}\nstep {t}: {words_for(trace.happened(t))}")
    return "\n\n".join(cues) + "\n"


def _clock(seconds: float) -> str:
    return f"{int(seconds // 3600):02}:{int(seconds // 60 % 60):02}:{seconds % 60:06.3f}"


# --- the annotator ---------------------------------------------------------------------------------------------------


def answers_part(run: Run) -> Iterator[str]:
    """Some pairs of pictures with what the annotator said of them, and the truth where the world tells it."""
    if not (run.folder / pipeline.PREFERENCES).exists():
        return
    made_from = run.folder / pipeline.REWARD / "made_from.json"
    with Store(run.folder / pipeline.PREFERENCES) as store:
        there = store.annotators()
        if not there:
            return
        who = AnnotatorId(**read_manifest(made_from)["annotator"]) if made_from.exists() else next(iter(there))
        asked = [question for question in store.questions() if AnnotatorId(*question[2:5]) == who]
        by_pair: dict[frozenset, list[tuple]] = {}
        for question in asked:
            by_pair.setdefault(frozenset(question[:2]), []).append(question)
        chance = np.random.default_rng(int(run.plan.get("seed", 0)))
        pairs = list(by_pair.values())
        chosen = [pairs[i] for i in sorted(chance.permutation(len(pairs))[:SAMPLE_PAIRS])]
        wanted = {h for questions in chosen for h in questions[0][:2]}
        images = {h: image for h, _, _, image in store.pictures() if h in wanted}
    facts = _facts_of(run, wanted)
    yield report_page.paragraph(
        f"{len(by_pair):,} pairs were asked about, {len(asked):,} questions in all. These {len(chosen)} were drawn at "
        f"random. The annotator is {who.name} ({who.version}); the frame marks the picture that it found more "
        "interesting, if it said the same wherever the two stood."
    )
    shown = [_pair(questions, images, facts) for questions in chosen]
    yield f'<div class="pairs">{"".join(shown)}</div>'


def _facts_of(run: Run, wanted: set[str]) -> dict[str, tuple[int, str]]:
    """Level and words of the most interesting fact of these pictures (by hash), where the world tells facts."""
    observations = _observations(run)
    names = _levels(observations)
    if observations is None or not names:
        return {}
    levels, found = interest(observations.facts), {}
    for i, image in enumerate(observations.images):
        if (h := image_hash(image)) in wanted:
            holds = [name.replace("_", " ") for name in names if observations.facts[name][i]]
            last = slice(None) if is_counted(names) else slice(-1, None)
            found[h] = (int(levels[i]), ", ".join(holds[last]) or "none of the facts that count")
    return found


def _pair(questions: Sequence[tuple], images: Mapping[str, np.ndarray], facts: Mapping[str, tuple[int, str]]) -> str:
    first, second = questions[0][:2]
    answers = []
    for question in questions:
        answer = Answer(question[5])
        answers.append(answer if question[0] == first else answer.swapped())
    said = {
        Answer.FIRST: "the left one",
        Answer.SECOND: "the right one",
        Answer.TIE: "a tie",
        Answer.UNKNOWN: "no idea",
    }
    agreed = answers[0] if len(set(answers)) == 1 else None
    orders = ("asked in both orders: " if len(answers) > 1 else "asked once: ") + " and ".join(
        dict.fromkeys(said[answer] for answer in answers)
    )
    caption = f"Answer, {orders}."
    if first in facts and second in facts:
        left, right = facts[first][0], facts[second][0]
        truth = Answer.TIE if left == right else Answer.FIRST if left > right else Answer.SECOND
        verdict = "no single answer" if agreed is None else "as answered" if agreed == truth else "not as answered"
        caption += f" Truth: {said[truth]} ({verdict})."
    labels = [f"{side}: {facts[h][1]}" if h in facts else side for side, h in (("left", first), ("right", second))]
    chosen = {Answer.FIRST: 0, Answer.SECOND: 1}.get(agreed) if agreed is not None else None
    return report_page.pair([images[first], images[second]], labels, chosen, caption)


# --- settings --------------------------------------------------------------------------------------------------------


def settings_part(run: Run) -> Iterator[str]:
    """What was run, how long it took, and with which versions."""
    if took := read_stages(run.folder):
        columns = [name for name in next(iter(took.values())) if name != "finished"]
        head = ["stage", *(name.replace("_mb", " (MB)").replace("_", " ") for name in columns)]
        rows = [[name, *(values[column] for column in columns)] for name, values in took.items()]
        total = sum(values["seconds"] for values in took.values())
        yield report_page.table(head, rows, f"Time and memory of each stage. In all {rounded(total / 60)} minutes.")
    yield report_page.table(["setting", "value"], list(_flat(run.plan)), "What was run, with its seed.")
    versions = [[name, version] for name in PACKAGES if (version := _version(name))]
    machine = [["Python", platform.python_version()], ["system", f"{platform.system()} {platform.machine()}"]]
    devices = [["JAX devices", ", ".join(sorted({device.device_kind for device in jax.devices()}))]]
    yield report_page.table(
        ["package", "version"], [*versions, *machine, *devices], "Versions when this page was written."
    )
    stored = {name: run.folder / name / "config.json" for name in run.chunks}
    settings = {name: dict(_flat(read_manifest(path))) for name, path in stored.items() if path.exists()}
    if settings:
        every = dict.fromkeys(key for of_agent in settings.values() for key in of_agent)
        rows = [[key, *(of_agent.get(key, "") for of_agent in settings.values())] for key in every]
        inner = report_page.table(["setting", *map(agent_words, settings)], rows, "Every setting of each agent.")
        yield report_page.details("All settings of the agents", inner)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[list[str]]:
    """Nested settings as rows of a dotted name and a value."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield [f"{before}{name}", _plain(value)]


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "none"
    if isinstance(value, bool):  # not looked up in a dictionary, where 1 is True
        return "yes" if value else "no"
    return "none" if value is None or value == {} else str(value)


def keep(run: Run, name: str, drawing: Drawing) -> None:
    """Store a figure among those of the run."""
    save_figure(drawing.figure, run.folder / "figures" / f"{name}.png")
