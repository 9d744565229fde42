"""R_psi: the equation, what may teach and what must check, what is learned, what is kept, what is refused."""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.annotators.data import Preferences
from sensei_lite.config import DistilConfig
from sensei_lite.reward.distil import _minibatches, distil, pair_accuracy, preference_loss
from sensei_lite.reward.metrics import accuracy_against_levels, mean_rewards, stages
from sensei_lite.reward.model import SemanticReward, content_hash, rewards_of
from sensei_lite.reward.split import check_preferences, deduplicate, split_by_episode
from sensei_lite.training.collect import play_observations
from sensei_lite.training.storage import CheckpointError, load_reward, save_reward
from sensei_lite.worlds import KeyRoom

WORLD = KeyRoom(size=5, max_steps=40)
STAGES = ("key_in_view", "key_picked_up", "door_reached_with_key", "door_opened", "exit_reached")
CONFIG = DistilConfig(hidden=32, epochs=8, patience=3, held_out=0.15)
KEY = jax.random.key(0)


def levels_of(observations):
    return sum(number * mask for number, mask in enumerate(stages(observations.facts, STAGES).values(), 1))


def preferences_of(observations, pairs, noise, seed=0):
    """Random pairs, as the paper draws them; a share ``noise`` of the answers is turned round."""
    rng, levels = np.random.default_rng(seed), levels_of(observations)
    first, second = rng.integers(0, len(levels), (2, pairs))
    target = (np.sign(levels[first] - levels[second]) + 1) / 2
    target = np.where(rng.random(pairs) < noise, 1 - target, target)
    return Preferences(observations.images, observations.episode, first, second, target)


@pytest.fixture(scope="module")
def seen():
    return play_observations(WORLD, 64, guided=True, seed=0)


@pytest.fixture(scope="module")
def preferences(seen):
    return preferences_of(seen, 1200, noise=0.1)


@pytest.fixture(scope="module")
def distilled(preferences):
    return distil(preferences, CONFIG, key=KEY)


def toy(pairs=40, episodes=8, seed=0):
    """Pictures that are bright or dark: as easy as it gets."""
    rng = np.random.default_rng(seed)
    bright = rng.integers(0, 256, 60)
    images = np.broadcast_to(bright[:, None, None, None], (60, 40, 40, 3)).astype(np.uint8)
    first, second = rng.integers(0, 60, (2, pairs))
    target = (np.sign(bright[first] - bright[second]) + 1) / 2
    return Preferences(images, np.arange(60) % episodes, first, second, target)


# --- the equation -----------------------------------------------------------------------------------------------------


def test_the_loss_is_the_cross_entropy_of_bradley_and_terry():
    a, b, y = (jax.random.normal(jax.random.fold_in(KEY, i), (50,)) * 3 for i in range(3))
    y = jax.nn.sigmoid(y)
    log_p = jax.nn.log_softmax(jnp.stack([a, b], -1))
    expected = -(y * log_p[:, 0] + (1 - y) * log_p[:, 1]).mean()
    assert preference_loss(a, b, y) == pytest.approx(float(expected), rel=1e-5)
    assert preference_loss(b, a, 1 - y) == pytest.approx(float(expected), rel=1e-5), "the order of a pair says nothing"
    assert preference_loss(a + 7, b + 7, y) == pytest.approx(float(expected), rel=1e-4), "a constant says nothing"
    huge = preference_loss(jnp.array([500.0]), jnp.array([-500.0]), jnp.array([0.0]))
    assert huge == pytest.approx(1000.0), "no overflow"


def test_the_gradient_is_the_error_of_the_predicted_probability():
    for d, y in ((0.0, 1.0), (2.0, 0.0), (-1.5, 0.5)):

        def loss(a, b, y=y):
            return preference_loss(a[None], b[None], jnp.array([y]))

        by_a, by_b = jax.grad(loss, (0, 1))(jnp.array(d), jnp.array(0.0))
        assert by_a == pytest.approx(1 / (1 + np.exp(-d)) - y, abs=1e-6)
        assert by_b == -by_a


def test_a_tie_pulls_together_and_is_best_where_both_are_equal():
    d = jnp.linspace(-3, 3, 61)
    losses = jax.vmap(lambda d: preference_loss(d[None], jnp.zeros(1), jnp.array([0.5])))(d)
    assert losses.argmin() == 30
    assert losses[30] == pytest.approx(np.log(2))


def test_pair_accuracy_leaves_ties_out_and_gives_half_a_point_for_no_difference():
    assert pair_accuracy(np.array([1.0, -2.0, 3.0, 0.0, 9.0]), np.array([1, 0, 0, 1, 0.5])) == 2.5 / 4
    assert np.isnan(pair_accuracy(np.ones(2), np.full(2, 0.5)))


