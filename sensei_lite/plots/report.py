"""The report of a run: a notebook template, executed in the run folder, and the same as one page.

    notebooks/templates/run_report.py  ->  <run>/report.ipynb  ->  <run>/report.html

The page holds its pictures and films, has no script, and asks no other host for anything, so it can be sent by mail.
"""

import os
import sys
from html import escape
from pathlib import Path

import jax

from sensei_lite.annotators.human.lab import template_path
from sensei_lite.training.pipeline import WORLD
from sensei_lite.training.storage import write_atomically

try:
    import jupytext
    import nbformat
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter
    from nbformat import NotebookNode
except ImportError as error:
    raise ImportError('a report needs more packages: pip install "sensei-lite[notebooks]"') from error

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --soft: #8882; --line: #8888; }}
body {{ margin: 0 auto; padding: 0 14px 48px; max-width: 62rem; font: 1rem/1.55 system-ui, sans-serif;
  overflow-wrap: anywhere; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; }}
h2 {{ font-size: 1.25rem; margin-top: 2.2em; padding-top: 0.5em; border-top: 1px solid var(--line); }}
p, ul, figcaption {{ max-width: 44rem; }}
figure {{ margin: 1.2em 0; }}
picture img {{ display: block; max-width: 100%; height: auto; background: #fff; border-radius: 6px; }}
figcaption {{ font-size: 0.92rem; padding: 4px 0; }}
table {{ border-collapse: collapse; font-size: 0.94rem; }}
th, td {{ text-align: left; vertical-align: top; padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; font-variant-numeric: tabular-nums; }}
tbody th {{ font-weight: 400; min-width: 7rem; }}
blockquote {{ margin: 1em 0; padding: 1px 14px; background: var(--soft); border-left: 5px solid var(--line); }}
summary {{ cursor: pointer; padding: 6px 0; }}
.output_stderr, .anchor-link {{ display: none; }}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def write_report(folder: Path) -> Path:
    """Execute the template in a run folder, write ``report.ipynb`` and ``report.html``, and return the page's path.

    A ``report.ipynb`` whose cells were changed is kept as ``report_changed.ipynb``.

    Raises FileNotFoundError where the folder holds no run, nbclient's CellExecutionError where a cell fails.
    """
    if not any((folder / name).exists() for name in ("run.json", WORLD)):
        raise FileNotFoundError(f"{folder} holds no run: neither run.json nor {WORLD} is there")
    notebook = read_template()
    execute(notebook, folder)
    kept, page = folder / "report.ipynb", folder / "report.html"
    if kept.exists() and _cells(nbformat.read(kept, as_version=4)) != _cells(notebook):
        kept.replace(folder / "report_changed.ipynb")
    for path, text in ((kept, nbformat.writes(notebook)), (page, to_html(notebook, folder.resolve().name))):
        with write_atomically(path) as file:
            file.write(text.encode())
    return page


def read_template() -> NotebookNode:
    """Return the template as a notebook whose parameters say: the folder that it is in, and this program's devices."""
    notebook = jupytext.read(template_path("run_report.py"), fmt="py:percent")
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata["jupyter"] = {"source_hidden": True}  # JupyterLab folds the code, a click shows it
    devices = ", ".join(sorted({device.device_kind for device in jax.devices()}))
    parameters.source = f'FOLDER = "."  # the run folder\nDEVICES = "{devices}"  # what JAX computed on'
    return notebook


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run every cell in place, in a kernel of this Python whose working directory is ``folder``."""
    kernel = AsyncKernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))  # this Python's own, no other's
    client = NotebookClient(notebook, km=kernel, timeout=600, resources={"metadata": {"path": str(folder)}})
    client.extra_arguments = ["--log-level=ERROR"]  # it would warn of a connection that does not leave this machine
    # It imports what this program does. The accelerator's memory is taken; one episode and figures are a CPU's work.
    client.execute(cleanup_kc=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "JAX_PLATFORMS": "cpu"})


def to_html(notebook: NotebookNode, name: str) -> str:
    """Return an executed notebook as one HTML page without its code."""
    shown = {"exclude_input": True, "exclude_input_prompt": True, "exclude_output_prompt": True}
    exporter = HTMLExporter(template_name="basic", **shown)
    return PAGE.format(title=escape(f"Report of {name}"), body=exporter.from_notebook_node(notebook)[0])


def _cells(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if "parameters" not in cell.metadata.get("tags", [])]
