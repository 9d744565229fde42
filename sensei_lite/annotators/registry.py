"""The annotators by name, so that a command line, a run folder and a notebook mean the same one."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from sensei_lite.annotators.base import Annotator
from sensei_lite.annotators.chat import ChatAnnotator, Price
from sensei_lite.annotators.chat.prompts import KINDS, load_prompt, prompt_for, save_prompt
from sensei_lite.annotators.clip.annotator import ClipAnnotator
from sensei_lite.annotators.clip.bundled import BUNDLED, small_clip_called, small_clip_for
from sensei_lite.annotators.data import Observations
from sensei_lite.annotators.scripted import ScriptedAnnotator


class Asked(NamedTuple):
    """What an annotator will be asked about."""

    observations: Observations
    world: str
    prompt_file: Path
    """Where a chat model's own description is kept, and found again."""


def make_annotator(
    name: str, observations: Observations, *, world: str, prompt_file: Path, **settings: Any
) -> Annotator:
    """Make an annotator by name.

    Args:
        name: one of `NAMES` but ``human``.
        observations: what it will be asked about: the scripted annotator looks the truth up there, and a chat model
            that is to describe the environment itself is shown the first picture.
        world: the world's name: it chooses a chat model's specific prompt, and which small CLIP is asked with which
            prompts. Where no small CLIP knows the world, a warning says so.
        prompt_file: where the prompt with a chat model's own description is kept, and found again.
        settings: arguments of the annotator's class. For ``chat``, ``prompt`` is ``specific`` or ``general`` and
            ``price`` is dollars per million tokens (input, output).

    Raises:
        ValueError: there is no such annotator, or a setting makes no sense.
        TypeError: the annotator has no such setting.
        ImportError: a package is missing (the message names the extra).
    """
    if name not in MAKERS:
        raise ValueError(f"there is no annotator called {name!r}; there are {', '.join(NAMES)}")
    return MAKERS[name](Asked(observations, world, prompt_file), **settings)


def _clip(asked: Asked, **settings: Any) -> ClipAnnotator:
    """Make the small CLIP for a world, or the model that the settings name with the prompts for that world."""
    world = asked.world
    small = small_clip_for(world)
    model = settings.pop("model", small.name if small else BUNDLED)
    own_words = small_clip_called(model) is not None
    if small and not own_words:
        settings.setdefault("prompts", small.prompts)
    elif not small and (own_words or "prompts" not in settings):
        strange = f"the small CLIP {model!r} has" if own_words else "the prompts have"
        warnings.warn(
            f"{strange} nothing to do with {world}, so the answers will mean nothing. Name a pretrained model and "
            "prompts as settings of the annotator: model=ViT-B-32/laion2b_s34b_b79k "
            "\"prompts={'a robot opens a drawer':1.0,'an empty desk':0.0}\"; or take another annotator",
            stacklevel=3,
        )
    return ClipAnnotator(model, **settings)


def _chat(asked: Asked, **settings: Any) -> ChatAnnotator:
    kind = settings.pop("prompt", "specific")
    if kind not in KINDS:
        raise ValueError(f"prompt is {kind!r}; there are {', '.join(KINDS)}")
    if "model" not in settings:
        raise ValueError("a chat annotator needs to know the model: --settings model=NAME")
    if "price" in settings:
        settings["price"] = Price(*settings["price"])
    prompt = prompt_for(asked.world, kind)
    if kind == "general" and asked.prompt_file.exists():
        prompt = load_prompt(asked.prompt_file)
    annotator = ChatAnnotator(prompt=prompt, **settings)
    if not prompt.is_complete:
        save_prompt(asked.prompt_file, annotator.describe(asked.observations.images[0]))
    return annotator


MAKERS: dict[str, Callable[..., Annotator]] = {
    "clip": _clip,
    "chat": _chat,
    "scripted": lambda asked, **settings: ScriptedAnnotator(asked.observations, **settings),
}
"""``maker(asked, **settings)`` by name. A new annotator is a class (see `base.Annotator`) and a line here."""
NAMES = (*MAKERS, "human")
"""A human is no function of two pictures: see `human.panel`."""
