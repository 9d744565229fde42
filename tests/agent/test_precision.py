"""Learning in bfloat16: the products are in it, and weights, probabilities and losses are not."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.agent import state as agents
from sensei_lite.agent import update as learning
from sensei_lite.config import Config
from sensei_lite.models.layers import cast_to_compute_dtype
from sensei_lite.models.world_model import Transition, WorldModel
from sensei_lite.presets import smoke
from sensei_lite.types import Box, Discrete

KEY = jax.random.key(0)
SHAPE = (16, 32, 3)
ACTIONS = {"choice": Discrete(("a", "b", "c")), "numbers": Box(("x", "y"))}


def settings(precision: str) -> Config:
    """SENSEI with every stream that the agent can have."""
    base = smoke()
    streams = (("semantic", 1.0), ("disagreement", 0.1), ("novelty", 0.1), ("extrinsic", 0.1))
    return dataclasses.replace(
        base,
        switch=dataclasses.replace(base.switch, rule="return", go=streams, explore=streams),
        train=dataclasses.replace(base.train, precision=precision),
    )


def rows_for(actions) -> Transition:
    action = jax.random.uniform(KEY, (4, 6, actions.size), minval=-1)
    return Transition(
        image=jax.random.bits(KEY, (4, 6, *SHAPE), jnp.uint8),
        action=action if isinstance(actions, Box) else jax.nn.one_hot(action.argmax(-1), actions.size),
        reward=jax.random.normal(KEY, (4, 6)),
        semantic=jax.random.normal(jax.random.key(1), (4, 6)),
        is_first=jnp.zeros((4, 6), bool).at[1, 3].set(True),
        is_terminal=jnp.zeros((4, 6), bool).at[1, 2].set(True),
    )


def test_the_world_models_loss_in_bfloat16_is_nearly_that_in_float32():
    batch, actions, found = rows_for(ACTIONS["choice"]), ACTIONS["choice"].size, {}
    model = eqx.filter_jit(WorldModel)(settings("float32").world_model, SHAPE, actions, key=KEY)
    for precision in ("float32", "bfloat16"):
        loss = eqx.filter_jit(lambda m, precision=precision: cast_to_compute_dtype(m, precision).loss(batch, key=KEY))
        found[precision], (terms, _) = loss(model)
        assert {str(term.dtype) for term in terms.values()} == {"float32"}, "losses keep their digits"
    assert found["bfloat16"] != found["float32"]
    np.testing.assert_allclose(found["bfloat16"], found["float32"], rtol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("actions", ACTIONS.values(), ids=ACTIONS)
def test_one_update_in_bfloat16_is_nearly_that_in_float32(actions):
    rows, found = rows_for(actions), {}
    for precision in ("float32", "bfloat16"):
        agent = eqx.filter_jit(agents.init)(settings(precision), SHAPE, actions, key=KEY)
        after, metrics = eqx.filter_jit(learning.update)(agent, rows, key=jax.random.key(4))
        found[precision] = {name: float(value) for name, value in metrics.items()}
        types = {str(leaf.dtype) for leaf in jax.tree.leaves(after)}
        assert types == {"float32", "int32", "bool"}, "weights and optimisers are float32 before and after"
        parts = ("world_model", "ensemble", "novelty", "actor", "critics")
        assert all(_differ(getattr(after, part), getattr(agent, part)) for part in parts)
    assert found["bfloat16"] != found["float32"]
    for name, value in found["float32"].items():
        if name.startswith("loss/") and name != "loss/actor":
            np.testing.assert_allclose(found["bfloat16"][name], value, rtol=0.03, err_msg=name)
    assert all(np.isfinite(list(found["bfloat16"].values())))


def test_single_numbers_stay_and_nothing_is_copied_in_vain():
    networks = {"weight": jnp.ones((2, 3)), "usual": jnp.ones(()), "count": jnp.zeros(4, jnp.int32)}
    half = cast_to_compute_dtype(networks, "bfloat16")
    assert {name: str(leaf.dtype) for name, leaf in half.items()} == {
        "weight": "bfloat16",
        "usual": "float32",
        "count": "int32",
    }
    same = cast_to_compute_dtype(networks, "float32")
    assert all(same[name] is networks[name] for name in networks)


def _differ(a, b) -> bool:
    return any((x != y).any() for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
