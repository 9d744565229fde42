"""Types that the whole package shares: dimension names, array aliases, and action spaces.

Shapes in annotations are written with these names, so that the same word means the same axis everywhere:

    batch   independent examples: sequences in a batch, or environments side by side
    time    steps of a sequence
    deter   deterministic state h of the world model
    stoch   categorical variables of the stochastic state z
    classes classes of each categorical variable
    bins    numbers on which a two-hot head stands
    action  size of an action (number of choices, or of continuous dimensions)
    height  rows of an image or of a grid
    width   columns of an image or of a grid
    channel colours of an image: red, green, blue

The tests check every annotated function at run time (jaxtyping with beartype); in normal use annotations cost nothing.
"""

import dataclasses
from typing import Any

from jaxtyping import Array, Bool, Float, Int, Key, UInt8

AnyArray = Any
"""A JAX or a NumPy array: rows of experience come from compiled worlds and from host worlds."""

Image = UInt8[Array, "height width channel"]
"""A picture as the agent sees it: rows, columns, RGB, values 0 to 255."""

Images = UInt8[Array, "batch height width channel"]
"""Pictures of several environments."""

Cell = Int[Array, "2"]
"""A place in a grid: (row, column), counted from the top left corner."""

Flag = Bool[Array, ""]
Count = Int[Array, ""]
Scalar = Float[Array, ""]
Seed = Key[Array, ""]
"""One typed PRNG key (`jax.random.key`)."""


@dataclasses.dataclass(frozen=True)
class Discrete:
    """An action space of named choices. An action is an integer, its place in ``names``."""

    names: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many choices there are."""
        return len(self.names)


@dataclasses.dataclass(frozen=True)
class Box:
    """An action space of ``size`` real numbers, each from -1 to 1. Raises ValueError for opposites that do not fit."""

    names: tuple[str, ...]
    opposites: tuple[str, ...] = ()
    """What minus one means, for each of ``names``; empty where there are no words for it."""

    def __post_init__(self) -> None:
        if self.opposites and len(self.opposites) != len(self.names):
            raise ValueError(f"there are {len(self.names)} names, but {len(self.opposites)} opposites")

    @property
    def size(self) -> int:
        """How many numbers an action has."""
        return len(self.names)

    @property
    def one_at_a_time(self) -> dict[str, tuple[float, ...]]:
        """The actions that have a word, by that word: one number is 1 (or -1, by its opposite), all others are 0."""
        ways = ((self.names, 1.0), (self.opposites, -1.0))
        return {
            name: tuple(sign if i == place else 0.0 for i in range(self.size))
            for names, sign in ways
            for place, name in enumerate(names)
        }
