"""KeyChest: find the key in one room, open the chest in another.

Rooms lie on both sides of a corridor, each with a doorway at a random height. One holds a key, another a locked chest;
a room is dark until the agent stands in it or in its doorway. *Apply* next to the chest with the key in hand opens it
and ends the episode with reward 1.

The layout idea is that of MiniGrid's KeyCorridor, which the paper rebuilt as a MiniHack level (KeyCorridor-S4, three
rows of rooms, 800 steps). The default is a small house that is seen whole.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from sensei_lite.types import Cell, Flag, Seed
from sensei_lite.worlds.grid import tiles
from sensei_lite.worlds.grid.layout import DOORWAY, Layout, choose, draw_noise, random_cells
from sensei_lite.worlds.grid.world import GridState, GridWorld


@dataclasses.dataclass(frozen=True)
class KeyChest(GridWorld):
    """Rooms along a corridor. Raises ValueError for settings that make no house."""

    rows: int = 2
    """Rooms on each side of the corridor. Paper: 3."""
    room: int = 2
    """Side of a room in cells, without its walls. Paper: 2."""
    corridor: int = 1
    """Width of the corridor in cells. Paper: 2."""
    houses: int | None = None
    """How many different houses there are: doorways, keys and chests. Where the agent starts and how things look is
    drawn anew for every episode all the same. None: every episode has a house of its own, and nothing can be learned
    by heart. Paper: None."""

    event_names: ClassVar[tuple[str, ...]] = ("key_seen", "key_picked_up", "chest_seen", "chest_opened")

    def __post_init__(self) -> None:
        for name in ("rows", "room", "corridor"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if self.houses is not None and self.houses < 1:
            raise ValueError(f"houses is {self.houses}; there must be at least 1, or None for a new one every episode")
        if self.decorations > self.rows * (self.room + 1) - 1:
            raise ValueError(f"decorations is {self.decorations}; the corridor has no place for so many")
        super().__post_init__()

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of the grid, walls included."""
        return self.rows * (self.room + 1) + 1, 2 * self.room + self.corridor + 4

    @property
    def unlocked_kind(self) -> int:
        """The kind of an open chest, which the locked one becomes."""
        return tiles.CHEST_OPEN

    def make_layout(self, *, key: Seed) -> tuple[Layout, Cell]:
        """Sample the places of the doorways, the key, the chest and the agent."""
        height, width = self.grid_shape
        layers, u = draw_noise(4, (height, width), 4 + 2 * self.rows, key=key)
        (key_noise, chest_noise, start_noise, paint_noise), looks = layers, u[2:4]
        if self.houses is not None:
            house_key = jax.random.fold_in(jax.random.key(0), choose(u[0], self.houses))
            (key_noise, chest_noise), u = draw_noise(2, (height, width), 4 + 2 * self.rows, key=house_key)
        row, column = jnp.arange(height)[:, None], jnp.arange(width)[None, :]
        pitch = self.room + 1
        left_wall, right_wall = pitch, pitch + self.corridor + 1
        border = (row == 0) | (row == height - 1) | (column == 0) | (column == width - 1)
        in_corridor = (column > left_wall) & (column < right_wall) & ~border
        between_rooms = (row % pitch == 0) & ~in_corridor

        # Rooms are numbered 1, 2, ... down the left side, then down the right side. Each has one doorway.
        offsets = 1 + choose(u[4:].reshape(2, self.rows), self.room)
        doorway_rows = jnp.arange(self.rows) * pitch + offsets
        doorway = ((column == left_wall) & (row == doorway_rows[0][:, None, None]).any(0)) | (
            (column == right_wall) & (row == doorway_rows[1][:, None, None]).any(0)
        )
        is_wall = (border | between_rooms | (column == left_wall) | (column == right_wall)) & ~doorway
        number = 1 + row // pitch + jnp.where(column >= right_wall, self.rows, 0)
        region = jnp.where(is_wall | in_corridor, 0, number + DOORWAY * doorway)

        key_room = choose(u[0], 2 * self.rows)
        chest_room = (key_room + 1 + choose(u[1], 2 * self.rows - 1)) % (2 * self.rows)  # any other room
        (key_cell,) = random_cells(region == 1 + key_room, 1, key_noise)
        (chest,) = random_cells(region == 1 + chest_room, 1, chest_noise)
        (agent,) = random_cells(in_corridor, 1, start_noise)

        free = ~is_wall & ~(doorway | ((row == chest[0]) & (column == chest[1])))
        kind = self._paint(is_wall, free, paint_noise, looks).at[chest[0], chest[1]].set(tiles.CHEST_LOCKED)
        layout = Layout(
            kind=kind,
            region=region.astype(jnp.uint8),
            key=key_cell,
            lock=chest,
            lock_side=jnp.zeros((2,), jnp.int32),
            goal=jnp.full((2,), -1, jnp.int32),
        )
        return layout, agent

    def lit(self, state: GridState) -> Bool[Array, "height width"]:
        """Return a mask of lit cells: corridor, doorways, and the room in which or in whose doorway the agent is."""
        region = state.layout.region
        return (region == 0) | (region >= DOORWAY) | (region == region[state.agent[0], state.agent[1]] % DOORWAY)

    def facts(self, state: GridState) -> dict[str, Flag]:
        """Return what is true now; an event is a fact that becomes true."""
        return {
            "key_seen": state.key_was_seen,
            "key_picked_up": state.has_key,
            "chest_seen": state.lock_was_seen,
            "chest_opened": state.unlocked,
            "chest_reached": self._at_lock(state),
            "chest_reached_with_key": self._at_lock(state) & state.has_key,
            "key_in_view": self._key_lies_in_view(state),
        }
