"""Where the small CLIP's pictures come from: states of many worlds, with every situation as frequent as any other.

Play shows an open door once in hundreds of pictures. So states are not played but set: in a fresh layout, all places
of the agent and all stages (no key; key; lock opened) are listed; first a level of interest is drawn among those that
occur, then a scene of that level, then a state with that scene.

A layout is held out when a hash of its key's, lock's and exit's places says so. Training skips those layouts in every
world, and the measures use only them: no arrangement of key, lock and exit is ever in both.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8, UInt32

from make.clip.captions import LEVELS, Scene, interest_level, scene_of
from sensei_lite.types import Flag, Seed
from sensei_lite.worlds import KeyChest, KeyRoom
from sensei_lite.worlds.grid import tiles
from sensei_lite.worlds.grid.layout import Layout, next_to
from sensei_lite.worlds.grid.world import GridState, GridWorld

HELD_OUT_ONE_IN = 8
"""One layout in so many is held out."""

BLOCK = 512
"""Pictures that are drawn at a time."""

_LOOKS = {"floor_textures": tiles.FLOOR_TEXTURES, "wall_shades": tiles.WALL_SHADES}
_PAPER = {"view": 5, "moves": 8, "tile_pixels": 10, "image_size": 64}

TRAINING_WORLDS: tuple[GridWorld, ...] = (
    KeyRoom(**_LOOKS),
    KeyRoom(size=5, decorations=1, **_LOOKS),
    KeyRoom(size=9, decorations=4, **_LOOKS),
    KeyRoom(size=9, closet=3, decorations=6, **_LOOKS),
    KeyRoom(size=7, closet=2, decorations=0, **_LOOKS),
    KeyRoom(size=7, closet=3, tile_pixels=6, **_LOOKS),
    KeyRoom(size=5, tile_pixels=12, **_LOOKS),
    KeyRoom(size=9, view=5, decorations=4, **_LOOKS),
    KeyRoom(size=9, closet=3, decorations=6, **_PAPER, **_LOOKS),
    KeyRoom(size=15, closet=5, decorations=8, **_PAPER, **_LOOKS),
    KeyRoom(size=9, closet=2, view=7, **_LOOKS),
    KeyChest(**_LOOKS),
    KeyChest(rows=2, room=1, corridor=2, decorations=1, **_LOOKS),
    KeyChest(rows=3, decorations=4, **_LOOKS),
    KeyChest(tile_pixels=6, decorations=4, **_LOOKS),
    KeyChest(rows=2, corridor=2, decorations=1, **_PAPER, **_LOOKS),
    KeyChest(rows=3, corridor=2, decorations=4, **_PAPER, **_LOOKS),
    KeyChest(rows=3, corridor=1, view=7, **_LOOKS),
)


class Captioned(NamedTuple):
    """Pictures of one world with what they show."""

    images: UInt8[np.ndarray, "n height width channel"]
    scene: Scene
    facts: dict[str, np.ndarray]
    """The world's own facts, which also know what is out of view."""
    chest: bool
    """The world's lock is a chest."""


def sample_scenes(world: GridWorld, number: int, *, held_out: bool, seed: int) -> Captioned:
    """Sample at most ``number`` pictures of held-out layouts or of the others: those of the other kind are left out."""
    blocks = -(-number * (HELD_OUT_ONE_IN if held_out else 1) // BLOCK)
    parts = []
    for keys in jax.random.split(jax.random.key(seed), (blocks, BLOCK)):
        *drawn, is_out = jax.device_get(_sample(world, keys))
        parts.append(jax.tree.map(lambda values, which=is_out == held_out: values[which], tuple(drawn)))
    images, scene, facts = jax.tree.map(lambda *values: np.concatenate(values)[:number], *parts)
    return Captioned(images, scene, facts, isinstance(world, KeyChest))


def is_held_out(layout: Layout) -> Flag:
    """Return whether a layout is held out: it belongs to the measures and not to training."""
    return hash_of(jnp.concatenate([layout.key, layout.lock, layout.goal + 1])) % HELD_OUT_ONE_IN == 0


def hash_of(places: Int[Array, " n"]) -> UInt32[Array, ""]:
    """Compute a hash of places, the same on every machine (after FNV-1a)."""
    mixed = jnp.zeros((), jnp.uint32)
    for place in places.astype(jnp.uint32):
        mixed = (mixed ^ place) * jnp.uint32(16777619) + jnp.uint32(2166136261)
    return mixed >> 13


@functools.partial(jax.jit, static_argnums=0)
def _sample(world: GridWorld, keys: Array) -> tuple[Array, Scene, dict[str, Array], Array]:
    def one(key: Seed) -> tuple[Array, Scene, dict[str, Flag], Flag]:
        layout_key, scene_key, state_key = jax.random.split(key, 3)
        start = world.reset(key=layout_key)
        states, possible = _all_states(world, start)
        scenes = jax.vmap(lambda s: scene_of(world, s))(states)
        code = sum(part.astype(jnp.int32) << i for i, part in enumerate(scenes[:-1]))
        # The level whose noise is largest among those that occur, then the scene, then the state.
        level = interest_level(scenes, jnp)
        level_noise, scene_noise = jnp.split(
            jax.random.uniform(scene_key, (len(LEVELS) + 2 ** (len(scenes) - 1),)), [len(LEVELS)]
        )
        possible = _only_best(level_noise[level], possible)
        chosen = jnp.where(_only_best(scene_noise[code], possible), jax.random.uniform(state_key, code.shape), -1.0)
        chosen = chosen.argmax()
        state = jax.tree.map(lambda part: part[chosen], states)
        scene = jax.tree.map(lambda part: part[chosen], scenes)
        return world.render(state), scene, world.facts(state), is_held_out(start.layout)

    return jax.vmap(one)(keys)


def _only_best(noise: Array, among: Array) -> Array:
    """Return a mask of those of ``among`` whose noise is the largest there."""
    return among & (noise == jnp.where(among, noise, -1.0).max())


def _all_states(world: GridWorld, start: GridState) -> tuple[GridState, Array]:
    """List the agent's every place at every stage, and which of these states an episode can come to."""
    rows, columns = world.grid_shape
    number = jnp.arange(rows * columns * 3)
    cell, stage = number // 3, number % 3
    agent = jnp.stack([cell // columns, cell % columns], -1).astype(jnp.int32)
    layout = start.layout

    def at(agent: Array, stage: Array) -> tuple[GridState, Array]:
        state = start._replace(agent=agent, has_key=stage > 0, unlocked=stage == 2)
        is_lock, on_key = (agent == layout.lock).all(), (agent == layout.key).all()
        kind = layout.kind[agent[0], agent[1]].astype(jnp.int32)
        walkable = jnp.asarray(tiles.WALKABLE)[kind]
        if isinstance(world, KeyChest):  # opening the chest ends the episode, so the agent stands beside it
            reached = (stage < 2) | next_to(agent, layout.lock)
        else:
            walkable = walkable | is_lock
            reached = (stage == 2) | ((layout.region[agent[0], agent[1]] == 0) & ~is_lock)
        return state, walkable & reached & ~(on_key & (stage == 0))

    states, possible = jax.vmap(at)(agent, stage)
    return states, possible
