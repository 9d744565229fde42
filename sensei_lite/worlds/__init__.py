"""Where images come from: worlds to explore, as pure functions in JAX or behind Gymnasium's interface."""

from sensei_lite.types import Box, Discrete
from sensei_lite.worlds.base import (
    Events,
    Step,
    Transition,
    World,
    advance,
    advance_batch,
    begin_batch,
    begin_episode,
    render_batch,
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
    "Transition",
    "World",
    "advance",
    "advance_batch",
    "begin_batch",
    "begin_episode",
    "make_world",
    "render_batch",
    "world_names",
]
