"""Any Gymnasium environment with images, as a world that a host loop steps.

A host world gives the same time steps (`TimeStep`) as a JAX world, as NumPy arrays with a leading batch axis, so the
agent does not know which kind it lives in. It differs in one way: it keeps its state to itself, so it cannot be
compiled.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from PIL import Image as Picture

from sensei_lite.types import Box, Discrete
from sensei_lite.worlds.base import TimeStep

IMAGE_KEYS = ("image", "pixel", "pixels", "rgb")
"""Where an image is looked for in a dictionary observation."""

Wrapper = Callable[[gymnasium.Env], gymnasium.Env]


class ImageOnly(gymnasium.ObservationWrapper):
    """Make an environment's observation one uint8 picture, [height width 3], from what it offers.

    With ``vector_key`` it is a dictionary of the picture (``image``) and of numbers beside it (``vector``, float32).

    Args:
        env: the environment.
        vector_key: where numbers are in a dictionary observation, such as a robot's angles; None takes none.
        from_render: take ``env.render()`` instead of the observation (the environment needs render mode ``rgb_array``).
        image_key: where the picture is in a dictionary observation; None looks under `IMAGE_KEYS`.
        image_size: rows and columns to resize to (averaging areas); None keeps the size.

    Raises:
        ValueError: there is no picture where it was looked for.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        *,
        from_render: bool = False,
        image_key: str | None = None,
        image_size: tuple[int, int] | None = None,
        vector_key: str | None = None,
    ) -> None:
        super().__init__(env)
        self.event_names: tuple[str, ...] = tuple(getattr(env.unwrapped, "event_names", ()))
        self.action_names: tuple[str, ...] = tuple(getattr(env.unwrapped, "action_names", ()))
        self._from_render, self._size = from_render, image_size
        self._key = None if from_render else self._find_key(image_key)
        if from_render:
            env.reset(seed=0)
            shape: tuple[int, ...] = np.asarray(env.render()).shape
            if len(shape) != 3 or shape[2] != 3:
                raise ValueError(f"{_name(env)}: render() gives shape {shape}, not a picture [height width 3]")
        else:
            space: Any = env.observation_space
            shape = (space[self._key] if self._key else space).shape
        height, width = image_size or shape[:2]
        self.observation_space: gymnasium.Space = gymnasium.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self._vector_key = vector_key
        if vector_key is not None:
            numbers = gymnasium.spaces.Box(-np.inf, np.inf, (self._vector_size(vector_key),), np.float32)
            self.observation_space = gymnasium.spaces.Dict({"image": self.observation_space, "vector": numbers})

    def observation(self, observation: Any) -> np.ndarray | dict[str, np.ndarray]:
        """Return an observation's picture, uint8 [height width 3], and its numbers if they are wanted."""
        picture = self._picture(observation)
        if self._vector_key is None:
            return picture
        return {"image": picture, "vector": np.asarray(observation[self._vector_key], np.float32).reshape(-1)}

    def _picture(self, observation: Any) -> np.ndarray:
        picture = observation
        if self._from_render:
            picture = self.env.render()
        elif self._key:
            picture = observation[self._key]
        if self._size and picture.shape[:2] != self._size:
            picture = Picture.fromarray(picture).resize(self._size[::-1], Picture.Resampling.BOX)
        return np.asarray(picture, np.uint8)

    def _vector_size(self, key: str) -> int:
        space = self.env.observation_space
        found = space.spaces.get(key) if isinstance(space, gymnasium.spaces.Dict) else None
        if isinstance(found, gymnasium.spaces.Box):
            return int(np.prod(found.shape))
        raise ValueError(f"{_name(self.env)} has no numbers under {key!r} in its observation space {space}")

    def _find_key(self, image_key: str | None) -> str | None:
        space = self.env.observation_space
        if _is_picture(space) and image_key is None:
            return None
        keys = IMAGE_KEYS if image_key is None else (image_key,)
        if isinstance(space, gymnasium.spaces.Dict):
            for key in keys:
                if key in space.spaces and _is_picture(space[key]):
                    return key
        raise ValueError(
            f"{_name(self.env)} has no picture (uint8 [height width 3]) "
            + (f"under {image_key!r} " if image_key else "")
            + f"in its observation space {space}; pass image_key=..., or from_render=True to use what it draws"
        )


def _is_picture(space: gymnasium.Space) -> bool:
    is_bytes = isinstance(space, gymnasium.spaces.Box) and space.dtype == np.uint8
    return is_bytes and len(space.shape or ()) == 3 and space.shape[2] == 3  # type: ignore[index]


def _name(env: gymnasium.Env) -> str:
    return env.spec.id if env.spec else type(env.unwrapped).__name__


