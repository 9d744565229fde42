"""One style for every figure: how agents look, what events are called, how numbers are written, and alt text.

Nothing is told by colour alone: an agent has a colour that the colour-blind tell apart, dashes and a marker of its own.
"""

import base64
import functools
import io
import math
import zlib
from collections.abc import Sequence
from colorsys import hsv_to_rgb
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import jax
import matplotlib
import numpy as np
from cycler import cycler
from jaxtyping import Array, UInt8
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image as Picture

from sensei_lite.presets import AGENTS
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


class AgentStyle(NamedTuple):
    """How an agent is called and drawn in every figure."""

    label: str
    line: dict[str, Any]
    """Colour, dashes and marker, as keywords of matplotlib's ``plot``."""


_DASHES = (
    ":",
    (0, (3, 1, 1, 1)),
    "--",
    "-.",
    (0, (5, 1, 1, 1, 1, 1)),
    (0, (8, 2)),
    "-",
    (0, (4, 1)),
    (0, (6, 2, 1, 2)),
    (0, (2, 2)),
    (0, (10, 2, 2, 2)),
)
_MARKERS = "xvs^<PoXDh*"


def agent_style(name: str) -> AgentStyle:
    """Return an agent's style: label and colour from `presets.AGENTS`; of another agent, all is made from its name."""
    number = list(AGENTS).index(name) if name in AGENTS else zlib.crc32(name.encode())
    label, colour = name, to_hex(hsv_to_rgb(number % 360 / 360, 0.9, 0.6))
    if name in AGENTS:
        label, colour = AGENTS[name].label, AGENTS[name].colour
    dashes, marker = _DASHES[number % len(_DASHES)], _MARKERS[number % len(_MARKERS)]
    return AgentStyle(label, {"color": colour, "linestyle": dashes, "marker": marker})


LOOKS = {name: agent_style(name).line for name in AGENTS}

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

in_style = matplotlib.rc_context(STYLE)
"""Decorate a function so that it draws in the style of the book."""


def use_style() -> None:
    """Draw all further figures of this program in the style of the book."""
    matplotlib.rcParams.update(STYLE)


def words_for(events: Sequence[str]) -> str:
    """Return the events of one step in words, the door with the key said once; empty where there are none."""
    names = [name for name in events if not (name == "door_reached" and "door_reached_with_key" in events)]
    words = EVENT_WORDS | {"door_reached_with_key": "stands at the door with the key"}
    return " and ".join(words.get(name, name.replace("_", " ")) for name in names)


def rounded(value: float) -> str:
    """Format a number with at most three significant digits and no exponent; whole from 100 on."""
    if not math.isfinite(value):
        return "none"
    return f"{value:,.0f}" if abs(value) >= 100 else np.format_float_positional(float(f"{value:.3g}"), trim="-")


# --- figures on a page -----------------------------------------------------------------------------------------------


class FigureWithAlt(NamedTuple):
    """A figure and what it shows in words and numbers, for readers who cannot see it."""

    figure: Figure
    alt: str


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_png(figure, dpi=110))


def show(drawing: FigureWithAlt, path: Path, caption: str, narrow: FigureWithAlt | None = None) -> None:
    """Write a figure to ``path``, and display it in a notebook with caption and alt text; ``narrow`` is for a phone."""
    from IPython.display import HTML, display

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png := _png(drawing.figure, dpi=150))
    phone = ""
    if narrow is not None:
        phone = f'<source media="(max-width: 600px)" srcset="{_address("image/png", _png(narrow.figure, 150))}">'
    width = 96 * drawing.figure.get_figwidth()  # an inch is 96 CSS pixels
    image = f'<img src="{_address("image/png", png)}" alt="{escape(drawing.alt)}" width="{width:.0f}">'
    display(HTML(f"<figure><picture>{phone}{image}</picture><figcaption>{escape(caption)}</figcaption></figure>"))


