"""What does SENSEI's third world look like? Pokemon Red, the Game Boy game, from the user's own cartridge.

The agent sees the screen and presses one button at a time. The game is long and open: towns and routes to find,
Pokemon to catch and to train, battles to win, gym leaders to beat. The emulator is PyBoy. This project ships neither
the game nor a state of it: you need the image of your own cartridge (a ROM file) and, better than starting at the
title screen, a state that PyBoy saved where the agent is to start.

Source: SENSEI (Sancaktar et al., arXiv 2503.01584) and its research code, as carried in the public repository
gilianhonkoop/OpenSourceSensei: six buttons, each held for 8 frames, 96 frames per step (other public work on this game,
such as PokemonRedExperiments, takes 24), episodes of 1,000 steps, 64 x 64 pixels; its start state is a player who has a
starter, the Pokedex and a few balls. Changed against it: no reward (there: a sum for levels, badges, places and more);
and the picture is made of means of small areas (there: interpolated).

An optional extra: `pip install "sensei-lite[pokemon]"`.
"""

import hashlib
import importlib
import io
import os
import warnings
import weakref
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import UInt8
from PIL import Image as Picture

from sensei_lite.worlds.pokemon.memory import EVENTS, PARTY_COUNT, PARTY_SIZE, GameRecord

ROM_VARIABLE, STATE_VARIABLE = "SENSEI_LITE_POKEMON_ROM", "SENSEI_LITE_POKEMON_STATE"
HELD = 8  # frames that a button is held down, and how often the game's memory is looked at
SCREEN = (144, 160)  # rows and columns of the Game Boy

TITLE = slice(0x134, 0x143)  # in a ROM's header
HEADER, CHECKSUM = slice(0x134, 0x14D), 0x14D
SIZES = tuple(2**15 << n for n in range(9))  # 32 KiB to 8 MiB
ENGLISH_RED = "ea9bcae617fdf159b045185467ae58b2e4a48b9a"  # SHA-1, as pret/pokered's roms.sha1 has it


def _pyboy() -> Any:
    """Import PyBoy, or raise an ImportError that says how to get it."""
    try:
        # PyBoy loads a window library even where no window opens, and that one announces itself.
        with warnings.catch_warnings(action="ignore"):
            return importlib.import_module("pyboy")
    except ImportError as error:
        hint = f'Pokemon Red needs an extra: pip install "sensei-lite[pokemon]" ({error}).'
        raise ImportError(hint) from error


def read_rom(path: str | os.PathLike[str] | None, any_release: bool = False) -> bytes:
    """Read the image of a cartridge, if it is one that the events can be read from.

    Args:
        path: the file; None looks into the environment variable ``SENSEI_LITE_POKEMON_ROM``.
        any_release: take any game of the Game Boy. Else only the English release of Pokemon Red will do.

    Raises:
        ValueError: no file is named, it is no Game Boy ROM, or another one.
        FileNotFoundError: there is no such file.
    """
    path = path or os.environ.get(ROM_VARIABLE)
    if not path:
        raise ValueError(
            "Pokemon Red needs the image (ROM) of your own cartridge, which this project does not ship: pass "
            f"rom=<file>, or set the environment variable {ROM_VARIABLE} to the file"
        )
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no Pokemon Red ROM at {os.fspath(path)} (rom=, or {ROM_VARIABLE})")
    rom = Path(path).read_bytes()
    if len(rom) not in SIZES:
        raise ValueError(
            f"{os.fspath(path)} is no Game Boy ROM: it has {len(rom):,} bytes, a ROM has 32 KiB times a power of two "
            "(unpack it if it is in an archive)"
        )
    sum_of_header = sum(-byte - 1 for byte in rom[HEADER]) % 256
    if sum_of_header != rom[CHECKSUM]:
        raise ValueError(
            f"{os.fspath(path)} is no Game Boy ROM: its header adds up to {sum_of_header:#04x}, but its checksum is "
            f"{rom[CHECKSUM]:#04x}"
        )
    if any_release:
        return rom
    if (title := rom[TITLE].rstrip(b"\0").decode("latin-1")) != "POKEMON RED":
        raise ValueError(f"{os.fspath(path)} is not Pokemon Red: the title in its header is {title!r}")
    if (found := hashlib.sha1(rom).hexdigest()) != ENGLISH_RED:
        raise ValueError(
            f"{os.fspath(path)} is a POKEMON RED, but not the English release, for which alone it is known where in "
            f"memory to find the events (SHA-1 {ENGLISH_RED}, this file's is {found}): pass any_release=True to play "
            "it all the same, and do not trust its events"
        )
    return rom


