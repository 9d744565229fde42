"""Checks of notebook 07_sensei."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from sensei_lite.agent.returns import PercentileNormaliser, RunningQuantile
from sensei_lite.agent.switch import RewardSwitch, advantages
from sensei_lite.config import SwitchConfig
from sensei_lite.course.checks.verdict import check, expect, result_of

Weights = dict[str, float]


@check
def running_threshold(attempt: Callable[..., Any]) -> str:
    """Check the threshold Q after a list of batches: attempt(batches, k, decay) -> number."""
    chance = np.random.default_rng(7)
    some = [chance.normal(mean, 2.0, (5, 40)) for mean in (-3.0, 1.0, 6.0)]
    for of, (batches, k, decay) in {
        "one batch": (some[:1], 75.0, 0.9),
        "two batches": (some[:2], 90.0, 0.9),
        "three batches": (some, 60.0, 0.7),
    }.items():
        seen = RunningQuantile.create()
        for batch in batches:
            seen = seen.update(jnp.asarray(batch), k, decay=decay)
        found = result_of(attempt, batches, k, decay)
        percentiles = [float(np.percentile(batch, k)) for batch in batches]
        means = [float(batch.mean()) for batch in batches]
        mistakes = {
            "np.percentile counts from 0 to 100: is your k a share of 1?": _average(
                [float(np.percentile(batch, k / 100)) for batch in batches], decay
            ),
            "These are means of the batches. What is asked for are their k-th percentiles.": _average(means, decay),
            "It moves too fast: the old value has the weight decay, the new one the rest.": _average(
                percentiles, 1.0 - decay
            ),
            "This is the last batch only. Q remembers the earlier ones.": percentiles[-1],
            "Q begins at 0 in yours, and here the first batch sets it.": _average([0.0, *percentiles], decay),
            "This is the percentile of all batches together. Q is a moving average of theirs.": float(
                np.percentile(np.concatenate(batches), k)
            ),
            "All batches count the same in yours. Which should count most?": float(np.mean(percentiles)),
        }
        expect(found, seen.value, of=of, mistakes=mistakes, hint="Work the first two batches out by hand.")
    return "one batch, two and three."


def _average(numbers: list[float], decay: float) -> float:
    """Compute a moving average that the first number sets."""
    value = numbers[0]
    for number in numbers[1:]:
        value = decay * value + (1 - decay) * number
    return value


GO: Weights = {"semantic": 0.9, "disagreement": 0.2}
EXPLORE: Weights = {"semantic": 0.4, "disagreement": 5.0}


@check
def exploration_reward(attempt: Callable[..., Any]) -> str:
    """Check the paper's reward: attempt(r_sem, r_dis, Q, go, explore) -> array."""
    chance = np.random.default_rng(8)
    threshold = 0.5
    r_sem, r_dis = chance.normal(size=(6, 4)), chance.uniform(0.1, 1.0, (6, 4))
    r_sem[2, 1] = threshold  # a state at the threshold
    cases = {
        "states far from the threshold": (np.array([-2.0, 3.0]), np.array([0.3, 0.7])),
        "a state at the threshold": (np.array([threshold]), np.array([1.0])),
        "a batch of dreams": (r_sem, r_dis),
    }
    for of, (semantic, disagreement) in cases.items():
        for go, explore in ((GO, EXPLORE), ({"semantic": 1.0, "disagreement": 0.0}, EXPLORE)):
            found = result_of(attempt, semantic, disagreement, threshold, go, explore)
            wanted = _by_package(semantic, disagreement, threshold, go, explore)
            above = semantic >= threshold

            def weighed(
                where: np.ndarray, one: Weights, two: Weights, s: np.ndarray = semantic, d: np.ndarray = disagreement
            ) -> np.ndarray:
                w_sem, w_dis = (np.where(where, one[name], two[name]) for name in ("semantic", "disagreement"))
                return w_sem * s + w_dis * d

            by_disagreement = disagreement >= threshold
            swapped = weighed(above, explore, go, disagreement, semantic)
            only_beta = semantic + np.where(above, explore["disagreement"], go["disagreement"]) * disagreement
            mistakes = {
                "A state at the threshold explores.": weighed(semantic > threshold, explore, go),
                "The branches are exchanged: which one is for interesting states?": weighed(above, go, explore),
                "The weights are on the wrong streams: r_sem has the weight of disagreement.": swapped,
                "The switch compares r_sem, not r_dis.": weighed(by_disagreement, explore, go),
                "r_sem has a weight, too.": only_beta,
                "Only one branch is used everywhere.": weighed(np.ones_like(above), explore, go),
            }
            expect(found, wanted, of=of, mistakes=mistakes, hint="Print the branch of every state, and both weights.")
    return "both branches, and the state at the threshold."


