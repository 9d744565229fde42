"""What do SENSEI's own video-game worlds look like? The real MiniHack levels, as Gymnasium environments.

KeyRoom-S15: a room with a locked closet; find the key, unlock the door, reach the staircase. KeyChest: rooms along a
corridor; find the key, open the locked chest. The agent sees the 5 x 5 tiles around itself and a slot that shows the
key once it is held; it moves in eight directions or uses the key. NetHack runs underneath, through `nle`.

Source: SENSEI (Sancaktar et al., arXiv 2503.01584) and MiniHack (Samvelyan et al., arXiv 2109.13202). Changed against
the research code: the key is drawn into the image, not given beside it; KeyChest has KeyRoom's actions (there: four
moves and "open") and its chest is locked and gets unlocked (there: a message of the game stands for that); "at the
door" means orthogonally next to it (there: diagonally, too).

An optional extra: `pip install "sensei-lite[minihack]"`, on Linux.
"""

import importlib
import sys
import warnings
from typing import Any, ClassVar

import gymnasium
import numpy as np
from jaxtyping import Int16, UInt8

from sensei_lite.worlds.minihack.keychest import keychest_level

# Glyphs: NetHack's numbers for what a map cell shows (nle.nethack counts them from GLYPH_OBJ_OFF and GLYPH_CMAP_OFF).
CHEST, KEY, STONE, FLOOR, STAIRS_UP = 2096, 2102, 2359, 2378, 2382
OPEN_DOORS, CLOSED_DOORS = (2372, 2373), (2374, 2375)

VIEW, TILE, IMAGE = 5, 11, 64  # tiles that the agent sees, each way; pixels of a tile (MiniHack: 16); of its image
FRAME, SLOT_EDGE, SLOT, GOLD = (38, 38, 48), (110, 110, 125), (12, 12, 16), (255, 205, 60)
KEY_ROWS = (".##........", "#..#.......", "#..########", "#..#....#.#", ".##.....#..")
KEY_ICON = np.array([list(row) for row in KEY_ROWS]) == "#"

# Action n < 8 moves by MOVES[n] = (dx, dy), y downwards: N, E, S, W, NE, SE, SW, NW, as in the research code.
MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0), (1, -1), (1, 1), (-1, 1), (-1, -1))
MOVE_KEYS = "kljhunby"  # NetHack's
APPLY = len(MOVES)
ESCAPE, LOOT = "\x1b", "\xec"  # LOOT is Meta-l
SOLVED = "TASK_SUCCESSFUL"  # nle's word
MAX_PULLS = 20  # how often APPLY pulls at an unlocked door: NetHack lets doors stick at random


def _require(*modules: str) -> None:
    """Import the extra's modules, or raise an ImportError that says how to get them."""
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # minihack's, about pkg_resources
            for module in modules:
                importlib.import_module(module)
    except ImportError as error:
        hint = f'The MiniHack levels need an extra: pip install "sensei-lite[minihack]" ({error}).'
        if sys.platform != "linux":
            hint += f" It cannot be had on {sys.platform}: the NetHack engine nle has Linux wheels only."
        raise ImportError(hint) from error


class _Painter:
    """Draws the 5 x 5 glyphs and the key slot at `scale` times the size of the agent's image."""

    def __init__(self, scale: int):
        from minihack.tiles import GlyphMapper

        self._original = GlyphMapper().glyph_id_to_rgb
        self._tiles: dict[int, np.ndarray] = {}
        self._scale = scale
        # Which of a tile's 16 pixels to keep. Averages smear the thin key on the floor; this choice keeps it a key.
        self._pixels = (np.arange(TILE * scale) * 16 + min(4 * scale, 15)) // (TILE * scale)
        self._frame = np.full((IMAGE * scale, IMAGE * scale, 3), FRAME, np.uint8)
        self._frame[55 * scale : 64 * scale, 24 * scale : 39 * scale] = SLOT_EDGE
        self._frame[56 * scale : 63 * scale, 25 * scale : 38 * scale] = SLOT

    def _tile(self, glyph: int) -> np.ndarray:
        if glyph not in self._tiles:
            # As in the research code, the up-staircase (the entrance) is drawn as floor.
            tile = self._original(FLOOR if glyph == STAIRS_UP else glyph)
            self._tiles[glyph] = np.asarray(tile, np.uint8)[np.ix_(self._pixels, self._pixels)]
        return self._tiles[glyph]

    def __call__(self, view: Int16[np.ndarray, "5 5"], key_held: bool) -> UInt8[np.ndarray, "height width 3"]:
        image, scale = self._frame.copy(), self._scale
        rows = [np.concatenate([self._tile(int(glyph)) for glyph in row], axis=1) for row in view]
        image[: 55 * scale, 4 * scale : 59 * scale] = np.concatenate(rows)
        if key_held:
            icon = KEY_ICON.repeat(scale, 0).repeat(scale, 1)
            image[57 * scale : 62 * scale, 26 * scale : 37 * scale][icon] = GOLD
        return image


