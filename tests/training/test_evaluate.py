"""Agents are judged by whole episodes, and seeds by their spread."""

import csv
import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.agent import state as agents
from sensei_lite.presets import smoke
from sensei_lite.training import evaluate, side_by_side
from sensei_lite.training.evaluate import (
    over_seeds,
    perplexity,
    play_episodes,
    play_random_episodes,
    share_curve,
    steps_to_success,
    training_measures,
)
from sensei_lite.training.jax_loop import add_up, random_chunks, start_training, train_chunk
from sensei_lite.training.pipeline import load_explorer
from sensei_lite.training.plan import StudyPlan
from sensei_lite.training.storage import RunError
from sensei_lite.training.study import ANNOTATIONS, run_study
from sensei_lite.worlds import KeyRoom, make_world, reset_batch
from sensei_lite.worlds.grid.oracle import shortest_plan

WORLD = KeyRoom(size=4, decorations=0, max_steps=12)
KEY = jax.random.key(0)


def test_only_the_first_episode_of_each_world_counts(monkeypatch):
    """An agent that knows the way in half of the worlds, and stands still in the others, succeeds in half of them."""
    episodes = 8
    begin_key, _ = jax.random.split(KEY)
    states, _ = reset_batch(WORLD, keys=jax.random.split(begin_key, episodes))
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


def test_the_interval_is_that_of_the_interquartile_mean():
    values = [0.2, 0.5, 0.4, 9.0, 0.6]
    summary = over_seeds(values)
    assert summary.iqm == pytest.approx(0.5), "the lowest and the highest of five are left out"
    # The bootstrap by hand, with other random numbers: both estimate the same quantiles.
    drawn = np.random.default_rng(7).choice(values, (20_000, 5))
    means = np.sort(drawn, 1)[:, 1:4].mean(1)
    assert (summary.low, summary.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=0.1)
    assert summary.seeds == 5
    assert over_seeds([2.0, 2.0, 2.0])[:3] == (2.0, 2.0, 2.0)
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
    assert perplexity(np.array([5, 5, 0, 5])) == pytest.approx(3)
    assert 2 < perplexity(np.array([500, 500, 1])) < 2.1
    assert (random["steps"] <= steps).all()


@pytest.fixture
def study(tmp_path):
    """A function that runs a small study of some agents in one folder."""
    settings = {"size": 4, "decorations": 0, "max_steps": 12}

    def run(*names):
        return run_study(tmp_path, StudyPlan(names, "keyroom", settings, "smoke", updates=40, seeds=2, first_seed=0))

    return run


def test_a_study_compares_agents_over_seeds_and_goes_on(study, tmp_path, monkeypatch):
    names = ("random", "plan2explore")
    rows = study(*names)
    with (tmp_path / "table.csv").open() as file:
        written = list(csv.DictReader(file))
    assert [(row["agent"], row["measure"]) for row in written] == [(row["agent"], row["measure"]) for row in rows]
    assert {row["agent"] for row in written} == set(names)
    for row in written:
        seeds = [float(row["seed_0"]), float(row["seed_1"])]
        assert float(row["iqm"]) == pytest.approx(np.mean(seeds), rel=2e-3, abs=1e-6)
        assert float(row["low"]) <= float(row["iqm"]) <= float(row["high"])
    assert {row["measure"] for row in written} >= {"exit_reached in test episodes", "situations visited evenly"}
    # What is finished is not trained again, wherever its run folder is.
    monkeypatch.setattr("sensei_lite.training.run.train_chunk", None)
    for seed in (0, 1):
        shutil.rmtree(tmp_path / f"seed-{seed}")
    assert study(*names) == rows
    with (tmp_path / "curves.csv").open() as file:
        curves = list(csv.DictReader(file))
    assert {(row["agent"], row["seed"]) for row in curves} == {(name, seed) for name in names for seed in "01"}
    assert {row["event"] for row in curves} == set(WORLD.event_names)
    # Rows of longer runs are not mixed with these.
    longer = StudyPlan(names, "keyroom", {"size": 4, "decorations": 0, "max_steps": 12}, "smoke", updates=80, seeds=2)
    with pytest.raises(RunError, match="updates was 40 and is 80"):
        run_study(tmp_path, longer)
    assert all(0 <= float(row["share"]) <= 1 for row in curves)


