"""World-model health: known answers of a dream that knows, and of one that says always the same."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from sensei_lite.agent import state as agents
from sensei_lite.config import DistilConfig
from sensei_lite.models.world_model import WorldModel
from sensei_lite.presets import agent_config, smoke
from sensei_lite.reward.model import SemanticReward
from sensei_lite.training.health import world_model_health
from sensei_lite.worlds import KeyRoom

WORLD = KeyRoom(size=4, decorations=0, max_steps=12)
KEY = jax.random.key(0)


class Clock(eqx.Module):
    """Stands for R_psi: says of a picture how much light is in it."""

    def __call__(self, images):
        return images.astype(jnp.float32).mean((-3, -2, -1))


def agent():
    return agents.init(agent_config(smoke(), "sensei"), WORLD.image_shape, WORLD.actions, key=KEY)


def test_a_model_that_says_always_the_same_explains_nothing():
    reward_model = SemanticReward(DistilConfig(hidden=8, depth=4), WORLD.image_shape, key=KEY)
    found = world_model_health(agent(), WORLD, reward_model, worlds=32, steps=14, ahead=(0, 1, 3), key=KEY)
    assert set(found.r2) == {0, 1, 3}
    assert all(value <= 1e-3 for value in found.r2.values())
    taken = found.jumps["key_picked_up"]
    assert taken.number > 3
    assert taken.real != 0
    assert taken.dreamt == 0, "whoever says always the same dreams of no event"
    assert set(found.jumps) == set(WORLD.event_names)
    with pytest.raises(ValueError, match="to dream 10 steps ahead it must be more"):
        world_model_health(agent(), WORLD, reward_model, steps=10, key=KEY)


def test_every_dream_is_held_against_the_picture_that_its_actions_led_to(monkeypatch):
    """A model whose memory is how long an episode has lasted, and an R_psi of the same clock: R2 is 1 at every k."""

    class Counting(eqx.Module):
        """An RSSM that counts steps since the episode's start in h, and needs no pictures."""

        def initial(self):
            return real.rssm.initial()._replace(h=jnp.zeros_like(real.rssm.initial().h))

        def observe_step(self, state, action, embedding, is_first, *, key):
            return state._replace(h=jnp.where(is_first, 0.0, state.h + 1.0)), None

        def imagine_step(self, state, action, *, key):
            return state._replace(h=state.h + 1.0)

    original = agent()
    real = original.world_model
    world_model = eqx.tree_at(
        lambda m: (m.rssm, m.semantic), real, (Counting(), lambda features: features[0]), is_leaf=lambda x: x is None
    )
    counting = dataclasses.replace(original, world_model=world_model)

    @dataclasses.dataclass(frozen=True)
    class Ticking(KeyRoom):
        """A room whose picture shows nothing but the time."""

        def render(self, state, scale=1):
            return jnp.full(super().render(state, scale).shape, state.t, jnp.uint8)

    world = Ticking(size=4, decorations=0, max_steps=7)
    found = world_model_health(counting, world, Clock(), worlds=32, steps=40, ahead=(0, 1, 5), key=KEY)
    assert found.r2 == pytest.approx({0: 1.0, 1: 1.0, 5: 1.0})
    taken = found.jumps["key_picked_up"]
    assert taken.number > 3
    assert (taken.real, taken.dreamt) == pytest.approx((1.0, 1.0)), "one tick of the clock"
    late = eqx.tree_at(lambda m: m.semantic, world_model, lambda features: features[0] - 1.0)
    shifted = dataclasses.replace(original, world_model=late)
    assert max(world_model_health(shifted, world, Clock(), worlds=8, steps=40, ahead=(0, 1), key=KEY).r2.values()) < 0.9
    assert isinstance(real, WorldModel)
