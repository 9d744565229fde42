"""Tabletop keeps its rules: things move only where they are moved, and every event means what it says."""

import dataclasses
import warnings

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from sensei_lite.annotators.scripted import LEVELS
from sensei_lite.types import Box
from sensei_lite.worlds import Tabletop, make_world, reset_batch, step_batch
from sensei_lite.worlds.gym_env import WorldEnv
from sensei_lite.worlds.tabletop import TabletopState, contacts, desk
from sensei_lite.worlds.tabletop.guide import EVENT_OF, PURPOSES, guide, guide_any
from sensei_lite.worlds.tabletop.numbers import numbers_of, state_of

WORLD = Tabletop()
KEY = jax.random.key(0)
EPISODES = 12
STEPS = 70
OBJECTS = len(desk.OBJECTS)
STEP = jax.jit(lambda state, action: WORLD.step(state, action, key=KEY))
RENDER = jax.jit(WORLD.render)
NOTHING = np.zeros(4, np.float32)
ID = "SenseiLite/Tabletop-v0"


def at(tree, *index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def start(seed: int = 0) -> TabletopState:
    return WORLD.reset(key=jax.random.key(seed))


def moved(state: TabletopState, **changes) -> TabletopState:
    """A state with other numbers, such as ``gripper=(1, 2, 3)``."""
    given = {name: jnp.asarray(value, getattr(state, name).dtype) for name, value in changes.items()}
    return state._replace(**given)


def follow(state, actions):
    """Take the actions; returns the steps."""
    steps = []
    for action in actions:
        steps.append(STEP(state, jnp.asarray(action, jnp.float32)))
        state = steps[-1].state
    return steps


def clear_desk(**changes) -> TabletopState:
    """All objects far on the right, the gripper high over the left."""
    objects = [[9.0, 1.5, 0.0], [9.0, 3.2, 0.0], [9.0, 4.6, 0.0]]
    return moved(start(), **({"objects": objects, "gripper": (3.0, 3.0, 2.5), "fingers": desk.CLOSED} | changes))


@pytest.fixture(scope="module")
def guided():
    """States [purpose episode 1 + STEPS] and steps [purpose episode STEPS] of a guide at work."""

    def play(purpose, key):
        state = WORLD.reset(key=key)

        def one(state, _):
            step = WORLD.step(state, guide_any(purpose, state), key=KEY)
            return step.state, step

        return state, jax.lax.scan(one, state, None, STEPS)[1]

    keys = jax.random.split(jax.random.key(5), EPISODES)
    every = jax.jit(jax.vmap(jax.vmap(play, (None, 0)), (0, None)))
    first, steps = jax.device_get(every(jnp.arange(len(PURPOSES)), keys))
    states = jax.tree.map(lambda one, rest: np.concatenate([one[:, :, None], rest], 2), first, steps.state)
    return states, steps


@pytest.fixture(scope="module")
def random():
    """States [episode 1 + time] and steps [episode time] of random actions: 20,000 steps."""

    def play(key):
        state = WORLD.reset(key=key)
        actions = jax.random.uniform(key, (250, 4), minval=-1.0, maxval=1.0)

        def one(state, action):
            step = WORLD.step(state, action, key=KEY)
            return step.state, step

        return state, jax.lax.scan(one, state, actions)[1]

    first, steps = jax.device_get(jax.jit(jax.vmap(play))(jax.random.split(jax.random.key(9), 80)))
    return jax.tree.map(lambda one, rest: np.concatenate([one[:, None], rest], 1), first, steps.state), steps


def object_overlaps(objects: np.ndarray) -> np.ndarray:
    """How deep each pair of objects is in one another, by a way of its own: boxes, a ball's distance to a box."""
    depths = []
    for i in range(OBJECTS):
        for j in range(i):
            a, b = objects[..., i, :], objects[..., j, :]
            bottom = np.maximum(a[..., 2], b[..., 2])
            level = np.minimum(a[..., 2] + desk.HEIGHT[i], b[..., 2] + desk.HEIGHT[j]) - bottom
            if desk.BALL in (i, j):
                box = i + j  # the ball is number 0
                gap = np.maximum(np.abs(a[..., :2] - b[..., :2]) - desk.HALF[box], 0)
                depth = desk.HALF[desk.BALL, 0] - np.hypot(gap[..., 0], gap[..., 1])
            else:
                depth = (desk.HALF[i] + desk.HALF[j] - np.abs(a[..., :2] - b[..., :2])).min(-1)
            depths.append(np.where(level > contacts.SLACK, depth, 0))
    return np.maximum(np.stack(depths, -1), 0)


# --- the world's contract -------------------------------------------------------------------------------------------


def test_the_catalogue_has_it_and_settings_reach_it():
    assert make_world("tabletop") == WORLD
    assert make_world("tabletop-lab") == Tabletop(layout_range=0.0)
    assert make_world("tabletop-numbers") == Tabletop(layout_range=0.0, numbers=True)
    assert make_world("tabletop", max_steps=7, image_size=48) == Tabletop(max_steps=7, image_size=48)
    assert WORLD.actions == Box(("right", "away", "up", "close"), ("left", "near", "down", "open"))
    assert len(WORLD.event_names) == len(set(WORLD.event_names)) == 10
    with pytest.raises(TypeError, match="tabletop has no setting size; it has max_steps, image_size"):
        make_world("tabletop", size=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_steps": 0}, "max_steps is 0; an episode needs at least 1 step"),
        ({"image_size": 31}, "image_size is 31; below 32"),
        ({"speed": 0.0}, r"speed is 0.0; it must be over 0 and at most 1"),
        ({"speed": 1.1}, r"speed is 1.1; it must be over 0 and at most 1"),
        ({"substeps": 3}, "substeps is 3; at speed 0.8 there must be at least 4"),
        ({"layout_range": 1.5}, "layout_range is 1.5; it must be from 0 to 1"),
    ],
)
def test_settings_that_make_no_world(settings, message):
    with pytest.raises(ValueError, match=message):
        Tabletop(**settings)


