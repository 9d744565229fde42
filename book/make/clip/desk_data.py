"""Where the desk CLIP's pictures come from: states that are set, states that are played, all situations alike frequent.

Play opens the cabinet's door once in hundreds of pictures, and hardly ever while the lamp is on. So states are set
(`desk_scenes`): drawer, door and lamp as chance has it, objects anywhere, the gripper at one of them, with one of them,
or nearly so. States of random and guided play come in as well, for what nobody thought of setting. From both together,
everything that the gripper can do gets its share, and within that each scene. Rare scenes are thus those that were set,
and of scenes that play is full of, most were played.

In most episodes some objects begin in their places, as they all do in ``tabletop-lab``.

An arrangement of objects at an episode's start is held out when a hash of their places (in cells of `CELL` decimetres)
says so. Training skips those, set or played, and the measures use only them.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8

from make.clip.caption_data import HELD_OUT_ONE_IN, hash_of
from make.clip.desk_captions import NOTHING, OPEN, TOUCHES, Scene, scene_of, seen_in
from make.clip.desk_scenes import set_state, tidied
from sensei_lite.types import Flag, Seed
from sensei_lite.worlds.rollout import random_actions
from sensei_lite.worlds.tabletop import Tabletop, TabletopState
from sensei_lite.worlds.tabletop.desk import OBJECTS
from sensei_lite.worlds.tabletop.guide import PURPOSES, guide_any

CELL = 0.4
SET, PLAYED = 3, 4
"""So many states are set and so many are played for each that is chosen to be drawn. Half of the play is guided."""
KEPT = 64
"""States that are kept of each episode that is played."""
EPISODES = 64
"""Episodes that are played side by side."""
FINE = (NOTHING, TOUCHES)
"""These have twice the pictures of the others: whether something is touched is a matter of a pixel or two, and most of
what an agent sees is of these."""
BLOCK = 256
"""States that are set, and pictures that are drawn, at a time."""


class DeskPictures(NamedTuple):
    """Pictures of a desk with what they show."""

    images: UInt8[np.ndarray, "n height width channel"]
    scene: Scene
    facts: dict[str, np.ndarray]
    """The world's own facts, which also know what is hidden."""


