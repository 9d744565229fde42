"""Look at a dream, and step inside one, in a notebook.

`scrub` lays a dream beside what really happened, with a slider over the steps. `step_inside` lets a person act in a
dream: the world model looks at one real picture, closes its eyes, and answers every key with what it expects to come.
The real world takes the same actions and can be shown beside it. Nothing is fetched from the network.
Used in notebook 02_rssm.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from sensei_lite.course.widgets.key_game import HELP_DIAGONAL, KEYS, NEW_EPISODE, Game
from sensei_lite.course.widgets.play import BROWSER_KEYS, PICTURE_WIDTH, PlayWidget, _button, _data_address
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import WorldModel
from sensei_lite.types import Seed
from sensei_lite.worlds.grid.world import GridWorld
from sensei_lite.worlds.registry import JAX_WORLDS, make_world

try:
    import anywidget
    import ipywidgets
    import traitlets
except ImportError as error:
    raise ImportError('widgets need more packages: pip install "sensei-lite[notebooks]"') from error

ROW_WIDTH = 720
"""About how many screen pixels wide all pictures of `scrub` are together, so that they stand in one row."""

_MAKE = """
function make(parent, tag, options = {}, attributes = {}) {
  const element = Object.assign(document.createElement(tag), options);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}
"""
"""The script's own helper: a new element at the end of its parent."""


def picture_of(decoded: Float[Array | np.ndarray, "*batch height width channel"]) -> UInt8[np.ndarray, "..."]:
    """What a decoder drew (numbers around 0) as a picture that can be shown."""
    return np.asarray(np.clip((np.asarray(decoded) + 0.5) * 255, 0, 255).round(), np.uint8)


def difference(
    real: UInt8[np.ndarray, "*batch height width channel"], dreamt: UInt8[np.ndarray, "*batch height width channel"]
) -> UInt8[np.ndarray, "*batch height width channel"]:
    """Where two pictures differ: white where they are equal, black where one colour is as far off as it can be."""
    apart = np.abs(real.astype(np.int32) - dreamt).max(-1, keepdims=True)
    return np.repeat(255 - apart, 3, axis=-1).astype(np.uint8)


# --- a slider over a dream -------------------------------------------------------------------------------------------


def scrub(
    real: UInt8[Array | np.ndarray, "time height width channel"],
    dreams: Mapping[str, UInt8[Array | np.ndarray, "_ _ _ channel"]],
    captions: Sequence[str],
) -> "ScrubWidget":
    """A slider over what really happened, and one or more dreams of it with their differences.

    Args:
        real: the pictures of an episode, from step 0.
        dreams: the pictures that each model drew for the same steps (see `picture_of`), under the model's name.
        captions: what to say about every step, such as its action and event.

    Raises:
        ValueError: a dream, or the captions, are not as long as the episode, or there is no dream.
    """
    pictures = {name: np.asarray(dream) for name, dream in dreams.items()}
    real = np.asarray(real)
    if not pictures:
        raise ValueError("there is no dream to compare with")
    for name, dream in pictures.items():
        if dream.shape != real.shape:
            raise ValueError(f"the dream {name!r} has the shape {dream.shape}, and what happened {real.shape}")
    if len(captions) != len(real):
        raise ValueError(f"there are {len(captions)} captions for {len(real)} steps")
    return ScrubWidget(real, pictures, captions)


