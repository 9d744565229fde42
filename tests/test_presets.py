"""Every agent is the same program with other wishes, and each wish reaches the policy."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import pytest

from sensei_lite.agent import state as agents
from sensei_lite.agent import update as learning
from sensei_lite.agent.switch import RULES
from sensei_lite.config import Config, DistilConfig, changed, config_from
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import PosteriorRollout, Transition
from sensei_lite.presets import AGENTS, PRESETS, agent_config, lab, learns, needs_reward_model, smoke
from sensei_lite.reward.model import SemanticReward
from sensei_lite.training.jax_loop import start_task, start_training, train_chunk
from sensei_lite.worlds import KeyRoom

WORLD = KeyRoom(size=4, decorations=0, max_steps=20)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def reward_model():
    return SemanticReward(DistilConfig(hidden=8, depth=4), WORLD.image_shape, key=KEY)


def test_agents_differ_only_in_what_they_want():
    for name in AGENTS:
        config = agent_config(smoke(), name)
        same = dataclasses.replace(config, behaviour=smoke().behaviour, switch=smoke().switch)
        assert same == smoke(), name
        assert needs_reward_model(config) == name.startswith(("sensei", "mixture", "vlm-motif"))
        assert learns(name) == (name != "random")
    assert agent_config(smoke(), "task").behaviour.reward_weights == (("extrinsic", 1.0),)
    with pytest.raises(ValueError, match="no agent called 'bored'; there are random, rnd, plan2explore"):
        agent_config(smoke(), "bored")


# One of the simple ones and one with everything stand for all where minutes count.
@pytest.mark.parametrize(
    "name",
    [
        name if name in ("rnd", "sensei") else pytest.param(name, marks=pytest.mark.slow)
        for name in AGENTS
        if learns(name)
    ],
)
def test_every_agent_learns_in_a_chunk(name, reward_model):
    config = agent_config(smoke(), name)
    state = start_training(config, WORLD, reward_model if needs_reward_model(config) else None, key=KEY)
    before = jax.tree.map(jnp.copy, state.agent.actor)
    state, metrics, _ = train_chunk(config, WORLD, state)
    assert all(jnp.isfinite(value) for value in metrics.values())
    assert {name.removeprefix("reward/") for name in metrics if name.startswith("reward/")} == set(config.streams)
    assert {name.removeprefix("return/") for name in metrics if name.startswith("return/")} == set(
        RULES[config.switch.rule].critics(config.streams)
    )
    changed = jax.tree.map(lambda a, b: (a != b).any(), before, state.agent.actor)
    assert any(jax.tree.leaves(changed))
    assert ("switch/threshold" in metrics) == name.startswith("sensei")


def test_rows_are_remembered_with_what_r_psi_says_of_their_pictures(reward_model):
    config = agent_config(smoke(), "sensei")
    state, _, _ = train_chunk(config, WORLD, start_training(config, WORLD, reward_model, key=KEY))
    rows, facts = state.replay.in_order()
    said = reward_model(rows.image)
    assert float(jnp.abs(said - rows.semantic).max()) < 1e-4
    assert float(said.std()) > 0, "or the test could not fail"
    assert set(facts) == set(WORLD.facts(WORLD.reset(key=KEY)))
    assert bool(facts["key_picked_up"].any())
    blind = start_training(agent_config(smoke(), "plan2explore"), WORLD, key=KEY)
    assert not blind.replay.rows.semantic.any()


def test_who_wants_what_is_interesting_needs_an_r_psi():
    with pytest.raises(ValueError, match="needs an R_psi: distil one first"):
        start_training(agent_config(smoke(), "sensei"), WORLD, key=KEY)


def test_a_task_agent_goes_on_with_what_an_explorer_learned():
    curious, task = agent_config(smoke(), "plan2explore"), agent_config(smoke(), "task")
    explored, _, _ = train_chunk(curious, WORLD, start_training(curious, WORLD, key=KEY))
    kept = jax.tree.map(jnp.copy, explored)
    state = start_task(task, WORLD, explored, key=jax.random.key(1))
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), state.agent.world_model, explored.agent.world_model))
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), state.replay, explored.replay))
    assert set(state.agent.critics) == {"extrinsic"}
    assert int(state.steps) == int(state.agent.updates) == int(state.visits.sum()) == 0
    state, metrics, _ = train_chunk(task, WORLD, state)
    assert jnp.isfinite(metrics["loss/critic_extrinsic"])
    assert int(state.agent.updates) == task.train.chunk_updates
    # The explorer's own state was not used up.
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), kept.replay, explored.replay))


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_settings_come_back_from_what_a_run_wrote_down(preset):
    for name in AGENTS:
        config = agent_config(preset(), name)
        assert config_from(json.loads(json.dumps(dataclasses.asdict(config)))) == config
    stored = dataclasses.asdict(Config())
    del stored["train"]["envs"]
    with pytest.raises(ValueError, match=r"train\.envs"):
        config_from(stored)


def test_single_settings_can_be_changed():
    wanted = {
        "switch.percentile": 75,
        "switch.go": [["semantic", 1.0], ["disagreement", 0.0]],
        "behaviour.entropy": 1e-3,
        "behaviour.starts": 16,
    }
    config = changed(lab(), wanted)
    assert config.switch.percentile == 75.0
    assert config.switch.go == (("semantic", 1.0), ("disagreement", 0.0))
    assert (config.behaviour.entropy, config.behaviour.starts) == (1e-3, 16)
    assert dataclasses.replace(config, switch=lab().switch, behaviour=lab().behaviour) == lab()
    assert changed(lab(), {}) == lab()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"switch.percent": 75}, "no setting 'switch.percent'.*percentile"),
        ({"percentile": 75}, "no setting 'percentile'.*world_model"),
        ({"world_model.check_image": 1}, "no setting"),
        ({"switch.percentile": "high"}, "must be like 90.0"),
        ({"train.batch": 2.5}, "must be like 16"),
        ({"switch.percentile": 120}, "between 0 and 100"),
    ],
)
def test_changes_that_cannot_be_made_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        changed(lab(), changes)


def test_random_distillation_is_surprised_by_what_is_rare():
    """The learner is taught one cluster of states; another one stays novel, and novelty is about 1 where it learns."""
    config = agent_config(smoke(), "rnd")
    agent = agents.init(config, WORLD.image_shape, WORLD.actions, key=KEY)
    size = config.world_model.deter + config.world_model.stoch * config.world_model.classes
    known, unknown = (center + 0.1 * jax.random.normal(KEY, (64, size)) for center in (1.0, -1.0))
    fixed = agent.streams["novelty"].network.target
    deter = config.world_model.deter
    z = known[None, :, deter:].reshape(1, 64, config.world_model.stoch, -1)
    rollout = PosteriorRollout(State(h=known[None, :, :deter], z=z), z)

    no, zeros = jnp.zeros((1, 64), bool), jnp.zeros((1, 64))
    batch = Transition(jnp.zeros((1, 64, 1, 1, 3), jnp.uint8), jnp.zeros((1, 64, 1)), zeros, zeros, no, no)

    @jax.jit
    def learn(agent):
        return learning.learn_streams(agent, rollout, batch)[0]

    before = float(agent.streams["novelty"].network.error(known).mean())
    for _ in range(300):
        agent = learn(agent)
    assert float(agent.streams["novelty"].network.error(known).mean()) < 0.2 * before
    assert float(agent.streams["novelty"].network.reward(unknown).mean()) > 3 * float(
        agent.streams["novelty"].network.reward(known).mean()
    )
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), fixed, agent.streams["novelty"].network.target)), (
        "it never changes"
    )
