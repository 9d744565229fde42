"""Checks of notebook 04_curiosity."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sensei_lite.course.checks.verdict import NotQuite, check, expect, result_of
from sensei_lite.models.ensemble import ensemble_std, ensemble_variance, mutual_information


@check
def variance_and_deviation(attempt: Callable[..., Any]) -> str:
    """Check two measures: attempt(predictions [heads batch size]) -> (variance [batch], std [batch])."""
    cases = {
        "two heads, one of two dimensions differs": jnp.array([[[1.0, 5.0]], [[3.0, 5.0]]]),
        "five heads": jax.random.normal(jax.random.key(0), (5, 3, 4)) * jnp.array([0.1, 0.5, 1.0, 2.0]),
        "eight heads that agree": jnp.broadcast_to(jnp.arange(6.0), (8, 2, 6)),
    }
    for name, guesses in cases.items():
        found = result_of(attempt, guesses)
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise NotQuite(f"{name}: expected two arrays, variance and deviation, with a comma between them.")
        variance, deviation = found
        given = np.asarray(guesses, np.float64)
        wanted, other = np.asarray(ensemble_variance(guesses)), np.asarray(ensemble_std(guesses))
        heads = len(given)
        mistakes = {
            "That is the variance over the dimensions of each head. Take it over the heads, axis 0.": given.var(
                -1
            ).mean(0),
            "That divides by the number of heads less one. Here it is divided by the number of heads.": wanted
            * heads
            / (heads - 1),
            "That is the sum over the dimensions. Take their mean.": given.var(0).sum(-1),
            "That is the deviation. Are the two in the right order?": other,
        }
        expect(variance, wanted, of=f"{name}, variance", mistakes=mistakes, hint="Over heads, then mean over the last.")
        mistakes = {
            "That is the root of the mean variance. Take the root in each dimension first, then the mean.": np.sqrt(
                wanted
            ),
            "That is the deviation over the dimensions of each head. Take it over the heads.": given.std(-1).mean(0),
            "That divides by the number of heads less one. Here it is divided by the number of heads.": given.std(
                0, ddof=1
            ).mean(-1),
            "That is the sum over the dimensions. Take their mean.": given.std(0).sum(-1),
            "That is the variance. Where is the square root?": wanted,
        }
        expect(deviation, other, of=f"{name}, deviation", mistakes=mistakes, hint="A root in each dimension.")
    return "over heads first, then the mean over dimensions."


@check
def information_in_nats(attempt: Callable[..., Any]) -> str:
    """Check the mutual information: attempt(log-probabilities [heads batch stoch classes]) -> [batch], in nats."""
    certain = jnp.log(jnp.array([[0.98, 0.01, 0.01], [0.01, 0.98, 0.01], [0.01, 0.01, 0.98]]))
    cases = {
        "heads that are sure of different classes": jnp.broadcast_to(certain[:, None, None], (3, 2, 2, 3)),
        "heads that differ a little": jax.nn.log_softmax(jax.random.normal(jax.random.key(1), (4, 5, 3, 6))),
        "a fair die, on which all agree": jnp.log(jnp.full((3, 2, 4, 6), 1 / 6)),
    }
    for name, log_p in cases.items():
        found = result_of(attempt, log_p)
        p = np.exp(np.asarray(log_p, np.float64))
        mean = p.mean(0)
        of_mean, of_heads = -(mean * np.log(mean)).sum(-1), -(p * np.log(p)).sum(-1)
        geometric = np.exp(np.asarray(log_p, np.float64).mean(0))
        mistakes = {
            "That is all the uncertainty, noise too. What do the heads themselves admit?": of_mean.sum(-1),
            "That is only the heads' own uncertainty, the noise.": of_heads.mean(0).sum(-1),
            "Which of the two is larger? Look at the sign.": (of_heads.mean(0) - of_mean).sum(-1),
            "That is the mean over the categoricals. They are independent, so they add up.": (
                of_mean - of_heads.mean(0)
            ).mean(-1),
            "That is how much the heads' entropies differ. Heads can be equally sure of other things.": of_heads.std(
                0
            ).sum(-1),
            "Is the mean over heads taken of the probabilities, or of their logarithms?": (
                -(geometric * np.log(geometric)).sum(-1) - of_heads.mean(0)
            ).sum(-1),
            "That is in bits. Nats have the natural logarithm.": (of_mean - of_heads.mean(0)).sum(-1) / np.log(2),
        }
        hint = "The entropy of the mean, less the mean of the entropies; then the sum over the categoricals."
        expect(found, mutual_information(log_p), of=name, mistakes=mistakes, hint=hint)
    return "the fair die has none, and different certainties have the most."
