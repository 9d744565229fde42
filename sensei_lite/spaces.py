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
    """An action space of ``size`` real numbers, each from -1 to 1."""

    names: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many numbers an action has."""
        return len(self.names)
