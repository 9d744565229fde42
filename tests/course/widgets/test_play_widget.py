"""The play widget, driven as a browser drives it, against the game that it shows."""

import base64
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image as Picture

from sensei_lite.course.widgets.key_game import KEYS, Game
from sensei_lite.course.widgets.play import BROWSER_KEYS, PlayWidget, play
from sensei_lite.worlds import KeyRoom, make_world
from sensei_lite.worlds.grid.oracle import shortest_plan

WORLD = KeyRoom(size=4, max_steps=12)


def send(widget: PlayWidget, **message: object) -> None:
    """What ipywidgets does with a message of `model.send` in the browser."""
    widget._handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})


def picture(widget: PlayWidget) -> np.ndarray:
    head, data = widget.frame["picture"].split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Picture.open(io.BytesIO(base64.b64decode(data))))


def assert_shows(widget: PlayWidget, game: Game) -> None:
    np.testing.assert_array_equal(picture(widget), game.picture())
    assert widget.frame["status"] == game.status()
    assert widget.frame["log"][: len(game.log)] == game.log
    assert widget.frame["over"] == bool(game.over)


@pytest.fixture(scope="module")
def plan() -> list[str]:
    """The names of the actions that solve the first episode of seed 0."""
    return [WORLD.actions.names[action] for action in shortest_plan(WORLD, Game(WORLD, 0).state)]


def test_buttons_solve_an_episode(plan):
    widget, game = play(WORLD, seed=0), Game(WORLD, 0)
    assert_shows(widget, game)
    for name in plan:
        send(widget, action=name)
        game.act(name)
        assert_shows(widget, game)
    assert widget.frame["over"]
    assert widget.frame["log"][-1] == f"step {len(plan)}: solved!"
    assert "key is in its hand" in widget.frame["alt"]


def test_keys_solve_an_episode(plan):
    arrows = {KEYS[terminal]: browser for browser, terminal in BROWSER_KEYS.items()}
    letters = {action: key for key, action in KEYS.items() if key.isprintable()}
    for key_of in (arrows, letters, {name: key.upper() for name, key in letters.items()}):
        widget = play(WORLD, seed=0)
        for name in plan:
            send(widget, key=key_of[name])
        assert widget.game.over == "solved!"


def test_nothing_moves_after_the_end_until_a_new_episode(plan):
    widget, game = play(WORLD, seed=0), Game(WORLD, 0)
    for name in plan:
        send(widget, action=name)
    ended = widget.frame
    send(widget, key="ArrowUp")
    send(widget, action="north")
    assert widget.frame == ended

    game.new_episode()
    send(widget, key="n")
    assert_shows(widget, game)
    assert widget.frame["log"] == []

    game.new_episode()
    send(widget, new_episode=True)
    assert_shows(widget, game)


def test_the_clock_ends_an_episode():
    widget = play(WORLD, seed=0)
    for _ in range(WORLD.max_steps):
        send(widget, action="apply")
    assert widget.frame["log"][-1] == f"step {WORLD.max_steps}: out of time"
    assert widget.frame["over"]


def test_keys_without_meaning_do_nothing():
    widget = play(WORLD, seed=0)
    before = widget.frame
    for key in ("q", "e", "z", "c", "Tab", "Escape", "F5", "", "\x1b[A"):  # a world of four moves has no diagonals
        send(widget, key=key)
        assert key not in widget.pressable
    send(widget, something="else")
    assert widget.frame == before


def test_every_action_has_its_own_button_and_key():
    for name, moves in (("keyroom", 4), ("keyroom-s15", 8)):
        world = make_world(name)
        widget = play(name, seed=3)
        assert type(widget.game.world) is type(world)
        assert tuple(button["action"] for button in widget.pad) == world.actions.names
        assert len({(button["row"], button["column"]) for button in widget.pad}) == moves + 1
        assert {KEYS[BROWSER_KEYS.get(key, key)] for key in widget.pressable if key != "n"} == set(world.actions.names)
        assert all(button["title"] for button in widget.pad)
        assert ("diagonals" in widget.hint) == (moves == 8)
        assert widget.picture_width % world.image_shape[1] == 0
        assert 270 <= widget.picture_width <= 450


def test_the_gripper_has_a_button_and_a_key_for_every_direction():
    widget = play("tabletop", seed=3)
    assert {button["action"] for button in widget.pad} == set(widget.game.actions)
    assert len({(button["row"], button["column"]) for button in widget.pad}) == len(widget.pad) == 8
    assert all(button["title"] for button in widget.pad)
    before = widget.game.state.gripper
    send(widget, key="e")
    assert widget.game.state.gripper[2] > before[2]
    send(widget, key="ArrowLeft")
    assert widget.game.state.gripper[0] < before[0]
    assert widget.frame["status"].startswith("step 2 of")
    assert widget.frame["alt"] == "What the agent sees after step 2."
    assert "up, down" in widget.hint
    assert "the key" not in widget.hint


def test_a_world_that_cannot_be_played_is_named():
    with pytest.raises(ValueError, match=r"'chess' cannot be played here; choose one of keyroom,"):
        play("chess")


@pytest.mark.parametrize("missing", ["anywidget", "ipywidgets"])
def test_without_the_extra_the_error_names_it(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; import sensei_lite.course.widgets"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert 'ImportError: widgets need more packages: pip install "sensei-lite[notebooks]"' in run.stderr
