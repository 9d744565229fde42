"""The game of a notebook, driven as a browser drives it."""

import base64
import io
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from sensei_lite.course.widgets.base import STYLES, script
from sensei_lite.course.widgets.play import KEYS, PAD, Game, PlayWidget, play
from sensei_lite.worlds import KeyRoom, make_world
from sensei_lite.worlds.grid.oracle import shortest_plan
from sensei_lite.worlds.registry import JAX_WORLDS

WORLD = KeyRoom(size=4, max_steps=12)


def send(widget: PlayWidget, name: str) -> None:
    """What ipywidgets does with a message of `model.send` in the browser."""
    widget._handle_msg({"content": {"data": {"method": "custom", "content": {"act": name}}}, "buffers": []})


def decoded(address: str) -> np.ndarray:
    head, data = address.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.fixture(scope="module")
def plan() -> list[str]:
    """The names of the actions that solve the first episode of seed 0."""
    return [WORLD.actions.names[action] for action in shortest_plan(WORLD, Game(WORLD, 0).state)]


def test_an_episode_can_be_solved(plan):
    widget = play(WORLD, seed=0)
    state, key, step, render = widget.game.state, jax.random.key(0), jax.jit(WORLD.step), jax.jit(WORLD.render)
    for steps, name in enumerate(plan, start=1):
        send(widget, name)
        state, *_ = step(state, jnp.asarray(WORLD.actions.names.index(name)), key=key)
        np.testing.assert_array_equal(decoded(widget.frame["picture"]), render(state))
        assert widget.frame["status"].startswith(f"step {steps} of 12   reward ")
    assert widget.frame["over"]
    assert widget.frame["status"] == f"step {len(plan)} of 12   reward 1   solved! (n: new episode)"
    assert widget.frame["log"][-2:] == [f"step {len(plan)}: exit reached", f"step {len(plan)}: solved!"]
    assert "key is in its hand" in widget.frame["alt"]

    ended = widget.frame
    send(widget, "north")
    assert widget.frame == ended, "nothing happens after the end"
    for _ in range(2):
        before = decoded(widget.frame["picture"])
        send(widget, widget.key_map["n"])
        assert (decoded(widget.frame["picture"]) != before).any()
        assert widget.frame["status"] == "step 0 of 12   reward 0"
        assert widget.frame["log"] == []
        assert not widget.frame["over"]


def test_the_clock_ends_an_episode():
    widget = play(WORLD, seed=0)
    for _ in range(WORLD.max_steps):
        send(widget, "apply")
    assert widget.frame["log"][-1] == f"step {WORLD.max_steps}: out of time"
    assert widget.frame["over"]


def test_what_the_world_does_not_know_does_nothing():
    widget = play(WORLD, seed=0)
    before = widget.frame
    for name in ("north-east", "up", "", "fly"):
        send(widget, name)
    widget._handle_msg({"content": {"data": {"method": "custom", "content": {"something": "else"}}}, "buffers": []})
    assert widget.frame == before


def test_four_moves_have_their_keys_and_leave_the_others_to_the_page():
    keys = play("keyroom", seed=3).key_map
    arrows = {"ArrowUp": "north", "ArrowRight": "east", "ArrowDown": "south", "ArrowLeft": "west"}
    letters = {"w": "north", "d": "east", "s": "south", "a": "west", " ": "apply", "Enter": "apply", "n": "new_episode"}
    assert keys == arrows | letters


@pytest.mark.parametrize("name", ["keyroom", "keyroom-s15", "tabletop"])
def test_every_action_has_its_own_button_and_a_key(name):
    world, widget = make_world(name), play(name, seed=3)
    assert widget.game.world == world
    assert [button[0] for button in widget.pad] == list(widget.game.actions)
    assert len({button[1:3] for button in widget.pad}) == len(widget.pad)
    assert {action for key, action in widget.key_map.items() if len(key) == 1} == {*widget.game.actions, "new_episode"}
    assert ("diagonals" in widget.hint) == (name == "keyroom-s15")
    assert ("the key" in widget.hint) == (name != "tabletop")
    assert widget.picture_width % world.image_shape[1] == 0
    assert 270 <= widget.picture_width <= 450
    if name == "tabletop":
        before = widget.game.state.gripper
        for key in ("ArrowRight", "w", "c"):
            send(widget, widget.key_map[key])
        np.testing.assert_allclose(widget.game.state.gripper - before, [0.8, 0.8, -0.8], atol=1e-4)
        assert widget.frame["status"] == "step 3 of 250   reward 0"
        assert widget.frame["alt"] == "What the agent sees after step 3."


def test_the_tables_name_actions_of_the_worlds():
    known = {"new_episode"}
    for world in JAX_WORLDS.values():
        known |= {*world.actions.names, *getattr(world.actions, "opposites", ())}
    assert {name for names in KEYS.values() for name in names} == known
    assert PAD.keys() | {"new_episode"} == known


def test_a_world_that_cannot_be_played_is_named():
    with pytest.raises(ValueError, match=r"'chess' cannot be played here; choose one of keyroom,"):
        play("chess")


@pytest.mark.parametrize("name", ["play", "dream", "scrub", "switch"])
def test_a_page_is_one_script_that_fetches_nothing(name):
    page = script(name)
    assert page.count("export default { render };") == 1
    assert "import " not in page.replace("// ", "").split("function make")[1]
    for word in ("http://", "https://", "fetch(", "import(", "url(http", "@import"):
        assert word not in (page + STYLES).replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("missing", ["anywidget", "ipywidgets"])
def test_without_the_extra_the_error_names_it(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; import sensei_lite.course.widgets.switch"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert 'ImportError: widgets need more packages: pip install "sensei-lite[notebooks]"' in run.stderr