class ScrubWidget(anywidget.AnyWidget):
    """All pictures are on the page from the start, so the slider needs no kernel."""

    panels: Any = traitlets.List().tag(sync=True)
    """The names of the pictures, in the order in which a frame has them."""
    frames: Any = traitlets.List().tag(sync=True)
    """For every step: pictures (PNG as data addresses), what stands under each, and the caption."""
    t = traitlets.Int(0).tag(sync=True)
    """The step that is shown."""
    picture_width = traitlets.Int().tag(sync=True)

    def __init__(self, real: np.ndarray, dreams: Mapping[str, np.ndarray], captions: Sequence[str]) -> None:
        panels = ["real"]
        for name in dreams:
            panels += [name, f"{name}: difference"]
        frames = []
        for t, caption in enumerate(captions):
            pictures, below = [real[t]], [""]
            for dream in dreams.values():
                apart = np.square((real[t].astype(np.float64) - dream[t]) / 255).sum()
                pictures += [dream[t], difference(real[t], dream[t])]
                below += ["", f"squared error {apart:.1f}"]
            frames.append(
                {"pictures": [_data_address(picture) for picture in pictures], "below": below, "caption": caption}
            )
        width = real.shape[2]
        super().__init__(
            panels=panels,
            frames=frames,
            picture_width=width * max(1, round(ROW_WIDTH / len(panels) / width)),
            layout=ipywidgets.Layout(width="auto"),
        )

    def __repr__(self) -> str:
        return f"A dream of {len(self.frames)} steps beside reality, with a slider where this notebook runs."

    @traitlets.validate("t")
    def _inside(self, proposal: Any) -> int:
        return min(max(0, proposal["value"]), len(self.frames) - 1)

    _css = """
.sensei-scrub { padding: 6px; color: inherit; line-height: 1.4; }
.sensei-scrub .row { display: flex; flex-wrap: wrap; gap: 8px 14px; }
.sensei-scrub figure { margin: 0; max-width: 100%; }
.sensei-scrub img { display: block; max-width: 100%; image-rendering: pixelated; outline: 1px solid #8888; }
.sensei-scrub figcaption { font-weight: 600; }
.sensei-scrub .below { min-height: 1.4em; font-size: 0.9em; }
.sensei-scrub label { display: flex; align-items: center; gap: 10px; margin: 8px 0; max-width: 700px; }
.sensei-scrub input { flex: 1; min-height: 28px; cursor: pointer; accent-color: #1a73e8; }
.sensei-scrub input:focus-visible { outline: 3px solid #1a73e8; outline-offset: 2px; }
.sensei-scrub .caption { font-weight: 600; min-height: 1.4em; margin: 4px 0; }
"""

    _esm = (
        _MAKE
        + """
function render({ model, el }) {
  const frames = model.get("frames"), width = model.get("picture_width");
  const root = make(el, "div", { className: "sensei-scrub" },
    { role: "group", "aria-label": "A dream beside reality", "data-lm-suppress-shortcuts": "true" });
  const row = make(root, "div", { className: "row" });
  const panels = model.get("panels").map((name) => {
    const figure = make(row, "figure");
    make(figure, "figcaption", { textContent: name });
    return { name, image: make(figure, "img", { width }), below: make(figure, "div", { className: "below" }) };
  });
  const label = make(root, "label");
  make(label, "span", { textContent: "step" });
  const slider = make(label, "input", { type: "range", min: 0, max: frames.length - 1, step: 1 });
  const number = make(label, "output");
  const caption = make(root, "p", { className: "caption" }, { "aria-live": "polite" });
  slider.addEventListener("input", () => { model.set("t", Number(slider.value)); model.save_changes(); });
  // JupyterLab's own meaning of the arrow keys would take them away from the slider.
  slider.addEventListener("keydown", (event) => { if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); });

  function draw() {
    const t = model.get("t"), frame = frames[t];
    slider.value = t;
    slider.setAttribute("aria-valuetext", `step ${t}: ${frame.caption}`);
    number.textContent = `${t} of ${frames.length - 1}`;
    caption.textContent = frame.caption;
    panels.forEach((panel, i) => {
      panel.image.src = frame.pictures[i];
      panel.image.alt = [`${panel.name}, step ${t}`, frame.below[i]].filter(Boolean).join(", ");
      panel.below.textContent = frame.below[i];
    });
  }
  model.on("change:t", draw);
  draw();
  return () => model.off("change:t", draw);
}
export default { render };
"""
    )


