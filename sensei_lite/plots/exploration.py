"""How an agent explores: one episode, one state of it, and the events that it caused while it learned.

Every figure comes with its alt text. Nothing is told by colour alone: where the switch says explore a band is hatched,
agents have dashes and markers, events have letters. All of it reads in greyscale.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from sensei_lite.plots.style import FigureWithAlt, agent_style, in_style, rounded, words_for
from sensei_lite.plots.trace import Trace
from sensei_lite.training.evaluate import over_seeds, read_chunks
from sensei_lite.training.jax_loop import EPISODES_WITH

LABELS = {
    "r_psi": "$R_\\psi$ of the picture",
    "semantic": "$r_{sem}$, predicted",
    "compared": "$v_{sem}$, by the critic",
    "disagreement": "$r_{dis}$, disagreement",
}
"""What the numbers of a trace are called in figures."""
_DOTTED: dict[str, Any] = {"color": "black", "linestyle": (0, (1, 1.5)), "linewidth": 1.6}
_HATCHED: dict[str, Any] = {"hatch": "////", "facecolor": "0.93"}


def moments_of(trace: Trace, most: int = 7) -> list[int]:
    """Return the steps worth a picture: the start, each event's first time, the end; ``most`` at most."""
    first = {int(happened.argmax()) for happened in trace.events.values() if happened.any()}
    inner = sorted(first - {0, trace.steps})[: most - 2]
    return sorted({0, *inner, trace.steps})


def tell_moments(trace: Trace) -> list[str]:
    """Say what happened at each of `moments_of`, one line each."""
    return [f"step {t}: {_what_happened(trace, t)}" for t in moments_of(trace)]


def _what_happened(trace: Trace, t: int) -> str:
    words = [words_for(trace.happened(t))] if trace.happened(t) else []
    words += ["the start"] if t == 0 else []
    words += [("the end" if trace.is_terminal else "time is up")] if t == trace.steps else []
    return ", ".join(words)


def spans(flags: np.ndarray | None) -> list[tuple[int, int]]:
    """Return where flags [n] are true without a break, as (first, one behind the last); none for None."""
    if flags is None:
        return []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


# --- one episode -----------------------------------------------------------------------------------------------------


@in_style
def trace_figure(trace: Trace, *, width: float = 9.0) -> FigureWithAlt:
    """Draw the rewards along an episode, the switch, the events, and pictures of these; ``width`` in inches, from 3."""
    moments, rows = moments_of(trace), [row for row in _rows_of(trace) if row[1]]
    columns = min(len(moments), max(3, int(width / 1.2)))
    strips = math.ceil(len(moments) / columns)
    levels = _levels(moments, apart=0.27 / width * trace.steps)
    heights = [0.2 * (1 + max(levels)), *([1.7] * len(rows))]
    labels = [f"{_letter(i)}: step {t}\n" + _wrapped(trace, t, 15 * width / columns) for i, t in enumerate(moments)]
    shape = trace.images.shape[1] / trace.images.shape[2]
    lines = max(label.count("\n") for label in labels) + 1
    pictures = strips * (shape * width / columns + 0.19 * lines + 0.1)
    figure = Figure(figsize=(width, pictures + sum(heights) + 0.7))
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[pictures, sum(heights) + 0.7])[:, 0]
    cells = above.subplots(strips, columns, squeeze=False).reshape(-1)
    for axes in cells:
        axes.set_axis_off()
        axes.set_anchor("S")  # what height is left over belongs to the words above
    for axes, t, label in zip(cells[: len(moments)], moments, labels, strict=True):
        axes.imshow(trace.images[t], interpolation="nearest")
        axes.set_title(label, fontsize=8)
    lane, *panels = below.subplots(1 + len(rows), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    _draw_letters(lane, moments, levels)
    for axes, (name, curves, has_threshold) in zip(panels, rows, strict=True):
        for key, values, look in curves:
            if len(values) == trace.steps:  # a step belongs to no state: it is drawn from one to the next
                axes.stairs(values, np.arange(trace.steps + 1), baseline=None, color="black", linewidth=1.4)
                axes.set_ylim(bottom=0)
            else:
                axes.plot(values, linestyle="-", label=LABELS[key], **look)
        if has_threshold and trace.threshold is not None:
            axes.axhline(trace.threshold, label=f"threshold {trace.threshold:.2f}", **_DOTTED)
        for begin, end in spans(trace.exploring):
            axes.axvspan(begin - 0.5, end - 0.5, edgecolor="0.8", linewidth=0, zorder=0, **_HATCHED)
        for t in moments:
            axes.axvline(t, color="0.55", linewidth=0.8, linestyle="-", zorder=1)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=3, borderaxespad=0.1, fontsize=8)
        axes.set_ylabel(name, fontsize=9)
        axes.tick_params(labelsize=8)
    last = [lane, *panels][-1]
    last.set_xlabel("step of the episode", fontsize=9)
    last.xaxis.set_major_locator(MaxNLocator(integer=True))
    last.set_xlim(-0.5, trace.steps + 0.5)
    if trace.exploring is not None:
        patches = [Patch(edgecolor="0.6", **_HATCHED), Patch(facecolor="white", edgecolor="0.6")]
        below.legend(patches, ["the switch says explore", "go"], loc="outside lower center", ncols=2, fontsize=9)
    return FigureWithAlt(figure, _tell_trace(trace))


