"""A study: several agents, several seeds, one table with intervals.

Agents differ only in what they want (`BehaviourConfig.reward_weights`): the world, the model, the number of steps and
updates are the same. The random agent learns nothing and plays the same number of steps.

    <folder>/<agent>-<seed>/     a training run for each (see `training_run`); a study that was stopped goes on
    <folder>/table.csv           one row for each agent and figure: mean, 95% interval, and the value of every seed

Figures: how often each event happened per 1,000 environment steps of training, how many situations the agent visited in
training and how evenly (see `World.situation`), and the share of test episodes in which each event happened.
"""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from sensei_lite.config import Config
from sensei_lite.evaluate import Outcome, over_seeds, play_episodes, play_random_episodes
from sensei_lite.train import random_chunks
from sensei_lite.training_run import train_in
from sensei_lite.worlds.base import World

AGENTS: dict[str, tuple[tuple[str, float], ...]] = {
    "random": (),
    "plan2explore": (("disagreement", 1.0),),
    "task": (("extrinsic", 1.0),),
}
"""What each agent wants: streams of rewards and their weights."""

TEST_EPISODES = 200


def agent_config(config: Config, agent: str) -> Config:
    """The same settings for another agent. Raises ValueError where there is no such agent."""
    if agent not in AGENTS:
        raise ValueError(f"there is no agent called {agent!r}; there are {', '.join(AGENTS)}")
    behaviour = dataclasses.replace(config.behaviour, reward_weights=AGENTS[agent] or config.behaviour.reward_weights)
    return dataclasses.replace(config, behaviour=behaviour)


def run_study(
    folder: Path, config: Config, world: World, *, agents: Sequence[str], seeds: Sequence[int], updates: int
) -> list[dict[str, object]]:
    """Train every agent with every seed, and write and return the table.

    Raises ValueError where there is no such agent or only one seed, RunError where a folder holds another study.
    """
    if len(seeds) < 2:
        raise ValueError(f"there are {len(seeds)} seeds; a study needs at least 2 to say anything about their spread")
    configs = {agent: agent_config(config, agent) for agent in agents}
    rows: list[dict[str, object]] = []
    for agent, settings in configs.items():
        figures = [_figures(folder / f"{agent}-{seed}", agent, settings, world, seed, updates) for seed in seeds]
        for name in figures[0]:
            values = [figure[name] for figure in figures]
            summary = over_seeds(values)
            numbers = summary._asdict() | {f"seed_{seed}": value for seed, value in zip(seeds, values, strict=True)}
            rows.append({"agent": agent, "figure": name, **{key: float(f"{x:.4g}") for key, x in numbers.items()}})
    _write(folder / "table.csv", rows)
    return rows


def _figures(folder: Path, agent: str, config: Config, world: World, seed: int, updates: int) -> dict[str, float]:
    """All figures of one run."""
    key, test_key = jax.random.key(seed), jax.random.fold_in(jax.random.key(seed), 1)
    if AGENTS[agent]:
        state = train_in(folder, config, world, updates=updates, seed=seed)
        with (folder / "events.csv").open() as file:
            chunks = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        outcome, visits = play_episodes(state.agent, world, TEST_EPISODES, key=test_key), state.visits
    else:
        number = updates // config.train.chunk_updates
        counts, visits = random_chunks(config, world, number, key=key)
        chunks = [{name: float(values[chunk]) for name, values in counts.items()} for chunk in range(number)]
        outcome = play_random_episodes(world, TEST_EPISODES, key=test_key)
    coverage = {"situations visited evenly": effective_number(np.asarray(visits))} if world.situations else {}
    return _counts(world, chunks) | coverage | _shares(outcome)


def effective_number(visits: np.ndarray) -> float:
    """How many situations were visited, if rarely visited ones count for less: the exponential of the entropy.

    n situations visited equally often count n; what is added by a situation with few visits goes to 0 with them.
    """
    shares = visits[visits > 0] / visits.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _counts(world: World, chunks: list[dict[str, float]]) -> dict[str, float]:
    steps = sum(chunk["steps"] for chunk in chunks)
    rates = {
        f"{name} per 1000 steps": 1000 * sum(chunk[name] for chunk in chunks) / steps for name in world.event_names
    }
    if not world.situations:
        return rates
    return rates | {"situations per chunk": float(np.mean([chunk["situations"] for chunk in chunks]))}


def _shares(outcome: Outcome) -> dict[str, float]:
    shares = {f"{name} in test episodes": float(share) for name, share in outcome.reached.items()}
    coverage = {"situations in all test episodes": outcome.situations, "situations in one": outcome.situations_each}
    return shares | {name: float(number) for name, number in coverage.items()}


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def print_table(rows: list[dict[str, object]]) -> None:
    """One line for each agent and figure."""
    width = max(len(str(row["figure"])) for row in rows)
    for row in rows:
        print(f"{row['agent']:14}{row['figure']:{width}}{row['mean']:10.4g}  [{row['low']:.4g}, {row['high']:.4g}]")
