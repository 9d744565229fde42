"""One table of dimension names and array aliases for the whole package.

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