def test_the_same_key_gives_the_same_episode_and_another_key_another_one():
    actions = np.random.default_rng(0).uniform(-1, 1, (10, 4))
    one, same = (follow(start(4), actions) for _ in range(2))
    for a, b in zip(one, same, strict=True):
        jax.tree.map(np.testing.assert_array_equal, a, b)
    assert (start(4).objects != start(5).objects).any()
    still = dataclasses.replace(WORLD, layout_range=0.0)
    jax.tree.map(np.testing.assert_array_equal, still.reset(key=KEY), still.reset(key=jax.random.key(1)))


def test_step_by_step_in_a_batch_and_in_a_scan_are_the_same():
    actions = np.random.default_rng(1).uniform(-1, 1, (15, 3, 4)).astype(np.float32)
    keys = jax.random.split(KEY, 3)
    states = jax.vmap(lambda key: WORLD.reset(key=key))(keys)
    stepped = jax.jit(jax.vmap(lambda s, a: WORLD.step(s, a, key=KEY).state))
    in_scan, _ = jax.jit(lambda s, a: jax.lax.scan(lambda s, a: (stepped(s, a), None), s, a))(states, actions)
    in_batch = states
    for action in actions:
        in_batch = stepped(in_batch, action)
    alone = [follow(at(states, i), actions[:, i])[-1].state for i in range(3)]
    alone = jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)
    for other in (in_batch, alone):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), in_scan, other)
    np.testing.assert_array_equal(jax.jit(jax.vmap(WORLD.render))(states)[1], RENDER(at(states, 1)))


def test_an_episode_is_truncated_and_never_terminated():
    world = Tabletop(max_steps=3)
    keys = jax.random.split(KEY, 2)
    state, row = jax.jit(lambda: reset_batch(world, keys=keys))()
    advance = jax.jit(lambda state, is_last: step_batch(world, state, is_last, jnp.zeros((2, 4)), keys=keys))
    ends = []
    for _ in range(4):
        state, row = advance(state, row.is_last)
        ends.append((bool(row.is_first[0]), bool(row.is_last[0]), bool(row.is_terminal[0])))
    assert ends == [(False, False, False), (False, False, False), (False, True, False), (True, False, False)]


def test_gymnasiums_own_check_passes_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(ID, render_mode="rgb_array").unwrapped)


def test_wrong_actions_say_what_was_expected():
    env = WorldEnv("tabletop", max_steps=5)
    assert env.observation_space.shape == (64, 64, 3)
    assert env.action_space.shape == (4,)
    with pytest.raises(ValueError, match=r"float32 of shape \(4,\); got shape \(3,\)"):
        env.step(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="must be finite"):
        env.step(np.full(4, np.nan, np.float32))
    with pytest.raises(TypeError, match="got dtype int64"):
        env.step(np.zeros(4, np.int64))


# --- what must hold in every state ------------------------------------------------------------------------------------


def test_starts_are_apart_on_the_desk_and_differ():
    states = jax.device_get(jax.jit(jax.vmap(lambda key: WORLD.reset(key=key)))(jax.random.split(KEY, 500)))
    x, y = states.objects[..., 0], states.objects[..., 1]
    assert (object_overlaps(states.objects) == 0).all()
    assert (x - desk.HALF[:, 0] > desk.DESK_LEFT).all()
    assert (x + desk.HALF[:, 0] < desk.DESK_RIGHT).all()
    assert (y - desk.HALF[:, 1] >= desk.RIM).all()
    assert (y + desk.HALF[:, 1] <= desk.LEDGE).all()
    assert (states.gripper[:, 2] > desk.HEIGHT.max()).all()
    assert len({tuple(np.argsort(row)) for row in x}) == 6, "every order of the objects occurs"
    assert (states.objects.std(0)[:, :2] > 0.5).all()


