"""What an agent can do: one of several named choices, or several numbers at once. Worlds offer it, agents act in it."""

import dataclasses


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
        """The actions that have a word: one number is 1 (or -1, by its opposite), and all others are 0."""
        ways = ((self.names, 1.0), (self.opposites, -1.0))
        return {
            name: tuple(sign if i == place else 0.0 for i in range(self.size))
            for names, sign in ways
            for place, name in enumerate(names)
        }
