"""What exists so far, shown in a few seconds: ``make run`` until the full pipeline takes its place.

A random agent and the shortest plan live in the same worlds. Between the two lies what an exploring agent has to do:
random steps often take the key, but seldom open anything with it.
"""

import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from tqdm import tqdm

from sensei_lite.plots.style import episode, filmstrip, save_figure
from sensei_lite.plots.video import save_gif
from sensei_lite.worlds import KeyChest, KeyRoom
from sensei_lite.worlds.grid.oracle import shortest_plan
from sensei_lite.worlds.grid.world import GridWorld
from sensei_lite.worlds.random_play import begin_random_play, random_play

ENVIRONMENTS = 64


def run_demo(folder: Path, rows: int = 5000, seed: int = 0) -> None:
    """Play ``rows`` rows in 64 copies of each world at random, solve one layout, and write pictures to ``folder``.

    Raises ValueError where there are no rows to play.
    """
    if rows < 1:
        raise ValueError(f"rows is {rows}; it must be at least 1")
    for world in (KeyRoom(), KeyChest()):
        name = type(world).__name__
        _count_events(name, world, rows, seed)
        _show_solution(name, world, folder, seed)
    print("Play it yourself: the first cell of notebook 01")


def _count_events(name: str, world: GridWorld, rows: int, seed: int, chunk: int = 500) -> None:
    key, begin_key = jax.random.split(jax.random.key(seed))
    state, row = begin_random_play(world, ENVIRONMENTS, key=begin_key)
    pictures = jnp.zeros_like(row.image)
    steps, episodes, counts = 0, 0, dict.fromkeys(world.event_names, 0)
    seconds, chunk = 0.0, min(chunk, rows)
    chunks = -(-rows // chunk)
    with tqdm(
        total=chunks * chunk * ENVIRONMENTS, desc=f"{name}: random actions", unit=" steps", unit_scale=True
    ) as bar:
        for number in range(chunks):
            start = time.perf_counter()
            state, row, pictures, tally = jax.block_until_ready(
                random_play(world, chunk, state, row, pictures, key=jax.random.fold_in(key, number))
            )
            seconds += (time.perf_counter() - start) * (number > 0)  # the first chunk is mostly compilation
            steps, episodes = steps + int(tally.steps), episodes + int(tally.episodes)
            counts = {event: count + int(tally.events[event]) for event, count in counts.items()}
            bar.update(chunk * ENVIRONMENTS)
    per_second = f", {(chunks - 1) * chunk * ENVIRONMENTS / seconds:,.0f} a second with drawing" if seconds else ""
    print(f"{steps:,} random steps in {episodes:,} episodes{per_second}. Events per 1,000 episodes:")
    for event, count in counts.items():
        print(f"  {event.replace('_', ' '):24} {1000 * count / max(episodes, 1):8.1f}")


def _show_solution(name: str, world: GridWorld, folder: Path, seed: int) -> None:
    state = jax.jit(lambda key: world.reset(key=key))(jax.random.key(seed))
    plan = shortest_plan(world, state)
    states, _ = episode(world, state, plan)
    draw = jax.jit(lambda state: world.render(state, 4))
    film, strip = folder / f"{name.lower()}.gif", folder / f"{name.lower()}.png"
    save_gif([np.asarray(draw(state)) for state in states], film)
    save_figure(filmstrip(world, state, plan, f"{name}: a shortest solution takes {len(plan)} steps"), strip)
    print(f"A shortest solution takes {len(plan)} steps: {film}, {strip}\n")


if __name__ == "__main__":
    tyro.cli(run_demo)
