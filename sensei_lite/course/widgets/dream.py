"""Look at a dream, and step inside one, in a notebook. Built for notebook 02_rssm.

`scrub` lays a dream beside what really happened, with a slider over the steps. `step_inside` lets a person act in a
dream: the world model looks at one real image, closes its eyes, and answers every key with what it expects to come.
The real world takes the same actions and can be shown beside it. Nothing is fetched from the network.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import ipywidgets
import jax
import jax.numpy as jnp
import numpy as np
import traitlets
from anywidget import AnyWidget
from jaxtyping import Array, Float, UInt8

from sensei_lite.course.widgets.base import STYLES, data_url, script
from sensei_lite.course.widgets.play import PICTURE_WIDTH, Game, PlayWidget, find_world
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import WorldModel
from sensei_lite.types import Discrete, Seed
from sensei_lite.worlds.base import World

ROW_WIDTH = 720
"""About how many screen pixels wide all images of `scrub` are together, so that they stand in one row."""


def picture_of(decoded: Float[Array | np.ndarray, "*batch height width channel"]) -> UInt8[np.ndarray, "..."]:
    """Convert a decoder's output (-0.5 to 0.5; what is outside is clipped) to images of bytes."""
    return np.asarray(np.clip((np.asarray(decoded) + 0.5) * 255, 0, 255).round(), np.uint8)


def difference(
    real: UInt8[np.ndarray, "*batch height width channel"], dreamt: UInt8[np.ndarray, "*batch height width channel"]
) -> UInt8[np.ndarray, "*batch height width channel"]:
    """Draw the largest absolute difference over the channels: white where it is 0, black where it is 255."""
    apart = np.abs(real.astype(np.int32) - dreamt).max(-1, keepdims=True)
    return np.repeat(255 - apart, 3, axis=-1).astype(np.uint8)


# --- a slider over a dream -------------------------------------------------------------------------------------------


def scrub(
    real: UInt8[Array | np.ndarray, "time height width channel"],
    dreams: Mapping[str, UInt8[Array | np.ndarray, "_ _ _ channel"]],
    captions: Sequence[str],
) -> "ScrubWidget":
    """Show a slider over what really happened, and one or more dreams of it with their differences.

    Args:
        real: the images of an episode, from step 0.
        dreams: the images that each model decoded for the same steps (see `picture_of`), under the model's name.
        captions: what to say about every step, such as its action and event.

    Raises:
        ValueError: a dream, or the captions, are not as long as the episode, or there is no dream.
    """
    images = {name: np.asarray(dream) for name, dream in dreams.items()}
    real = np.asarray(real)
    if not images:
        raise ValueError("there is no dream to compare with")
    for name, dream in images.items():
        if dream.shape != real.shape:
            raise ValueError(f"the dream {name!r} has the shape {dream.shape}, and what happened {real.shape}")
    if len(captions) != len(real):
        raise ValueError(f"there are {len(captions)} captions for {len(real)} steps")
    return ScrubWidget(real, images, captions)


class ScrubWidget(AnyWidget):
    """A slider over a dream. All images are on the page from the start, so it needs no kernel."""

    _esm, _css = script("scrub"), STYLES
    panels: Any = traitlets.List().tag(sync=True)
    """The names of the images, in the order in which a frame has them."""
    frames: Any = traitlets.List().tag(sync=True)
    """For every step: pictures (data URLs), what stands below each, and the caption."""
    t = traitlets.Int(0).tag(sync=True)
    """The step that is shown."""
    picture_width = traitlets.Int().tag(sync=True)

    def __init__(self, real: np.ndarray, dreams: Mapping[str, np.ndarray], captions: Sequence[str]) -> None:
        frames = []
        for t, caption in enumerate(captions):
            images, below = [real[t]], [""]
            for dream in dreams.values():
                error = np.square((real[t].astype(np.float64) - dream[t]) / 255).sum()
                images += [dream[t], difference(real[t], dream[t])]
                below += ["", f"squared error {error:.1f}"]
            frames.append({"pictures": [data_url(image) for image in images], "below": below, "caption": caption})
        panels, width = ["real", *(panel for name in dreams for panel in (name, f"{name}: difference"))], real.shape[2]
        super().__init__(
            panels=panels,
            frames=frames,
            picture_width=width * max(1, round(ROW_WIDTH / len(panels) / width)),
            layout=ipywidgets.Layout(width="auto"),
        )

    def __repr__(self) -> str:
        return f"A dream of {len(self.frames)} steps beside reality, with a slider where this notebook runs."

    @traitlets.validate("t")
    def _clip(self, proposal: Any) -> int:
        return min(max(0, proposal["value"]), len(self.frames) - 1)


# --- inside a dream --------------------------------------------------------------------------------------------------