def _rows_of(trace: Trace) -> list[tuple]:
    """Return for each panel its name, its curves (name, values, look), and whether the threshold belongs to it."""
    thin, by_return = {"color": "black", "linewidth": 1.4}, trace.compares == "return"
    rows = (
        ("interest", {"r_psi": {"color": "0.7", "linewidth": 4.5}, "semantic": thin}, trace.compares == "reward"),
        ("semantic return", {"compared": thin} if by_return else {}, True),
        (LABELS["disagreement"], {"disagreement": thin}, False),
    )
    return [
        (
            name,
            [(key, values, look) for key, look in curves.items() if (values := getattr(trace, key)) is not None],
            mark,
        )
        for name, curves, mark in rows
    ]


def _letter(number: int) -> str:
    return chr(ord("A") + number)


def _wrapped(trace: Trace, t: int, letters: float) -> str:
    return "\n".join(textwrap.wrap(_what_happened(trace, t), int(letters)))


def _levels(moments: Sequence[int], apart: float) -> list[int]:
    """Return how high each letter stands, so that letters of one height are ``apart`` steps from each other."""
    levels: list[int] = []
    ends: list[float] = []  # the last letter of each height
    for t in moments:
        level = next((height for height, end in enumerate(ends) if t - end >= apart), len(ends))
        ends[level : level + 1] = [t]
        levels.append(level)
    return levels


def _draw_letters(axes: Axes, moments: Sequence[int], levels: Sequence[int]) -> None:
    box = {"boxstyle": "circle,pad=0.12", "facecolor": "white", "edgecolor": "black", "linewidth": 0.7}
    for number, (t, level) in enumerate(zip(moments, levels, strict=True)):
        axes.plot([t, t], [-0.5, level], color="0.55", linewidth=0.8, linestyle="-")
        axes.text(t, level, _letter(number), ha="center", va="center", fontsize=7, bbox=box)
    axes.set_ylim(-0.5, max(levels) + 0.5)
    axes.set_axis_off()


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


@in_style
def state_figure(trace: Trace, t: int, *, width: float = 9.0) -> FigureWithAlt:
    """Draw one state of an episode: its picture, the rewards, the switch with its threshold, and the weights.

    Every number stands among those of the whole episode. Raises IndexError where the episode has no step ``t``.
    """
    if not 0 <= t <= trace.steps:
        raise IndexError(f"t is {t}; this episode has the states 0 to {trace.steps}")
    curves = [curve for _, row, _ in _rows_of(trace) for curve in row]
    if width >= 6:
        figure = Figure(figsize=(width, 3.4))
        left, middle, right = figure.subfigures(1, 3, squeeze=False, width_ratios=[1, 2, 1.1])[0]
    else:
        figure = Figure(figsize=(width, 7.4))
        heights = [2.6, 0.75 * max(len(curves), 1), 1.2]
        left, middle, right = figure.subfigures(3, 1, squeeze=False, height_ratios=heights)[:, 0]
    picture = left.subplots()
    picture.imshow(trace.images[t], interpolation="nearest")
    picture.set_axis_off()
    words, told = words_for(trace.happened(t)), []
    picture.set_title(f"step {t}" + (f":\n{words}" if words else ""))
    rows = middle.subplots(len(curves), 1, squeeze=False)[:, 0] if curves else []
    for axes, (key, values, _) in zip(rows, curves, strict=True):
        value = float(values[t]) if t < len(values) else None
        compared = "semantic" if trace.compares == "reward" else "compared"
        _draw_number(axes, key, values, value, trace.threshold if key == compared else None)
        said = "none, for no action follows" if value is None else rounded(value)
        plain = "".join(letter for letter in LABELS[key] if letter not in "${}\\")
        told.append(f"{plain}: {said}")
    if len(curves) > 1 and curves[1][0] == "semantic":
        rows[0].sharex(rows[1])  # R_psi and its prediction are there to be compared
    _draw_weights(right.subplots(), {name: float(values[t]) for name, values in trace.weights.items()})
    verdict = _verdict(trace, t)
    figure.suptitle("\n".join(textwrap.wrap(verdict, int(11 * width))), fontsize=11)
    weights = ", ".join(f"{name} {values[t]:.2g}" for name, values in trace.weights.items())
    seen = f"A state after {t} steps" + (f" ({words})" if words else "")
    return FigureWithAlt(figure, f"{seen}. {verdict}. {'; '.join(told)}. Weights: {weights}.")


