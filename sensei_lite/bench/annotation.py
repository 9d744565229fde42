"""How fast the store of answers is: pictures and answers in, what is answered and what it teaches out."""

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sensei_lite.annotators.base import Answer, Reply
from sensei_lite.annotators.pairs import random_pairs
from sensei_lite.annotators.store import AnnotatorId, Store
from sensei_lite.bench.measure import Row, Speed, machine, measure, print_columns, write_table
from sensei_lite.collect import play_observations
from sensei_lite.observations import Observations
from sensei_lite.worlds.catalogue import JAX_WORLDS

PAIRS = 100_000
"""As many as the paper asked about in MiniHack; here each in both orders."""


def bench_store(path: Path, repeats: int = 7, pairs: int = PAIRS, episodes: int = 256) -> list[Row]:
    """Measure a store with ``pairs`` pairs of KeyRoom's pictures and write the table to ``path``. Returns the rows."""
    observations = play_observations(JAX_WORLDS["keyroom"], episodes, guided=True, seed=0)
    chosen = random_pairs(observations, pairs, seed=0)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for row in tqdm(_rows(Path(folder), observations, chosen, repeats), desc="bench store", unit="row", total=5):
            rows.append(row)
    for row in rows:
        row["machine"] = machine()
    write_table(rows, path)
    return rows


def _rows(folder: Path, observations: Observations, pairs: np.ndarray, repeats: int) -> Iterator[Row]:
    files = (folder / f"{i}.sqlite" for i in itertools.count())
    used = np.unique(pairs)
    seen = observations.choose(used)

    def add_images() -> list[str]:
        with Store(next(files)) as store:
            return store.add_images(seen.images, seen.episode, seen.t)

    speed = measure(add_images, repeats)
    yield _row("add pictures", "pictures", len(used), speed, folder / "0.sqlite")

    path = next(files)
    with Store(path) as store:
        hashes = dict(zip(used.tolist(), store.add_images(seen.images, seen.episode, seen.t), strict=True))
        questions = [(hashes[i], hashes[j]) for i, j in np.concatenate([pairs, pairs[:, ::-1]]).tolist()]
        said = np.random.default_rng(0).integers(0, 3, len(questions)).tolist()
        replies = [Reply(Answer(answer), "0.51 0.49") for answer in said]
        versions = map(str, itertools.count())

        def record(number: int, group: int) -> None:
            # Always somebody new, so that there are new rows to write.
            who = AnnotatorId("bench", next(versions))
            for begin in range(0, number, group):
                end = min(number, begin + group)
                store.record(who, questions[begin:end], replies[begin:end])

        record(len(questions), 256)
        one = AnnotatorId("bench", "0")
        speed = measure(lambda: store.answered(one, questions), repeats)
        yield _row("find what is answered", "questions", len(questions), speed, path)
        speed = measure(lambda: store.preferences(*one), repeats)
        yield _row("preferences", "questions", len(questions), speed, path)
        speed = measure(lambda: record(len(questions), 256), repeats)
        yield _row("record, 256 together", "questions", len(questions), speed, path)
        few = min(10_000, len(questions))
        speed = measure(lambda: record(few, 1), repeats)
        yield _row("record, one by one", "questions", few, speed, path)


def _row(what: str, of: str, number: int, speed: Speed, path: Path) -> Row:
    return {
        "what": what,
        "of": of,
        "number": number,
        "per_second": round(number / speed.median),
        "slowest": round(number / speed.slowest),
        "fastest": round(number / speed.fastest),
        "file_mb": round(sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")) / 1e6, 1),
    }


def print_table(rows: list[Row]) -> None:
    """Print the rows for a person."""
    print_columns(
        rows,
        {
            "store of answers": lambda row: row["what"],
            "of": lambda row: f"{row['number']:,} {row['of']}",
            "per second": lambda row: f"{row['per_second']:,}",
            "[slowest, fastest]": lambda row: f"[{row['slowest']:,}, {row['fastest']:,}]",
            "file": lambda row: f"{row['file_mb']} MB",
        },
    )
