"""The page of a run: whole, valid, without a network, and with the numbers that were measured."""

import csv
import html.parser
import json
import re
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.agent import state as agents
from sensei_lite.annotators.query import Budget
from sensei_lite.plots.exploration import words_for
from sensei_lite.plots.report import compared, rate, write_report
from sensei_lite.plots.report_page import page, paragraph, table
from sensei_lite.plots.report_parts import Run, rollouts_part
from sensei_lite.plots.trace import Trace
from sensei_lite.plots.video import save_mp4
from sensei_lite.presets import agent_config, smoke
from sensei_lite.reward.model import load_reward, save_reward
from sensei_lite.training import pipeline
from sensei_lite.training.jax_loop import start_training
from sensei_lite.training.run import describe_run
from sensei_lite.training.scores import MEANINGFUL
from sensei_lite.training.storage import save_checkpoint
from sensei_lite.worlds import KeyChest, KeyRoom, Tabletop
from sensei_lite.worlds.minihack.world import MiniHackKeyChest, MiniHackKeyRoom
from sensei_lite.worlds.pokemon.world import PokemonRed
from sensei_lite.worlds.robodesk import Robodesk

WORLD = {"size": 4, "max_steps": 12, "rooms": 1}
EVENTS = ("door_opened", "exit_reached", "key_picked_up", "door_reached")
COUNTS = {"sensei": (4, 1, 9, 0), "plan2explore": (1, 1, 10, 0)}
"""How often each agent caused each of `EVENTS` in every chunk of 250 steps."""
VOID = {"meta", "link", "img", "input", "source", "track", "br"}


class Document(html.parser.HTMLParser):
    """Every element with its attributes and text; it refuses a tag that is closed in the wrong place."""

    def __init__(self, path):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def episode(self):
        """What the player scrubs through."""
        found = re.search(r'<script type="application/json">(.*?)</script>', self.source)
        return json.loads(found[1]) if found else None


def write_counts(folder, counts, chunks=10):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "events.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["updates", *EVENTS, "episodes", "reward", "situations", "steps"])
        writer.writerows([2 * (i + 1), *counts, 3, 1.0, 20, 250] for i in range(chunks))


