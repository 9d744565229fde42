"""The dream widgets, driven as a browser drives them, against the world model and the world that they show."""

import base64
import dataclasses
import io

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image as Picture

from sensei_lite.course.widgets.dream import Dream, difference, picture_of, scrub, step_inside
from sensei_lite.course.widgets.play import Game
from sensei_lite.models.world_model import WorldModel
from sensei_lite.presets import smoke
from sensei_lite.types import Box
from sensei_lite.worlds import KeyRoom
from sensei_lite.worlds.base import Step, World

WORLD = KeyRoom(size=4, max_steps=12)


def send(widget, name: str) -> None:
    """What ipywidgets does with a message of `model.send` in the browser."""
    widget._handle_msg({"content": {"data": {"method": "custom", "content": {"act": name}}}, "buffers": []})


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
    np.testing.assert_array_equal(decoded(widget.frame["picture"]), dream.dreamt)
    np.testing.assert_array_equal(decoded(widget.frame["real"]), dream.image())
    assert widget.frame["semantic"] == dream.semantic
    assert widget.frame["continue_prob"] == dream.continue_prob


def test_a_dream_is_what_the_world_model_expects(model):
    """The same states as the RSSM gives step by step, and its heads' words about them."""
    dream = Dream(model, WORLD, seed=3)
    game, key = Game(WORLD, 3), jax.random.key(3)
    rssm, names = model.rssm, WORLD.actions.names
    imagine = jax.jit(lambda state, action, key: rssm.imagine_step(state, action, key=key))
    heads = jax.jit(lambda s: (model.decoder(s), model.semantic(s), model.continues(s)))
    key, now = jax.random.split(key)
    embedding = eqx.filter_jit(model.embed)(jnp.asarray(game.image()), None)
    state, _ = eqx.filter_jit(rssm.observe_step)(rssm.initial(), jnp.zeros(5), embedding, jnp.asarray(True), key=now)
    for name in ("", "east", "apply", "west"):
        if name:
            dream.act(name)
            game.act(name)
            key, now = jax.random.split(key)
            state = imagine(state, jax.nn.one_hot(names.index(name), 5), now)
        np.testing.assert_allclose(dream.imagined.h, state.h, atol=1e-5)
        np.testing.assert_array_equal(dream.imagined.z.argmax(-1), state.z.argmax(-1))
        decoded, semantic, continue_prob = heads(state.features)
        assert abs(dream.dreamt.astype(int) - picture_of(decoded)).max() <= 1
        assert dream.semantic == pytest.approx(float(semantic), rel=1e-3)
        assert dream.continue_prob == pytest.approx(float(continue_prob), abs=1e-5)
        np.testing.assert_array_equal(dream.image(), game.image())
    assert dream.dream_steps == 3


def test_what_is_pressed_is_dreamt(model):
    widget = step_inside(model, WORLD, seed=1)
    assert_shows(widget, widget.game)
    assert [button[0] for button in widget.pad] == list(WORLD.actions.names)
    assert set(widget.key_map.values()) == {*WORLD.actions.names, "new_episode"}
    for steps, key in enumerate(("ArrowRight", "s", "w", " "), start=1):
        before, name = widget.frame["picture"], widget.key_map[key]
        send(widget, name)
        assert widget.frame["picture"] != before
        assert widget.frame["status"].startswith(f"step {steps}: {name}")
        assert_shows(widget, widget.game)
    last = widget.frame
    send(widget, "fly")
    send(widget, "north-east")
    assert widget.frame == last
    assert widget.picture_width % WORLD.image_shape[1] == 0
    assert widget.semantic_range == [-2.0, 2.0]


def test_a_new_episode_begins_with_another_real_picture(model):
    widget = step_inside(model, WORLD, seed=0)
    assert "real picture" in widget.frame["status"]
    first = decoded(widget.frame["real"])
    send(widget, "east")
    send(widget, widget.key_map["n"])
    assert widget.game.dream_steps == 0
    assert "real picture" in widget.frame["status"]
    assert_shows(widget, widget.game)
    assert (decoded(widget.frame["real"]) != first).any()


def test_a_dream_goes_on_when_reality_is_over(model):
    widget = step_inside(model, WORLD, seed=0)
    for _ in range(WORLD.max_steps):
        send(widget, "apply")
    assert "the episode is over: out of time" in widget.frame["real_alt"]
    last = widget.frame["real"]
    send(widget, "north")
    assert widget.game.dream_steps == WORLD.max_steps + 1
    assert not widget.frame["over"]
    assert widget.frame["real"] == last
    assert_shows(widget, widget.game)


def test_the_status_says_where_the_model_expects_the_end(model):
    for bias, expects_end in ((-20.0, True), (20.0, False)):
        sure = eqx.tree_at(lambda m: m.continue_head.out.bias, model, jnp.asarray(bias))
        assert ("believes that the episode is over" in Dream(sure, WORLD).frame()["status"]) == expects_end


def test_a_model_of_another_world_is_refused(model):
    with pytest.raises(ValueError, match="made for other images than KeyRoom's"):
        step_inside(model, KeyRoom(size=5))
    with pytest.raises(ValueError, match="made for other actions than KeyRoom's"):
        step_inside(model, KeyRoom(size=4, moves=8))
    with pytest.raises(ValueError, match="made for other images and actions"):
        step_inside(model, "keyroom-s15")
    with pytest.raises(ValueError, match="'chess' cannot be played here"):
        step_inside(model, "chess")


@dataclasses.dataclass(frozen=True)
class Slide(World):
    """One number, whose action is a number too."""

    event_names = ()
    actions = Box(("right",), ("left",))
    image_shape = (16, 16, 3)
    max_steps = 5

    def reset(self, *, key):
        return jnp.asarray(8)

    def step(self, state, action, *, key):
        return Step(state + jnp.sign(action[0]).astype(int), jnp.zeros(()), jnp.array(False), jnp.array(False), {})

    def render(self, state, scale=1):
        return jnp.zeros(self.image_shape, jnp.uint8).at[:, state].set(255)


def test_actions_that_are_numbers_can_be_dreamt():
    model = WorldModel(smoke().world_model, Slide.image_shape, 1, key=jax.random.key(0))
    left, right = (Dream(model, Slide(), seed=1) for _ in range(2))
    np.testing.assert_array_equal(left.imagined.h, right.imagined.h)
    left.act("left")
    right.act("right")
    assert (left.imagined.h != right.imagined.h).any()
    assert [int(dream.state) for dream in (left, right)] == [7, 9]
