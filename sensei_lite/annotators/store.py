"""Where the answers are kept, so that none is lost and none is asked for twice.

One SQLite file with three tables: every picture once, under its content's hash; every annotator; and one row for each
question asked, which is (first picture, second picture, annotator). The same two pictures in the other order are
another question. What two orders say together is the affair of `combine`.

An answer costs money or a person's time, so what `Store.record` has taken survives a kill of the process (SQLite's
write-ahead log with ``synchronous=NORMAL``; a power cut can cost the last seconds, and the file stays whole). A file is
made whole or not at all, and a file that is not ours is not touched.
"""

import contextlib
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from sensei_lite.annotators.base import AnnotatorId, Reply, image_hash
from sensei_lite.annotators.combine import Judgements, combine_answers
from sensei_lite.annotators.data import Preferences, check_images

VERSION = 1
APPLICATION = 0x53454E53  # marks the file as ours, where SQLite keeps such a mark: the letters SENS

_SCHEMA = f"""
CREATE TABLE pictures (
    id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE,
    height INTEGER NOT NULL, width INTEGER NOT NULL, channel INTEGER NOT NULL, pixels BLOB NOT NULL,
    episode INTEGER NOT NULL, t INTEGER NOT NULL);
CREATE TABLE annotators (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, prompt_hash TEXT NOT NULL,
    UNIQUE (name, version, prompt_hash));
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    annotator INTEGER NOT NULL REFERENCES annotators, first INTEGER NOT NULL REFERENCES pictures,
    second INTEGER NOT NULL REFERENCES pictures, answer INTEGER NOT NULL CHECK (answer BETWEEN 0 AND 3),
    raw TEXT NOT NULL, time REAL NOT NULL, cost REAL NOT NULL,
    UNIQUE (annotator, first, second), CHECK (first <> second));
CREATE VIEW questions AS
    SELECT f.hash AS first, s.hash AS second, name, version, prompt_hash, answer, raw, time, cost
    FROM answers JOIN pictures f ON f.id = first JOIN pictures s ON s.id = second
    JOIN annotators ON annotators.id = annotator ORDER BY answers.id;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
PRAGMA journal_mode = WAL;
"""
_ANNOTATOR = "(SELECT id FROM annotators WHERE name = ? AND version = ? AND prompt_hash = ?)"
_PICTURE = "(SELECT id FROM pictures WHERE hash = ?)"
# Whoever asks the same question at the same time as another pays for it too: the first answer stays, the cost is added.
# The time tells such an answer from the same one recorded again.
_RECORD = f"""
INSERT INTO answers (annotator, first, second, answer, raw, time, cost)
VALUES ({_ANNOTATOR}, {_PICTURE}, {_PICTURE}, ?, ?, ?, ?)
ON CONFLICT (annotator, first, second) DO UPDATE SET cost = cost + excluded.cost WHERE time <> excluded.time
"""


class StoreError(ValueError):
    """A file that is no store of answers, or one of another version; the message names the file."""


class Count(NamedTuple):
    """What there is of one annotator."""

    answers: int
    cost: float
    """US dollars."""


class Answers(NamedTuple):
    """One annotator's answers in the order in which they were recorded. Pictures go by their number in the store."""

    first: Int[np.ndarray, " questions"]
    second: Int[np.ndarray, " questions"]
    answer: Int[np.ndarray, " questions"]
    """Values of `base.Answer`."""
    time: Float[np.ndarray, " questions"]
    """UTC, seconds since 1970."""


