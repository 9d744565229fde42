"""Play a world in a notebook, with the keyboard or the mouse. Built for notebook 01_worlds.

People understand an exploration problem by meeting it. `Game` is one person's game; `PlayWidget` shows it and brings
back what is pressed. Nothing is fetched from the network.
"""

from typing import Any

import ipywidgets
import jax
import numpy as np
import traitlets
from anywidget import AnyWidget
from jaxtyping import UInt8

from sensei_lite.course.widgets.base import STYLES, data_url, script
from sensei_lite.types import AnyArray, Discrete
from sensei_lite.worlds.base import World
from sensei_lite.worlds.registry import JAX_WORLDS

PICTURE_WIDTH = 360
"""About how many screen pixels wide an image is shown; every pixel of the agent becomes a whole number of them."""

NEW_EPISODE = "new_episode"

KEYS = {
    "ArrowUp": ("north", "away"),
    "ArrowRight": ("east", "right"),
    "ArrowDown": ("south", "near"),
    "ArrowLeft": ("west", "left"),
    "w": ("north", "away"),
    "d": ("east", "right"),
    "s": ("south", "near"),
    "a": ("west", "left"),
    "e": ("north-east", "up"),
    "c": ("south-east", "down"),
    "z": ("south-west",),
    "q": ("north-west",),
    " ": ("apply", "close"),
    "Enter": ("apply", "open"),
    "o": ("open",),
    "n": (NEW_EPISODE,),
}
"""Actions of each key, by its browser name: in a grid world, and for the gripper of a desk."""

PAD = {
    "north-west": (1, 1, "↖ north-west"),
    "north": (1, 2, "↑ north"),
    "north-east": (1, 3, "↗ north-east"),
    "west": (2, 1, "← west"),
    "apply": (2, 2, "apply"),
    "east": (2, 3, "→ east"),
    "south-west": (3, 1, "↙ south-west"),
    "south": (3, 2, "↓ south"),
    "south-east": (3, 3, "↘ south-east"),
    "close": (1, 1, "close"),
    "away": (1, 2, "↑ away"),
    "up": (1, 3, "⤒ up"),
    "left": (2, 1, "← left"),
    "right": (2, 3, "→ right"),
    "open": (3, 1, "open"),
    "near": (3, 2, "↓ near"),
    "down": (3, 3, "⤓ down"),
}
"""Row, column and face of each action's button on a pad of 3 x 3."""

HINTS = {
    "north-east": "q e z c: diagonals.",
    "apply": "Space: apply, which uses the key.",
    "up": "e c: up, down.",
    "close": "Space, o: close and open the fingers.",
}
"""What to say about the keys of a world that has these actions."""


def play(world: World | str = "keyroom", seed: int = 0) -> "PlayWidget":
    """Show a world that a person can play, in JupyterLab or Colab.

    Click the picture, then press the arrow keys or w a s d to move, space to use the key (or to close the gripper's
    fingers) and n for a new episode; or click the buttons. The game itself is the attribute ``game`` of what is
    returned.

    Args:
        world: a grid world or a desk, or its name in `JAX_WORLDS`.
        seed: chooses the layouts.

    Raises:
        ValueError: there is no world of that name that can be played (the message lists those that can).
    """
    return PlayWidget(Game(find_world(world), seed))


def find_world(world: World | str) -> World:
    """Return the world of that name. Raises ValueError where `JAX_WORLDS` has none."""
    if not isinstance(world, str):
        return world
    if world not in JAX_WORLDS:
        raise ValueError(f"{world!r} cannot be played here; choose one of {', '.join(JAX_WORLDS)}")
    return JAX_WORLDS[world]


