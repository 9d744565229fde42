"""The sentences that CLIP compares a picture with, each with its interest from 0 (dull) to 1: one list for each lesson.

The small CLIPs know only the words of their own captions, and these sentences are made of them. Larger CLIPs can read
any sentence: give them prompts of your own.
"""

import itertools

KEY_PROMPTS: dict[str, float] = {
    "the agent stands on empty floor with empty hands": 0.0,
    "there is nothing but empty floor, no key in view": 0.0,
    "the agent stands beside the locked door without a key, no key in view": 0.0,
    "the agent stands beside the locked chest without a key, no key in view": 0.0,
    "a key lies on the floor": 0.2,
    "the agent sees a key on the floor, with empty hands": 0.2,
    "the agent stands beside the locked door without a key, a key lies on the floor": 0.2,
    "the agent stands beside the locked chest without a key, a key lies on the floor": 0.2,
    "the agent holds the key": 0.4,
    "the agent walks with the key in hand": 0.4,
    "the agent has picked up the key, a locked door is in view": 0.4,
    "the agent has picked up the key, a locked chest is in view": 0.4,
    "the agent holds the key beside a locked door": 0.6,
    "the agent holds the key beside a locked chest": 0.6,
    "the agent has opened the door": 0.8,
    "the agent stands in the open door": 0.8,
    "the door is open and the agent is inside the closet": 0.8,
    "the agent has opened the chest": 0.8,
    "the chest stands open": 0.8,
    "the agent has reached the exit behind the open door": 1.0,
    "the agent stands on the exit inside the closet": 1.0,
}
"""What there is to see in KeyRoom and KeyChest, from dull to interesting: a step of 0.2 for every stage of the task.
An open door is worth more than standing before a locked one, so that nobody is taught to stand there."""

_PARTS: tuple[dict[str, int], ...] = (
    {"": 0} | {f"the gripper lifts the {thing}": 1 for thing in ("red ball", "blue block", "green block")},
    *({f"the {thing} in its place": 0, f"the {thing} away": 1} for thing in ("red ball", "blue block", "green block")),
    {"lamp off": 0, "lamp on": 1},
    {"door closed": 0, "door ajar": 0, "door open": 1},
    {"drawer closed": 0, "drawer ajar": 0, "drawer open": 1},
    {"": 0, "the blocks are stacked": 1},
)

DESK_PROMPTS: dict[str, float] = {
    ", ".join(filter(None, said)): round(
        sum(part[words] for part, words in zip(_PARTS, said, strict=True)) / len(_PARTS), 3
    )
    for said in itertools.product(*_PARTS)
}
"""Everything on Tabletop's desk that can be otherwise: a sentence for each combination, with an eighth of the interest
for each thing that the robot has done. It counts how many there are, not which one is the best: a lamp stays on, and if
only the best thing counted, nothing below it would be worth doing for the rest of an episode."""
