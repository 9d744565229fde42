"""Pictures to ask about: whole episodes, in order, with the truth beside them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.annotators.data import join_observations, load_observations, save_observations
from sensei_lite.training.collect import play_observations
from sensei_lite.worlds import KeyChest, KeyRoom, Tabletop
from sensei_lite.worlds.grid.oracle import shortest_plan

WORLD = KeyRoom(size=5, max_steps=30)


@pytest.fixture(scope="module")
def guided():
    return play_observations(WORLD, 70, guided=True, seed=0)


def test_every_picture_has_its_place_and_its_facts(guided):
    assert guided.images.dtype == np.uint8
    assert guided.images.shape[1:] == WORLD.image_shape
    assert len(guided.images) == len(guided.episode) == len(guided.t)
    assert all(len(values) == len(guided.images) for values in guided.facts.values())
    starts = np.flatnonzero(guided.t == 0)
    assert guided.episode[starts].tolist() == list(range(70)), "every episode once, in order, over blocks too"
    steps = np.diff(guided.t)
    assert set(steps[guided.t[1:] > 0]) == {1}, "no step is left out"


def test_episodes_end_where_the_world_ended_them(guided):
    last = np.append(guided.t[1:] == 0, True)
    assert (guided.facts["exit_reached"][last] | (guided.t[last] == WORLD.max_steps)).all()
    assert not guided.facts["exit_reached"][~last].any()


def test_guided_play_shows_more_than_random_play(guided):
    random = play_observations(WORLD, 70, guided=False, seed=0)
    assert guided.facts["exit_reached"].sum() > 2 * random.facts["exit_reached"].sum()
    assert all(values.any() for values in guided.facts.values()), "every situation is in the pictures"


def test_a_guide_at_the_desk_has_another_purpose_in_every_episode():
    world = Tabletop(max_steps=60)
    random, guided = (play_observations(world, 64, guided=known, seed=0) for known in (False, True))

    def episodes(seen, fact):  # not pictures: a lamp that chance has switched on stays on
        return set(seen.episode[seen.facts[fact]].tolist())

    for fact in ("light_on", "ball_lifted", "block_lifted", "drawer_opened"):
        assert len(episodes(guided, fact)) > 2 * len(episodes(random, fact)), fact
    opened, lifted = episodes(guided, "drawer_opened"), episodes(guided, "ball_lifted")
    assert opened
    assert lifted
    assert not opened & lifted


@pytest.mark.parametrize("world", [KeyRoom(size=5), KeyChest()])
def test_the_guide_takes_a_shortest_way(world):
    state = jax.jit(lambda key: world.reset(key=key))(jax.random.key(3))
    expert = jax.jit(lambda s: world.expert(s, jnp.int32(0)))(state)
    step = jax.jit(lambda s, a: world.step(s, a, key=jax.random.key(0)))
    for left in range(len(shortest_plan(world, state)), 0, -1):
        result = step(state, expert(state))
        assert bool(result.terminated) == (left == 1)
        state = result.state


def test_observations_survive_a_file(tmp_path, guided):
    some = guided.choose(guided.facts["door_opened"])
    save_observations(tmp_path / "new" / "observations.npz", some)
    again = load_observations(tmp_path / "new" / "observations.npz")
    jax.tree.map(np.testing.assert_array_equal, some, again)
    both = join_observations([some, again])
    assert len(both.t) == 2 * len(some.t)


def test_a_file_that_holds_no_observations_is_named(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_observations(tmp_path / "none.npz")
    path = tmp_path / "words.npz"
    path.write_text("words")
    with pytest.raises(ValueError, match=r"words.npz holds no observations"):
        load_observations(path)
    np.savez(path, images=np.zeros(3))
    with pytest.raises(ValueError, match="format None"):
        load_observations(path)


def test_play_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="episodes is 0"):
        play_observations(WORLD, 0, guided=False, seed=0)

    class Unsolved(KeyRoom):
        purposes = ()

    with pytest.raises(ValueError, match="Unsolved has no expert"):
        play_observations(Unsolved(), 1, guided=True, seed=0)
