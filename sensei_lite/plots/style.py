"""Pictures for people: made from worlds and results, never needed by the agent."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import matplotlib
import numpy as np
from cycler import cycler
from jaxtyping import Array
from matplotlib.figure import Figure

from sensei_lite.types import Image
from sensei_lite.worlds.base import Step
from sensei_lite.worlds.grid.world import GridState, GridWorld

EVENT_WORDS = {
    "key_seen": "sees the key",
    "key_picked_up": "takes the key",
    "door_reached": "stands at the door",
    "door_reached_with_key": "... with the key",
    "door_opened": "opens the door",
    "exit_reached": "reaches the exit",
    "chest_seen": "sees the chest",
    "chest_opened": "opens the chest",
}


LOOKS: dict[str, dict] = {
    "sensei": {"color": "#D55E00", "linestyle": "-", "marker": "o"},
    "plan2explore": {"color": "#0072B2", "linestyle": "--", "marker": "s"},
    "sensei-paper": {"color": "#E69F00", "linestyle": (0, (8, 2)), "marker": "P"},
    "sensei-no-switch": {"color": "#56B4E9", "linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "<"},
    "vlm-motif": {"color": "#009E73", "linestyle": "-.", "marker": "^"},
    "task": {"color": "#000000", "linestyle": (0, (6, 1.5, 1, 1.5)), "marker": "D"},
    "rnd": {"color": "#CC79A7", "linestyle": (0, (3, 1, 1, 1)), "marker": "v"},
    "random": {"color": "#666666", "linestyle": ":", "marker": "x"},
}
"""How an agent's line looks in every figure: a colour that the colour-blind tell apart, dashes and a marker of its own
(colours by Okabe and Ito)."""

STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",  # on a dark page a figure stays a white card, and its black text stays readable
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "axes.prop_cycle": cycler(
        color=["#0072B2", "#D55E00", "#009E73", "#000000", "#CC79A7", "#666666"],
        linestyle=["-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5)), (0, (3, 1, 1, 1))],
    ),
    "font.size": 10,
    "legend.frameon": False,
    "image.cmap": "viridis",
}


def use_style() -> None:
    """Draw all further figures of this program in the style of the book."""
    matplotlib.rcParams.update(STYLE)


def episode(world: GridWorld, state: GridState, actions: Sequence[int]) -> tuple[list[GridState], list[list[str]]]:
    """The states that a list of actions leads through (the start included), and the events on the way to each."""
    states, events = [state], [list[str]()]
    for action in actions:
        result = _step(world, states[-1], np.int32(action))
        states.append(result.state)
        events.append([name for name, happened in result.events.items() if happened])
    return states, events


def filmstrip(world: GridWorld, state: GridState, actions: Sequence[int], title: str, scale: int = 4) -> Figure:
    """The start of an episode and each moment at which something happened, side by side."""
    states, events = episode(world, state, actions)
    moments = [0] + [t for t, names in enumerate(events) if set(names) - {"key_seen"}]
    figure = Figure(figsize=(2.3 * len(moments), 3.1), layout="constrained")
    for axes, t in zip(figure.subplots(1, len(moments), squeeze=False)[0], moments, strict=True):
        axes.imshow(np.asarray(_render(world, states[t], scale)))
        axes.set_axis_off()
        names = [EVENT_WORDS[name] for name in events[t] if name != "key_seen"]
        axes.set_title("\n".join([f"step {t}", *names]) if t else "start", fontsize=10, verticalalignment="bottom")
    figure.suptitle(title, fontsize=12)
    return figure


@functools.partial(jax.jit, static_argnums=0)
def _step(world: GridWorld, state: GridState, action: Array) -> Step:
    return world.step(state, action, key=jax.random.key(0))  # grid worlds are deterministic


@functools.partial(jax.jit, static_argnums=(0, 2))
def _render(world: GridWorld, state: GridState, scale: int) -> Image:
    return world.render(state, scale)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG without the date and versions that would make every file differ."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"savefig.dpi": 110}):
        figure.savefig(path, metadata={"Software": None})
