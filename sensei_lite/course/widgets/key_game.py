"""Play a world with the keyboard, in the terminal: ``python -m sensei_lite.course.widgets.key_game``.

People understand an exploration problem by meeting it. Two rows of pixels share one row of letters (the upper half
block, with one colour above and one below), so a terminal with 24-bit colour shows the agent's picture as it is.
"""

import argparse
import dataclasses
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import jax
import numpy as np

from sensei_lite.training.machine import keep_compiled_programs
from sensei_lite.types import Discrete
from sensei_lite.worlds.grid.world import GridWorld
from sensei_lite.worlds.registry import JAX_WORLDS, make_world
from sensei_lite.worlds.tabletop import Tabletop

Playable = GridWorld | Tabletop
PlayableT = TypeVar("PlayableT", bound=Playable)

KEYS = {
    "w": "north",
    "d": "east",
    "s": "south",
    "a": "west",
    "e": "north-east",
    "c": "south-east",
    "z": "south-west",
    "q": "north-west",
    " ": "apply",
    "\r": "apply",
    "\x1b[A": "north",
    "\x1b[C": "east",
    "\x1b[B": "south",
    "\x1b[D": "west",
}
DESK_KEYS = {
    "w": "away",
    "d": "right",
    "s": "near",
    "a": "left",
    "e": "up",
    "c": "down",
    " ": "close",
    "o": "open",
    "\r": "open",
    "\x1b[A": "away",
    "\x1b[C": "right",
    "\x1b[B": "near",
    "\x1b[D": "left",
}
"""The same for the gripper: one key press is one step of full strength in one direction."""
NEW_EPISODE, LEAVE = "n", ("x", "\x1b", "\x03", "\x04", "")
HELP = "arrows or w a s d: move   space: use the key   n: new episode   x: leave"
HELP_DIAGONAL = "q e z c: diagonals"
HELP_DESK = "arrows or w a s d: move   e c: up, down   space o: close, open   n: new episode   x: leave"


def keys_of(world: Playable) -> dict[str, str]:
    """What each key does in a world, by the names of actions."""
    return KEYS if isinstance(world, GridWorld) else DESK_KEYS


def help_of(world: Playable) -> str:
    """Which keys there are, in a line for people."""
    if not isinstance(world, GridWorld):
        return HELP_DESK
    return f"{HELP}   {HELP_DIAGONAL}" if world.moves == 8 else HELP


def named_actions(world: Playable) -> dict[str, np.ndarray]:
    """The actions that a person can choose: all choices, or one number at a time."""
    if isinstance(world.actions, Discrete):
        return {name: np.asarray(i, np.int32) for i, name in enumerate(world.actions.names)}
    return {name: np.asarray(numbers, np.float32) for name, numbers in world.actions.one_at_a_time.items()}


class Game(Generic[PlayableT]):
    """One person's game: the world, the episode that is on, and what has happened in it."""

    def __init__(self, world: PlayableT, seed: int = 0) -> None:
        self.world, self._key = world, jax.random.key(seed)
        self.actions = named_actions(world)
        """What can be done, by name."""
        self._reset = jax.jit(lambda key: world.reset(key=key))
        self._step = jax.jit(lambda state, action: world.step(state, action, key=jax.random.key(0)))
        self._render = jax.jit(world.render, static_argnums=1)
        self.new_episode()
        self._step(self.state, next(iter(self.actions.values())))  # compiled now: the first key is answered at once

    def new_episode(self) -> None:
        """Start over in a new layout."""
        self._key, key = jax.random.split(self._key)
        self.state = self._reset(key)
        self.steps, self.reward, self.over, self.log = 0, 0.0, "", list[str]()

    def act(self, name: str) -> None:
        """Take the action of that name; nothing happens where the episode is over or the world has no such action."""
        if self.over or name not in self.actions:
            return
        self.state, reward, terminated, truncated, events = self._step(self.state, self.actions[name])
        self.steps += 1
        self.reward += float(reward)
        self.log += [f"step {self.steps}: {event.replace('_', ' ')}" for event, happened in events.items() if happened]
        self.over = "solved!" if terminated else "out of time" if truncated else ""

    def picture(self, scale: int = 1) -> np.ndarray:
        """What the agent sees now, uint8 [height width 3]."""
        return np.asarray(self._render(self.state, scale))

    def status(self) -> str:
        """One line about the episode."""
        state = f"step {self.steps} of {self.world.max_steps}   reward {self.reward:g}"
        return f"{state}   {self.over} (n: new episode)" if self.over else state