class MiniHackLevel(gymnasium.Env[np.ndarray, int]):
    """What the two levels share: seeding, keystrokes, image, events, and how an episode ends.

    - Observation: uint8 `(64, 64, 3)`. 5 x 5 tiles of 11 pixels, the agent in the middle, the up-staircase drawn as
      floor; below them a slot that holds a golden key while the agent does.
    - Actions: `Discrete(9)`: N, E, S, W, NE, SE, SW, NW, APPLY. Moving into a closed (not locked) door opens it, moving
      onto the key picks it up. APPLY uses the key on a lock beside the agent, with all the keystrokes that takes;
      without key or lock it changes nothing on the map, yet counts as a step.
    - Reward: 1.0 with the step that solves the level, else 0.0. MiniHack's own reward is not used: it also takes 0.01
      for each keystroke that costs no game time.
    - End: `terminated` when the level is solved or the game ends in another way, such as death; `truncated` after
      `max_steps` actions, if the last one did not terminate.
    - Info: `info["events"]` says for each of `event_names` whether this step made it true. `..._seen`: the thing is in
      the 5 x 5 view for the first time in this episode. Anything else that is true at reset is no event.
    - Seeding: all randomness of an episode hangs on one integer, drawn from `np_random` at reset. So `reset(seed=n)`
      fixes this episode and those after it, in any process.
    - Arguments of every level: `max_steps`, actions before truncation; `render_mode`, None or "rgb_array";
      `render_scale`, how many times larger than the agent's image `render()` draws, each way.
    - Attributes for scripts and tests: `glyphs`, int16 `(21, 79)`, the map as far as the hero knows it; `position`, the
      hero's (column, row) on it; `key_held`.

    Raises `ImportError` if the extra is missing, `ValueError` for arguments that make no level.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    action_names = ("north", "east", "south", "west", "north-east", "south-east", "south-west", "north-west", "apply")
    event_names: ClassVar[tuple[str, ...]]
    passing: ClassVar[frozenset[str]] = frozenset()  # the events that can happen again within an episode

    def __init__(self, level: str, max_steps: int, render_mode: str | None = None, render_scale: int = 4):
        if max_steps < 1 or render_scale < 1 or render_mode not in (None, "rgb_array"):
            raise ValueError(f"cannot use {max_steps=}, {render_mode=}, {render_scale=}")
        from minihack import MiniHackNavigation

        self.observation_space = gymnasium.spaces.Box(0, 255, (IMAGE, IMAGE, 3), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(APPLY + 1)  # type: ignore[assignment]
        self.max_steps, self.render_mode = max_steps, render_mode
        self._paint, self._paint_large = _Painter(1), _Painter(render_scale)
        self._game = MiniHackNavigation(
            des_file=level,
            actions=tuple(range(256)),  # an action of the inner game is a keystroke
            allow_all_yn_questions=True,  # APPLY answers the game's questions itself
            autopickup=True,
            max_episode_steps=sys.maxsize,  # keystrokes are not steps: steps are counted here
            fix_moon_phase=True,  # else tonight's real moon changes the hero's luck, and with it the trajectory
            observation_keys=("glyphs", "blstats", "inv_glyphs", "inv_letters", "message"),
        )
        # At the end nle would quit the game before it returns the last observation, and return a blank one.
        self._game._quit_game = lambda *_: None
        self._status = "ABORTED"  # nle's word for the state of the game; RUNNING after reset

    def _new_level(self, seed: int) -> None:
        """Give the game another level, if NetHack does not draw it from its own seed."""

    def _apply(self) -> None:
        """Use the key, which is held, if there is something to use it on."""
        raise NotImplementedError

    def _conditions(self) -> dict[str, bool]:
        """Return which of `event_names` are true now."""
        return {"key_seen": self._sees(KEY) or self.key_held, "key_picked_up": self.key_held}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[UInt8[np.ndarray, "64 64 3"], dict[str, Any]]:
        """Start an episode. `seed` restarts the random stream, without it the stream goes on; `options` are unused."""
        super().reset(seed=seed)
        level_seed = int(self.np_random.integers(2**31 - 1))
        self._new_level(level_seed)
        self._game.seed(level_seed, level_seed, reseed=False)  # the game's reset(seed=...) does not reach NetHack
        obs, _ = self._game.reset()
        self._steps, self._status = 0, "RUNNING"
        self._read(obs)
        # Nothing has been seen before the first step, so what is in view now is an event of that step.
        self._true = {name: now and not name.endswith("_seen") for name, now in self._conditions().items()}
        return self._paint(self._view, self.key_held), {"events": dict.fromkeys(self.event_names, False)}

    def step(self, action: int | np.integer) -> tuple[UInt8[np.ndarray, "64 64 3"], float, bool, bool, dict[str, Any]]:
        """Take one step. Raises `ValueError` for no action of the space, `RuntimeError` after the end."""
        if not self.action_space.contains(action):
            raise ValueError(f"action must be in {self.action_space}, not {action!r}")
        if self._status != "RUNNING":
            raise RuntimeError("the episode has ended or not begun: call reset() first")
        if action != APPLY:
            self._press(MOVE_KEYS[action])
        elif self.key_held:
            self._apply()
        self._steps += 1
        if self._status == "RUNNING" and self._steps >= self.max_steps:
            self._status = "ABORTED"

        before, now = self._true, self._conditions()
        self._true = {name: now[name] or (before[name] and name not in self.passing) for name in self.event_names}
        # Call-out M1 (ours): an interaction is a change. The research code adds up, over steps, that a door is in view
        # and open, or stood before.
        events = {name: self._true[name] and not before[name] for name in self.event_names}
        reward, truncated = float(self._status == SOLVED), self._status == "ABORTED"
        terminated = self._status != "RUNNING" and not truncated
        return self._paint(self._view, self.key_held), reward, terminated, truncated, {"events": events}

    def render(self) -> UInt8[np.ndarray, "height width 3"] | None:  # type: ignore[override]
        """Draw the agent's picture from the original tiles, `render_scale` times as large; None without a mode."""
        return self._paint_large(self._view, self.key_held) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free the NetHack engine and its temporary folder."""
        self._game.close()

    def _press(self, key: str) -> str:
        """Press one key, unless the game is over, and return what the game then says."""
        if self._status != "RUNNING":
            return ""
        obs, _, _, _, info = self._game.step(ord(key))
        self._status = info["end_status"].name
        self._read(obs)
        return obs["message"].tobytes().split(b"\0")[0].decode("latin-1")

    def _read(self, obs: dict[str, np.ndarray]) -> None:
        """Copy what is needed: nle overwrites its arrays in place."""
        x, y = (int(i) for i in obs["blstats"][:2])
        if x == 0:
            return  # a column never used: the hero has died, there is no map any more, and the last view stays
        self.position, self.glyphs = (x, y), obs["glyphs"].copy()
        # Beyond the map there is stone. (MiniHack's own crop has glyph 0 there, a giant ant.)
        self._view = np.pad(self.glyphs, VIEW // 2, constant_values=STONE)[y : y + VIEW, x : x + VIEW]
        held = np.flatnonzero(obs["inv_glyphs"] == KEY)
        self.key_held = len(held) > 0
        self._key_letter = chr(obs["inv_letters"][held[0]]) if self.key_held else ""

    def _use_key(self, direction: str) -> bool:
        """Unlock what lies in `direction`; return whether that worked. An unexpected answer ends the dialogue."""
        talk = (("a", "use or apply"), (self._key_letter, "direction"), (direction, "nlock it"), ("y", "succeed"))
        for key, answer in talk:
            if answer not in self._press(key):
                self._press(ESCAPE)
                return False
        return True

    def _sees(self, *glyphs: int) -> bool:
        return bool(np.isin(self._view, glyphs).any())

    def _beside(self, *glyphs: int, moves: int = len(MOVES)) -> str:
        """Return the key of the first of the first `moves` moves that leads to one of `glyphs`, or an empty string."""
        neighbours = (self._view[VIEW // 2 + dy, VIEW // 2 + dx] for dx, dy in MOVES[:moves])
        return next((key for key, glyph in zip(MOVE_KEYS, neighbours, strict=False) if glyph in glyphs), "")


class MiniHackKeyRoom(MiniHackLevel):
    """KeyRoom-S15: find the key, unlock the closet's door, reach the staircase in it. See `MiniHackLevel`.

    It is the level of `MiniHack-KeyRoom-S15-v0`. APPLY unlocks a door on any of the eight sides, as MiniHack's own
    macro does, and pulls until it opens. `door_reached` is coming to stand orthogonally next to the closed door,
    `door_reached_with_key` the same with the key in hand; these two can happen many times in an episode.
    `room_size` and `closet_size` are inner widths in tiles.
    """

    event_names = ("key_seen", "key_picked_up", "door_reached", "door_reached_with_key", "door_opened", "exit_reached")
    passing = frozenset({"door_reached", "door_reached_with_key"})

    def __init__(self, max_steps: int = 600, room_size: int = 15, closet_size: int = 5, **drawing: Any):
        if not 1 <= closet_size <= room_size - 3 <= 12:
            raise ValueError(f"need 1 <= closet_size <= room_size - 3 <= 12, not {closet_size=}, {room_size=}")
        _require("nle", "minihack")
        from minihack.envs.keyroom import KeyRoomGenerator

        super().__init__(KeyRoomGenerator(room_size, closet_size, lit=True).get_des(), max_steps, **drawing)

    def _apply(self) -> None:
        door = self._beside(*CLOSED_DOORS)
        if door and self._use_key(door):
            for _ in range(MAX_PULLS):
                if self._beside(*CLOSED_DOORS):
                    self._press(door)

    def _conditions(self) -> dict[str, bool]:
        at_door = self._beside(*CLOSED_DOORS, moves=4) != ""
        return super()._conditions() | {
            "door_reached": at_door,
            "door_reached_with_key": at_door and self.key_held,
            "door_opened": self._sees(*OPEN_DOORS),
            "exit_reached": self._status == SOLVED,
        }


class MiniHackKeyChest(MiniHackLevel):
    """KeyChest-S4R3: find the key in a room off the corridor, open the chest in another. See `MiniHackLevel`.

    All doors are closed, none is locked. APPLY next to the chest steps onto it, unlocks it and lifts the lid, which
    solves the level. `room_size` is the outer width of a room in tiles, `num_rows` how many lie above one another.
    """

    event_names = ("key_seen", "key_picked_up", "chest_seen", "chest_opened")

    def __init__(self, max_steps: int = 800, room_size: int = 4, num_rows: int = 3, **drawing: Any):
        if room_size < 3 or num_rows < 1 or (room_size - 1) * num_rows + 1 > 20:
            raise ValueError(f"{num_rows} rows of rooms of size {room_size} do not fit NetHack's map of 20 rows")
        _require("nle", "minihack", "minigrid")
        self._sizes = {"room_size": room_size, "num_rows": num_rows}
        super().__init__(keychest_level(0, **self._sizes), max_steps, **drawing)

    def _new_level(self, seed: int) -> None:
        self._game.update(keychest_level(seed, **self._sizes))

    def _apply(self) -> None:
        if self._beside(CHEST):
            self._press(self._beside(CHEST))
        # Who stands on the chest hides it, so ask the game. Where there is no chest it says so.
        if self._use_key(".") and "unlocked chest" in self._press(LOOT):
            self._press("y")  # lifts the lid
            self._status = SOLVED

    def _conditions(self) -> dict[str, bool]:
        opened = self._status == SOLVED
        return super()._conditions() | {"chest_seen": self._sees(CHEST) or opened, "chest_opened": opened}
