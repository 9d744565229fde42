"""KeyRoom: find the key, open the closet, reach the exit.

A square room has a locked closet at a random place, with its door on a random side, and the exit inside. The agent and
the key start at random cells outside. Walking over the key takes it; *apply* next to the locked door with the key in
hand opens it; the closet is dark until then. Standing on the exit ends the episode with reward 1.

This is the task of MiniHack's KeyRoom levels (the paper's is KeyRoom-S15: a room of 15 x 15, a closet of 5 x 5, a 5 x 5
view, 8 moves, 600 steps), without NetHack around it. The default is a small room that is seen whole, which a laptop can
learn in minutes. `sensei_lite.worlds.minihack.world` has the real level.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from sensei_lite.types import Cell, Flag, Seed
from sensei_lite.worlds.grid import tiles
from sensei_lite.worlds.grid.layout import Layout, choose, draw_noise, random_cells
from sensei_lite.worlds.grid.world import MOVES, GridState, GridWorld


@dataclasses.dataclass(frozen=True)
class KeyRoom(GridWorld):
    """A room with a locked closet. Raises ValueError for settings that make no room."""

    size: int = 7
    """Side of the room in cells, without its walls. Paper: 15."""
    closet: int = 1
    """Side of the closet in cells, without its walls. Paper: 5."""
    rooms: int | None = None
    """How many different rooms there are: closets, doors, exits and keys. Where the agent starts and how things look
    is drawn anew for every episode all the same. None: every episode has a room of its own, and nothing can be learned
    by heart. Paper: None."""

    event_names: ClassVar[tuple[str, ...]] = (
        "key_seen",
        "key_picked_up",
        "door_reached",
        "door_reached_with_key",
        "door_opened",
        "exit_reached",
    )

    def __post_init__(self) -> None:
        if self.closet < 1:
            raise ValueError(f"closet is {self.closet}; it needs at least 1 cell a side")
        if self.rooms is not None and self.rooms < 1:
            raise ValueError(f"rooms is {self.rooms}; there must be at least 1, or None for a new one every episode")
        if self.size < self.closet + 3:
            raise ValueError(
                f"a room of size {self.size} is too small for a closet of {self.closet}: with walls and a way around "
                f"it the room must be at least {self.closet + 3}"
            )
        if 2 + self.decorations > self.size**2 - (self.closet + 2) ** 2:
            raise ValueError(f"decorations is {self.decorations}; a room of size {self.size} has no place for so many")
        super().__post_init__()

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of the grid, walls included."""
        return self.size + 2, self.size + 2

    @property
    def unlocked_kind(self) -> int:
        """The kind of an open door, which the locked one becomes."""
        return tiles.DOOR_OPEN

    def make_layout(self, *, key: Seed) -> tuple[Layout, Cell]:
        """Sample the places of the closet, its door, the exit, the key and the agent."""
        rows, columns = self.grid_shape
        noise, u = draw_noise(8, (rows, columns), 5, key=key)
        start_noise, paint_noise, room_noise = noise[0], noise[1], noise[2:]
        looks, place_of_closet = u[:2], u[2:4]
        if self.rooms is not None:
            room_key = jax.random.fold_in(jax.random.key(0), choose(u[4], self.rooms))
            room_noise, place_of_closet = draw_noise(6, (rows, columns), 2, key=room_key)
        key_noise, exit_noise, *door_noise = room_noise
        row, column = jnp.arange(rows)[:, None], jnp.arange(columns)[None, :]
        border = (row == 0) | (row == rows - 1) | (column == 0) | (column == columns - 1)

        # The closet with its walls is a block whose walls may be those of the room.
        top, left = choose(place_of_closet, self.size - self.closet + 1)
        below, right = top + self.closet + 1, left + self.closet + 1
        block = (row >= top) & (row <= below) & (column >= left) & (column <= right)
        inside = (row > top) & (row < below) & (column > left) & (column < right)
        is_wall = border | (block & ~inside)
        outside = ~border & ~block

        # A door can be in any cell of the closet's walls that has the closet on one side and the room on the other.
        sides = jnp.array(list(MOVES.values())[:4], jnp.int32)
        faces_room = jnp.stack([_shift(outside, side) & _shift(inside, -side) & is_wall for side in sides])
        side, door_row, door_column = jnp.unravel_index(
            jnp.where(faces_room, jnp.stack(door_noise), -1.0).argmax(), faces_room.shape
        )
        door = jnp.stack([door_row, door_column]).astype(jnp.int32)
        (goal,) = random_cells(inside, 1, exit_noise)
        (key_cell,) = random_cells(outside, 1, key_noise)
        (agent,) = random_cells(outside & ~((row == key_cell[0]) & (column == key_cell[1])), 1, start_noise)

        kind = self._paint(is_wall, outside, paint_noise, looks)
        kind = kind.at[door[0], door[1]].set(tiles.DOOR_LOCKED).at[goal[0], goal[1]].set(tiles.EXIT)
        layout = Layout(
            kind=kind, region=inside.astype(jnp.uint8), key=key_cell, lock=door, lock_side=sides[side], goal=goal
        )
        return layout, agent

    def lit(self, state: GridState) -> Bool[Array, "height width"]:
        """Return a mask of lit cells: the closet is dark until its door is open."""
        return (state.layout.region == 0) | state.unlocked

    def facts(self, state: GridState) -> dict[str, Flag]:
        """Return what is true now; an event is a fact that becomes true."""
        at_door = self._at_lock(state)
        return {
            "key_seen": state.key_was_seen,
            "key_picked_up": state.has_key,
            "door_reached": at_door,
            "door_reached_with_key": at_door & state.has_key,
            "door_opened": state.unlocked,
            "exit_reached": (state.agent == state.layout.goal).all(),
            "key_in_view": self._key_lies_in_view(state),
        }


def _shift(mask: Bool[Array, "height width"], by: Cell) -> Bool[Array, "height width"]:
    """Shift a mask: every cell gets the value of the cell ``by`` away; False outside."""
    padded = jnp.pad(mask, 1)
    return jax.lax.dynamic_slice(padded, (1 + by[0], 1 + by[1]), mask.shape)
