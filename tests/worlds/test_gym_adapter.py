"""Any Gymnasium environment with pictures gives the same rows of experience as a JAX world."""

import gymnasium
import numpy as np
import pytest

from sensei_lite.types import Box, Discrete
from sensei_lite.worlds import HostWorld, make_world
from sensei_lite.worlds.gym_env import WorldVectorEnv

minigrid = pytest.importorskip("minigrid")
from minigrid.wrappers import RGBImgPartialObsWrapper  # noqa: E402

DOOR_KEY = "MiniGrid-DoorKey-5x5-v0"


class Slider(gymnasium.Env):
    """A continuous toy: its picture is as bright as the last action was large; an episode lasts three steps."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Box(np.float32([0, 0]), np.float32([10, 100]))

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.last = 0, np.zeros(2, np.float32)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.t, self.last = self.t + 1, action
        return np.zeros(2, np.float32), float(action[1]), self.t == 3, False, {}

    def render(self):
        return np.full((6, 8, 3), self.last[0] * 20, np.uint8)


gymnasium.register("SenseiLiteTest/Slider-v0", entry_point=Slider)


def test_minigrid_is_a_world():
    world = HostWorld(DOOR_KEY, num_envs=2, wrappers=[RGBImgPartialObsWrapper], max_steps=6)
    assert world.image_shape == (56, 56, 3)
    assert isinstance(world.actions, Discrete)
    assert world.actions.size == 7
    row = world.reset(seed=3)
    assert row.is_first.all()
    assert row.image.dtype == np.uint8
    lasts = []
    for _ in range(8):
        row = world.step(np.array([0, 1]))
        lasts.append(row.is_last.copy())
    assert [bool(last.all()) for last in lasts] == [False] * 5 + [True] + [False] * 2
    again = HostWorld(DOOR_KEY, num_envs=2, wrappers=[RGBImgPartialObsWrapper]).reset(seed=3)
    first = HostWorld(DOOR_KEY, num_envs=2, wrappers=[RGBImgPartialObsWrapper]).reset(seed=3)
    assert (again.image == first.image).all()


def test_what_an_environment_draws_can_be_its_picture():
    world = HostWorld("SenseiLiteTest/Slider-v0", num_envs=2, from_render=True, image_size=(3, 4))
    assert isinstance(world.actions, Box)
    assert world.image_shape == (3, 4, 3)
    world.reset(seed=0)
    row = world.step(np.array([[1.0, -1.0], [0.0, 1.0]], np.float32))
    assert row.image[:, 0, 0, 0].tolist() == [200, 100]  # -1..1 stands for 0..10, and the picture is 20 times that
    assert row.reward.tolist() == [0.0, 100.0]
    world.step(np.zeros((2, 2), np.float32))
    assert world.step(np.zeros((2, 2), np.float32)).is_terminal.all()
    row = world.step(np.ones((2, 2), np.float32))
    assert row.is_first.all()
    assert (row.action == 0).all()
    assert (row.reward == 0).all()
    assert not row.is_last.any()


@pytest.mark.parametrize("processes", [False, True])
def test_rows_equal_those_of_the_jax_world(processes):
    """The same world through the host loop and through the vector environment: same pictures, events and flags."""
    host = make_world("gymnasium:SenseiLite/KeyRoom-v0", num_envs=2, processes=processes, max_steps=4, size=4)
    vector = WorldVectorEnv("keyroom", num_envs=2, max_steps=4, size=4)
    assert host.event_names == vector.world.event_names
    assert host.actions == vector.world.actions
    row, (image, _) = host.reset(seed=2), vector.reset(seed=2)
    assert (row.image == image).all()
    random = np.random.default_rng(0)
    was_last = np.zeros(2, bool)
    for _ in range(11):
        action = random.integers(0, 5, 2)
        row = host.step(action)
        image, reward, terminated, truncated, info = vector.step(action)
        assert (row.image == image).all()
        assert (row.reward == reward).all()
        assert (row.is_terminal == terminated).all()
        assert (row.is_last == (terminated | truncated)).all()
        assert (row.is_first == was_last).all()
        assert (row.action == np.where(was_last, 0, action)).all()
        for name in host.event_names:
            assert (row.events[name] == info["events"][name]).all()
        was_last = row.is_last
    host.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HostWorld(DOOR_KEY + "7"), "does not know"),
        (lambda: HostWorld("NoSuchNamespace/Thing-v0"), "does not know"),
        (lambda: HostWorld("SenseiLiteTest/Slider-v0"), "has no picture .* pass image_key=..., or from_render=True"),
        (lambda: HostWorld(DOOR_KEY, image_key="pixels"), "has no picture .* under 'pixels'"),
        (lambda: HostWorld(DOOR_KEY, num_envs=0), "num_envs is 0"),
        (lambda: HostWorld("Blackjack-v1", from_render=False), "has no picture"),
    ],
)
def test_what_cannot_be_a_world_says_why(make, message):
    with pytest.raises(ValueError, match=message):
        make()


class Arm(Slider):
    """A dictionary of a picture and of the arm's angles."""

    observation_space = gymnasium.spaces.Dict(
        {
            "pixels": gymnasium.spaces.Box(0, 255, (6, 8, 3), np.uint8),
            "angles": gymnasium.spaces.Box(-np.inf, np.inf, (2, 2), np.float64),
        }
    )

    def reset(self, *, seed=None, options=None):
        return self._seen(), super().reset(seed=seed)[1]

    def step(self, action):
        _, *rest = super().step(action)
        return self._seen(), *rest

    def _seen(self):
        last = getattr(self, "last", np.zeros(2))
        return {"pixels": np.zeros((6, 8, 3), np.uint8), "angles": np.array([last, -last], np.float64)}


gymnasium.register("SenseiLiteTest/Arm-v0", entry_point=Arm)


def test_numbers_beside_the_picture_come_along():
    world = HostWorld("SenseiLiteTest/Arm-v0", num_envs=2, vector_key="angles")
    assert (world.image_shape, world.vector_size) == ((6, 8, 3), 4)
    assert world.reset(seed=0).vector.shape == (2, 4)
    row = world.step(np.array([[1.0, 1.0], [-1.0, 0.0]], np.float32))
    np.testing.assert_allclose(row.vector, [[10, 100, -10, -100], [0, 50, 0, -50]], atol=1e-4)
    assert row.vector.dtype == np.float32
    assert HostWorld("SenseiLiteTest/Arm-v0").reset(seed=0).vector is None
    with pytest.raises(ValueError, match="has no numbers under 'angels'"):
        HostWorld("SenseiLiteTest/Arm-v0", vector_key="angels")
