"""The worlds by name, so that a command line, a run folder and a notebook mean the same one."""

import dataclasses
from typing import Any

from sensei_lite.worlds.base import World
from sensei_lite.worlds.grid.keychest import KeyChest
from sensei_lite.worlds.grid.keyroom import KeyRoom
from sensei_lite.worlds.gym_adapter import HostWorld
from sensei_lite.worlds.tabletop import Tabletop

JAX_WORLDS: dict[str, World] = {
    "keyroom": KeyRoom(view=5, decorations=0, floor_textures=1, wall_shades=1),
    "keyroom-whole": KeyRoom(),
    "keyroom-lab": KeyRoom(rooms=1),
    "keyroom-plain": KeyRoom(rooms=1, decorations=0, floor_textures=1, wall_shades=1),
    "keyroom-s15": KeyRoom(size=15, closet=5, view=5, moves=8, max_steps=600, tile_pixels=10, image_size=64),
    "keychest": KeyChest(view=5, decorations=0, floor_textures=1, wall_shades=1),
    "keychest-whole": KeyChest(),
    "keychest-lab": KeyChest(houses=1),
    "keychest-s4r3": KeyChest(
        rows=3, room=2, corridor=2, view=5, moves=8, max_steps=800, tile_pixels=10, image_size=64
    ),
    "tabletop": Tabletop(),
    "tabletop-lab": Tabletop(layout_range=0.0),
    "tabletop-numbers": Tabletop(layout_range=0.0, numbers=True),
}
"""Worlds of pure functions: small ones that a laptop can learn, and the paper's sizes and view.

In ``keyroom`` and ``keychest`` every episode has a room or house that no one has seen, and the agent sees the 5 x 5
cells around it, as in the paper. In ``keyroom-whole`` and ``keychest-whole`` it sees all of it, which is much harder to
learn: every place has to be learned anew. In ``keyroom-lab`` the closet, its door, the key and the exit are always at
the same places, while floors, walls, decorations and the agent's start are drawn anew: harmless novelty around
something to find, and a room that can be learned by heart. ``keyroom-plain`` has no such novelty. ``keychest-lab`` is
one house in the same way. In ``tabletop-lab`` every episode begins alike; ``tabletop-numbers`` is the same, and tells
where everything is."""

HOST_WORLDS: dict[str, str] = {
    "minihack-keyroom-s15": "SenseiLite/MiniHackKeyRoom-v0",
    "minihack-keychest": "SenseiLite/MiniHackKeyChest-v0",
    "pokemon-red": "SenseiLite/PokemonRed-v0",
    "robodesk": "SenseiLite/Robodesk-v0",
}
"""Worlds behind a Gymnasium id, stepped by a host loop."""

HOST_SETTINGS: dict[str, dict[str, Any]] = {"robodesk": {"processes": True}}
"""What is not as in `HostWorld` unless somebody sets it: a world that is slow to draw gets a process for each copy."""

ANY_GYMNASIUM = "gymnasium:"
"""Prefix that makes any Gymnasium id a host world, as in ``gymnasium:MiniGrid-DoorKey-8x8-v0``."""


def world_names() -> list[str]:
    """Return all names that `make_world` knows."""
    return [*JAX_WORLDS, *HOST_WORLDS]


def make_world(name: str, *, num_envs: int = 1, **settings: Any) -> World | HostWorld:
    """Make a world by name.

    Args:
        name: one of `world_names`, or ``gymnasium:`` and any Gymnasium id.
        num_envs: copies that a host world runs side by side; a JAX world is batched with ``vmap`` and ignores it.
        settings: fields of the world to change, such as ``size=9``; for a host world, arguments of `HostWorld`.

    Raises:
        ValueError: the name is not known (the message lists those that are), or a setting makes no world.
        TypeError: the world has no such setting.
        ImportError: the world needs an extra that is not installed (the message names the command).
    """
    if name in JAX_WORLDS:
        world = JAX_WORLDS[name]
        known = [field.name for field in dataclasses.fields(world)]  # type: ignore[arg-type]
        if wrong := sorted(set(settings) - set(known)):
            raise TypeError(f"{name} has no setting {', '.join(wrong)}; it has {', '.join(known)}")
        return dataclasses.replace(world, **settings)  # type: ignore[type-var]
    if name in HOST_WORLDS:
        return HostWorld(HOST_WORLDS[name], num_envs=num_envs, **HOST_SETTINGS.get(name, {}) | settings)
    if name.startswith(ANY_GYMNASIUM):
        return HostWorld(name.removeprefix(ANY_GYMNASIUM), num_envs=num_envs, **settings)
    raise ValueError(
        f"there is no world called {name!r}; there are {', '.join(world_names())}, and {ANY_GYMNASIUM}<id>"
    )
