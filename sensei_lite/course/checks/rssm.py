"""Checks of notebook 02_rssm."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sensei_lite.course.checks.verdict import NotQuite, check, expect, result_of
from sensei_lite.models.distributions import kl_categorical, sample_one_hot, unimix
from sensei_lite.models.rssm import State


@check
def straight_through(attempt: Callable[..., Any]) -> str:
    """Check the straight-through sample: attempt(log_probs, key) -> one-hot [stoch classes]."""
    for seed, (stoch, classes) in enumerate([(4, 5), (1, 3), (6, 8)]):
        logits_key, weight_key, key = jax.random.split(jax.random.key(seed), 3)
        log_probs = unimix(2.0 * jax.random.normal(logits_key, (stoch, classes)))
        weights = np.asarray(jax.random.normal(weight_key, (stoch, classes)))
        probs, drawn = np.exp(log_probs), np.asarray(sample_one_hot(log_probs, key=key))
        expect(
            result_of(attempt, log_probs, key),
            drawn,
            of="the value of the draw",
            mistakes={
                "These are the probabilities. The value must stay the one-hot draw.": probs,
                "The value must be the draw alone: what is added for the gradient must cancel out.": drawn + probs,
                "The value must be the draw alone: no probability may scale it.": drawn * probs,
            },
            hint="The value must be the one-hot draw of sample_by_hand with the same key.",
        )

        def score(log_probs: Any, weights: np.ndarray = weights, key: Any = key) -> Any:
            return jnp.sum(jnp.asarray(weights) * result_of(attempt, log_probs, key))

        expect(
            jax.grad(score)(log_probs),
            weights * probs,
            of="the gradient of a weighted sum of the draw with respect to log_probs",
            mistakes={
                "No gradient comes through. Does the part with the gradient cancel out completely?": 0.0 * probs,
                "Only the class that was drawn gets a gradient. Is something multiplied by the draw?": weights
                * drawn
                * probs,
                "The gradient is that of the log-probabilities. The draw stands for the probabilities.": weights,
                "The sign is turned around.": -weights * probs,
            },
            hint="It must be that of the probabilities: d exp(log p) = exp(log p) d log p.",
        )
    return "the value is a draw, the gradient is that of the probabilities."


@check
def wipe(attempt: Callable[..., Any]) -> str:
    """Check what enters the recurrent step: attempt(before, action, is_first, fresh) -> (State, action)."""
    for seed in range(2):
        a, b, c, d, e = jax.random.split(jax.random.key(seed), 5)
        before = State(jax.random.normal(a, (6,)), jax.nn.one_hot(jax.random.randint(b, (3,), 0, 4), 4))
        fresh = State(jax.random.normal(c, (6,)), jax.nn.one_hot(jax.random.randint(d, (3,), 0, 4), 4))
        action = jax.nn.one_hot(jax.random.randint(e, (), 0, 5), 5)
        for is_first in (False, True):
            found = result_of(attempt, before, action, jnp.asarray(is_first), fresh)
            try:
                state, acted = found
                h, z = state
            except (TypeError, ValueError):
                raise NotQuite("it must return a State and an action, as a pair") from None
            kept, other = (fresh, before) if is_first else (before, fresh)
            row = "a row that starts an episode" if is_first else "an ordinary row"
            turned = "Is it the other way round? " if not is_first else "The old episode is still there. "
            zeros = "A fresh state is not zeros: its memory is learned, and handed in as `fresh`."
            for name, have, want, wrong in (("h", h, kept.h, other.h), ("z", z, kept.z, other.z)):
                mistakes = {turned + "Which state belongs to this row?": wrong, zeros: jnp.zeros_like(want)}
                expect(have, want, of=f"{row}: {name}", mistakes=mistakes)
            leaks = "The action that is stored with a first row led from nowhere. It must be all zeros."
            nothing, stored = np.zeros(5), np.asarray(action)
            due, mistaken = (nothing, stored) if is_first else (stored, nothing)
            expect(
                acted,
                due,
                of=f"{row}: the action",
                mistakes={leaks if is_first else "This action led here, and must be kept.": mistaken},
                hint="Only the action of a first row is wiped.",
            )
    return "the old episode cannot leak, and ordinary rows stay as they are."


@check
def kl_loss(attempt: Callable[..., Any]) -> str:
    """Check the weighted KL loss: attempt(posterior, prior) -> one number, for log-probabilities [stoch classes]."""
    cases = {"prior and posterior far apart": (0, 2.0), "closer": (1, 1.1), "closer than the free bits": (2, 0.2)}
    for name, (seed, size) in cases.items():
        one, two = jax.random.split(jax.random.key(seed))
        middle = jax.random.normal(one, (4, 5))
        logits = (middle + size * jax.random.normal(two, (4, 5)), middle)
        _check_value(attempt, name, *logits)
        _check_gradient(attempt, name, *logits)
    return "value and gradients agree with balanced_kl, above and below the free bits."


def _check_value(attempt: Callable[..., Any], name: str, posterior_logits: Any, prior_logits: Any) -> None:
    posterior, prior = unimix(posterior_logits), unimix(prior_logits)
    each = np.sum(np.exp(posterior) * (posterior - prior), axis=-1)
    kl, other = float(each.sum()), float(kl_categorical(prior, posterior))
    single = np.maximum(1.0, each).sum()
    mistakes = {
        "The maximum with 1 is taken after the weights. It belongs to each KL, before its weight.": max(1.0, 0.5 * kl)
        + max(1.0, 0.1 * kl),
        "The maximum with 1 is taken of the weighted sum. It belongs to each of the two terms.": max(1.0, 0.6 * kl),
        "The maximum with 1 is taken for every categorical. It belongs to their sum, one number for the state.": 0.6
        * single,
        "There are no free bits: is the maximum with 1 there?": 0.6 * kl,
        "Free bits are not subtracted: below 1 the loss stays at 1.": 0.6 * max(0.0, kl - 1.0),
        "The two distributions are the wrong way round: it is KL(posterior || prior).": 0.6 * max(1.0, other),
        "The weights 0.5 and 0.1 are missing.": 2.0 * max(1.0, kl),
    }
    expect(
        result_of(attempt, posterior, prior),
        0.6 * max(1.0, kl),
        of=f"{name} (KL {kl:.2f} nats): the loss",
        mistakes=mistakes,
        hint="It is 0.5 max(1, KL) + 0.1 max(1, KL), with a different stop-gradient in each.",
    )


def _check_gradient(attempt: Callable[..., Any], name: str, posterior_logits: Any, prior_logits: Any) -> None:
    def kl(posterior: Any, prior: Any) -> Any:
        return kl_categorical(unimix(posterior), unimix(prior))

    def loss(posterior: Any, prior: Any) -> Any:
        return jnp.sum(result_of(attempt, unimix(posterior), unimix(prior)))

    wanted = jax.grad(kl, argnums=(0, 1))(posterior_logits, prior_logits)
    found = jax.grad(loss, argnums=(0, 1))(posterior_logits, prior_logits)
    counts = float(kl(posterior_logits, prior_logits) > 1.0)
    for of, full, have, weight, swapped in (
        ("posterior", wanted[0], found[0], 0.1, 0.5),
        ("prior", wanted[1], found[1], 0.5, 0.1),
    ):
        full = np.asarray(full)
        mistakes = {
            "The stop-gradients are swapped: 0.5 teaches the prior, 0.1 the posterior.": swapped * full,
            "Both terms pull it. In each term, one of the two must be held by stop_gradient.": 0.6 * full,
            "It gets no gradient at all. Is it held in both terms?": 0.0 * full,
        }
        if not counts:
            mistakes = {"Below the free bits nothing may be pulled.": have}
        expect(have, counts * weight * full, of=f"{name}: the gradient of the {of}'s logits", mistakes=mistakes)
