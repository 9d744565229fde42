"""The sentences that CLIP compares a picture with, each with its interest from 0 (dull) to 1: one list for each lesson.

The small CLIPs know only the words of their own captions, and these sentences are made of them. Larger CLIPs can read
any sentence: give them prompts of your own.
"""

PROMPTS: dict[str, float] = {
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

_DESK_STAGES: tuple[tuple[str, ...], ...] = (
    (
        "the gripper touches nothing",
        "the gripper is away from everything",
        "nothing is touched",
        "the fingers are in the empty air",
    ),
    (
        "the gripper touches the red ball",
        "the gripper holds the red ball on the desk",
        "the gripper touches the blue block",
        "the gripper holds the blue block on the desk",
        "the gripper touches the green block",
        "the gripper holds the green block on the desk",
        "the gripper touches the handle of the drawer",
        "the gripper touches the button",
    ),
    ("the lamp is on", "the lamp shines", "the gripper has switched on the lamp", "yellow light comes from the lamp"),
    (
        "the door of the cabinet is open",
        "the gripper has opened the door",
        "the door is pushed aside",
        "an open door",
    ),
    (
        "the gripper lifts the red ball",
        "the gripper holds the red ball in the air",
        "the ball hangs in the air",
    ),
    (
        "the gripper lifts the blue block",
        "the gripper holds the blue block in the air",
        "the gripper lifts the green block",
        "the gripper holds the green block in the air",
    ),
    ("the drawer is open", "the gripper has opened the drawer", "the drawer is pulled out", "an open drawer"),
    (
        "one block stands on the other",
        "the blocks are stacked",
        "the gripper has put one block on top of the other",
    ),
)

DESK_PROMPTS: dict[str, float] = {
    sentence: round(stage / (len(_DESK_STAGES) - 1), 3)
    for stage, sentences in enumerate(_DESK_STAGES)
    for sentence in sentences
}
"""What there is to see on Tabletop's desk: a step of 1/7 for every level, in the order of the scripted annotator. A
caption says what matters most first, so a sentence about the lamp alone speaks of a desk with nothing more to tell."""
