"""From the command line to the panel: write a notebook from a template into a run folder, and open it in JupyterLab."""

import contextlib
import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sensei_lite


def template_path(name: str) -> Path:
    """Find a notebook template (py:percent): among the notebooks in a clone, inside the package where it is installed."""
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


def open_lab(notebook: Path) -> None:
    """Open a notebook in JupyterLab and wait until it is closed, by Ctrl-C here or by File > Shut Down there."""
    print(f"Answer in JupyterLab: {notebook}\nRun the cells. Ctrl-C ends JupyterLab; every answer is stored as it comes.")
    command = [sys.executable, "-m", "jupyterlab", "-y", str(notebook)]  # -y: Ctrl-C once is enough
    with subprocess.Popen(command) as lab:
        while lab.poll() is None:
            with contextlib.suppress(KeyboardInterrupt):  # that is for JupyterLab, which then ends
                lab.wait()
