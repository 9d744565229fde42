"""What KeyRoom and KeyChest share: a grid of tiles, an agent that walks on it, a key, one lock, and how it is seen.

A step is: move (or apply the key), pick up what lies there, and report what changed. If c(s) is a fact about a state
("the agent stands at the locked door"), then its event is the *change*

    event(s_t, s_{t+1}) = c(s_{t+1}) and not c(s_t),

so waiting at the door is counted once, however long the agent stands there.

What the agent sees is either the whole grid or an egocentric crop with the agent in the middle (the paper's is 5 x 5),
always with a status strip below it that shows whether the agent holds the key: whatever sees the picture knows what the
agent knows.
"""

import abc
import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from sensei_lite.types import Cell, Count, Discrete, Flag, Image, Seed
from sensei_lite.worlds.base import Events, Step, World
from sensei_lite.worlds.grid import tiles
from sensei_lite.worlds.grid.layout import GridState, Layout, choose, next_to, random_cells
from sensei_lite.worlds.grid.oracle import way_to_success

MOVES = {
    "north": (-1, 0),
    "east": (0, 1),
    "south": (1, 0),
    "west": (0, -1),
    "north-east": (-1, 1),
    "south-east": (1, 1),
    "south-west": (1, -1),
    "north-west": (-1, -1),
}
"""(rows, columns) that each move adds. Four-move worlds use the first four."""