class Store:
    """A store of answers, made if the file is not there. Close it, or use it in a ``with`` statement.

    Threads may share one; processes open one each (on a local disk; a write waits up to a minute for another's).
    Numbers of episodes are kept as they are given: collections that are asked about in one store must number theirs on.

    Raises StoreError where the file is no store, is damaged or of another version (it is not touched then), and OSError
    where it cannot be read or made.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        if not self.path.exists():
            _create(self.path)
        self._connection = _open(self.path)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Whatever was recorded is in it already."""
        with self._lock:
            self._connection.close()

    def add_images(self, images: np.ndarray, episode: np.ndarray, t: np.ndarray) -> list[str]:
        """Store pictures and return their hashes, in order; those that are known stay as they were first seen.

        Args:
            images: uint8 [n height width 3].
            episode: the episode that each is from [n].
            t: its step there [n].

        Raises ValueError for anything else.
        """
        check_images(images)
        if not len(images) == len(episode) == len(t):
            raise ValueError(f"{len(images)} pictures need as many episodes ({len(episode)}) and steps ({len(t)})")
        hashes = [image_hash(image) for image in images]
        rows: dict[str, tuple] = {}
        for h, image, number, step in zip(hashes, images, episode, t, strict=True):
            if h not in rows and not self._read("SELECT 1 FROM pictures WHERE hash = ?", h):
                rows[h] = (h, *image.shape, zlib.compress(image.tobytes(), 6), int(number), int(step))
        with self._writing() as connection:
            connection.executemany(
                "INSERT INTO pictures (hash, height, width, channel, pixels, episode, t) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                rows.values(),
            )
        return hashes

    def record(
        self,
        who: AnnotatorId,
        questions: Sequence[tuple[str, str]],
        replies: Sequence[Reply],
        times: Sequence[float] | None = None,
    ) -> None:
        """Store replies, all or none of them; once this returns, no death of the process can lose them.

        An answer that is there already stays. Only its cost grows, because the question was paid for twice.

        Args:
            who: the annotator.
            questions: hashes of the first and the second picture of each.
            replies: what was said.
            times: when each reply came, in UTC seconds; now, if not given.

        Raises ValueError where a picture is not in the store, is compared with itself, or the numbers differ.
        """
        times = [time.time()] * len(replies) if times is None else times
        rows = [
            (*who, *question, int(reply.answer), _printable(reply.raw), at, reply.cost)
            for question, reply, at in zip(questions, replies, times, strict=True)
        ]
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO annotators (name, version, prompt_hash) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", who
            )
            try:
                connection.executemany(_RECORD, rows)
            except sqlite3.IntegrityError as error:
                raise ValueError(f"a question is not about two different pictures of {self.path}: {error}") from error

    def forget(self, who: AnnotatorId, questions: Sequence[tuple[str, str]]) -> None:
        """Delete answers, as of a person who clicked too soon; what was never answered is no error.

        Args:
            who: the annotator.
            questions: hashes of the first and the second picture of each.
        """
        with self._writing() as connection:
            connection.executemany(
                f"DELETE FROM answers WHERE annotator = {_ANNOTATOR} AND first = {_PICTURE} AND second = {_PICTURE}",
                [(*who, *question) for question in questions],
            )

    def answered(self, who: AnnotatorId, questions: Iterable[tuple[str, str]]) -> Bool[np.ndarray, " questions"]:
        """Return which of these questions (hashes of the first and the second picture) this annotator has answered."""
        numbers = dict(self._read("SELECT hash, id FROM pictures"))
        there = set(self._read(f"SELECT first, second FROM answers WHERE annotator = {_ANNOTATOR}", *who))
        return np.array([(numbers.get(a), numbers.get(b)) in there for a, b in questions], bool)

    def annotators(self) -> dict[AnnotatorId, Count]:
        """Count the answers of everyone of whom there are any, with what they cost."""
        rows = self._read(
            "SELECT name, version, prompt_hash, count(*), sum(cost) FROM answers "
            "JOIN annotators ON annotators.id = annotator GROUP BY annotator ORDER BY annotator"
        )
        return {AnnotatorId(*row[:3]): Count(*row[3:]) for row in rows}

    def find(self, name: str | None = None, version: str | None = None, prompt_hash: str | None = None) -> AnnotatorId:
        """Return the one annotator with answers that this describes.

        Raises ValueError where there are no answers at all, or the description fits none or several annotators.
        """
        there = list(self.annotators())
        if not there:
            raise ValueError(f"{self.path} is empty: nobody has answered anything yet")
        wanted = (name, version, prompt_hash)
        fitting = [who for who in there if all(w in (None, is_) for w, is_ in zip(wanted, who, strict=True))]
        if len(fitting) != 1:
            described = ", ".join(word for word in wanted if word is not None) or "(no name)"
            problem = f"{len(fitting)} annotators are called" if fitting else "nobody is called"
            names = "; ".join(map(str, fitting or there))
            raise ValueError(f"{self.path}: {problem} {described}; there are {names}")
        return fitting[0]

    def answers(self, who: AnnotatorId) -> Answers:
        """Read all answers of one annotator; none if it is not known."""
        rows = self._read(
            f"SELECT first, second, answer, time FROM answers WHERE annotator = {_ANNOTATOR} ORDER BY id", *who
        )
        columns = zip(*rows, strict=True) if rows else [()] * 4
        return Answers(*(np.array(column, kind) for column, kind in zip(columns, (int, int, int, float), strict=True)))

    def judgements(self, who: AnnotatorId) -> Judgements:
        """Combine both orders of one annotator's answers. Pictures go by their number in the store."""
        answers = self.answers(who)
        return combine_answers(answers.first, answers.second, answers.answer)

    def preferences(self, who: AnnotatorId | None = None) -> Preferences:
        """Return what the answers of one annotator (None: of the only one) teach, in the order of asking.

        A store of nothing but ties, or of one-sided answers, is no error here: `agreement` warns of it.

        Raises ValueError where there is no such annotator, it knew nothing (all UNKNOWN), or its pictures have several
        sizes.
        """
        judged = self.judgements(who or self.find())
        if not len(judged.target):
            raise ValueError(f"{self.path}: all answers are UNKNOWN, {judged.dropped} pairs: there are no preferences")
        numbers, place = np.unique(np.stack([judged.first, judged.second]), return_inverse=True)
        first, second = place.reshape(2, -1)
        images, episode = zip(*(self._image(int(number)) for number in numbers), strict=True)
        if len(shapes := {image.shape for image in images}) > 1:
            sizes = " and ".join(str(list(shape)) for shape in sorted(shapes))
            raise ValueError(f"{self.path} has pictures {sizes} of one annotator: keep each size in a store of its own")
        return Preferences(np.stack(images), np.array(episode), first, second, judged.target)

    def pictures(self) -> Iterator[tuple[str, int, int, UInt8[np.ndarray, "height width channel"]]]:
        """Read every picture, in the order in which they were added: hash, episode, t, image."""
        for number, h, episode, t in self._read("SELECT id, hash, episode, t FROM pictures ORDER BY id"):
            yield h, episode, t, self._image(number)[0]

    def questions(self) -> list[tuple]:
        """Read every answer: hashes of the two pictures, name, version and prompt_hash, answer, raw, time, cost."""
        return self._read("SELECT * FROM questions")

    def _image(self, number: int) -> tuple[UInt8[np.ndarray, "height width channel"], int]:
        [(*shape, pixels, episode)] = self._read(
            "SELECT height, width, channel, pixels, episode FROM pictures WHERE id = ?", number
        )
        return np.frombuffer(zlib.decompress(pixels), np.uint8).reshape(shape), episode

    def _read(self, query: str, *values: object) -> list:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Open one transaction: when the block is over, all of it is in the file; if it fails, nothing is."""
        with self._lock:
            self._connection.rollback()  # Ctrl-C between two lines can leave a transaction open
            with self._connection as connection:
                # Claims the right to write at once: a transaction that reads first cannot wait for another's write.
                connection.execute("BEGIN IMMEDIATE")
                yield connection


def _connect(address: str) -> sqlite3.Connection:
    # A lock of our own guards the connection, so it may pass from thread to thread.
    connection = sqlite3.connect(address, timeout=60.0, isolation_level=None, check_same_thread=False, uri=True)
    # FULL would survive a power cut too, but waits at each commit for a disk that others may keep busy: up to a minute
    # was seen.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _create(path: Path) -> None:
    """Make an empty store beside its place and move it there whole, unless another was faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.unfinished")
    try:
        with contextlib.closing(_connect(unfinished.resolve().as_uri())) as connection:
            connection.executescript(_SCHEMA)
        try:
            os.link(unfinished, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _open(path: Path) -> sqlite3.Connection:
    try:
        connection = _connect(f"{path.resolve().as_uri()}?mode=rw")  # never makes a file
        try:
            ((application,),) = connection.execute("PRAGMA application_id")
            ((version,),) = connection.execute("PRAGMA user_version")
            if application != APPLICATION:
                raise StoreError(f"{path} is no store of answers")
            if version != VERSION:
                raise StoreError(f"{path} is a store of version {version}, and this code reads version {VERSION}")
            connection.execute("SELECT * FROM questions LIMIT 1").fetchall()
        except BaseException:
            connection.close()
            raise
    except sqlite3.OperationalError as error:  # no permission, or busy for too long
        raise OSError(f"{path} cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is no store of answers, or is damaged: {error}") from error
    return connection


def _printable(words: str) -> str:
    # JSON can name halves of characters, which UTF-8 (and so SQLite) cannot hold: no reason to lose an answer.
    return words.encode("utf-8", "backslashreplace").decode()
