"""Checks of notebook 01_worlds."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from sensei_lite.course.checks.verdict import NotQuite, check, expect, result_of
from sensei_lite.plots.style import episode
from sensei_lite.worlds import KeyRoom


@check
def door_reached(attempt: Callable[..., Any]) -> str:
    """Check the event of coming to stand at the locked door: attempt(state before, state after) -> bool."""
    world = KeyRoom(max_steps=1000)
    walk = np.random.default_rng(32).integers(0, 5, 300).tolist()
    states, events = episode(world, world.reset(key=jax.random.key(13)), walk)
    for t in range(1, len(states)):
        expected = "door_reached" in events[t]
        found = result_of(attempt, states[t - 1], states[t])
        if bool(found) != expected:
            was, now, door = states[t - 1].agent, states[t].agent, states[t].layout.lock
            raise NotQuite(
                f"step {t}: yours says {bool(found)}, the package says {expected}. The agent went from {was} to {now}; "
                f"the door is at {door}, unlocked: {bool(states[t].unlocked)}. Is it new in this step? Is a diagonal "
                "cell a neighbour? Is the door still locked?"
            )
    return f"all {len(walk)} steps agree."


@check
def value_target(attempt: Callable[..., Any]) -> str:
    """Check the one-step value target: attempt(reward, is_last, is_terminal, value here, gamma) -> number."""
    cases = {
        "an ordinary row": ((0.5, False, False, 2.0, 0.9), 2.3),
        "a terminated row": ((1.0, True, True, 2.0, 0.9), 1.0),
        "a truncated row": ((0.0, True, False, 2.0, 0.9), 1.8),
    }
    for name, ((reward, is_last, is_terminal, value, gamma), wanted) in cases.items():
        found = result_of(attempt, reward, is_last, is_terminal, value, gamma)
        mistakes = {
            "Which of the two flags ends the future? Here only the clock stopped.": reward
            + gamma * (1 - is_last) * value,
            "What comes after the end of the world?": reward + gamma * value,
            "Is the value one step later worth as much as now?": reward + (1 - is_terminal) * value,
        }
        expect(found, wanted, of=name, mistakes=mistakes, hint="Is every part of the formula there?")
    return "all three sorts of row."