# --- inside a dream --------------------------------------------------------------------------------------------------


class Dream:
    """One person's dream: what the world model expects of every action, beside a real game that takes the same ones.

    ``picture`` is what the decoder draws of the state, ``semantic`` the predicted semantic reward, ``continue_head`` the
    probability that the world did not end here. Raises ValueError where model and world do not fit each other.
    """

    def __init__(self, world_model: WorldModel, world: GridWorld, seed: int = 0) -> None:
        rssm = world_model.rssm
        fits = {
            "pictures": world_model.encoder is not None
            and world_model.encoder.size(world.image_shape) == rssm.from_picture.weight.shape[1],
            "actions": world.actions.size == rssm.into.normed.weight.shape[1] - rssm.stoch * rssm.classes,
        }
        if wrong := [name for name, fit in fits.items() if not fit]:
            raise ValueError(f"this world model was made for other {' and '.join(wrong)} than {type(world).__name__}'s")
        self.world_model, self.reality, self._key = world_model, Game(world, seed), jax.random.key(seed)
        self._open_eyes()
        _imagine(world_model, self.state, jnp.zeros(world.actions.size), key=self._key)  # compiled before the first key

    def start_again(self) -> None:
        """Look at the first picture of a new real episode."""
        self.reality.new_episode()
        self._open_eyes()

    def act(self, name: str) -> None:
        """Dream what this action leads to; nothing happens where the world has no such action."""
        names = self.reality.world.actions.names
        if name not in names:
            return
        action = jax.nn.one_hot(names.index(name), len(names))
        self._expect(_imagine(self.world_model, self.state, action, key=self._next_key()))
        self.reality.act(name)
        self.steps += 1
        self.last = name

    def _open_eyes(self) -> None:
        self._expect(_look(self.world_model, jnp.asarray(self.reality.picture()), key=self._next_key()))
        self.steps = 0
        self.last = ""

    def _expect(self, seen: tuple[State, Array, Array, Array]) -> None:
        self.state, decoded, semantic, continue_head = seen
        self.picture = picture_of(decoded)
        self.semantic, self.continue_head = float(semantic), float(continue_head)

    def _next_key(self) -> Array:
        self._key, key = jax.random.split(self._key)
        return key


Told = tuple[State, Float[Array, "height width channel"], Float[Array, ""], Float[Array, ""]]


@eqx.filter_jit
def _look(world_model: WorldModel, image: Array, *, key: Seed) -> Told:
    rssm = world_model.rssm
    action_size = rssm.into.normed.weight.shape[1] - rssm.stoch * rssm.classes
    embedding = world_model.embed(image, None)
    state, _ = rssm.observe_step(rssm.initial(), jnp.zeros(action_size), embedding, jnp.ones((), bool), key=key)
    return _tell(world_model, state)


@eqx.filter_jit
def _imagine(world_model: WorldModel, state: State, action: Array, *, key: Seed) -> Told:
    return _tell(world_model, world_model.rssm.imagine_step(state, action, key=key))


def _tell(world_model: WorldModel, state: State) -> Told:
    s = state.features
    return state, world_model.decode_image(s), world_model.semantic(s), world_model.continues(s)


def step_inside(
    world_model: WorldModel,
    world: GridWorld | str = "keyroom-lab",
    seed: int = 0,
    semantic_range: tuple[float, float] = (-2.0, 2.0),
) -> "DreamWidget":
    """A dream that a person can act in, in JupyterLab or Colab.

    Click the picture, then press the arrow keys or w a s d to move, space to apply and n to start again from a real
    picture; or click the buttons. The dream itself is the attribute ``dream`` of what is returned.

    Args:
        world_model: what dreams.
        world: where its real pictures come from, or the name of that world in the catalogue.
        seed: chooses the real episodes, and the draws of z.
        semantic_range: where the meter of the predicted semantic reward begins and ends.

    Raises:
        ValueError: the world model was made for other pictures or actions than this world's, or there is no grid world
            of that name.
    """
    if isinstance(world, str):
        made = make_world(world) if world in JAX_WORLDS else None
        if not isinstance(made, GridWorld):
            raise ValueError(f"nobody can dream of {world!r} here; choose a grid world, such as keyroom-lab")
        world = made
    return DreamWidget(Dream(world_model, world, seed), semantic_range)