@pytest.mark.parametrize("how", ["random", "guided"])
def test_states_stay_finite_and_within_bounds(how, request):
    states, _ = request.getfixturevalue(how)
    assert all(np.isfinite(leaf).all() for leaf in states)
    assert (states.gripper >= desk.REACH_LOW - 1e-4).all()
    assert (states.gripper <= desk.REACH_HIGH + 1e-4).all()
    assert (states.fingers >= desk.CLOSED - 1e-5).all()
    assert (states.fingers <= desk.OPEN + 1e-5).all()
    assert (states.drawer >= 0).all()
    assert (states.drawer <= desk.DRAWER_TRAVEL).all()
    assert (states.slide >= 0).all()
    assert (states.slide <= desk.SLIDE_TRAVEL).all()
    x, y, z = np.moveaxis(states.objects, -1, 0)
    assert (x >= 0).all()
    assert (x <= desk.PICTURE_WIDTH).all()
    assert (y - desk.HALF[:, 1] >= desk.RIM - 1e-4).all()
    assert (y + desk.HALF[:, 1] <= desk.LEDGE + 1e-4).all()
    assert (z >= desk.FLOOR).all()
    assert (states.held.sum(-1) <= 1).all()
    assert (states.gripper[..., 2] >= np.where(states.gripper[..., 1] > 0, 0, -10)).all(), "not in the desk"
    on_desk = (x + desk.HALF[:, 0] > desk.DESK_LEFT + 0.01) & (x - desk.HALF[:, 0] < desk.DESK_RIGHT - 0.01)
    assert (z[on_desk] > -0.01).all(), "not in the desk"


@pytest.mark.parametrize("how", ["random", "guided"])
def test_objects_do_not_overlap(how, request):
    states, _ = request.getfixturevalue(how)
    assert object_overlaps(states.objects).max() < 0.05


@pytest.mark.parametrize("how", ["random", "guided"])
def test_the_fingers_are_not_in_objects(how, request):
    states, _ = request.getfixturevalue(how)
    for side in (-1, 1):
        finger = states.gripper[..., :2] + np.stack([side * states.fingers, 0 * states.fingers], -1)
        gap = np.abs(states.objects[..., :2] - finger[..., None, :]) - desk.FINGER
        ball = desk.HALF[0, 0] - np.hypot(*np.moveaxis(np.maximum(gap[..., 0, :], 0), -1, 0))
        boxes = (desk.HALF[1:] - gap[..., 1:, :]).min(-1)
        depth = np.concatenate([ball[..., None], boxes], -1)
        z, bottom = states.gripper[..., 2, None], states.objects[..., 2]
        level = np.minimum(z + desk.FINGER_LENGTH, bottom + desk.HEIGHT) - np.maximum(z, bottom)
        depth = np.where(level > contacts.SLACK, depth, 0)
        assert depth.max() < 0.12
        assert (depth > 0.03).mean() < 1e-3


def test_nothing_moves_by_itself():
    state = moved(start(), drawer=1.2, slide=0.7)
    steps = follow(state, [NOTHING] * 8)
    jax.tree.map(np.testing.assert_array_equal, steps[-1].state._replace(t=state.t), state)
    assert not any(bool(happened) for step in steps for happened in step.events.values())


def test_far_from_everything_the_gripper_moves_alone():
    state = clear_desk()
    after = follow(state, [(0.5, -0.5, 0.25, -1.0)])[0].state
    np.testing.assert_allclose(after.gripper - state.gripper, 0.8 * np.array([0.5, -0.5, 0.25]), atol=1e-5)
    assert after.fingers > state.fingers
    for name in ("objects", "velocity", "held", "drawer", "slide", "light"):
        np.testing.assert_array_equal(getattr(after, name), getattr(state, name))


def test_actions_beyond_one_are_cut_off():
    a, b = (STEP(start(), jnp.asarray(action, jnp.float32)).state for action in ((9, -9, 0, 9), (1, -1, 0, 1)))
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_the_way_out_is_the_shortest_one():
    """Against a search on a fine grid of moves."""
    grid = np.stack(np.meshgrid(*[np.linspace(-2, 2, 161)] * 2), -1).reshape(-1, 2)
    random = np.random.default_rng(2)
    for _ in range(25):
        d, half, radius = random.uniform(-1, 1, 2), random.uniform(0, 0.7, 2), random.uniform(0, 0.5)
        out = contacts.way_out(*(jnp.asarray(part, jnp.float32) for part in (d, half, radius)))
        gap = np.maximum(np.abs(d + grid) - half, 0)
        free = (np.hypot(*gap.T) >= radius) & ((np.abs(d + grid) >= half).any(1))
        shortest = np.hypot(*grid[free].T).min()
        assert abs(np.hypot(*out) - shortest) < 0.04


# --- what can be done -------------------------------------------------------------------------------------------------


def test_a_guide_reaches_every_event_and_touches_little_else(guided):
    _, steps = guided
    for p, purpose in enumerate(PURPOSES):
        assert steps.events[EVENT_OF[purpose]][p].any(-1).mean() > 0.8, purpose
    for purpose, allowed in (
        ("press the button", {"button_pressed"}),
        ("slide the door", {"slide_moved"}),
        ("open the drawer", {"drawer_moved", "drawer_opened"}),
        ("lift the flat block", {"block_moved", "block_lifted"}),
        ("stack the blocks", {"block_moved", "block_lifted", "block_stacked"}),
    ):
        happened = {name for name, e in steps.events.items() if e[PURPOSES.index(purpose)].any(-1).mean() > 0.2}
        assert happened == allowed
    assert set(EVENT_OF.values()) == set(WORLD.event_names) - {"drawer_moved"}
    with pytest.raises(ValueError, match="no purpose called 'dance'; there are press the button"):
        guide("dance", start())
    np.testing.assert_array_equal(guide(PURPOSES[3], start()), guide_any(jnp.int32(3), start()))


