"""The real Robodesk: what it counts is what happens, the package's faults are handled, a seed fixes everything."""

import importlib.util
import os
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest

if importlib.util.find_spec("robodesk") is None:  # an import would bring the real gym, and choose an OpenGL
    pytest.skip('needs the extra: pip install "sensei-lite[robodesk]"', allow_module_level=True)

from gymnasium.utils.env_checker import check_env

from sensei_lite.worlds import HostWorld, make_world
from sensei_lite.worlds.robodesk import Robodesk, camera, desk

ID = "SenseiLite/Robodesk-v0"
RIGHT, AWAY, UP, TURN, OPEN = np.eye(5)


@pytest.fixture(scope="module", autouse=True)
def _opengl():
    try:
        desk.require_robodesk()
    except ImportError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def env():
    env = Robodesk(render_mode="rgb_array")
    yield env
    env.close()


@pytest.fixture
def table():
    table = desk.Desk()
    table.reset(0)
    yield table
    table.close()


def gripper(table):
    return np.array(table.physics.named.data.site_xpos["end_effector"])


def go(table, place, offset, steps):
    """Steer the gripper to a point beside a place, fingers closed; yields after each step."""
    for _ in range(steps):
        way = place + offset - gripper(table)
        if np.abs(way).max() < 0.01:
            return
        table.step(np.array([*np.clip(way / 0.02, -1, 1), 0, -1]))
        yield


def run_python(script, loud=False, **environment):
    """What a new process prints; it must not complain, unless that is ``loud``."""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=os.environ | environment
    )
    assert run.returncode == 0, run.stderr
    assert loud or run.stderr == ""
    return run.stdout.strip()


