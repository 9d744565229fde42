"""R_psi as pictures for people: where it pays, when it pays, how sure it is, how it learned.

Every figure comes with its alt text, which says in words and numbers what is shown. Colours are from viridis, whose
brightness rises with the value, and nothing is told by colour alone: cells carry their numbers, lines their markers.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sensei_lite.plots.style import EVENT_WORDS, episode
from sensei_lite.reward.distil import Epoch
from sensei_lite.reward.metrics import Calibration, Estimate, Learned
from sensei_lite.reward.model import SemanticReward, rewards_of
from sensei_lite.worlds.grid import tiles
from sensei_lite.worlds.grid.world import GridState, GridWorld

SITUATIONS = {"without the key": (False, False), "with the key": (True, False), "with the lock open": (True, True)}
"""Whether the agent has the key and whether the lock is open."""


class Drawing(NamedTuple):
    """A figure and what it shows in words, for readers who cannot see it."""

    figure: Figure
    alt: str


def reward_landscape(
    world: GridWorld, state: GridState, reward: SemanticReward
) -> dict[str, Float[np.ndarray, "height width"]]:
    """R_psi with the agent at every cell of a room, in each of `SITUATIONS`; not a number where it cannot stand.

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


def landscape_figure(world: GridWorld, state: GridState, reward: SemanticReward) -> Drawing:
    """The room, and R_psi at every cell of it in each situation, as numbers on a heat map."""
    maps = reward_landscape(world, state, reward)
    shown = np.concatenate([values[np.isfinite(values)] for values in maps.values()])
    low, high = float(shown.min()), float(shown.max())
    figure = Figure(figsize=(4.1 * (1 + len(maps)), 4.6), layout="constrained")
    room, *panels = figure.subplots(1, 1 + len(maps))
    room.imshow(np.asarray(world.whole_picture(state, 4)))
    room.set_axis_off()
    room.set_title("the room", fontsize=12)
    for axes, (name, values) in zip(panels, maps.items(), strict=True):
        heat = axes.imshow(values, cmap="viridis", vmin=low, vmax=high)
        axes.patch.set(facecolor="white", edgecolor="0.75", hatch="////")  # no grey that could be a value
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(name, fontsize=12)
        _write_numbers(axes, values, low, high)
        _mark(axes, state, key_lies=not SITUATIONS[name][0])
    figure.colorbar(heat, ax=panels, label="R_psi (0: an average picture; 1: one deviation)", shrink=0.8, pad=0.02)
    best = {name: np.unravel_index(np.nanargmax(values), values.shape) for name, values in maps.items()}
    words = "; ".join(
        f"{name}: mean {np.nanmean(values):.2f}, highest {np.nanmax(values):.2f} at row {best[name][0]}, "
        f"column {best[name][1]}"
        for name, values in maps.items()
    )
    key, lock = np.asarray(state.layout.key), np.asarray(state.layout.lock)
    where = f"The key lies at row {key[0]}, column {key[1]}; the lock is at row {lock[0]}, column {lock[1]}."
    return Drawing(figure, f"A room and three heat maps of R_psi with the agent at each of its cells. {words}. {where}")


def _write_numbers(axes: Axes, values: np.ndarray, low: float, high: float) -> None:
    size = max(5.0, 70 / max(values.shape))
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            bright = value > (low + high) / 2
            axes.text(
                column,
                row,
                f"{value:.1f}",
                ha="center",
                va="center",
                fontsize=size,
                color="black" if bright else "white",
            )


def _mark(axes: Axes, state: GridState, *, key_lies: bool) -> None:
    """Words where the key, the lock and the goal are, at the foot of their cells."""
    places = {"lock": state.layout.lock, "goal": state.layout.goal} | ({"key": state.layout.key} if key_lies else {})
    style = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "black", "linewidth": 0.6}
    for name, place in places.items():
        row, column = np.asarray(place)
        axes.text(column, row + 0.34, name, ha="center", va="center", fontsize=7, bbox=style)


