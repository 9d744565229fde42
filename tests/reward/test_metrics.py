"""What is said about R_psi: known values, independent implementations, and a farm that is found."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy import stats

from sensei_lite.annotators.data import Observations, Preferences
from sensei_lite.config import DistilConfig
from sensei_lite.reward.hacking import find_reward_hacks, reward_hack_table
from sensei_lite.reward.metrics import (
    accuracy_against_levels,
    accuracy_interval,
    calibration,
    mean_rewards,
    pairs_needed,
    preference_probabilities,
    stages,
    std_within,
)
from sensei_lite.reward.model import SemanticReward, scores_of

KEY = jax.random.key(0)


def test_spread_within_a_level_is_measured_in_steps_from_level_to_level():
    levels = np.array([0, 0, 1, 1, 2, 2])
    rewards = np.array([0.0, 2.0, 10.0, 12.0, 20.0, 22.0])  # deviation 1 in each level, 10 from one to the next
    assert std_within(rewards, levels) == pytest.approx(0.1)
    assert std_within(3 * rewards - 5, levels) == pytest.approx(0.1)
    assert std_within(levels * 2.0, levels) == 0
    with pytest.raises(ValueError, match="all levels are the same"):
        std_within(rewards, np.zeros(6))


def test_accuracy_against_levels_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    rewards, levels = rng.integers(0, 6, 40).astype(float), rng.integers(0, 4, 40)
    points = [
        (rewards[i] > rewards[j]) + 0.5 * (rewards[i] == rewards[j])
        for i in range(40)
        for j in range(40)
        if levels[i] > levels[j]
    ]
    assert accuracy_against_levels(rewards, levels) == pytest.approx(np.mean(points))
    assert accuracy_against_levels(levels * 2.0, levels) == 1
    assert accuracy_against_levels(-levels * 2.0, levels) == 0
    with pytest.raises(ValueError, match="all levels are the same"):
        accuracy_against_levels(rewards, np.ones(40))


@pytest.mark.parametrize(("right", "pairs"), [(8, 10), (0, 5), (930, 1000)])
def test_the_interval_of_a_share_is_wilsons(right, pairs):
    expected = stats.binomtest(right, pairs).proportion_ci(0.95, "wilson")
    assert accuracy_interval(right / pairs, pairs) == pytest.approx((expected.low, expected.high))


def test_no_pairs_say_nothing_about_a_share():
    assert accuracy_interval(float("nan"), 0) == (0.0, 1.0)


def test_calibration_of_known_answers():
    result = calibration(np.array([0.1, 0.15, 0.9, 1.0]), np.array([0.0, 0.5, 1.0, 0.0]), bins=2)
    np.testing.assert_allclose(result.predicted, [0.125, 0.95])
    np.testing.assert_allclose(result.observed, [0.25, 0.5])
    assert result.pairs.tolist() == [2, 2]
    assert result.error == pytest.approx((0.125 + 0.45) / 2)
    with pytest.raises(ValueError, match="no pairs"):
        calibration(np.zeros(0), np.zeros(0))


def test_answers_drawn_from_the_predictions_are_calibrated():
    rng = np.random.default_rng(1)
    predicted = rng.random(20_000)
    answers = (rng.random(20_000) < predicted).astype(float)
    assert calibration(predicted, answers).error < 0.02
    assert calibration(predicted**3, answers).error > 0.1


def test_predicted_probabilities_come_from_raw_scores():
    """Standardising changes the unit of R_psi, and no probability."""
    reward = SemanticReward(DistilConfig(hidden=8, depth=4), (16, 16, 3), key=KEY)
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3)).astype(np.uint8)
    given = Preferences(images, np.arange(5), np.array([0, 1, 4]), np.array([2, 0, 3]), np.ones(3))
    scores = scores_of(reward, images)
    expected = 1 / (1 + np.exp(scores[[2, 3]] - scores[[0, 4]]))
    for one in (reward, reward.standardised(images)):
        np.testing.assert_allclose(preference_probabilities(one, given, np.array([0, 2])), expected, rtol=1e-4)


def test_a_picture_is_in_the_last_stage_that_is_true():
    facts = {"a": np.array([1, 1, 0, 0], bool), "b": np.array([0, 1, 1, 0], bool)}
    assert {name: mask.tolist() for name, mask in stages(facts, ("a", "b")).items()} == {
        "a": [True, False, False, False],
        "b": [False, True, True, False],
    }


def test_episodes_are_what_is_counted():
    rewards, episode = np.array([1.0, 3.0, 5.0, 5.0, 5.0, 6.0]), np.array([0, 0, 1, 1, 1, 2])
    one = mean_rewards(rewards, episode, {"all": np.ones(6, bool), "none": np.zeros(6, bool)})
    assert set(one) == {"all"}
    expected = stats.ttest_1samp([2.0, 5.0, 6.0], 0).confidence_interval(0.95)
    assert one["all"][:3] == pytest.approx((13 / 3, *expected))
    assert (one["all"].pictures, one["all"].episodes) == (6, 3)
    assert mean_rewards(rewards, episode, {"one": episode == 2})["one"].high == float("inf")


def played(after, episodes=6):
    """Episodes of: nothing, at the door (with the key), the door open (twice), the exit. R_psi of the last three is
    ``after``; each episode has a little more of it.
    """
    stage = np.tile(np.arange(5), episodes)
    number = np.repeat(np.arange(episodes), 5)
    facts = {"at_door": stage == 1, "opened": stage >= 2, "out": stage == 4}
    rewards = np.tile([0.0, 1.0, *after], episodes) + 0.01 * number
    images = np.zeros((len(stage), 8, 8, 3), np.uint8)
    return rewards, Observations(images, number, stage.astype(np.int32), facts)


def look(after, discount=0.9):
    (hack,) = find_reward_hacks(*played(after), [("at_door", "opened")], end="out", discount=discount)
    return hack


def test_a_reward_that_pays_more_for_standing_than_for_opening_is_found():
    hack = look((0.5, 0.5, 0.5))
    assert hack.hackable is True
    assert (hack.stay, hack.go_on) == pytest.approx((10.25, 5.25))
    assert hack.advantage_of_staying.mean == pytest.approx(5)
    assert hack.reward_waiting.mean > hack.reward_after.mean
    assert "YES" in reward_hack_table([hack])


def test_a_reward_that_grows_with_the_event_is_not_called_a_farm():
    hack = look((1.5, 2.0, 9.0))
    assert hack.hackable is False
    assert hack.go_on == pytest.approx(20.25), "nobody can stand at the exit: the episode is over"
    assert hack.finish == pytest.approx(1.5 + 0.9 * 2 + 0.81 * 9 + 0.025 * 2.71)
    assert hack.finish_is_avoided is False
    assert look((1.5, 2.0, 2.0)).finish_is_avoided, "three rewards of 2 are less than 1 for ever"


def test_episodes_that_cannot_tell_say_so():
    assert look((1.0, 1.0, 1.0)).hackable is None, "before and after pay the same"
    rewards, observations = played((0.5, 0.5, 0.5))
    one = observations.episode == 0
    (hack,) = find_reward_hacks(rewards[one], observations.choose(one), [("at_door", "opened")], end="out")
    assert hack.hackable is None
    assert "cannot tell" in reward_hack_table([hack])


def test_where_the_event_ends_the_episode_its_picture_is_what_comes_after():
    rewards, observations = played((0.5, 0.5, 3.0))
    (hack,) = find_reward_hacks(rewards, observations, [("at_door", "out")], end="out", discount=0.9)
    assert hack.go_on == pytest.approx(30.25)
    assert hack.hackable is False


def test_farms_nobody_can_look_for_are_refused():
    rewards, observations = played((1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="no fact 'won'; they know at_door, opened, out"):
        find_reward_hacks(rewards, observations, [("at_door", "won")], end="out")
    never = observations._replace(facts=observations.facts | {"opened": np.zeros(30, bool)})
    with pytest.raises(ValueError, match="nobody waited at 'at_door' or met 'opened'"):
        find_reward_hacks(rewards, never, [("at_door", "opened")], end="out")


def test_more_pairs_teach_more_and_all_sizes_are_checked_alike():
    rng = np.random.default_rng(0)
    level = rng.integers(0, 4, 80)
    images = rng.integers(0, 256, (80, 16, 16, 3)).astype(np.uint8)
    # The level is a corner's brightness; all other pixels are noise.
    images[:, :8, :8] = (level * 80)[:, None, None, None]
    first, second = rng.integers(0, 80, (2, 500))
    given = Preferences(images, np.arange(80) % 20, first, second, (np.sign(level[first] - level[second]) + 1) / 2)
    heard = []
    config = dataclasses.replace(DistilConfig(), hidden=16, depth=8, epochs=6, batch=8)
    few, many = pairs_needed(given, [4, 300], config, progress=heard.append, key=KEY)
    assert heard == [few, many]
    assert (few.pairs, many.pairs) == (4, 300)
    assert many.accuracy > few.accuracy + 0.1
    assert many.accuracy > 0.85
    for one in (few, many):
        assert one.low < one.accuracy <= one.high
    with pytest.raises(ValueError, match=r"sizes has 500; there are \d+ training pairs"):
        pairs_needed(given, [10, 500], config, key=KEY)
