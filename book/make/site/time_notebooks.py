"""Run every notebook at full length, and write down how long it took: ``make nightly``.

Each runs as it is, from a fresh kernel, one after the other. Nothing that was compiled before is there, so these are
the times of a first reader; the second time is faster. The table is what the book shows, and what the times at the top
of each notebook are compared with.
"""

import csv
import dataclasses
import json
import os
import tempfile
import time
from pathlib import Path

import nbformat
import tyro
from nbclient import NotebookClient
from tqdm import tqdm

from make.bench.measure import machine
from sensei_lite.course.editions import sources

ROOT = Path(__file__).resolve().parents[3]

ASK = """
import json, resource, sys
of = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
unit = 2**20 if sys.platform == "darwin" else 2**10
print(json.dumps([sum(use.ru_utime + use.ru_stime for use in of), max(use.ru_maxrss for use in of) / unit]))
"""
"""What the kernel says of itself when all is done: processor seconds, and its largest memory in MB."""


@dataclasses.dataclass(frozen=True)
class Nightly:
    """What to run."""

    table: Path = ROOT / "book" / "data" / "run" / "notebooks.csv"
    """Where the times go."""
    only: str = ""
    """Only notebooks whose name has this in it; the table's other rows stay."""
    preset: str = ""
    """SENSEI_LITE_PRESET for the kernels; empty runs them at full length."""
    notebooks: Path = ROOT / "notebooks"
    """The folder of the notebooks."""


def run(notebook: Path, preset: str, cache: str) -> dict[str, str | float]:
    """One notebook's row. Raises nbclient's CellExecutionError where a cell fails."""
    opened = nbformat.read(notebook, as_version=4)
    opened.cells.append(nbformat.v4.new_code_cell(ASK))
    settings = os.environ | {"SENSEI_LITE_PRESET": preset, "XDG_CACHE_HOME": cache}
    begin = time.perf_counter()
    place = {"metadata": {"path": notebook.parent}}
    NotebookClient(opened, timeout=1800, kernel_name="python3", resources=place).execute(env=settings)
    seconds = time.perf_counter() - begin
    processor, memory = json.loads(opened.cells[-1].outputs[0].text)
    return {
        "notebook": notebook.stem,
        "preset": preset or "default",
        "minutes": round(seconds / 60, 1),
        "processor_minutes": round(processor / 60, 1),
        "peak_memory_mb": round(memory),
        "machine": machine(),
    }


def main(nightly: Nightly) -> None:
    """Run them and write the table after each."""
    rows: dict[str, dict] = {}
    if nightly.only and nightly.table.exists():
        with nightly.table.open() as file:
            rows = {row["notebook"]: row for row in csv.DictReader(file)}
    chosen = [source.with_suffix(".ipynb") for source in sources(nightly.notebooks) if nightly.only in source.stem]
    if not chosen:
        raise SystemExit(f"no notebook in {nightly.notebooks} has {nightly.only!r} in its name")
    with tempfile.TemporaryDirectory() as cache, tqdm(chosen, unit="notebook") as bar:
        for notebook in bar:
            bar.set_description(notebook.stem)
            rows[notebook.stem] = run(notebook, nightly.preset, cache)
            nightly.table.parent.mkdir(parents=True, exist_ok=True)
            with nightly.table.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[notebook.stem]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows[name] for name in sorted(rows))
    for name in sorted(rows):
        row = rows[name]
        print(f"{name:24} {row['minutes']:>5} minutes, {row['peak_memory_mb']} MB")


if __name__ == "__main__":
    main(tyro.cli(Nightly))
