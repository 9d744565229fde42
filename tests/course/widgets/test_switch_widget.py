"""The switch's knobs over a recorded episode: what they make of it, against numbers that are worked out here."""

import json
import shutil
import subprocess
from xml.etree import ElementTree

import numpy as np
import pytest

from sensei_lite.course.widgets.base import script
from sensei_lite.course.widgets.switch import compared_values, switch_explorer, weigh
from sensei_lite.plots.trace import Trace

STEPS = 12
GO, EXPLORE = {"semantic": 1.0, "disagreement": 0.1}, {"semantic": 0.3, "disagreement": 2.0}
SVG = "{http://www.w3.org/2000/svg}"


def a_trace(**changes) -> Trace:
    """An episode in which it becomes more interesting, as the agents' traces have it."""
    chance = np.random.default_rng(0)
    semantic = np.sort(chance.normal(size=STEPS + 1)).astype(np.float32)
    happened = np.zeros(STEPS + 1, bool)
    happened[4] = True
    trace = Trace(
        images=np.zeros((STEPS + 1, 8, 8, 3), np.uint8),
        actions=np.zeros(STEPS, np.int32),
        action_names=("north",),
        reward=np.zeros(STEPS + 1, np.float32),
        events={"key_picked_up": happened},
        is_terminal=False,
        semantic=semantic,
        r_psi=None,
        disagreement=chance.uniform(size=STEPS).astype(np.float32),
        weights={},
        compares="return",
        compared=chance.permutation(10 * semantic),
        threshold=0.0,
        exploring=np.zeros(STEPS + 1, bool),
    )
    return trace._replace(**changes)


@pytest.mark.parametrize("compares", ["reward", "return"])
@pytest.mark.parametrize("k", [20.0, 50.0, 90.0])
def test_an_episode_is_weighed_as_by_hand(compares, k):
    trace = a_trace()
    c = trace.semantic if compares == "reward" else trace.compared
    found = weigh(trace, k, GO, EXPLORE, compares)
    threshold = np.percentile(c, k)
    np.testing.assert_allclose(found.threshold, threshold, rtol=1e-5)
    np.testing.assert_array_equal(found.exploring, c >= np.float32(threshold))
    for t in range(1, STEPS + 1):
        left, w = (EXPLORE if c[s] >= np.float32(threshold) else GO for s in (t - 1, t))
        arrived = w["semantic"] * trace.semantic[t] + left["disagreement"] * trace.disagreement[t - 1]
        np.testing.assert_allclose(found.reward[t - 1], arrived, rtol=1e-5)
        assert all(found.weights[name][t] == np.float32(w[name]) for name in w)
    np.testing.assert_allclose(sum(found.parts.values()), found.reward, rtol=1e-5)
    assert found.reward.shape == (STEPS,)


def test_a_trace_without_what_the_switch_needs_is_refused():
    for changes in ({"semantic": None}, {"disagreement": None}):
        with pytest.raises(ValueError, match="nothing to switch between"):
            weigh(a_trace(**changes), 90.0, GO, EXPLORE, "return")
    by_reward = a_trace(compares="reward")
    assert compared_values(by_reward, "reward") is by_reward.semantic
    with pytest.raises(ValueError, match="compare by 'return'"):
        weigh(by_reward, 90.0, GO, EXPLORE, "return")
    with pytest.raises(ValueError, match="nothing to switch between"):
        switch_explorer(a_trace(semantic=None))


def test_the_settings_are_weighed():
    widget = switch_explorer(a_trace())
    assert widget.settings == widget.defaults
    assert widget.defaults == {
        "percentile": 90.0,
        "compares": "return",
        "go_semantic": 1.0,
        "go_disagreement": 0.1,
        "explore_semantic": 0.3,
        "explore_disagreement": 1.0,
    }
    move = {**widget.settings, "percentile": 50, "go_semantic": 0.5, "explore_disagreement": 9.0, "compares": "reward"}
    widget.set_state({"settings": move})  # what the page does when sliders are moved
    expected = weigh(widget.trace, 50.0, {**GO, "semantic": 0.5}, {"semantic": 0.3, "disagreement": 9.0}, "reward")
    np.testing.assert_array_equal(widget.weighed.exploring, np.arange(STEPS + 1) >= 6)  # r_sem rises all the time
    np.testing.assert_array_equal(widget.weighed.reward, expected.reward)


