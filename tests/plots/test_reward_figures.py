"""Figures of R_psi show what R_psi says, at the places where an agent can be."""

import io

import jax
import numpy as np
import pytest

from sensei_lite.config import DistilConfig
from sensei_lite.plots.reward import (
    SITUATIONS,
    calibration_figure,
    episode_figure,
    landscape_figure,
    learning_figure,
    pairs_figure,
    reward_landscape,
    situation_figure,
)
from sensei_lite.reward.distil import Epoch
from sensei_lite.reward.metrics import Calibration, Estimate, Learned
from sensei_lite.reward.model import SemanticReward
from sensei_lite.worlds import KeyChest, KeyRoom
from sensei_lite.worlds.grid.oracle import shortest_plan

WORLD = KeyRoom(size=4, decorations=0)
KEY = jax.random.key(3)


def fresh_reward(world):
    return SemanticReward(DistilConfig(hidden=8, depth=4), world.image_shape, key=KEY)


@pytest.fixture(scope="module")
def state():
    return jax.jit(lambda key: WORLD.reset(key=key))(KEY)


def drawn(drawing):
    """The figure as PNG; it must not be empty."""
    file = io.BytesIO()
    drawing.figure.savefig(file, dpi=40)
    assert len(file.getvalue()) > 2000
    return drawing.alt


def test_the_landscape_is_the_reward_of_the_state_at_each_cell(state):
    reward = fresh_reward(WORLD)
    maps = reward_landscape(WORLD, state, reward)
    assert list(maps) == list(SITUATIONS)
    render = jax.jit(lambda s: reward(WORLD.render(s)))
    step = jax.jit(lambda s, a: WORLD.step(s, a, key=KEY).state)
    # Every state of a played episode is on one of the maps.
    checked = set()
    for action in [*shortest_plan(WORLD, state), None]:
        name = next(n for n, bits in SITUATIONS.items() if bits == (bool(state.has_key), bool(state.unlocked)))
        row, column = np.asarray(state.agent)
        assert maps[name][row, column] == pytest.approx(float(render(state)), abs=1e-4)
        checked.add(name)
        if action is not None:
            state = step(state, np.int32(action))
    assert checked == set(SITUATIONS)


def test_no_reward_is_shown_where_nobody_can_stand(state):
    shown = {name: np.isfinite(values) for name, values in reward_landscape(WORLD, state, fresh_reward(WORLD)).items()}
    without, holding, opened = shown.values()
    key, lock, goal = (tuple(np.asarray(cell)) for cell in (state.layout.key, state.layout.lock, state.layout.goal))
    assert not without[key]
    assert holding[key]
    assert not holding[lock]
    assert not holding[goal]
    assert opened[lock]
    assert opened[goal]
    assert holding.sum() == without.sum() + 1
    assert opened.sum() == holding.sum() + 2, "the door and a closet of one cell"
    for one in shown.values():
        assert not np.concatenate([one[0], one[-1], one[:, 0], one[:, -1]]).any(), "walls all around"


@pytest.mark.parametrize("world", [WORLD, KeyChest()])
def test_a_landscape_is_drawn_for_each_world(world):
    state = jax.jit(lambda key: world.reset(key=key))(KEY)
    drawing = landscape_figure(world, state, fresh_reward(world))
    alt = drawn(drawing)
    assert all(name in alt for name in SITUATIONS)
    maps = reward_landscape(world, state, fresh_reward(world))
    numbers = sum(np.isfinite(values).sum() for values in maps.values())
    texts = [text.get_text() for axes in drawing.figure.axes for text in axes.texts]
    assert sum(text not in ("key", "lock", "goal") for text in texts) == numbers, "one number for each cell"
    assert texts.count("key") == 1


def test_an_episode_is_drawn_with_its_events(state):
    plan = shortest_plan(WORLD, state)
    alt = drawn(episode_figure(WORLD, state, plan, fresh_reward(WORLD), "a way"))
    places = [alt.index(word) for word in ("takes the key", "stands at the door with the key", "opens the door")]
    assert places == sorted(places)
    assert f"step {len(plan)}: reaches the exit" in alt


def test_the_other_figures_say_their_numbers():
    estimates = {"door_opened": Estimate(1.5, 1.25, 1.75, 20, 4), "alone": Estimate(0.0, -np.inf, np.inf, 1, 1)}
    drawing = situation_figure(estimates)
    assert "door_opened 1.50 (1.25 to 1.75)" in drawn(drawing)
    low, high = drawing.figure.axes[0].get_xlim()
    assert -1 < low < 0 < 1.75 < high < 3, "one episode alone has no interval, and none is drawn"
    bins = Calibration(np.array([0.2, 0.9]), np.array([0.25, 0.8]), np.array([30, 10]), 0.0625)
    assert "0.90 predicted, 0.80 answered (10 pairs)" in drawn(calibration_figure(bins))
    history = [Epoch(1, 0.7, 0.68, 0.6), Epoch(2, 0.5, 0.45, 0.8), Epoch(3, 0.4, 0.5, 0.78)]
    assert "0.450 nats at epoch 2" in drawn(learning_figure(history, history[1]))
    results = [Learned(100, 0.7, 0.6, 0.8, 0.6), Learned(1000, 0.85, 0.8, 0.9, 0.4)]
    alt = drawn(pairs_figure(results, ceiling=0.9))
    assert "1000 pairs 0.850 (0.800 to 0.900)" in alt
    assert "0.900" in alt
    assert "noise" not in drawn(pairs_figure(results))
