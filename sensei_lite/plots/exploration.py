"""How an agent explores, as pictures for people: one episode, one state of it, and what it caused while it learned.

Every figure comes with its alt text. Nothing is told by colour alone: where the switch says explore a band is hatched,
agents have dash styles and their names at the line, events have letters. All of it reads in greyscale.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from sensei_lite.plots.reward import Drawing
from sensei_lite.plots.style import EVENT_WORDS
from sensei_lite.plots.trace import Gauge, Trace, gauges_of
from sensei_lite.training.evaluate import read_chunks

STYLES: tuple[tuple[str, tuple | str], ...] = (
    ("black", "solid"),
    ("0.4", (0, (5, 2))),
    ("black", (0, (1, 1.5))),
    ("0.4", (0, (6, 1.5, 1, 1.5))),
    ("black", (0, (8, 1.5, 1, 1.5, 1, 1.5))),
)
"""Colour and dashes of each agent's line, in order."""

SEMANTIC, PICTURE = "$r_{sem}$, predicted", "$R_\\psi$ of the picture"
VALUE, NEW = "$v_{sem}$, by the critic", "$r_{dis}$"
LABELS = {"taste": PICTURE, "semantic": SEMANTIC, "compared": VALUE, "disagreement": f"{NEW}, disagreement"}
"""What the numbers of a trace are called in figures."""


def words_for(events: Sequence[str]) -> str:
    """The events of one step in words; standing at the door with the key is said once. Empty where there are none."""
    names = [name for name in events if not (name == "door_reached" and "door_reached_with_key" in events)]
    words = EVENT_WORDS | {"door_reached_with_key": "stands at the door with the key"}
    return " and ".join(words.get(name, name.replace("_", " ")) for name in names)


def rounded(value: float) -> str:
    """A number in at most three digits that count, without an exponent; whole from 100 on."""
    if not math.isfinite(value):
        return "none"
    return f"{value:,.0f}" if abs(value) >= 100 else np.format_float_positional(float(f"{value:.3g}"), trim="-")


def moments_of(trace: Trace, most: int = 7) -> list[int]:
    """The steps worth a picture: the start, the first time that each event happened, the end; ``most`` at most."""
    first = {int(happened.argmax()) for happened in trace.events.values() if happened.any()}
    inner = sorted(first - {0, trace.steps})[: most - 2]
    return sorted({0, *inner, trace.steps})


# --- one episode -----------------------------------------------------------------------------------------------------


