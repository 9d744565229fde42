"""A JAX world behind Gymnasium's interface, one environment or a vector of them.

``gymnasium.make("SenseiLite/KeyRoom-v0", size=9)`` and ``gymnasium.make_vec("SenseiLite/KeyRoom-v0", num_envs=64)``
give these classes. A vector seeded with n holds the same episodes as single environments seeded with n, n+1, n+2, ...
"""

import dataclasses
import functools
from typing import Any, ClassVar

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Array, PyTree

from sensei_lite.types import Box, Discrete
from sensei_lite.worlds.base import TimeStep, World, reset_batch, step_batch
from sensei_lite.worlds.registry import make_world

RENDER_SCALE = 4
"""``render()`` draws this many times larger than the observation."""


Observation = np.ndarray | dict[str, Any]
"""A picture, or a dictionary of picture and numbers."""


def _first(seen: Observation) -> Observation:
    """Return the observation of the first world of a batch."""
    return {name: part[0] for name, part in seen.items()} if isinstance(seen, dict) else seen[0]


def _jax_world(world: World | str, settings: dict[str, Any]) -> World:
    if isinstance(world, World):
        return dataclasses.replace(world, **settings)  # type: ignore[type-var]
    made = make_world(world, **settings)
    if not isinstance(made, World):
        raise ValueError(f"{world!r} is not a JAX world; make it with sensei_lite.worlds.make_world")
    return made


def _spaces(world: World) -> tuple[gymnasium.spaces.Space, gymnasium.spaces.Space]:
    observation: gymnasium.spaces.Space = gymnasium.spaces.Box(0, 255, world.image_shape, np.uint8)
    if world.vector_size:
        numbers = gymnasium.spaces.Box(-np.inf, np.inf, (world.vector_size,), np.float32)
        observation = gymnasium.spaces.Dict({"image": observation, "vector": numbers})
    if isinstance(world.actions, Box):
        return observation, gymnasium.spaces.Box(-1.0, 1.0, (world.actions.size,), np.float32)
    return observation, gymnasium.spaces.Discrete(world.actions.size)


@functools.partial(jax.jit, static_argnums=0)
def _begin(world: World, keys: Array) -> tuple[Array, PyTree, TimeStep]:
    keys, use = _split(keys)
    return keys, *reset_batch(world, keys=use)


@functools.partial(jax.jit, static_argnums=0)
def _advance(
    world: World, keys: Array, fresh: Array, state: PyTree, is_last: Array, action: Array
) -> tuple[Array, PyTree, TimeStep]:
    keys, use = _split(jnp.where(is_last, fresh, keys))
    return keys, *step_batch(world, state, is_last, action, keys=use)


def _split(keys: Array) -> tuple[Array, Array]:
    pairs = jax.vmap(jax.random.split)(keys)
    return pairs[:, 0], pairs[:, 1]


_render = jax.jit(lambda world, state, scale: world.render(state, scale), static_argnums=(0, 2))


def _checked_action(world: World, action: Any, batch: tuple[int, ...]) -> np.ndarray:
    """Return the action as an array, clipped to -1 to 1. Raises TypeError or ValueError where it does not fit."""
    array = np.asarray(action)
    if isinstance(world.actions, Discrete):
        wanted = f"an integer from 0 to {world.actions.size - 1}" + (f" for each of {batch[0]} worlds" if batch else "")
        if not np.issubdtype(array.dtype, np.integer):
            raise TypeError(f"the action must be {wanted}; got dtype {array.dtype} ({action!r})")
        if array.shape != batch:
            raise ValueError(f"the action must be {wanted}; got shape {array.shape} instead of {batch}")
        if ((array < 0) | (array >= world.actions.size)).any():
            raise ValueError(f"the action must be {wanted}; got {action!r}")
        return array.astype(np.int32)
    shape = (*batch, world.actions.size)
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"the action must be float32 of shape {shape}; got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"the action must be float32 of shape {shape}; got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"the action must be finite; got {action!r}")
    return np.clip(array, -1.0, 1.0).astype(np.float32)


