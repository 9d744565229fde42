"""Pairs: no picture with itself, no two pictures twice, and spread as they say."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensei_lite.annotators.data import Observations
from sensei_lite.annotators.pairs import interesting_pairs, random_pairs, spread_pairs


def observations(numbers, episodes=1):
    """A picture for each number; equal numbers make equal pictures."""
    numbers = np.asarray(numbers)
    images = np.zeros((len(numbers), 1, 2, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = numbers % 256, numbers // 256
    episode, t = np.divmod(np.arange(len(numbers)), -(-len(numbers) // episodes) or 1)
    return Observations(images, episode, t, {})


def rewarded(observations, n, seed):
    return interesting_pairs(observations, n, np.random.default_rng(seed).normal(size=len(observations.images)), seed)


KINDS = {"random": random_pairs, "spread": spread_pairs, "interesting": rewarded}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@every_kind
@given(
    numbers=st.lists(st.integers(0, 12), max_size=40),
    episodes=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
@settings(max_examples=80, deadline=None)
def test_no_picture_meets_itself_and_no_two_meet_twice(kind, numbers, episodes, seed, data):
    seen, distinct = observations(numbers, episodes), len(set(numbers))
    total = distinct * (distinct - 1) // 2
    n = data.draw(st.one_of(st.integers(0, total), st.just(total)))
    found = kind(seen, n, seed)
    assert found.shape == (n, 2)
    meetings = [frozenset((numbers[i], numbers[j])) for i, j in found]
    assert all(len(meeting) == 2 for meeting in meetings)
    assert len(set(meetings)) == n
    assert {numbers.index(numbers[i]) for i in found.ravel()} == set(found.ravel())  # the first of equal pictures
    np.testing.assert_array_equal(kind(seen, n, seed), found)
    with pytest.raises(
        ValueError, match=f"{total + 1} pairs are wanted, and {distinct} different pictures .* {total}$"
    ):
        kind(seen, total + 1, seed)
    with pytest.raises(ValueError, match="n is -1"):
        kind(seen, -1, seed)


@every_kind
def test_which_stands_first_is_chance_and_seeds_differ(kind):
    seen = observations(np.arange(300), episodes=10)
    found = kind(seen, 4000, 0)
    assert 0.46 < (found[:, 0] < found[:, 1]).mean() < 0.54
    assert not np.array_equal(kind(seen, 4000, 1), found)


def test_random_pairs_are_uniform_over_observations():
    # Picture 0 was seen six times, the other six once: it is in 36 of the 51 equally likely pairs of unequal pictures.
    seen = observations([0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6])
    drawn = np.concatenate([random_pairs(seen, 1, seed) for seed in range(1000)])
    assert abs((drawn == 0).any(1).mean() - 36 / 51) < 4 * (36 * 15 / 51**2 / 1000) ** 0.5
    # The second pair is drawn as the first was, without what was there.
    rare = np.mean([(random_pairs(seen, 2, seed) != 0).all() for seed in range(1000)])
    assert abs(rare - 15 / 51 * 14 / 50) < 4 * (0.08 / 1000) ** 0.5


def test_all_pairs_are_found_even_where_one_picture_fills_nearly_all_observations():
    seen = observations([*range(30), *[0] * 20_000])
    assert len({frozenset(pair) for pair in random_pairs(seen, 435, 0).tolist()}) == 435


def test_spread_pairs_use_every_picture_before_any_again():
    for pictures in (15, 16):
        for n in range(1, pictures * (pictures - 1) // 2 + 1):
            times = Counter(spread_pairs(observations(np.arange(pictures)), n, seed=n).ravel().tolist())
            if n <= pictures // 2:
                assert set(times.values()) == {1}
            else:
                assert set(times) == set(range(pictures))
            assert max(times.values()) - min(times.values()) <= 2


def test_spread_pairs_cover_episodes_and_times():
    # Twenty episodes, one of which is ten times as long.
    episode = np.concatenate([np.full(500, 0), np.repeat(np.arange(1, 20), 50)])
    t = np.concatenate([np.arange(500), np.tile(np.arange(50), 19)])
    seen = Observations(observations(np.arange(len(t))).images, episode, t, {})
    chosen = spread_pairs(seen, 80, seed=3).ravel()
    assert len(set(chosen)) == 160
    assert set(Counter(episode[chosen]).values()) == {8}
    for number in range(20):
        steps = 500 if number == 0 else 50
        mine = np.sort(t[chosen[episode[chosen] == number]])
        gaps = np.diff(mine)
        assert len(set(gaps)) <= 3, "three gaps, of which the largest is the sum of the others"
        assert max(gaps) <= 2.7 * min(gaps)
        assert max(mine[0], steps - mine[-1]) <= max(gaps)
    by_chance = random_pairs(seen, 80, seed=3).ravel()
    assert len(set(by_chance)) < 160
    assert len(set(Counter(episode[by_chance]).values())) > 1


def test_interesting_pairs_hold_a_picture_e_times_as_often_for_one_more_of_r_psi():
    """Of 400 pictures a few are interesting, and each was seen once; few pairs, so that none runs out."""
    rewards = np.zeros(400)
    rewards[:40] = 1.0
    held = [interesting_pairs(observations(range(400)), 60, rewards, seed) for seed in range(60)]
    share = np.mean(np.concatenate(held) < 40)
    assert share == pytest.approx(40 * np.e / (40 * np.e + 360), abs=0.02)


def test_rewards_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="there are 2 rewards and 3 observations"):
        interesting_pairs(observations(range(3)), 1, np.zeros(2), 0)
    with pytest.raises(ValueError, match="must be finite"):
        interesting_pairs(observations(range(3)), 1, np.array([0.0, np.nan, 0.0]), 0)


def test_what_is_no_picture_is_refused():
    wrong = Observations(np.zeros((3, 2, 2, 3), np.uint8)[..., :1], np.zeros(3, int), np.arange(3), {})
    with pytest.raises(ValueError, match=r"\[3, 2, 2, 1\]"):
        random_pairs(wrong, 1, 0)
