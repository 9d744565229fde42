"""Play a world in a notebook, with the keyboard or the mouse.

The rules of a game are in `key_game`, which also plays in a terminal. Here is only what a browser needs:
a few elements on a page (the picture, a pad of buttons, a log of events) and the way back for keys and clicks. Nothing
is fetched from the network. Used in notebook 01_worlds.
"""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image as Picture

from sensei_lite.course.widgets.key_game import HELP_DIAGONAL, NEW_EPISODE, Game, Playable, keys_of
from sensei_lite.worlds.grid.world import MOVES, GridWorld
from sensei_lite.worlds.registry import JAX_WORLDS, make_world

try:
    import anywidget
    import ipywidgets
    import traitlets
except ImportError as error:
    raise ImportError('widgets need more packages: pip install "sensei-lite[notebooks]"') from error

PICTURE_WIDTH = 360
"""About how many screen pixels wide a picture is shown; every pixel of the agent becomes a whole number of them."""

BROWSER_KEYS = {
    "ArrowUp": "\x1b[A",
    "ArrowRight": "\x1b[C",
    "ArrowDown": "\x1b[B",
    "ArrowLeft": "\x1b[D",
    "Enter": "\r",
}
"""What a browser calls a key that `keys_of` knows by its terminal name."""

ARROWS = {(-1, 0): "↑", (0, 1): "→", (1, 0): "↓", (0, -1): "←", (-1, 1): "↗", (1, 1): "↘", (1, -1): "↙", (-1, -1): "↖"}

DESK_PAD = {
    "close": (1, 1, "close"),
    "away": (1, 2, "↑ away"),
    "up": (1, 3, "⤒ up"),
    "left": (2, 1, "← left"),
    "right": (2, 3, "→ right"),
    "open": (3, 1, "open"),
    "near": (3, 2, "↓ near"),
    "down": (3, 3, "⤓ down"),
}
"""Row, column and face of the gripper's buttons."""


def play(world: Playable | str = "keyroom", seed: int = 0) -> "PlayWidget":
    """Show a world that a person can play, in JupyterLab or Colab.

    Click the picture, then press the arrow keys or w a s d to move, space to use the key (or to close the gripper's
    fingers) and n for a new episode; or click the buttons. The game itself is the attribute ``game`` of what
    is returned.

    Args:
        world: a grid world or a desk, or the name of one in the catalogue.
        seed: chooses the layouts.

    Raises:
        ValueError: there is no world of that name that can be played (the message lists those that can).
    """
    if isinstance(world, str):
        made = make_world(world) if world in JAX_WORLDS else None
        if not isinstance(made, Playable):
            raise ValueError(f"{world!r} cannot be played here; choose one of {', '.join(JAX_WORLDS)}")
        world = made
    return PlayWidget(Game(world, seed))


