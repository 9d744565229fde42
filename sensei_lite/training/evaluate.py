"""How well an agent does: what it reached in whole episodes, and what that says over several seeds.

An agent is judged by *first episodes*: many worlds start together, each plays until its episode ends, and what comes
after is not counted. (Counting all episodes that end within so many steps would favour the short ones.) Over seeds, the
interquartile mean comes with a 95% interval by the bootstrap (Agarwal et al., arXiv 2108.13264): the middle 95% of the
interquartile means of 9,999 samples, each as many seeds as there are, drawn with repetition.
"""

import csv
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from sensei_lite.agent import state as agents
from sensei_lite.agent.state import AgentState
from sensei_lite.training.jax_loop import EPISODES_WITH, REWARDED
from sensei_lite.types import Seed
from sensei_lite.worlds.base import TimeStep, World, step_limit
from sensei_lite.worlds.rollout import Policy, begin_rollout, random_policy, rollout


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
    return _first_episodes(world, episodes, agents.policy(agent, world.actions), policy_state, key=key)


@functools.partial(jax.jit, static_argnums=(0, 1))
def play_random_episodes(world: World, episodes: int, *, key: Seed) -> Outcome:
    """Play at random: what any agent must beat."""
    return _first_episodes(world, episodes, random_policy(world), (), key=key)


def _first_episodes(world: World, episodes: int, policy: Policy, policy_state: Any, *, key: Seed) -> Outcome:
    begin_key, play_key = jax.random.split(key)
    running, visited = jnp.ones(episodes, bool), jnp.zeros((episodes, world.situations), bool)
    start = begin_rollout(world, episodes, (policy_state, running, visited), key=begin_key)

    def act(memory: tuple, timestep: TimeStep, key: Seed) -> tuple[tuple, Array]:
        policy_state, action = policy(memory[0], timestep, key)
        return (policy_state, *memory[1:]), action

    def observe(memory: tuple, state: Any, timestep: TimeStep) -> tuple[tuple, tuple[Any, Array, Array]]:
        policy_state, running, visited = memory
        if world.situations:
            situation = jax.vmap(world.situation)(state)
            visited = visited.at[jnp.arange(episodes), situation].max(running)
        counted = {name: happened & running for name, happened in timestep.events.items()}
        seen = (counted, jnp.where(running, timestep.reward, 0.0), running)
        return (policy_state, running & ~timestep.is_last, visited), seen

    end, (events, rewards, steps) = rollout(world, act, start, step_limit(world), observe=observe, key=play_key)
    visited = end.memory[-1]
    return Outcome(
        reached={name: happened.any(0).mean() for name, happened in events.items()},
        reward=rewards.sum(0).mean(),
        length=steps.sum(0).mean(),
        situations=visited.any(0).sum(),
        situations_each=visited.sum(1).mean(),
    )


class Summary(NamedTuple):
    """A measure over seeds."""

    iqm: float
    """The interquartile mean: the mean of the middle half, the lowest and highest quarter of seeds left out."""
    low: float
    """Lower end of the 95% interval."""
    high: float
    seeds: int


def over_seeds(values: Sequence[float]) -> Summary:
    """Compute the interquartile mean of one measure over seeds, with its 95% interval by the percentile bootstrap.

    Raises ValueError where there are fewer than two seeds: one says nothing about spread.
    """
    from scipy import stats  # here: it takes as long to import as jax, and playing episodes does without

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


SHARE = " in training episodes"
LATE_SHARE = " in the last fifth of training"
AREA = " area under the curve"
FIRST = " first step"
RATE = " per 1000 steps"
SLICES = 10
"""Parts of a training run of equally many steps, over which a curve of shares is drawn."""

MEANINGFUL = (
    "door_opened",
    "exit_reached",
    "chest_opened",
    "drawer_moved",
    "slide_moved",
    "button_pressed",
    "red_button_moved",
    "green_button_moved",
    "blue_button_moved",
    "ball_moved",
    "block_moved",
    "upright_block_moved",
    "flat_block_moved",
    "battle_won",
    "badge_won",
)
"""Events that count when agents are compared by one number: what the task is made of; with a robot, what SENSEI's paper
counts there, that a thing is handled."""


