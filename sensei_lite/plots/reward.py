"""R_psi as figures: where it pays, when it pays, how well it is calibrated, how it learned.

Every figure comes with its alt text, which says in words and numbers what is shown. Colours are from viridis, whose
brightness rises with the value, and nothing is told by colour alone: cells carry their numbers, lines their markers.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sensei_lite.plots.style import FigureWithAlt, episode, in_style, save_figure, words_for
from sensei_lite.reward.distil import Distilled, Epoch
from sensei_lite.reward.hacking import RewardHack, reward_hack_table
from sensei_lite.reward.metrics import Calibration, Estimate, Learned
from sensei_lite.reward.model import SemanticReward, rewards_of
from sensei_lite.worlds.grid import tiles
from sensei_lite.worlds.grid.oracle import shortest_plan
from sensei_lite.worlds.grid.world import GridState, GridWorld

SITUATIONS = {"without the key": (False, False), "with the key": (True, False), "with the lock open": (True, True)}
"""Whether the agent has the key and whether the lock is open."""
FRESH_ROOM = 1_000_000
"""Seed of the room in the figures of a run; observations come from seeds of their own."""


def reward_landscape(
    world: GridWorld, state: GridState, reward: SemanticReward
) -> dict[str, Float[np.ndarray, "height width"]]:
    """Compute R_psi with the agent at every cell of a room, in each of `SITUATIONS`; nan where it cannot stand.

    ``state`` gives the room. Nobody can stand where the key lies and not take it, nor behind a locked door.
    """
    rows, columns = world.grid_shape
    cells = jnp.stack(jnp.meshgrid(jnp.arange(rows), jnp.arange(columns), indexing="ij"), -1).reshape(-1, 2)
    layout = jax.tree.map(np.asarray, state.layout)
    maps = {}
    for name, (has_key, is_open) in SITUATIONS.items():
        images = _at_each_cell(world, state._replace(has_key=jnp.array(has_key), unlocked=jnp.array(is_open)), cells)
        kind = layout.kind.copy()
        kind[tuple(layout.lock)] = world.unlocked_kind if is_open else kind[tuple(layout.lock)]
        can_stand = tiles.WALKABLE[kind] & (is_open | (layout.region == 0))
        can_stand[tuple(layout.key)] &= has_key
        values = rewards_of(reward, np.asarray(images)).reshape(rows, columns)
        maps[name] = np.where(can_stand, values, np.nan)
    return maps


@functools.partial(jax.jit, static_argnums=0)
def _at_each_cell(world: GridWorld, state: GridState, cells: Array) -> Array:
    return jax.vmap(lambda cell: world.render(state._replace(agent=cell.astype(state.agent.dtype))))(cells)


@in_style
def landscape_figure(world: GridWorld, state: GridState, reward: SemanticReward, *, columns: int = 2) -> FigureWithAlt:
    """Draw the room, and R_psi at every cell of it in each of `SITUATIONS`, as numbers on a heat map."""
    maps = reward_landscape(world, state, reward)
    shown = np.concatenate([values[np.isfinite(values)] for values in maps.values()])
    low, high = float(shown.min()), float(shown.max())
    rows = math.ceil((1 + len(maps)) / columns)
    figure = Figure(figsize=(4.1 * columns, 4.3 * rows + 0.5), layout="compressed")
    room, *panels = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    room.imshow(np.asarray(world.whole_picture(state, 4)))
    room.set_axis_off()
    room.set_title("the room", fontsize=12)
    told = []
    for axes, (name, values) in zip(panels, maps.items(), strict=True):
        heat = axes.imshow(values, cmap="viridis", vmin=low, vmax=high)
        axes.patch.set(facecolor="white", edgecolor="0.75", hatch="////")  # no grey that could be a value
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=12)
        _write_numbers(axes, values, (low + high) / 2)
        _mark(axes, state, key_lies=not SITUATIONS[name][0])
        row, column = np.unravel_index(np.nanargmax(values), values.shape)
        highest = f"highest {np.nanmax(values):.2f} at row {row}, column {column}"
        told.append(f"{name}: mean {np.nanmean(values):.2f}, {highest}")
    label = "R_psi (0: mean, 1: one deviation)"
    figure.colorbar(heat, ax=[room, *panels], location="bottom", aspect=40, label=label)
    key, lock = np.asarray(state.layout.key), np.asarray(state.layout.lock)
    where = f"The key lies at row {key[0]}, column {key[1]}; the lock is at row {lock[0]}, column {lock[1]}."
    alt = f"A room and three heat maps of R_psi with the agent at each of its cells. {'; '.join(told)}. {where}"
    return FigureWithAlt(figure, alt)


def _write_numbers(axes: Axes, values: np.ndarray, middle: float) -> None:
    style = {"ha": "center", "va": "center", "fontsize": max(5.0, 70 / max(values.shape))}
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            axes.text(column, row, f"{value:.1f}", color="black" if value > middle else "white", **style)


def _mark(axes: Axes, state: GridState, *, key_lies: bool) -> None:
    """Write words where the key, the lock and the goal are, at the foot of their cells."""
    places = {"lock": state.layout.lock, "goal": state.layout.goal} | ({"key": state.layout.key} if key_lies else {})
    style = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "black", "linewidth": 0.6}
    for name, place in places.items():
        row, column = np.asarray(place)
        axes.text(column, row + 0.34, name, ha="center", va="center", fontsize=7, bbox=style)


@in_style
def episode_figure(
    world: GridWorld, state: GridState, actions: Sequence[int], reward: SemanticReward, title: str
) -> FigureWithAlt:
    """Draw R_psi along an episode, with what happened."""
    states, events = episode(world, state, actions)
    images = _render_each(world, jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))
    values = rewards_of(reward, np.asarray(images))
    figure = Figure(figsize=(8.5, 4.0))
    axes = figure.subplots()
    axes.plot(values, color="black", marker="o", markersize=4, linewidth=1.4)
    span = max(float(np.ptp(values)), 1e-3)
    moments = [t for t, names in enumerate(events) if names]
    told = []
    for number, t in enumerate(moments):
        words = words_for(events[t])
        told.append(f"step {t}: {words} ({values[t]:.2f})")
        # Each stands higher than the one before, so that the words of neighbouring steps do not meet.
        top = values.max() + (0.08 + 0.12 * number) * span
        axes.vlines(t, values[t], top, color="0.55", linewidth=0.9, linestyle="--")
        right = t > 0.6 * len(values)
        axes.text(t, top, f" {words} ", ha="right" if right else "left", va="bottom", fontsize=9)
    axes.set_ylim(values.min() - 0.08 * span, values.max() + (0.15 + 0.12 * len(moments)) * span)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="step of the episode", ylabel="R_psi", title=title)
    ends = f"from {values[0]:.2f} at the start to {values[-1]:.2f} at the end"
    return FigureWithAlt(figure, f"R_psi along an episode of {len(actions)} steps, {ends}. {'; '.join(told)}.")


@functools.partial(jax.jit, static_argnums=0)
def _render_each(world: GridWorld, states: GridState) -> Array:
    return jax.vmap(world.render)(states)


@in_style
def situation_figure(means: Mapping[str, Estimate]) -> FigureWithAlt:
    """Draw mean R_psi in named situations (`reward.metrics.mean_rewards`), with intervals where there are any."""
    figure = Figure(figsize=(5.2, 0.9 + 0.5 * len(means)))
    axes = figure.subplots()
    for row, one in enumerate(means.values()):
        if np.isfinite([one.low, one.high]).all():  # one episode alone has no interval
            axes.plot([one.low, one.high], [row, row], color="black", linestyle="-", linewidth=2, marker="|")
        axes.plot(one.mean, row, "o", color="black", markersize=7)
        axes.annotate(f"{one.mean:.2f}", (one.mean, row), (0, 8), textcoords="offset points", ha="center", fontsize=9)
    axes.axvline(0, color="0.6", linewidth=0.8)
    axes.set_yticks(range(len(means)), [name.replace("_", " ") for name in means])
    axes.set_ylim(len(means) - 0.5, -0.7)
    axes.set_xlabel("mean R_psi, with the 95% interval over episodes")
    told = "; ".join(f"{name} {one.mean:.2f} ({one.low:.2f} to {one.high:.2f})" for name, one in means.items())
    return FigureWithAlt(figure, f"Mean R_psi in each situation, with 95% intervals: {told}.")


@in_style
def calibration_figure(calibration: Calibration) -> FigureWithAlt:
    """Draw predicted probabilities against the annotator's answers; the area of a dot is its number of pairs."""
    figure = Figure(figsize=(4.8, 4.8))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="perfectly calibrated")
    area = 25 + 375 * calibration.pairs / calibration.pairs.max()
    axes.plot(calibration.predicted, calibration.observed, color="black", linestyle="-", linewidth=1)
    axes.scatter(calibration.predicted, calibration.observed, s=area, facecolor="0.75", edgecolor="black", zorder=3)
    axes.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), aspect="equal")
    axes.set(xlabel="predicted P[first preferred]", ylabel="share of answers for the first")
    axes.set_title(f"{calibration.pairs.sum()} pairs, expected calibration error {calibration.error:.3f}", fontsize=11)
    axes.legend(loc="upper left", fontsize=9)
    points = zip(calibration.predicted, calibration.observed, calibration.pairs, strict=True)
    told = "; ".join(f"{p:.2f} predicted, {o:.2f} answered ({n} pairs)" for p, o, n in points)
    return FigureWithAlt(figure, f"Calibration of R_psi, error {calibration.error:.3f}. {told}.")


