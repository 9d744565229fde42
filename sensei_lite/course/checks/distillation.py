"""Checks of notebook 06_reward_distillation."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from sensei_lite.course.checks.verdict import check, expect, result_of
from sensei_lite.reward.distil import pair_accuracy, preference_loss

TIE = 0.5


@check
def stable_loss(attempt: Callable[..., Any]) -> str:
    """Check the mean preference loss: attempt(R of the first [pairs], R of the second, answers) -> number."""
    rng = np.random.default_rng(6)
    for pairs in (5, 8):
        first, second = rng.normal(size=(2, pairs)) * 2
        target = np.resize([1.0, TIE, 0.0, 0.3], pairs)
        d, decided = first - second, target != TIE
        each = np.logaddexp(0, d) - target * d
        flipped = np.logaddexp(0, -d) + target * d
        expect(
            result_of(attempt, jnp.asarray(first), jnp.asarray(second), jnp.asarray(target)),
            float(preference_loss(jnp.asarray(first), jnp.asarray(second), jnp.asarray(target))),
            of=f"{pairs} pairs, some of them ties",
            mistakes={
                "A mean is asked for, and this is the sum.": each.sum(),
                "Which of the two does y = 1 prefer? The sign of the difference is turned round.": flipped.mean(),
                "Ties teach too: this leaves them out.": each[decided].mean(),
                "Ties teach too: this counts them as 0.": np.where(decided, each, 0).mean(),
                "A tie puts half on each picture. Where is the part of 1 - y?": (target * np.logaddexp(0, -d)).mean(),
            },
            hint="Compare L(d, y) term by term.",
        )
    for difference, answer, wanted in (
        (1000.0, 0.0, 1000.0),
        (-1000.0, 1.0, 1000.0),
        (1000.0, 1.0, 0.0),
        (-1e3, TIE, 500.0),
    ):
        found = result_of(attempt, jnp.array([difference]), jnp.zeros(1), jnp.array([answer]))
        hint = "Compute log(1 + e^d) in one stable step. A small number inside a logarithm only hides such a pair."
        expect(found, wanted, of=f"a difference of {difference:g} with y = {answer:g}", hint=hint)
    return "ties, means, and differences of 1000."


@check
def accuracy(attempt: Callable[..., Any]) -> str:
    """Check the accuracy on decided pairs: attempt(differences [pairs], answers [pairs]) -> share."""
    cases = {
        "no ties, and no equal rewards": ([2.0, -1.0, 0.5, -3.0], [1.0, 0.0, 0.0, 1.0]),
        "some answers are ties": ([2.0, -1.0, 0.5, 3.0, -0.2], [1.0, TIE, 0.0, TIE, 0.0]),
        "some rewards are equal, one of them in a tie": (
            [0.0, 1.0, 0.0, -2.0, 0.0, 0.0],
            [1.0, 1.0, 0.0, 0.0, 0.0, TIE],
        ),
    }
    for name, (differences, answers) in cases.items():
        d, y = np.array(differences), np.array(answers)
        decided = y != TIE
        agree = np.sign(d) == np.sign(y - TIE)
        points = (np.sign(d) * np.sign(y - TIE) + 1) / 2
        expect(
            result_of(attempt, d.copy(), y.copy()),
            pair_accuracy(d, y),
            of=name,
            mistakes={
                "Leave the judge's ties out: here they count half a point.": points.mean(),
                "Leave the judge's ties out: here they count as wrong.": np.where(decided, points, 0).mean(),
                "Leave the judge's ties out of the number of pairs, too.": points[decided].sum() / len(d),
                "Leave the judge's ties out: here equal rewards win points for them.": agree.mean(),
                "Where d is 0 and the judge decided, give half a point, not none.": agree[decided].mean(),
                "Where d is 0, half a point: here it counts as an answer for the second picture.": (
                    (d > 0) == (y > TIE)
                )[decided].mean(),
                "This counts disagreement.": 1 - points[decided].mean(),
            },
            hint="Which pairs are counted, and what does each of them give?",
        )
    return "ties are left out, and equal rewards get half a point."


@check
def standardise(attempt: Callable[..., Any]) -> str:
    """Check standardised scores: attempt(scores [pictures], first [pairs], second [pairs]) -> rewards [pictures]."""
    cases = (
        ([0.0, 1.0, 4.0, 9.0, -20.0], [0, 0, 0, 1], [1, 2, 3, 3]),
        ([5.0, 5.5, 7.0, 6.0, 9.0, 30.0], [4, 4, 4, 2], [0, 1, 2, 3]),
    )
    for numbers, ones, others in cases:
        scores, first, second = np.array(numbers), np.array(ones), np.array(others)
        seen, ends = scores[np.union1d(first, second)], scores[np.concatenate([first, second])]
        expect(
            result_of(attempt, scores.copy(), first.copy(), second.copy()),
            (scores - seen.mean()) / seen.std(),
            of=f"{len(scores)} pictures, {len(first)} pairs",
            mistakes={
                "A picture in many pairs is still one picture.": (scores - ends.mean()) / ends.std(),
                "One picture is in no pair: it must not set the scale.": (scores - scores.mean()) / scores.std(),
                "Where is the mean?": scores / seen.std(),
                "Is it divided by the variance? The deviation has the unit of the scores.": (scores - seen.mean())
                / seen.var(),
                "Only the mean was taken away. Where is the standard deviation?": scores - seen.mean(),
                "Divide by n, not by n - 1: these pictures are all there are.": (scores - seen.mean())
                / seen.std(ddof=1),
                "Pictures are first or second in a pair; this looks at one side.": (scores - scores[first].mean())
                / scores[first].std(),
            },
            hint="All pictures are rescaled, by the mean and the deviation of those in the pairs, each once.",
        )
    return "each training picture counts once, and the others are on the same scale."