def trace_figure(trace: Trace, *, width: float = 9.0) -> Drawing:
    """Both rewards along an episode, the switch, the events, and pictures of these; ``width`` in inches (from 3)."""
    moments = moments_of(trace)
    across = min(len(moments), max(3, int(width / 1.2)))
    strips = math.ceil(len(moments) / across)
    panels = [
        draw
        for draw, there in (
            (_draw_interest, trace.semantic is not None or trace.taste is not None),
            (_draw_compared, trace.compares == "return"),
            (_draw_disagreement, trace.disagreement is not None),
        )
        if there
    ]
    levels = _levels(moments, apart=0.27 / width * trace.steps)
    heights = [0.2 * (1 + max(levels)), *([1.7] * len(panels))]
    titles = [_title(trace, moments, number, letters_wide=int(15 * width / across)) for number in range(len(moments))]
    tall = trace.images.shape[1] / trace.images.shape[2]
    pictures = (0.28 + 0.16 * max(title.count("\n") + 1 for title in titles) + 0.94 * tall * width / across) * strips
    figure = Figure(figsize=(width, pictures + sum(heights) + 0.7), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[pictures, sum(heights) + 0.7])[:, 0]
    _draw_pictures(above, trace, moments, titles, strips, across)
    lane, *rows = below.subplots(
        1 + len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    _draw_letters(lane, moments, levels)
    for axes, draw in zip(rows, panels, strict=True):
        draw(axes, trace)
        for begin, end in spans(trace.exploring):
            axes.axvspan(begin - 0.5, end - 0.5, hatch="////", facecolor="0.93", edgecolor="0.8", linewidth=0, zorder=0)
        for t in moments:
            axes.axvline(t, color="0.55", linewidth=0.8, zorder=1)
        _plain(axes)
    last = [lane, *rows][-1]
    last.set_xlabel("step of the episode", fontsize=9)
    last.xaxis.set_major_locator(MaxNLocator(integer=True))
    last.set_xlim(-0.5, trace.steps + 0.5)
    if trace.exploring is not None:
        patches = [Patch(hatch="////", facecolor="0.93", edgecolor="0.6"), Patch(facecolor="white", edgecolor="0.6")]
        words = ["the switch says explore", "go"]
        below.legend(patches, words, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return Drawing(figure, _tell_trace(trace))


def _letter(number: int) -> str:
    return chr(ord("A") + number)


def _levels(moments: Sequence[int], apart: float) -> list[int]:
    """How high each letter stands, so that letters of one height are ``apart`` steps from each other."""
    levels: list[int] = []
    ends: list[float] = []  # the last letter of each height
    for t in moments:
        level = next((height for height, end in enumerate(ends) if t - end >= apart), len(ends))
        ends[level : level + 1] = [t]
        levels.append(level)
    return levels


def _title(trace: Trace, moments: Sequence[int], number: int, letters_wide: int) -> str:
    words = textwrap.wrap(_what_happened(trace, moments[number]), letters_wide)
    return "\n".join([f"{_letter(number)}: step {moments[number]}", *words])


def _draw_pictures(
    figure: SubFigure, trace: Trace, moments: Sequence[int], titles: Sequence[str], strips: int, across: int
) -> None:
    cells = figure.subplots(strips, across, squeeze=False).reshape(-1)
    for axes in cells:
        axes.set_axis_off()
    for axes, t, title in zip(cells, moments, titles, strict=False):
        axes.imshow(trace.images[t], interpolation="nearest")
        axes.set_title(title, fontsize=8)


def _draw_letters(axes: Axes, moments: Sequence[int], levels: Sequence[int]) -> None:
    box = {"boxstyle": "circle,pad=0.12", "facecolor": "white", "edgecolor": "black", "linewidth": 0.7}
    for number, (t, level) in enumerate(zip(moments, levels, strict=True)):
        axes.plot([t, t], [-0.5, level], color="0.55", linewidth=0.8)
        axes.text(t, level, _letter(number), ha="center", va="center", fontsize=7, bbox=box)
    axes.set_ylim(-0.5, max(levels) + 0.5)
    axes.set_axis_off()


def _draw_interest(axes: Axes, trace: Trace) -> None:
    steps = np.arange(trace.steps + 1)
    if trace.taste is not None:
        axes.plot(steps, trace.taste, color="0.7", linewidth=4.5, linestyle="-", label=PICTURE)
    if trace.semantic is not None:
        axes.plot(steps, trace.semantic, color="black", linewidth=1.4, linestyle="-", label=SEMANTIC)
    if trace.compares == "reward" and trace.threshold is not None:
        _draw_threshold(axes, trace.threshold)
    axes.set_ylabel("interest", fontsize=9)
    _legend(axes)


def _draw_compared(axes: Axes, trace: Trace) -> None:
    if trace.compared is not None and trace.threshold is not None:
        axes.plot(np.arange(trace.steps + 1), trace.compared, color="black", linewidth=1.6, linestyle="-", label=VALUE)
        _draw_threshold(axes, trace.threshold)
    axes.set_ylabel("semantic return", fontsize=9)
    _legend(axes)


def _draw_threshold(axes: Axes, threshold: float) -> None:
    axes.axhline(threshold, color="black", linestyle=(0, (1, 1.5)), linewidth=1.6, label=f"threshold {threshold:.2f}")


def _draw_disagreement(axes: Axes, trace: Trace) -> None:
    if trace.disagreement is not None:
        # A step belongs to no state but lies between two: it is drawn from one to the other.
        axes.stairs(trace.disagreement, np.arange(trace.steps + 1), baseline=None, color="black", linewidth=1.4)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"disagreement {NEW}", fontsize=9)


def _legend(axes: Axes) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 0.98),
        ncols=3,
        borderaxespad=0.1,
        frameon=False,
        fontsize=8,
        handlelength=1.6,
        columnspacing=1.0,
    )


def spans(flags: np.ndarray | None) -> list[tuple[int, int]]:
    """Where flags [n] are true without a break, as (first, one behind the last); none for None."""
    if flags is None:
        return []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def tell_moments(trace: Trace) -> list[str]:
    """What happened at each of `moments_of`, one line each."""
    return [f"step {t}: {_what_happened(trace, t)}" for t in moments_of(trace)]


def _what_happened(trace: Trace, t: int) -> str:
    words = [words_for(trace.happened(t))] if trace.happened(t) else []
    words += ["the start"] if t == 0 else []
    words += [("the end" if trace.is_terminal else "time is up")] if t == trace.steps else []
    return ", ".join(words)