@in_style
def learning_figure(history: Sequence[Epoch], best: Epoch) -> FigureWithAlt:
    """Draw loss and held-out accuracy after each epoch of distillation."""
    figure = Figure(figsize=(8.5, 3.4))
    left, right = figure.subplots(1, 2)
    numbers = [epoch.number for epoch in history]
    left.plot(numbers, [e.train_loss for e in history], color="0.55", linestyle="--", marker="s", label="training")
    left.plot(numbers, [e.held_out_loss for e in history], color="black", marker="o", label="held out")
    left.axhline(np.log(2), color="0.7", linestyle=":", label="a coin (log 2)")
    left.set(xlabel="epoch", ylabel="cross-entropy in nats")
    right.plot(numbers, [e.held_out_accuracy for e in history], color="black", marker="o")
    right.axhline(0.5, color="0.7", linestyle=":")
    right.set(xlabel="epoch", ylabel="held-out pair accuracy (a coin: 0.5)", ylim=(0.45, 1.0))
    for axes in (left, right):
        axes.axvline(best.number, color="0.75", linewidth=5, alpha=0.6, zorder=0, label="kept")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend(fontsize=9)
    return FigureWithAlt(
        figure,
        f"Distillation over {len(history)} epochs: held-out loss from {history[0].held_out_loss:.3f} to "
        f"{best.held_out_loss:.3f} nats at epoch {best.number}, which is kept; held-out accuracy there "
        f"{best.held_out_accuracy:.3f}.",
    )