@dataclasses.dataclass(frozen=True)
class GridWorld(World):
    """The rules of walking, taking, unlocking and seeing. A subclass lays out the grid and names its events."""

    view: int | None = None
    """Side of the egocentric crop in cells (odd); None shows the whole grid. Paper: 5."""
    moves: int = 4
    """4: north, east, south, west; 8: the diagonals too. Paper: 8."""
    max_steps: int = 100
    """Agent steps after which an episode is truncated. Paper: 600 (KeyRoom-S15), 800 (KeyChest)."""
    tile_pixels: int = 8
    """Side of a tile in the agent's picture."""
    image_size: int | None = None
    """Pad the picture with darkness to this many rows and columns; None leaves it as large as its tiles. Paper: 64."""
    floor_textures: int = 4
    """How many looks the floor of an episode can have (1 to 6): harmless novelty."""
    wall_shades: int = 4
    """How many looks the walls of an episode can have (1 to 6): harmless novelty."""
    decorations: int = 2
    """How many floor cells of an episode carry a meaningless decoration, of 6 sorts: harmless novelty."""

    def __post_init__(self) -> None:
        _require(self.moves in (4, 8), f"moves is {self.moves}; it must be 4 or 8")
        _require(self.max_steps >= 1, f"max_steps is {self.max_steps}; an episode needs at least 1 step")
        _require(self.decorations >= 0, f"decorations is {self.decorations}; it cannot be negative")
        for name, most in (("floor_textures", tiles.FLOOR_TEXTURES), ("wall_shades", tiles.WALL_SHADES)):
            value = getattr(self, name)
            _require(1 <= value <= most, f"{name} is {value}; it must be from 1 to {most}")
        if self.view is not None:
            most = 2 * max(self.grid_shape) - 1
            _require(self.view % 2 == 1, f"view is {self.view}; a crop with the agent in its middle has an odd side")
            _require(3 <= self.view <= most, f"view is {self.view}; on this grid it makes sense from 3 to {most}")
        least = tiles.SMALLEST  # the tiles are drawn when they are first looked at, not when a world is named
        _require(self.tile_pixels >= least, f"tile_pixels is {self.tile_pixels}; {least} is the smallest")
        height, width, _ = self._drawn_shape(1)
        if self.image_size is not None and self.image_size < max(height, width):
            raise ValueError(
                f"image_size is {self.image_size}, but the tiles need {height} x {width} pixels: "
                f"make image_size larger, or tile_pixels (now {self.tile_pixels}) smaller"
            )

    @property
    @abc.abstractmethod
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of the whole grid, walls included."""

    @property
    @abc.abstractmethod
    def unlocked_kind(self) -> int:
        """The kind of tile that the lock becomes when it is opened."""

    @abc.abstractmethod
    def make_layout(self, *, key: Seed) -> tuple[Layout, Cell]:
        """Sample an episode's layout, and the cell (row, column) where the agent starts."""

    @abc.abstractmethod
    def lit(self, state: GridState) -> Bool[Array, "height width"]:
        """Return a mask of the cells that can be seen if they are in view."""

    @abc.abstractmethod
    def facts(self, state: GridState) -> dict[str, Flag]:
        """Return what is true now: the world's events, in the order of ``event_names``, and what else is measured."""

    @property
    def actions(self) -> Discrete:
        """The moves, and ``apply``, which uses the key on an orthogonal neighbour."""
        return Discrete((*list(MOVES)[: self.moves], "apply"))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Rows, columns and colours of the agent's picture."""
        return self._image_shape(1)

    @property
    def situations(self) -> int:
        """Number of situations: the agent's cell, whether it has the key, whether the lock is open; 4 per cell."""
        rows, columns = self.grid_shape
        return 4 * rows * columns

    def situation(self, state: GridState) -> Count:
        """Return the index of a state's situation, 4 cell + 2 has_key + unlocked."""
        cell = state.agent[0] * self.grid_shape[1] + state.agent[1]
        return 4 * cell + 2 * state.has_key + state.unlocked

    @property
    def purposes(self) -> tuple[str, ...]:
        """Success, the last of the events."""
        return self.event_names[-1:]

    def expert(self, state: GridState, purpose: Count) -> Callable[[GridState], Count]:
        """Return an expert for the rest of this episode, which takes a shortest way to success (see `oracle`)."""
        return jax.tree_util.Partial(self._along, way_to_success(self, state))

    def _along(self, way: Int[Array, " situations"], state: GridState) -> Count:
        return way[self.situation(state)]

    def reset(self, *, key: Seed) -> GridState:
        """Start an episode in a new layout; return its first state."""
        layout, agent = self.make_layout(key=key)
        no = jnp.zeros((), bool)
        return GridState(layout, agent, no, no, no, no, jnp.zeros((), jnp.int32))

    def step(self, state: GridState, action: Count, *, key: Seed) -> Step:
        """Take one step. Nothing here is random: ``key`` is part of every world's interface and not used."""
        moves = np.array([*list(MOVES.values())[: self.moves], (0, 0)], np.int32)
        applies = action == self.moves
        agent = self._walk(state, state.agent + jnp.asarray(moves)[action])
        has_key = state.has_key | (agent == state.layout.key).all()
        unlocked = state.unlocked | (applies & state.has_key & next_to(agent, state.layout.lock))
        after = state._replace(agent=agent, has_key=has_key, unlocked=unlocked, t=state.t + 1)
        lit = self.lit(after)
        after = after._replace(
            key_was_seen=state.key_was_seen | has_key | self._sees(after, lit, state.layout.key),
            lock_was_seen=state.lock_was_seen | self._sees(after, lit, state.layout.lock),
        )
        before_facts, facts = self.facts(state), self.facts(after)
        events: Events = {name: facts[name] & ~before_facts[name] for name in self.event_names}
        success = events[self.event_names[-1]]
        return Step(
            state=after,
            reward=success.astype(jnp.float32),
            terminated=success,
            truncated=~success & (after.t >= self.max_steps),
            events=events,
        )

    def _walk(self, state: GridState, target: Cell) -> Cell:
        """Return where the agent stands after it tried to step on ``target``. No doorway is crossed diagonally."""
        layout, move = state.layout, target - state.agent
        side = layout.lock_side
        at_lock = (target == layout.lock).all()
        through_door = (at_lock | (state.agent == layout.lock).all()) & (side != 0).any()
        diagonal = (move != 0).all()
        walkable = jnp.asarray(tiles.WALKABLE)[self._kind_of(layout, target, at_lock, state.unlocked)]
        return jnp.where(walkable & ~(through_door & diagonal), target, state.agent)

    def _kind_of(self, layout: Layout, cell: Cell, is_lock: Flag, unlocked: Flag) -> Count:
        kind = layout.kind[cell[0], cell[1]].astype(jnp.int32)
        return jnp.where(is_lock & unlocked, self.unlocked_kind, kind)

    def _sees(self, state: GridState, lit: Bool[Array, "height width"], cell: Cell) -> Flag:
        in_view = jnp.ones((), bool) if self.view is None else (abs(cell - state.agent) <= self.view // 2).all()
        return in_view & lit[cell[0], cell[1]]

    def _at_lock(self, state: GridState) -> Flag:
        """Return whether the agent stands where it could use the key, and there is still use for it."""
        return next_to(state.agent, state.layout.lock) & ~state.unlocked

    def _key_lies_in_view(self, state: GridState) -> Flag:
        return ~state.has_key & self._sees(state, self.lit(state), state.layout.key)

    # --- the picture -------------------------------------------------------------------------------------------------

    def render(self, state: GridState, scale: int = 1) -> Image:
        """Draw the agent's picture, ``scale`` times as large (drawn finer, not only blown up).

        Raises ValueError where ``scale`` is under 1.
        """
        _require(scale >= 1, f"scale is {scale}; it must be at least 1")
        indices = jnp.concatenate([self._view_tiles(state), self._strip_tiles(state)])
        pixels = self.tile_pixels * scale
        picture = jnp.asarray(tiles.atlas(pixels)).at[indices].get(mode="promise_in_bounds")
        picture = picture.transpose(0, 2, 1, 3, 4).reshape(self._drawn_shape(scale))
        height, width, _ = self._image_shape(scale)
        top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
        bottom, right = height - top - picture.shape[0], width - left - picture.shape[1]
        return jnp.pad(picture, ((top, bottom), (left, right), (0, 0)))

    def whole_picture(self, state: GridState, scale: int = 1) -> Image:
        """Draw the whole grid, whatever the agent's view is; cells that are not lit stay dark. Raises as `render`."""
        return dataclasses.replace(self, view=None, image_size=None).render(state, scale)

    def _view_tiles(self, state: GridState) -> Int[Array, "rows columns"]:
        """Return the atlas indices of the cells in view."""
        rows, columns = self.grid_shape
        top, left = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
        kind = jnp.where(self.lit(state), state.layout.kind.astype(jnp.int32), tiles.DARK)
        if self.view is not None:
            radius = self.view // 2
            kind = jnp.pad(kind, radius, constant_values=tiles.DARK)
            kind = jax.lax.dynamic_slice(kind, (state.agent[0], state.agent[1]), (self.view, self.view))
            top, left = state.agent[0] - radius, state.agent[1] - radius
            rows, columns = self.view, self.view
        at_row, at_column = top + jnp.arange(rows)[:, None], left + jnp.arange(columns)[None, :]

        def here(cell: Cell) -> Bool[Array, "rows columns"]:
            return (at_row == cell[0]) & (at_column == cell[1])

        kind = jnp.where(here(state.layout.lock) & state.unlocked & (kind != tiles.DARK), self.unlocked_kind, kind)
        key_lies = here(state.layout.key) & ~state.has_key & (kind != tiles.DARK)
        on_top = jnp.where(key_lies, tiles.KEY, tiles.NOTHING)
        on_top = jnp.where(here(state.agent), tiles.AGENT, on_top)
        return on_top * tiles.KINDS + kind

    def _strip_tiles(self, state: GridState) -> Int[Array, "1 columns"]:
        columns = self.view or self.grid_shape[1]
        slot = jnp.where(state.has_key, tiles.SLOT_KEY, tiles.SLOT_EMPTY)
        return jnp.full((1, columns), tiles.PANEL).at[0, columns // 2].set(slot)

    def _drawn_shape(self, scale: int) -> tuple[int, int, int]:
        rows, columns = (self.view, self.view) if self.view else self.grid_shape
        pixels = self.tile_pixels * scale
        return (rows + 1) * pixels, columns * pixels, 3

    def _image_shape(self, scale: int) -> tuple[int, int, int]:
        if self.image_size is None:
            return self._drawn_shape(scale)
        return self.image_size * scale, self.image_size * scale, 3

    # --- help for layouts --------------------------------------------------------------------------------------------

    def _paint(
        self,
        is_wall: Bool[Array, "height width"],
        free: Bool[Array, "height width"],
        noise: Float[Array, "height width"],
        looks: Float[Array, " 2"],
    ) -> UInt8[Array, "height width"]:
        """Sample an episode's looks: kinds of tile for walls and floor, and decorations on some ``free`` cells."""
        wall = tiles.WALL + choose(looks[0], self.wall_shades)
        floor = tiles.FLOOR + choose(looks[1], self.floor_textures) * (1 + tiles.DECORATIONS)
        kind = jnp.where(is_wall, wall, floor)
        if self.decorations:
            cells = random_cells(free, self.decorations, noise)
            # Which cells are decorated depends on where their noise is in the order; its last digits choose how.
            sorts = choose(noise[cells[:, 0], cells[:, 1]] * 4096 % 1, tiles.DECORATIONS)
            kind = kind.at[cells[:, 0], cells[:, 1]].set(floor + 1 + sorts)
        return kind.astype(jnp.uint8)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
