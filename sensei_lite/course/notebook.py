"""What every notebook begins and ends with, and the study's tables, which some of them read.

    notebook = start_notebook()
    EPISODES = 40 if notebook.smoke else 100
    ...
    notebook.finish()

Used in all notebooks.
"""

import csv
import dataclasses
import os
import time
from pathlib import Path

from sensei_lite.plots.style import use_style
from sensei_lite.training.machine import keep_compiled_programs

PRESET = "SENSEI_LITE_PRESET"
"""The environment variable that makes notebooks small: they run in seconds and learn nothing."""


@dataclasses.dataclass(frozen=True)
class Notebook:
    """A notebook that is running."""

    smoke: bool
    """Whether its numbers are to be small, for tests (`PRESET`)."""
    began: float
    """When it began, by `time.perf_counter`."""

    def finish(self) -> None:
        """Print how long the notebook took."""
        print(f"This notebook took {time.perf_counter() - self.began:.0f} seconds on this machine.")


def start_notebook() -> Notebook:
    """Set a notebook up: keep compiled programs for the next time, draw in the style of the book, start the clock."""
    keep_compiled_programs()
    use_style()
    return Notebook(os.environ.get(PRESET) == "smoke", time.perf_counter())


def study_table(name: str) -> list[dict[str, str]]:
    """Read a table of the study: a row for every agent and figure, with a column for every seed.

    The tables lie in the repository (book/data/study), not in the package; on Colab the notebook has cloned it.

    Raises FileNotFoundError where there is no clone of the repository.
    """
    for top in (Path(), Path(".."), Path("clone"), Path(__file__).parents[2]):
        path = top / "book" / "data" / "study" / name
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file))
    raise FileNotFoundError(f"{name} lies in book/data/study of the repository; run this notebook in a clone of it")
