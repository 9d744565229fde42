"""The real MiniHack levels: an oracle that plays by the map solves them, and everything the agent is told is true."""

import hashlib
import subprocess
import sys
import warnings
from collections import deque

import gymnasium
import numpy as np
import pytest

pytest.importorskip("nle")
pytest.importorskip("minihack")
pytest.importorskip("minigrid")

from gymnasium.utils.env_checker import check_env
from nle import nethack

from sensei_lite.worlds import HostWorld, make_world
from sensei_lite.worlds.minihack import world as mh
from sensei_lite.worlds.minihack.world import APPLY, MOVES, MiniHackKeyChest, MiniHackKeyRoom, MiniHackLevel

STAIRS_DOWN = 2383
WALKABLE = (mh.FLOOR, mh.FLOOR + 1, mh.STAIRS_UP, STAIRS_DOWN, mh.KEY, mh.CHEST, *mh.OPEN_DOORS)
N, E, S, W = range(4)


@pytest.fixture
def keyroom():
    env = MiniHackKeyRoom()
    yield env
    env.close()


@pytest.fixture
def keychest():
    env = MiniHackKeyChest(room_size=3)
    yield env
    env.close()


class Oracle:
    """Walks by breadth-first search over the map that the hero knows, and explores where that is not enough."""

    def __init__(self, env: MiniHackLevel):
        self.env, self.doors, self.visited = env, set(), set()

    def find(self, *glyphs: int) -> list[tuple[int, int]]:
        return [(int(x), int(y)) for y, x in np.argwhere(np.isin(self.env.glyphs, glyphs))]

    def towards(self, goals: set[tuple[int, int]], *walkable: int) -> int | None:
        """The first move of a shortest way to one of the goals; doors are not passed diagonally."""
        start, glyphs = self.env.position, self.env.glyphs
        self.doors |= set(self.find(*mh.OPEN_DOORS, *mh.CLOSED_DOORS))
        first, queue = {start: -1}, deque([start])
        while queue:
            x, y = queue.popleft()
            if (x, y) in goals:
                return first[x, y]
            for move, (dx, dy) in enumerate(MOVES):
                place = x + dx, y + dy
                through_door = place in self.doors or (x, y) in self.doors
                if place in first or glyphs[place[1], place[0]] not in walkable or (dx and dy and through_door):
                    continue
                first[place] = move if first[x, y] < 0 else first[x, y]
                queue.append(place)
        return None

    def explore(self, *walkable: int) -> int:
        """A move towards the nearest place that has something unseen beside it."""
        self.visited.add(self.env.position)
        unseen = np.pad(self.env.glyphs, 1, constant_values=mh.STONE) == mh.STONE
        edge = {(x, y) for x, y in self.find(*walkable) if unseen[y : y + 3, x : x + 3].any()} - self.visited
        move = self.towards(edge, *walkable)
        assert move is not None, "nothing left to explore"
        return move


def around(place: tuple[int, int], directions: int = 4) -> set[tuple[int, int]]:
    return {(place[0] + dx, place[1] + dy) for dx, dy in MOVES[:directions]}


def keyroom_move(oracle: Oracle, to_door: bool = False) -> int:
    key, door, exit_ = oracle.find(mh.KEY), oracle.find(*mh.CLOSED_DOORS), oracle.find(STAIRS_DOWN)
    goals = set(exit_)
    if oracle.env.key_held and door and oracle.env.position in around(door[0]):
        return APPLY
    if door and (oracle.env.key_held or to_door):
        goals |= around(door[0])
    if key and not to_door:
        goals |= set(key)
    move = oracle.towards(goals, *WALKABLE) if goals else None
    return oracle.explore(*WALKABLE) if move is None else move


def keychest_move(oracle: Oracle) -> int:
    key, chest = oracle.find(mh.KEY), oracle.find(mh.CHEST)
    walkable = (*WALKABLE[:5], *mh.OPEN_DOORS, *mh.CLOSED_DOORS)  # moving into a closed door opens it
    goals = set(key)
    if oracle.env.key_held and chest:
        if oracle.env.position in around(chest[0]):
            return APPLY
        goals |= around(chest[0])
    move = oracle.towards(goals, *walkable) if goals else None
    return oracle.explore(*walkable) if move is None else move


