"""The shortest plan in a grid world, found by looking at the true state: what no agent may do.

A grid world's episode is decided by its *situation* (see `World.situation`): where the agent stands, whether it holds
the key, and whether the lock is open. The world's own ``step`` is asked for every situation and every action, which
gives a transition table, and breadth-first search in the table gives a shortest plan. It proves that a layout can be
solved, says how many steps are needed at least, and shows what success looks like.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from sensei_lite.types import Count, Flag
from sensei_lite.worlds.base import World
from sensei_lite.worlds.grid.layout import GridState

Table = tuple[Int[Array, "situations actions"], Bool[Array, "situations actions"]]


@functools.partial(jax.jit, static_argnums=0)
def transition_table(world: World, state: GridState) -> Table:
    """Compute a grid world's transition table in this episode's layout.

    It holds, for every situation and action, the next situation, and whether that step succeeds.
    """
    columns = state.layout.kind.shape[1]
    key = jax.random.key(0)  # grid worlds are deterministic

    def transition(situation: Count, action: Count) -> tuple[Count, Flag]:
        cell, bits = situation // 4, situation % 4
        before = state._replace(
            agent=jnp.stack([cell // columns, cell % columns]).astype(jnp.int32),
            has_key=bits // 2 == 1,
            unlocked=bits % 2 == 1,
        )
        step = world.step(before, action, key=key)
        return world.situation(step.state), step.terminated

    situations, actions = jnp.arange(world.situations), jnp.arange(world.actions.size)
    return jax.vmap(jax.vmap(transition, (None, 0)), (0, None))(situations, actions)


def shortest_plan(world: World, state: GridState) -> list[int]:
    """Find a shortest plan in a grid world: a list of actions that leads from ``state`` to success.

    Raises ValueError where no plan does (time limits are not looked at).
    """
    table, succeeds = (np.asarray(part) for part in transition_table(world, state))
    start = int(world.situation(state))
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


def way_to_success(world: World, state: GridState) -> Int[Array, " situations"]:
    """Compute an optimal policy of a grid world in this episode's layout: for every situation, the best action.

    Value iteration with d(s) steps left from s: d(s) = 1 where an action succeeds, else 1 + min_a d(step(s, a)). The
    best action leads to success soonest. Where no way leads to success the answer means nothing.
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
