"""Learning in bfloat16: the products are in it, and weights, probabilities and losses are not."""

import dataclasses
from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.agent import state as agents
from sensei_lite.agent import update as learning
from sensei_lite.config import Config
from sensei_lite.course.flops import programs_in
from sensei_lite.models.layers import cast_to_compute_dtype
from sensei_lite.models.world_model import Transition
from sensei_lite.presets import smoke
from sensei_lite.types import Box, Discrete

KEY = jax.random.key(0)
SHAPE = (16, 32, 3)
ACTIONS = {"choice": Discrete(("a", "b", "c")), "numbers": Box(("x", "y"))}


def settings(precision: str, encoder: str = "patch") -> Config:
    """SENSEI with every stream that the agent can have."""
    base = smoke()
    streams = (("semantic", 1.0), ("disagreement", 0.1), ("novelty", 0.1), ("extrinsic", 0.1))
    return dataclasses.replace(
        base,
        world_model=dataclasses.replace(base.world_model, encoder=encoder),
        behaviour=dataclasses.replace(base.behaviour),
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


def equations(program, kinds: tuple[str, ...]) -> Iterator:
    """All equations of some kinds, those inside of loops and branches too."""
    for equation in program.eqns:
        if equation.primitive.name in kinds:
            yield equation
        for part in programs_in(equation.params.values()):
            yield from equations(part, kinds)


@pytest.mark.parametrize("encoder", ["patch", "conv"])
@pytest.mark.parametrize("actions", ACTIONS.values(), ids=ACTIONS)
def test_all_products_are_in_the_precision_that_is_set(actions, encoder):
    for precision in ("float32", "bfloat16"):
        agent = eqx.filter_eval_shape(agents.init, settings(precision, encoder), SHAPE, actions, key=KEY)
        traced = jax.make_jaxpr(lambda agent, rows: learning.update(agent, rows, key=KEY))(agent, rows_for(actions))
        products = [
            product
            for product in equations(traced.jaxpr, ("dot_general", "conv_general_dilated"))
            if min(v.aval.ndim for v in product.invars) > 1  # with a vector it is a layer norm's mean, in float32
        ]
        assert len(products) > 30
        assert {str(v.aval.dtype) for e in products for v in e.invars} == {precision}
        logarithms = list(equations(traced.jaxpr, ("log", "log1p")))
        assert logarithms
        assert {str(e.invars[0].aval.dtype) for e in logarithms} == {"float32"}, "probabilities keep their digits"


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