def sample_desk(world: Tabletop, number: int, *, held_out: bool, seed: int) -> DeskPictures:
    """Sample at most ``number`` pictures, balanced over what the gripper does and over scenes.

    Raises ValueError where no state is left to draw.
    """
    set_key, play_key = jax.random.split(jax.random.key(seed))
    rarer = HELD_OUT_ONE_IN if held_out else 1
    parts = [_set(world, keys) for keys in _blocks(set_key, SET * number * rarer, BLOCK)]
    episodes = -(-PLAYED * number * rarer // KEPT)
    every_other = jnp.arange(EPISODES) % 2 == 0
    parts += [_played(world, keys, every_other) for keys in _blocks(play_key, episodes, EPISODES)]
    kept = [_of_one_part(part, held_out) for part in parts]
    states = jax.tree.map(lambda *values: np.concatenate(values), *kept)
    scenes = _in_blocks(_scenes, world, states)
    return draw(world, jax.tree.map(lambda part: part[_balanced(scenes, number, seed)], states))


def sample_play(world: Tabletop, number: int, *, guided: bool, held_out: bool, seed: int) -> DeskPictures:
    """Sample at most ``number`` pictures of play, `KEPT` of an episode, as they come: an agent's are like these.

    Raises ValueError where no state is left to draw.
    """
    episodes = -(-number * (HELD_OUT_ONE_IN if held_out else 1) // KEPT)
    parts = [
        _of_one_part(_played(world, keys, jnp.full(EPISODES, guided)), held_out)
        for keys in _blocks(jax.random.key(seed), episodes, EPISODES)
    ]
    return draw(world, jax.tree.map(lambda *values: np.concatenate(values)[:number], *parts))


def draw(world: Tabletop, states: TabletopState) -> DeskPictures:
    """Draw the pictures of states, [n ...] in every part. Raises ValueError where there are none."""
    return DeskPictures(*_in_blocks(_draw, world, states))


def is_held_out(start: TabletopState) -> Flag:
    """Return whether an episode that starts so is held out: it belongs to the measures and not to training."""
    return hash_of(jnp.floor(start.objects[:, :2] / CELL).astype(jnp.int32).reshape(-1)) % HELD_OUT_ONE_IN == 0


def _blocks(key: Seed, number: int, size: int) -> list[Array]:
    """Split at least ``number`` keys, ``size`` in each block."""
    return list(jax.random.split(key, (-(-number // size), size)))


def _in_blocks(function: Callable[[Tabletop, TabletopState], Any], world: Tabletop, states: TabletopState) -> Any:
    """Apply a compiled function to many states, `BLOCK` at a time: the last ones are filled up to that number."""
    number = len(states.t)
    if not number:
        raise ValueError("there are no states: ask for more pictures")
    parts = []
    for begin in range(0, number, BLOCK):
        which = np.minimum(np.arange(begin, begin + BLOCK), number - 1)
        parts.append(jax.device_get(function(world, jax.tree.map(lambda part, which=which: part[which], states))))
    return jax.tree.map(lambda *values: np.concatenate(values)[:number], *parts)


def _of_one_part(part: tuple[TabletopState, Array], held_out: bool) -> TabletopState:
    states, is_out = jax.device_get(part)
    return jax.tree.map(lambda values: values[is_out == held_out], states)


@functools.partial(jax.jit, static_argnums=0)
def _set(world: Tabletop, keys: Array) -> tuple[TabletopState, Array]:
    def one(key: Seed) -> tuple[TabletopState, Flag]:
        start_key, tidy_key, set_key = jax.random.split(key, 3)
        start = tidied(world.reset(key=start_key), key=tidy_key)
        return set_state(world, start, key=set_key), is_held_out(start)

    return jax.vmap(one)(keys)


@functools.partial(jax.jit, static_argnums=0)
def _played(world: Tabletop, keys: Array, guided: Array) -> tuple[TabletopState, Array]:
    """Sample states of play, [episode * kept]. A guided episode takes up another purpose now and then."""
    every = max(1, world.max_steps // KEPT)

    def episode(key: Seed, guided: Flag) -> tuple[TabletopState, Array]:
        start_key, tidy_key, bold_key, play_key = jax.random.split(key, 4)
        start = tidied(world.reset(key=start_key), key=tidy_key)
        boldness = guided * jax.random.uniform(bold_key)

        def step(state: TabletopState, key: Array) -> tuple[TabletopState, None]:
            random_key, choice_key, step_key = jax.random.split(key, 3)
            # Four purposes in an episode.
            purpose_key = jax.random.fold_in(play_key, state.t // (world.max_steps // 4 + 1))
            purpose = jax.random.randint(purpose_key, (), 0, len(PURPOSES))
            action = random_actions(world, (), key=random_key)
            bold = jax.random.uniform(choice_key) < boldness
            action = jnp.where(bold, guide_any(purpose, state, world.speed), action)
            return world.step(state, action, key=step_key).state, None

        def some_steps(state: TabletopState, key: Array) -> tuple[TabletopState, TabletopState]:
            state, _ = jax.lax.scan(step, state, jax.random.split(key, every))
            return state, state

        _, states = jax.lax.scan(some_steps, start, jax.random.split(play_key, KEPT))
        return states, jnp.full(KEPT, is_held_out(start))

    played = jax.vmap(episode)(keys, guided)
    return jax.tree.map(lambda part: part.reshape(-1, *part.shape[2:]), played)


@functools.partial(jax.jit, static_argnums=0)
def _draw(world: Tabletop, states: TabletopState) -> tuple[Array, Scene, dict[str, Array]]:
    def one(state: TabletopState) -> tuple[Array, Scene, dict[str, Array]]:
        image = world.render(state)
        return image, scene_of(world, state, seen_in(image)), world.facts(state)

    return jax.vmap(one)(states)


@functools.partial(jax.jit, static_argnums=0)
def _scenes(world: Tabletop, states: TabletopState) -> Scene:
    """Compute the scenes of states as if nothing hid anything."""
    return jax.vmap(lambda state: scene_of(world, state, jnp.ones(len(OBJECTS), bool)))(states)


def _balanced(scenes: Scene, number: int, seed: int) -> Int[np.ndarray, " n"]:
    """Choose which states to draw, each once: the gripper's acts in turn, and of each of these its scenes in turn."""
    random, grip = np.random.default_rng(seed), np.asarray(scenes.grip)
    # What lies on the floor, and what is ajar, is as frequent as the candidates have it.
    places = (scenes.ball_place, scenes.blue_place, scenes.green_place)
    kinds = (
        scenes.grip,
        scenes.thing,
        scenes.drawer == OPEN,
        scenes.door == OPEN,
        scenes.light,
        scenes.stacked,
        *places,
    )
    code = np.unique(np.stack([np.asarray(part, int) for part in kinds], 1), axis=0, return_inverse=True)[1].ravel()
    order = random.permutation(len(code))
    turn_in_scene = _turn(code[order])
    # All first ones of a scene come before the second ones.
    order = order[np.argsort(turn_in_scene, kind="stable")]
    times = np.where(np.isin(grip[order], FINE), 2, 1)
    order = order[np.argsort(_turn(grip[order]) // times, kind="stable")]
    return order[:number]


def _turn(group: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Count for each entry how many of its group stand before it."""
    turn = np.zeros(len(group), int)
    for one in np.unique(group):
        where = np.flatnonzero(group == one)
        turn[where] = np.arange(len(where))
    return turn


def is_clear(scene: Scene) -> Bool[np.ndarray, " n"]:
    """Return which scenes show what the gripper does: only those can be described."""
    return np.asarray(scene.grip) >= 0
