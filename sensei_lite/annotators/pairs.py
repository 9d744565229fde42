"""Which pairs of pictures to ask about: a pair costs an answer, and not all pairs teach the same.

- `random_pairs`: two pictures drawn uniformly from the observations, as in SENSEI (arXiv 2503.01584). What an agent saw
  a hundred times is asked about a hundred times as often.
- `spread_pairs`: every picture once, as many different ones as can be, evenly over episodes and time. For small
  budgets.
- `interesting_pairs`: two pictures drawn as an R_psi finds them interesting. For a second round of questions: there the
  agent will go, and of what is rare and interesting random pairs hold too few.

In all of them no picture meets itself (by content: the same tile picture comes back often), no two pictures meet twice,
and which one stands first is left to chance, so that an annotator's bias to a position is not a bias to anything else.
"""

import itertools

import numpy as np
from jaxtyping import Float, Int

from sensei_lite.annotators.data import Observations, distinct_images

Pairs = Int[np.ndarray, "n 2"]
"""Indices into the observations. Of equal pictures the index is always that of the first."""

_ROUNDS = 50
_GOLDEN = (5**0.5 - 1) / 2


def random_pairs(observations: Observations, n: int, seed: int) -> Pairs:
    """Draw ``n`` different pairs: two observations uniformly, drawn again where they are equal or have met before.

    Raises ValueError where there are fewer than ``n`` pairs of different pictures, and for a negative ``n``.
    """
    return _draw_pairs(observations, n, None, seed)


def interesting_pairs(
    observations: Observations, n: int, rewards: Float[np.ndarray, " observations"], seed: int
) -> Pairs:
    """Draw ``n`` different pairs, each picture in proportion to exp(R) times how often it was seen.

    Args:
        observations: where the pairs come from.
        n: how many pairs.
        rewards: R_psi of each observation, standardised: one more makes a picture e times as likely.
        seed: for the draws.

    Raises ValueError where there are fewer than ``n`` pairs of different pictures, for a negative ``n``, and for
    rewards that are not finite or not one for each observation.
    """
    if rewards.shape != (len(observations.images),):
        raise ValueError(f"there are {rewards.size} rewards and {len(observations.images)} observations")
    if not np.isfinite(rewards).all():
        raise ValueError("rewards must be finite")
    weights = np.exp(rewards.astype(np.float64) - rewards.max(initial=-np.inf))
    return _draw_pairs(observations, n, weights / weights.sum(), seed)


def spread_pairs(observations: Observations, n: int, seed: int) -> Pairs:
    """Draw ``n`` different pairs in which no picture comes a second time before all others have come once.

    While there are more pictures than are needed, they are taken from all episodes in turn, and from each in an order
    whose every beginning is spread over its time. Where there are fewer, all come about equally often.

    Raises ValueError where there are fewer than ``n`` pairs of different pictures, and for a negative ``n``.
    """
    first_index, _ = _distinct(observations)
    _check_number(n, len(first_index))
    if n == 0:
        return np.empty((0, 2), np.int64)
    rng = np.random.default_rng(seed)
    order = _spread_order(observations.episode[first_index], observations.t[first_index], rng)
    chosen = rng.permutation(order[: 2 * n])
    # In the first round everybody meets the next one, in the second the one after that, and so on: nobody meets anyone
    # twice. The first round begins with every other one, whose pairs have nobody in common.
    step, place = np.divmod(np.arange(n), len(chosen))
    place = np.where(step == 0, np.r_[0 : len(chosen) : 2, 1 : len(chosen) : 2][place], place)
    games = np.stack([place, (place + step + 1) % len(chosen)], 1)
    return _any_order(first_index[chosen[games]], rng)


def check_pairs(pairs: np.ndarray, pictures: int) -> None:
    """Raise ValueError where these are not pairs of indices of so many pictures: integers [pairs 2], one at least."""
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu" or not len(pairs):
        raise ValueError(f"pairs must be whole numbers [pairs 2], and these are {pairs.dtype} {list(pairs.shape)}")
    if pairs.min() < 0 or pairs.max() >= pictures:
        raise ValueError(f"pairs go from {pairs.min()} to {pairs.max()}, and there are pictures 0 to {pictures - 1}")


def _draw_pairs(observations: Observations, n: int, chances: np.ndarray | None, seed: int) -> Pairs:
    """Draw two observations at a time, and again where their pictures are equal or have met before."""
    first_index, picture = _distinct(observations)
    _check_number(n, len(first_index))
    rng = np.random.default_rng(seed)
    drawn = np.empty(0, np.int64)
    for attempt in itertools.count():
        if len(drawn) == n:
            break
        # If a few pictures fill nearly all observations, their pairs are soon used up. The rest are then drawn with
        # every picture equally likely.
        if attempt < _ROUNDS:
            both = picture[rng.choice(len(picture), (2 * n, 2), p=chances)]
        else:
            both = rng.choice(len(first_index), (2 * n, 2))
        both = np.sort(both[both[:, 0] != both[:, 1]], axis=1)
        drawn = np.concatenate([drawn, both[:, 0] << 32 | both[:, 1]])
        _, first = np.unique(drawn, return_index=True)
        drawn = drawn[np.sort(first)][:n]
    return _any_order(first_index[np.stack([drawn >> 32, drawn & 0xFFFFFFFF], 1)], rng)


def _distinct(observations: Observations) -> tuple[Int[np.ndarray, " pictures"], Int[np.ndarray, " observations"]]:
    """Find the first index of every different picture, in order, and which of these each observation is."""
    first, which = distinct_images(observations.images)
    order = np.argsort(first)
    return first[order], np.argsort(order)[which]


def _check_number(n: int, pictures: int) -> None:
    total = pictures * (pictures - 1) // 2
    if n < 0:
        raise ValueError(f"n is {n}; it must be at least 0")
    if n > total:
        raise ValueError(f"{n} pairs are wanted, and {pictures} different pictures make no more than {total}")


def _any_order(pairs: np.ndarray, rng: np.random.Generator) -> Pairs:
    return rng.permuted(pairs.reshape(-1, 2), axis=1)


def _spread_order(episode: np.ndarray, t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Order all pictures so that every beginning is spread over episodes and time.

    Multiples of the golden ratio, without their whole parts, fill an interval evenly. So, of an episode's pictures in
    the order of time, those whose multiple is below any bound are about equally far apart.
    """
    turn = np.empty(len(t))
    for number in np.unique(episode):
        (own,) = np.nonzero(episode == number)
        own = own[np.argsort(t[own], kind="stable")]
        place = (np.arange(len(own)) * _GOLDEN + rng.random()) % 1.0
        turn[own[np.argsort(place)]] = np.arange(len(own))
    return np.lexsort([rng.random(len(t)), turn])
