"""The landing page's film: three trained agents in the same kind of room, and how often each has opened the door."""

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array
from PIL import Image, ImageDraw, ImageFont

from sensei_lite.agent import state as agents
from sensei_lite.course import pretrained
from sensei_lite.plots.video import save_mp4
from sensei_lite.worlds.base import World, reset_batch, step_batch
from sensei_lite.worlds.rollout import random_actions

STEPS, FRAMES_PER_SECOND, SEED = 240, 12, 4
SCALE, MARGIN, LINE = 6, 10, 26
INK, PAPER = (32, 33, 36), (255, 255, 255)
TITLES = {"random": "random", "plan2explore": "curious", "sensei": "SENSEI"}


def write_film(folder: Path) -> None:
    """Write film.mp4 and its first picture, film.png, unless they are there."""
    if (folder / "film.mp4").exists() and (folder / "film.png").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    world = pretrained.trained_world()
    seen = {}
    for name in TITLES:
        agent = None if name == "random" else pretrained.trained_agent(name)
        images, keys, doors = jax.device_get(_play(world, STEPS, agent, key=jax.random.key(SEED)))
        seen[name] = images, keys.cumsum(), doors.cumsum()
    frames = [
        _frame([(TITLES[name], *(part[t] for part in parts)) for name, parts in seen.items()]) for t in range(STEPS)
    ]
    save_mp4(frames, folder / "film.mp4", frames_per_second=FRAMES_PER_SECOND)
    Image.fromarray(frames[-1]).save(folder / "film.png", optimize=True)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _play(world: World, steps: int, agent: Any, *, key: Array) -> tuple[Array, Array, Array]:
    """Pictures [steps height width 3], and whether the key was taken and the door opened on the way to each [steps].

    Episodes follow one another. All agents meet the same first room.
    """
    begin_key, play_key = jax.random.split(key)
    state, row = reset_batch(world, keys=begin_key[None])
    policy_state = () if agent is None else agents.initial_policy_state(agent, 1, world.actions.size)

    def step(carry: tuple, key: Array) -> tuple[tuple, tuple[Array, Array, Array]]:
        state, row, policy_state = carry
        choice_key, world_key = jax.random.split(key)
        if agent is None:
            action = random_actions(world, (1,), key=choice_key)
        else:
            policy_state = agents.act(agent, policy_state, row.image, row.is_first, row.vector, key=choice_key)
            action = agents.decode_action(world.actions, policy_state.action)
        seen = row.image[0], row.events["key_picked_up"][0], row.events["door_opened"][0]
        return (*step_batch(world, state, row.is_last, action, keys=world_key[None]), policy_state), seen

    return jax.lax.scan(step, (state, row, policy_state), jax.random.split(play_key, steps))[1]


def _frame(panels: list[tuple[str, np.ndarray, int, int]]) -> np.ndarray:
    """Put the pictures side by side; over each its title and what has happened so far (a player covers the bottom)."""
    side = panels[0][1].shape[1] * SCALE
    height = panels[0][1].shape[0] * SCALE
    width = len(panels) * (side + MARGIN) + MARGIN
    sheet = Image.new("RGB", (width, height + 3 * LINE + 2 * MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(20), ImageFont.load_default(16)
    for number, (title, picture, keys, doors) in enumerate(panels):
        left = MARGIN + number * (side + MARGIN)
        draw.text((left, MARGIN - 4), title, INK, large)
        draw.text((left, MARGIN + LINE), f"keys taken: {keys}", INK, small)
        draw.text((left, MARGIN + 2 * LINE - 4), f"doors opened: {doors}", INK, small)
        sheet.paste(Image.fromarray(picture.repeat(SCALE, 0).repeat(SCALE, 1)), (left, 3 * LINE + MARGIN))
    return np.asarray(sheet)