def episode_figure(
    world: GridWorld, state: GridState, actions: Sequence[int], reward: SemanticReward, title: str
) -> Drawing:
    """R_psi along an episode, with what happened."""
    states, events = episode(world, state, actions)
    images = _render_each(world, jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))
    values = rewards_of(reward, np.asarray(images))
    figure = Figure(figsize=(8.5, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.plot(values, color="black", marker="o", markersize=4, linewidth=1.4)
    span = max(float(np.ptp(values)), 1e-3)
    moments = [t for t, names in enumerate(events) if names]
    told = []
    for number, t in enumerate(moments):
        words = _words_of(events[t])
        told.append(f"step {t}: {words} ({values[t]:.2f})")
        # Each stands higher than the one before, so that the words of neighbouring steps do not meet.
        top = values.max() + (0.08 + 0.12 * number) * span
        axes.vlines(t, values[t], top, color="0.55", linewidth=0.9, linestyle="--")
        right = t > 0.6 * len(values)
        axes.text(t, top, f" {words} ", ha="right" if right else "left", va="bottom", fontsize=9)
    axes.set_ylim(values.min() - 0.08 * span, values.max() + (0.15 + 0.12 * len(moments)) * span)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="step of the episode", ylabel="R_psi", title=title)
    _plain(axes)
    ends = f"from {values[0]:.2f} at the start to {values[-1]:.2f} at the end"
    return Drawing(figure, f"R_psi along an episode of {len(actions)} steps, {ends}. {'; '.join(told)}.")


def _words_of(events: Sequence[str]) -> str:
    """The events of one step; standing at the door with the key is said once."""
    names = [name for name in events if not (name == "door_reached" and "door_reached_with_key" in events)]
    words = EVENT_WORDS | {"door_reached_with_key": "stands at the door with the key"}
    return " and ".join(words.get(name, name) for name in names)


@functools.partial(jax.jit, static_argnums=0)
def _render_each(world: GridWorld, states: GridState) -> Array:
    return jax.vmap(world.render)(states)


def situation_figure(means: Mapping[str, Estimate]) -> Drawing:
    """Mean R_psi in named situations (`reward_report.mean_rewards`), with intervals."""
    figure = Figure(figsize=(6.5, 0.9 + 0.5 * len(means)), layout="constrained")
    axes = figure.subplots()
    for row, one in enumerate(means.values()):
        low, high = (np.clip(bound, -1e3, 1e3) for bound in (one.low, one.high))
        axes.plot([low, high], [row, row], color="black", linewidth=2, marker="|", markersize=9)
        axes.plot(one.mean, row, marker="o", color="black", markersize=7)
        axes.annotate(f"{one.mean:.2f}", (one.mean, row), (0, 8), textcoords="offset points", ha="center", fontsize=9)
    axes.axvline(0, color="0.6", linewidth=0.8)
    axes.set_yticks(range(len(means)), [name.replace("_", " ") for name in means])
    axes.set_ylim(len(means) - 0.5, -0.7)
    axes.set_xlabel("mean R_psi, with the 95% interval over episodes")
    _plain(axes)
    told = "; ".join(f"{name} {one.mean:.2f} ({one.low:.2f} to {one.high:.2f})" for name, one in means.items())
    return Drawing(figure, f"Mean R_psi in each situation, with 95% intervals: {told}.")


def calibration_figure(calibration: Calibration) -> Drawing:
    """Predicted probabilities against the annotator's answers; the area of a dot is its number of pairs."""
    figure = Figure(figsize=(4.8, 4.8), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="perfectly calibrated")
    area = 25 + 375 * calibration.pairs / calibration.pairs.max()
    axes.plot(calibration.predicted, calibration.observed, color="black", linewidth=1)
    axes.scatter(calibration.predicted, calibration.observed, s=area, facecolor="0.75", edgecolor="black", zorder=3)
    axes.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), aspect="equal")
    axes.set(xlabel="predicted P[first preferred]", ylabel="share of answers for the first")
    axes.set_title(f"{calibration.pairs.sum()} pairs, expected calibration error {calibration.error:.3f}", fontsize=11)
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    _plain(axes)
    points = zip(calibration.predicted, calibration.observed, calibration.pairs, strict=True)
    told = "; ".join(f"{p:.2f} predicted, {o:.2f} answered ({n} pairs)" for p, o, n in points)
    return Drawing(figure, f"Calibration of R_psi, error {calibration.error:.3f}. {told}.")


def learning_figure(history: Sequence[Epoch], best: Epoch) -> Drawing:
    """Loss and held-out accuracy after each epoch of distillation."""
    figure = Figure(figsize=(8.5, 3.4), layout="constrained")
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
        _plain(axes)
    left.legend(frameon=False, fontsize=9)
    return Drawing(
        figure,
        f"Distillation over {len(history)} epochs: held-out loss from {history[0].held_out_loss:.3f} to "
        f"{best.held_out_loss:.3f} nats at epoch {best.number}, which is kept; held-out accuracy there "
        f"{best.held_out_accuracy:.3f}.",
    )


def pairs_figure(results: Sequence[Learned], ceiling: float | None = None) -> Drawing:
    """Held-out accuracy against the number of training pairs; ``ceiling`` is what the truth itself would get."""
    figure = Figure(figsize=(6.0, 3.8), layout="constrained")
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
    axes.legend(frameon=False, loc="lower right", fontsize=9)
    _plain(axes)
    told = "; ".join(f"{one.pairs} pairs {one.accuracy:.3f} ({one.low:.3f} to {one.high:.3f})" for one in results)
    limit = f" The annotator's own noise allows {ceiling:.3f}." if ceiling is not None else ""
    return Drawing(figure, f"Held-out accuracy grows with the number of training pairs: {told}.{limit}")


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