def half_blocks(picture: np.ndarray) -> list[str]:
    """A picture as lines of coloured half blocks, one line for two rows of pixels."""
    if len(picture) % 2:
        picture = np.concatenate([picture, np.zeros_like(picture[:1])])
    lines = []
    for upper, lower in zip(picture[::2], picture[1::2], strict=True):
        cells = (
            "\x1b[38;2;{};{};{};48;2;{};{};{}m▀".format(*map(int, (*above, *below)))
            for above, below in zip(upper, lower, strict=True)
        )
        lines.append("".join(cells) + "\x1b[0m")
    return lines


def fitting(world: Playable, columns: int, lines: int) -> Playable:
    """The world as large as a terminal of that size can show: tiles of 4 to 16 pixels, or a desk of 32 to 128."""
    if isinstance(world, Tabletop):
        return dataclasses.replace(world, image_size=max(32, min(128, columns, (lines - 8) * 2) // 2 * 2))
    world = dataclasses.replace(world, image_size=None, tile_pixels=4)
    height, width, _ = world.image_shape
    times = min(columns / width, (lines - 8) * 2 / height)
    return dataclasses.replace(world, tile_pixels=max(4, min(16, int(4 * times) // 2 * 2)))


@contextmanager
def _single_keys() -> Iterator[Any]:
    """A function that waits for one key press and returns it; the terminal is put back in order afterwards."""
    if os.name == "nt":
        import msvcrt

        arrows = {"H": "\x1b[A", "P": "\x1b[B", "M": "\x1b[C", "K": "\x1b[D"}

        def read_windows() -> str:
            key = msvcrt.getwch()  # type: ignore[attr-defined,unused-ignore]
            return arrows.get(msvcrt.getwch(), "") if key in "\x00\xe0" else key  # type: ignore[attr-defined,unused-ignore]

        yield read_windows
        return
    import select
    import termios
    import tty

    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)

    def read() -> str:
        key = os.read(file, 1).decode(errors="ignore")
        while key.startswith("\x1b") and len(key) < 3 and select.select([file], [], [], 0.05)[0]:
            key += os.read(file, 1).decode(errors="ignore")
        return key

    try:
        tty.setcbreak(file)
        yield read
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)


def play(world: Playable, seed: int = 0) -> None:
    """Play in this terminal until the person leaves. Raises RuntimeError where there is no terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise RuntimeError("playing needs a terminal; in a notebook use sensei_lite.course.widgets.play")
    size = shutil.get_terminal_size()
    game, keys = Game(fitting(world, size.columns, size.lines), seed), keys_of(world)
    with _single_keys() as read:
        try:
            while True:
                lines = [*half_blocks(game.picture()), "", game.status(), *game.log[-3:], help_of(world)]
                sys.stdout.write("\x1b[2J\x1b[H" + "\r\n".join(lines) + "\r\n")
                sys.stdout.flush()
                key = read()
                if key in LEAVE:
                    return
                if key == NEW_EPISODE:
                    game.new_episode()
                elif key in keys:
                    game.act(keys[key])
        except KeyboardInterrupt:
            return


def main(arguments: list[str] | None = None) -> None:
    """The command line of ``python -m sensei_lite.course.widgets.key_game``."""
    parser = argparse.ArgumentParser(
        prog="python -m sensei_lite.course.widgets.key_game", description="Play a world yourself."
    )
    parser.add_argument("world", nargs="?", default="keyroom", help=f"one of {', '.join(JAX_WORLDS)}")
    parser.add_argument("--seed", type=int, default=0, help="chooses the layouts")
    chosen = parser.parse_args(arguments)
    try:
        keep_compiled_programs()
        world = make_world(chosen.world)
        if not isinstance(world, Playable):
            raise ValueError(f"{chosen.world} cannot be played here; choose one of {', '.join(JAX_WORLDS)}")
        play(world, chosen.seed)
    except (ValueError, ImportError, RuntimeError) as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
