"""The dream widgets, driven as a browser drives them, against the world model and the world that they show."""

import base64
import io

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image as Picture

from sensei_lite.course.widgets.dream import Dream, difference, picture_of, scrub, step_inside
from sensei_lite.course.widgets.key_game import Game
from sensei_lite.models.world_model import WorldModel
from sensei_lite.presets import smoke
from sensei_lite.worlds import KeyRoom, make_world

WORLD = KeyRoom(size=4, max_steps=12)


def send(widget, **message: object) -> None:
    """What ipywidgets does with a message of `model.send` in the browser."""
    widget._handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})


def decoded(address: str) -> np.ndarray:
    head, data = address.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Picture.open(io.BytesIO(base64.b64decode(data))))


@pytest.fixture(scope="module")
def model() -> WorldModel:
    model = WorldModel(smoke().world_model, WORLD.image_shape, WORLD.actions.size, key=jax.random.key(0))
    # A new semantic head says 0 and nothing else; this one tells states apart.
    out = model.semantic.mlp.out
    noise = 0.3 * jax.random.normal(jax.random.key(1), out.weight.shape)
    return eqx.tree_at(lambda m: m.semantic.mlp.out.weight, model, noise)


# --- a slider over a dream -------------------------------------------------------------------------------------------


def test_decoded_numbers_become_bytes():
    drawn = np.array([-0.9, -0.5, 0.0, 0.5, 0.9]).reshape(1, 5, 1)
    assert picture_of(drawn).ravel().tolist() == [0, 0, 128, 255, 255]
    assert picture_of(jnp.zeros((2, 3, 4, 3))).shape == (2, 3, 4, 3)


def test_a_difference_is_white_where_nothing_differs():
    a, b = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    b[0, 0] = [10, 0, 200]
    b[1, 1] = 255
    assert difference(a, b).tolist() == difference(b, a).tolist()
    assert difference(a, b)[..., 0].tolist() == [[55, 255], [255, 0]]


def test_the_slider_has_every_step():
    random = np.random.default_rng(0)
    real, mine, other = random.integers(0, 256, (3, 4, 16, 24, 3), np.uint8)
    widget = scrub(jnp.asarray(real), {"mine": mine, "other": other}, ["start", "east", "north", "apply"])
    assert widget.panels == ["real", "mine", "mine: difference", "other", "other: difference"]
    assert [frame["caption"] for frame in widget.frames] == ["start", "east", "north", "apply"]
    assert widget.picture_width == 144
    assert scrub(real, {"mine": mine}, ["a", "b", "c", "d"]).picture_width == 240
    for t, frame in enumerate(widget.frames):
        wanted = [real[t], mine[t], difference(real[t], mine[t]), other[t], difference(real[t], other[t])]
        for address, picture in zip(frame["pictures"], wanted, strict=True):
            np.testing.assert_array_equal(decoded(address), picture)
        apart = (((real[t] / 255.0) - (other[t] / 255.0)) ** 2).sum()
        assert frame["below"][4] == f"squared error {apart:.1f}"
        assert len(frame["below"]) == 5


def test_the_slider_stays_inside():
    pictures = np.zeros((3, 8, 8, 3), np.uint8)
    widget = scrub(pictures, {"dream": pictures}, ["a", "b", "c"])
    for wanted, shown in ((2, 2), (99, 2), (-5, 0), (1, 1)):
        widget.t = wanted
        assert widget.t == shown
    assert widget.frames[0]["below"] == ["", "", "squared error 0.0"]


@pytest.mark.parametrize(
    ("dreams", "captions", "message"),
    [
        ({}, ["a", "b"], "there is no dream"),
        ({"short": np.zeros((1, 8, 8, 3), np.uint8)}, ["a", "b"], r"the dream 'short' has the shape \(1, 8, 8, 3\)"),
        ({"dream": np.zeros((2, 8, 8, 3), np.uint8)}, ["a"], "there are 1 captions for 2 steps"),
    ],
)
def test_what_does_not_fit_is_named(dreams, captions, message):
    with pytest.raises(ValueError, match=message):
        scrub(np.zeros((2, 8, 8, 3), np.uint8), dreams, captions)


# --- inside a dream --------------------------------------------------------------------------------------------------


def assert_shows(widget, dream: Dream) -> None:
    np.testing.assert_array_equal(decoded(widget.frame["picture"]), dream.picture)
    np.testing.assert_array_equal(decoded(widget.frame["real"]), dream.reality.picture())
    assert widget.frame["semantic"] == dream.semantic
    assert widget.frame["goes_on"] == dream.continue_head


