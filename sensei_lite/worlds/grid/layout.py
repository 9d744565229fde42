"""How an episode of a grid world is laid out: its layout and its state, and the random choices behind them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from sensei_lite.types import Cell, Count, Flag, Seed

DOORWAY = 128


class Layout(NamedTuple):
    """The part of the state that stays the same for a whole episode."""

    kind: UInt8[Array, "height width"]
    """The kind of tile on every cell (see `tiles`)."""
    region: UInt8[Array, "height width"]
    """The room that each cell belongs to. Region 0 is always lit; others are dark until the world lights them.
    `DOORWAY` + n is a doorway of room n: always lit, and whoever stands in it sees into the room."""
    key: Cell
    """Where the key lies at first."""
    lock: Cell
    """The cell with the locked thing: a door or a chest."""
    lock_side: Cell
    """The direction (rows, columns) from which a door can be entered; zero for a chest, which has no sides."""
    goal: Cell
    """The cell that ends the episode when the agent stands on it; (-1, -1) where no cell does."""


class GridState(NamedTuple):
    """The state of a grid world."""

    layout: Layout
    agent: Cell
    has_key: Flag
    unlocked: Flag
    key_was_seen: Flag
    lock_was_seen: Flag
    t: Count


def next_to(cell: Cell, other: Cell) -> Flag:
    """Return whether two cells are orthogonal neighbours."""
    return abs(cell - other).sum() == 1


def choose(u: Float[Array, " *n"], choices: int | Count) -> Int[Array, " *n"]:
    """Sample choices 0, 1, ..., each equally likely, by random numbers u, uniform from 0 to 1."""
    return jnp.floor(u * choices).astype(jnp.int32)


def draw_noise(layers: int, shape: tuple[int, int], numbers: int, *, key: Seed) -> tuple[Array, Array]:
    """Sample all random numbers of a layout, uniform from 0 to 1: [layers height width] and [numbers].

    One draw instead of one for each choice, because on a CPU every call of the generator adds half a second of
    compilation.
    """
    u = jax.random.uniform(key, (layers * shape[0] * shape[1] + numbers,))
    return u[numbers:].reshape(layers, *shape), u[:numbers]


def random_cells(
    free: Bool[Array, "height width"], number: int, noise: Float[Array, "height width"]
) -> Int[Array, "number 2"]:
    """Sample ``number`` different cells (row, column), each equally likely among the free ones; these must suffice.

    ``noise`` is uniform from 0 to 1: the free cells where it is largest are drawn.
    """
    noise = jnp.where(free, noise, -1.0).reshape(-1)
    chosen = []
    for _ in range(number):
        at = noise.argmax()
        chosen.append(at)
        noise = noise.at[at].set(-1.0)
    return jnp.stack(jnp.divmod(jnp.stack(chosen), free.shape[1]), axis=-1).astype(jnp.int32)