class WorldVectorEnv(VectorEnv):
    """Many copies of a JAX world, or of one named in the registry, as one Gymnasium vector environment.

    A copy whose episode ended starts anew at its next step, whose action it ignores (``AutoresetMode.NEXT_STEP``).
    ``info["events"]`` holds a bool array for each event. Where the world gives numbers beside its pictures (as Tabletop
    does with ``numbers=True``), an observation is a dictionary of both, "image" and "vector".
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["rgb_array"],
        "render_fps": 8,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(self, world: World | str, num_envs: int = 1, render_mode: str | None = None, **settings: Any) -> None:
        world = _jax_world(world, settings)
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}; it must be at least 1")
        self.world, self.num_envs, self.render_mode = world, num_envs, render_mode
        self.single_observation_space, self.single_action_space = _spaces(world)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._randoms = [seeding.np_random()[0] for _ in range(num_envs)]
        self._keys: Array | None = None

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Reset every world. Worlds whose seed is None go on with the random numbers they have.

        Raises ValueError where there is not one seed for each world.
        """
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else seed or [None] * self.num_envs
        if len(seeds) != self.num_envs:
            raise ValueError(f"there are {self.num_envs} worlds, but {len(seeds)} seeds")
        self._randoms = [
            random if seed is None else seeding.np_random(seed)[0]
            for random, seed in zip(self._randoms, seeds, strict=True)
        ]
        self._keys, self._state, row = _begin(self.world, self._fresh_keys(np.ones(self.num_envs, bool)))
        return self._observe(row)[0], self._info(row)

    def step(self, actions: Any) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step every world, or reset it where its last step ended an episode.

        Raises TypeError or ValueError for actions of the wrong dtype, shape or range, and RuntimeError before `reset`.
        """
        if self._keys is None:
            raise RuntimeError("call reset() before step()")
        action = _checked_action(self.world, actions, (self.num_envs,))
        fresh = self._fresh_keys(self._is_last)
        self._keys, self._state, row = _advance(
            self.world, self._keys, fresh, self._state, self._is_last, jnp.asarray(action)
        )
        seen, reward, terminated, truncated = self._observe(row)
        return seen, reward, terminated, truncated, self._info(row)

    def render(self) -> tuple[np.ndarray, ...] | None:  # type: ignore[override]
        """Draw a picture of each world, finer than the observation; None without a render mode."""
        if self.render_mode is None:
            return None
        states = [jax.tree.map(lambda leaf, i=i: leaf[i], self._state) for i in range(self.num_envs)]
        return tuple(np.asarray(_render(self.world, state, RENDER_SCALE)) for state in states)

    def _fresh_keys(self, needed: np.ndarray) -> Array:
        seeds = [int(random.integers(2**31)) if need else 0 for random, need in zip(self._randoms, needed, strict=True)]
        return jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))

    def _observe(self, row: TimeStep) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray]:
        self._is_last, terminated = np.array(row.is_last), np.array(row.is_terminal)
        seen: Observation = np.array(row.image)
        if self.world.vector_size:
            seen = {"image": seen, "vector": np.array(row.vector)}
        return seen, np.array(row.reward, np.float64), terminated, self._is_last & ~terminated

    def _info(self, row: TimeStep) -> dict[str, Any]:
        return {"events": {name: np.array(happened) for name, happened in row.events.items()}}


class WorldEnv(gymnasium.Env):
    """A JAX world, or one named in the registry, as a Gymnasium environment: a vector of one.

    ``info["events"]`` holds a bool for each event.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["rgb_array", "human"],
        "render_fps": 8,
    }

    def __init__(self, world: World | str, render_mode: str | None = None, **settings: Any) -> None:
        world = _jax_world(world, settings)
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode is {render_mode!r}; it must be None, 'rgb_array' or 'human'")
        self.world, self.render_mode = world, render_mode
        self.observation_space, self.action_space = _spaces(world)
        self._vector = WorldVectorEnv(world, render_mode=render_mode)
        self.event_names = world.event_names
        self.action_names = world.actions.names
        self._screen: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; a seed makes it, and all that follow, exactly repeatable."""
        super().reset(seed=seed)
        self._vector._randoms = [self.np_random]
        seen, info = self._vector.reset()
        self._ended = False
        self._show()
        return _first(seen), self._single(info)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take one step.

        Raises TypeError or ValueError for an action of the wrong dtype, shape or range, and RuntimeError before `reset`
        or after the end of an episode.
        """
        if self._vector._keys is not None and self._ended:
            raise RuntimeError("this episode has ended; call reset() before step()")
        checked = _checked_action(self.world, action, ())
        seen, reward, terminated, truncated, info = self._vector.step(checked[None])
        self._ended = bool(terminated[0] or truncated[0])
        self._show()
        return _first(seen), float(reward[0]), bool(terminated[0]), bool(truncated[0]), self._single(info)

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """Draw the picture, finer than the observation; with ``human``, in a matplotlib window."""
        if self.render_mode == "rgb_array":
            pictures = self._vector.render()
            return None if pictures is None else pictures[0]
        self._show()
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._screen is not None:
            import matplotlib.pyplot as plt

            plt.close(self._screen.figure)
            self._screen = None

    def _show(self) -> None:
        if self.render_mode != "human":
            return
        import matplotlib.pyplot as plt

        pictures = self._vector.render()
        assert pictures is not None
        if self._screen is None:
            figure, axes = plt.subplots()
            axes.set_axis_off()
            self._screen = axes.imshow(pictures[0])
            figure.show() if plt.isinteractive() else plt.show(block=False)
        self._screen.set_data(pictures[0])
        self._screen.figure.canvas.draw_idle()
        self._screen.figure.canvas.flush_events()

    @staticmethod
    def _single(info: dict[str, Any]) -> dict[str, Any]:
        return {"events": {name: bool(happened[0]) for name, happened in info["events"].items()}}
