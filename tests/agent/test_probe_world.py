"""A world so small that every value is known: the whole agent must find them.

Four cells in a row. The agent starts in the first; each step goes left or right; arriving in the last ends the episode
with reward 1. The best policy goes right, and then

    v(s_0) = gamma^2,  v(s_1) = gamma,  v(s_2) = 1.

What is learned here passes through everything: pictures, replay, the world model, the reward and continue heads,
imagination, returns, critic, actor. An alignment that is wrong by one step gives values that are wrong by a factor of
gamma.
"""

import dataclasses
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.agent import state as agents
from sensei_lite.config import Config, TrainConfig
from sensei_lite.presets import smoke
from sensei_lite.training.jax_loop import random_chunks, start_training, train_chunk
from sensei_lite.types import Discrete
from sensei_lite.worlds.base import Step, World

GAMMA = 0.8


class Place(NamedTuple):
    cell: jax.Array
    t: jax.Array


@dataclasses.dataclass(frozen=True)
class Corridor(World):
    """See above."""

    cells: int = 4
    ends: bool = True
    """Whether arriving in the last cell ends the episode."""
    max_steps: int = 12
    event_names: ClassVar[tuple[str, ...]] = ("arrived",)

    @property
    def actions(self):
        return Discrete(("left", "right"))

    @property
    def image_shape(self):
        return (8, 8 * self.cells, 3)

    def reset(self, *, key):
        return Place(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))

    def step(self, state, action, *, key):
        cell = jnp.clip(state.cell + jnp.where(action == 1, 1, -1), 0, self.cells - 1)
        there, t = cell == self.cells - 1, state.t + 1
        arrived, ended = there & (state.cell != cell), there & self.ends
        return Step(
            Place(cell, t), there.astype(jnp.float32), ended, ~ended & (t >= self.max_steps), {"arrived": arrived}
        )

    def render(self, state, scale=1):
        lit = jnp.repeat(jnp.arange(self.cells) == state.cell, 8)
        return jnp.broadcast_to(jnp.where(lit, 255, 0).astype(jnp.uint8)[None, :, None], self.image_shape)


def config_for(stream: str, discount: float, horizon: int = 6) -> Config:
    small = smoke()
    wants = {"reward_weights": ((stream, 1.0),), "discount": discount, "horizon": horizon}
    return Config(
        world_model=dataclasses.replace(small.world_model, deter=32, hidden=32, bins=63, learning_rate=4e-3),
        ensemble=dataclasses.replace(small.ensemble, heads=4, hidden=32, scale=1.0),
        behaviour=dataclasses.replace(small.behaviour, hidden=32, starts=32, learning_rate=3e-3, **wants),
        train=TrainConfig(envs=8, batch=8, length=8, capacity=4096, prefill_steps=1024, chunk_updates=200),
    )


@pytest.fixture(scope="module")
def trained():
    config, world = config_for("extrinsic", GAMMA), Corridor()
    state = start_training(config, world, key=jax.random.key(0))
    for _ in range(4):
        state, _, counts = train_chunk(config, world, state)
    return world, state.agent, counts


def walk(world, agent, actions):
    """What the agent makes of the pictures of one episode with these actions: its state after each of them."""
    policy_state = agents.initial_policy_state(agent, 1, 2)
    state, states = world.reset(key=jax.random.key(0)), []
    look = eqx.filter_jit(agents.act)
    for t, action in enumerate([*actions, None]):
        policy_state = look(agent, policy_state, world.render(state)[None], jnp.array([t == 0]), key=jax.random.key(t))
        states.append(jax.tree.map(lambda leaf: leaf[0], policy_state.state))
        if action is not None:
            policy_state = policy_state._replace(action=jax.nn.one_hot(jnp.array([action]), 2))
            state = world.step(state, jnp.int32(action), key=jax.random.key(0)).state
    return states


def test_the_critic_finds_the_known_values(trained):
    world, agent, _ = trained
    states = walk(world, agent, [1, 1])
    values = [float(agent.critics["extrinsic"](state.features)) for state in states]
    np.testing.assert_allclose(values, [GAMMA**2, GAMMA, 1.0], atol=0.08)


def test_the_policy_finds_the_way(trained):
    world, agent, counts = trained
    for state in walk(world, agent, [1, 1]):
        assert float(jnp.exp(agent.actor(state.features).log_probs)[1]) > 0.9
    assert counts["arrived"] > 0.8 * counts["episodes"]


def test_the_model_knows_where_reward_is_and_where_the_world_ends(trained):
    world, agent, _ = trained
    states = walk(world, agent, [1, 1, 1])
    rewards = [float(agent.world_model.reward(state.features)) for state in states]
    continue_head = [float(agent.world_model.continues(state.features)) for state in states]
    np.testing.assert_allclose(rewards, [0, 0, 0, 1], atol=0.08)
    np.testing.assert_allclose(continue_head, [1, 1, 1, 0], atol=0.05)


def test_an_open_loop_dream_foresees_the_end(trained):
    """From the first picture alone: three steps to the right end the world, and steps to and fro do not."""
    _, agent, _ = trained
    for actions, reward in (([1, 1, 1], 1.0), ([1, 0, 1], 0.0), ([0, 1, 1], 0.0)):
        state = walk(Corridor(), agent, [])[0]
        for t, action in enumerate(actions):
            one_hot = jax.nn.one_hot(action, 2)
            state = agent.world_model.rssm.imagine_step(state, one_hot, key=jax.random.key(t))
        assert float(agent.world_model.reward(state.features)) == pytest.approx(reward, abs=0.15), actions


def test_curiosity_goes_where_chance_seldom_leads():
    """In a long corridor random steps seldom reach the far end; an agent that only wants to find out does.

    So it is while the far end is new: later the agent knows it all, and its interest wanders.
    """
    config, world = config_for("disagreement", 0.95, horizon=10), Corridor(cells=10, ends=False, max_steps=24)
    random, _ = random_chunks(config, world, 3, key=jax.random.key(1))
    _, _, curious = train_chunk(config, world, start_training(config, world, key=jax.random.key(0)))
    by_chance = random["arrived"].sum() / random["episodes"].sum()
    assert curious["arrived"] / curious["episodes"] > 2 * by_chance
