"""How a speed is measured, and how it is written down."""

import csv
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

Row = dict[str, Any]
"""A row of a table: columns by name, the last of which is ``machine``."""


class Speed(NamedTuple):
    """Seconds that one call took, over several calls after a first one that was not counted."""

    first: float
    """Seconds of the first call, compilation included."""
    median: float
    fastest: float
    slowest: float


def measure(call: Callable[[], object], repeats: int = 7) -> Speed:
    """Measure the wall time of ``call`` (which returns when its work is done): a warm-up, then ``repeats`` calls."""
    seconds = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return Speed(seconds[0], statistics.median(seconds[1:]), min(seconds[1:]), max(seconds[1:]))


def machine() -> str:
    """Describe the machine and the versions that a figure belongs to, in words."""
    processor = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), processor)
    except OSError:
        pass  # not Linux
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{processor}, {cores} cores, Python {platform.python_version()}, jax {version('jax')}"


def write_table(rows: list[Row], path: Path) -> None:
    """Write rows with the same columns as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def print_columns(rows: list[Row], columns: dict[str, Callable[[Row], str]]) -> None:
    """Print the machine, then the rows in columns: headings, and how a row is written there. The first goes left."""
    cells = [list(columns), *([write(row) for write in columns.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(rows[0]["machine"])
    for first, *others in cells:
        print(
            first.ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)),
            sep="  ",
        )