@pytest.mark.slow
def test_a_study_of_several_processes_measures_the_same(tmp_path):
    settings = {"size": 4, "decorations": 0, "max_steps": 12}
    names = ("random", "plan2explore", "sensei+experience:scripted")
    order = StudyPlan(names, "keyroom", settings, "smoke", updates=40, seeds=2, first_seed=0)
    alone = run_study(tmp_path / "alone", order)
    together = run_study(tmp_path / "together", dataclasses.replace(order, jobs=2))
    assert together == alone
    assert "sensei+experience:scripted" in {row["agent"] for row in alone}
    settings = json.loads(
        (tmp_path / "alone" / "seed-0" / "scripted" / "sensei+experience" / "config.json").read_text()
    )
    assert settings["agent"]["switch"]["threshold"] == "experience"


@pytest.mark.slow
def test_a_study_distils_an_r_psi_for_every_seed_and_annotator(study, tmp_path):
    told = {(row["agent"], row["measure"]): row for row in study("sensei:scripted", "task-after-sensei:scripted")}
    assert 0 <= told["sensei:scripted", "share of dreams explored at the end"]["low"] <= 1
    assert 0.5 < told["sensei:scripted", "R_psi orders situations"]["low"] <= 1
    assert 0 < told["sensei:scripted", "ties among the judgements"]["low"] < 1
    assert ("task-after-sensei:scripted", "ties among the judgements") not in told
    # The agent that learned from the truth has an R_psi of its own, from the seed's own pictures.
    ours = tmp_path / "seed-1" / "scripted"
    assert (ours / "sensei" / "semantic_reward" / "reward.json").exists()
    assert (ours / "collect.json").read_bytes() == (tmp_path / "seed-1" / "collect.json").read_bytes()


