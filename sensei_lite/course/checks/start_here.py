"""Checks of notebook 00_start_here."""

from collections.abc import Callable, Mapping
from typing import Any

from sensei_lite.course.checks.verdict import NotQuite, check, expect, result_of

ORDER = {"A": "sensei", "B": "random", "C": "plan2explore"}
"""Which agent of `who_is_who` has which letter."""


def in_mixed_order(agents: Mapping[str, Any]) -> dict[str, Any]:
    """Return the agents under letters instead of names."""
    return {letter: agents[name] for letter, name in ORDER.items()}


@check
def per_1000_steps(attempt: Callable[..., Any]) -> str:
    """Check events per 1,000 steps over all episodes together: attempt(events, steps) -> number."""
    cases = {
        "two episodes, one short and one long": ([1, 0], [10, 90]),
        "three episodes with several events": ([2, 0, 3], [100, 40, 60]),
        "one episode without an event": ([0], [100]),
    }
    for name, (events, steps) in cases.items():
        each = [1000 * event / step for event, step in zip(events, steps, strict=True)]
        mistakes = {
            "That is the mean of the episodes' own rates, in which a short episode counts as much as a long one.": sum(
                each
            )
            / len(each),
            "That is per step. Per 1,000 steps it is 1,000 times as much.": sum(events) / sum(steps),
            "That is per episode. How many steps were there?": sum(events) / len(events),
            "Is it the wrong way round? That is steps for each event, times 1,000.": 1000 * sum(steps) / sum(events)
            if sum(events)
            else -1.0,
        }
        wanted = 1000 * sum(events) / sum(steps)
        expect(result_of(attempt, events, steps), wanted, of=name, mistakes=mistakes, hint="Add up, then divide.")
    return "a long episode counts as much as its steps."


@check
def who_is_who(attempt: Callable[..., Any]) -> str:
    """Check which agent has which letter: attempt() -> {letter: name}."""
    found = result_of(attempt)
    if not isinstance(found, Mapping) or set(found) != set(ORDER):
        raise NotQuite('expected a dictionary with the letters A, B and C, such as {"A": "random", ...}.')
    if set(found.values()) != set(ORDER.values()):
        raise NotQuite(f"expected each of {', '.join(sorted(ORDER.values()))} once.")
    letters = {name: letter for letter, name in found.items()}
    if ORDER[letters["sensei"]] != "sensei":
        raise NotQuite("SENSEI is another one. Who gets through the door, and stands behind it?")
    if ORDER[letters["random"]] != "random":
        raise NotQuite("SENSEI is found. Of the other two, one walks without any plan. Whose map is the most even?")
    return "all three."
