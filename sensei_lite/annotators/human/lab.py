"""From the command line to the panel: write a notebook from a template into a run folder, and open it in JupyterLab."""

import contextlib
import importlib.util
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import sensei_lite
from sensei_lite.annotators.base import AnnotatorId, Answer
from sensei_lite.annotators.data import Observations
from sensei_lite.annotators.query import QueryStats, open_questions
from sensei_lite.annotators.store import Store


def template_path(name: str) -> Path:
    """Find a notebook template (py:percent): beside the notebooks in a clone, in the package where it is installed."""
    package = Path(sensei_lite.__file__).parent
    folders = (package.parent / "notebooks" / "templates", package / "templates")
    return next((folder / name for folder in folders if (folder / name).exists()), folders[0] / name)


def write_notebook(template: Path, path: Path, parameters: Mapping[str, Any]) -> None:
    """Write a template as a notebook, with the cell that is tagged ``parameters`` replaced by these values.

    Raises ImportError where JupyterLab or jupytext is not installed.
    """
    if missing := [name for name in ("jupyterlab", "jupytext") if importlib.util.find_spec(name) is None]:
        names = " and ".join(missing)
        raise ImportError(f'{names} is not installed, and the notebook needs it: pip install "sensei-lite[notebooks]"')
    import jupytext
    import nbformat

    notebook = jupytext.read(template)
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    cell.source = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    nbformat.write(notebook, path)


def ask_in_lab(
    store: Store, who: AnnotatorId, observations: Observations, pairs: np.ndarray, notebook: Path, *, both_orders: bool
) -> QueryStats:
    """Open a notebook whose panel asks a person about these pairs, and wait until JupyterLab is closed.

    Args:
        store: the one that the notebook writes to.
        who: whose answers are counted.
        observations: the pictures.
        pairs: indices of the first and the second picture of each, int [pairs 2].
        notebook: as `write_notebook` wrote it.
        both_orders: every pair is shown twice, with the pictures exchanged.
    """
    asked, before = open_questions(store, who, observations, pairs, both_orders=both_orders)
    print(f"Opening {notebook} in JupyterLab: run its cells and answer there.")
    print("Ctrl-C here ends JupyterLab; every answer is stored at once.", flush=True)
    with subprocess.Popen([sys.executable, "-m", "jupyterlab", "-y", str(notebook)]) as lab:  # -y: Ctrl-C once will do
        while lab.poll() is None:
            with contextlib.suppress(KeyboardInterrupt):  # JupyterLab got it too, and ends
                lab.wait()
    left, _ = open_questions(store, who, observations, pairs, both_orders=both_orders)
    closed = asked.keys() - left.keys()
    given = Counter(Answer(row[5]) for row in store.questions() if row[2:5] == who and row[:2] in closed)
    return QueryStats(len(closed), before, len(left), {answer: given[answer] for answer in Answer}, 0.0)