def picture(image: UInt8[np.ndarray, "height width channel"], words: str) -> Any:
    """Return an image with words below it as HTML, to stand in a `table`."""
    from IPython.display import HTML

    file, told = io.BytesIO(), escape(words.replace("_", " "))
    Picture.fromarray(image).save(file, "png", optimize=True)
    style = "width: 84px; max-width: none; image-rendering: pixelated"
    address = _address("image/png", file.getvalue())
    return HTML(f'<img src="{address}" alt="{told}" style="{style}"><br>{told}')


def video(path: Path, caption: str, lines: Sequence[str]) -> Any:
    """Return an MP4 with its caption and a list of what happens in it as HTML that holds all of it."""
    from IPython.display import HTML

    told = f"{escape(caption)}<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
    source = f'src="{_address("video/mp4", path.read_bytes())}" aria-label="{escape(caption)} see the list below"'
    film = f'<video controls muted playsinline width="320" style="max-width: 100%" {source}></video>'
    return HTML(f"<figure>{film}<figcaption>{told}</figcaption></figure>")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], caption: str) -> Any:
    """Return a table as HTML; the first cell of a row names it, and a cell that is HTML itself stays so."""
    from IPython.display import HTML

    def line(row: Sequence[Any], first: str, other: str) -> str:
        words = [x.data if isinstance(x, HTML) else escape(str(x)) for x in row]
        return f"<tr><th {first}>{words[0]}</th>{''.join(f'<{other}>{x}</{other[:2]}>' for x in words[1:])}</tr>"

    body = "".join(line(row, 'scope="row"', "td") for row in rows)
    top = line(head, 'scope="col"', 'th scope="col"')
    # The caption stands outside of what scrolls sideways on a phone.
    shown = f'<div style="overflow-x: auto"><table><thead>{top}</thead><tbody>{body}</tbody></table></div>'
    return HTML(f"<figure><figcaption>{escape(caption)}</figcaption>{shown}</figure>")


def _png(figure: Figure, dpi: int) -> bytes:
    """Return a figure as PNG without the date and versions that would make every file differ."""
    file = io.BytesIO()
    figure.savefig(file, dpi=dpi, format="png", metadata={"Software": None})
    return file.getvalue()


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


# --- episodes of grid worlds -----------------------------------------------------------------------------------------


def episode(world: GridWorld, state: GridState, actions: Sequence[int]) -> tuple[list[GridState], list[list[str]]]:
    """Return the states that a list of actions leads through, the start included, and the events on the way to each."""
    states, events = [state], [list[str]()]
    for action in actions:
        result = _step(world, states[-1], np.int32(action))
        states.append(result.state)
        events.append([name for name, happened in result.events.items() if happened])
    return states, events


@in_style
def filmstrip(world: GridWorld, state: GridState, actions: Sequence[int], title: str, scale: int = 4) -> Figure:
    """Draw the start of an episode and each moment at which something happened, side by side."""
    states, events = episode(world, state, actions)
    moments = [0] + [t for t, names in enumerate(events) if set(names) - {"key_seen"}]
    figure = Figure(figsize=(2.3 * len(moments), 3.1))
    for axes, t in zip(figure.subplots(1, len(moments), squeeze=False)[0], moments, strict=True):
        axes.imshow(np.asarray(_render(world, states[t], scale)))
        axes.set_axis_off()
        names = [EVENT_WORDS[name] for name in events[t] if name != "key_seen"]
        axes.set_title("\n".join([f"step {t}", *names]) if t else "start", verticalalignment="bottom")
    figure.suptitle(title, fontsize=12)
    return figure


@functools.partial(jax.jit, static_argnums=0)
def _step(world: GridWorld, state: GridState, action: Array) -> Step:
    return world.step(state, action, key=jax.random.key(0))  # grid worlds are deterministic


@functools.partial(jax.jit, static_argnums=(0, 2))
def _render(world: GridWorld, state: GridState, scale: int) -> Image:
    return world.render(state, scale)