@pytest.mark.slow
def test_a_study_can_train_its_seeds_side_by_side(tmp_path, monkeypatch):
    settings, names = {"size": 4, "decorations": 0, "max_steps": 12}, ("plan2explore", "sensei:scripted", "task")

    def study(folder, **changes):
        order = StudyPlan(names, "keyroom", settings, "smoke", updates=40, seeds=2, first_seed=0)
        return run_study(tmp_path / folder, dataclasses.replace(order, **changes))

    programs, train_seeds = [], side_by_side.train_seeds
    monkeypatch.setattr(side_by_side, "train_seeds", lambda *a: (programs.append(a[2].steps.shape), train_seeds(*a))[1])
    together = study("together", side_by_side=True)
    assert programs == [(2,)] * 2 * (40 // smoke().train.chunk_updates), "two explorers, each with both seeds at once"
    alone = {(row["agent"], row["measure"]): row for row in study("alone")}
    assert {(row["agent"], row["measure"]) for row in together} == set(alone)
    for row in together:
        if row["agent"] == "plan2explore" and row["measure"].endswith("per 1000 steps"):
            other = alone["plan2explore", row["measure"]]
            assert [row["seed_0"], row["seed_1"]] == pytest.approx([other["seed_0"], other["seed_1"]], abs=25)
    # Each folder is a run like any other: it can be loaded, and is not trained again.
    for seed in (0, 1):
        agent = load_explorer(tmp_path / "together" / f"seed-{seed}" / "scripted", "sensei")
        assert int(agent.agent.updates) == 40
        assert int(agent.steps) > 0
    programs.clear()
    assert study("together", side_by_side=True) == together
    assert not programs
    # Only what is not finished is trained.
    shutil.rmtree(tmp_path / "together" / "seed-1" / "plan2explore")
    study("together", side_by_side=True, agents=("plan2explore",))
    assert set(programs) == {(1,)}
    with pytest.raises(ValueError, match="updates is 41; it must be a multiple of chunk_updates"):
        study("odd", side_by_side=True, updates=41)


@pytest.mark.parametrize(("annotation", "world"), [("door-lover", "keyroom"), ("handler", "tabletop-numbers")])
def test_tastes_of_ones_own_are_made_of_the_worlds_facts(annotation, world):
    levels = ANNOTATIONS[annotation]["annotator_settings"]["levels"]
    made = make_world(world)
    facts = made.facts(made.reset(key=KEY))
    assert len(set(levels)) == len(levels)
    assert set(levels) <= set(facts)


def test_a_study_refuses_what_it_does_not_know(tmp_path):
    def study(**changes):
        order = StudyPlan(("task",), "keyroom", preset="smoke", updates=2, seeds=2, first_seed=0)
        return run_study(tmp_path, dataclasses.replace(order, **changes))

    with pytest.raises(ValueError, match="there are 1 seeds"):
        study(seeds=1)
    with pytest.raises(ValueError, match="no agent called 'bored'"):
        study(agents=("bored",))
    with pytest.raises(ValueError, match="no annotation called 'rude'"):
        study(agents=("sensei:rude",))
    with pytest.raises(ValueError, match="no variant called 'loud'; there are experience"):
        study(agents=("sensei+loud",))
    with pytest.raises(ValueError, match="plan2explore asks nobody"):
        study(agents=("plan2explore:llava",))
    assert not list(tmp_path.iterdir())


def test_steps_to_success_are_counted_from_the_first_good_window():
    def chunk(steps, rewarded, episodes):
        # Three rewards in an episode are no three episodes.
        counts = {"reward": 3.0 * rewarded, "episodes with rewarded": float(rewarded)}
        return counts | {"steps": float(steps), "episodes": float(episodes)}

    chunks = [chunk(100, 0, 10), chunk(100, 5, 10), chunk(100, 9, 10), chunk(100, 10, 10), chunk(100, 2, 10)]
    assert steps_to_success(chunks, 0.8, window=1) == 300
    assert steps_to_success(chunks, 0.8, window=2) == 400
    assert steps_to_success(chunks, 0.96, window=2) == 500, "never: longer than the run"
    assert steps_to_success([chunk(100, 0, 0)], 0.8, window=1) == 100, "no episode ended"


def test_an_event_is_measured_by_episodes_by_its_first_time_and_by_how_early_it_comes():
    def chunk(episodes, with_door, doors):
        counts = {"steps": 100.0, "episodes": float(episodes), "reward": 0.0, "episodes with rewarded": 0.0}
        return counts | {"door_opened": float(doors), "episodes with door_opened": float(with_door)}

    chunks = [chunk(2, 0, 0)] * 4 + [chunk(2, 0, 3)] + [chunk(0, 0, 0)] + [chunk(4, 1, 2)] * 2 + [chunk(10, 10, 10)] * 2
    measures = training_measures(chunks, ["door_opened"])
    assert measures["door_opened in training episodes"] == pytest.approx(22 / 38)
    assert measures["door_opened in the last fifth of training"] == 1.0
    assert measures["door_opened first step"] == 500
    # Ten slices of a chunk each; where no episode ended the share is the one before.
    assert measures["door_opened area under the curve"] == pytest.approx((0.25 + 0.25 + 1 + 1) / 10)
    steps, shares = share_curve(chunks, "door_opened", slices=5)
    assert steps.tolist() == [200, 400, 600, 800, 1000]
    assert shares.tolist() == [0, 0, 0, 0.25, 1]
    never = training_measures([chunk(2, 0, 0)] * 3, ["door_opened"])
    assert never["door_opened first step"] == 300, "all steps of the run"
    assert never["door_opened area under the curve"] == 0
    # More doors in the same episodes are more per step, and no more episodes.
    assert training_measures([chunk(2, 1, 9)], ["door_opened"])["door_opened per 1000 steps"] == 90


def test_a_chunk_counts_the_episodes_in_which_an_event_happened_once():
    """Events of an episode that goes over the seam of two chunks, or of two in a row, stay with their own."""
    world = KeyRoom(size=4, decorations=0, max_steps=30)
    config = smoke()
    counts, _ = random_chunks(config, world, 400, key=KEY)
    total = {name: float(values.sum()) for name, values in counts.items()}
    assert total["episodes"] > 30
    for name in world.event_names:
        assert 0 < total[f"episodes with {name}"] <= min(total["episodes"], total[name] + config.train.envs), name
    # The agent stands still on no event: a key is picked up at most once in an episode, and who has it keeps it.
    running = config.train.envs
    assert total["key_picked_up"] - running <= total["episodes with key_picked_up"] <= total["key_picked_up"]
    assert total["episodes with rewarded"] == total["exit_reached"] == total["reward"]
