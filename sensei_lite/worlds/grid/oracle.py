"""The shortest plan in a grid world, found by looking at the true state: what no agent may do.

A grid world's episode is decided by where the agent stands, whether it holds the key, and whether the lock is open.
The world's own ``step`` is asked for every such state and every action, which gives a table, and breadth-first search
in the table gives a shortest plan. It proves that a layout can be solved, says how many steps are needed at least, and
shows what success looks like.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from sensei_lite.types import Flag
from sensei_lite.worlds.grid.world import GridState, GridWorld

Table = tuple[Int[Array, "states actions"], Bool[Array, "states actions"]]


def _number(world: GridWorld, state: GridState) -> Int[Array, ""]:
    """The number of a state: cell x 4 + has_key x 2 + unlocked."""
    cell = state.agent[0] * world.grid_shape[1] + state.agent[1]
    return cell * 4 + state.has_key * 2 + state.unlocked


@functools.partial(jax.jit, static_argnums=0)
def transition_table(world: GridWorld, state: GridState) -> Table:
    """For every state number and action: the next state's number, and whether that step succeeds."""
    rows, columns = world.grid_shape
    key = jax.random.key(0)  # grid worlds are deterministic

    def answer(number: Int[Array, ""], action: Int[Array, ""]) -> tuple[Int[Array, ""], Flag]:
        cell, bits = number // 4, number % 4
        asked = state._replace(
            agent=jnp.stack([cell // columns, cell % columns]).astype(jnp.int32),
            has_key=bits // 2 == 1,
            unlocked=bits % 2 == 1,
        )
        step = world.step(asked, action, key=key)
        return _number(world, step.state), step.terminated

    numbers, actions = jnp.arange(rows * columns * 4), jnp.arange(world.actions.size)
    return jax.vmap(jax.vmap(answer, (None, 0)), (0, None))(numbers, actions)


def shortest_plan(world: GridWorld, state: GridState) -> list[int]:
    """A shortest list of actions that leads from ``state`` to success.

    Raises ValueError where no plan does (time limits are not looked at).
    """
    table, succeeds = (np.asarray(part) for part in transition_table(world, state))
    start = int(_number(world, state))
    came_from: dict[int, tuple[int, int]] = {start: (-1, -1)}
    frontier = [start]
    while frontier:
        following = []
        for number in frontier:
            if succeeds[number].any():
                plan = [int(succeeds[number].argmax())]
                while (step := came_from[number])[0] >= 0:
                    number = step[0]
                    plan.append(step[1])
                return plan[::-1]
            for action, after in enumerate(table[number].tolist()):
                if after not in came_from:
                    came_from[after] = (number, action)
                    following.append(after)
        frontier = following
    raise ValueError("no plan leads to success from this state")


def way_to_success(world: GridWorld, state: GridState) -> Int[Array, " situations"]:
    """For every situation of this episode's layout (see `World.situation`), the action that leads to success soonest.

    With d(s) steps left from s: d(s) = 1 where an action succeeds, else 1 + min_a d(step(s, a)). Where no way leads to
    success the answer means nothing.
    """
    following, succeeds = transition_table(world, state)
    far = jnp.full(world.situations, 1e6)

    def shorten(steps: Float[Array, " situations"]) -> Float[Array, " situations"]:
        return jnp.minimum(jnp.where(succeeds, 1.0, 1.0 + steps[following]).min(1), far)

    def unfinished(carry: tuple[Array, Array]) -> Array:
        before, now = carry
        return (before != now).any()

    _, steps = jax.lax.while_loop(unfinished, lambda carry: (carry[1], shorten(carry[1])), (far, shorten(far)))
    return jnp.where(succeeds, 1.0, 1.0 + steps[following]).argmin(1)
