"""The agents that are shipped: they load, they can do what they are said to do, and what is shipped fits together."""

import json

import jax
import pytest

from sensei_lite.agent import state as agents
from sensei_lite.course import pretrained
from sensei_lite.reward.model import rewards_of
from sensei_lite.training.evaluate import play_episodes, play_random_episodes
from sensei_lite.training.storage import CheckpointError

EPISODES = 48


@pytest.fixture(scope="module")
def world():
    return pretrained.trained_world()


@pytest.fixture(scope="module")
def outcomes(world):
    play = {name: pretrained.trained_agent(name) for name in pretrained.NAMES}
    key = jax.random.key(5)
    found = {name: play_episodes(agent, world, EPISODES, key=key) for name, agent in play.items()}
    return found | {"random": play_random_episodes(world, EPISODES, key=key)}


def test_sensei_opens_the_door_and_the_curious_agent_beats_chance(outcomes):
    opened = {name: float(outcome.reached["door_opened"]) for name, outcome in outcomes.items()}
    assert opened["sensei"] > 0.6
    assert opened["sensei"] > 1.5 * opened["plan2explore"]
    assert opened["random"] < 0.3


def test_a_trained_agent_can_go_on_learning(world):
    agent = pretrained.trained_agent("sensei")
    assert all(
        (slow == critic).all()
        for slow, critic in zip(*map(jax.tree.leaves, (agent.slow_critics, agent.critics)), strict=True)
    )
    assert jax.tree.structure(agent) == jax.tree.structure(
        agents.init(agent.config, world.image_shape, world.actions, key=jax.random.key(0))
    )


def test_the_pictures_have_the_rarest_situation_and_r_psi_likes_it():
    seen, taste = pretrained.curious_observations(), pretrained.trained_reward_model()
    rewards = rewards_of(taste, seen.images)
    assert seen.facts["door_opened"].any()
    assert rewards[seen.facts["door_opened"]].mean() > rewards[~seen.facts["key_picked_up"]].mean() + 1


def test_an_unknown_name_and_a_damaged_file_are_said(tmp_path):
    with pytest.raises(ValueError, match="plan2explore, sensei"):
        pretrained.trained_agent("dreamer")
    for name in ("world.json", "sensei.json"):
        (tmp_path / name).write_bytes((pretrained.FOLDER / name).read_bytes())
    (tmp_path / "sensei.npz").write_bytes((pretrained.FOLDER / "sensei.npz").read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"sensei\.npz"):
        pretrained.trained_agent("sensei", tmp_path)


def test_provenance_says_how_they_were_made():
    made = pretrained.provenance()
    assert made["commands"][0] == "sensei-lite run --preset lab"
    assert made["run"]["seed"] == 0  # not a seed of the study
    rates = {
        row["agent"]: float(row["value"]) for row in made["scores"] if row["measure"].startswith("door_opened per")
    }
    curves = {name: pretrained.learning_curves(name) for name in pretrained.NAMES}
    for name, rows in curves.items():
        counted = 1000 * sum(row["door_opened"] for row in rows) / sum(row["steps"] for row in rows)
        assert counted == pytest.approx(rates[name], rel=1e-3)
    json.dumps(made)