def unborn(config, world, taste):
    """A training state with an agent that has learned nothing, and nothing else: made without compiling a world."""
    shapes = jax.eval_shape(lambda: start_training(config, world, taste, key=jax.random.key(0)))
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    empty = jax.tree.map(lambda s: jax.random.key(0) if is_key(s) else np.zeros(s.shape, s.dtype), shapes)
    agent = eqx.filter_jit(agents.init)(config, world.image_shape, world.actions, key=jax.random.key(0))
    return empty._replace(agent=agent)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder whose agents are stored and counted as if they had explored."""
    folder = tmp_path_factory.mktemp("run")
    pipeline.collect(folder, "keyroom", WORLD, episodes=24, guided=True, seed=0)
    asked = {"pairs": 120, "choose": "random", "both_orders": True, "budget": Budget(), "seed": 0}
    pipeline.annotate(folder, "scripted", {}, **asked)
    pipeline.distil_taste(folder, {"epochs": 1}, annotator=None, version=None, seed=0)
    reward, world = load_reward(folder / pipeline.REWARD), pipeline.world_of(folder)
    for name, counts in COUNTS.items():
        wants = agent_config(smoke(), name)
        taste = reward if name == "sensei" else None
        save_checkpoint(folder / name / "checkpoint.npz", unborn(wants, world, taste))
        (folder / name / "config.json").write_text(json.dumps(describe_run(wants, world, 0, taste)))
        write_counts(folder / name, counts)
    save_reward(folder / "sensei" / "semantic_reward", reward)
    plan = {"world": "keyroom", "settings": WORLD, "preset": "smoke", "seed": 3, "agents": list(COUNTS), "pairs": 120}
    (folder / "run.json").write_text(json.dumps(plan))
    (folder / "stages.csv").write_text("stage,seconds,peak_memory_mb,finished\ncollect,90.0,512.0,1\n")
    shares = dict(zip(EVENTS, (0.5, 0.25, 1, 0), strict=True))
    rows = [f"{agent},{event} in test episodes,{share}" for agent in COUNTS for event, share in shares.items()]
    (folder / "evaluation.csv").write_text("\n".join(["agent,figure,value", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def document(run):
    return Document(write_report(run))


def test_the_headline_has_the_measured_numbers(document):
    # 5 and 2 meaningful events in each 250 steps.
    assert "SENSEI caused 20 meaningful events per 1,000 environment steps, Plan2Explore 8: 2.5 times as many." in (
        document.text
    )
    assert "opens the door: SENSEI 16, Plan2Explore 4" in document.text
    assert "reaches the exit: SENSEI 4, Plan2Explore 4" in document.text
    assert "one seed" in document.text


def test_what_never_happened_is_said_and_not_drawn(document):
    assert f"Nobody ever caused this: {words_for(['door_reached'])}." in document.text
    curves = next(a["alt"] for tag, a in document.elements if tag == "img" and "while the agents learned" in a["alt"])
    assert words_for(["key_picked_up"]) in curves
    assert words_for(["door_reached"]) not in curves


@pytest.mark.parametrize(
    "world", [KeyRoom, KeyChest, Tabletop, Robodesk, PokemonRed, MiniHackKeyRoom, MiniHackKeyChest]
)
def test_every_world_has_events_that_count(world):
    assert set(world.event_names) & set(MEANINGFUL)


def test_the_page_needs_nothing_but_itself(document):
    addresses = [
        value
        for _, attributes in document.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "poster", "data", "action")
    ]
    anchors = {attributes["id"] for _, attributes in document.elements if "id" in attributes}
    assert len(addresses) > 20
    for address in addresses:
        assert address.startswith("data:") or address.removeprefix("#") in anchors
    assert not re.search(r"https?://|@import|url\(", document.source)
    policy = next(a["content"] for a in document.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_every_picture_is_told_in_words_and_every_table_has_headers(document):
    images = document.all("img")
    assert len(images) > 15
    assert all(len(image["alt"]) > 3 for image in images)
    assert document.source.count("<thead>") == len(document.all("table")) >= 5
    assert {header["scope"] for header in document.all("th")} == {"col", "row"}
    assert document.all("html")[0]["lang"] == "en"
    assert [tag for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)][:2] == ["h1", "h2"]


def test_all_parts_are_there(run, document):
    for words in (
        "What the agents caused",
        "finds interesting",
        "The switch says",
        "What the annotator answered",
        "One episode of each agent",
        "jaxlib",
        "512",
        "In all 1.5 minutes",
        "switch.percentile",
        "the share in which each event happened",
    ):
        assert words in document.text, words
    kept = {path.stem for path in (run / "figures").glob("*.png")}
    assert kept >= {"curves", "landscape", "situations", "trace"}
    assert {path.name for path in run.glob("*.mp4")} == {"rollout_sensei.mp4", "rollout_plan2explore.mp4"}
    assert len(document.all("video")) == len(document.all("track")) == 2
    assert not list(run.glob(".*.unfinished"))


def test_the_player_has_the_whole_episode(document):
    episode = document.episode
    slider = document.all("input")[0]
    assert (slider["max"], slider["value"]) == (str(episode["steps"]), "0")
    assert 0 < episode["steps"] <= WORLD["max_steps"]
    assert set(episode["gauges"]) == {"taste", "semantic", "compared", "disagreement"}
    listed = [episode[name] for name in ("images", "happened", "actions", "exploring")]
    listed += [*episode["weights"].values(), *(gauge["values"] for gauge in episode["gauges"].values())]
    assert {len(values) for values in listed} == {episode["steps"] + 1}
    for gauge in episode["gauges"].values():
        assert all(gauge["low"] < value < gauge["high"] for value in gauge["values"] if value is not None)
    assert episode["gauges"]["disagreement"]["values"][-1] is None
    predicted, true = episode["gauges"]["semantic"], episode["gauges"]["taste"]
    assert (predicted["low"], predicted["high"]) == (true["low"], true["high"]), "they are there to be compared"
    assert "hidden" in next(a for _, a in document.elements if a.get("class") == "player"), "it needs a script"


def test_sample_pairs_stand_with_answers_and_truth(document):
    assert document.source.count('<div class="pair">') == 8
    # The scripted annotator without faults says the truth, in both orders.
    said = re.findall(r"asked in both orders: ([\w ]+)\. Truth: ([\w ]+) \(as answered\)", document.text)
    assert len(said) == 8
    assert all(answer == truth for answer, truth in said)
    framed = document.source.count('<div class="chosen">')
    assert framed == sum(answer != "a tie" for answer, _ in said)


def test_what_is_missing_is_left_out_or_named(run, tmp_path):
    """One agent, no test episodes, no R_psi, no answers; and a checkpoint that is damaged."""
    (tmp_path / pipeline.WORLD).write_text(json.dumps({"world": "keyroom", "settings": WORLD}))
    assert "No agent has explored yet" in Document(write_report(tmp_path)).text
    write_counts(tmp_path / "plan2explore", COUNTS["plan2explore"])
    (tmp_path / "plan2explore" / "config.json").write_bytes((run / "plan2explore" / "config.json").read_bytes())
    (tmp_path / "plan2explore" / "checkpoint.npz").write_bytes(b"damaged")
    document = Document(write_report(tmp_path))
    assert "Plan2Explore caused 8 meaningful events" in document.text
    assert "No other agent" in document.text
    assert "checkpoint.npz is damaged" in document.text
    assert "evaluate" in document.text
    assert document.episode is None
    assert "finds interesting" not in document.text
    assert not document.all("video")


def test_a_host_world_without_facts_is_told_by_its_counts(run, tmp_path):
    """It is never made, so its page can be written where its engine is not installed."""
    (tmp_path / "run.json").write_text(
        json.dumps({"world": "gymnasium:NotInstalled-v0", "settings": {}, "agents": ["sensei", "plan2explore"]})
    )
    for name, counts in (("sensei", (1, 0, 1, 0)), ("plan2explore", (4, 0, 1, 0))):
        write_counts(tmp_path / name, counts)
    save_reward(tmp_path / pipeline.REWARD, load_reward(run / pipeline.REWARD))
    seen = pipeline.load_observations(run / pipeline.OBSERVATIONS)
    pipeline.save_observations(tmp_path / pipeline.OBSERVATIONS, seen._replace(facts={}))
    (tmp_path / pipeline.PREFERENCES).write_bytes((run / pipeline.PREFERENCES).read_bytes())
    document = Document(write_report(tmp_path))
    assert "SENSEI caused 4 meaningful events per 1,000 environment steps, Plan2Explore 16: only 0.25 times" in (
        document.text
    )
    assert "tells no facts" in document.text
    assert "JAX worlds only" in document.text
    assert "Truth" not in document.text
    assert document.source.count('<div class="pair">') == 8


def test_without_pyav_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    zeros, events = np.zeros(3, np.float32), {"door_opened": np.array([False, True, False])}
    no_switch = dict.fromkeys(("semantic", "taste", "disagreement", "compares", "compared", "threshold", "exploring"))
    trace = Trace(frames, np.zeros(2, np.int32), ("wait",), zeros, events, False, weights={}, **no_switch)
    (said,) = rollouts_part(Run(tmp_path, {}, {}, (), None, None), {"sensei": trace})
    assert "There are no videos: a video needs PyAV: pip install av." in said
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_no_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no run: neither run\.json"):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("lead", "base", "said"),
    [
        (6.0, 2.0, "B 2: 3 times as many"),
        (2.0, 6.0, "B 6: only 0.33 times as many, so fewer"),
        (2.0, 2.1, "B 2.1: about as many"),
        (2.0, 0.0, "B none"),
        (0.0, 0.0, "B none either"),
        (0.0, 4.0, "B 4, so more"),
    ],
)
def test_a_comparison_is_told_whichever_way_it_came_out(lead, base, said):
    assert compared(lead, base, "B") == said


def test_a_rate_counts_events_of_all_chunks():
    chunks = [{"steps": 100.0, "a": 1.0, "b": 2.0}, {"steps": 300.0, "a": 1.0, "b": 0.0}]
    assert rate(chunks, ["a"]) == 5.0
    assert rate(chunks, ["a", "b"]) == 10.0
    assert rate(chunks, ["c"]) == rate([], ["a"]) == 0.0


def test_words_cannot_become_tags(tmp_path):
    path = tmp_path / "a.html"
    told = [paragraph("<b>R_psi & r_sem"), table(["a <x>", "b"], [["<i>", 1.23456], ["c", 2]], 'say "so"')]
    path.write_text(page("<title>", told), encoding="utf-8")
    document = Document(path)
    assert not {"b", "i", "x"} & {tag for tag, _ in document.elements}
    assert "R<sub>ψ</sub> &amp; r<sub>sem</sub>" in document.source
    assert document.source.count('<td class="number">1.23</td>') == 1


@pytest.mark.parametrize(("size", "scale"), [((10, 12), 3), ((9, 7), 1)])
def test_a_video_holds_its_frames_and_rests_on_the_last(tmp_path, size, scale):
    av = pytest.importorskip("av")
    shades = [0, 80, 160, 240]
    frames = [np.full((*size, 3), shade, np.uint8) for shade in shades]
    save_mp4(frames, tmp_path / "a.mp4", frames_per_second=4, hold_seconds=0.5, scale=scale)
    with av.open(str(tmp_path / "a.mp4")) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        decoded = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert float(file.duration / av.time_base) == pytest.approx(1.5)
    assert decoded[0].shape == (*(scale * side + scale * side % 2 for side in size), 3)
    np.testing.assert_allclose([frame.mean() for frame in decoded], [*shades, 240, 240], atol=4)
    with pytest.raises(ValueError, match="no frames"):
        save_mp4([], tmp_path / "b.mp4")
    with pytest.raises(ValueError, match="one size"):
        save_mp4([frames[0], frames[0][:4]], tmp_path / "b.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