@pytest.mark.parametrize("how", ["random", "guided"])
def test_every_event_happens_in_its_step_and_in_no_other(how, request):
    """Each event again, by a definition in NumPy from the states before and after."""
    states, steps = request.getfixturevalue(how)
    time = 2 if how == "guided" else 1
    before = jax.tree.map(lambda leaf: np.take(leaf, range(leaf.shape[time] - 1), time), states)
    after = jax.tree.map(lambda leaf: np.take(leaf, range(1, leaf.shape[time]), time), states)
    events = steps.events

    def becomes(fact):
        return fact(after) & ~fact(before)

    np.testing.assert_array_equal(events["drawer_moved"], np.abs(after.drawer - before.drawer) > 0.1)
    np.testing.assert_array_equal(events["slide_moved"], np.abs(after.slide - before.slide) > 0.1)
    np.testing.assert_array_equal(events["drawer_opened"], becomes(lambda s: s.drawer > desk.DRAWER_IS_OPEN))
    np.testing.assert_array_equal(events["button_pressed"], becomes(lambda s: s.pressed))
    np.testing.assert_array_equal(events["button_pressed"], after.light != before.light)
    lifted = becomes(lambda s: s.held & (s.objects[..., 2] > 0.3))
    np.testing.assert_array_equal(events["ball_lifted"], lifted[..., 0])
    np.testing.assert_array_equal(events["block_lifted"], lifted[..., 1:].any(-1))
    off = becomes(lambda s: s.objects[..., 2] < -0.3).any(-1)
    np.testing.assert_array_equal(events["object_off_table"], off)

    def on_the_other(s):
        (up, flat), held = np.moveaxis(s.objects[..., 1:, :], -2, 0), s.held[..., 1:]
        over = np.abs(up[..., :2] - flat[..., :2])
        upright_on = (np.abs(up[..., 2] - flat[..., 2] - 0.7) < 0.02) & (over < desk.HALF[2]).all(-1) & ~held[..., 0]
        flat_on = (np.abs(flat[..., 2] - up[..., 2] - 1.6) < 0.02) & (over < desk.HALF[1]).all(-1) & ~held[..., 1]
        return upright_on | flat_on

    np.testing.assert_array_equal(events["block_stacked"], becomes(on_the_other))
    far = np.sqrt(((after.objects - before.objects) ** 2).sum(-1)) > 0.1
    assert not (events["ball_moved"] & ~far[..., 0]).any()
    assert not (events["block_moved"] & ~far[..., 1:].any(-1)).any()
    carried = before.held & after.held & far
    assert (events["ball_moved"] | ~carried[..., 0]).all()
    assert (events["block_moved"] | ~carried[..., 1:].any(-1)).all()
    np.testing.assert_array_equal(steps.reward, (after.drawer > desk.DRAWER_IS_OPEN).astype(np.float32))
    assert not steps.terminated.any()


def test_the_button_switches_the_lamp_once_for_each_press():
    over = (*desk.BUTTON, 1.6)
    steps = follow(clear_desk(gripper=over), [(0, 0, -1, 0)] * 4 + [(0, 0, 1, 0)] * 3 + [(0, 0, -1, 0)] * 4)
    assert [bool(s.events["button_pressed"]) for s in steps].count(True) == 2
    first = next(t for t, s in enumerate(steps) if s.events["button_pressed"])
    assert [bool(s.state.light) for s in steps[: first + 1]] == [False] * first + [True]
    assert not steps[-1].state.light
    dark, bright = RENDER(steps[first - 1].state), RENDER(steps[first].state)
    assert (np.abs(dark.astype(int) - bright)[:24, 40:].max(-1) > 60).sum() > 100
    beside = follow(clear_desk(gripper=(desk.BUTTON[0] - 1.2, desk.BUTTON[1], 1.6)), [(0, 0, -1, 0)] * 4)
    assert not any(bool(s.events["button_pressed"]) for s in beside)


def test_closed_fingers_pull_the_drawer_to_its_limit_and_push_it_back():
    at_handle = clear_desk(gripper=(desk.DRAWER_X, -0.6, desk.HANDLE_Z))
    pulled = follow(at_handle, [(0, -1, 0, 0)] * 6)
    openings = [float(s.state.drawer) for s in pulled]
    assert openings[0] == pytest.approx(0.8, abs=1e-5)
    assert openings[-1] == desk.DRAWER_TRAVEL
    assert [bool(s.events["drawer_opened"]) for s in pulled] == [False, True, False, False, False, False]
    assert [float(s.reward) for s in pulled] == [0, 1, 1, 1, 1, 1]
    assert not pulled[-1].events["drawer_moved"], "it is at its limit"
    assert pulled[-1].state.gripper[1] == pulled[-2].state.gripper[1], "and the gripper with it"
    back = follow(pulled[-1].state, [(0, 1, 0, 0)] * 6)
    assert back[-1].state.drawer == 0
    assert not any(bool(s.events["drawer_opened"]) for s in back)
    let_go = follow(moved(pulled[1].state, fingers=desk.OPEN), [(0, -1, 0, 0)] * 2)
    assert let_go[-1].state.drawer == pulled[1].state.drawer, "open fingers do not hold the handle"
    high = follow(clear_desk(gripper=(desk.DRAWER_X, -0.6, 0.4)), [(0, -1, 0, 0)] * 2)
    assert high[-1].state.drawer == 0, "above the handle there is nothing to pull"