def _tell_trace(trace: Trace) -> str:
    told = [f"An episode of {trace.steps} steps"]
    for name, values in (("predicted semantic reward", trace.semantic), ("disagreement", trace.disagreement)):
        if values is not None and len(values):
            told.append(f"{name} from {values.min():.2f} to {values.max():.2f}")
    if trace.exploring is not None:
        share = f"the switch says explore in {trace.exploring.sum()} of {len(trace.exploring)} states"
        told.append(f"{share}, those where the {_compared_words(trace)} is at least {trace.threshold:.2f}")
    moments = [f"{_letter(number)}, {line}" for number, line in enumerate(tell_moments(trace))]
    return f"{'; '.join(told)}. {'; '.join(moments)}."


def _compared_words(trace: Trace) -> str:
    return "predicted semantic reward" if trace.compares == "reward" else "semantic critic's value"


# --- one state -------------------------------------------------------------------------------------------------------


def state_figure(trace: Trace, t: int, *, width: float = 9.0) -> Drawing:
    """One state of an episode: its picture, both rewards, the switch with its threshold, and the weights.

    Every number stands on the range that it has in the episode. Raises IndexError where the episode has no step ``t``.
    """
    if not 0 <= t <= trace.steps:
        raise IndexError(f"t is {t}; this episode has the states 0 to {trace.steps}")
    gauges = gauges_of(trace)
    beside = width >= 6
    figure = Figure(figsize=(width, 3.4 if beside else 7.4), layout="constrained")
    if beside:
        left, middle, right = figure.subfigures(1, 3, squeeze=False, width_ratios=[1, 2, 1.1])[0]
    else:
        below = 0.75 * max(len(gauges), 1)
        left, middle, right = figure.subfigures(3, 1, squeeze=False, height_ratios=[2.6, below, 1.2])[:, 0]
    picture = left.subplots()
    picture.imshow(trace.images[t], interpolation="nearest")
    picture.set_axis_off()
    words = words_for(trace.happened(t))
    picture.set_title(f"step {t}" + (f":\n{words}" if words else ""), fontsize=10)
    if gauges:
        rows = middle.subplots(len(gauges), 1, squeeze=False)[:, 0]
        for axes, gauge in zip(rows, gauges, strict=True):
            _draw_gauge(axes, gauge, gauge.value(t))
    _draw_weights(right.subplots(), trace, t)
    verdict = _verdict(trace, t)
    figure.suptitle("\n".join(textwrap.wrap(verdict, int(11 * width))), fontsize=11)
    told = "; ".join(
        f"{LABELS[gauge.name]}: "
        + ("none, for no action follows" if (value := gauge.value(t)) is None else rounded(value))
        for gauge in gauges
    ).translate(str.maketrans("", "", "${}\\"))
    weights = ", ".join(f"{name} {values[t]:.2g}" for name, values in trace.weights.items())
    seen = f"A state after {t} steps" + (f" ({words})" if words else "")
    return Drawing(figure, f"{seen}. {verdict}. {told}. Weights: {weights}.")


def _draw_gauge(axes: Axes, gauge: Gauge, value: float | None) -> None:
    threshold = gauge.threshold
    axes.plot(gauge.values, np.zeros(len(gauge.values)), "|", color="0.65", markersize=7)
    if threshold is not None:
        axes.axvline(threshold, color="black", linestyle=(0, (1, 1.5)), linewidth=1.8)
        # On the side where the number of this state is not.
        side = -1 if value is not None and value > threshold else 1
        axes.annotate(
            f"threshold {threshold:.2f}",
            (threshold, 0.8),
            (4 * side, 0),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            fontsize=8,
        )
    if value is not None:
        axes.plot(value, 0, "o", color="black", markersize=8)
        axes.annotate(rounded(value), (value, 0), (0, 8), textcoords="offset points", ha="center", fontsize=10)
    axes.set(xlim=(gauge.low, gauge.high), ylim=(-0.6, 1.4), yticks=[])
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=8)
    axes.set_title(LABELS[gauge.name], loc="left", fontsize=9)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _draw_weights(axes: Axes, trace: Trace, t: int) -> None:
    names = list(trace.weights)
    numbers = [float(trace.weights[name][t]) for name in names]
    hatches = ["", "////", "....", "xxxx"]
    for row, (number, hatch) in enumerate(zip(numbers, hatches, strict=False)):
        axes.barh(row, number, height=0.55, facecolor="white", edgecolor="black", hatch=hatch)
        axes.annotate(f"{number:.2g}", (number, row), (4, 0), textcoords="offset points", va="center", fontsize=10)
    top = max([float(values.max()) for values in trace.weights.values()], default=1.0)
    axes.set(xlim=(0, 1.25 * top), ylim=(len(names) - 0.4, -0.6))
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_xticks([])
    axes.set_title("weights", fontsize=9)
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _verdict(trace: Trace, t: int) -> str:
    if trace.exploring is None or trace.compared is None or trace.threshold is None:
        return "This agent has no switch: its weights are the same in every state"
    value, is_above = trace.compared[t], trace.exploring[t]
    held = f"{_compared_words(trace)} {value:.2f} is {'at or above' if is_above else 'below'}"
    return f"{'Explore' if is_above else 'Go'}: the {held} the threshold {trace.threshold:.2f}"


