"""Agents are judged by whole episodes, and seeds by their spread."""

import csv
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sensei_lite import agent as agents
from sensei_lite import evaluate
from sensei_lite.config import smoke
from sensei_lite.evaluate import over_seeds, play_episodes, play_random_episodes
from sensei_lite.study import agent_config, effective_number, run_study
from sensei_lite.train import add_up, random_chunks, start_training, train_chunk
from sensei_lite.worlds import KeyRoom, begin_batch
from sensei_lite.worlds.oracle import shortest_plan

WORLD = KeyRoom(size=4, decorations=0, max_steps=12)
KEY = jax.random.key(0)


def test_only_the_first_episode_of_each_world_counts(monkeypatch):
    """An agent that knows the way in half of the worlds, and stands still in the others, succeeds in half of them."""
    episodes = 8
    begin_key, _ = jax.random.split(KEY)
    states, _ = begin_batch(WORLD, keys=jax.random.split(begin_key, episodes))
    plans = [shortest_plan(WORLD, jax.tree.map(lambda leaf, i=i: leaf[i], states)) for i in range(episodes)]
    solved = [i % 2 == 0 and len(plan) <= WORLD.max_steps for i, plan in enumerate(plans)]
    apply = WORLD.actions.size - 1
    actions = np.full((episodes, WORLD.max_steps), apply)
    for i, plan in enumerate(plans):
        if solved[i]:
            actions[i, : len(plan)] = plan

    def choose(t, row, key):
        return t + 1, jnp.asarray(actions)[:, t]

    outcome = evaluate._first_episodes(WORLD, episodes, choose, jnp.int32(0), key=KEY)
    assert 0 < sum(solved) <= episodes / 2
    assert outcome.reached["exit_reached"] == sum(solved) / episodes
    assert outcome.reward == sum(solved) / episodes
    lengths = [len(plan) if ok else WORLD.max_steps for plan, ok in zip(plans, solved, strict=True)]
    assert outcome.length == pytest.approx(np.mean(lengths))
    # Who stands still meets one situation; who walks, several: as many as there are in the union over worlds.
    assert 1 < outcome.situations_each < outcome.situations <= WORLD.situations
    standing = evaluate._first_episodes(WORLD, episodes, lambda t, row, key: (t, jnp.full(episodes, apply)), 0, key=KEY)
    assert standing.situations_each == 1


def test_a_fresh_agent_plays_like_a_random_one():
    agent = agents.init(smoke(), WORLD.image_shape, WORLD.actions, key=KEY)
    fresh, random = play_episodes(agent, WORLD, 300, key=KEY), play_random_episodes(WORLD, 300, key=KEY)
    for name in WORLD.event_names:
        assert abs(fresh.reached[name] - random.reached[name]) < 0.2, name
    assert 0 < random.reached["key_picked_up"] < 1


def test_a_world_without_a_limit_is_refused():
    class Endless(KeyRoom):
        max_steps = None  # type: ignore[assignment]

    endless = object.__new__(Endless)
    with pytest.raises(ValueError, match="Endless has no max_steps"):
        evaluate._first_episodes(endless, 2, lambda *_: None, (), key=KEY)


def test_the_interval_is_students():
    values = [0.2, 0.5, 0.4, 0.9, 0.6]
    summary = over_seeds(values)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert summary.mean == pytest.approx(0.52)
    assert (summary.low, summary.high) == pytest.approx(tuple(expected))
    assert summary.seeds == 5
    with pytest.raises(ValueError, match="1 seeds say nothing"):
        over_seeds([1.0])


def test_situations_are_counted_once_however_often_they_are_met():
    numbers = jnp.array([[3, 3, 7], [7, 3, 1]])
    assert add_up(WORLD, {"situations": numbers, "steps": jnp.ones(2)}) == {"situations": 3, "steps": 2}
    seen = {int(WORLD.situation(state)) for state in _all_situations()}
    assert len(seen) == WORLD.situations, "two situations share a number"
    assert seen == set(range(WORLD.situations))


def _all_situations():
    state = WORLD.reset(key=KEY)
    rows, columns = WORLD.grid_shape
    for row in range(rows):
        for column in range(columns):
            for has_key in (False, True):
                for unlocked in (False, True):
                    yield state._replace(
                        agent=jnp.array([row, column]), has_key=jnp.array(has_key), unlocked=jnp.array(unlocked)
                    )


def test_a_chunk_and_random_chunks_count_alike():
    config = smoke()
    state, _, counts = train_chunk(config, WORLD, start_training(config, WORLD, key=KEY))
    random, visits = random_chunks(config, WORLD, 3, key=KEY)
    assert set(counts) == set(random)
    steps = config.train.chunk_updates * config.train.env_steps_per_update
    assert int(counts["steps"]) <= steps
    assert all(numbers.shape == (3,) for numbers in random.values())
    assert (random["situations"] <= steps).all()
    assert state.visits.sum() == steps, "one situation a step and world"
    assert (state.visits > 0).sum() == counts["situations"]
    assert visits.sum() == 3 * steps
    assert effective_number(np.array([5, 5, 0, 5])) == pytest.approx(3)
    assert 2 < effective_number(np.array([500, 500, 1])) < 2.1
    assert (random["steps"] <= steps).all()


def test_a_study_compares_agents_over_seeds_and_goes_on(tmp_path, monkeypatch):
    config = smoke()

    def study():
        return run_study(tmp_path, config, WORLD, agents=["random", "plan2explore"], seeds=[0, 1], updates=4)

    rows = study()
    with (tmp_path / "table.csv").open() as file:
        written = list(csv.DictReader(file))
    assert [(row["agent"], row["figure"]) for row in written] == [(row["agent"], row["figure"]) for row in rows]
    for row in written:
        seeds = [float(row["seed_0"]), float(row["seed_1"])]
        assert float(row["mean"]) == pytest.approx(np.mean(seeds), rel=2e-3, abs=1e-6)
        assert float(row["low"]) <= float(row["mean"]) <= float(row["high"])
    assert {row["figure"] for row in written} >= {"exit_reached in test episodes", "situations visited evenly"}
    # What is finished is not trained again.
    monkeypatch.setattr("sensei_lite.training_run.train_chunk", None)
    assert study() == rows


def test_agents_differ_only_in_what_they_want(tmp_path):
    task = agent_config(smoke(), "task")
    assert task.behaviour.reward_weights == (("extrinsic", 1.0),)
    assert dataclasses.replace(task, behaviour=smoke().behaviour) == smoke()
    with pytest.raises(ValueError, match="there is no agent called 'bored'; there are random, plan2explore, task"):
        agent_config(smoke(), "bored")
    with pytest.raises(ValueError, match="there are 1 seeds"):
        run_study(tmp_path, smoke(), WORLD, agents=["task"], seeds=[0], updates=2)