def _draw_number(axes: Axes, key: str, values: np.ndarray, value: float | None, threshold: float | None) -> None:
    axes.plot(values, np.zeros(len(values)), "|", color="0.65", markersize=7)
    if threshold is not None:
        axes.axvline(threshold, **_DOTTED)
    if value is not None:
        axes.plot(value, 0, "o", color="black", markersize=8)
        axes.annotate(rounded(value), (value, 0), (0, 8), textcoords="offset points", ha="center", fontsize=10)
    axes.set(ylim=(-0.6, 1.4), yticks=[])
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=8)
    mark = "" if threshold is None else f"; dotted: the threshold {threshold:.2f}"
    axes.set_title(LABELS[key] + mark, loc="left", fontsize=9)
    axes.spines["left"].set_visible(False)


def _draw_weights(axes: Axes, weights: Mapping[str, float]) -> None:
    bars = axes.barh(list(weights), list(weights.values()), height=0.55, facecolor="white", edgecolor="black")
    axes.bar_label(bars, fmt="{:.2g}", padding=4)
    axes.set(xlim=(0, 1.25 * max(weights.values(), default=1.0)), xticks=[])
    axes.invert_yaxis()
    axes.set_title("weights", fontsize=9)
    axes.spines["bottom"].set_visible(False)


def _verdict(trace: Trace, t: int) -> str:
    if trace.exploring is None or trace.compared is None or trace.threshold is None:
        return "This agent has no switch: its weights are the same in every state"
    value, is_above = trace.compared[t], trace.exploring[t]
    held = f"{_compared_words(trace)} {value:.2f} is {'at or above' if is_above else 'below'}"
    return f"{'Explore' if is_above else 'Go'}: the {held} the threshold {trace.threshold:.2f}"


# --- learning curves -------------------------------------------------------------------------------------------------


def rates(chunks: Sequence[Mapping[str, float]], event: str, window: int) -> tuple[Float[np.ndarray, " n"], ...]:
    """Return environment steps, and how often an event happened per 1,000 of them, over every ``window`` chunks.

    A point stands in the middle of its window, and no number is made from less than a whole one. ``chunks`` are rows of
    events.csv. Raises ValueError where there are fewer chunks than that.
    """
    middle, steps, happened = _windows(chunks, window, "steps", event)
    return middle, 1000 * happened / np.maximum(steps, 1.0)


def shares(chunks: Sequence[Mapping[str, float]], event: str, window: int) -> tuple[Float[np.ndarray, " n"], ...]:
    """Return environment steps, and the share of episodes in which an event happened, over every ``window`` chunks.

    As `rates`; it is not a number where no episode ended.
    """
    middle, ended, happened = _windows(chunks, window, "episodes", f"{EPISODES_WITH}{event}")
    return middle, np.where(ended > 0, happened / np.maximum(ended, 1.0), np.nan)


def _windows(chunks: Sequence[Mapping[str, float]], window: int, *names: str) -> list[Float[np.ndarray, " n"]]:
    """Return the middle of every window in environment steps, and what was counted in it."""
    if not 1 <= window <= len(chunks):
        raise ValueError(f"window is {window}; of {len(chunks)} chunks it can be 1 to {len(chunks)}")
    steps, *sums = (np.cumsum([0.0] + [chunk[name] for chunk in chunks]) for name in ("steps", *names))
    return [(steps[window:] + steps[:-window]) / 2, *(of[window:] - of[:-window] for of in sums)]