def test_the_drawer_is_pushed_from_outside_and_from_inside():
    """Open fingers cannot pull, but they are in the way."""
    opened = clear_desk(drawer=2.0, fingers=desk.OPEN, gripper=(desk.DRAWER_X, -3.0, -1.2))
    shut = follow(opened, [(0, 1, 0, 0)] * 4)[-1].state
    assert shut.drawer == pytest.approx(0, abs=1e-5)
    assert shut.gripper[1] <= -desk.FINGER[1] + 1e-5
    inside = clear_desk(drawer=2.0, gripper=(desk.DRAWER_X, -1.0, -1.2))
    assert follow(inside, [(0, -1, 0, 0)] * 3)[-1].state.drawer > 2.5
    left = follow(inside, [(-1, 0, 0, 0)] * 5)[-1].state.gripper[0]
    assert left > desk.DRAWER_X - desk.DRAWER_HALF, "the drawer has sides"


def test_the_door_is_pushed_by_its_handle_in_both_directions():
    beside = clear_desk(gripper=(desk.SLIDE_HANDLE_X - 0.6, 6.65, 1.2))
    pushed = follow(beside, [(1, 0, 0, 0)] * 6)
    assert pushed[-1].state.slide == desk.SLIDE_TRAVEL
    assert pushed[-1].state.gripper[0] < desk.SLIDE_HANDLE_X + desk.SLIDE_TRAVEL, "the door stops, so does the gripper"
    assert pushed[1].events["slide_moved"]
    assert not pushed[-1].events["slide_moved"]
    other_side = moved(pushed[-1].state, gripper=(desk.SLIDE_HANDLE_X + desk.SLIDE_TRAVEL + 0.6, 6.65, 1.2))
    assert follow(other_side, [(-1, 0, 0, 0)] * 6)[-1].state.slide == 0
    for gripper in ((desk.SLIDE_HANDLE_X - 0.6, 5.9, 1.2), (desk.SLIDE_HANDLE_X - 0.6, 6.65, 2.5)):
        passing = follow(clear_desk(gripper=gripper), [(1, 0, 0, 0)] * 3)
        assert passing[-1].state.slide == 0, "before the handle and above it there is nothing to push"
    frontal = follow(clear_desk(gripper=(desk.SLIDE_HANDLE_X, 5.5, 1.2)), [(0, 1, 0, 0)] * 3)
    assert frontal[-1].state.slide == 0
    assert frontal[-1].state.gripper[1] <= desk.SLIDE_HANDLE_FRONT - desk.FINGER[1] + 1e-4


@pytest.mark.parametrize("i", range(OBJECTS))
def test_an_object_is_grasped_lifted_and_dropped(i):
    objects = np.array([[9.0, 1.5, 0.0], [9.0, 3.2, 0.0], [9.0, 4.6, 0.0]])
    objects[i] = (4.0, 3.0, 0.0)
    state = clear_desk(objects=objects, gripper=(4.1, 3.0, 0.05), fingers=desk.OPEN)
    closed = follow(state, [(0, 0, 0, 1)] * 4)[-1].state
    assert closed.held.tolist() == [j == i for j in range(OBJECTS)]
    lifted = follow(closed, [(0, 0, 1, 0)] * 2)
    events = ["ball_lifted" if i == desk.BALL else "block_lifted"]
    assert [bool(s.events[events[0]]) for s in lifted] == [True, False]
    assert lifted[-1].state.objects[i, 2] == pytest.approx(1.6, abs=1e-4)
    carried = follow(lifted[-1].state, [(-0.5, 0.5, 0, 0)])[0]
    np.testing.assert_allclose(carried.state.objects[i] - lifted[-1].state.objects[i], [-0.4, 0.4, 0], atol=1e-4)
    dropped = follow(carried.state, [(0, 0, 0, -1)] * 5)
    heights = [float(s.state.objects[i, 2]) for s in dropped]
    assert heights[-1] == 0
    assert sorted(heights, reverse=True) == heights
    assert not any(bool(s.events[name]) for s in dropped for name in events)
    ajar = follow(clear_desk(objects=objects, gripper=(4.1, 3.0, 0.05), fingers=desk.OPEN), [(0, 0, 1, 0)] * 2)
    assert ajar[-1].state.objects[i, 2] == 0, "open fingers lift nothing"


