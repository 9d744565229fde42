"""Reward streams: where rewards come from, one file each. The file's name is the stream's name.

    extrinsic      the world's task                         semantic   what a vision-language model finds interesting
    disagreement   what the agent does not know yet         novelty    where it seldom was (for comparison)

A new intrinsic reward is a file here with a class ``Stream`` (see `base`), and a line in `presets.AGENTS` for who wants
it.
"""

import importlib
import pkgutil

from sensei_lite.agent.streams.base import RewardStream


def names() -> tuple[str, ...]:
    """Return the names of all streams there are."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "base"))


def stream(name: str) -> type[RewardStream]:
    """Return the class of a stream. Raises ValueError where there is none of this name."""
    if name not in names():
        raise ValueError(f"there is no reward stream {name!r}; there are {', '.join(names())}")
    found: type[RewardStream] = importlib.import_module(f"{__name__}.{name}").Stream
    return found
