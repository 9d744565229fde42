"""What a solution of the grid worlds looks like: the pictures of the README and the worlds' pages."""

from pathlib import Path

import jax
import numpy as np
import tyro
from PIL import Image

from sensei_lite.plots.style import episode, filmstrip, save_figure
from sensei_lite.worlds import KeyChest, KeyRoom
from sensei_lite.worlds.grid.oracle import shortest_plan
from sensei_lite.worlds.grid.world import GridWorld


def write_pictures(folder: Path = Path("book/images"), seed: int = 0) -> None:
    """Solve one layout of each grid world by the shortest plan: a film and a strip of pictures in ``folder``."""
    for world in (KeyRoom(), KeyChest()):
        _show_solution(type(world).__name__, world, folder, seed)


def _show_solution(name: str, world: GridWorld, folder: Path, seed: int) -> None:
    state = jax.jit(lambda key: world.reset(key=key))(jax.random.key(seed))
    plan = shortest_plan(world, state)
    states, _ = episode(world, state, plan)
    draw = jax.jit(lambda state: world.render(state, 4))
    film, strip = folder / f"{name.lower()}.gif", folder / f"{name.lower()}.png"
    first, *others = [
        Image.fromarray(np.asarray(draw(state))).quantize(64, dither=Image.Dither.NONE) for state in states
    ]
    durations = [*[170] * len(others), 1500]  # in ms: it rests on its last frame
    film.parent.mkdir(parents=True, exist_ok=True)
    first.save(film, save_all=True, append_images=others, duration=durations, loop=0)
    save_figure(filmstrip(world, state, plan, f"{name}: a shortest solution takes {len(plan)} steps"), strip)
    print(f"A shortest solution takes {len(plan)} steps: {film}, {strip}\n")


if __name__ == "__main__":
    tyro.cli(write_pictures)