def test_a_ball_rolls_on_and_slows_down_and_a_block_does_not():
    objects = [[5.0, 3.0, 0.0], [5.0, 5.0, 0.0], [9.0, 1.5, 0.0]]
    for i, y in ((desk.BALL, 3.0), (desk.UPRIGHT, 5.0)):
        pushed = follow(clear_desk(objects=objects, gripper=(3.8, y, 0.1)), [(1, 0, 0, 0)] * 2)[-1].state
        coasting = follow(pushed, [NOTHING] * 12)
        ways = np.diff([float(s.state.objects[i, 0]) for s in coasting], prepend=float(pushed.objects[i, 0]))
        if i == desk.BALL:
            assert ways[0] > 0.2
            assert (np.diff(ways) <= 1e-6).all()
            assert ways[-1] == 0
            assert not any(bool(s.events["ball_moved"]) for s in coasting), "rolling on is no event"
        else:
            assert (ways == 0).all()


def test_a_block_pushes_what_is_in_its_way():
    objects = [[9.0, 1.5, 0.0], [5.0, 3.0, 0.0], [6.4, 3.0, 0.0]]
    after = follow(clear_desk(objects=objects, gripper=(3.9, 3.0, 0.1)), [(1, 0, 0, 0)] * 4)[-1].state
    assert after.objects[desk.FLAT, 0] > 7.5
    gap = after.objects[desk.FLAT, 0] - after.objects[desk.UPRIGHT, 0]
    assert gap == pytest.approx(1.3, abs=0.05)


def test_against_the_ledge_the_gripper_stops():
    objects = [[9.0, 1.5, 0.0], [5.0, 4.6, 0.0], [9.0, 4.6, 0.0]]
    after = follow(clear_desk(objects=objects, gripper=(5.0, 3.5, 0.1)), [(0, 1, 0, 0)] * 4)[-1].state
    assert after.objects[desk.UPRIGHT, 1] == pytest.approx(desk.LEDGE - desk.HALF[desk.UPRIGHT, 1], abs=1e-3)
    touching = desk.HALF[desk.UPRIGHT, 1] + desk.FINGER[1]
    assert after.objects[desk.UPRIGHT, 1] - after.gripper[1] == pytest.approx(touching, abs=0.02)


@pytest.mark.parametrize("i", range(OBJECTS))
@pytest.mark.parametrize("way", [-1, 1])
def test_what_is_pushed_over_the_edge_falls_and_stays_on_the_floor(i, way):
    edge = desk.DESK_LEFT if way < 0 else desk.DESK_RIGHT
    objects = np.array([[6.0, 1.2, 0.0], [6.0, 3.0, 0.0], [6.0, 4.8, 0.0]])
    objects[i] = (edge - way * 1.0, 3.0, 0.0)
    gripper = (edge - way * (1.0 + desk.HALF[i, 0] + 0.5), 3.0, 0.1)
    steps = follow(clear_desk(objects=objects, gripper=gripper), [(way, 0, 0, 0)] * 4 + [(-way, 0, 0, 0)] * 12)
    fallen = [bool(s.events["object_off_table"]) for s in steps]
    assert fallen.count(True) == 1
    assert float(steps[fallen.index(True)].state.objects[i, 2]) < -0.3
    assert steps[-1].state.objects[i, 2] == pytest.approx(desk.FLOOR, abs=1e-5)
    x = float(steps[-1].state.objects[i, 0])
    assert (x - edge) * way >= desk.HALF[i, 0] - 0.01
    assert WORLD.facts(steps[-1].state)["object_off_table"]


def test_a_block_is_stacked_where_its_middle_is_supported_and_slips_off_where_not():
    for offset, stays in ((0.3, True), (1.0, False), (-1.0, False)):
        objects = [[9.0, 1.5, 0.0], [4.0 + offset, 3.0, 1.5], [4.0, 3.0, 0.0]]
        steps = follow(clear_desk(objects=objects, gripper=(2.0, 5.0, 3.0)), [NOTHING] * 8)
        assert [bool(s.events["block_stacked"]) for s in steps].count(True) == stays
        upright = steps[-1].state.objects[desk.UPRIGHT]
        assert upright[2] == pytest.approx(0.7 if stays else 0.0, abs=1e-5)
        assert (abs(float(upright[0]) - 4.0 - offset) < 1e-4) == stays
        assert bool(WORLD.facts(steps[-1].state)["block_stacked"]) == stays
    ball = [[4.0, 3.0, 1.0], [9.0, 3.0, 0.0], [4.0, 3.0, 0.0]]
    steps = follow(clear_desk(objects=ball, gripper=(2.0, 5.0, 3.0)), [NOTHING] * 10)
    assert not any(bool(s.events["block_stacked"]) for s in steps)
    assert steps[-1].state.objects[desk.BALL, 2] == pytest.approx(0, abs=1e-5), "a ball does not stay on a block"


def test_a_stacked_block_goes_along():
    objects = [[9.0, 1.5, 0.0], [4.0, 3.3, 0.7], [4.0, 3.0, 0.0]]  # the palm does not reach the upper one
    steps = follow(clear_desk(objects=objects, gripper=(4.0, 1.6, 0.0)), [(0, 1, 0, 0)] * 3)
    assert steps[-1].state.objects[desk.FLAT, 1] > 4.5
    along = steps[-1].state.objects[desk.UPRIGHT] - steps[-1].state.objects[desk.FLAT]
    np.testing.assert_allclose(along, [0, 0.3, 0.7], atol=0.02)
    assert not any(bool(step.events["block_stacked"]) for step in steps), "it was stacked before"


