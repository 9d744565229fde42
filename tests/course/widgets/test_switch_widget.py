"""The switch's knobs over a recorded episode: what they make of it, against numbers that are worked out here."""

import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from sensei_lite.course.widgets.switch import SwitchWidget, compared_values, draw, switch_explorer, weigh
from sensei_lite.plots.exploration import spans
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
        taste=None,
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
        w = EXPLORE if c[t] >= np.float32(threshold) else GO
        arrived = w["semantic"] * trace.semantic[t] + w["disagreement"] * trace.disagreement[t - 1]
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


def move(widget: SwitchWidget, **changes) -> None:
    """What the page does when a slider is moved."""
    widget.set_state({"settings": {**widget.settings, **changes}})


def bands(widget: SwitchWidget) -> int:
    drawing = ElementTree.fromstring(widget.drawing)
    return len(drawing.findall(f"{SVG}rect[@class='explore']"))


def test_sliders_redraw_the_episode():
    widget = switch_explorer(a_trace())
    assert widget.defaults == {
        "percentile": 90.0,
        "compares": "return",
        "go_semantic": 1.0,
        "go_disagreement": 0.1,
        "explore_semantic": 0.3,
        "explore_disagreement": 1.0,
    }
    before = widget.drawing, widget.told
    move(widget, percentile=50)
    assert (widget.drawing, widget.told) != before
    assert widget.weighed.exploring.sum() == 7
    assert "explore in 7 of 13 states" in widget.told
    assert bands(widget) == 2 * len(spans(widget.weighed.exploring))

    reward = widget.weighed.reward
    move(widget, go_semantic=0.5, explore_disagreement=9.0)
    np.testing.assert_array_equal(widget.weighed.exploring.sum(), 7)
    expected = weigh(widget.trace, 50.0, {**GO, "semantic": 0.5}, {"semantic": 0.3, "disagreement": 9.0}, "return")
    np.testing.assert_allclose(widget.weighed.reward, expected.reward)
    assert (widget.weighed.reward != reward).all()

    move(widget, compares="reward")
    np.testing.assert_array_equal(widget.weighed.exploring, np.arange(STEPS + 1) >= 6)  # r_sem rises all the time
    assert bands(widget) == 2
    move(widget, **widget.defaults)
    assert (widget.drawing, widget.told) == before


def test_the_sliders_keep_their_keys():
    """Otherwise the arrow keys would move JupyterLab to another cell, and the sliders not at all."""
    assert 'addEventListener("keydown"' in SwitchWidget._esm
    assert "stopPropagation" in SwitchWidget._esm


def test_what_is_not_offered_is_not_taken():
    widget = switch_explorer(a_trace(compares="reward"))
    assert [choice["value"] for choice in widget.choices] == ["reward"]
    before = widget.told
    move(widget, compares="return", something=3)
    assert widget.told == before
    move(widget, percentile=1000)
    assert widget.weighed.exploring.sum() == 1


def test_the_drawing_is_an_accessible_picture_of_the_numbers():
    trace = a_trace()
    widget = switch_explorer(trace)
    root = ElementTree.fromstring(widget.drawing)
    assert root.get("role") == "img"
    assert root.get("aria-label") == widget.told
    lines = root.findall(f"{SVG}polyline")
    assert [len(line.get("points").split()) for line in lines] == [STEPS + 1, STEPS]
    heights = np.array([float(point.split(",")[1]) for point in lines[0].get("points").split()])
    assert np.corrcoef(heights, trace.compared)[0, 1] < -0.999  # SVG counts from above
    colours = {element.get(name) for element in root.iter() for name in ("fill", "stroke")} - {None}
    assert all(colour in ("none", "currentColor") or colour.startswith("url(#sensei") for colour in colours)
    assert "http" not in widget.drawing.replace("http://www.w3.org/2000/svg", "")


def test_two_drawings_of_a_page_do_not_share_a_pattern():
    first, second = (ElementTree.fromstring(switch_explorer(a_trace()).drawing) for _ in range(2))
    names = [next(drawing.iter(f"{SVG}pattern")).get("id") for drawing in (first, second)]
    assert names[0] != names[1]


def test_an_episode_where_nothing_changes_can_be_drawn():
    flat = np.zeros(STEPS + 1, np.float32)
    trace = a_trace(semantic=flat, compared=flat, disagreement=flat[1:])
    found = weigh(trace, 90.0, GO, EXPLORE, "return")
    assert found.exploring.all()  # a state at the threshold explores
    ElementTree.fromstring(draw(trace, found, "return", "hatch"))


def test_without_the_extra_the_error_names_it():
    code = "import sys; sys.modules['anywidget'] = None; import sensei_lite.course.widgets.switch"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert 'ImportError: widgets need more packages: pip install "sensei-lite[notebooks]"' in run.stderr
