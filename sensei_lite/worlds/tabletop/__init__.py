"""Tabletop, a robotic world that a laptop can learn. Start reading in `world`."""

from sensei_lite.worlds.tabletop.desk import TabletopState
from sensei_lite.worlds.tabletop.world import Tabletop

__all__ = ["Tabletop", "TabletopState"]