# --- what teaches and what checks -------------------------------------------------------------------------------------


def test_no_picture_of_a_held_out_episode_is_learned_from(preferences):
    split = split_by_episode(preferences, 0.15, key=KEY)
    ends = np.stack([preferences.episode[preferences.first], preferences.episode[preferences.second]])
    held = np.isin(ends, split.episodes)
    assert len(split.episodes) == round(0.15 * 64)
    assert not held[:, split.train].any()
    assert held[:, split.held_out].any(0).all()
    assert held[:, split.unseen].all()
    assert 0 < len(split.unseen) < len(split.held_out)
    assert sorted([*split.train, *split.held_out]) == list(range(1200)), "no answer is thrown away"


def test_equal_pictures_count_as_one():
    """The same picture in two episodes: held out under one number, it must not teach under another."""
    given = toy()
    twice = given._replace(
        images=np.concatenate([given.images] * 2),
        episode=np.concatenate([given.episode, given.episode + 8]),
        second=given.second + 60,
    )
    twice = deduplicate(twice)
    split = split_by_episode(twice, 0.15, key=KEY)
    assert len(split.episodes) == 1
    bright = given.images[:, 0, 0, 0]
    held = bright[np.isin(given.episode, split.episodes)]
    taught = bright[np.union1d(given.first[split.train], given.second[split.train])]
    only_there = np.setdiff1d(held, bright[~np.isin(given.episode, split.episodes)])
    assert len(only_there)
    assert not np.isin(taught, only_there).any()


def test_every_training_pair_is_drawn_once_an_epoch():
    pairs = np.arange(100, 137)
    order, steps = _minibatches(pairs, 4, 50, np.random.default_rng(0))
    assert (order.shape, steps) == ((12, 4), 9)
    drawn = order[:steps].ravel()
    assert len(set(drawn)) == 36
    assert set(drawn) < set(pairs)
    order, steps = _minibatches(pairs, 64, 50, np.random.default_rng(0))
    assert (order.shape, steps) == ((1, 37), 1), "fewer pairs than a minibatch are one"


# --- what is learned --------------------------------------------------------------------------------------------------


def test_it_ranks_situations_in_rooms_it_has_never_seen(seen, preferences, distilled):
    levels, held = levels_of(seen), distilled.split.held_out
    first, second = preferences.first[held], preferences.second[held]
    ceiling = pair_accuracy(levels[first] - levels[second], preferences.target[held])
    assert 0.8 < ceiling < 0.97, "the annotator is noisy"
    assert distilled.held_out.accuracy > ceiling - 0.07
    assert distilled.held_out.pairs == len(held)
    fresh = play_observations(WORLD, 40, guided=True, seed=1)
    rewards = rewards_of(distilled.reward, fresh.images)
    means = [one.mean for one in mean_rewards(rewards, fresh.episode, stages(fresh.facts, STAGES)).values()]
    in_view, holding, at_door, opened, _ = means
    assert in_view < holding < at_door < opened
    assert accuracy_against_levels(rewards, levels_of(fresh)) > 0.9


def test_the_weights_are_those_of_the_best_epoch(distilled):
    losses = [epoch.held_out_loss for epoch in distilled.history]
    assert distilled.best.number == np.argmin(losses) + 1
    assert distilled.held_out.loss == pytest.approx(min(losses), rel=1e-5)
    assert distilled.history[-1].train_loss < distilled.history[0].train_loss < np.log(2) + 0.1


def test_it_stops_when_held_out_pairs_say_so(preferences):
    """Answers that mean nothing: learning them by heart makes held-out pairs worse, and training ends early."""
    rng = np.random.default_rng(99)
    coins = preferences._replace(target=rng.integers(0, 2, len(preferences.target)).astype(float))
    heard = []
    config = dataclasses.replace(CONFIG, epochs=30, patience=2)
    result = distil(coins, config, progress=heard.append, key=KEY)
    assert heard == result.history
    assert len(heard) == result.best.number + 2 < 30
    assert abs(result.held_out.accuracy - 0.5) < 0.12


def test_its_scale_is_that_of_the_pictures_it_was_taught_with(preferences, distilled):
    taught = np.union1d(preferences.first[distilled.split.train], preferences.second[distilled.split.train])
    same = {image.tobytes(): i for i, image in enumerate(preferences.images[taught])}
    rewards = rewards_of(distilled.reward, preferences.images[taught][list(same.values())])
    assert rewards.mean() == pytest.approx(0, abs=1e-3)
    assert rewards.std() == pytest.approx(1, abs=1e-3)