@in_style
def curves_figure(
    runs: Mapping[str, Path], events: Sequence[str], *, window: int | None = None, columns: int = 3
) -> FigureWithAlt:
    """Draw in which share of the episodes each event happened while agents learned, a panel for each event.

    ``runs`` gives an agent's name (see `style.agent_style`) and the folder of its training run; an event that a run
    never counted is left out there. ``window``: how many chunks are taken together; None takes a tenth of them.

    Raises FileNotFoundError where a run has no events.csv, ValueError where there are no events.
    """
    if not events:
        raise ValueError("there are no events to draw")
    counts = {agent: read_chunks(folder) for agent, folder in runs.items()}
    columns = min(columns, len(events))
    height = 2.2 * math.ceil(len(events) / columns) + 0.3 + 0.25 * math.ceil(len(runs) / columns)
    figure = Figure(figsize=(3.2 * columns + 0.3, height))
    panels = figure.subplots(math.ceil(len(events) / columns), columns, sharex=True, squeeze=False).reshape(-1)
    told, lines = [], {}
    for axes, event in zip(panels[: len(events)], events, strict=True):
        for agent, chunks in counts.items():
            if f"{EPISODES_WITH}{event}" in chunks[0]:
                style = agent_style(agent)
                steps, share = shares(chunks, event, window or max(1, len(chunks) // 10))
                (lines[style.label],) = axes.plot(
                    steps, 100 * share, **style.line, linewidth=1.7, markersize=4, markevery=max(1, len(steps) // 6)
                )
                known = share[np.isfinite(share)]
                ends = f"{known[0]:.0%} at first, {known[-1]:.0%} at the end" if len(known) else "no episode ended"
                told.append(f"{words_for([event])}, {style.label}: {ends}")
        axes.set_ylim(0, 104)
        axes.set_title(words_for([event]))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.tick_params(labelsize=8, labelbottom=True)
    for axes in panels[len(events) :]:
        axes.set_axis_off()
    figure.supxlabel("environment steps", fontsize=10)
    figure.supylabel("% of episodes", fontsize=10)
    figure.legend(lines.values(), lines, loc="outside upper center", ncols=columns, fontsize=9)
    return FigureWithAlt(figure, f"Share of episodes with each event while the agents learned. {'; '.join(told)}.")


@in_style
def health_figure(found: Mapping[str, Mapping[int, float]]) -> FigureWithAlt:
    """Draw R2 of the predicted semantic reward against how many steps were dreamt (see `training.health`), by agent."""
    figure = Figure(figsize=(5.6, 3.6))
    axes = figure.subplots()
    for agent, r2 in found.items():
        style = agent_style(agent)
        axes.plot(list(r2), list(r2.values()), **style.line, label=style.label)
    axes.axhline(0, color="0.6", linestyle=":", label="no better than the mean")
    axes.set(xlabel="steps ahead (0: what is seen)", ylabel="$R^2$ of $r_{sem}$")
    axes.set_ylim(min(-0.1, axes.get_ylim()[0]), 1.02)
    axes.legend(fontsize=9)
    told = "; ".join(
        f"{agent_style(agent).label}: " + ", ".join(f"{value:.2f} at {k}" for k, value in r2.items())
        for agent, r2 in found.items()
    )
    return FigureWithAlt(figure, f"How well dreams foretell the semantic reward, R2 by steps ahead. {told}.")


@in_style
def study_figure(
    curves: Sequence[Mapping[str, str]], events: Sequence[str], agents: Sequence[str], *, columns: int = 3
) -> FigureWithAlt:
    """Draw the share of episodes with each event over training, from a study's curves.csv, a panel for each event.

    A line is the interquartile mean over seeds, a band its 95% interval (see `evaluate.over_seeds`); an agent with one
    seed has no band. Raises ValueError where an agent is not in the rows.
    """
    figure = Figure(figsize=(3.2 * columns + 0.3, 2.4 * math.ceil(len(events) / columns) + 0.8))
    panels = figure.subplots(math.ceil(len(events) / columns), columns, sharex=True, squeeze=False).reshape(-1)
    told, lines = [], {}
    for axes, event in zip(panels[: len(events)], events, strict=True):
        for agent in agents:
            rows = [row for row in curves if (row["agent"], row["event"]) == (agent, event)]
            seeds = sorted({row["seed"] for row in rows}, key=int)
            if not seeds:
                raise ValueError(f"nobody measured {event} of {agent}")
            steps = [int(row["steps"]) for row in rows if row["seed"] == seeds[0]]
            shares = 100 * np.array([[float(row["share"]) for row in rows if row["seed"] == seed] for seed in seeds])
            style = agent_style(agent)
            middle = shares[0]
            if len(seeds) > 1:
                summaries = [over_seeds(column.tolist()) for column in shares.T]
                middle = np.array([one.iqm for one in summaries])
                low, high = [one.low for one in summaries], [one.high for one in summaries]
                axes.fill_between(steps, low, high, color=style.line["color"], alpha=0.15, linewidth=0)
            (lines[style.label],) = axes.plot(steps, middle, **style.line, linewidth=1.6, markersize=4, markevery=4)
            told.append(f"{words_for([event])}, {style.label}: {middle[-1]:.0f}% at the end, {len(seeds)} seeds")
        axes.set(ylim=(0, 104), title=words_for([event]))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.tick_params(labelsize=8, labelbottom=True)
    for axes in panels[len(events) :]:
        axes.set_axis_off()
    figure.supxlabel("environment steps", fontsize=10)
    figure.supylabel("% of episodes", fontsize=10)
    figure.legend(lines.values(), lines, loc="outside upper center", ncols=columns, fontsize=9)
    return FigureWithAlt(figure, f"Share of episodes with each event over training. {'; '.join(told)}.")
