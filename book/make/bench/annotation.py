"""How fast answers are kept, and how fast and how well they become R_psi.

The store: pictures and answers in, what is answered and what it teaches out. Distillation: R_psi from scripted answers
of which some are wrong, held against the best that anyone could do with them, from ever more pairs.
"""

import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from make.bench.measure import Row, Speed, machine, measure, print_columns, write_table
from sensei_lite.annotators.base import AnnotatorId, Answer, Reply
from sensei_lite.annotators.data import Observations, Preferences
from sensei_lite.annotators.pairs import random_pairs
from sensei_lite.annotators.query import ask
from sensei_lite.annotators.scripted import NoiseModel, ScriptedAnnotator, interest, noise_ceiling
from sensei_lite.annotators.store import Store
from sensei_lite.config import DistilConfig
from sensei_lite.plots.reward import pairs_figure
from sensei_lite.plots.style import save_figure
from sensei_lite.reward.distil import distil
from sensei_lite.reward.metrics import Learned, accuracy_against_levels, accuracy_interval
from sensei_lite.reward.model import rewards_of
from sensei_lite.reward.split import split_by_episode
from sensei_lite.training.collect import play_observations
from sensei_lite.worlds.registry import JAX_WORLDS

PAIRS = 100_000
"""As many as the paper asked about in MiniHack; here each in both orders."""


def bench_store(path: Path, repeats: int = 7, pairs: int = PAIRS, episodes: int = 256) -> list[Row]:
    """Measure a store with ``pairs`` pairs of KeyRoom's pictures; write the table to ``path`` and return its rows."""
    observations = play_observations(JAX_WORLDS["keyroom-whole"], episodes, guided=True, seed=0)
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
        speed = measure(lambda: store.preferences(one), repeats)
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


def bench_distil(path: Path, pairs: int = 5_000, episodes: int = 200, noise: float = 0.1, seed: int = 0) -> list[Row]:
    """Measure distillation with all pairs and with fewer, each from scratch; return the table's rows.

    Table and figure go to ``path`` (.csv, .png). Seconds are wall time; the first row's includes compilation, as a
    user's first call does.
    """
    observations = play_observations(JAX_WORLDS["keyroom-whole"], episodes, guided=True, seed=seed)
    noise_model = NoiseModel(noise=noise)
    annotator = ScriptedAnnotator(observations, noise_model, seed=seed)
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "answers.sqlite") as store:
        ask(store, annotator, observations, random_pairs(observations, pairs, seed), both_orders=False)
        preferences = store.preferences()
    key = jax.random.key(seed)
    split = split_by_episode(preferences, DistilConfig().held_out, key=key)
    equal = _share_equal(annotator, preferences, split.held_out)
    decided = int((preferences.target[split.held_out] != 0.5).sum())
    rows: list[Row] = []
    fresh = play_observations(JAX_WORLDS["keyroom-whole"], episodes, guided=True, seed=seed + 1)
    levels = interest(fresh.facts)
    for number in (len(split.train), *(n for n in (3_000, 1_000, 300, 100) if n < len(split.train))):
        start = time.perf_counter()
        learned = distil(preferences, DistilConfig(), split=split._replace(train=split.train[:number]), key=key)
        seconds = time.perf_counter() - start
        low, high = accuracy_interval(learned.held_out.accuracy, decided)
        rows.append(
            {
                "training_pairs": number,
                "seconds": round(seconds, 1),
                "epochs": len(learned.history),
                "held_out_pairs": decided,
                "held_out_accuracy": round(learned.held_out.accuracy, 4),
                "low": round(low, 4),
                "high": round(high, 4),
                "noise_ceiling": round(noise_ceiling(noise_model, equal), 4),
                "accuracy_in_fresh_rooms": round(
                    accuracy_against_levels(rewards_of(learned.reward, fresh.images), levels), 4
                ),
                "machine": machine(),
            }
        )
    write_table(rows, path)
    results = [Learned(r["training_pairs"], r["held_out_accuracy"], r["low"], r["high"], 0.0) for r in reversed(rows)]
    save_figure(pairs_figure(results, float(rows[0]["noise_ceiling"])).figure, path.with_suffix(".png"))
    return rows


def _share_equal(annotator: ScriptedAnnotator, preferences: Preferences, pairs: np.ndarray) -> float:
    """Compute the share of these pairs whose two pictures are of the same level."""
    first, second = (
        np.array([annotator.level(preferences.images[i]) for i in ends[pairs]])
        for ends in (preferences.first, preferences.second)
    )
    return float((first == second).mean())


def print_distil(rows: list[Row]) -> None:
    """Print the rows of `bench_distil` for a person."""
    print_columns(
        rows,
        {
            "training pairs": lambda row: f"{row['training_pairs']:,}",
            "seconds": lambda row: f"{row['seconds']}",
            "held-out accuracy": lambda row: f"{row['held_out_accuracy']} [{row['low']}, {row['high']}]",
            "ceiling": lambda row: f"{row['noise_ceiling']}",
            "fresh rooms, truth": lambda row: f"{row['accuracy_in_fresh_rooms']}",
        },
    )