# --- learning curves -------------------------------------------------------------------------------------------------


def rates(chunks: Sequence[Mapping[str, float]], event: str, window: int) -> tuple[Float[np.ndarray, " n"], ...]:
    """Environment steps, and how often an event happened per 1,000 of them, over every ``window`` chunks in a row.

    A point stands in the middle of its window, and no number is made from less than a whole one. ``chunks`` are rows of
    events.csv. Raises ValueError where there are fewer chunks than that.
    """
    if not 1 <= window <= len(chunks):
        raise ValueError(f"window is {window}; of {len(chunks)} chunks it can be 1 to {len(chunks)}")
    steps, happened = (np.cumsum([0.0] + [chunk[name] for chunk in chunks]) for name in ("steps", event))
    in_window = steps[window:] - steps[:-window]
    rate = 1000 * (happened[window:] - happened[:-window]) / np.maximum(in_window, 1.0)
    return (steps[window:] + steps[:-window]) / 2, rate


def curves_figure(
    runs: Mapping[str, Path], events: Sequence[str], *, window: int | None = None, columns: int = 3
) -> Drawing:
    """How often each event happened while agents learned, per 1,000 environment steps, one panel for each event.

    ``runs`` gives an agent's name and the folder of its training run; an event that a run never counted is left out
    there. ``window``: how many chunks are taken together; None takes a tenth of them.

    Raises FileNotFoundError where a run has no events.csv, ValueError where there are no events.
    """
    if not events:
        raise ValueError("there are no events to draw")
    counts = {agent: read_chunks(folder) for agent, folder in runs.items()}
    columns = min(columns, len(events))
    lines = math.ceil(len(events) / columns)
    figure = Figure(figsize=(3.2 * columns + 0.2, 2.35 * lines + 0.3), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, squeeze=False).reshape(-1)
    told = []
    for axes, event in zip(panels, events, strict=False):
        ends: dict[str, float] = {}
        for (agent, chunks), (color, dashes) in zip(counts.items(), STYLES, strict=False):
            if event in chunks[0]:
                steps, rate = rates(chunks, event, window or max(1, len(chunks) // 10))
                axes.plot(steps, rate, color=color, linestyle=dashes, linewidth=1.7)
                ends[agent] = float(rate[-1])
                told.append(
                    f"{words_for([event])}, {agent}: {rounded(rate[0])} at first, {rounded(rate[-1])} at the end"
                )
        axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], 0.1))
        _label_ends(axes, ends)
        axes.set_title(words_for([event]), fontsize=10)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.tick_params(labelsize=8, labelbottom=True)
        _plain(axes)
    for axes in panels[len(events) :]:
        axes.set_axis_off()
    figure.supxlabel("environment steps", fontsize=10)
    figure.supylabel("times per 1,000 steps", fontsize=10)
    return Drawing(figure, f"Events per 1,000 environment steps while the agents learned. {'; '.join(told)}.")


def _label_ends(axes: Axes, ends: Mapping[str, float]) -> None:
    """Write every agent's name behind the end of its line, moved up where two would be written over each other."""
    low, high = axes.get_ylim()
    least, last = 0.11 * (high - low), -math.inf
    for agent, y in sorted(ends.items(), key=lambda item: item[1]):
        last = max(y, last + least)
        place = axes.get_yaxis_transform()
        axes.annotate(f" {agent}", (1.0, last), xycoords=place, va="center", fontsize=8, annotation_clip=False)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