def read_chunks(folder: Path, name: str = "events.csv") -> list[dict[str, float]]:
    """Read the counts of every chunk of a training run; with ``metrics.csv`` its losses, rewards and returns."""
    with (folder / name).open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def perplexity(visits: np.ndarray) -> float:
    """Compute the perplexity of visits: how many situations were visited, if rarely visited ones count for less.

    It is the exponential of the entropy: n situations visited equally often count n; what is added by a situation with
    few visits goes to 0 with them.
    """
    shares = visits[visits > 0] / visits.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def share_of_episodes(chunks: Sequence[dict[str, float]], name: str) -> float:
    """Compute the share of the episodes that ended in these chunks in which an event happened; 0 if none ended."""
    episodes = sum(chunk["episodes"] for chunk in chunks)
    return sum(chunk[f"{EPISODES_WITH}{name}"] for chunk in chunks) / episodes if episodes else 0.0


def share_curve(chunks: Sequence[dict[str, float]], name: str, slices: int = SLICES) -> tuple[np.ndarray, np.ndarray]:
    """Compute the share of episodes with an event over training, as (environment steps, shares) [slices].

    A slice stands at its last step; one in which no episode ended has the share of the one before.
    """
    parts = [part for part in np.array_split(np.arange(len(chunks)), slices) if len(part)]
    shares: list[float] = []
    for part in parts:
        seen = [chunks[i] for i in part]
        ended = any(chunk["episodes"] for chunk in seen)
        shares.append(share_of_episodes(seen, name) if ended or not shares else shares[-1])
    steps = np.cumsum([chunk["steps"] for chunk in chunks])
    return steps[[part[-1] for part in parts]], np.asarray(shares)


def training_measures(chunks: list[dict[str, float]], event_names: Sequence[str]) -> dict[str, float]:
    """Compute what happened in training, from `read_chunks`: for every event four measures, and the paper's rate.

    - the share of all episodes in which it happened, and of those in the last fifth of training;
    - the area under the curve of that share over training, from 0 to 1: what comes early counts more;
    - the environment step of its first time, to within a chunk; where it never happened all steps of the run;
    - how often it happened per 1,000 steps, as in the paper. This also measures how short episodes are: who ends
      them early has more of them.
    """
    steps = sum(chunk["steps"] for chunk in chunks)
    late = chunks[-max(1, len(chunks) // 5) :]
    measures = {}
    for name in event_names:
        measures[f"{name}{SHARE}"] = share_of_episodes(chunks, name)
        measures[f"{name}{LATE_SHARE}"] = share_of_episodes(late, name)
        measures[f"{name}{AREA}"] = float(share_curve(chunks, name)[1].mean())
        measures[f"{name}{FIRST}"] = first_step(chunks, name)
        measures[f"{name}{RATE}"] = 1000 * sum(chunk[name] for chunk in chunks) / steps
    measures["steps to 80% success"] = steps_to_success(chunks, 0.8)
    if "situations" not in chunks[0]:
        return measures
    return measures | {"situations per chunk": float(np.mean([chunk["situations"] for chunk in chunks]))}


def first_step(chunks: Sequence[dict[str, float]], name: str) -> float:
    """Count the environment steps to the end of the first chunk in which an event happened; all where it never did."""
    before = next((i for i, chunk in enumerate(chunks) if chunk[name]), len(chunks))
    return sum(chunk["steps"] for chunk in chunks[: before + 1])


def switch_measures(chunks: list[dict[str, float]]) -> dict[str, float]:
    """Compute how much of its dreams an agent with a switch explored in the last tenth of its metrics.csv."""
    last = chunks[-max(1, len(chunks) // 10) :]
    name = "switch/exploring"
    return (
        {"share of dreams explored at the end": float(np.mean([row[name] for row in last]))} if name in last[0] else {}
    )


def steps_to_success(
    chunks: list[dict[str, float]], share: float, window: int = 10, earned: str = f"{EPISODES_WITH}{REWARDED}"
) -> float:
    """Count the steps after which at least ``share`` of the episodes of ``window`` chunks in a row had earned a reward.

    The end of the first such window; where there was none, all steps of the run: it would have taken longer than that.
    An episode counts once, however often its world pays: ``earned`` is the column that says how many did. Where a world
    pays 1 at an episode's end and nothing else, that is also ``reward``.
    """
    for end in range(window, len(chunks) + 1):
        seen = chunks[end - window : end]
        episodes = sum(chunk["episodes"] for chunk in seen)
        if episodes and sum(chunk[earned] for chunk in seen) >= share * episodes:
            return sum(chunk["steps"] for chunk in chunks[:end])
    return sum(chunk["steps"] for chunk in chunks)


def episode_measures(outcome: Outcome) -> dict[str, float]:
    """Compute the share of test episodes in which each event happened, and how many situations there were."""
    shares = {f"{name} in test episodes": float(share) for name, share in outcome.reached.items()}
    coverage = {"situations in all test episodes": outcome.situations, "situations in one": outcome.situations_each}
    return shares | {name: float(number) for name, number in coverage.items()}