def test_the_same_key_gives_the_same_and_turned_pairs_teach_the_same():
    given = toy()
    turned = given._replace(first=given.second, second=given.first, target=1 - given.target)
    config = dataclasses.replace(CONFIG, epochs=3)
    one, again, other = (distil(p, config, key=KEY).reward for p in (given, given, turned))
    assert content_hash(one) == content_hash(again)
    np.testing.assert_allclose(rewards_of(one, given.images), rewards_of(other, given.images), atol=1e-2)


@pytest.mark.parametrize(
    "config",
    [
        DistilConfig(hidden=16, depth=4, epochs=10, batch=8),
        DistilConfig(encoder="cnn", hidden=32, depth=4, epochs=10, batch=8, learning_rate=1e-3),
    ],
)
def test_both_networks_learn_what_is_easy(config):
    given = toy(pairs=150)
    reward = distil(given, config, key=KEY).reward
    assert accuracy_against_levels(rewards_of(reward, given.images), given.images[:, 0, 0, 0]) > 0.95


# --- the networks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["patch", "cnn"])
def test_it_is_a_pure_function_of_any_axes_of_pictures(encoder):
    config = DistilConfig(encoder=encoder, hidden=16, depth=4)
    reward = SemanticReward(config, (40, 48, 3), key=KEY)
    images = np.asarray(jax.random.randint(KEY, (2, 3, 40, 48, 3), 0, 256)).astype(np.uint8)
    values = reward(images)
    assert values.shape == (2, 3)
    np.testing.assert_allclose(jax.jit(jax.vmap(lambda x: reward(x)))(images), values, atol=1e-5)
    np.testing.assert_allclose(rewards_of(reward, images.reshape(6, 40, 48, 3), chunk=4), values.ravel(), atol=1e-5)
    assert len(set(np.asarray(values).ravel().tolist())) == 6
    for wrong in (images[:, :, :32], images.astype(np.int32)):
        with pytest.raises((ValueError, TypeError), match=r"uint8|UInt8"):
            reward(wrong)


def test_the_patch_network_finds_a_thing_at_every_place():
    reward = SemanticReward(DistilConfig(hidden=16, depth=4), (64, 64, 3), key=KEY)
    thing = np.asarray(jax.random.randint(KEY, (16, 16, 3), 0, 256)).astype(np.uint8)
    images = np.full((4, 64, 64, 3), 90, np.uint8)
    for image, (row, column) in zip(images, ((16, 16), (24, 16), (32, 24), (20, 16)), strict=True):
        image[row : row + 16, column : column + 16] = thing
    here, below, far, off_grid = rewards_of(reward, images)
    assert here == pytest.approx(below, abs=1e-5)
    assert here == pytest.approx(far, abs=1e-5)
    assert here != pytest.approx(off_grid, abs=1e-3)


def test_the_cnn_is_the_research_codes():
    """The same numbers from Equinox's own layers, and the published sizes."""
    reward = SemanticReward(DistilConfig(encoder="cnn", hidden=512), (64, 64, 3), key=KEY)
    network = reward.network
    assert [kernel.shape for kernel in network.kernels] == [(8, 8, 3, 16), (4, 4, 16, 32), (3, 3, 32, 64)]
    assert [layer.weight.shape for layer in network.dense] == [(256, 64), (512, 256), (1, 512)]
    for weight in [kernel.reshape(-1, kernel.shape[-1]) for kernel in network.kernels] + [network.dense[1].weight]:
        np.testing.assert_allclose(weight.T @ weight, np.eye(weight.shape[1]), atol=1e-5)
    image = np.asarray(jax.random.randint(KEY, (64, 64, 3), 0, 256)).astype(np.uint8)
    x = jnp.asarray(image, jnp.float32).transpose(2, 0, 1) / 255 - 0.5
    for kernel, stride in zip(network.kernels, (4, 2, 2), strict=True):
        layer = eqx.nn.Conv2d(*kernel.shape[2:], kernel.shape[0], stride, use_bias=False, key=KEY)
        x = jax.nn.elu(eqx.tree_at(lambda layer: layer.weight, layer, kernel.transpose(3, 2, 0, 1))(x))
    x = eqx.nn.MaxPool2d(2, 2)(x).ravel()
    for layer in network.dense[:-1]:
        x = jax.nn.relu(layer(x))
    assert reward(image) == pytest.approx(float(network.dense[-1](x)[0]), abs=1e-5)


# --- files ------------------------------------------------------------------------------------------------------------


def test_it_survives_a_folder(tmp_path, distilled):
    name = save_reward(tmp_path / "new" / "reward", distilled.reward)
    again = load_reward(tmp_path / "new" / "reward")
    assert name == content_hash(again) == content_hash(distilled.reward)
    assert eqx.tree_equal(again, distilled.reward)
    assert sorted(path.name for path in (tmp_path / "new" / "reward").iterdir()) == ["reward.json", "weights.npz"]
    moved = eqx.tree_at(lambda r: r.mean, again, again.mean + 1e-6)
    assert content_hash(moved) != name