class HostWorld:
    """A batch of Gymnasium environments that gives time steps of experience.

    Args:
        gymnasium_id: what ``gymnasium.make`` makes.
        num_envs: copies side by side.
        processes: run every copy in a process of its own, for worlds that are slow to step or to draw.
        wrappers: Gymnasium wrappers to put on, innermost first.
        from_render, image_key, image_size, vector_key: see `ImageOnly`.
        env_settings: further arguments of ``gymnasium.make``.

    Raises:
        ValueError: the id is not known to Gymnasium, the environment has no pictures, or its actions are neither a
            choice nor a bounded box.
        ImportError: the environment needs an extra that is not installed.
    """

    def __init__(
        self,
        gymnasium_id: str,
        *,
        num_envs: int = 1,
        processes: bool = False,
        wrappers: Sequence[Wrapper] = (),
        from_render: bool = False,
        image_key: str | None = None,
        image_size: tuple[int, int] | None = None,
        vector_key: str | None = None,
        **env_settings: Any,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}; it must be at least 1")
        if from_render:
            env_settings["render_mode"] = "rgb_array"
        look = {"from_render": from_render, "image_key": image_key, "image_size": image_size, "vector_key": vector_key}
        make_one = functools.partial(_make_one, gymnasium_id, env_settings, tuple(wrappers), look)
        makers, autoreset = [make_one] * num_envs, AutoresetMode.NEXT_STEP
        self._envs: VectorEnv
        if processes:  # spawned, not forked: JAX runs threads, and a fork in the midst of them can lock up for ever
            self._envs = AsyncVectorEnv(makers, autoreset_mode=autoreset, context="spawn")
        else:
            self._envs = SyncVectorEnv(makers, autoreset_mode=autoreset)
        self.name, self.num_envs = gymnasium_id, num_envs
        self.settings: dict[str, Any] = look | env_settings
        """What makes this world another one than its id alone."""
        self.actions = _action_space(
            gymnasium_id, self._envs.single_action_space, self._envs.get_attr("action_names")[0]
        )
        space: Any = self._envs.single_observation_space
        pictures = space if vector_key is None else space["image"]
        self.image_shape: tuple[int, int, int] = pictures.shape
        self.vector_size: int = 0 if vector_key is None else space["vector"].shape[0]
        self.event_names: tuple[str, ...] = self._envs.get_attr("event_names")[0]
        self._was_last = np.zeros(num_envs, bool)

    def reset(self, seed: int | None = None) -> TimeStep:
        """Reset every copy; copy i is seeded with ``seed + i``. Returns the first time steps [batch ...]."""
        seen, _ = self._envs.reset(seed=seed)
        self._was_last = np.zeros(self.num_envs, bool)
        nothing = np.zeros(self.num_envs, bool)
        return TimeStep(
            **self._sight(seen),
            action=self._no_actions(),
            reward=np.zeros(self.num_envs, np.float32),
            is_first=~nothing,
            is_last=nothing,
            is_terminal=nothing,
            events={name: nothing for name in self.event_names},
        )

    def step(self, action: np.ndarray) -> TimeStep:
        """Step every copy, or reset it where the last time step ended an episode. Returns time steps [batch ...]."""
        sent = np.asarray(action)
        seen, reward, terminated, truncated, info = self._envs.step(
            sent.astype(np.int64) if isinstance(self.actions, Discrete) else sent
        )
        is_first, self._was_last = self._was_last, terminated | truncated
        no_cause = is_first.reshape((-1,) + (1,) * (sent.ndim - 1))
        told = info.get("events", {})
        return TimeStep(
            **self._sight(seen),
            action=np.where(no_cause, self._no_actions(), sent).astype(self._no_actions().dtype),
            reward=np.where(is_first, 0, reward).astype(np.float32),
            is_first=is_first,
            is_last=self._was_last,
            is_terminal=terminated,
            events={
                name: np.asarray(told.get(name, np.zeros(self.num_envs)), bool) & ~is_first for name in self.event_names
            },
        )

    def close(self) -> None:
        """Release the environments."""
        self._envs.close()

    def _sight(self, seen: Any) -> dict[str, np.ndarray]:
        if isinstance(seen, dict):
            return {"image": seen["image"].copy(), "vector": seen["vector"].copy()}
        return {"image": seen.copy()}

    def _no_actions(self) -> np.ndarray:
        if isinstance(self.actions, Discrete):
            return np.zeros(self.num_envs, np.int32)
        return np.zeros((self.num_envs, self.actions.size), np.float32)


def _make_one(
    gymnasium_id: str, env_settings: dict[str, Any], wrappers: tuple[Wrapper, ...], look: dict[str, Any]
) -> gymnasium.Env:
    try:
        env = gymnasium.make(gymnasium_id, **env_settings)
    except gymnasium.error.UnregisteredEnv as error:
        raise ValueError(f"Gymnasium does not know {gymnasium_id!r}: {error}") from error
    for wrapper in wrappers:
        env = wrapper(env)
    env = ImageOnly(env, **look)
    if isinstance(env.action_space, gymnasium.spaces.Box):
        env = gymnasium.wrappers.RescaleAction(env, np.float32(-1.0), np.float32(1.0))
    return env


def _action_space(name: str, space: gymnasium.Space, names: tuple[str, ...]) -> Discrete | Box:
    if isinstance(space, gymnasium.spaces.Discrete) and space.start == 0:
        return Discrete(names or tuple(f"choice {i}" for i in range(space.n)))
    if isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1 and space.is_bounded():
        return Box(names or tuple(f"axis {i}" for i in range(space.shape[0])))
    raise ValueError(f"{name}: actions must be Discrete or a bounded Box of one axis, not {space}")