class Game:
    """The state of one person's game: the world, the running episode, and what has happened in it."""

    def __init__(self, world: World, seed: int = 0) -> None:
        self.world, self.title, self._key = world, type(world).__name__, jax.random.key(seed)
        self.actions: dict[str, AnyArray] = (
            {name: np.asarray(i, np.int32) for i, name in enumerate(world.actions.names)}
            if isinstance(world.actions, Discrete)
            else {name: np.asarray(way, np.float32) for name, way in world.actions.one_at_a_time.items()}
        )
        """The actions by name: all choices, or one number at a time."""
        self._reset, self._step, self._render = jax.jit(world.reset), jax.jit(world.step), jax.jit(world.render)
        self.new_episode()
        self._step(self.state, next(iter(self.actions.values())), key=self._key)  # compiled before the first key

    def new_episode(self) -> None:
        """Reset the world to a new layout."""
        self._key, key = jax.random.split(self._key)
        self.state = self._reset(key=key)
        self.steps, self.reward, self.over, self.log = 0, 0.0, "", list[str]()

    def act(self, name: str) -> None:
        """Take the action of that name; nothing happens where the episode is over or the world has no such action."""
        if self.over or name not in self.actions:
            return
        key = jax.random.fold_in(self._key, self.steps)
        self.state, reward, terminated, truncated, events = self._step(self.state, self.actions[name], key=key)
        self.steps += 1
        self.reward += float(reward)
        self.log += [f"step {self.steps}: {event.replace('_', ' ')}" for event, happened in events.items() if happened]
        self.over = "solved!" if terminated else "out of time" if truncated else ""

    def image(self) -> UInt8[np.ndarray, "height width channel"]:
        """Render what the agent sees now."""
        return np.asarray(self._render(self.state))

    def frame(self) -> dict[str, Any]:
        """Return what the page shows: picture (a data URL), alt, status, log, over."""
        ended = [f"step {self.steps}: {self.over}"] if self.over else []
        status = f"step {self.steps} of {self.world.max_steps}   reward {self.reward:g}"  # type: ignore[attr-defined]
        hand = {True: "; the key is in its hand", False: "; its hand is empty", None: ""}
        has_key = bool(self.state.has_key) if hasattr(self.state, "has_key") else None
        return {
            "picture": data_url(self.image()),
            "alt": f"What the agent sees after step {self.steps}{hand[has_key]}.",
            "status": f"{status}   {self.over} (n: new episode)" if self.over else status,
            "log": [*self.log, *ended],
            "over": bool(self.over),
        }


class PlayWidget(AnyWidget):
    """A game on a page. The browser sends the name of an action; what to show goes back as one ``frame``."""

    _esm, _css = script("play"), STYLES
    title = traitlets.Unicode().tag(sync=True)
    """What is played."""
    pad: Any = traitlets.List().tag(sync=True)
    """The buttons: action, row, column, face (see `PAD`)."""
    key_map: Any = traitlets.Dict().tag(sync=True)
    """The action of each key that means something here, by its browser name; all other keys are left to the page."""
    hint = traitlets.Unicode().tag(sync=True)
    """Which keys do what, in a sentence for people."""
    picture_width = traitlets.Int().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)
    """What changes, see `Game.frame`."""

    def __init__(self, game: Game, width: int = PICTURE_WIDTH, **traits: Any) -> None:
        self.game, pixels = game, game.world.image_shape[1]
        hints = ["Arrows or w a s d: move.", *(words for name, words in HINTS.items() if name in game.actions)]
        meant = {*game.actions, NEW_EPISODE}
        super().__init__(
            title=game.title,
            pad=[(name, *PAD[name]) for name in game.actions],
            key_map={key: name for key, names in KEYS.items() for name in names if name in meant},
            hint=" ".join([*hints, "n: new episode."]),
            picture_width=pixels * max(1, round(width / pixels)),
            frame=game.frame(),
            layout=ipywidgets.Layout(width="auto"),
            **traits,
        )
        self.on_msg(lambda _, message, __: self.act(message.get("act", "")))

    def __repr__(self) -> str:
        return f"{self.title}, to be played where this notebook runs."

    def act(self, name: str) -> None:
        """Take the action of that name (or begin a ``new_episode``), and show what comes of it."""
        if name == NEW_EPISODE:
            self.game.new_episode()
        else:
            self.game.act(name)
        self.frame = self.game.frame()
