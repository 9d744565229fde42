"""Pokemon Red on the real emulator: a tiny game of our own stands in for the cartridge that cannot be shipped."""

import gzip
import os
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest

pytest.importorskip("pyboy")

from game_boy_rom import BOOT_FRAMES, FIRST_LEVEL, FRAMES, LEFT_FRAMES, game_boy_rom, save_state
from gymnasium.utils.env_checker import check_env

from sensei_lite.annotators.chat.prompts import SPECIFIC, prompt_for
from sensei_lite.types import Discrete
from sensei_lite.worlds import HostWorld, make_world
from sensei_lite.worlds.pokemon import memory as ram
from sensei_lite.worlds.pokemon.world import ENGLISH_RED, ROM_VARIABLE, STATE_VARIABLE, PokemonRed, read_rom

ID = "SenseiLite/PokemonRed-v0"
DOWN, LEFT, RIGHT, UP, A, B = range(6)  # LEFT changes nothing that counts
PARTY_LEVELS = (0xD18C, 0xD1B8, 0xD1E4, 0xD210, 0xD23C, 0xD268)  # as Data Crystal's map lists them


@pytest.fixture(autouse=True)
def no_cartridge_of_the_user(monkeypatch):
    monkeypatch.delenv(ROM_VARIABLE, raising=False)
    monkeypatch.delenv(STATE_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cartridge")
    (folder / "game.gb").write_bytes(game_boy_rom())
    return {"rom": folder / "game.gb", "start_state": save_state(folder / "start.state")}


@pytest.fixture
def make(files):
    made = []

    def new(**settings):
        made.append(PokemonRed(**{**files, "any_release": True, "frame_skip": 24, **settings}))
        return made[-1]

    yield new
    for env in made:
        env.close()


@pytest.fixture
def env(make):
    env = make()
    env.reset(seed=0)
    return env


def happened(env: PokemonRed, action: int) -> set[str]:
    *_, info = env.step(action)
    assert tuple(info["events"]) == env.event_names
    return {name for name, true in info["events"].items() if true}


def put(env: PokemonRed, values: dict[int, int]) -> None:
    for address, value in values.items():
        env._game.memory[address] = value


def member(slot: int, who: int, level: int) -> dict[int, int]:
    """One record of the party: its trainer, its genes, its level."""
    record = ram.PARTY + ram.RECORD * slot
    return {record + ram.TRAINER_ID: who, record + ram.GENES: who, record + ram.LEVEL: level}


def test_gymnasium_accepts_it(make):
    env = make(render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Not able to test alternative render modes")  # needs an id
        check_env(env)
    picture, _ = env.reset(seed=0)
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    assert env.render().shape == (144, 160, 3)
    env.close()
    env.close()  # twice does no harm
    with pytest.raises(RuntimeError, match="closed"):
        env.reset()


def test_each_button_has_its_event(env):
    assert happened(env, LEFT) == set()
    assert happened(env, RIGHT) == {"new_map"}
    assert happened(env, A) == {"level_gained"}
    assert happened(env, B) == {"badge_won"}
    assert happened(env, B) == set(), "the same badge a second time"
    assert happened(env, UP) == {"party_grew"}
    assert happened(env, DOWN) == {"battle_begun"}
    assert happened(env, LEFT) == set(), "the battle goes on"
    assert happened(env, DOWN) == {"battle_won"}


def test_a_map_is_new_once_in_an_episode(env):
    assert happened(env, RIGHT) == {"new_map"}
    put(env, {ram.MAP: 0})
    assert happened(env, LEFT) == set(), "here the episode began"
    assert happened(env, RIGHT) == set(), "here it was a moment ago"
    assert happened(env, RIGHT) == {"new_map"}
    env.reset()
    assert happened(env, RIGHT) == {"new_map"}, "another episode"


@pytest.mark.parametrize(
    ("flag", "result", "enemy_hp", "won"),
    [
        (0, 0, 0, True),
        (0, 0, 256, False),  # the enemy teleported away
        (0, 1, 0, False),  # lost, without blacking out
        (0, 2, 0, False),  # ran away, or caught it
        (ram.LOST, 0, 0, False),  # lost
    ],
)
def test_only_a_beaten_enemy_is_a_win(env, flag, result, enemy_hp, won):
    put(env, {ram.IN_BATTLE: 2})
    assert happened(env, LEFT) == {"battle_begun"}, "against a trainer, too"
    enemy = {ram.ENEMY_HP: enemy_hp // 256, ram.ENEMY_HP + 1: enemy_hp % 256}
    put(env, {ram.IN_BATTLE: flag, ram.BATTLE_RESULT: result} | enemy)
    assert happened(env, LEFT) == ({"battle_won"} if won else set())
    put(env, {ram.IN_BATTLE: 0, ram.BATTLE_RESULT: 0})  # what the game does after a while
    assert happened(env, LEFT) == set()


def test_a_defeat_within_a_step_is_no_win(make):
    """In 96 frames the game can mark a battle as lost (for 32 frames) and take the mark away again."""
    env = make(frame_skip=96)
    env.reset()
    put(env, {ram.IN_BATTLE: 1})
    happened(env, LEFT)
    tick, passed = env._game.tick, 0

    class Game:
        """The emulator, whose game blacks out in the midst of the step."""

        def __getattr__(self, name):
            return getattr(emulator, name)

        def tick(self, frames, render):
            nonlocal passed
            passed += frames
            tick(frames, render)
            put(env, {ram.IN_BATTLE: 1 if passed < 20 else ram.LOST if passed < 52 else 0})

    emulator, env._game = env._game, Game()
    assert happened(env, LEFT) == set()
    env._game = emulator
    assert passed == 96


def test_levels_are_where_the_map_of_the_memory_has_them(env):
    for slot, address in enumerate(PARTY_LEVELS):
        put(env, member(slot, who=slot + 1, level=10))
        assert env._game.memory[address] == 10
    put(env, {ram.PARTY_COUNT: 6})
    assert happened(env, LEFT) == {"party_grew"}
    for address in PARTY_LEVELS:
        put(env, {address: 11})
        assert happened(env, LEFT) == {"level_gained"}
    assert env._record.numbers()["levels"] == 66


def test_only_who_was_there_gains_a_level(env):
    put(env, {ram.PARTY_COUNT: 2, **member(0, who=7, level=5), **member(1, who=8, level=3)})
    happened(env, LEFT)
    put(env, {**member(0, who=8, level=3), **member(1, who=7, level=5)})
    assert happened(env, LEFT) == set(), "another order"
    put(env, {ram.PARTY_COUNT: 1})
    assert happened(env, LEFT) == set(), "one is left in the box"
    put(env, {ram.PARTY_COUNT: 2, **member(1, who=9, level=60)})
    assert happened(env, LEFT) == set(), "a strong one joins instead"
    put(env, {ram.PARTY_COUNT: 3, **member(2, who=7, level=5)})
    assert happened(env, LEFT) == {"party_grew"}, "the first one is back as it was"
    put(env, member(2, who=7, level=6))
    assert happened(env, LEFT) == {"level_gained"}
    put(env, {ram.PARTY_COUNT: 2})
    happened(env, LEFT)
    put(env, {ram.PARTY_COUNT: 3, **member(2, who=7, level=8)})
    assert happened(env, LEFT) == {"level_gained"}, "it was in the day care"
    for level, gained in ((4, set()), (8, set()), (9, {"level_gained"})):
        put(env, member(2, who=7, level=level))
        assert happened(env, LEFT) == gained


def test_a_species_is_new_once(env):
    first, last = 0xD2F7, 0xD309
    for bit in ({first: 0b1}, {first: 0b101}, {last: 0b0100_0000}):  # the 151st is bit 6 of the 19th byte
        put(env, bit)
        assert happened(env, LEFT) == {"new_species"}
        assert happened(env, LEFT) == set()
    assert env._record.numbers()["species"] == 3
    for bit in (0, 0b0100_0000):
        put(env, {last: bit})
        assert happened(env, LEFT) == set()


def test_info_tells_how_far_the_player_is(env):
    _, info = env.reset()
    assert not any(info.pop("events").values())
    wanted = {"maps": 1, "party": 1, "levels": FIRST_LEVEL, "species": 0, "badges": 0, "map": 0, "x": 0, "y": 0}
    assert info == wanted
    put(env, {ram.X: 4, ram.Y: 9, ram.BADGES: 0b1000_0110})
    env.step(RIGHT)
    *_, info = env.step(A)
    del info["events"]
    assert info == wanted | {"maps": 2, "levels": FIRST_LEVEL + 1, "badges": 3, "map": 1, "x": 4, "y": 9}


def test_a_button_is_down_for_eight_frames_of_a_step(env):
    for frame_skip in (24, 96, 13):
        env._frame_skip = frame_skip
        before = [env._game.memory[address] for address in (LEFT_FRAMES, FRAMES)]
        env.step(LEFT)
        after = [env._game.memory[address] for address in (LEFT_FRAMES, FRAMES)]
        assert np.subtract(after, before).astype(np.uint8).tolist() == [8, frame_skip]


def test_the_picture_is_the_mean_of_areas_of_the_screen(make):
    env = make(render_mode="rgb_array")
    seen = []
    for action in (None, *range(6)):
        picture = env.reset()[0] if action is None else env.step(action)[0]
        assert not any((picture == other).all() for other in seen), "a button changes the picture"
        seen.append(picture)
        blocks = env.render().astype(float)
        for axis, pixels in enumerate((144, 160)):  # 2.25 and 2.5 pixels become one: each pixel counts in one block
            edges = np.floor(np.arange(65) * pixels / 64 + 0.5).astype(int)
            blocks = np.add.reduceat(blocks, edges[:-1], axis) / np.diff(edges).reshape(
                (-1, 1, 1) if axis == 0 else (-1, 1)
            )
        np.testing.assert_allclose(picture, blocks, atol=1.01)
    assert make(image_size=48).reset()[0].shape == (48, 48, 3)


def test_same_actions_same_pictures(make):
    actions = np.random.default_rng(0).integers(0, 6, 12)

    def episode(env, seed):
        first, _ = env.reset(seed=seed)
        return [first] + [env.step(action)[0] for action in actions]

    env = make()
    pictures = episode(env, 1)
    for again in (episode(env, 1), episode(env, 2), episode(make(), 1)):
        np.testing.assert_array_equal(pictures, again)
    assert len({picture.tobytes() for picture in pictures}) > 5


def test_an_episode_starts_where_the_state_was_saved(make, tmp_path):
    state = save_state(tmp_path / "later.state", "right", "right", "a", "b")
    env = make(start_state=state)
    for _ in range(2):
        _, info = env.reset()
        assert (info["map"], info["levels"], info["badges"]) == (2, FIRST_LEVEL + 1, 1)
        assert happened(env, B) == set(), "a badge that it had from the start"
        assert happened(env, RIGHT) == {"new_map"}


def test_without_a_state_the_game_boy_is_switched_on(make):
    env = make(start_state=None, frame_skip=BOOT_FRAMES)
    for _ in range(2):
        _, info = env.reset()
        assert info["levels"] == 0, "the game has not begun"
        *_, info = env.step(LEFT)
        assert info["levels"] == FIRST_LEVEL
        assert happened(env, RIGHT) == {"new_map"}


def test_files_can_be_named_by_the_environment(files, monkeypatch):
    monkeypatch.setenv(ROM_VARIABLE, str(files["rom"]))
    monkeypatch.setenv(STATE_VARIABLE, str(files["start_state"]))
    env = PokemonRed(any_release=True)
    assert env.reset()[1]["levels"] == FIRST_LEVEL
    env.close()


def test_an_episode_is_cut_off_and_then_over(make):
    env = make(max_steps=2)
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(A)
    env.reset()
    assert env.step(A)[1:4] == (0.0, False, False)
    assert env.step(A)[1:4] == (0.0, False, True)
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(A)
    env.reset()
    with pytest.raises(ValueError, match="action must be in"):
        env.step(6)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_the_saved_game_beside_the_cartridge_is_left_alone(make, tmp_path):
    rom, saved = tmp_path / "game.gb", tmp_path / "game.gb.ram"
    rom.write_bytes(game_boy_rom(saves_games=True))
    saved.write_bytes(bytes(range(256)) * 128)
    env = make(rom=rom, start_state=None)
    env.reset()
    env.step(A)
    env.close()
    assert sorted(tmp_path.iterdir()) == [rom, saved]
    assert saved.read_bytes() == bytes(range(256)) * 128
    env = make(rom=rom, start_state=None)
    env.reset()
    put(env, {0x0000: 0x0A})  # opens the cartridge's memory
    assert env._game.memory[0xA001] != 1


def wrong_roms(folder: Path) -> dict[str, bytes]:
    good = game_boy_rom()
    return {
        "short": good[:-1],
        "empty": b"",
        "archive": gzip.compress(good),
        "broken": good[:0x134] + b"X" + good[0x135:],
        "blue": game_boy_rom("POKEMON BLUE"),
        "hack": good,
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("short", r"no Game Boy ROM: it has 32,767 bytes"),
        ("empty", r"no Game Boy ROM: it has 0 bytes"),
        ("archive", r"no Game Boy ROM.*unpack it"),
        ("broken", r"header adds up to 0x\w\w, but its checksum is 0x\w\w"),
        ("blue", r"not Pokemon Red.*'POKEMON BLUE'"),
        ("hack", rf"not the English release.*{ENGLISH_RED}, this file's is \w{{40}}\).*any_release=True"),
    ],
)
def test_a_wrong_rom_says_what_it_is(tmp_path, name, message):
    path = tmp_path / f"{name}.gb"
    path.write_bytes(wrong_roms(tmp_path)[name])
    with pytest.raises(ValueError, match=message) as error:
        PokemonRed(rom=path)
    assert str(path) in str(error.value)
    if name in ("blue", "hack"):
        assert len(read_rom(path, any_release=True)) == 2**15
    else:
        with pytest.raises(ValueError, match="no Game Boy ROM"):
            PokemonRed(rom=path, any_release=True)


def test_a_missing_rom_says_whose_it_must_be(tmp_path):
    with pytest.raises(ValueError, match=f"your own cartridge.*rom=<file>.*{ROM_VARIABLE}"):
        PokemonRed()
    with pytest.raises(FileNotFoundError, match=r"no Pokemon Red ROM at .*nowhere\.gb"):
        PokemonRed(rom=tmp_path / "nowhere.gb")
    with pytest.raises(FileNotFoundError, match="no Pokemon Red ROM at"):
        PokemonRed(rom=tmp_path)  # a folder


def test_a_wrong_state_says_so(make, files, tmp_path):
    good = files["start_state"].read_bytes()
    for wrong in (b"", b"some text", good[: len(good) // 2], good + b"more", bytes(len(good))):
        (tmp_path / "wrong.state").write_bytes(wrong)
        with pytest.raises(ValueError, match=r"wrong\.state is no state"):
            make(start_state=tmp_path / "wrong.state")
    crowd = save_state(tmp_path / "crowd.state", *["up"] * 6)
    with pytest.raises(ValueError, match="another game or release: in its party are 7"):
        make(start_state=crowd)
    with pytest.raises(FileNotFoundError, match=r"no start state at .*nowhere\.state"):
        make(start_state=tmp_path / "nowhere.state")


@pytest.mark.parametrize(
    "settings", [{"frame_skip": 8}, {"max_steps": 0}, {"image_size": 0}, {"image_size": 145}, {"render_mode": "human"}]
)
def test_what_makes_no_world_says_so(make, settings):
    with pytest.raises(ValueError, match="cannot use"):
        make(**settings)


def test_without_the_extra_it_says_how_to_get_it(monkeypatch, files):
    monkeypatch.setitem(sys.modules, "pyboy", None)  # Python's own way to say that there is no such module
    with pytest.raises(ImportError, match=r'pip install "sensei-lite\[pokemon\]"'):
        PokemonRed(**files, any_release=True)


def test_the_emulator_says_nothing(files):
    code = (
        "from sensei_lite.worlds.pokemon.world import PokemonRed\n"
        f"env = PokemonRed({str(files['rom'])!r}, {str(files['start_state'])!r}, any_release=True)\n"
        "env.reset(); env.step(0)"  # and nobody closes it
    )
    # The window library announces itself but where this variable is set, as it is here since PyBoy was imported.
    fresh = {name: value for name, value in os.environ.items() if name != "PYSDL2_DLL_PATH"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=fresh)
    assert done.stdout == done.stderr == ""


@pytest.mark.parametrize("processes", [False, True])
def test_it_is_a_host_world(files, make, processes):
    settings = {name: str(path) for name, path in files.items()} | {"any_release": True, "frame_skip": 24}
    world = HostWorld(ID, num_envs=2, processes=processes, max_steps=3, **settings)
    assert world.image_shape == (64, 64, 3)
    assert world.event_names == ram.EVENTS
    assert world.actions == Discrete(PokemonRed.action_names)
    alone = [make(max_steps=3), make(max_steps=3)]
    rows = [world.reset(seed=0)]
    for env, image in zip(alone, rows[0].image, strict=True):
        np.testing.assert_array_equal(env.reset()[0], image)
    for actions in ([RIGHT, A], [B, LEFT], [UP, DOWN]):
        rows.append(world.step(np.array(actions)))
        for i, (env, action) in enumerate(zip(alone, actions, strict=True)):
            image, _, _, truncated, info = env.step(action)
            np.testing.assert_array_equal(rows[-1].image[i], image)
            assert rows[-1].is_last[i] == truncated
            assert {name: bool(true[i]) for name, true in rows[-1].events.items()} == info["events"]
    assert rows[-1].is_last.all()
    assert not rows[-1].is_terminal.any()
    rows.append(world.step(np.array([A, A])))
    assert rows[-1].is_first.all()
    np.testing.assert_array_equal(rows[-1].image, rows[0].image)
    world.close()


def test_it_has_a_name_and_a_prompt(files):
    world = make_world("pokemon-red", rom=files["rom"], any_release=True)
    assert world.name == ID
    world.close()
    assert prompt_for("pokemon-red") is SPECIFIC["pokemon"]
    assert gymnasium.spec(ID).max_episode_steps is None, "the world itself counts its steps"
