"""Which pairs of pictures to ask about: a pair costs an answer, and not all pairs teach the same.

- `random_pairs`: two pictures drawn uniformly from the observations, as in SENSEI (arXiv 2503.01584). What an agent saw
  a hundred times is asked about a hundred times as often.
- `spread_pairs`: every picture once, as many different ones as can be, evenly over episodes and time. For small
  budgets.
- `interesting_pairs`: two pictures drawn as an R_psi finds them interesting. For a second round of questions: there the
  agent will go, and of what is rare and interesting random pairs hold too few.
- `uncertain_pairs`: pairs whose answer an R_psi (or several) cannot tell yet. For a second round, too.

In all of them no picture meets itself (by content: the same tile picture comes back often), no two pictures meet twice,
and which one stands first is left to chance, so that an annotator's bias to a position is not a bias to anything else.
"""

import itertools

import numpy as np
from jaxtyping import Float, Int
from scipy.special import entr, expit
from scipy.stats import qmc

from sensei_lite.annotators.base import image_hash
from sensei_lite.annotators.data import Observations, check_images

Pairs = Int[np.ndarray, "n 2"]
"""Indices into the observations. Of equal pictures the index is always that of the first."""

ENUMERATE = 2_000_000
"""Pairs that may be listed one by one."""
_ROUNDS = 50


def random_pairs(observations: Observations, n: int, seed: int) -> Pairs:
    """Draw ``n`` different pairs: two observations uniformly, drawn again where they are equal or have met before.

    Raises ValueError where there are fewer than ``n`` pairs of different pictures, and for a negative ``n``.
    """
    first_index, seen = _distinct(observations)
    total = _check_number(n, len(first_index))
    rng = np.random.default_rng(seed)
    if total <= max(ENUMERATE, 4 * n):
        chosen = _list_and_draw(np.bincount(seen).astype(float), n, rng)
    else:
        chosen = _draw_and_reject(seen, n, rng)
    return _any_order(first_index[chosen], rng)


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
    first_index, seen = _distinct(observations)
    total = _check_number(n, len(first_index))
    rng = np.random.default_rng(seed)
    weights = np.bincount(seen) * np.exp(rewards[first_index] - rewards.max(initial=-np.inf))
    if total <= max(ENUMERATE, 4 * n):
        chosen = _list_and_draw(weights, n, rng)
    else:
        chosen = _draw_and_reject(rng.choice(len(weights), 20 * n, p=weights / weights.sum()), n, rng)
    return _any_order(first_index[chosen], rng)


def spread_pairs(observations: Observations, n: int, seed: int) -> Pairs:
    """Draw ``n`` different pairs in which no picture comes again before all others have come.

    While there are more pictures than are needed, they are taken from all episodes in turn, and from each in an order
    whose every beginning is spread over its time (that of van der Corput's sequence).

    Raises ValueError where there are fewer than ``n`` pairs of different pictures, and for a negative ``n``.
    """
    first_index, _ = _distinct(observations)
    _check_number(n, len(first_index))
    rng = np.random.default_rng(seed)
    order = _spread_order(observations.episode[first_index], observations.t[first_index], rng)
    players = rng.permutation(order[: 2 * n])
    return _any_order(first_index[players[_tournament(len(players), n, rng)]], rng)


def uncertain_pairs(
    observations: Observations,
    n: int,
    scores: Float[np.ndarray, " observations"] | Float[np.ndarray, "members observations"],
    seed: int,
    pool: int = 10,
) -> Pairs:
    """Take the ``n`` most uncertain of ``pool * n`` random pairs, the most uncertain first.

    With the scores of one R_psi that is the entropy of its answer, the highest where P[a > b] = 0.5:

        H(p),  p = sigmoid(R(a) - R(b)),  H(p) = -p log p - (1-p) log(1-p)

    One R_psi cannot tell a pair that it has not learned from a true tie. Several (of other seeds, say) can: they differ
    on the former and agree on the latter. With the scores of several it is what their answers would tell about which of
    them is right (Houlsby et al. 2011, arXiv 1112.5745): H(mean p) - mean H(p).

    Args:
        observations: where the pairs come from.
        n: how many pairs.
        scores: R of each observation, for one model or several, in units of Bradley-Terry: a difference is a log odds.
        seed: for the random pairs.
        pool: how many random pairs there are for each that is taken; 1 takes them all.

    Raises ValueError where there are fewer than ``n`` pairs of different pictures, for a negative ``n``, for a pool
    below 1, and for scores that are not finite or not one for each observation.
    """
    if scores.shape[-1] != len(observations.images):
        raise ValueError(f"there are {scores.shape[-1]} scores and {len(observations.images)} observations")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    if pool < 1:
        raise ValueError(f"pool is {pool}; it must be at least 1")
    first_index, _ = _distinct(observations)
    total = _check_number(n, len(first_index))
    pairs = random_pairs(observations, min(total, pool * n), seed)
    p = expit(scores[..., pairs[:, 0]] - scores[..., pairs[:, 1]])
    uncertainty = _entropy(p) if scores.ndim == 1 else _entropy(p.mean(0)) - _entropy(p).mean(0)
    return pairs[np.argsort(-uncertainty, kind="stable")[:n]]


