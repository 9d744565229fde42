"""Contacts by projection: whatever has got into something else is moved out of it, the shortest way.

Two bodies seen from above are two rectangles with corners of radius r (a ball is a rectangle of size 0, a block has
r = 0). Whether they touch depends only on the difference of their middles, d, and on the *sum* of their half sizes, h,
and radii. The signed distance of d to that larger rounded rectangle is

    q = |d| - h,     distance(d) = |max(q, 0)| + min(max(q_x, q_y), 0) - r,

negative inside. The shortest way out is -distance along its gradient. Moving positions instead of adding forces needs
no small time step and cannot explode (position-based dynamics: Mueller et al., J. Vis. Commun. Image R. 2007). What it
leaves out: things have no weight, never turn, and never bounce.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from sensei_lite.types import Scalar
from sensei_lite.worlds.tabletop.desk import DESK_LEFT, DESK_RIGHT, HALF, HEIGHT, IS_BALL, LEDGE, RIM

RADIUS = np.where(IS_BALL, HALF[:, 0], 0.0).astype(np.float32)
CORE = np.where(IS_BALL[:, None], 0.0, HALF).astype(np.float32)
"""Half sizes without the round part."""
MARGIN = 0.05
"""Beside the desk is just room for an object, and this much more."""
SLACK = 0.05
"""Bodies whose heights overlap by less than this pass over one another."""


def distance(d: Float[Array, "*n 2"], half: Float[Array, "*n 2"], radius: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Compute the signed distance of two bodies with middles d apart (see the top); negative where they overlap."""
    q = jnp.abs(d) - half
    return _length(jnp.maximum(q, 0.0)) + jnp.minimum(q.max(-1), 0.0) - radius


def way_out(d: Float[Array, "*n 2"], half: Float[Array, "*n 2"], radius: Float[Array, "*n"]) -> Float[Array, "*n 2"]:
    """Compute the shortest move of the body at ``d`` that ends the overlap; zero where there is none."""
    q = jnp.abs(d) - half
    corner = jnp.maximum(q, 0.0)
    length = _length(corner)
    nearest = jnp.stack([q[..., 0] >= q[..., 1], q[..., 0] < q[..., 1]], -1).astype(jnp.float32)
    normal = jnp.where((length > 1e-6)[..., None], corner / jnp.maximum(length, 1e-6)[..., None], nearest)
    deep = jnp.maximum(-distance(d, half, radius), 0.0)
    return deep[..., None] * normal * jnp.where(d >= 0, 1.0, -1.0)


def _length(v: Float[Array, "*n 2"]) -> Float[Array, "*n"]:
    return jnp.sqrt(v[..., 0] ** 2 + v[..., 1] ** 2)


def levels_meet(
    bottom: Float[Array, "*n"], top: Float[Array, "*n"], other_bottom: Float[Array, "*m"], other_top: Float[Array, "*m"]
) -> Bool[Array, "..."]:
    """Return whether two bodies are at the same height, so that one can push the other sideways."""
    return jnp.minimum(top, other_top) - jnp.maximum(bottom, other_bottom) > SLACK


def between_objects(objects: Float[Array, "object 3"]) -> Float[Array, "object 2"]:
    """Compute half of each object's way out of all others: the other one goes the other half.

    Where the other one is held and cannot give way, the caller doubles it.
    """
    d = objects[:, None, :2] - objects[None, :, :2]
    half, radius = jnp.asarray(CORE[:, None] + CORE[None, :]), jnp.asarray(RADIUS[:, None] + RADIUS[None, :])
    out = way_out(d, half, radius)
    bottom, top = objects[:, 2], objects[:, 2] + HEIGHT
    meet = levels_meet(bottom[:, None], top[:, None], bottom[None], top[None]) & ~np.eye(len(HEIGHT), dtype=bool)
    return 0.5 * (out * meet[..., None]).sum(1)


def within_walls(objects: Float[Array, "object 3"]) -> Float[Array, "object 3"]:
    """Project objects into their bounds: between rim and ledge, in the picture, and, if fallen, beside the desk."""
    x, y, z = objects[:, 0], objects[:, 1], objects[:, 2]
    y = jnp.clip(y, RIM + HALF[:, 1], LEDGE - HALF[:, 1])
    left, right = DESK_LEFT - HALF[:, 0], DESK_RIGHT + HALF[:, 0]
    outside = jnp.where(x < (DESK_LEFT + DESK_RIGHT) / 2, jnp.minimum(x, left), jnp.maximum(x, right))
    x = jnp.clip(jnp.where(z < -SLACK, outside, x), left - MARGIN, right + MARGIN)
    return jnp.stack([x, y, z], 1)


def overlap_from_above(
    middle: Float[Array, "pusher 2"], half: Float[Array, "pusher 2"], radius: Float[Array, " pusher"], objects: Array
) -> Bool[Array, "pusher object"]:
    """Return which bodies are over which objects, seen from above. Touching does not count."""
    d = middle[:, None] - objects[None, :, :2]
    return distance(d, half[:, None] + CORE[None], radius[:, None] + RADIUS[None]) < -0.02


def deepest(moves: Float[Array, "*n 2"]) -> Float[Array, "2"]:
    """Compute the largest of many moves along each axis, with its sign."""
    flat = moves.reshape(-1, 2)
    return flat.max(0) + flat.min(0)


def at_most(v: Float[Array, "*n 2"], longest: float | Scalar) -> Float[Array, "*n 2"]:
    """Clip vectors to a length."""
    return v * jnp.minimum(1.0, longest / jnp.maximum(_length(v), 1e-6))[..., None]
