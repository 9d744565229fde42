"""Checks of notebook 09_real_worlds."""

from collections.abc import Callable
from typing import Any

from sensei_lite.annotators.chat.limits import Price
from sensei_lite.course.checks.verdict import check, expect, result_of


@check
def number_of_updates(attempt: Callable[..., Any]) -> str:
    """Check the number of updates in a run: attempt(env_steps, warm_up, train_ratio, batch, length) -> number."""
    cases = {
        "the paper's run": ((500_000, 0, 512, 16, 64), 250_000),
        "a run with random play at first": ((42_048, 2_048, 8, 8, 8), 5_000),
        "a run with short sequences": ((10_000, 1_000, 64, 8, 16), 4_500),
    }
    for name, ((steps, prefill_steps, ratio, batch, length), wanted) in cases.items():
        found = result_of(attempt, steps, prefill_steps, ratio, batch, length)
        learning = steps - prefill_steps
        mistakes = {
            "An update takes batch sequences, and each has length steps: is length there?": learning * ratio / batch,
            "A sequence has length steps, but an update takes batch of them: is batch there?": learning
            * ratio
            / length,
            "Upside down: a larger train ratio means more updates, not fewer.": learning * batch * length / ratio,
            "Nothing is learned during random play: those steps give no updates.": steps * ratio / (batch * length),
            "Random play is a part of env_steps: take it off, and once only.": (steps - 2 * prefill_steps)
            * ratio
            / (batch * length),
            "env_steps has the random play in it already: it is not added.": (steps + prefill_steps)
            * ratio
            / (batch * length),
            "These are replayed steps. How many of them does one update use up?": learning * ratio,
            "That is one update for each step. What does the train ratio say?": learning,
        }
        expect(
            found, wanted, of=name, mistakes=mistakes, hint="Replayed steps first, then divide by those of an update."
        )
    return "all three runs."


@check
def cost_of_answers(attempt: Callable[..., Any]) -> str:
    """Check the cost of answers, in dollars and hours.

    attempt(pairs, both_orders, words, picture, answer, price_in, price_out, per_minute) -> (dollars, hours).
    """
    cases = {
        "1,000 pairs, asked once": (1_000, False, 300, 85, 10, 2.0, 8.0, 100),
        "5,000 pairs in both orders": (5_000, True, 250, 85, 12, 0.5, 3.0, 500),
        "high detail and a model that thinks aloud": (200, True, 400, 765, 900, 1.0, 10.0, 20),
    }
    for name, case in cases.items():
        found = result_of(attempt, *case)
        wanted = _cost(*case)
        mistakes = {
            "Every question has two pictures.": _cost(*case, pictures=1),
            "Prices are per million tokens.": _cost(*case, per=1e3),
            "Are these dollars? Prices are per million tokens.": _cost(*case, per=1.0),
            "The answer costs, too: tokens out have a price of their own.": _cost(*case, out=0),
            "The answer's tokens go to the price of tokens out.": _at_one_price(*case),
            "Hours: a server takes so many requests in a minute, and an hour has 60 of these.": (
                wanted[0],
                wanted[1] * 60,
            ),
            "Hours, not seconds.": (wanted[0], wanted[1] * 3600),
        }
        if case[1]:
            once = _cost(case[0], False, *case[2:])
            mistakes["With both orders every pair is two questions."] = once
            mistakes["Both orders are twice the money, and twice the time."] = (wanted[0], once[1])
        else:
            mistakes["This one asks every pair once only."] = _cost(case[0], True, *case[2:])
        hint = "Questions first, then tokens in and out, then prices; hours are questions over requests in an hour."
        expect(found, wanted, of=f"{name} (dollars, hours)", mistakes=mistakes, hint=hint)
    return "three ways to ask."


def _cost(
    pairs: int,
    both_orders: bool,
    words: int,
    picture: int,
    answer: int,
    price_in: float,
    price_out: float,
    per_minute: int,
    *,
    pictures: int = 2,
    per: float = 1e6,
    out: int = 1,
) -> tuple[float, float]:
    """Compute dollars and hours by the package's `Price`; what comes after the star makes well-known mistakes."""
    questions = pairs * (1 + both_orders)
    price = Price(price_in, out * price_out)
    dollars = price.dollars(questions * (words + pictures * picture), questions * answer)
    return dollars * 1e6 / per, questions / (60 * per_minute)


def _at_one_price(*case: Any) -> tuple[float, float]:
    """Compute the cost as if an answer cost no more than a question."""
    one_price = (*case[:6], case[5], case[7])
    return _cost(*one_price)
