"""Observations to ask about: what an agent remembers, and what random or guided play sees when no agent is at hand.

SENSEI's D_init is what a curious agent saw (`remembered`). Guided play knows the way and takes it with a
probability of its own for every episode, else a random step. So its episodes reach from aimless to purposeful, and
every situation is in the pictures. The guide is the world's expert (`World.expert`), which looks at the true state as
no agent may: this is for making and testing annotators.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from sensei_lite.agent.replay import Replay
from sensei_lite.annotators.data import Observations, join_observations
from sensei_lite.types import Seed
from sensei_lite.worlds.base import TimeStep, World, step_limit
from sensei_lite.worlds.rollout import begin_rollout, random_actions, rollout

BLOCK = 64
"""Episodes that are played side by side; a block's pictures are in memory together."""


def remembered(replay: Replay, pictures: int, *, seed: int) -> Observations:
    """Whole episodes of what a replay holds, drawn at random until there are at least ``pictures``, or all of them.

    An episode whose first rows were overwritten is left out; one that has not ended yet is taken as far as it goes.
    Raises ValueError where the replay holds no start of an episode.
    """
    rows, facts = replay.in_order()
    is_first = np.asarray(rows.is_first)
    number = is_first.cumsum(0)  # in each world, from 1; 0 before the first start that is remembered
    if not number.any():
        raise ValueError("the replay holds no start of an episode")
    worlds = np.arange(number.shape[1])
    starts = [np.flatnonzero(is_first[:, world]) for world in worlds]
    ends = [np.append(of[1:], len(is_first)) for of in starts]
    spans = [(world, *span) for world in worlds for span in zip(starts[world], ends[world], strict=True)]
    chosen, total = [], 0
    for i in np.random.default_rng(seed).permutation(len(spans)):
        if total >= pictures:
            break
        chosen.append(spans[i])
        total += int(spans[i][2] - spans[i][1])
    images, told = np.asarray(rows.image), {name: np.asarray(values) for name, values in facts.items()}
    return join_observations(
        [
            Observations(
                images[begin:end, world],
                np.full(end - begin, episode, np.int64),
                np.arange(end - begin, dtype=np.int32),
                {name: values[begin:end, world] for name, values in told.items()},
            )
            for episode, (world, begin, end) in enumerate(sorted(chosen))
        ]
    )


def play_observations(world: World, episodes: int, *, guided: bool, scale: int = 1, seed: int) -> Observations:
    """Play ``episodes`` episodes to their ends and keep every picture, ``scale`` times as large as an agent's.

    Raises ValueError where the world has no limit of steps, or should be guided and nobody knows how.
    """
    if episodes < 1:
        raise ValueError(f"episodes is {episodes}; it must be at least 1")
    step_limit(world)
    if guided and not world.purposes:
        raise ValueError(f"{type(world).__name__} has no expert, so nobody knows what to do in it")
    blocks = []
    for begin in range(0, episodes, BLOCK):
        number = min(BLOCK, episodes - begin)
        key = jax.random.fold_in(jax.random.key(seed), begin)
        blocks.append(_ordered(*jax.device_get(_play(world, number, guided, scale, key=key)), first_episode=begin))
    return join_observations(blocks)


def _ordered(images: np.ndarray, valid: np.ndarray, facts: dict, *, first_episode: int) -> Observations:
    """Order the pictures of first episodes, one episode after the other."""
    episode, t = np.nonzero(valid.T)
    return Observations(
        images[t, episode],
        (first_episode + episode).astype(np.int64),
        t.astype(np.int32),
        {name: values[t, episode] for name, values in facts.items()},
    )


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _play(world: World, episodes: int, guided: bool, scale: int, *, key: Seed) -> tuple[Array, Array, dict[str, Array]]:
    """Sample pictures [time episodes ...], which of them belong to first episodes, and facts [time episodes]."""
    begin_key, boldness_key, play_key, purpose_key = jax.random.split(key, 4)
    start = begin_rollout(world, episodes, key=begin_key)
    experts = None
    if guided:  # with one purpose for a whole episode
        purposes = jax.random.randint(purpose_key, (episodes,), 0, len(world.purposes))
        experts = jax.vmap(world.expert)(start.state, purposes)
    boldness = jax.random.uniform(boldness_key, (episodes,))

    def see(state: Any) -> tuple[Array, dict[str, Array]]:
        return jax.vmap(lambda s: world.render(s, scale))(state), jax.vmap(world.facts)(state)

    def guide(memory: tuple[Any, Array], timestep: TimeStep, key: Seed) -> tuple[tuple[Any, Array], Array]:
        act_key, choice_key = jax.random.split(key)
        action = random_actions(world, (episodes,), key=act_key)
        if experts is not None:
            known = jax.vmap(lambda expert, state: expert(state))(experts, memory[0])
            bold = jax.random.uniform(choice_key, (episodes,)) < boldness
            action = jnp.where(bold.reshape(-1, *[1] * (action.ndim - 1)), known, action)
        return memory, action

    def observe(memory: tuple[Any, Array], state: Any, timestep: TimeStep) -> tuple[tuple[Any, Array], tuple]:
        image, facts = see(state)
        running = memory[1]
        return (state, running & ~timestep.is_last), (image, running, facts)

    image, facts = see(start.state)
    start = start._replace(memory=(start.state, jnp.ones(episodes, bool)))
    _, (images, valid, later) = rollout(world, guide, start, step_limit(world), observe=observe, key=play_key)
    first = (image, jnp.ones(episodes, bool), facts)
    return jax.tree.map(lambda one, rest: jnp.concatenate([one[None], rest]), first, (images, valid, later))