def test_folders_that_hold_no_reward_say_why(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_reward(tmp_path / "none")
    small, large = (SemanticReward(DistilConfig(hidden=size), (16, 16, 3), key=KEY) for size in (8, 12))
    save_reward(tmp_path, small)
    whole, settings = (tmp_path / "weights.npz").read_bytes(), (tmp_path / "reward.json").read_text()
    for damaged in (b"", b"not weights", whole[: len(whole) // 2]):
        (tmp_path / "weights.npz").write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"weights\.npz"):
            load_reward(tmp_path)
    save_reward(tmp_path / "large", large)
    (tmp_path / "weights.npz").write_bytes((tmp_path / "large" / "weights.npz").read_bytes())
    with pytest.raises(CheckpointError, match=r"weights\.npz: .* is float32 \(12"):
        load_reward(tmp_path)
    save_reward(tmp_path / "other", SemanticReward(DistilConfig(hidden=8), (16, 16, 3), key=jax.random.key(1)))
    (tmp_path / "weights.npz").write_bytes((tmp_path / "other" / "weights.npz").read_bytes())
    with pytest.raises(CheckpointError, match="other weights than those"):
        load_reward(tmp_path)
    for wrong, word in (
        ("{", "does not describe"),
        (settings.replace('"hidden"', '"hiden"'), "hiden"),
        (json.dumps(json.loads(settings) | {"format": 9}), "format 9"),
    ):
        (tmp_path / "reward.json").write_text(wrong)
        with pytest.raises(CheckpointError, match=word):
            load_reward(tmp_path)


# --- what is refused --------------------------------------------------------------------------------------------------

NOTHING = np.zeros(0, np.int64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first": NOTHING, "second": NOTHING, "target": np.zeros(0)}, "there are no pairs"),
        ({"target": np.full(40, 0.5)}, "all 40 answers are ties"),
        ({"target": np.where(np.arange(40) < 9, 0.5, 1.0)}, "the first picture was preferred in all 31 .* both orders"),
        ({"target": np.zeros(40)}, "the second picture was preferred in all 40 .* position bias"),
        ({"target": np.full(40, 1.5)}, "target must be between 0 and 1"),
        ({"target": np.full(40, np.nan)}, "target must be between 0 and 1"),
        ({"target": np.ones(39)}, "they must agree"),
        ({"second": np.full(40, 60)}, "preferences.second points at picture 60"),
        ({"images": np.zeros((60, 40, 40, 3), np.float32)}, r"pictures must be uint8 .* float32"),
        ({"images": np.zeros((60, 40, 40, 1), np.uint8)}, r"pictures must be uint8 .* \[60, 40, 40, 1\]"),
        ({"images": np.zeros((60, 40, 41, 3), np.uint8)}, "40 x 41 does not fit the patch encoder"),
        ({"images": np.zeros((60, 40, 40, 3), np.uint8)}, "all pairs are from 1 episode"),
        ({"episode": np.zeros(60, np.int64)}, "all pairs are from 1 episode"),
        ({"episode": np.arange(60)}, None),
    ],
)
def test_preferences_that_teach_nothing_say_why(change, message):
    given = toy()._replace(**change)
    if message is None:
        check_preferences(given)
        return
    with pytest.raises(ValueError, match=message):
        distil(given, dataclasses.replace(CONFIG, epochs=1), key=KEY)


def test_a_split_that_leaves_nothing_to_learn_from_is_refused():
    images = toy().images
    across = Preferences(images, np.arange(60) % 2, np.arange(0, 40, 2), np.arange(1, 41, 2), np.arange(20) % 2 / 1)
    with pytest.raises(ValueError, match="no pair is left to learn from when 1 of 2 episodes"):
        distil(across, CONFIG, key=KEY)


@pytest.mark.parametrize("change", [{"batch": 0}, {"weight_decay": -1.0}, {"held_out": 1.0}, {"learning_rate": 0.0}])
def test_settings_that_cannot_work_are_refused(change):
    (name,) = change
    with pytest.raises(ValueError, match=f"distil.{name} is"):
        DistilConfig(**change)


def test_pictures_that_all_look_alike_have_no_scale():
    reward = SemanticReward(DistilConfig(hidden=8), (16, 16, 3), key=KEY)
    with pytest.raises(ValueError, match="says the same of all 3 pictures"):
        reward.standardised(np.zeros((3, 16, 16, 3), np.uint8))


def test_pictures_too_small_for_the_cnn_are_refused():
    with pytest.raises(ValueError, match="35 x 60 does not fit the cnn encoder"):
        SemanticReward(DistilConfig(encoder="cnn"), (35, 60, 3), key=KEY)
