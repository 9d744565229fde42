"""What moves on the real Robodesk, and which tasks are done? The PyPI package, with its faults handled.

A Franka arm before a desk with a drawer, a sliding door, three buttons with lamps, a ball and two blocks. The package
gives the physics and 18 tasks. Measured here, after every step, as in SENSEI's research code:

- interaction: a thing moves *now*, |velocity| > 0.02 (m/s; for ball and blocks along x, y or z), whatever moves it;
- task: its test for success holds now; three easier limits for drawer and door make 21 tasks of the 18.

Source: `robodesk` 1.0 on PyPI (github.com/google-research/robodesk); threshold and limits from the research code of
SENSEI (Sancaktar et al., arXiv 2503.01584). What is handled here:

- it imports the old `gym` for two names: gymnasium stands in for it, only while it is imported;
- it draws with a name that Pillow has dropped, and its observations give velocities as positions: neither is used;
- its start positions of ball and blocks are live views, so "the others did not move" was always true, in the research
  code too: here they are copies, and the ``..._off_table`` tasks mean what they say;
- its randomness is NumPy's global one: it is seeded for a reset and put back after it.
"""

import contextlib
import importlib
import logging
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Literal

import gymnasium
import numpy as np
from jaxtyping import Float, Float32

from sensei_lite.worlds.robodesk.camera import check_opengl, choose_opengl, load_triton_first

JOINTS = {
    "drawer": "drawer_joint",
    "slide": "slide_joint",
    "red_button": "red_button",
    "green_button": "green_button",
    "blue_button": "blue_button",
    "ball": "ball",
    "upright_block": "upright_block",
    "flat_block": "flat_block",
}
"""The eight things that the arm can interact with, and the model's names for their joints."""

EASIER = {
    "open_slide_easy": ("open_slide", "slide_joint", 0.45),
    "open_drawer_easy": ("open_drawer", "drawer_joint", -0.10),
    "open_drawer_medium": ("open_drawer", "drawer_joint", -0.15),
}
"""The research code's own tasks: the task they ease, the joint, and the limit (metres) that it must be beyond."""

TASKS = (
    *("push_red", "push_green", "push_blue"),
    *("ball_off_table", "upright_block_off_table", "flat_block_off_table"),
    *("ball_in_bin", "upright_block_in_bin", "flat_block_in_bin"),
    *("ball_in_shelf", "upright_block_in_shelf", "flat_block_in_shelf"),
    *("lift_ball", "lift_upright_block", "lift_flat_block", "stack"),
    *("open_slide_easy", "open_slide", "open_drawer_easy", "open_drawer_medium", "open_drawer"),
)
"""All 21 tasks."""

MOVES_FROM = 0.02
"""Metres per second: what is faster has been interacted with."""

ACTION_REPEAT = 2
"""Steps of the package (20 ms each) in one step of the agent. Paper: 2."""


def require_robodesk() -> ModuleType:
    """Import the package, or raise an ImportError that says how to get what is missing."""
    choose_opengl()
    load_triton_first()
    try:
        importlib.import_module("dm_control.utils.inverse_kinematics")
        with _gymnasium_as_gym():
            library = importlib.import_module("robodesk.robodesk")
    except ModuleNotFoundError as error:
        hint = f'Robodesk needs an extra: pip install "sensei-lite[robodesk]" ({error}).'
        if sys.version_info >= (3, 13):
            hint += " It cannot be had on Python 3.13: dm_control needs labmaze, which has no wheels for it; take 3.12."
        raise ImportError(hint) from error
    except Exception:
        check_opengl()  # has better words where OpenGL is the reason
        raise
    check_opengl()
    logger = logging.getLogger("absl")  # only now: absl makes it in its own way
    if _out_of_reach not in logger.filters:
        logger.addFilter(_out_of_reach)
    return library


@contextlib.contextmanager
def _gymnasium_as_gym() -> Iterator[None]:
    """Let `import gym` find gymnasium. A real gym, loaded or not, is afterwards as it was."""
    real = sys.modules.get("gym")
    sys.modules["gym"] = gymnasium
    try:
        yield
    finally:
        del sys.modules["gym"]
        if real is not None:
            sys.modules["gym"] = real


def _out_of_reach(record: logging.LogRecord) -> bool:
    """Drop dm_control's warning that the arm does not reach a point: an agent that explores asks for many such."""
    return not str(record.msg).startswith("Failed to converge")


class Desk:
    """The desk's physics, from a seed to what moved. Raises `ImportError` if the extra or OpenGL is missing.

    ``physics`` is dm_control's, for cameras, scripts and tests.
    """

    def __init__(self) -> None:
        library = require_robodesk()
        self._desk: Any = library.RoboDesk(reward="sparse", action_repeat=ACTION_REPEAT, episode_length=0)
        self._desk._get_obs = dict  # it would draw a picture; what is needed is read below
        self._desk._get_task_reward = lambda task, kind: 0.0  # `reward` asks when the step is over
        self.physics: Any = self._desk.physics

    def reset(self, seed: int) -> None:
        """Reset the desk: every place depends on ``seed`` (under 2**32) only."""
        everyone_elses = np.random.get_state()  # noqa: NPY002
        try:
            np.random.seed(seed)  # noqa: NPY002
            self._desk.reset()
        finally:
            np.random.set_state(everyone_elses)  # noqa: NPY002
        self._desk.original_pos = {name: np.array(place) for name, place in self._desk.original_pos.items()}

    def step(self, action: Float[np.ndarray, "5"]) -> None:
        """Step the physics by one step of the agent, 40 ms; ``action`` is from -1 to 1."""
        self._desk.step(action)

    def moving(self) -> dict[str, bool]:
        """Return which of the eight things move now."""
        velocity = self.physics.named.data.qvel  # free things have six numbers; the last three are turns
        return {name: bool((np.abs(velocity[joint][:3]) > MOVES_FROM).any()) for name, joint in JOINTS.items()}

    def successes(self) -> dict[str, bool]:
        """Return which of the 21 tasks are done now."""
        return {task: self.reward(task, "sparse") == 1.0 for task in TASKS}

    def reward(self, task: str, kind: Literal["sparse", "dense"]) -> float:
        """Compute a task's reward now: sparse, 1 where done, else 0; dense, from 0 to 1, more the closer it is."""
        if task in EASIER:
            task, joint, limit = EASIER[task]
            if kind == "sparse":
                return float(self.physics.named.data.qpos[joint].item() / limit > 1)
        answer = self._desk.reward_functions[task]("success" if kind == "sparse" else "dense_reward")
        return float(np.clip(np.asarray(answer, float).reshape(()), 0.0, 1.0))

    def body(self) -> Float32[np.ndarray, "21"]:
        """Return proprioception: 9 joint angles, 9 joint velocities, and where the gripper is (metres)."""
        data = self.physics.data
        gripper = self.physics.named.data.site_xpos["end_effector"]
        return np.concatenate([data.qpos[:9], data.qvel[:9], gripper]).astype(np.float32)

    def close(self) -> None:
        """Free what the physics and OpenGL hold."""
        self._desk.physics_copy.free()
        self.physics.free()
