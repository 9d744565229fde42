"""Checks of notebook 08_evidence."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from sensei_lite.course.checks.verdict import check, expect, result_of
from sensei_lite.training.evaluate import steps_to_success


@check
def iqm(attempt: Callable[..., Any]) -> str:
    """Check the interquartile mean: attempt(values [n]) -> number."""
    cases = {
        "five seeds, not in order": [9.0, 0.2, 4.5, 0.3, 0.9],
        "three seeds": [1.0, 2.0, 6.0],
        "four seeds": [0.0, 3.0, 4.0, 50.0],
        "ten seeds": [3.0, 1.0, 4.0, 1.5, 9.0, 2.6, 5.0, 3.5, 8.0, 90.0],
    }
    for name, listed in cases.items():
        values = np.array(listed)
        cut, n = len(values) // 4, len(values)
        first, third = np.percentile(values, [25, 75])
        low, span = values.min(), np.ptp(values)
        inside = (values >= low + span / 4) & (values <= low + 3 * span / 4)
        mistakes = {
            "Must the values be sorted before their ends are cut off?": values[cut : n - cut].mean(),
            "That is the mean of all values.": values.mean(),
            "n / 4 is rounded down: how many values are left out at each end here?": np.sort(values)[1:-1].mean(),
            "That is the median: the middle value, not the mean of the middle half.": np.median(values),
            "That is the interquartile range: how far the quartiles lie apart.": third - first,
            "A quarter of the values go at each end, not a quarter of the distance from lowest to highest.": (
                values[inside].mean() if inside.any() else np.nan
            ),
            "Is only one end cut off?": np.sort(values)[cut:].mean(),
        }
        hint = "How many values does the formula leave out at each end? It rounds n / 4 down."
        expect(result_of(attempt, values), stats.trim_mean(values, 0.25), of=name, mistakes=mistakes, hint=hint)
    return "the means of the middle halves agree, for 3, 4, 5 and 10 seeds."


COUNTS = ("reward", "episodes")


def _chunks(*counts: tuple[int, int, int]) -> list[dict[str, float]]:
    """Make chunks from (steps, solved episodes, finished episodes)."""
    return [{"steps": float(s), "reward": float(r), "episodes": float(e)} for s, r, e in counts]


@check
def steps_until(attempt: Callable[..., Any]) -> str:
    """Check the steps to success: attempt(chunks, share, window) -> number."""
    early = _chunks((98, 1, 4), (99, 4, 4), (100, 2, 4), (97, 4, 4), (95, 4, 4), (94, 4, 4), (96, 4, 4))
    uneven = _chunks((90, 1, 1), (91, 4, 10), (92, 1, 1), (93, 9, 10), (94, 10, 10), (95, 10, 10))
    quiet = _chunks((400, 0, 0), (400, 0, 0), (384, 1, 4), (390, 4, 4), (380, 4, 4), (381, 0, 3))
    rising = _chunks((85, 0, 4), (86, 4, 4), (87, 4, 4), (88, 1, 4), (89, 4, 4), (84, 4, 4))
    cases = {
        "good and bad chunks in turn, windows of 2": (early, 0.8, 2),
        "the same, windows of 1": (early, 0.8, 1),
        "chunks with few and with many episodes": (uneven, 0.7, 2),
        "chunks in which no episode ends": (quiet, 0.8, 2),
        "windows of 4": (rising, 0.6, 4),
        "a run that never succeeds": (early[:3], 0.8, 2),
    }
    for name, (chunks, share, window) in cases.items():
        wanted = steps_to_success(chunks, share, window, "reward")
        mistakes = {
            "The first window is full after as many chunks as it holds. Did it end earlier?": _too_short(
                chunks, share, window
            ),
            "That is the first single chunk that is good enough.": steps_to_success(chunks, share, 1, "reward"),
            "Only the chunks of the window count, not all from the beginning.": _since_the_beginning(chunks, share),
            "Is a chunk with one episode worth as much as one with ten? Add before you divide.": _mean_of_shares(
                chunks, share, window
            ),
            "Which step is it: where the window begins, or where it ends?": _where_it_begins(chunks, wanted, window),
            "Is that a number of chunks? Steps are asked for.": _in_chunks(chunks, wanted),
            "Must all chunks of the window be good, or the window as a whole?": _all_good(chunks, share, window),
        }
        hint = "Does a window without a finished episode count? What comes where no window is good enough?"
        expect(result_of(attempt, chunks, share, window), wanted, of=name, mistakes=mistakes, hint=hint)
    return "lucky chunks, uneven chunks, quiet chunks and a run without success."


def _until(chunks: list[dict[str, float]], good: Callable[[int], bool]) -> float:
    """Count the steps up to the first end of which ``good`` is true, or all."""
    steps = np.cumsum([chunk["steps"] for chunk in chunks])
    return float(next((steps[end - 1] for end in range(1, len(chunks) + 1) if good(end)), steps[-1]))


def _shares(chunks: list[dict[str, float]]) -> np.ndarray:
    return np.array([chunk["reward"] / max(1.0, chunk["episodes"]) for chunk in chunks])


def _since_the_beginning(chunks: list[dict[str, float]], share: float) -> float:
    reward, episodes = (np.cumsum([chunk[name] for chunk in chunks]) for name in COUNTS)
    return _until(chunks, lambda end: episodes[end - 1] > 0 and reward[end - 1] >= share * episodes[end - 1])


def _too_short(chunks: list[dict[str, float]], share: float, window: int) -> float:
    def good(end: int) -> bool:
        reward, episodes = (sum(chunk[name] for chunk in chunks[max(0, end - window) : end]) for name in COUNTS)
        return bool(episodes) and reward >= share * episodes

    return _until(chunks, good)


def _mean_of_shares(chunks: list[dict[str, float]], share: float, window: int) -> float:
    shares = _shares(chunks)
    return _until(chunks, lambda end: end >= window and shares[end - window : end].mean() >= share)


def _all_good(chunks: list[dict[str, float]], share: float, window: int) -> float:
    shares = _shares(chunks)
    return _until(chunks, lambda end: end >= window and bool((shares[end - window : end] >= share).all()))


def _where_it_begins(chunks: list[dict[str, float]], wanted: float, window: int) -> float:
    steps = np.concatenate([[0.0], np.cumsum([chunk["steps"] for chunk in chunks])])
    return float(steps[max(0, int(np.flatnonzero(steps == wanted)[0]) - window)])


def _in_chunks(chunks: list[dict[str, float]], wanted: float) -> float:
    return float(np.flatnonzero(np.cumsum([chunk["steps"] for chunk in chunks]) == wanted)[0] + 1)


@check
def ratio_interval(attempt: Callable[..., Any]) -> str:
    """Check the interval of a ratio: attempt(ours, theirs, our draws, their draws) -> (low, high)."""
    rng = np.random.default_rng(3)
    cases = {
        "five seeds each": (np.exp(rng.normal(1, 0.6, 5)), np.exp(rng.normal(0, 0.3, 5))),
        "five seeds and three": (np.exp(rng.normal(0, 0.8, 5)), np.exp(rng.normal(0, 0.4, 3))),
        "eight seeds and five": (np.exp(rng.normal(2, 0.5, 8)), np.exp(rng.normal(1, 0.5, 5))),
    }
    for name, (ours, theirs) in cases.items():
        our_draws, their_draws = (rng.integers(0, len(seeds), (500, len(seeds))) for seeds in (ours, theirs))
        found = result_of(attempt, ours, theirs, our_draws, their_draws)
        above, below = (_iqms(seeds[draws]) for seeds, draws in ((ours, our_draws), (theirs, their_draws)))
        ratios, ends = above / below, [2.5, 97.5]
        (our_low, our_high), (low, high) = np.percentile(above, ends), np.percentile(below, ends)
        whole = _iqms(ours[None])[0] / _iqms(theirs[None])[0]
        mistakes = {
            "5 to 95 holds the middle 90%. Which percentiles hold the middle 95%?": np.percentile(ratios, [5, 95]),
            "No resample differs from another. Which seeds does a row of draws choose?": (whole, whole),
            "These are two intervals divided by each other. Divide in every resample, then take percentiles.": (
                our_low / low,
                our_high / high,
            ),
            "That is the worst case: our low end over their high end. It is wider than a 95% interval.": (
                our_low / high,
                our_high / low,
            ),
            "Is it upside down? Ours is divided by theirs.": np.percentile(below / above, ends),
            "Are these means of all seeds? The IQM was asked for.": np.percentile(
                ours[our_draws].mean(-1) / theirs[their_draws].mean(-1), ends
            ),
            "Theirs is not resampled. Their seeds are a matter of chance too.": np.percentile(
                above / _iqms(theirs[None])[0], ends
            ),
            "A standard deviation makes a symmetric interval. Take percentiles of the ratios.": (
                whole - 1.96 * ratios.std(),
                whole + 1.96 * ratios.std(),
            ),
        }
        if len(ours) == len(theirs):
            mistakes["Each agent has draws of its own. Are ours used for both?"] = np.percentile(
                above / _iqms(theirs[our_draws]), ends
            )
        expect(found, np.percentile(ratios, ends), of=name, mistakes=mistakes, hint="Divide first, then percentiles.")
    return "the intervals agree, also where the agents have different numbers of seeds."


def _iqms(samples: np.ndarray) -> np.ndarray:
    return np.asarray(stats.trim_mean(samples, 0.25, axis=-1))
