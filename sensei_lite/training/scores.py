"""The figures of one agent: what it caused while it explored, and what it does in test episodes.

events.csv of a training run  ->  `training_figures`      an `Outcome` of test episodes  ->  `episode_figures`
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sensei_lite.training.evaluate import Outcome

RATE = " per 1000 steps"
LATE_RATE = " per 1000 steps in the second half"

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
    """The counts of every chunk of a training run; with ``metrics.csv`` its losses, rewards and returns."""
    with (folder / name).open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def perplexity(visits: np.ndarray) -> float:
    """How many situations were visited, if rarely visited ones count for less: the exponential of the entropy.

    n situations visited equally often count n; what is added by a situation with few visits goes to 0 with them.
    """
    shares = visits[visits > 0] / visits.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def training_figures(chunks: list[dict[str, float]], event_names: Sequence[str]) -> dict[str, float]:
    """How often each event happened in training, and how many situations there were in a chunk, from `read_chunks`.

    Rates are those of all of training and, because an effect may come late, of its second half.
    """
    steps = sum(chunk["steps"] for chunk in chunks)
    rates = {f"{name}{RATE}": 1000 * sum(chunk[name] for chunk in chunks) / steps for name in event_names}
    later = chunks[len(chunks) // 2 :]
    steps = sum(chunk["steps"] for chunk in later)
    rates |= {f"{name}{LATE_RATE}": 1000 * sum(chunk[name] for chunk in later) / steps for name in event_names}
    rates["steps to 80% success"] = steps_to_success(chunks, 0.8)
    if "situations" not in chunks[0]:
        return rates
    return rates | {"situations per chunk": float(np.mean([chunk["situations"] for chunk in chunks]))}


def switch_figures(chunks: list[dict[str, float]]) -> dict[str, float]:
    """How much of its dreams an agent with a switch explored in the last tenth of training, from its metrics.csv."""
    last = chunks[-max(1, len(chunks) // 10) :]
    name = "switch/exploring"
    return (
        {"share of dreams explored at the end": float(np.mean([row[name] for row in last]))} if name in last[0] else {}
    )


def steps_to_success(chunks: list[dict[str, float]], share: float, window: int = 10) -> float:
    """Environment steps after which at least ``share`` of the episodes of ``window`` chunks in a row had earned 1.

    The end of the first such window; where there was none, all steps of the run: it would have taken longer than that.
    Worlds pay 1 for a solved task and 0 otherwise.
    """
    for end in range(window, len(chunks) + 1):
        seen = chunks[end - window : end]
        episodes = sum(chunk["episodes"] for chunk in seen)
        if episodes and sum(chunk["reward"] for chunk in seen) >= share * episodes:
            return sum(chunk["steps"] for chunk in chunks[:end])
    return sum(chunk["steps"] for chunk in chunks)


def episode_figures(outcome: Outcome) -> dict[str, float]:
    """The share of test episodes in which each event happened, and how many situations there were."""
    shares = {f"{name} in test episodes": float(share) for name, share in outcome.reached.items()}
    coverage = {"situations in all test episodes": outcome.situations, "situations in one": outcome.situations_each}
    return shares | {name: float(number) for name, number in coverage.items()}


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows with the same columns as CSV, at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    unfinished.replace(path)