def test_what_the_trace_lacks_is_not_offered():
    assert list(switch_explorer(a_trace()).choices) == ["return", "reward"]
    by_reward = switch_explorer(a_trace(compares="reward"))
    assert list(by_reward.choices) == ["reward"]
    assert by_reward.settings["compares"] == "reward"


# --- the page's own script -------------------------------------------------------------------------------------------


def page_makes(widget, settings: dict) -> dict:
    """What the page computes and draws with these settings."""
    program = """
        const { episode, choices, settings } = JSON.parse(process.argv[1]);
        const { words, compared } = choices[settings.compares];
        const found = weigh({ ...episode, compared }, settings);
        const drawn = draw({ ...episode, compared }, found, words);
        console.log(JSON.stringify({ ...found, said: describe(found), drawn, knobs: KNOBS }));
    """
    given = json.dumps({"episode": widget.episode, "choices": widget.choices, "settings": settings})
    command = ["node", "--input-type=module", "--eval", script("switch") + program, given]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="runs the page's script with Node.js")


@needs_node
@pytest.mark.parametrize("compares", ["reward", "return"])
@pytest.mark.parametrize("k", [37, 50, 90])  # at 50 a state is the threshold itself
def test_the_page_weighs_as_the_switch_does(compares, k):
    widget = switch_explorer(a_trace())
    widget.settings = {**widget.defaults, "percentile": k, "compares": compares, "explore_semantic": 0.7}
    page, found = page_makes(widget, widget.settings), widget.weighed
    assert {name for name, *_ in page["knobs"]} | {"compares"} == set(widget.settings)
    assert page["exploring"] == found.exploring.tolist()
    np.testing.assert_allclose(page["threshold"], found.threshold, rtol=1e-6)
    np.testing.assert_allclose(page["reward"], found.reward, rtol=1e-5)
    for name, part in found.parts.items():
        np.testing.assert_allclose(page["parts"][name], part, rtol=1e-5)


@needs_node
def test_the_drawing_is_an_accessible_picture_of_the_numbers():
    trace = a_trace()
    widget = switch_explorer(trace)
    page = page_makes(widget, {**widget.settings, "percentile": 50})
    root = ElementTree.fromstring(page["drawn"])
    assert root.get("role") == "img"
    assert root.get("aria-label") == page["said"]
    assert "explore in 7 of 13 states" in page["said"]
    assert len(root.findall(f"{SVG}rect[@class='explore']")) == 2 * 7
    lines = root.findall(f"{SVG}polyline")
    assert [len(line.get("points").split()) for line in lines] == [STEPS + 1, STEPS]
    heights = np.array([float(point.split(",")[1]) for point in lines[0].get("points").split()])
    assert np.corrcoef(heights, trace.compared)[0, 1] < -0.999  # SVG counts from above
    assert {"A", "B", "C"} <= {text.text for text in root.findall(f"{SVG}text")}
    colours = {element.get(name) for element in root.iter() for name in ("fill", "stroke")} - {None}
    assert all(colour in ("none", "currentColor") or colour.startswith("url(#hatch") for colour in colours)


@needs_node
def test_an_episode_where_nothing_changes_can_be_drawn():
    flat = np.zeros(STEPS + 1, np.float32)
    widget = switch_explorer(a_trace(semantic=flat, compared=flat, disagreement=flat[1:]))
    page = page_makes(widget, widget.settings)
    assert all(page["exploring"])  # a state at the threshold explores
    assert "NaN" not in page["drawn"]
    ElementTree.fromstring(page["drawn"])
