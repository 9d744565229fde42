"""Checks of notebook 10_robots."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sensei_lite.annotators.scripted import LEVELS, interest
from sensei_lite.course.checks.verdict import NotQuite, check, expect, result_of
from sensei_lite.models.distributions import BoundedNormal


@check
def log_density(attempt: Callable[..., Any]) -> str:
    """Check the log-density of whole actions: attempt(action, mean, std) -> one number for each action."""
    generator = np.random.default_rng(0)
    cases = {
        "one action": (4,),
        "a batch of three actions": (3, 4),
        "five steps of two dreams": (5, 2, 4),
    }
    for name, shape in cases.items():
        action, mean = generator.normal(size=(2, *shape)).astype(np.float32)
        std = generator.uniform(0.1, 1, shape).astype(np.float32)
        wanted = np.asarray(BoundedNormal(jnp.asarray(mean), jnp.asarray(std)).log_prob(jnp.asarray(action)))
        z = (action - mean) / std
        each = -0.5 * z**2 - np.log(std) - 0.5 * np.log(2 * np.pi)
        mistakes = {
            "Independent numbers: their log-densities are added, not averaged.": each.mean(-1),
            "Is 1 / std there? A narrow policy has a higher density.": (each + np.log(std)).sum(-1),
            "Is the constant there, -ln sqrt(2 pi) for each of the four numbers?": (-0.5 * z**2 - np.log(std)).sum(-1),
            "There are four constants -ln sqrt(2 pi), one for each number.": (-0.5 * z**2 - np.log(std)).sum(-1)
            - 0.5 * np.log(2 * np.pi),
            "std is the deviation; the variance is its square.": (
                -0.5 * (action - mean) ** 2 / std - 0.5 * np.log(std) - 0.5 * np.log(2 * np.pi)
            ).sum(-1),
            "This is the density: take its logarithm.": np.exp(wanted),
            "The sign: a likely action has a high log-density.": -wanted,
        }
        hint = (
            "With z = (action - mean) / std: -z^2 / 2 - ln std - ln sqrt(2 pi), summed over the last axis. The four "
            "numbers of an action are independent: add their log-densities. Different actions stay apart."
        )
        expect(result_of(attempt, action, mean, std), wanted, of=name, mistakes=mistakes, hint=hint)
    return "one action, a batch, and dreams."


@check
def reinforce(attempt: Callable[..., Any]) -> str:
    """Check the REINFORCE gradients: attempt(rewards, actions, mean, std, baseline) -> (by mean, by std)."""
    generator = np.random.default_rng(1)
    cases = {
        "a narrow policy": (0.3, 0.2, 0.0),
        "a wide policy with a baseline": (-0.5, 0.9, 0.7),
        "rewards far above the baseline": (0.1, 0.5, 2.0),
    }
    for name, (mean, std, baseline) in cases.items():
        actions = (mean + std * generator.normal(size=64)).astype(np.float32)
        rewards = (np.sin(3 * actions) + 2 * (actions > 0.2) + 1).astype(np.float32)
        gain = rewards - baseline
        by_mean, by_std = _scores(actions, mean, std)
        found_mean, found_std = _two(result_of(attempt, rewards, actions, mean, std, baseline))
        wanted = (gain * by_mean).mean(), (gain * by_std).mean()
        mistakes = {
            "Where is the baseline?": (rewards * by_mean).mean(),
            "An estimate is a mean over the samples, not a sum.": (gain * by_mean).sum(),
            "Divide by the square of std: the density has (a - mean)^2 / (2 std^2) in it.": wanted[0] * std,
            "The sign: an action above the mean that pays pulls the mean up.": -wanted[0],
            "Is this the derivative by std? That by the mean comes first.": wanted[1],
            "Is the reward there? This is the score alone.": by_mean.mean(),
        }
        hint = "(reward - baseline) times the derivative of ln pi(a), and then the mean over samples."
        expect(found_mean, wanted[0], of=f"{name}, by the mean", mistakes=mistakes, hint=hint)
        mistakes = {
            "Where is the baseline?": (rewards * by_std).mean(),
            "An estimate is a mean over the samples, not a sum.": (gain * by_std).sum(),
            "ln std is in the density, too: its derivative is -1 / std.": (gain * (by_std + 1 / std)).mean(),
            "The derivative of -(a - mean)^2 / (2 std^2) by std has std^3 in it.": (
                gain * ((actions - mean) ** 2 / std**2 - 1 / std)
            ).mean(),
        }
        expect(found_std, wanted[1], of=f"{name}, by the deviation", mistakes=mistakes, hint=hint)
    return "three policies, by mean and by deviation."


def _two(found: Any) -> tuple[Any, Any]:
    """Return the two answers. Raises `NotQuite` where there are more or fewer."""
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise NotQuite("two answers are asked for, in this order")
    return found[0], found[1]


def _scores(
    actions: Float[np.ndarray, " n"], mean: float, std: float
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Compute the scores: the derivatives of ln pi(a) by the mean and by the standard deviation."""
    return (actions - mean) / std**2, (actions - mean) ** 2 / std**3 - 1 / std


@check
def levels(attempt: Callable[..., Any]) -> str:
    """Check two levels: attempt(holds [facts time]) -> the highest fact that holds, and how many hold, both [time]."""
    names = LEVELS["Tabletop"]
    generator = np.random.default_rng(2)
    cases = {
        "two facts in three steps": np.array([[True, True, False], [False, True, True]]),
        "nothing at all": np.zeros((3, 2), bool),
        "an episode at the desk": generator.random((len(names), 40)) < 0.3,
    }
    for name, holds in cases.items():
        places = np.arange(1, len(holds) + 1)[:, None]
        highest, counted = (holds * places).max(0), holds.sum(0)
        if len(holds) == len(names):
            facts = dict(zip(names, holds, strict=True))
            np.testing.assert_array_equal([highest, counted], [interest(facts, names), interest(facts)])
        found_highest, found_counted = _two(result_of(attempt, holds))
        mistakes = {
            "Places are counted from 1, so that 0 is left for: nothing holds.": (holds * (places - 1)).max(0),
            "This is the dullest fact that holds. Dull facts come first.": np.where(
                holds.any(0), holds.argmax(0) + 1, 0
            ),
            "Is this the number of facts? The highest fact comes first.": counted,
        }
        hint = "Multiply every row of holds with its place (from 1), and take the largest of each step."
        expect(found_highest, highest, of=f"{name}, the highest fact", mistakes=mistakes, hint=hint)
        mistakes = {
            "Each fact counts 1, whatever its place.": (holds * places).sum(0),
            "Whether any fact holds is not how many.": holds.any(0),
        }
        hint = "How many of the rows are true at each step? Add up the facts, not the steps."
        expect(found_counted, counted, of=f"{name}, the number of facts", mistakes=mistakes, hint=hint)
    return "both tastes, in three episodes."
