"""``make bench`` begins here: measure speed on this machine, beside the peers."""

from pathlib import Path
from typing import Literal

import tyro

from make.bench import annotation, clip, imports, learner, worlds
from sensei_lite.training.machine import keep_compiled_programs


def bench(
    what: Literal["imports", "worlds", "learner", "taste", "paper", "all"] = "all",
    folder: Path = Path("runs/bench"),
    repeats: int = 7,
) -> None:
    """Measure speed on this machine: imports, worlds (beside MiniHack and MiniGrid), learning, annotation.

    Args:
        what: imports (of the notebooks), worlds (environment steps), learner (updates and policy steps), taste (CLIP,
            the store of answers, distillation), or all of these; paper: the research code's sizes, on this machine's
            GPU.
        folder: where the tables go, as CSV.
        repeats: timed calls for each figure; the median counts.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; it must be at least 1")
    if what in ("imports", "all"):
        imports.print_table(imports.bench_imports(folder / "imports.csv", repeats))
    if what in ("worlds", "all"):
        worlds.print_table(worlds.bench_worlds(folder / "worlds.csv", repeats))
    if what in ("learner", "all"):
        learner.print_table(learner.bench_learner(folder / "learner.csv", repeats))
    if what == "paper":
        learner.print_table(learner.bench_paper(folder / "paper.csv", repeats))
    if what in ("taste", "all"):
        clip.print_table(clip.bench_clip(folder / "clip.csv", repeats))
        annotation.print_table(annotation.bench_store(folder / "store.csv", min(repeats, 5)))
        annotation.print_distil(annotation.bench_distil(folder / "distil.csv"))


if __name__ == "__main__":
    keep_compiled_programs()
    tyro.cli(bench)
