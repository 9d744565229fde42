"""The real Robodesk (MuJoCo), the paper's robotic world, as an optional extra. Start reading in `world`."""

from sensei_lite.worlds.robodesk.world import Robodesk

__all__ = ["Robodesk"]
