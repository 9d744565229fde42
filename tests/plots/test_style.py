"""Agents look the same in every figure, numbers are short, and what stands on a page cannot break it."""

import numpy as np
from IPython.display import HTML
from matplotlib.figure import Figure

from sensei_lite.plots import style
from sensei_lite.plots.style import FigureWithAlt, agent_style, picture, rounded, show, table, video, words_for
from sensei_lite.presets import AGENTS


def test_no_two_agents_look_alike_and_another_name_has_its_own_look():
    styles = [agent_style(name) for name in AGENTS]
    assert [one.label for one in styles] == [agent.label for agent in AGENTS.values()]
    for part in ("color", "linestyle", "marker"):
        assert len({one.line[part] for one in styles}) == len(AGENTS), part
    mine, other = agent_style("my-percentile"), agent_style("my-entropy")
    assert mine == agent_style("my-percentile")
    assert mine.label == "my-percentile"
    assert mine.line["color"] not in {other.line["color"], *(one.line["color"] for one in styles)}
    Figure().subplots().plot([0, 1], **mine.line)  # matplotlib knows all of it


def test_words_and_numbers():
    assert words_for(["door_reached", "door_reached_with_key"]) == "stands at the door with the key"
    assert words_for(["key_seen", "lever_pulled"]) == "sees the key and lever pulled"
    assert [rounded(x) for x in (1234.5, 107.2, 12.345, 0.0012345, 0.0, -2.0, float("nan"))] == [
        *("1,234", "107", "12.3", "0.00123", "0", "-2", "none")
    ]


def test_words_cannot_become_tags(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda thing: shown.append(thing.data))
    figure = Figure(figsize=(2, 1))
    show(FigureWithAlt(figure, 'a "b" <b>'), tmp_path / "figures" / "a.png", "<b>", narrow=FigureWithAlt(figure, ""))
    assert (tmp_path / "figures" / "a.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "a.mp4").write_bytes(b"film")
    image = picture(np.zeros((2, 3, 3), np.uint8), "a <b>")
    shown += [image.data, video(tmp_path / "a.mp4", "<b>", ["<b>"]).data]
    shown += [table(["a <b>", "b"], [["<b>", image], ["c", 2]], 'say "<b>"').data]
    for piece in shown:
        assert "&lt;b&gt;" in piece
        assert "<b>" not in piece
    assert image.data in shown[-1], "what is HTML already stays so"
    assert isinstance(image, HTML)


def test_a_figure_is_drawn_in_the_style_and_leaves_other_figures_alone():
    @style.in_style
    def draw():
        return Figure().subplots().spines["top"].get_visible()

    assert not draw()
    assert Figure().subplots().spines["top"].get_visible()
