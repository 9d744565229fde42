"""The host loop: the same agent in Gymnasium environments."""

import csv

import jax
import numpy as np
import pytest

from sensei_lite.presets import smoke
from sensei_lite.training.host_loop import begin_host_training, play_at_random, train_host_chunk
from sensei_lite.training.run import train_in
from sensei_lite.worlds import KeyRoom
from sensei_lite.worlds.gym_adapter import HostWorld

CONFIG = smoke()
ROOM = {"size": 4, "decorations": 0, "max_steps": 9}


@pytest.fixture
def world():
    made = HostWorld("SenseiLite/KeyRoom-v0", num_envs=CONFIG.train.envs, **ROOM)
    yield made
    made.close()


def test_what_is_remembered_is_what_the_environments_gave(world, monkeypatch):
    given = []
    advance = HostWorld.step
    monkeypatch.setattr(HostWorld, "step", lambda self, action: given.append(advance(self, action)) or given[-1])
    state = play_at_random(CONFIG, world, begin_host_training(CONFIG, world, key=jax.random.key(0)))
    state, metrics, counts = train_host_chunk(CONFIG, world, state)

    rows, written = state.replay.rows, int(state.replay.written)
    assert written == 1 + len(given)
    for name in ("image", "reward", "is_first", "is_terminal"):
        expected = np.stack([getattr(row, name) for row in given])
        np.testing.assert_array_equal(getattr(rows, name)[1:written], expected, err_msg=name)
    np.testing.assert_array_equal(rows.action[1:written].argmax(-1), np.stack([row.action for row in given]))
    assert int(state.steps) == sum((~row.is_first).sum() for row in given)
    acted = given[CONFIG.train.prefill_steps // CONFIG.train.envs :]
    assert counts["episodes"] == sum(row.is_last.sum() for row in acted)
    assert counts["key_picked_up"] == sum(row.events["key_picked_up"].sum() for row in acted)
    assert int(state.agent.updates) == CONFIG.train.chunk_updates
    assert all(np.isfinite(value) for value in metrics.values())


def test_the_agents_actions_are_those_that_the_environments_get(world):
    """The action of a row is the one in the memory of the step before: nothing is shifted by one."""
    state = play_at_random(CONFIG, world, begin_host_training(CONFIG, world, key=jax.random.key(0)))
    state, _, _ = train_host_chunk(CONFIG, world, state)
    stepped = ~np.asarray(state.timestep.is_first)
    np.testing.assert_array_equal(
        np.asarray(state.policy_state.action).argmax(-1)[stepped], state.timestep.action[stepped]
    )


def test_a_host_run_has_its_folder_and_goes_on_in_new_episodes(tmp_path):
    def run(updates):
        world = HostWorld("SenseiLite/KeyRoom-v0", num_envs=CONFIG.train.envs, **ROOM)
        try:
            return train_in(tmp_path, CONFIG, world, updates=updates)
        finally:
            world.close()

    first, second = run(2), run(4)
    assert int(second.agent.updates) == 4
    assert int(second.steps) > int(first.steps)
    assert int(second.replay.written) == int(first.replay.written) + 1 + 2 * rows_per_update()
    with (tmp_path / "events.csv").open() as file:
        assert [row["updates"] for row in csv.DictReader(file)] == ["2", "4"]


def rows_per_update() -> int:
    return int(CONFIG.train.env_steps_per_update / CONFIG.train.envs)


def test_a_world_with_another_number_of_copies_is_refused():
    world = HostWorld("SenseiLite/KeyRoom-v0", num_envs=2, **ROOM)
    with pytest.raises(ValueError, match=r"train\.envs is 4, but SenseiLite/KeyRoom-v0 was made with 2 copies"):
        begin_host_training(CONFIG, world, key=jax.random.key(0))
    world.close()


def test_a_host_world_and_a_jax_world_count_the_same_events():
    assert set(KeyRoom.event_names) == set(HostWorld("SenseiLite/KeyRoom-v0").event_names)