def test_random_actions_do_the_easy_things_and_hardly_the_hard_ones(random):
    _, steps = random
    often = {name: happened.sum() for name, happened in steps.events.items()}
    for easy in ("ball_moved", "block_moved", "button_pressed", "slide_moved", "drawer_moved"):
        assert often[easy] >= 4, easy
    assert often["block_stacked"] + often["drawer_opened"] <= 10
    assert often["ball_lifted"] + often["block_lifted"] <= 30


# --- what is seen and measured ----------------------------------------------------------------------------------------


def test_every_event_changes_the_picture(guided):
    """In the step of the event, and still where its trace stays."""
    states, steps = guided
    for p, purpose in enumerate(PURPOSES):
        happened = steps.events[EVENT_OF[purpose]][p]
        e = int(happened.any(1).argmax())
        t = int(happened[e].argmax())
        before, after = (np.asarray(RENDER(at(states, p, e, when))).astype(int) for when in (t, t + 1))
        assert (np.abs(before - after).max(-1) > 40).sum() >= 8, purpose


def test_an_object_is_drawn_where_it_is_and_higher_when_it_is_lifted():
    colours = {desk.BALL: (1.0, 0.1, 0.1), desk.UPRIGHT: (0.1, 0.3, 0.9), desk.FLAT: (0.4, 0.9, 0.4)}
    for i in colours:
        objects = np.array([[9.0, 1.5, 0.0], [9.0, 3.2, 0.0], [9.0, 4.6, 0.0]])
        places = []
        for z in (0.0, 1.0):
            objects[i] = (4.0, 2.5, z)
            picture = np.asarray(RENDER(clear_desk(objects=objects, gripper=(11.0, 5.0, 3.0)))).astype(int)
            objects[i] = (12.4, 2.5, desk.FLOOR)
            gone = np.asarray(RENDER(clear_desk(objects=objects, gripper=(11.0, 5.0, 3.0)))).astype(int)
            rows, columns = np.nonzero(np.abs(picture - gone)[:, :56].max(-1) > 90)
            places.append((rows.min(), columns.mean()))
        assert places[0][1] == pytest.approx(20, abs=1.5), "column = 5 x"
        assert places[0][0] - places[1][0] == pytest.approx(4, abs=1), "4 pixels to the decimetre"


def test_the_nearer_object_hides_the_farther_one():
    pictures = []
    for near, far in ((desk.UPRIGHT, desk.FLAT), (desk.FLAT, desk.UPRIGHT)):
        objects = np.array([[9.0, 1.5, 0.0]] * 3)
        objects[near], objects[far] = (4.0, 2.0, 0.0), (4.0, 3.3, 0.0)
        pictures.append(np.asarray(RENDER(clear_desk(objects=objects, gripper=(8.0, 5.0, 3.0)))))
    (blue_near, green_near) = (picture[38, 20].astype(int) for picture in pictures)
    assert blue_near[2] > blue_near[1]
    assert green_near[1] > green_near[2]


def test_larger_pictures_are_the_same_ones_drawn_finer():
    state = start(3)
    small, large = (
        np.asarray(RENDER(state)).astype(float),
        np.asarray(jax.jit(WORLD.render, static_argnums=1)(state, 4)).astype(float),
    )
    assert large.shape == (256, 256, 3)
    shrunk = large.reshape(64, 4, 64, 4, 3).mean((1, 3))
    assert np.abs(shrunk - small).mean() < 2
    with pytest.raises(ValueError, match="scale is 0; it must be at least 1"):
        WORLD.render(state, 0)


def test_things_can_be_told_apart_in_grey():
    from sensei_lite.worlds.tabletop import view

    grey = {
        name: np.dot(colour, (0.299, 0.587, 0.114))
        for name, colour in vars(view).items()
        if name.isupper() and isinstance(colour, tuple) and len(colour) == 3
    }
    fronts = view.FRONTS @ np.array((0.299, 0.587, 0.114))
    assert (np.abs(fronts - grey["DESK"]) > 0.1).all()
    assert abs(grey["LAMP_ON"] - grey["LAMP_OFF"]) > 0.3
    assert abs(grey["DOOR"] - grey["INSIDE"]) > 0.3
    assert abs(grey["LINING"] - grey["DRAWER_FRONT"]) > 0.3
    assert abs(grey["FINGER_COLOUR"] - grey["DESK"]) > 0.3


def test_facts_are_about_what_is_now(guided):
    states, _ = guided
    facts = jax.device_get(jax.jit(jax.vmap(jax.vmap(jax.vmap(WORLD.facts))))(states))
    begun = [values[:, :, 0].any() for name, values in facts.items() if "displaced" not in name]
    assert not any(begun), "at the start nothing is true yet, but that things may be anywhere"
    for purpose, fact in (
        ("press the button", "light_on"),
        ("slide the door", "slide_opened"),
        ("lift the ball", "ball_lifted"),
        ("lift the flat block", "block_lifted"),
        ("open the drawer", "drawer_opened"),
        ("stack the blocks", "block_stacked"),
        ("drop the ball outside", "object_off_table"),
        ("push the flat block", "object_reached"),
    ):
        assert facts[fact][PURPOSES.index(purpose)].any(-1).mean() > 0.8, purpose
    counted = tuple(name for name in WORLD.facts(start()) if name not in ("object_reached", "object_off_table"))
    assert counted == LEVELS["Tabletop"]