class DreamWidget(anywidget.AnyWidget):
    """A dream on a page. The browser sends a key or the name of a button; what to show goes back as one ``frame``."""

    pad: Any = traitlets.List().tag(sync=True)
    """As in `PlayWidget`."""
    pressable: Any = traitlets.List().tag(sync=True)
    """As in `PlayWidget`."""
    hint = traitlets.Unicode().tag(sync=True)
    semantic_range: Any = traitlets.List().tag(sync=True)
    picture_width = traitlets.Int().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)
    """What changes: picture and real (PNG as data addresses), alt, real_alt, status, semantic, goes_on."""

    def __init__(self, dream: Dream, semantic_range: tuple[float, float]) -> None:
        self.dream = dream
        world = dream.reality.world
        names, width = world.actions.names, world.image_shape[1]
        to_terminal = BROWSER_KEYS | {key: key for key in KEYS if key.isprintable()}
        self._action_of_key = {
            browser: KEYS[terminal] for browser, terminal in to_terminal.items() if KEYS[terminal] in names
        }
        diagonal = f"{HELP_DIAGONAL}. " if world.moves == 8 else ""
        super().__init__(
            pad=[_button(name, KEYS) for name in names],
            pressable=[*self._action_of_key, NEW_EPISODE],
            hint=f"Arrows or w a s d: move. {diagonal}Space: apply. n: start again from a real picture.",
            semantic_range=list(semantic_range),
            picture_width=width * max(1, round(PICTURE_WIDTH * 0.8 / width)),
            frame=_frame(dream),
            layout=ipywidgets.Layout(width="auto"),
        )
        self.on_msg(self._receive)

    def __repr__(self) -> str:
        return "A dream, to be stepped into where this notebook runs."

    def press(self, key: str) -> None:
        """Do what a key means, by its browser name (``ArrowUp``, ``w``, a space); nothing for any other key."""
        key = key.lower() if len(key) == 1 else key
        if key == NEW_EPISODE:
            self.start_again()
        elif key in self._action_of_key:
            self.act(self._action_of_key[key])

    def act(self, name: str) -> None:
        """Take the action of that name in the dream."""
        self.dream.act(name)
        self.frame = _frame(self.dream)

    def start_again(self) -> None:
        """Look at a real picture, and dream on from there."""
        self.dream.start_again()
        self.frame = _frame(self.dream)

    def _receive(self, _: Any, message: dict[str, Any], __: Any) -> None:
        if "key" in message:
            self.press(message["key"])
        elif "action" in message:
            self.act(message["action"])
        elif "start_again" in message:
            self.start_again()

    # The pad, its buttons and the picture look as they do in the game.
    _css = (
        PlayWidget._css
        + """
.sensei-dream .pictures { display: flex; flex-wrap: wrap; gap: 12px; }
.sensei-dream figure { margin: 0; }
.sensei-dream figcaption { font-weight: 600; margin-bottom: 4px; }
.sensei-dream [hidden] { display: none; }
.sensei-dream .real img { border-radius: 4px; outline: 2px solid #8888; outline-offset: 2px; }
.sensei-dream button[aria-pressed=true] { background: #1a73e844; border-width: 2px; font-weight: 600; }
.sensei-dream .meter { display: grid; grid-template-columns: 11em minmax(6em, 12em) 4em; gap: 10px; margin: 3px 0; }
.sensei-dream meter { width: 100%; height: 1.4em; }
"""
    )

    _esm = (
        _MAKE
        + """
function render({ model, el }) {
  const width = model.get("picture_width");
  const root = make(el, "div", { className: "sensei-play sensei-dream" },
    { role: "group", "aria-label": "Inside a dream", "data-lm-suppress-shortcuts": "true" });
  const left = make(root, "div");
  const pictures = make(left, "div", { className: "pictures" });
  const dreamt = make(pictures, "figure");
  make(dreamt, "figcaption", { textContent: "dream" });
  const screen = make(dreamt, "div", { className: "screen", tabIndex: 0 },
    { role: "application", "aria-label": `A dream. ${model.get("hint")} Escape: leave.` });
  screen.style.width = `${width}px`;
  const image = make(screen, "img", { width, draggable: false });
  const beside = make(pictures, "figure", { className: "real", hidden: true });
  make(beside, "figcaption", { textContent: "reality" });
  const real = make(beside, "img", { width, draggable: false });
  const hint = make(left, "p", {}, { "aria-hidden": "true" });
  make(hint, "span", { className: "when-off", textContent: "Click the dream to use the keyboard." });
  make(hint, "span", { className: "when-on", textContent: "Keyboard on. Esc: leave." });
  const side = make(root, "div", { className: "side" });
  const status = make(side, "p", { className: "status" }, { "aria-live": "polite" });
  const [low, high] = model.get("semantic_range");
  const meters = [["semantic", "predicted r_sem", low, high], ["goes_on", "goes on (probability)", 0, 1]].map(
    ([name, words, min, max]) => {
      const line = make(side, "div", { className: "meter" });
      make(line, "span", { textContent: words });
      const meter = make(line, "meter", { min, max }, { "aria-label": words });
      return { name, meter, number: make(line, "span") };
    });
  const pad = make(side, "div", { className: "pad" }, { role: "group", "aria-label": "Actions" });
  for (const place of model.get("pad")) {
    const button = make(pad, "button", { type: "button", textContent: place.face, title: place.title },
      { "aria-label": place.action });
    button.style.gridArea = `${place.row} / ${place.column}`;
    button.addEventListener("click", () => model.send({ action: place.action }));
  }
  const row = make(side, "p");
  const again = make(row, "button", { type: "button", textContent: "start again from a real picture", title: "n" });
  again.addEventListener("click", () => model.send({ start_again: true }));
  const compare = make(make(side, "p"), "button", { type: "button", textContent: "show reality" },
    { "aria-pressed": "false" });
  compare.addEventListener("click", () => {
    beside.hidden = !beside.hidden;
    compare.setAttribute("aria-pressed", String(!beside.hidden));
  });
  make(side, "p", { textContent: model.get("hint") });

  // A mouse click gives the keyboard back to the dream; a button reached with Tab keeps it.
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
    real.src = frame.real;
    real.alt = frame.real_alt;
    status.textContent = frame.status;
    for (const { name, meter, number } of meters) {
      meter.value = frame[name];
      number.textContent = frame[name].toFixed(2);
    }
  }
  model.on("change:frame", draw);
  draw();
  return () => model.off("change:frame", draw);
}
export default { render };
"""
    )


def _frame(dream: Dream) -> dict[str, Any]:
    game = dream.reality
    status = f"step {dream.steps}: {dream.last}" if dream.steps else "step 0: the model looks at a real picture"
    if dream.continue_head < 0.5:
        status += ". The model believes that the episode is over here"
    real = f"The real world after step {game.steps}" + (f"; the episode is over: {game.over}" if game.over else "")
    return {
        "picture": _data_address(dream.picture),
        "alt": f"What the model dreams after step {dream.steps}.",
        "real": _data_address(game.picture()),
        "real_alt": f"{real}.",
        "status": status,
        "semantic": dream.semantic,
        "goes_on": dream.continue_head,
    }
