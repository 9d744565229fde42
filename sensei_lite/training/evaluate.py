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
from sensei_lite.worlds.base import TimeStep, World, reset_batch, step_batch
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
    policy_state = agents.initial_policy_state(agent, episodes, world.actions.size)

    def choose(policy_state: Any, timestep: TimeStep, key: Array) -> tuple[Any, Array]:
        policy_state = agents.act(agent, policy_state, timestep.image, timestep.is_first, timestep.vector, key=key)
        return policy_state, agents.decode_action(world.actions, policy_state.action)

    return _first_episodes(world, episodes, choose, policy_state, key=key)


@functools.partial(jax.jit, static_argnums=(0, 1))
def play_random_episodes(world: World, episodes: int, *, key: Seed) -> Outcome:
    """The same for random actions: what any agent must beat."""

    def choose(policy_state: Any, timestep: TimeStep, key: Array) -> tuple[Any, Array]:
        return policy_state, random_actions(world, (episodes,), key=key)

    return _first_episodes(world, episodes, choose, (), key=key)


def _first_episodes(
    world: World,
    episodes: int,
    choose: Callable[[Any, TimeStep, Array], tuple[Any, Array]],
    policy_state: Any,
    *,
    key: Seed,
) -> Outcome:
    limit = getattr(world, "max_steps", None)
    if limit is None:
        raise ValueError(f"{type(world).__name__} has no max_steps, so it is not known when its episodes are over")
    begin_key, play_key = jax.random.split(key)
    state, timestep = reset_batch(world, keys=jax.random.split(begin_key, episodes))
    running, visited = jnp.ones(episodes, bool), jnp.zeros((episodes, world.situations), bool)

    def step(carry: tuple[Any, TimeStep, Any, Array, Array], key: Array) -> tuple[tuple, tuple[Any, Array, Array]]:
        state, timestep, policy_state, running, visited = carry
        act_key, world_key = jax.random.split(key)
        policy_state, action = choose(policy_state, timestep, act_key)
        keys = jax.random.split(world_key, episodes)
        state, timestep = step_batch(world, state, timestep.is_last, action, keys=keys)
        if world.situations:
            situation = jax.vmap(world.situation)(state)
            visited = visited.at[jnp.arange(episodes), situation].max(running)
        counted = {name: happened & running for name, happened in timestep.events.items()}
        result = (counted, jnp.where(running, timestep.reward, 0.0), running)
        return (state, timestep, policy_state, running & ~timestep.is_last, visited), result

    start = (state, timestep, policy_state, running, visited)
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
