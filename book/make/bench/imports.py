"""What importing costs: the modules and the seconds that a notebook's import lines take in a fresh process.

A reader waits for them before the first cell has done anything. They are compared with what no notebook can do without:
jax, equinox and matplotlib. ``times_base`` compares seconds of the processor, which other work on the machine disturbs
least.
"""

import ast
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from make.bench.measure import Row, machine, print_columns, write_table

BASE = "jax, equinox, matplotlib"
NOTEBOOKS = Path(__file__).parents[3] / "notebooks"

TIMED = """
import sys, time
began, began_on_cpu = time.perf_counter(), time.process_time()
{imports}
print(time.perf_counter() - began, time.process_time() - began_on_cpu, len(sys.modules))
"""


def import_lines(source: str) -> str:
    """Return the import statements at the top level of a program, in their order."""
    return "\n".join(
        ast.unparse(node) for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)
    )


def programs() -> dict[str, str]:
    """Return the import lines that are compared, by name: the base, the package alone, and every notebook."""
    found = {BASE: "import jax, equinox, matplotlib.pyplot", "sensei_lite": "import sensei_lite"}
    return found | {path.stem: import_lines(path.read_text()) for path in sorted(NOTEBOOKS.glob("[0-9]*.py"))}


def bench_imports(path: Path, repeats: int = 7, lines: Mapping[str, str] | None = None) -> list[Row]:
    """Time import lines in fresh processes, in turns, and write the table to ``path``.

    Args:
        path: the table, as CSV.
        repeats: processes for each; one more before them, which finds the files on the disk, does not count.
        lines: what is imported, by name, `BASE` first; `programs` where it is not given.
    """
    lines = programs() if lines is None else lines
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in lines}
    modules = {}
    for repeat in range(1 + repeats):
        for name, imports in lines.items():
            command = [sys.executable, "-c", TIMED.format(imports=imports)]
            took, on_cpu, loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            modules[name] = int(loaded)
            if repeat:
                seconds[name].append((float(took), float(on_cpu)))
    medians = {name: tuple(map(statistics.median, zip(*each, strict=True))) for name, each in seconds.items()}
    _, base = next(iter(medians.values()))
    rows = [
        {
            "imports": name,
            "modules": modules[name],
            "seconds": f"{medians[name][0]:.2f}",
            "fastest": f"{min(seconds[name])[0]:.2f}",
            "slowest": f"{max(seconds[name])[0]:.2f}",
            "cpu_seconds": f"{medians[name][1]:.2f}",
            "times_base": f"{medians[name][1] / base:.2f}",
            "repeats": repeats,
            "machine": machine(),
        }
        for name in lines
    ]
    write_table(rows, path)
    return rows


def print_table(rows: list[Row]) -> None:
    """Print the table for people."""
    print_columns(
        rows,
        {
            "import lines": lambda row: row["imports"],
            "modules": lambda row: str(row["modules"]),
            "s": lambda row: row["seconds"],
            "fastest": lambda row: row["fastest"],
            "slowest": lambda row: row["slowest"],
            "CPU s": lambda row: row["cpu_seconds"],
            "of the base": lambda row: row["times_base"],
        },
    )