def _by_package(semantic: Any, disagreement: Any, threshold: float, go: Weights, explore: Weights) -> Any:
    settings = SwitchConfig(rule="reward", go=tuple(go.items()), explore=tuple(explore.items()))
    switch = RewardSwitch(RunningQuantile(jnp.float32(threshold), jnp.ones((), bool)), settings)
    rewards = {"semantic": jnp.asarray(semantic), "disagreement": jnp.asarray(disagreement)}
    return switch.reward(rewards, switch.is_exploring(rewards["semantic"]))


@check
def combined_advantage(attempt: Callable[..., Any]) -> str:
    """Check the research code's advantage: attempt(returns, values, scales, exploring, go, explore) -> array."""
    chance = np.random.default_rng(9)
    mixed = chance.uniform(size=(5, 7)) < 0.4
    cases = {"states that go": np.zeros((6, 1), bool), "states that explore": np.ones((6, 1), bool), "dreams": mixed}
    for number, (of, exploring) in enumerate(cases.items()):
        returns = {name: chance.normal(4.0, 3.0, exploring.shape) for name in GO}
        values = {name: chance.normal(3.0, 2.0, exploring.shape) for name in GO}
        scales = {"semantic": 6.0 + number, "disagreement": 1.5}
        found = result_of(attempt, returns, values, scales, exploring, GO, EXPLORE)
        w = {name: np.where(exploring, EXPLORE[name], GO[name]) for name in GO}
        total = sum(EXPLORE.values())
        ranges = {name: PercentileNormaliser(jnp.zeros(()), jnp.float32(scale)) for name, scale in scales.items()}
        wanted = advantages(
            {name: jnp.asarray(returns[name]) for name in GO},
            {name: jnp.asarray(values[name]) for name in GO},
            ranges,
            {name: jnp.asarray(w[name], jnp.float32) for name in GO},
            total,
        )
        gains = {name: returns[name] - values[name] for name in GO}
        summed = sum(w[name] * gains[name] / scales[name] for name in GO)
        other = {name: np.where(exploring, GO[name], EXPLORE[name]) for name in GO}
        mistakes = {
            "It is not divided by the total of the explore weights.": summed,
            "Each branch is divided by its own total. One total, that of the explore weights, is for both.": summed
            / sum(w.values()),
            "The branches are exchanged.": sum(other[name] * gains[name] / scales[name] for name in GO) / total,
            "It is brought to one scale after weighing. Each stream has its own scale, before that.": sum(
                w[name] * gains[name] for name in GO
            )
            / sum(scales.values())
            / total,
            "Nothing is on its own scale: divide each stream's advantage by its scale.": sum(
                w[name] * gains[name] for name in GO
            )
            / total,
            "An advantage is the return minus the value.": sum(w[name] * returns[name] / scales[name] for name in GO)
            / total,
            "It is divided by the go weights' total. It should be that of the explore weights.": summed
            / sum(GO.values()),
        }
        expect(found, wanted, of=of, mistakes=mistakes, hint="Work one state out by hand, as above.")
    return "go, explore, and both in one batch."
