"""Checks of notebook 03_imagination."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from sensei_lite.agent import returns
from sensei_lite.course.checks.verdict import NotQuite, check, expect, result_of
from sensei_lite.models.distributions import symexp_bins

Backup = Callable[[float, float, float, float, float, float], float]
"""One step of a return, from r, v and d on arrival, v before it, lam, and the return from there on."""


@check
def lambda_return(attempt: Callable[..., Any]) -> str:
    """Check the lambda-return of one dream: attempt(r, v, d, lam) -> R_0 to R_{T-1}."""
    generator = np.random.default_rng(3)
    long = generator.normal(size=7), generator.normal(size=7), generator.uniform(0.5, 0.99, 7)
    ended = long[0], long[1], long[2] * (np.arange(7) != 4)
    table = tuple(np.array([[9, 0, 0, 1], [9, 0.6, 0.7, 0.4], [9, 0.9, 0.9, 0]]))
    cases: dict[str, tuple[Any, float]] = {
        "the dream of the table": (table, 0.5),
        "a dream of 6 steps": (long, 0.95),
        "a dream that ends in s_4": (ended, 0.8),
        "lam = 0": (long, 0.0),
        "lam = 1": (long, 1.0),
        "a dream of one step": (tuple(x[:2] for x in long), 0.95),
    }
    for name, ((r, v, d), lam) in cases.items():
        wanted = np.asarray(returns.lambda_return(jnp.asarray(r), jnp.asarray(v), jnp.asarray(d), lam))
        late, one = np.append(r[0], r[:-1]), np.ones_like(d)
        mistakes = {
            "Is it the reward of the arrival, r[t + 1]? Yours looks like r[t].": _backwards(late, v, d, lam, _right),
            "Which value follows the arrival? Yours looks like v[t], and not v[t + 1].": _backwards(
                r, v, d, lam, lambda r, v, d, v_t, lam, R: r + d * ((1 - lam) * v_t + lam * R)
            ),
            "Where is d? What comes after the arrival is discounted, and cut off at an end.": _backwards(
                r, v, one, lam, _right
            ),
            "Which of the two does lam weigh? With lam = 1 the critic is asked at the end only.": _backwards(
                r, v, d, 1 - lam, _right
            ),
            "Is d read at the arrival, d[t + 1]? Yours looks like d[t].": _backwards(
                r, v, np.append(d[0], d[:-1]), lam, _right
            ),
            "The last return borrows v[-1]. Yours looks as if it started from 0.": _backwards(
                r, v, d, lam, _right, last=0.0
            ),
            "Are they in order? R_0 comes first.": wanted[::-1],
        }
        hint = "Every array is read at t + 1, and R starts as v[-1]. There is one return fewer than states."
        expect(result_of(attempt, r, v, d, lam), wanted, of=name, mistakes=mistakes, hint=hint)
    return "six dreams agree, with and without an end."


def _right(r: float, v: float, d: float, v_t: float, lam: float, R: float) -> float:
    return r + d * ((1 - lam) * v + lam * R)


def _backwards(
    r: np.ndarray, v: np.ndarray, d: np.ndarray, lam: float, backup: Backup, last: float | None = None
) -> np.ndarray:
    """Compute returns by any rule for one step, from the last to the first."""
    R, found = float(v[-1]) if last is None else last, []
    for t in reversed(range(len(r) - 1)):
        R = backup(r[t + 1], v[t + 1], d[t + 1], v[t], lam, R)
        found.append(R)
    return np.array(found[::-1])


@check
def two_hot(attempt: Callable[..., Any]) -> str:
    """Check the two-hot weights of one number on bins that increase: attempt(x, bins) -> [bins]."""
    even, wide = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.array([-10.0, -1.0, 0.0, 3.0, 11.0])
    cases: list[tuple[float, np.ndarray, list[float]]] = [
        (0.25, even, [0, 0, 0.75, 0.25, 0]),
        (-1.5, even, [0.5, 0.5, 0, 0, 0]),
        (5.0, wide, [0, 0, 0, 0.75, 0.25]),
        (-7.75, wide, [0.75, 0.25, 0, 0, 0]),
        (1.0, even, [0, 0, 0, 1, 0]),
        (-2.0, even, [1, 0, 0, 0, 0]),
        (2.0, even, [0, 0, 0, 0, 1]),
        (99.0, wide, [0, 0, 0, 0, 1]),
        (-99.0, wide, [1, 0, 0, 0, 0]),
    ]
    for x, bins, wanted in cases:
        want = np.array(wanted)
        nearest = np.eye(len(bins))[np.abs(bins - x).argmin()]
        below = np.eye(len(bins))[max(0, int(np.searchsorted(bins, x, side="right")) - 1)]
        places, swapped = np.flatnonzero(want), want.copy()
        swapped[places] = want[places][::-1]
        mistakes = {
            "Are the two weights swapped? The nearer bin has more weight.": swapped,
            "One bin has all the weight, so the mean is that bin and not x.": nearest,
            "Only the lower bin has weight, so the mean is too small.": below,
            "Half and half? The weights depend on how near each bin is.": (want > 0) / max(1, len(places)),
        }
        hint = (
            "The weights add up to 1. Their mean, the sum of weights times bins, is x, or the end bin beyond the ends."
        )
        expect(result_of(attempt, x, bins), want, of=f"x = {x} on bins {bins.tolist()}", mistakes=mistakes, hint=hint)
    bins = np.asarray(symexp_bins(41), np.float64)
    for x in (0.01, -3.0, 1e4):
        found = np.asarray(result_of(attempt, x, bins), np.float64)
        expect(
            found @ bins,
            x,
            of=f"the mean of x = {x} on 41 symexp bins",
            hint="Are the bins evenly spaced? These are not.",
        )
    return "inside, on a bin, beyond both ends, and on symexp bins."


@check
def advantage(attempt: Callable[..., Any]) -> str:
    """Check the normalised advantage: attempt(R, v, low, high, decay) -> (advantage, new low, new high)."""
    generator = np.random.default_rng(4)
    cases = {
        "returns with a range of about 100": (100.0, 0.0, 80.0, 0.9),
        "returns with a range of 0.01": (0.01, 0.0, 0.0, 0.9),
        "returns that were wide and are narrow now": (0.5, -20.0, 20.0, 0.99),
        "returns far from 0": (8.0, 40.0, 41.0, 0.5),
    }
    for name, (size, low, high, decay) in cases.items():
        R = size * generator.uniform(size=(6, 5)) + low
        v = R.mean() + 0.2 * size * generator.normal(size=(6, 5))
        R[0, 0] += 3 * size  # an outlier
        batch_low, batch_high = np.percentile(R, [5, 95])
        new_low, new_high = decay * low + (1 - decay) * batch_low, decay * high + (1 - decay) * batch_high
        scale = max(1.0, new_high - new_low)
        found = result_of(attempt, R, v, low, high, decay)
        if not isinstance(found, tuple | list) or len(found) != 3:
            raise NotQuite(f"{name}: expected three things, (advantage, low, high).")
        for which, have, old, of_batch, want in (
            ("low", found[1], low, batch_low, new_low),
            ("high", found[2], high, batch_high, new_high),
        ):
            turned = decay * of_batch + (1 - decay) * old
            mistakes = {
                "It did not move. Is the new value given back?": old,
                "That is this batch alone. An average moves slowly: decay times the old value.": of_batch,
                "decay belongs to the old value, and 1 - decay to this batch.": turned,
                "Percentiles go from 0 to 100: the 5th is 5, not 0.05.": decay * old
                + (1 - decay) * np.percentile(R, 0.05 if which == "low" else 0.95),
                "That looks like the smallest and the largest return, outliers included.": decay * old
                + (1 - decay) * (R.min() if which == "low" else R.max()),
            }
            expect(
                have, want, of=f"{name}: {which}", mistakes=mistakes, hint="Is it the moving average of a percentile?"
            )
        mistakes = {
            "Small ranges must not be stretched. What is the least scale?": (R - v) / (new_high - new_low),
            "Subtract first. Yours divides the return only, and v has another unit then.": R / scale - v,
            "The scale uses low and high as they are after this batch.": (R - v) / max(1.0, high - low),
            "That is the range of this batch alone.": (R - v) / max(1.0, batch_high - batch_low),
            "It is not divided by the scale.": R - v,
            "What is subtracted? The value v, not low.": (R - new_low) / scale,
            "Is the sign right? A return above the value is an advantage.": (v - R) / scale,
            "The least scale is 1. Yours adds 1 to the range.": (R - v) / (1.0 + new_high - new_low),
        }
        expect(found[0], (R - v) / scale, of=f"{name}: advantage", mistakes=mistakes, hint="(R - v) / scale.")
    return "wide, narrow and moving returns."