def test_a_dream_is_what_the_world_model_expects(model):
    """The same states as the RSSM gives step by step, and its heads' words about them."""
    dream = Dream(model, WORLD, seed=3)
    game, key = Game(WORLD, 3), jax.random.key(3)
    rssm, names = model.rssm, WORLD.actions.names
    key, now = jax.random.split(key)
    embedding = model.embed(jnp.asarray(game.picture()), None)
    state, _ = rssm.observe_step(rssm.initial(), jnp.zeros(5), embedding, jnp.asarray(True), key=now)
    for name in ("", "east", "south", "apply", "west"):
        if name:
            dream.act(name)
            game.act(name)
            key, now = jax.random.split(key)
            state = rssm.imagine_step(state, jax.nn.one_hot(names.index(name), 5), key=now)
        np.testing.assert_allclose(dream.state.h, state.h, atol=1e-5)
        np.testing.assert_array_equal(dream.state.z.argmax(-1), state.z.argmax(-1))
        drawn = picture_of(model.decoder(state.features))
        assert abs(dream.picture.astype(int) - drawn).max() <= 1
        assert dream.semantic == pytest.approx(float(model.semantic(state.features)), rel=1e-3)
        assert dream.continue_head == pytest.approx(float(model.continues(state.features)), abs=1e-5)
        np.testing.assert_array_equal(dream.reality.picture(), game.picture())
    assert dream.steps == 4


def test_keys_and_buttons_do_the_same(model):
    by_key, by_button = step_inside(model, WORLD, seed=1), step_inside(model, WORLD, seed=1)
    assert_shows(by_key, by_key.dream)
    for key, action in (("ArrowRight", "east"), ("s", "south"), ("W", "north"), (" ", "apply")):
        send(by_key, key=key)
        send(by_button, action=action)
        assert by_key.frame == by_button.frame
        assert by_key.frame["status"].startswith(f"step {by_key.dream.steps}: {action}")
        assert_shows(by_key, by_key.dream)


def test_starting_again_shows_another_real_picture(model):
    widget = step_inside(model, WORLD, seed=0)
    assert "real picture" in widget.frame["status"]
    first = decoded(widget.frame["real"])
    send(widget, key="ArrowRight")
    for message in ({"key": "n"}, {"start_again": True}):
        send(widget, **message)
        assert widget.dream.steps == 0
        assert "real picture" in widget.frame["status"]
        assert_shows(widget, widget.dream)
        assert (decoded(widget.frame["real"]) != first).any()


def test_a_dream_goes_on_when_reality_is_over(model):
    widget = step_inside(model, WORLD, seed=0)
    for _ in range(WORLD.max_steps):
        send(widget, action="apply")
    assert "the episode is over: out of time" in widget.frame["real_alt"]
    last = widget.frame["real"]
    send(widget, action="north")
    assert widget.dream.steps == WORLD.max_steps + 1
    assert widget.frame["real"] == last
    assert_shows(widget, widget.dream)


def test_the_status_says_where_the_model_expects_the_end(model):
    ends = eqx.tree_at(lambda m: m.continue_head.out.bias, model, jnp.full(1, -20.0))
    assert "believes that the episode is over" in step_inside(ends, WORLD).frame["status"]
    continue_head = eqx.tree_at(lambda m: m.continue_head.out.bias, model, jnp.full(1, 20.0))
    assert "over" not in step_inside(continue_head, WORLD).frame["status"]


def test_keys_without_meaning_do_nothing(model):
    widget = step_inside(model, WORLD, seed=0)
    before = widget.frame
    for key in ("q", "e", "z", "c", "Tab", "Escape", "", "\x1b[A"):
        send(widget, key=key)
        assert key not in widget.pressable
    send(widget, action="fly")
    send(widget, something="else")
    assert widget.frame == before
    assert widget.dream.steps == 0


def test_a_model_of_another_world_is_refused(model):
    with pytest.raises(ValueError, match="made for other pictures than KeyRoom's"):
        step_inside(model, KeyRoom(size=5))
    with pytest.raises(ValueError, match="made for other actions than KeyRoom's"):
        step_inside(model, KeyRoom(size=4, moves=8))
    with pytest.raises(ValueError, match="made for other pictures and actions"):
        step_inside(model, "keyroom-s15")
    with pytest.raises(ValueError, match="nobody can dream of 'chess' here; choose a grid world"):
        step_inside(model, "chess")


def test_every_action_has_a_button():
    world = make_world("keyroom-lab")
    model = WorldModel(smoke().world_model, world.image_shape, world.actions.size, key=jax.random.key(0))
    widget = step_inside(model)
    assert tuple(button["action"] for button in widget.pad) == world.actions.names
    assert widget.picture_width % world.image_shape[1] == 0
    assert widget.semantic_range == [-2.0, 2.0]