class PlayWidget(anywidget.AnyWidget):
    """A game on a page. The browser sends a key or the name of a button; what to show goes back as one ``frame``."""

    title = traitlets.Unicode().tag(sync=True)
    """The world's name."""
    pad: Any = traitlets.List().tag(sync=True)
    """The buttons of the actions: action, face, and place (row, column) on a pad of 3 x 3."""
    pressable: Any = traitlets.List().tag(sync=True)
    """The keys that mean something in this world, by their browser names; all others are left to the page."""
    hint = traitlets.Unicode().tag(sync=True)
    """Which keys do what, in a sentence for people."""
    picture_width = traitlets.Int().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)
    """What changes: picture (PNG as a data address), alt, status, log, over."""

    def __init__(self, game: Game) -> None:
        self.game = game
        keys, width = keys_of(game.world), game.world.image_shape[1]
        to_terminal = BROWSER_KEYS | {key: key for key in keys if key.isprintable()}
        self._action_of_key = {
            browser: keys[terminal] for browser, terminal in to_terminal.items() if keys[terminal] in game.actions
        }
        super().__init__(
            title=type(game.world).__name__,
            pad=[_button(name, keys) for name in game.actions],
            pressable=[*self._action_of_key, NEW_EPISODE],
            hint=f"Arrows or w a s d: move. {_more_keys(game.world)} n: new episode.",
            picture_width=width * max(1, round(PICTURE_WIDTH / width)),
            frame=_frame(game),
            layout=ipywidgets.Layout(width="auto"),
        )
        self.on_msg(self._receive)

    def __repr__(self) -> str:
        return f"A game of {self.title}, to be played where this notebook runs."

    def press(self, key: str) -> None:
        """Do what a key means, by its browser name (``ArrowUp``, ``w``, a space); nothing for any other key."""
        key = key.lower() if len(key) == 1 else key
        if key == NEW_EPISODE:
            self.new_episode()
        elif key in self._action_of_key:
            self.act(self._action_of_key[key])

    def act(self, name: str) -> None:
        """Take the action of that name."""
        self.game.act(name)
        self.frame = _frame(self.game)

    def new_episode(self) -> None:
        """Start over in a new layout."""
        self.game.new_episode()
        self.frame = _frame(self.game)

    def _receive(self, _: Any, message: dict[str, Any], __: Any) -> None:
        if "key" in message:
            self.press(message["key"])
        elif "action" in message:
            self.act(message["action"])
        elif "new_episode" in message:
            self.new_episode()

    _css = """
.sensei-play { display: flex; flex-wrap: wrap; gap: 8px 24px; padding: 6px; color: inherit; line-height: 1.4; }
.sensei-play .screen { border-radius: 4px; outline: 2px solid #8888; outline-offset: 2px; cursor: pointer; }
.sensei-play .screen:focus { outline: 4px solid #1a73e8; }
.sensei-play img { display: block; max-width: 100%; image-rendering: pixelated; }
.sensei-play p { margin: 6px 0; }
.sensei-play .side { flex: 1 1 240px; min-width: 240px; }
.sensei-play .pad { display: inline-grid; grid-template-columns: repeat(3, auto); gap: 4px; margin: 4px 0; }
.sensei-play button { min-width: 84px; min-height: 34px; padding: 2px 8px; font: inherit; color: inherit;
  background: #8882; border: 1px solid #888; border-radius: 4px; cursor: pointer; }
.sensei-play button:hover { background: #8885; }
.sensei-play button:focus-visible { outline: 3px solid #1a73e8; outline-offset: 1px; }
.sensei-play button[aria-disabled=true] { opacity: 0.45; cursor: default; }
.sensei-play .status { font-weight: 600; white-space: pre-wrap; min-height: 1.4em; }
.sensei-play .log { margin: 0; padding: 0; list-style: none; max-height: 11em; overflow-y: auto; }
.sensei-play .log:empty::before { content: "no event yet"; opacity: 0.75; }
.sensei-play .when-on, .sensei-play:has(.screen:focus) .when-off { display: none; }
.sensei-play:has(.screen:focus) .when-on { display: inline; }
"""

    # JupyterLab gives plain letters to its own commands (d d deletes a cell) unless an element asks it not to.
    _esm = """
function make(parent, tag, options = {}, attributes = {}) {
  const element = Object.assign(document.createElement(tag), options);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}

function render({ model, el }) {
  const title = model.get("title");
  const root = make(el, "div", { className: "sensei-play" },
    { role: "group", "aria-label": `Play ${title}`, "data-lm-suppress-shortcuts": "true" });
  const left = make(root, "div");
  const screen = make(left, "div", { className: "screen", tabIndex: 0 },
    { role: "application", "aria-label": `${title}. ${model.get("hint")} Escape: leave.` });
  screen.style.width = `${model.get("picture_width")}px`;
  const image = make(screen, "img", { width: model.get("picture_width"), draggable: false });
  const hint = make(left, "p", {}, { "aria-hidden": "true" });
  make(hint, "span", { className: "when-off", textContent: "Click the picture to use the keyboard." });
  make(hint, "span", { className: "when-on", textContent: "Keyboard on. Esc: leave." });
  const side = make(root, "div", { className: "side" });
  const status = make(side, "p", { className: "status" });
  const pad = make(side, "div", { className: "pad" }, { role: "group", "aria-label": "Actions" });
  const buttons = model.get("pad").map((place) => {
    const button = make(pad, "button", { type: "button", textContent: place.face, title: place.title },
      { "aria-label": place.action });
    button.style.gridArea = `${place.row} / ${place.column}`;
    button.addEventListener("click", () => model.send({ action: place.action }));
    return button;
  });
  const again = make(make(side, "p"), "button", { type: "button", textContent: "new episode", title: "n" });
  again.addEventListener("click", () => model.send({ new_episode: true }));
  make(side, "p", { textContent: model.get("hint") });
  const heading = make(side, "p", { textContent: "Events" });
  heading.style.fontWeight = 600;
  const log = make(side, "ol", { className: "log" }, { role: "log", "aria-live": "polite", "aria-label": "Events" });

  // A mouse click gives the keyboard back to the picture; a button reached with Tab keeps it.
  root.addEventListener("click", (event) => { if (event.detail > 0) screen.focus({ preventScroll: true }); });
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { document.activeElement.blur(); return; }
    if (event.target.tagName === "BUTTON" && [" ", "Enter"].includes(event.key)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!model.get("pressable").includes(key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) model.send({ key });
  });

  function draw() {
    const frame = model.get("frame");
    image.src = frame.picture;
    image.alt = frame.alt;
    status.textContent = frame.status;
    if (frame.log.length < log.children.length) log.replaceChildren();
    for (const line of frame.log.slice(log.children.length)) make(log, "li", { textContent: line });
    log.scrollTop = log.scrollHeight;
    for (const button of buttons) button.setAttribute("aria-disabled", frame.over);
  }
  model.on("change:frame", draw);
  draw();
  return () => model.off("change:frame", draw);
}
export default { render };
"""


def _more_keys(world: Playable) -> str:
    if not isinstance(world, GridWorld):
        return "e c: up, down. Space, o: close and open the fingers."
    return (f"{HELP_DIAGONAL}. " if world.moves == 8 else "") + "Space: apply, which uses the key."


def _button(name: str, keys: dict[str, str]) -> dict[str, str | int]:
    """Where an action's button stands on the pad. In a grid world it is a compass with ``apply`` in its middle."""
    pressed = [key for key, action in keys.items() if action == name and key.isprintable()]
    title = " or ".join("space" if key == " " else key for key in pressed)
    if name in DESK_PAD:
        row, column, face = DESK_PAD[name]
    else:
        south, east = MOVES.get(name, (0, 0))
        row, column, face = 2 + south, 2 + east, f"{ARROWS[south, east]} {name}" if name in MOVES else name
    return {"action": name, "face": face, "title": title, "row": row, "column": column}


def _frame(game: Game) -> dict[str, Any]:
    ending = [f"step {game.steps}: {game.over}"] if game.over else []
    hand = ""
    if isinstance(game.world, GridWorld):
        hand = "; the key is in its hand" if game.state.has_key else "; its hand is empty"
    return {
        "picture": _data_address(game.picture()),
        "alt": f"What the agent sees after step {game.steps}{hand}.",
        "status": game.status(),
        "log": [*game.log, *ending],
        "over": bool(game.over),
    }


def _data_address(picture: np.ndarray) -> str:
    file = io.BytesIO()
    Picture.fromarray(picture).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