def test_the_numbers_say_everything_that_the_picture_shows(guided):
    """Every state of guided play is drawn again from its numbers alone: but for what is too small to see, the same."""
    states, _ = guided
    some = jax.tree.map(lambda leaf: leaf[:, :3, ::40].reshape(-1, *leaf.shape[3:]), states)
    told = jax.jit(jax.vmap(numbers_of))(some)
    assert told.shape[1:] == (Tabletop(numbers=True).vector_size,)
    assert np.abs(told).max() < 4, "of about one size"
    draw = jax.jit(jax.vmap(WORLD.render))
    seen, again = draw(some), draw(jax.vmap(state_of)(told))
    assert (np.abs(np.asarray(seen, int) - np.asarray(again, int)) > 8).mean() < 1e-4
    assert (np.diff(told, axis=0) != 0).any(0).all(), "every number changes at some time"
    assert WORLD.vector_size == 0, "and nothing is told unless it is asked for"


def test_what_is_not_in_its_place_is_displaced():
    tidy = make_world("tabletop-lab")
    for seed in range(3):
        state = tidy.reset(key=jax.random.key(seed))
        np.testing.assert_allclose(state.objects[:, :2], desk.HOME)
        assert not any(tidy.facts(state).values()), "in the lab everything begins in its place"
    for i, name in enumerate(desk.OBJECTS):
        for way, is_away in ((0.9, False), (1.1, True)):
            for axis in range(2):
                facts = tidy.facts(state._replace(objects=state.objects.at[i, axis].add(-way)))
                told = [other for other in desk.OBJECTS if facts[f"{other}_displaced"]]
                assert told == ([name] if is_away else [])
        lifted = tidy.facts(state._replace(objects=state.objects.at[i, 2].set(2.0)))
        assert not lifted[f"{name}_displaced"], "it is still over its place"


def test_the_gripper_is_at_the_doors_handle_from_the_front_and_from_beside():
    handle = desk.SLIDE_HANDLE_X
    for gripper, reaches in (
        ((handle - 0.6, 6.65, 1.2), True),
        ((handle, 6.2, 1.2), True),
        ((handle - 1.5, 6.65, 1.2), False),
        ((handle - 0.6, 5.5, 1.2), False),
        ((handle - 0.6, 6.65, 2.6), False),
    ):
        assert bool(WORLD.facts(clear_desk(gripper=gripper))["object_reached"]) == reaches, gripper
    # It goes along with the door.
    open_door = clear_desk(gripper=(handle - 0.6, 6.65, 1.2), slide=2.0)
    assert not WORLD.facts(open_door)["object_reached"]
    assert WORLD.facts(moved(open_door, gripper=(handle + 1.4, 6.65, 1.2)))["object_reached"]


def test_situations_are_numbers_that_differ_where_things_differ(guided):
    states, _ = guided
    numbers = np.asarray(jax.jit(jax.vmap(jax.vmap(jax.vmap(WORLD.situation))))(states))
    assert numbers.min() >= 0
    assert numbers.max() < WORLD.situations
    most = moved(
        clear_desk(),
        drawer=3.0,
        slide=3.0,
        light=True,
        held=[0, 0, 1],
        gripper=(12.2, 6.7, 1.0),
        objects=[[0.5, 1.0, -3.6], [0.5, 3.0, -3.6], [12.2, 3.0, -1.0]],
    )
    assert int(WORLD.situation(most)) < WORLD.situations
    base = clear_desk()
    changes = [
        {},
        {"drawer": 1.0},
        {"drawer": 2.0},
        {"slide": 1.0},
        {"slide": 2.0},
        {"light": True},
        {"held": [1, 0, 0]},
        {"held": [0, 1, 0]},
        {"held": [0, 0, 1]},
        {"gripper": (6.0, 3.0, 2.0)},
        {"gripper": (10.0, 3.0, 2.0)},
        {"gripper": (3.0, -1.0, 1.0)},
        {"gripper": (3.0, 6.0, 1.0)},
        {"objects": [[0.5, 1.0, -3.6], [9.0, 3.2, 0.0], [9.0, 4.6, 0.0]]},
        {"objects": [[9.0, 1.0, 0.0], [5.0, 3.2, 0.7], [5.0, 3.2, 0.0]]},
    ]
    found = [int(WORLD.situation(moved(base, **change))) for change in changes]
    assert len(set(found)) == len(changes)


def test_words_for_numbers():
    box = Box(("right", "up"), ("left", "down"))
    assert box.one_at_a_time == {"right": (1, 0), "up": (0, 1), "left": (-1, 0), "down": (0, -1)}
    assert Box(("right",)).one_at_a_time == {"right": (1,)}
    with pytest.raises(ValueError, match="2 names, but 1 opposites"):
        Box(("right", "up"), ("left",))
