"""The agent that knows nothing: random actions in many copies of a JAX world, compiled into one loop.

It is the baseline of every exploration measure, and the plainest example of how worlds are stepped at full speed: state
and picture are carried through ``lax.scan``, and nothing leaves the compiled code until the end.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from sensei_lite.types import Box, Images, Seed
from sensei_lite.worlds.base import TimeStep, World, reset_batch, step_batch


class Tally(NamedTuple):
    """What random play came to."""

    steps: Int[Array, ""]
    """Actions taken in all worlds together (the rows that only start an episode are not steps)."""
    episodes: Int[Array, ""]
    """Episodes that ended."""
    events: dict[str, Int[Array, ""]]
    """How often each event happened."""


def random_actions(
    world: World, shape: tuple[int, ...], *, key: Seed
) -> Int[Array, "*shape"] | Float[Array, "*shape action"]:
    """Actions drawn uniformly: choices [*shape], or numbers [*shape action]."""
    if isinstance(world.actions, Box):
        return jax.random.uniform(key, (*shape, world.actions.size), minval=-1.0, maxval=1.0)
    return jax.random.randint(key, shape, 0, world.actions.size)


@functools.partial(jax.jit, static_argnums=(0, 1))
def begin_random_play(world: World, batch: int, *, key: Seed) -> tuple[PyTree, TimeStep]:
    """Start ``batch`` worlds."""
    return reset_batch(world, keys=jax.random.split(key, batch))


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3, 4))
def random_play(
    world: World, steps: int, state: PyTree, timestep: TimeStep, pictures: Images, *, key: Seed
) -> tuple[PyTree, TimeStep, Images, Tally]:
    """Play ``steps`` rows in every world; ``state``, ``timestep`` and ``pictures`` are used up.

    ``pictures`` [batch height width channel] receives the last pictures that were seen, as a replay buffer would.
    """
    batch = timestep.is_last.shape[0]
    none = jnp.zeros((), jnp.int32)
    tally = Tally(none, none, {name: none for name in world.event_names})

    def one_row(carry: tuple[PyTree, TimeStep, Images, Tally], chance: tuple[Array, Array]) -> tuple[PyTree, None]:
        (state, timestep, _, tally), (action, keys) = carry, chance
        state, following = step_batch(world, state, timestep.is_last, action, keys=keys)
        tally = Tally(
            steps=tally.steps + (~following.is_first).sum(),
            episodes=tally.episodes + following.is_last.sum(),
            events={name: tally.events[name] + following.events[name].sum() for name in world.event_names},
        )
        return (state, following, timestep.image, tally), None

    action_key, world_key = jax.random.split(key)
    actions = random_actions(world, (steps, batch), key=action_key)
    keys = jax.random.split(world_key, (steps, batch))
    carry, _ = jax.lax.scan(one_row, (state, timestep, pictures, tally), (actions, keys))
    return carry