class PokemonRed(gymnasium.Env[np.ndarray, int]):
    """Pokemon Red by its screen and its buttons.

    - Observation: uint8 `(image_size, image_size, 3)`, the screen of 144 x 160 pixels in four greys, made smaller by
      the mean of two or three rows and columns. Text is hard to read in it; the research code shows its VLM the whole
      screen, which is what `render()` gives.
    - Actions: `Discrete(6)`: down, left, right, up, a, b. Start and select are left out, as in the research code: Start
      opens a menu in which a beginner gets lost, and beating the first gyms needs neither.
    - Step: the button goes down, up again after 8 frames, and the game goes on until `frame_skip` frames are over.
    - Reward: always 0. The game knows none; what an agent should want here is SENSEI's question.
    - End: never `terminated`; `truncated` after `max_steps` actions.
    - Info: `info["events"]` says for each of `event_names` whether it happened in this step, see `GameRecord`. Beside
      it are numbers: `maps`, `party`, `levels`, `species`, `badges`, and where the player is, `map`, `x`, `y`.
    - Seeding: an episode has no randomness. The game makes its own from how many frames have passed when, so the same
      start state and the same actions give the same pictures, whatever the seed.
    - Files: nothing is written, and a saved game beside the ROM is not read.

    Args:
        rom: the image of your cartridge; None looks into the environment variable ``SENSEI_LITE_POKEMON_ROM``.
        start_state: a file that ``PyBoy.save_state`` wrote, where each episode starts; None looks into
            ``SENSEI_LITE_POKEMON_STATE``, and where that is not set, the Game Boy is switched on.
        frame_skip: frames (of 1/60 s) in a step. A step of the player takes 16, a line of text more.
        max_steps: actions before truncation.
        image_size: rows and columns of the observation.
        render_mode: None, or "rgb_array": the whole screen, `(144, 160, 3)`.
        any_release: take another game or another release of it; then its events may mean nothing.

    Raises:
        ImportError: the extra is missing.
        FileNotFoundError: a file is missing.
        ValueError: no ROM is named, a file is not what it should be, or an argument makes no world.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    action_names = ("down", "left", "right", "up", "a", "b")
    event_names = EVENTS

    def __init__(
        self,
        rom: str | os.PathLike[str] | None = None,
        start_state: str | os.PathLike[str] | None = None,
        frame_skip: int = 96,
        max_steps: int = 1000,
        image_size: int = 64,
        render_mode: str | None = None,
        any_release: bool = False,
    ):
        fits = frame_skip > HELD and max_steps >= 1 and 1 <= image_size <= min(SCREEN)
        if not fits or render_mode not in (None, "rgb_array"):
            raise ValueError(
                f"cannot use {frame_skip=} (at least {HELD + 1}), {max_steps=} (at least 1), {image_size=} (1 to "
                f"{min(SCREEN)}), {render_mode=} (None or 'rgb_array')"
            )
        pyboy, image = _pyboy(), read_rom(rom, any_release)
        self.observation_space = gymnasium.spaces.Box(0, 255, (image_size, image_size, 3), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(len(self.action_names))  # type: ignore[assignment]
        self.max_steps, self.render_mode = max_steps, render_mode
        self._frame_skip, self._size = frame_skip, (image_size, image_size)
        # PyBoy gets the bytes, not the path: beside a path it looks for a saved game.
        settings = {"window": "null", "sound_emulated": False, "cgb": False, "log_level": "CRITICAL"}
        self._game = pyboy.PyBoy(io.BytesIO(image), **settings)
        self._game.set_emulation_speed(0)  # as fast as it goes
        # Also where nobody calls close(): an emulator that still runs when Python ends prints errors.
        self._stop = weakref.finalize(self, self._game.stop, save=False)
        self._running = False
        try:
            self._start = self._read_state(start_state or os.environ.get(STATE_VARIABLE))
        except Exception:
            self.close()
            raise

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[UInt8[np.ndarray, "height width 3"], dict[str, Any]]:
        """Reset to the start state. `seed` changes nothing (see the class); `options` are unused.

        Raises RuntimeError after `close`.
        """
        super().reset(seed=seed)
        if not self._stop.alive:
            raise RuntimeError("the environment is closed: make another one")
        self._game.load_state(io.BytesIO(self._start))
        self._game.tick(1, True)  # one frame, to have it drawn
        self._record = GameRecord(self._game.memory)
        self._steps, self._running = 0, True
        return self._observe(), {"events": dict.fromkeys(self.event_names, False), **self._record.numbers()}

    def step(
        self, action: int | np.integer
    ) -> tuple[UInt8[np.ndarray, "height width 3"], float, bool, bool, dict[str, Any]]:
        """Take one step: press one button.

        Raises `ValueError` for no action of the space, `RuntimeError` after the end.
        """
        if not self.action_space.contains(action):
            raise ValueError(f"action must be in {self.action_space}, not {action!r}")
        if not self._running:
            raise RuntimeError("the episode has ended or not begun: call reset() first")
        self._press(self.action_names[action])
        self._steps += 1
        truncated = self._steps >= self.max_steps
        self._running = not truncated
        events = self._record.events()
        return self._observe(), 0.0, False, truncated, {"events": events, **self._record.numbers()}

    def render(self) -> UInt8[np.ndarray, "144 160 3"] | None:  # type: ignore[override]
        """Return the whole screen, as the research code shows it to the VLM; None without a render mode."""
        return self._screen().copy() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Stop the emulator. A second call does no harm."""
        self._stop()
        self._running = False

    def _press(self, button: str) -> None:
        self._game.button_press(button)
        self._game.tick(HELD, False)
        self._game.button_release(button)
        left = self._frame_skip - HELD
        while left > 0:
            self._record.watch()
            frames = min(HELD, left)
            left -= frames
            self._game.tick(frames, left == 0)  # only the last frame is drawn

    def _screen(self) -> UInt8[np.ndarray, "144 160 3"]:
        return self._game.screen.ndarray[..., :3]

    def _observe(self) -> UInt8[np.ndarray, "height width 3"]:
        picture = Picture.fromarray(np.ascontiguousarray(self._screen()))
        return np.asarray(picture.resize(self._size, Picture.Resampling.BOX), np.uint8)

    def _read_state(self, path: str | os.PathLike[str] | None) -> bytes:
        """Read a start state and try it, or take the one that the emulator is in."""
        if not path:
            fresh = io.BytesIO()
            self._game.save_state(fresh)
            return fresh.getvalue()
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no start state at {os.fspath(path)} (start_state=, or {STATE_VARIABLE})")
        state = Path(path).read_bytes()
        stream = io.BytesIO(state)
        try:
            self._game.load_state(stream)
        except Exception as error:
            raise ValueError(
                f"{os.fspath(path)} is no state that this version of PyBoy saved of a Game Boy ({error})"
            ) from error
        if stream.tell() != len(state):
            raise ValueError(
                f"{os.fspath(path)} is no state of this game: PyBoy read {stream.tell():,} of its {len(state):,} bytes"
            )
        if (party := self._game.memory[PARTY_COUNT]) > PARTY_SIZE:
            raise ValueError(f"{os.fspath(path)} is a state of another game or release: in its party are {party}")
        return state
