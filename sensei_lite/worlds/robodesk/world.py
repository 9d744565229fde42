"""What does SENSEI's robotic world look like? The real Robodesk, as a Gymnasium environment.

A robot arm stands before a desk with a drawer, a sliding door, three buttons with lamps, a ball and two blocks. The
agent sees a 64 x 64 picture from the robot's right and moves the gripper. Nothing is asked of it while it explores;
what is measured is how often it moves each of the eight things, and which of 21 tasks it happens to do.

Source: SENSEI (Sancaktar et al., arXiv 2503.01584) and Robodesk (Kannan et al., github.com/google-research/robodesk).
Changed against the research code: the pictures have no shadows (see `camera`); the ``..._off_table`` tasks ask that the
other things stay where they were (see `desk`); the reward is that at the end of a step (there: the sum over its two
halves); test episodes start at random places like all others (there: always at the same).

An optional extra: `pip install "sensei-lite[robodesk]"`, for Python 3.11 and 3.12.
"""

from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from jaxtyping import UInt8

from sensei_lite.worlds.robodesk.camera import IMAGE, DeskCamera
from sensei_lite.worlds.robodesk.desk import JOINTS, TASKS, Desk

Observation = np.ndarray | dict[str, np.ndarray]


class Robodesk(gymnasium.Env[Observation, np.ndarray]):
    """The real Robodesk: physics, tasks and things of the PyPI package, seen as in the paper.

    - Observation: uint8 `(64, 64, 3)`. With ``body=True`` a dictionary: that picture under "image", and under "vector"
      what the arm feels of itself, float32 `(21,)`: joint angles, joint velocities and the gripper's place.
    - Actions: `Box(-1, 1, (5,))`: move the gripper to the right, away from the robot, and up (as the robot sees it;
      about 3 mm a step at full strength), turn the wrist, open the fingers. What lies outside of -1 to 1 is clipped.
    - Reward: that of ``task`` at the end of the step, 0.0 without a task. Sparse: 1.0 as long as the task is done.
    - End: never `terminated`; `truncated` after `max_steps` actions.
    - Info: `info["events"]` says for each of `event_names` whether it holds at the end of this step, so a thing that
      moves for ten steps counts ten times, as in the research code: `..._moved` for the eight things, then the tasks.
    - Seeding: all randomness of an episode hangs on one integer, drawn from `np_random` at reset. So `reset(seed=n)`
      fixes this episode and those after it, in any process; NumPy's global random numbers are left alone.
    - Attributes for scripts and tests: `desk`, with `desk.physics`.

    Args:
        task: one of `desk.TASKS` or None. The default is that of the research code, where it does not count while the
            agent explores.
        reward: "sparse" or "dense" (from 0 to 1, with hints on the way).
        max_steps: actions before truncation. Paper: 250.
        body: give the arm's own numbers beside the picture. Paper: no.
        shadows: draw shadows and reflections and smooth edges, as the paper did; for machines with a GPU.
        render_mode: None or "rgb_array".
        render_scale: how many times larger than the agent's picture `render()` draws, each way.

    Raises:
        ImportError: the extra, or a library to draw with, is missing; the message says what to do.
        ValueError: for arguments that make no desk.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 25}  # noqa: RUF012
    action_names = ("right", "away", "up", "turn", "open")
    event_names: ClassVar[tuple[str, ...]] = (*(f"{name}_moved" for name in JOINTS), *TASKS)

    def __init__(
        self,
        task: str | None = "open_drawer_medium",
        reward: Literal["sparse", "dense"] = "sparse",
        max_steps: int = 250,
        body: bool = False,
        shadows: bool = False,
        render_mode: str | None = None,
        render_scale: int = 8,
    ):
        if task is not None and task not in TASKS:
            raise ValueError(f"task is {task!r}; it must be None or one of {', '.join(TASKS)}")
        if reward not in ("sparse", "dense"):
            raise ValueError(f"reward is {reward!r}; it must be 'sparse' or 'dense'")
        if max_steps < 1 or render_scale < 1 or render_mode not in (None, "rgb_array"):
            raise ValueError(f"cannot use {max_steps=}, {render_mode=}, {render_scale=}")
        self.task, self.reward_kind, self.max_steps, self.body = task, reward, max_steps, body
        self.render_mode, self._large = render_mode, IMAGE * render_scale
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (len(self.action_names),), np.float32)
        self.observation_space: gymnasium.Space = gymnasium.spaces.Box(0, 255, (IMAGE, IMAGE, 3), np.uint8)
        if body:
            numbers = gymnasium.spaces.Box(-np.inf, np.inf, (21,), np.float32)
            self.observation_space = gymnasium.spaces.Dict({"image": self.observation_space, "vector": numbers})
        self.desk = Desk()
        self._camera = DeskCamera(self.desk.physics, self._large, shadows=shadows)
        self._steps: int | None = None
        self._closed = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode. `seed` restarts the random stream, without it the stream goes on; `options` are unused."""
        super().reset(seed=seed)
        self.desk.reset(int(self.np_random.integers(2**31 - 1)))
        self._steps = 0
        return self._observe(), {"events": dict.fromkeys(self.event_names, False)}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take one step.

        Raises `ValueError` for an action that is not five finite numbers, `RuntimeError` after the end.
        """
        numbers = np.asarray(action, np.float64)
        if numbers.shape != self.action_space.shape or not np.isfinite(numbers).all():
            raise ValueError(f"action must be in {self.action_space}, not {action!r}")
        if self._steps is None or self._steps >= self.max_steps:
            raise RuntimeError("the episode has ended or not begun: call reset() first")
        self.desk.step(np.clip(numbers, -1.0, 1.0))
        self._steps += 1
        moving, done = self.desk.moving(), self.desk.successes()
        events = {f"{name}_moved": moves for name, moves in moving.items()} | done
        reward = self.desk.reward(self.task, self.reward_kind) if self.task else 0.0
        return self._observe(), reward, False, self._steps >= self.max_steps, {"events": events}

    def render(self) -> UInt8[np.ndarray, "height width 3"] | None:  # type: ignore[override]
        """Draw the agent's picture, finer: `render_scale` times as large; None without a render mode."""
        return self._camera.draw(self._large) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free the physics and the OpenGL context."""
        if not self._closed:
            self.desk.close()
        self._closed = True

    def _observe(self) -> Observation:
        picture = self._camera.small()
        return {"image": picture, "vector": self.desk.body()} if self.body else picture
