"""The worlds keep Gymnasium's contract, and say what was wrong when a caller does not."""

import warnings

import gymnasium
import matplotlib
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import sensei_lite  # noqa: F401  (registers the ids)
from sensei_lite.worlds import KeyRoom
from sensei_lite.worlds.gym_env import WorldEnv, WorldVectorEnv

IDS = ["SenseiLite/KeyRoom-v0", "SenseiLite/KeyChest-v0", "SenseiLite/Tabletop-v0"]


@pytest.mark.parametrize("name", IDS)
def test_gymnasiums_own_check_passes_without_a_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(name, render_mode="rgb_array").unwrapped)


def rollout(env, seed, steps=30):
    image, _ = env.reset(seed=seed)
    env.action_space.seed(seed)
    images, rest = [image], []
    for _ in range(steps):
        image, reward, terminated, truncated, info = env.step(env.action_space.sample())
        images.append(image)
        rest.append((reward, terminated, truncated, tuple(info["events"].items())))
        if terminated or truncated:
            images.append(env.reset()[0])
    return np.stack(images), rest


@pytest.mark.parametrize("name", IDS)
def test_a_seed_repeats_everything_after_it(name):
    settings = {"max_steps": 7}  # several episodes: later ones must repeat too
    one, rest = rollout(gymnasium.make(name, **settings), 5)
    same, same_rest = rollout(gymnasium.make(name, **settings), 5)
    other, _ = rollout(gymnasium.make(name, **settings), 6)
    assert (one == same).all()
    assert rest == same_rest
    assert (one != other).any()


def test_numbers_beside_the_picture_are_in_a_dictionary_with_it():
    env = gymnasium.make("SenseiLite/Tabletop-v0", numbers=True, max_steps=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*infinity")  # numbers have no bounds, and Gymnasium finds that odd
        check_env(env.unwrapped, skip_render_check=True)
    seen, _ = env.reset(seed=3)
    assert seen in env.observation_space
    assert (seen["image"] == gymnasium.make("SenseiLite/Tabletop-v0").reset(seed=3)[0]).all()
    vector = gymnasium.make_vec("SenseiLite/Tabletop-v0", num_envs=2, numbers=True)
    assert (vector.reset(seed=3)[0]["vector"][0] == seen["vector"]).all()
    up = np.array([0.0, 0.0, 1.0, 0.0], np.float32)
    after = env.step(up)[0]["vector"] - seen["vector"]
    assert after[2] > 0.1, "the gripper's height"
    assert np.abs(np.delete(after, 2)).max() < 1e-6


def test_a_vector_holds_the_single_environments_side_by_side():
    vector = gymnasium.make_vec(IDS[0], num_envs=3, max_steps=5)
    singles = [gymnasium.make(IDS[0], max_steps=5) for _ in range(3)]
    assert vector.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    images, _ = vector.reset(seed=11)
    for i, env in enumerate(singles):
        assert (env.reset(seed=11 + i)[0] == images[i]).all()
    vector.action_space.seed(0)
    ended = np.zeros(3, bool)
    for _ in range(14):
        actions = vector.action_space.sample()
        images, rewards, terminated, truncated, info = vector.step(actions)
        assert images in vector.observation_space
        for i, env in enumerate(singles):
            if ended[i]:
                image, reward, done, cut, events = env.reset()[0], 0.0, False, False, {}
            else:
                image, reward, done, cut, one_info = env.step(actions[i])
                events = one_info["events"]
            assert (image == images[i]).all()
            assert (reward, done, cut) == (rewards[i], terminated[i], truncated[i])
            assert all(info["events"][event][i] == happened for event, happened in events.items())
            ended[i] = done or cut


def test_a_list_of_seeds_seeds_each_world():
    vector = gymnasium.make_vec(IDS[0], num_envs=2)
    images, _ = vector.reset(seed=[4, 4])
    assert (images[0] == images[1]).all()
    with pytest.raises(ValueError, match="2 worlds, but 3 seeds"):
        vector.reset(seed=[1, 2, 3])


def test_settings_reach_the_world():
    env = gymnasium.make(IDS[0], size=9, view=5, moves=8, tile_pixels=10, image_size=64)
    assert env.observation_space.shape == (64, 64, 3)
    assert env.action_space.n == 9
    assert WorldEnv(KeyRoom(), size=9).world.size == 9


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (2.0, TypeError, "an integer from 0 to 4; got dtype float64"),
        (True, TypeError, "got dtype bool"),
        ("north", TypeError, "got dtype"),
        (np.array([1, 2]), ValueError, r"got shape \(2,\)"),
        (5, ValueError, "from 0 to 4; got 5"),
        (-1, ValueError, "from 0 to 4; got -1"),
    ],
)
def test_a_wrong_action_says_what_was_expected(action, error, message):
    env = WorldEnv("keyroom", max_steps=1)
    env.reset(seed=0)
    with pytest.raises(error, match=message):
        env.step(action)
    assert env.step(0)[3], "the wrong action was no step: the first right one is, and the clock stops after it"


def test_wrong_actions_of_a_vector():
    vector = WorldVectorEnv("keyroom", num_envs=3)
    with pytest.raises(RuntimeError, match=r"call reset\(\)"):
        vector.step(np.zeros(3, int))
    vector.reset(seed=0)
    with pytest.raises(ValueError, match=r"got shape \(2,\) instead of \(3,\)"):
        vector.step(np.zeros(2, int))
    with pytest.raises(TypeError, match="for each of 3 worlds; got dtype float32"):
        vector.step(np.zeros(3, np.float32))


def test_order_of_calls_is_enforced():
    env = WorldEnv("keyroom", max_steps=1)
    with pytest.raises(RuntimeError, match=r"call reset\(\)"):
        env.step(0)
    env.reset(seed=0)
    assert env.step(0)[3]
    with pytest.raises(RuntimeError, match="has ended"):
        env.step(0)


def test_wrong_arguments_of_the_environment():
    with pytest.raises(ValueError, match="render_mode is 'ansi'"):
        WorldEnv("keyroom", render_mode="ansi")
    with pytest.raises(ValueError, match="num_envs is 0"):
        WorldVectorEnv("keyroom", num_envs=0)
    with pytest.raises(ValueError, match="too small"):
        gymnasium.make(IDS[0], size=3, closet=2)


def test_rendering_for_people():
    env = gymnasium.make(IDS[0], render_mode="rgb_array")
    image, _ = env.reset(seed=0)
    assert env.render().shape == (image.shape[0] * 4, image.shape[1] * 4, 3)
    matplotlib.use("Agg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Agg says that it has no window to show
        window = gymnasium.make(IDS[0], render_mode="human")
        image, _ = window.reset(seed=0)
        first = window.unwrapped._screen.get_array().copy()
        while (window.step(window.action_space.sample())[0] == image).all():
            pass
    assert (window.unwrapped._screen.get_array() != first).any()
    window.close()
    assert window.unwrapped._screen is None
