"""How well an agent does: what it reached in whole episodes, and what that says over several seeds.

An agent is judged by *first episodes*: many worlds start together, each plays until its episode ends, and what comes
after is not counted. (Counting all episodes that end within so many steps would favour the short ones.) Over seeds, the
interquartile mean comes with a 95% interval by the bootstrap (Agarwal et al., arXiv 2108.13264): the middle 95% of the
interquartile means of 9,999 samples, each as many seeds as there are, drawn with repetition.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy import stats

from sensei_lite.agent import state as agents
from sensei_lite.agent.state import AgentState
from sensei_lite.types import Seed
from sensei_lite.worlds.base import Transition, World, advance_batch, begin_batch
from sensei_lite.worlds.random_play import random_actions


class Outcome(NamedTuple):
    """What happened in first episodes; each share is between 0 and 1."""

    reached: dict[str, Float[Array, ""]]
    """The share of episodes in which each event happened."""
    reward: Float[Array, ""]
    """Mean sum of the task's rewards in an episode."""
    length: Float[Array, ""]
    """Mean steps of an episode."""
    situations: Int[Array, ""]
    """How many different situations there were in all episodes together (see `World.situation`)."""
    situations_each: Float[Array, ""]
    """Mean number of different situations in one episode."""


@functools.partial(jax.jit, static_argnums=(1, 2))
def play_episodes(agent: AgentState, world: World, episodes: int, *, key: Seed) -> Outcome:
    """Let the agent play one episode in each of ``episodes`` worlds. It acts as it does in training: it samples.

    Raises ValueError where the world has no limit of steps (``max_steps``).
    """
    memory = agents.first_memory(agent, episodes, world.actions.size)

    def choose(memory: Any, row: Transition, key: Array) -> tuple[Any, Array]:
        memory = agents.act(agent, memory, row.image, row.is_first, row.vector, key=key)
        return memory, agents.decode_action(world.actions, memory.action)

    return _first_episodes(world, episodes, choose, memory, key=key)


@functools.partial(jax.jit, static_argnums=(0, 1))
def play_random_episodes(world: World, episodes: int, *, key: Seed) -> Outcome:
    """The same for random actions: what any agent must beat."""

    def choose(memory: Any, row: Transition, key: Array) -> tuple[Any, Array]:
        return memory, random_actions(world, (episodes,), key=key)

    return _first_episodes(world, episodes, choose, (), key=key)


def _first_episodes(
    world: World,
    episodes: int,
    choose: Callable[[Any, Transition, Array], tuple[Any, Array]],
    memory: Any,
    *,
    key: Seed,
) -> Outcome:
    limit = getattr(world, "max_steps", None)
    if limit is None:
        raise ValueError(f"{type(world).__name__} has no max_steps, so it is not known when its episodes are over")
    begin_key, play_key = jax.random.split(key)
    state, row = begin_batch(world, keys=jax.random.split(begin_key, episodes))
    running, visited = jnp.ones(episodes, bool), jnp.zeros((episodes, world.situations), bool)

    def step(carry: tuple[Any, Transition, Any, Array, Array], key: Array) -> tuple[tuple, tuple[Any, Array, Array]]:
        state, row, memory, running, visited = carry
        act_key, world_key = jax.random.split(key)
        memory, action = choose(memory, row, act_key)
        keys = jax.random.split(world_key, episodes)
        state, row = advance_batch(world, state, row.is_last, action, keys=keys)
        if world.situations:
            situation = jax.vmap(world.situation)(state)
            visited = visited.at[jnp.arange(episodes), situation].max(running)
        counted = {name: happened & running for name, happened in row.events.items()}
        result = (counted, jnp.where(running, row.reward, 0.0), running)
        return (state, row, memory, running & ~row.is_last, visited), result

    start = (state, row, memory, running, visited)
    end, (events, rewards, steps) = jax.lax.scan(step, start, jax.random.split(play_key, limit))
    visited = end[-1]
    return Outcome(
        reached={name: happened.any(0).mean() for name, happened in events.items()},
        reward=rewards.sum(0).mean(),
        length=steps.sum(0).mean(),
        situations=visited.any(0).sum(),
        situations_each=visited.sum(1).mean(),
    )


class Summary(NamedTuple):
    """A figure over seeds."""

    iqm: float
    """The interquartile mean: the mean of the middle half, the lowest and highest quarter of seeds left out."""
    low: float
    """Lower end of the 95% interval."""
    high: float
    seeds: int


def over_seeds(values: Sequence[float]) -> Summary:
    """The interquartile mean of one figure over seeds, with its 95% interval by the percentile bootstrap.

    Raises ValueError where there are fewer than two seeds: one says nothing about spread.
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"{n} seeds say nothing about their spread; there must be at least 2")
    resampled = stats.bootstrap(
        (np.asarray(values, float),),
        lambda sample, axis: stats.trim_mean(sample, 0.25, axis),
        n_resamples=9_999,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    interval = resampled.confidence_interval
    return Summary(float(stats.trim_mean(values, 0.25)), float(interval.low), float(interval.high), n)
