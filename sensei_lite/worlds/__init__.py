"""Where images come from: worlds to explore, as pure functions in JAX or behind Gymnasium's interface."""

from sensei_lite.types import Box, Discrete
from sensei_lite.worlds.base import (
    Events,
    Step,
    TimeStep,
    World,
    render_batch,
    reset_batch,
    step_batch,
)
from sensei_lite.worlds.grid.keychest import KeyChest
from sensei_lite.worlds.grid.keyroom import KeyRoom
from sensei_lite.worlds.gym_adapter import HostWorld
from sensei_lite.worlds.registry import make_world, world_names
from sensei_lite.worlds.tabletop import Tabletop

__all__ = [
    "Box",
    "Discrete",
    "Events",
    "HostWorld",
    "KeyChest",
    "KeyRoom",
    "Step",
    "Tabletop",
    "TimeStep",
    "World",
    "make_world",
    "render_batch",
    "reset_batch",
    "step_batch",
    "world_names",
]