def test_gymnasium_accepts_it():
    env = gymnasium.make(ID, render_mode="rgb_array", render_scale=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    image, _ = env.reset(seed=0)
    assert image.shape == (64, 64, 3)
    assert env.render().shape == (128, 128, 3)
    env.close()
    env.close()  # twice does no harm


def test_it_moves_what_the_research_code_counts(table):
    """Speeds are set one by one, at the places that they have in the research code's list of object velocities."""
    velocity = table.physics.data.qvel[9:]
    places = {"drawer": [0], "slide": [1], "red_button": [2], "green_button": [3], "blue_button": [4]}
    places |= {"ball": [8, 9, 10], "upright_block": [14, 15, 16], "flat_block": [20, 21, 22]}
    for name, indices in places.items():
        for index in indices:
            for speed in (0.021, -0.021):
                velocity[:] = 0
                velocity[index] = speed
                assert [moved for moved, moves in table.moving().items() if moves] == [name]
    velocity[:] = 0.019
    velocity[[11, 12, 13, 17, 18, 19, 23, 24, 25]] = 1.0  # turning on the spot
    velocity[5:8] = 1.0  # lamps
    assert not any(table.moving().values())


def test_every_task_of_the_package_is_there_and_three_more(table):
    assert set(desk.TASKS) == set(table._desk.all_tasks) | set(desk.EASIER)
    assert len(desk.TASKS) == 21
    assert not any(table.successes().values())


@pytest.mark.parametrize(
    ("task", "joint", "limit"),
    [
        ("open_slide", "slide_joint", 0.55),
        ("open_slide_easy", "slide_joint", 0.45),
        ("open_drawer", "drawer_joint", -0.20),
        ("open_drawer_medium", "drawer_joint", -0.15),
        ("open_drawer_easy", "drawer_joint", -0.10),
        ("push_red", "red_light", -0.00453),
        ("push_green", "green_light", -0.00453),
        ("push_blue", "blue_light", -0.00453),
    ],
)
def test_limits_of_tasks(table, task, joint, limit):
    for share, done in ((0.999, False), (1.001, True)):
        table.physics.named.data.qpos[joint] = limit * share
        assert table.reward(task, "sparse") == table.successes()[task] == done


def test_dense_rewards_are_between_zero_and_one_and_grow(table):
    for task in desk.TASKS:
        assert 0.0 <= table.reward(task, "dense") <= 1.0
    before = [table.reward(task, "dense") for task in ("open_drawer", "open_drawer_easy", "open_drawer_medium")]
    table.physics.named.data.qpos["drawer_joint"] = -0.2
    after = [table.reward(task, "dense") for task in ("open_drawer", "open_drawer_easy", "open_drawer_medium")]
    assert before[0] < after[0] == after[1] == after[2]  # the limits are for success only


def put(table, name, *place):
    table.physics.named.data.qpos[name][:3] = place
    table.physics.forward()


def test_tasks_of_the_blocks(table):
    bin_, shelf, high = (0.4, 0.5, 0.2), (0.4, 1.05, 0.85), (0.0, 0.7, 0.9)
    for thing in ("ball", "upright_block", "flat_block"):
        for place, task in ((bin_, f"{thing}_in_bin"), (shelf, f"{thing}_in_shelf"), (high, f"lift_{thing}")):
            put(table, thing, *place)
            assert table.successes()[task]
        put(table, thing, 0, 0.3, 0.1)
        done = table.successes()
        assert not any(done[task] for task in (f"{thing}_in_bin", f"{thing}_in_shelf", f"lift_{thing}"))
        table.reset(0)
    put(table, "flat_block", 0.2, 0.65, 0.775)
    put(table, "upright_block", 0.2, 0.65, 0.775 + 0.0378)
    assert table.successes()["stack"]


def test_off_table_asks_that_the_others_stay(table):
    """In the package the places of the start follow the things, so that they never seem to have moved."""
    put(table, "ball", -0.2, 0.3, 0.04)
    assert table.successes()["ball_off_table"]
    x, y, z = table.physics.named.data.xpos["flat_block"]
    put(table, "flat_block", x + 0.05, y, z)
    assert not table.successes()["ball_off_table"]
    table._desk.original_pos = {name: table.physics.named.data.xpos[name] for name in table._desk.original_pos}
    assert table.successes()["ball_off_table"], "the fault is still there, so it must be handled"


def test_pressing_a_button_lights_its_lamp_and_is_counted(table):
    button = table.physics.named.data.xpos["blue_button"].copy()
    for _ in go(table, button, [0, 0, 0.15], 60):
        assert not table.moving()["blue_button"]
    moved, lit = 0, 0
    for _ in go(table, button, [0, 0, 0], 40):
        moved, lit = moved + table.moving()["blue_button"], lit + table.successes()["push_blue"]
    assert 0 < moved < lit  # it moves while it goes down, and the lamp is on for as long as it is down
    done = [task for task, holds in table.successes().items() if holds]
    assert done == ["push_blue"]


def test_pushing_the_handle_opens_the_door(table):
    data = table.physics.named.data
    handle, before = data.site_xpos["slide_handle"].copy(), data.qpos["slide_joint"].item()
    list(go(table, handle, [-0.06, -0.1, 0], 80))
    list(go(table, handle, [-0.06, 0, 0], 20))
    moves = [table.moving() for _ in go(table, handle, [0.6, 0, 0], 40)]
    assert data.qpos["slide_joint"] > before + 0.02
    assert sum(moving["slide"] for moving in moves) > 20
    assert not any(moving["drawer"] for moving in moves)


def test_actions_mean_what_their_names_say(table):
    assert Robodesk.action_names == ("right", "away", "up", "turn", "open")
    for axis, action in enumerate((RIGHT, AWAY, UP)):
        for sign in (1, -1):
            table.reset(3)
            start = gripper(table)
            for _ in range(8):
                table.step(sign * action)
            way = sign * (gripper(table) - start)
            assert way.argmax() == np.abs(way).argmax() == axis
            assert 0.015 < way[axis] < 0.035  # metres; it lags behind what it is told
    table.reset(3)
    wrist = table.body()[6]
    for _ in range(5):
        table.step(TURN + OPEN)
    assert table.body()[6] > wrist + 0.1
    assert table.body()[7:9].min() > 0.022  # both fingers, metres
    for _ in range(5):
        table.step(-OPEN)
    assert table.body()[7:9].max() < 0.02


def test_actions_are_clipped_and_wrong_ones_refused(env):
    env.reset(seed=0)
    inside = env.step(np.full(5, -1.0))[0]
    env.reset(seed=0)
    np.testing.assert_array_equal(env.step(np.full(5, -1.0 - 1e-6))[0], inside)
    for wrong in (0, np.zeros(4), np.full(5, np.nan)):
        with pytest.raises(ValueError, match="action"):
            env.step(wrong)


def test_the_camera_stands_where_the_paper_has_it(env):
    """The middle of the ball, projected by hand through a pinhole of 45 degrees, is a pixel of the ball's colour.

    The numbers are those of the research code's camera "right".
    """
    env.reset(seed=0)
    for place in ((-0.1, 0.7, 0.8), (-0.3, 0.3, 1.0), (0.3, 0.3, 0.9), (0.3, 0.8, 1.2)):
        put(env.desk, "ball", *place)
        a, e = np.radians(180), np.radians(-18)
        forward = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
        right = np.cross(forward, [0, 0, 1]) / np.cos(e)
        up = np.cross(right, forward)
        seen = np.array(place) - (np.array([-0.136, 0.535, 0.645]) - 1.55 * forward)
        scale = 32 / np.tan(np.radians(45 / 2)) / (seen @ forward)
        column, row = int(32 + scale * (seen @ right)), int(32 - scale * (seen @ up))
        red, green, blue = env._camera.small()[row, column].astype(int)
        assert red > 100
        assert red > green + 80
        assert red > blue + 40


def test_pictures(env):
    first, _ = env.reset(seed=0)
    large = env.render()
    held, kept = (first, large), (first.copy(), large.copy())
    assert large.shape == (512, 512, 3)
    small = large.reshape(64, 8, 64, 8, 3).mean((1, 3))
    assert np.abs(small - first).mean() < 5, "both show the same"
    for _ in range(3):
        image, *_ = env.step(RIGHT)
    assert (image != first).any()
    assert (env.render() != large).any()
    for now, then in zip(held, kept, strict=True):
        np.testing.assert_array_equal(now, then)
    env.desk.physics.named.data.qpos["drawer_joint"] = -0.3
    env.desk.physics.forward()
    assert np.abs(env._camera.small().astype(int) - image).max() > 50, "an open drawer shows"


def test_shadows_are_a_setting():
    plain, shaded = (Robodesk(shadows=shadows) for shadows in (False, True))
    difference = np.abs(plain.reset(seed=0)[0].astype(int) - shaded.reset(seed=0)[0])
    assert 0 < difference.mean() < 20  # the same things, lit in another way
    plain.close()
    shaded.close()


def test_episodes_are_truncated_exactly():
    env = Robodesk(max_steps=3)
    assert Robodesk().max_steps == 250
    with pytest.raises(RuntimeError, match="reset"):
        env.step(UP)
    env.reset(seed=0)
    assert [env.step(UP)[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]
    with pytest.raises(RuntimeError, match="reset"):
        env.step(UP)
    env.close()


def test_events_and_reward():
    env = Robodesk(task="open_drawer_easy")
    _, info = env.reset(seed=0)
    assert tuple(info["events"]) == env.event_names
    assert len(env.event_names) == 8 + 21
    assert not any(info["events"].values())
    env.desk.physics.named.data.qpos["drawer_joint"] = -0.12
    for env.task, reward in (("open_drawer_easy", 1.0), ("open_drawer", 0.0), (None, 0.0)):
        _, got, *_, info = env.step(np.zeros(5))
        assert got == reward
        assert info["events"]["open_drawer_easy"], "it counts at every step at which it holds"
        assert not info["events"]["open_drawer"]
    env.task, env.reward_kind = "open_drawer", "dense"
    assert 0 < env.step(np.zeros(5))[1] < 1
    env.close()


def test_the_body_is_an_option():
    env = Robodesk(body=True)
    seen, _ = env.reset(seed=0)
    assert env.observation_space.contains(seen)
    assert seen["vector"].shape == (21,)
    np.testing.assert_allclose(seen["vector"][18:], gripper(env.desk), atol=1e-6)
    held, kept = seen["vector"], seen["vector"].copy()
    later, *_ = env.step(UP)
    np.testing.assert_array_equal(held, kept)
    assert later["vector"][20] > kept[20]
    assert (later["vector"][9:18] != 0).all(), "velocities"
    env.close()


DIGEST = """
import hashlib, numpy as np
from sensei_lite.worlds.robodesk import Robodesk
env = Robodesk()
digest = hashlib.sha256()
for seed in (5, None):
    digest.update(env.reset(seed=seed)[0])
    for action in np.random.default_rng(0).uniform(-1, 1, (12, 5)):
        image, reward, terminated, truncated, info = env.step(action)
        digest.update(image)
        digest.update(str((reward, terminated, truncated, info)).encode())
print(digest.hexdigest())
"""


def test_same_seed_same_trajectory_in_any_process(capsys):
    """And playing is silent, though nobody closes the environment."""
    other = run_python(DIGEST)
    exec(DIGEST, {})
    assert capsys.readouterr().out.strip() == other


def test_seeds_and_the_stream_after_them(env):
    first, second, third = env.reset(seed=1)[0], env.reset()[0], env.reset(seed=2)[0]
    assert (first != second).any()
    assert (first != third).any()
    np.testing.assert_array_equal(env.reset(seed=1)[0], first)
    np.testing.assert_array_equal(env.reset()[0], second)


def test_numpys_global_random_numbers_neither_matter_nor_change(env):
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.random(5)  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    first = env.reset(seed=1)[0]
    env.step(UP)
    np.testing.assert_array_equal(np.random.random(5), expected)  # noqa: NPY002
    np.testing.assert_array_equal(env.reset(seed=1)[0], first)


FIRST = """
import sys, types
{before}
import numpy as np
from sensei_lite.worlds.robodesk import desk
table = desk.Desk()
table.reset(0)
for _ in range({steps}):
    table.step(np.array([-1.0, -1, 0, 0, 0]))
print(sys.modules["robodesk.robodesk"].gym.__name__, {say})
"""


def test_old_gym_is_not_imported_and_the_arm_fails_silently():
    """The arm is sent where it cannot reach, which dm_control would write about at every step."""
    assert run_python(FIRST.format(before="", steps=200, say="'gym' in sys.modules")) == "gymnasium False"


def test_a_real_gym_stays():
    mine = "real = sys.modules['gym'] = types.ModuleType('gym')"
    assert run_python(FIRST.format(before=mine, steps=0, say="sys.modules['gym'] is real")) == "gymnasium True"


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs triton, which torch brings along")
def test_triton_can_be_imported_after_a_picture_was_drawn():
    script = "from sensei_lite.worlds.robodesk import Robodesk; Robodesk().reset(); import triton._C.libtriton"
    run_python(script)


def test_opengl_is_chosen_only_where_nobody_has(monkeypatch):
    have = {"EGL", "OSMesa"}
    monkeypatch.setattr(camera.ctypes.util, "find_library", lambda name: name if name in have else None)
    monkeypatch.setattr(sys, "platform", "linux")

    def chosen(**variables):
        environment = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY")}
        monkeypatch.setattr(camera.os, "environ", environment | variables)
        camera.choose_opengl()
        return camera.os.environ.get("MUJOCO_GL")

    assert chosen() == "egl"
    assert chosen(MUJOCO_GL="osmesa") == "osmesa"
    assert chosen(DISPLAY=":0") is None
    have.remove("EGL")
    assert chosen() == "osmesa"
    have.clear()
    assert chosen() is None
    have.add("EGL")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert chosen() is None


@pytest.mark.parametrize("choice", ["disable", "nonsense"])
def test_without_opengl_the_error_says_what_to_install(choice):
    script = (
        "from sensei_lite.worlds.robodesk import Robodesk\ntry:\n    Robodesk()\nexcept ImportError as e:\n    print(e)"
    )
    said = run_python(script, MUJOCO_GL=choice)
    assert f"MUJOCO_GL={choice}" in said
    assert "libegl1" in said
    assert "libosmesa6" in said


@pytest.mark.skipif(camera._is_headless() is False, reason="with a screen, glfw is right")
def test_who_imports_dm_control_first_is_told_so():
    script = "import dm_control._render; from sensei_lite.worlds.robodesk import Robodesk\ntry:\n    Robodesk()\n"
    said = run_python(script + "except ImportError as e:\n    print(e)", loud=True, MUJOCO_GL="")
    assert "dm_control was imported before" in said


def test_missing_extra_is_named(monkeypatch):
    for name in ("robodesk", "robodesk.robodesk"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(sys, "version_info", (3, 12, 0))
    with pytest.raises(ImportError, match=r'pip install "sensei-lite\[robodesk\]"') as error:
        Robodesk()
    assert "3.13" not in str(error.value)
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    with pytest.raises(ImportError, match=r"sensei-lite\[robodesk\].*cannot be had on Python 3.13"):
        Robodesk()


def test_module_imports_without_the_extra():
    missing = "robodesk=None, dm_control=None, mujoco=None, gym=None"
    run_python(f"import sys; sys.modules.update({missing}); import sensei_lite.worlds.robodesk")


def test_wrong_arguments():
    for wrong in ({"max_steps": 0}, {"render_mode": "human"}, {"render_scale": 0}):
        with pytest.raises(ValueError, match="cannot use"):
            Robodesk(**wrong)
    with pytest.raises(ValueError, match="open_drawer_medium"):
        Robodesk(task="open_window")


def test_rows_from_two_processes():
    world = make_world("robodesk", num_envs=2, processes=True, body=True, vector_key="vector")
    assert isinstance(world, HostWorld)
    assert world.actions.names == Robodesk.action_names
    assert world.vector_size == 21
    row = world.reset(seed=1)
    assert row.image.shape == (2, 64, 64, 3)
    single = Robodesk()
    for i in range(2):
        np.testing.assert_array_equal(row.image[i], single.reset(seed=1 + i)[0])
    single.close()
    row = world.step(np.zeros((2, 5), np.float32))
    assert set(row.events) == set(Robodesk.event_names)
    assert not row.is_first.any()
    world.close()
