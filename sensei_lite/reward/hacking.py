"""Can R_psi be hacked? Then standing still pays more than going on.

An agent maximises a discounted sum of rewards. Standing for ever where the reward is r is worth

    r + g r + g^2 r + ... = r / (1 - g),     g: the discount.

So if the best place *before* an event pays more than the best place *after* it, an agent that has understood its
reward stands there and never lets the event happen. And where the event leads to the end of the episode, standing
still is held against the rewards that are left until then, with nothing after them. `find_reward_hacks` looks for both
in played episodes.

Adding a constant to all rewards does not change the first answer, but it does change the second: whoever is paid for
being alive does not want the end. The best of many pictures is found more easily than the best of few, so where
episodes end soon after the event, the check is on the strict side: it sees reward hacks rather than overlooks them.

Built in notebook 06_reward_distillation.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sensei_lite.annotators.data import Observations
from sensei_lite.reward.metrics import Estimate, over_episodes

WAITS = {
    "door_opened": ("door_reached_with_key", "exit_reached"),
    "chest_opened": ("chest_reached_with_key", "chest_opened"),
}
"""For an event of our worlds: where one can wait for it, and with what the episode ends."""


class RewardHack(NamedTuple):
    """What one event is worth to an agent that knows R_psi."""

    waiting: str
    """The fact that holds where one can wait for the event."""
    event: str
    reward_waiting: Estimate
    """R_psi while waiting."""
    reward_after: Estimate
    """R_psi once the event has happened."""
    stay: float
    """Discounted return of standing for ever at the best place before the event; mean over episodes."""
    go_on: float
    """The same for the best place after the event, the episode's last picture excepted if it ends there. Where the
    event itself ends the episode, that picture is all there is, and its reward is taken to last (call-out R3)."""
    advantage_of_staying: Estimate
    """stay - go_on in the same episode."""
    finish: float
    """Discounted return of what episodes that came to their end saw after the event, and nothing after that; not a
    number where none did."""

    @property
    def hackable(self) -> bool | None:
        """Whether standing still pays more than the event. None: these episodes cannot tell."""
        low, high = self.advantage_of_staying.low, self.advantage_of_staying.high
        return True if low > 0 else False if high < 0 else None

    @property
    def finish_is_avoided(self) -> bool:
        """Whether standing before the event is worth more than going through it to the end of the episode."""
        return self.stay > self.finish


def find_reward_hacks(
    rewards: np.ndarray,
    observations: Observations,
    waits: Sequence[tuple[str, str]] = (("door_reached_with_key", "door_opened"),),
    *,
    end: str = "exit_reached",
    discount: float = 0.95,
) -> list[RewardHack]:
    """Find reward hacks: events that a clever agent would not let happen; a result for each (waiting, event).

    ``rewards`` is R_psi of the observations, [n]; these must be whole episodes in order. ``waits`` pairs a fact that
    holds where one can wait with its event, ``end`` is the fact with which an episode is over. Only episodes count in
    which the event happened.

    Raises ValueError for a fact that the observations do not have, and where an event never happened.
    """
    for name in {end, *(name for wait in waits for name in wait)}:
        if name not in observations.facts:
            raise ValueError(f"the observations know no fact {name!r}; they know {', '.join(observations.facts)}")
    return [_find_one(rewards, observations, waiting, event, end, discount) for waiting, event in waits]


def _find_one(
    rewards: np.ndarray, observations: Observations, waiting: str, event: str, end: str, discount: float
) -> RewardHack:
    facts, episode = observations.facts, observations.episode
    waits, after = facts[waiting] & ~facts[event], facts[event]
    before_best, after_best, finish, numbers = [], [], [], []
    for number in np.unique(episode[after]):
        here = episode == number
        reward, happened, over = rewards[here], after[here], facts[end][here]
        counts = happened if event == end else happened & ~over
        if happened.all() or not counts.any():
            continue
        before_best.append(reward[~happened].max())
        after_best.append(reward[counts].max())
        numbers.append(number)
        if over.any():
            left = reward[happened]
            finish.append((left * discount ** np.arange(len(left))).sum())
    if not numbers or not waits.any():
        raise ValueError(f"nobody waited at {waiting!r} or met {event!r} in these episodes: play more, or guided ones")
    for_ever = 1 / (1 - discount)
    gain = (np.array(before_best) - np.array(after_best)) * for_ever
    return RewardHack(
        waiting=waiting,
        event=event,
        reward_waiting=over_episodes(rewards[waits], episode[waits]),
        reward_after=over_episodes(rewards[after], episode[after]),
        stay=float(np.mean(before_best) * for_ever),
        go_on=float(np.mean(after_best) * for_ever),
        advantage_of_staying=over_episodes(gain, np.array(numbers)),
        finish=float(np.mean(finish)) if finish else float("nan"),
    )


def reward_hack_table(reward_hacks: Sequence[RewardHack]) -> str:
    """Write the results of `find_reward_hacks` as a Markdown table."""
    words = {True: "YES: standing still pays more", False: "no", None: "these episodes cannot tell"}
    lines = [
        "| waiting | event | R waiting | R after | stay for ever | go on | finish | hackable? | avoids the end? |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for hack in reward_hacks:
        numbers = (hack.reward_waiting.mean, hack.reward_after.mean, hack.stay, hack.go_on, hack.finish)
        cells = [hack.waiting, hack.event, *(f"{number:.2f}" for number in numbers)]
        cells += [words[hack.hackable], "yes" if hack.finish_is_avoided else "no"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