@in_style
def pairs_figure(results: Sequence[Learned], ceiling: float | None = None) -> FigureWithAlt:
    """Draw held-out accuracy against the number of training pairs; ``ceiling`` is what the truth itself would get."""
    figure = Figure(figsize=(6.0, 3.8))
    axes = figure.subplots()
    pairs, accuracy = np.array([one.pairs for one in results]), np.array([one.accuracy for one in results])
    ends = np.abs(np.array([[one.low, one.high] for one in results]).T - accuracy)
    axes.errorbar(pairs, accuracy, ends, color="black", marker="o", capsize=4, label="R_psi, 95% interval")
    if ceiling is not None:
        axes.axhline(ceiling, color="0.5", linestyle="--", label=f"noise ceiling {ceiling:.3f}")
    axes.set_xscale("log")
    # Numbers that stand close together would be written over each other: the larger one is named.
    named = [number for number, larger in zip(pairs, [*pairs[1:], np.inf], strict=True) if larger > 1.5 * number]
    axes.set_xticks(named, [f"{number:,}" for number in named], minor=False)
    axes.minorticks_off()
    axes.set(xlabel="training pairs", ylabel="held-out pair accuracy")
    axes.legend(loc="lower right", fontsize=9)
    told = "; ".join(f"{one.pairs} pairs {one.accuracy:.3f} ({one.low:.3f} to {one.high:.3f})" for one in results)
    limit = f" The annotator's own noise allows {ceiling:.3f}." if ceiling is not None else ""
    return FigureWithAlt(figure, f"Held-out accuracy grows with the number of training pairs: {told}.{limit}")


def save_reward_figures(
    folder: Path,
    world: object,
    distilled: Distilled,
    calibration: Calibration,
    means: Mapping[str, Estimate],
    reward_hacks: Sequence[RewardHack],
) -> list[Path]:
    """Write the figures of a distilled reward into ``folder/figures``, with the page ``folder/semantic_reward.md``.

    ``world`` says whether there is a room to draw; ``means`` and ``reward_hacks`` may be empty.
    Returns the paths of what was written, the page last.
    """
    drawings = {"learning": learning_figure(distilled.history, distilled.best)}
    drawings["calibration"] = calibration_figure(calibration)
    if means:
        drawings["situations"] = situation_figure(means)
    if isinstance(world, GridWorld):
        state, title = jax.jit(world.reset)(key=jax.random.key(FRESH_ROOM)), "R_psi along a shortest solution"
        drawings["landscape"] = landscape_figure(world, state, distilled.reward)
        plan = shortest_plan(world, state)
        drawings["episode"] = episode_figure(world, state, plan, distilled.reward, title)
    paths, lines = [], ["# The semantic reward R_psi", ""]
    for name, drawing in drawings.items():
        paths.append(folder / "figures" / f"{name}.png")
        save_figure(drawing.figure, paths[-1])
        lines += [f"![{drawing.alt}](figures/{name}.png)", "", drawing.alt, ""]
    if reward_hacks:
        lines += ["## Reward hacking", "", reward_hack_table(reward_hacks), ""]
    page = folder / "semantic_reward.md"
    page.write_text("\n".join(lines), encoding="utf-8")
    return [*paths, page]