def _entropy(p: np.ndarray) -> np.ndarray:
    return entr(p) + entr(1 - p)


def _distinct(observations: Observations) -> tuple[Int[np.ndarray, " pictures"], Int[np.ndarray, " observations"]]:
    """The first index of every different picture, in order, and which of these pictures each observation is."""
    check_images(observations.images)
    hashes = np.array([image_hash(image) for image in observations.images], dtype=str)
    _, first, which = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order], np.argsort(order)[which]


def _check_number(n: int, pictures: int) -> int:
    total = pictures * (pictures - 1) // 2
    if n < 0:
        raise ValueError(f"n is {n}; it must be at least 0")
    if n > total:
        raise ValueError(f"{n} pairs are wanted, and {pictures} different pictures make no more than {total}")
    return total


def _any_order(pairs: np.ndarray, rng: np.random.Generator) -> Pairs:
    return rng.permuted(pairs.reshape(-1, 2), axis=1)


def _list_and_draw(weights: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw from the list of all pairs, each as likely as the weights of its pictures say, without putting back.

    The pair with the earliest of exponential waiting times, whose rates are the weights, is the first one drawn, and
    so on: the same as drawing one after the other (Efraimidis and Spirakis, 2006).
    """
    a, b = np.triu_indices(len(weights), 1)
    waiting = rng.exponential(size=len(a)) / (weights[a] * weights[b])
    earliest = np.argsort(waiting)[:n]
    return np.stack([a[earliest], b[earliest]], 1)


def _draw_and_reject(seen: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw two observations at a time, and again where their pictures are equal or have met before."""
    drawn = np.empty(0, np.int64)
    for attempt in itertools.count():
        # If a few pictures fill nearly all observations, their pairs are soon used up. The rest are then drawn with
        # every picture equally likely: at most a quarter of all pairs is wanted here, so that ends.
        source = seen if attempt < _ROUNDS else np.arange(seen.max() + 1)
        both = np.sort(rng.choice(source, (2 * n, 2)), axis=1)
        both = both[both[:, 0] != both[:, 1]]
        drawn = np.concatenate([drawn, both[:, 0] << 32 | both[:, 1]])
        _, first = np.unique(drawn, return_index=True)
        drawn = drawn[np.sort(first)][:n]
        if len(drawn) == n:
            break
    return np.stack([drawn >> 32, drawn & 0xFFFFFFFF], 1)


def _spread_order(episode: np.ndarray, t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All pictures in an order whose every beginning is spread over episodes and time."""
    turn, tie_break = np.empty(len(t)), rng.random(len(t))
    for number in np.unique(episode):
        (own,) = np.nonzero(episode == number)
        own = own[np.argsort(t[own], kind="stable")]
        # The first 2^k points of the sequence are 1 / 2^k apart: so many points meet every picture. They begin at a
        # place of its own in each episode, else all episodes would give the same steps.
        points = qmc.Halton(1, scramble=False).random(4 * len(own))[:, 0]
        met = ((points + rng.random()) % 1.0 * len(own)).astype(int)
        _, first = np.unique(met, return_index=True)
        turn[own[met[np.sort(first)]]] = np.arange(len(own))
    return np.lexsort([tie_break, turn])


def _tournament(players: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """The first ``n`` games of a tournament in rounds: in a round everybody plays once, and nobody meets anyone twice.

    The circle method: one player keeps its seat, all others move on by one seat each round, and the seats that face
    each other play. With an odd number of players one rests.
    """
    seats = players + players % 2
    if not n:
        return np.empty((0, 2), np.int64)
    half = np.arange(1, seats // 2)
    rounds = []
    for r in rng.permutation(seats - 1)[: -(-n // (players // 2))]:
        games = np.concatenate([[[r, seats - 1]], np.stack([(r + half) % (seats - 1), (r - half) % (seats - 1)], 1)])
        rounds.append(rng.permutation(games[(games < players).all(1)]))
    return np.concatenate(rounds)[:n]