def play(env: MiniHackLevel, seed: int, choose) -> tuple[list[str], list[tuple]]:
    """Play one episode; return its events in order and, per step, (image, reward, terminated, truncated, events)."""
    image, info = env.reset(seed=seed)
    assert set(info["events"]) == set(env.event_names)
    assert not any(info["events"].values())
    oracle, names, steps = Oracle(env), [], []
    while not steps or not (steps[-1][2] or steps[-1][3]):
        image, reward, terminated, truncated, info = env.step(choose(oracle))
        assert tuple(info["events"]) == env.event_names
        names += [name for name, happened in info["events"].items() if happened]
        steps.append((image, reward, terminated, truncated, info["events"]))
    return names, steps


@pytest.mark.filterwarnings("ignore:.*Not able to test alternative render modes")  # needs a registered id
@pytest.mark.parametrize("env_class", [MiniHackKeyRoom, MiniHackKeyChest])
def test_gymnasium_accepts_it(env_class):
    env = env_class(render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        check_env(env)
    image, _ = env.reset(seed=0)
    assert image.shape == (64, 64, 3)
    assert image.dtype == np.uint8
    assert env.render().shape == (256, 256, 3)
    env.close()
    env.close()  # twice does no harm


def test_glyph_numbers_are_nethacks():
    names = {mh.KEY: "skeleton key", mh.CHEST: "chest"}
    for glyph, name in names.items():
        assert nethack.objdescr.from_idx(glyph - nethack.GLYPH_OBJ_OFF).oc_name == name
    symbols = {mh.FLOOR: "floor of a room", mh.STAIRS_UP: "staircase up", STAIRS_DOWN: "staircase down"}
    symbols |= dict.fromkeys(mh.OPEN_DOORS, "open door") | dict.fromkeys(mh.CLOSED_DOORS, "closed door")
    for glyph, name in symbols.items():
        assert nethack.symdef.from_idx(glyph - nethack.GLYPH_CMAP_OFF).explanation == name
    assert mh.STONE == nethack.GLYPH_CMAP_OFF


def test_it_is_minihacks_level_and_minihacks_picture(keyroom):
    """Same NetHack seed, same map as MiniHack's registered class; and our 5 x 5 picture is MiniHack's, resized."""
    from minihack.envs.keyroom import MiniHackKeyRoom15x15

    theirs = MiniHackKeyRoom15x15(
        observation_keys=("glyphs", "pixel_crop"), obs_crop_h=5, obs_crop_w=5, autopickup=True, fix_moon_phase=True
    )
    paint = mh._Painter(16)  # 11 * 16 pixels per tile: each of MiniHack's 16 pixels becomes 11 x 11
    for seed in range(3):
        keyroom.reset(seed=seed)
        nethack_seed = int(gymnasium.utils.seeding.np_random(seed)[0].integers(2**31 - 1))
        theirs.seed(nethack_seed, nethack_seed, reseed=False)
        obs, _ = theirs.reset()
        np.testing.assert_array_equal(keyroom.glyphs, obs["glyphs"])
        ours = paint(np.where(keyroom._view == mh.STAIRS_UP, mh.FLOOR, keyroom._view), False)
        large = obs["pixel_crop"].repeat(11, 0).repeat(11, 1)
        if mh.STAIRS_UP not in keyroom._view:
            np.testing.assert_array_equal(ours[:880, 64 : 64 + 880], large)
    theirs.close()


def test_oracle_solves_keyroom(keyroom):
    for seed in range(5):
        names, steps = play(keyroom, seed, keyroom_move)
        image, reward, terminated, truncated, _ = steps[-1]
        assert (reward, terminated, truncated) == (1.0, True, False)
        assert all(step[1:4] == (0.0, False, False) for step in steps[:-1])
        # Each lasting event exactly once, in the order that the level forces.
        lasting = [name for name in names if name not in keyroom.passing]
        expected = ["key_seen", "key_picked_up", "door_opened", "exit_reached"]
        assert lasting == expected
        assert "door_reached_with_key" in names[names.index("key_picked_up") : names.index("door_opened")]
        assert "door_reached_with_key" not in names[: names.index("key_picked_up")]
        assert keyroom.glyphs.max() > mh.STONE, "the last observation must not be blank"
        assert (image != steps[-2][0]).any(), "the last picture must be drawn on the staircase, not before it"


def test_oracle_solves_keychest(keychest):
    for seed in range(5):
        names, steps = play(keychest, seed, keychest_move)
        assert steps[-1][1:4] == (1.0, True, False)
        assert all(step[1:4] == (0.0, False, False) for step in steps[:-1])
        expected = ["key_seen", "key_picked_up", "chest_seen", "chest_opened"]
        assert sorted(names) == sorted(expected), "each event exactly once"
        assert names.index("key_picked_up") < names.index("chest_opened") == len(names) - 1
        assert names[-1] == "chest_opened"
    large = MiniHackKeyChest()
    names, steps = play(large, 1, keychest_move)
    large.close()
    assert steps[-1][2]
    assert names[-1] == "chest_opened"


def test_apply_unlocks_the_chest_and_lifts_its_lid(keychest):
    """Every screen that NetHack shows during the episode, read over the environment's shoulder."""
    game, screens = keychest._game.nethack, []
    nethack_step, tty = game.step, keychest._game._observation_keys.index("tty_chars")

    def step(key):
        obs, done = nethack_step(key)
        screens.append(obs[tty].tobytes().decode("latin-1"))
        return obs, done

    game.step = step
    play(keychest, 0, keychest_move)
    said = [
        next(
            (
                line
                for line in ("unlock it?", "succeed in unlocking the chest", "carefully open the chest")
                if line in s
            ),
            "",
        )
        for s in screens
    ]
    assert [line for line in said if line] == [
        "unlock it?",
        "succeed in unlocking the chest",
        "carefully open the chest",
    ]


def test_key_slot_changes_exactly_when_the_key_is_taken(keyroom):
    image, _ = keyroom.reset(seed=0)
    slot = image[55:]
    _, steps = play(keyroom, 0, keyroom_move)
    assert not np.array_equal(steps[-1][0][55:], slot)
    assert (steps[-1][0] == mh.GOLD).all(-1).sum() == mh.KEY_ICON.sum()
    for image, *_, events in steps:
        assert np.array_equal(image[55:], slot) != events["key_picked_up"]
        slot = image[55:]


def test_events_are_changes(keyroom):
    """Standing still at the door is no event; coming back is one; without the key it is not 'with key'."""
    oracle = None
    for seed in range(20):  # a start from where the door is reached before the key is stepped on
        keyroom.reset(seed=seed)
        oracle, happened = Oracle(keyroom), {}
        while not happened.get("door_reached") and not keyroom.key_held:
            *_, info = keyroom.step(keyroom_move(oracle, to_door=True))
            happened = info["events"]
        if not keyroom.key_held:
            break
    assert not happened["door_reached_with_key"]
    here, door = keyroom.position, oracle.find(*mh.CLOSED_DOORS)[0]
    inwards = MOVES.index((door[0] - here[0], door[1] - here[1]))
    *_, info = keyroom.step(inwards)  # the door is locked
    assert keyroom.position == here
    assert not any(info["events"].values())
    *_, info = keyroom.step((inwards + 2) % 4)  # away
    assert keyroom.position != here
    assert not info["events"]["door_reached"]
    *_, info = keyroom.step(inwards)
    assert info["events"]["door_reached"]
    assert not info["events"]["door_opened"]


def test_up_staircase_looks_like_floor(keychest):
    keychest.reset(seed=0)
    start = keychest.position  # the hero starts on the staircase
    image = next(
        image
        for move in range(4)
        for image in [keychest.step(move)[0]]
        if abs(keychest.position[0] - start[0]) + abs(keychest.position[1] - start[1]) == 1
    )
    assert keychest.glyphs[start[1], start[0]] == mh.STAIRS_UP
    dx, dy = start[0] - keychest.position[0], start[1] - keychest.position[1]
    tile = image[11 * (2 + dy) :, 4 + 11 * (2 + dx) :][:11, :11]
    view = np.full((5, 5), mh.FLOOR, np.int16)
    np.testing.assert_array_equal(tile, keychest._paint(view, False)[:11, 4:15])
    view[0, 0] = STAIRS_DOWN
    assert (tile != keychest._paint(view, False)[:11, 4:15]).any()


@pytest.mark.parametrize(("env_class", "choose"), [(MiniHackKeyRoom, keyroom_move), (MiniHackKeyChest, keychest_move)])
def test_apply_with_nothing_to_apply_to_does_no_harm(env_class, choose):
    def walk(applies: int) -> list[np.ndarray]:
        env = env_class(max_steps=1000)
        env.reset(seed=3)
        oracle, images = Oracle(env), []
        while not env.key_held:
            for _ in range(applies):
                image, _, terminated, _, info = env.step(APPLY)
                assert not terminated
                assert not any(info["events"].values())
                assert not images or np.array_equal(image, images[-1])
            images.append(env.step(choose(oracle))[0])
        # With the key in hand, but (one step later) still with nothing to use it on.
        for _ in range(3):
            before, glyphs = env.position, env.glyphs
            env.step(APPLY)
            assert env.position == before
            np.testing.assert_array_equal(env.glyphs, glyphs)
            env.step(choose(oracle))
            assert env.position != before or not np.array_equal(env.glyphs, glyphs), "stuck in a prompt?"
        env.close()
        return images

    np.testing.assert_array_equal(walk(0), walk(2))


@pytest.mark.parametrize(("env_class", "paper"), [(MiniHackKeyRoom, 600), (MiniHackKeyChest, 800)])
def test_truncation_is_exact(env_class, paper):
    env = env_class()
    assert env.max_steps == paper
    for env.max_steps in (paper, 1):
        env.reset(seed=0)
        ends = [env.step(APPLY if step % 2 else N)[1:4] for step in range(env.max_steps)]
        assert ends == [(0.0, False, False)] * (env.max_steps - 1) + [(0.0, False, True)]
        with pytest.raises(RuntimeError, match="reset"):
            env.step(N)
    env.close()


def test_solving_with_the_last_step_is_no_truncation(keyroom):
    _, steps = play(keyroom, 0, keyroom_move)
    keyroom.max_steps = len(steps)
    _, steps = play(keyroom, 0, keyroom_move)
    assert steps[-1][1:4] == (1.0, True, False)


def test_time_out_of_nle_is_truncation_and_lost_game_is_termination(keyroom):
    keyroom.reset(seed=0)
    keyroom._game._max_episode_steps = 1
    assert keyroom.step(N)[1:4] == (0.0, False, True)
    keyroom._game._max_episode_steps = 10**9

    before, _ = keyroom.reset(seed=0)
    keyroom.key_held, keyroom._apply = True, lambda: [keyroom._press(key) for key in "\xf1y"]  # Meta-q: give up
    image, *end, _ = keyroom.step(APPLY)
    assert end == [0.0, True, False]
    assert np.array_equal(image[:55], before[:55]), "after the end the map is gone; the last view stays"
    del keyroom._apply
    image, _ = keyroom.reset(seed=0)
    np.testing.assert_array_equal(image, before)


DIGEST = """
import hashlib, numpy as np
from sensei_lite.worlds.minihack import world as minihack
env = minihack.{name}()
digest = hashlib.sha256()
for seed in (5, None):
    digest.update(env.reset(seed=seed)[0])
    for action in np.random.default_rng(0).integers(9, size=300):
        image, reward, terminated, truncated, info = env.step(int(action))
        digest.update(image)
        digest.update(str((reward, terminated, truncated, info)).encode())
        if terminated or truncated:
            break
print(digest.hexdigest())
"""


@pytest.mark.parametrize("name", ["MiniHackKeyRoom", "MiniHackKeyChest"])
def test_same_seed_same_trajectory_in_any_process(name, capsys):
    script = DIGEST.format(name=name)
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert other.stderr == "", "importing and playing must be silent"
    for _ in range(2):
        exec(script, {})
        assert capsys.readouterr().out == other.stdout
    assert len(other.stdout.strip()) == hashlib.sha256().digest_size * 2


@pytest.mark.parametrize("env_class", [MiniHackKeyRoom, MiniHackKeyChest])
def test_seeds_and_the_stream_after_them(env_class):
    env = env_class()
    first, second, third = env.reset(seed=1)[0], env.reset()[0], env.reset(seed=2)[0]
    assert (first != second).any()
    assert (first != third).any()
    assert (env.reset()[0] != env.reset()[0]).any()
    np.testing.assert_array_equal(env.reset(seed=1)[0], first)
    np.testing.assert_array_equal(env.reset()[0], second)
    env.close()


def test_a_question_nobody_expects_is_left_unanswered(keychest):
    """If the chest is unlocked already, the game asks whether to lock it. APPLY says neither yes nor gets stuck."""
    play(keychest, 0, keychest_move)
    keychest._status = "RUNNING"  # play on, standing on the chest
    before = keychest.position
    assert keychest.step(APPLY)[1:4] == (0.0, False, False)
    assert any(keychest.step(move) and keychest.position != before for move in range(APPLY))


def test_what_was_read_stays_as_it_was(keyroom):
    keyroom.reset(seed=0)
    oracle, held = Oracle(keyroom), keyroom.glyphs
    kept = held.copy()
    for _ in range(5):
        keyroom.step(keyroom_move(oracle))
    np.testing.assert_array_equal(held, kept)
    assert (keyroom.glyphs != kept).any()


def test_beyond_the_map_there_is_stone(keyroom):
    letters, nothing = np.zeros(55, np.uint8), np.zeros(55, np.int16)
    floor = np.full((21, 79), mh.FLOOR, np.int16)
    keyroom._read({"blstats": np.array([78, 0]), "glyphs": floor, "inv_glyphs": nothing, "inv_letters": letters})
    expected = np.full((5, 5), mh.STONE)
    expected[2:, :3] = mh.FLOOR
    np.testing.assert_array_equal(keyroom._view, expected)


def test_wrong_arguments_and_actions(keyroom):
    for wrong in ({"max_steps": 0}, {"render_mode": "human"}, {"render_scale": 0}, {"room_size": 16}):
        with pytest.raises(ValueError, match=r"need|cannot use"):
            MiniHackKeyRoom(**wrong)
    with pytest.raises(ValueError, match="fit"):
        MiniHackKeyChest(room_size=9)
    with pytest.raises(RuntimeError, match="reset"):
        keyroom.step(N)
    keyroom.reset(seed=0)
    for wrong in (-1, 9):
        with pytest.raises(ValueError, match="action"):
            keyroom.step(wrong)


@pytest.mark.parametrize("missing", ["nle", "minihack"])
@pytest.mark.parametrize("env_class", [MiniHackKeyRoom, MiniHackKeyChest])
def test_missing_extra_is_named(env_class, missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r'pip install "sensei-lite\[minihack\]"') as error:
        env_class()
    assert "wheels" not in str(error.value)
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ImportError, match=r"sensei-lite\[minihack\].*darwin.*Linux wheels only"):
        env_class()


def test_module_imports_without_the_extra():
    hide = "import sys; sys.modules.update(nle=None, minihack=None, minigrid=None)"
    script = f"{hide}; import sensei_lite.worlds.minihack.world"
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("name", ["minihack-keyroom-s15", "minihack-keychest"])
def test_the_catalogue_gives_rows_of_the_real_levels(name):
    world = make_world(name, num_envs=2)
    assert isinstance(world, HostWorld)
    assert world.actions.names[-1] == "apply"
    row = world.reset(seed=1)
    assert row.image.shape == (2, 64, 64, 3)
    assert (row.image[0] != row.image[1]).any()
    row = world.step(np.array([0, 2]))
    assert set(row.events) == set(world.event_names)
    assert not row.is_first.any()
    world.close()
