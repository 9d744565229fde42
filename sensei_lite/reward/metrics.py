"""Is R_psi any good? Agreement, calibration, what it pays for, and how many answers it needs.

Intervals have 95% confidence. Pictures of one episode are nearly alike, so the episode is what is counted: intervals
are Student's t over the means of episodes, or Wilson's for shares of pairs.

Sources: reliability diagrams and expected calibration error as in Guo et al. (arXiv 1706.04599). Built in notebook
06_reward_distillation.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from sensei_lite.annotators.data import Preferences
from sensei_lite.config import DistilConfig
from sensei_lite.reward.distil import distil
from sensei_lite.reward.model import SemanticReward, scores_of
from sensei_lite.reward.split import split_by_episode
from sensei_lite.types import Seed


class Estimate(NamedTuple):
    """A mean with its 95% interval; the interval is infinite where one episode is all there is."""

    mean: float
    low: float
    high: float
    pictures: int
    episodes: int


class Calibration(NamedTuple):
    """What R_psi predicts against what the annotator said, in bins of equal width that are not empty."""

    predicted: Float[np.ndarray, " bins"]
    """Mean predicted P[first > second] of each bin."""
    observed: Float[np.ndarray, " bins"]
    """Mean answer of each bin; a tie counts half."""
    pairs: Int[np.ndarray, " bins"]
    error: float
    """Expected calibration error: the mean of |predicted - observed| over pairs."""


class Learned(NamedTuple):
    """The held-out accuracy, with its interval, and loss after learning from a number of pairs."""

    pairs: int
    accuracy: float
    """On the same held-out pairs for all numbers; see `reward.distil.pair_accuracy`."""
    low: float
    high: float
    loss: float


def accuracy_against_levels(rewards: np.ndarray, levels: np.ndarray) -> float:
    """Compute the share of all pairs of different levels that R_psi orders as the truth does; equal: half a point.

    ``rewards`` and ``levels`` are [n]. Raises ValueError where all levels are the same.
    """
    right = pairs = 0.0
    for level in np.unique(levels)[1:]:
        lower, here = np.sort(rewards[levels < level]), rewards[levels == level]
        under = np.searchsorted(lower, here, "left") + np.searchsorted(lower, here, "right")
        right, pairs = right + under.sum() / 2, pairs + len(lower) * len(here)
    if not pairs:
        raise ValueError("all levels are the same: there is nothing to put in order")
    return float(right / pairs)


def std_within(rewards: np.ndarray, levels: np.ndarray) -> float:
    """Compute R_psi's standard deviation within levels, in units of the mean distance from a level to the next.

    0: a level is one value; at 1, two pictures of one level differ as much as neighbouring levels do. The standard
    deviations of the levels are averaged, each level counting once. ``rewards`` and ``levels`` are [n]. Raises
    ValueError where all levels are the same.
    """
    parts = [rewards[levels == level] for level in np.unique(levels)]
    if len(parts) < 2:
        raise ValueError("all levels are the same: there is no distance between them")
    step = (parts[-1].mean() - parts[0].mean()) / (len(parts) - 1)
    return float(np.mean([part.std() for part in parts]) / step)


def accuracy_interval(accuracy: float, pairs: int) -> tuple[float, float]:
    """Compute Wilson's 95% interval (low, high) of a share among this many independent pairs."""
    if not pairs or np.isnan(accuracy):
        return 0.0, 1.0
    z = float(stats.norm.ppf(0.975))
    middle, scale = accuracy + z**2 / (2 * pairs), 1 + z**2 / pairs
    half = z * (accuracy * (1 - accuracy) / pairs + z**2 / (4 * pairs**2)) ** 0.5
    return float((middle - half) / scale), float((middle + half) / scale)


def preference_probabilities(
    reward: SemanticReward, preferences: Preferences, pairs: np.ndarray
) -> Float[np.ndarray, " _"]:
    """Compute R_psi's P[first > second] for pairs given by their indices."""
    first, second = preferences.first[pairs], preferences.second[pairs]
    pictures, place = np.unique(np.stack([first, second]), return_inverse=True)
    scores = scores_of(reward, preferences.images[pictures])[place.reshape(2, -1)]
    return np.asarray(jax.nn.sigmoid(scores[0] - scores[1]))


def calibration(predicted: np.ndarray, target: np.ndarray, bins: int = 10) -> Calibration:
    """Compute the calibration of predicted probabilities [pairs] against answers [pairs], both 0 to 1.

    Raises ValueError without pairs.
    """
    if not len(predicted):
        raise ValueError("there are no pairs to compare predictions with")
    bin_of = np.minimum((predicted * bins).astype(int), bins - 1)
    full, bin_of, pairs = np.unique(bin_of, return_inverse=True, return_counts=True)
    mean, share = (np.bincount(bin_of, values, len(full)) / pairs for values in (predicted, target))
    return Calibration(mean, share, pairs, float((pairs * np.abs(mean - share)).sum() / pairs.sum()))


def stages(facts: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, Bool[np.ndarray, " n"]]:
    """Return masks [n] of stages that exclude each other: a picture belongs to the last of ``names`` true of it.

    A picture of which none is true belongs to none. Raises KeyError for a fact that is not there.
    """
    latest = np.zeros(len(facts[names[0]]), np.int64)
    for number, name in enumerate(names, 1):
        latest = np.where(facts[name], number, latest)
    return {name: latest == number for number, name in enumerate(names, 1)}


def mean_rewards(rewards: np.ndarray, episode: np.ndarray, where: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    """Compute the mean R_psi in each named situation that occurs: the mean over episodes of an episode's mean.

    ``rewards`` and ``episode`` are [n], ``where`` masks [n]: facts, or `stages`.
    """
    return {name: over_episodes(rewards[mask], episode[mask]) for name, mask in where.items() if mask.any()}


def pairs_needed(
    preferences: Preferences,
    sizes: Sequence[int],
    config: DistilConfig,
    *,
    progress: Callable[[Learned], None] | None = None,
    key: Seed,
) -> list[Learned]:
    """Measure held-out accuracy after learning from ever more of the training pairs: sizes contain the smaller ones.

    The held-out pairs are the same throughout. Raises ValueError for sizes without pairs, or with more than there are,
    and as `distil` does.
    """
    split_key, choose_key, learn_key = jax.random.split(key, 3)
    split = split_by_episode(preferences, config.held_out, key=split_key)
    order = np.asarray(jax.random.permutation(choose_key, split.train))
    if wrong := [size for size in sizes if not 1 <= size <= len(order)]:
        raise ValueError(f"sizes has {wrong[0]}; there are {len(order)} training pairs, the others are held out")
    decided = int((preferences.target[split.held_out] != 0.5).sum())
    results = []
    for size in sizes:
        held_out = distil(preferences, config, split=split._replace(train=order[:size]), key=learn_key).held_out
        interval = accuracy_interval(held_out.accuracy, decided)
        results.append(Learned(size, held_out.accuracy, *interval, held_out.loss))
        if progress:
            progress(results[-1])
    return results


def over_episodes(values: np.ndarray, episode: np.ndarray) -> Estimate:
    """Estimate the mean over episodes of the means of their values; ``values`` and ``episode`` are [n]."""
    numbers, place = np.unique(episode, return_inverse=True)
    means = np.bincount(place, values) / np.bincount(place)
    n, mean = len(numbers), float(means.mean())
    half = float(stats.t.ppf(0.975, n - 1) * means.std(ddof=1) / n**0.5) if n > 1 else float("inf")
    return Estimate(mean, mean - half, mean + half, len(values), n)