def step_inside(
    world_model: WorldModel,
    world: World | str = "keyroom-lab",
    seed: int = 0,
    semantic_range: tuple[float, float] = (-2.0, 2.0),
) -> "DreamWidget":
    """Show a dream that a person can act in, in JupyterLab or Colab.

    Click the picture, then press the arrow keys or w a s d to move, space to apply and n to begin again with a real
    image; or click the buttons. The dream itself is the attribute ``game`` of what is returned.

    Args:
        world_model: what dreams.
        world: where its real images come from, or the name of that world in `JAX_WORLDS`.
        seed: chooses the real episodes, and the draws of z.
        semantic_range: where the meter of the predicted semantic reward begins and ends.

    Raises:
        ValueError: the world model was made for other images or actions than this world's, or there is no such world.
    """
    return DreamWidget(Dream(world_model, find_world(world), seed), semantic_range)


class Dream(Game):
    """A game and the world model's dream of it, which takes the same actions: the state that a person acts in.

    ``dreamt`` is the image decoded from the imagined state, ``semantic`` the predicted semantic reward,
    ``continue_prob`` the probability that the world did not end here. Raises ValueError where model and world do not
    fit each other.
    """

    def __init__(self, world_model: WorldModel, world: World, seed: int = 0) -> None:
        fits = {
            "images": world_model.encoder is not None
            and world_model.encoder.size(world.image_shape) == world_model.rssm.from_picture.weight.shape[1],
            "actions": world.actions.size == _action_size(world_model),
        }
        if wrong := [name for name, fit in fits.items() if not fit]:
            raise ValueError(f"this world model was made for other {' and '.join(wrong)} than {type(world).__name__}'s")
        self.world_model, self._dream_key = world_model, jax.random.key(seed)
        super().__init__(world, seed)
        self.title = f"A dream of {self.title}"
        _imagine(world_model, self.imagined, jnp.zeros(world.actions.size), key=self._key)  # compiled before a key

    def new_episode(self) -> None:
        """Reset the world, and observe its first image."""
        super().new_episode()
        self._show(_observe(self.world_model, jnp.asarray(self.image()), key=self._next_key()))
        self.dream_steps, self.last = 0, ""

    def act(self, name: str) -> None:
        """Imagine what this action leads to, and take it; nothing happens where the world has no such action."""
        if name not in self.actions:
            return
        action, discrete = self.actions[name], isinstance(self.world.actions, Discrete)
        vector = jax.nn.one_hot(action, self.world.actions.size) if discrete else action
        self._show(_imagine(self.world_model, self.imagined, vector, key=self._next_key()))
        self.dream_steps += 1
        self.last = name
        super().act(name)

    def frame(self) -> dict[str, Any]:
        """Return what the page shows: picture, alt, status, semantic, continue_prob; real and real_alt of the world."""
        status = f"step {self.dream_steps}: {self.last}" if self.last else "step 0: the model looks at a real picture"
        if self.continue_prob < 0.5:
            status += ". The model believes that the episode is over here"
        ended = f"; the episode is over: {self.over}" if self.over else ""
        return {
            "picture": data_url(self.dreamt),
            "alt": f"What the model dreams after step {self.dream_steps}.",
            "status": status,
            "semantic": self.semantic,
            "continue_prob": self.continue_prob,
            "real": data_url(self.image()),
            "real_alt": f"The real world after step {self.steps}{ended}.",
            "over": False,
        }

    def _show(self, predicted: "Predicted") -> None:
        self.imagined, decoded, semantic, continue_prob = predicted
        self.dreamt, self.semantic, self.continue_prob = picture_of(decoded), float(semantic), float(continue_prob)

    def _next_key(self) -> Array:
        self._dream_key, key = jax.random.split(self._dream_key)
        return key


Predicted = tuple[State, Float[Array, "height width channel"], Float[Array, ""], Float[Array, ""]]


@eqx.filter_jit
def _observe(world_model: WorldModel, image: Array, *, key: Seed) -> Predicted:
    rssm = world_model.rssm
    start, embedding = jnp.zeros(_action_size(world_model)), world_model.embed(image, None)
    state, _ = rssm.observe_step(rssm.initial(), start, embedding, jnp.ones((), bool), key=key)
    return _predict(world_model, state)


@eqx.filter_jit
def _imagine(world_model: WorldModel, state: State, action: Array, *, key: Seed) -> Predicted:
    return _predict(world_model, world_model.rssm.imagine_step(state, action, key=key))


def _predict(world_model: WorldModel, state: State) -> Predicted:
    s = state.features
    return state, world_model.decode_image(s), world_model.semantic(s), world_model.continues(s)


def _action_size(world_model: WorldModel) -> int:
    rssm = world_model.rssm
    return rssm.into.normed.weight.shape[1] - rssm.stoch * rssm.classes


class DreamWidget(PlayWidget):
    """A dream on a page: `PlayWidget` with the model's predictions, and the real world beside it."""

    _esm = script("dream")
    semantic_range: Any = traitlets.List().tag(sync=True)

    def __init__(self, dream: Dream, semantic_range: tuple[float, float]) -> None:
        super().__init__(dream, round(0.8 * PICTURE_WIDTH), semantic_range=list(semantic_range))
