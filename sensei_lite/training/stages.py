"""Which stages of a run are finished, how long each took, and how much memory.

stages.csv has a row for each stage: seconds of work (of all attempts that did not end by force), the most memory that
the process had so far, and whether the stage is finished.
"""

import csv
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sensei_lite.training.storage import write_rows

FILE = "stages.csv"


def read_stages(folder: Path) -> dict[str, dict[str, float]]:
    """Read ``seconds``, ``peak_memory_mb`` and ``finished`` (0 or 1) of every stage that was begun."""
    if not (folder / FILE).exists():
        return {}
    with (folder / FILE).open(newline="") as file:
        return {row.pop("stage"): {name: float(value) for name, value in row.items()} for row in csv.DictReader(file)}


@contextmanager
def timed_stage(folder: Path, name: str) -> Iterator[bool]:
    """Yield whether the stage is still open; inside, do its work if it is. What ends without an error is finished."""
    before = read_stages(folder).get(name, {"seconds": 0.0, "finished": 0.0})
    if before["finished"]:
        yield False
        return
    began, finished = time.monotonic(), 0.0
    try:
        yield True
        finished = 1.0
    finally:
        seconds = before["seconds"] + time.monotonic() - began
        _write(folder, name, {"seconds": seconds, "peak_memory_mb": peak_memory_mb(), "finished": finished})


def peak_memory_mb() -> float:
    """Read the most memory that this process ever held, in MB (1e6 bytes); nan where the system does not say."""
    try:
        # `ru_maxrss` would also count the process that started this one, whose memory it had for a moment.
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass  # not Linux
    try:
        import resource
    except ImportError:
        return math.nan  # Windows
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def _write(folder: Path, name: str, row: dict[str, float]) -> None:
    rows = read_stages(folder) | {name: row}
    write_rows(
        folder / FILE,
        [{"stage": name} | {key: f"{value:.1f}" for key, value in values.items()} for name, values in rows.items()],
    )
