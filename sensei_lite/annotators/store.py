"""Where the answers are kept, so that none is lost and none is asked for twice.

One SQLite file with three tables: every picture once, under its content's hash; every annotator; and one row for each
question asked, which is (first picture, second picture, annotator). The same two pictures in the other order are
another question. What two orders say together is `combine`'s affair.

An answer costs money or a person's time, so what `record` has taken survives a kill of the process. (SQLite's
write-ahead log with ``synchronous=NORMAL``. A power cut can cost what the operating system had not yet written, mostly
the last seconds; the file stays whole.)

Pictures are stored as zlib of their bytes. On drawn pictures (KeyRoom's and KeyChest's, at an agent's size and four
times that) it took two thirds of PNG's bytes, a third of its time to write and a fifth to read; on a photograph PNG is
a fifth smaller.
"""

import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from sensei_lite.annotators.base import Annotator, HostImages, Reply, image_hash
from sensei_lite.annotators.combine import Judgements, Summary, combine
from sensei_lite.annotators.data import Preferences, check_images
from sensei_lite.annotators.store_file import StoreError, StoreFile

__all__ = ["AnnotatorId", "Answers", "Count", "Store", "StoreError", "Summary"]

# Whoever asks the same question at the same time as another pays for it too: the first answer stays, the cost is added.
# The time tells such an answer from the same one recorded again.
_RECORD = """
INSERT INTO answers (annotator, first, second, answer, raw, time, cost)
VALUES (?, (SELECT id FROM pictures WHERE hash = ?), (SELECT id FROM pictures WHERE hash = ?), ?, ?, ?, ?)
ON CONFLICT (annotator, first, second) DO UPDATE SET cost = cost + excluded.cost WHERE time <> excluded.time
"""


class AnnotatorId(NamedTuple):
    """Whose answers: see `base.Annotator`."""

    name: str
    version: str
    prompt_hash: str = ""

    @classmethod
    def of(cls, annotator: Annotator) -> "AnnotatorId":
        """The identity under which this annotator's answers are kept."""
        return cls(annotator.name, annotator.version, annotator.prompt_hash)


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
    cost: Float[np.ndarray, " questions"]
    """US dollars."""


class Store:
    """A store of answers, made if the file is not there. Close it, or use it in a ``with`` statement.

    Threads may share one; processes open one each. Any number may read and write the same file at once (on a local
    disk; a write waits up to a minute for another's). Numbers of episodes are kept as they are given, so
    let collections that are asked about in one store number their episodes on.

    Raises StoreError where the file is no store or one of another version (it is not touched then), and OSError where
    it cannot be read or made.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file = StoreFile(self.path)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Whatever was recorded is in it already."""
        self._file.close()

    def add_images(self, images: np.ndarray, episode: np.ndarray, t: np.ndarray) -> list[str]:
        """Store pictures; those that are known already stay as they were first seen. Returns their hashes, in order.

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
        new = dict(reversed([(h, i) for i, h in enumerate(hashes)]))  # the first sighting of each
        for h in list(new):
            if self._file.read("SELECT 1 FROM pictures WHERE hash = ?", h):
                del new[h]
        rows = [
            (h, *images[i].shape, zlib.compress(images[i].tobytes(), 6), int(episode[i]), int(t[i]))
            for h, i in sorted(new.items(), key=lambda item: item[1])
        ]
        if rows:
            with self._file.writing() as connection:
                connection.executemany(
                    "INSERT INTO pictures (hash, height, width, channel, pixels, episode, t) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    rows,
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
        now = time.time()
        times = [now] * len(replies) if times is None else times
        if not len(questions) == len(replies) == len(times):
            raise ValueError(f"{len(questions)} questions, {len(replies)} replies and {len(times)} times")
        with self._file.writing() as connection:
            connection.execute(
                "INSERT INTO annotators (name, version, prompt_hash) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", who
            )
            annotator = self._number(who)
            rows = (
                (annotator, first, second, int(reply.answer), _printable(reply.raw), at, reply.cost)
                for (first, second), reply, at in zip(questions, replies, times, strict=True)
            )
            try:
                connection.executemany(_RECORD, rows)
            except sqlite3.IntegrityError as error:
                raise ValueError(f"a question is not about two different pictures of {self.path}: {error}") from error

    def forget(self, who: AnnotatorId, questions: Sequence[tuple[str, str]]) -> None:
        """Take answers back, as a person does who clicked too soon; what was never answered is no error.

        Args:
            who: the annotator.
            questions: hashes of the first and the second picture of each.
        """
        with self._file.writing() as connection:
            connection.executemany(
                "DELETE FROM answers WHERE annotator = ? AND first = (SELECT id FROM pictures WHERE hash = ?) "
                "AND second = (SELECT id FROM pictures WHERE hash = ?)",
                [(self._number(who), *question) for question in questions],
            )

    def answered(self, who: AnnotatorId, questions: Iterable[tuple[str, str]]) -> Bool[np.ndarray, " questions"]:
        """Which of these questions (hashes of the first and the second picture) this annotator has answered."""
        numbers = dict(self._file.read("SELECT hash, id FROM pictures"))
        known = self._file.read("SELECT first, second FROM answers WHERE annotator = ?", self._number(who))
        there = set(known)
        return np.array([(numbers.get(a), numbers.get(b)) in there for a, b in questions], bool)

    def annotators(self) -> dict[AnnotatorId, Count]:
        """Everyone of whom there are answers, how many these are and what they cost."""
        rows = self._file.read(
            "SELECT name, version, prompt_hash, count(*), sum(cost) FROM answers "
            "JOIN annotators ON annotators.id = annotator GROUP BY annotator ORDER BY annotator"
        )
        return {AnnotatorId(*row[:3]): Count(row[3], row[4]) for row in rows}

    def find(self, name: str | None = None, version: str | None = None, prompt_hash: str | None = None) -> AnnotatorId:
        """The one annotator with answers that this describes.

        Raises ValueError where there are no answers at all, or the description fits none or several annotators.
        """
        there = list(self.annotators())
        if not there:
            raise ValueError(f"{self.path} is empty: nobody has answered anything yet")
        wanted = (name, version, prompt_hash)
        fitting = [who for who in there if all(w in (None, is_) for w, is_ in zip(wanted, who, strict=True))]
        if len(fitting) != 1:
            described = ", ".join(str(word) for word in wanted if word is not None) or "(no name)"
            names = "; ".join(", ".join(filter(None, who)) for who in fitting or there)
            problem = (
                f"{len(fitting)} annotators are called {described}" if fitting else f"nobody is called {described}"
            )
            raise ValueError(f"{self.path}: {problem}; there are {names}")
        return fitting[0]

    def answers(self, who: AnnotatorId) -> Answers:
        """All answers of one annotator; none if it is not known."""
        rows = self._file.read(
            "SELECT first, second, answer, time, cost FROM answers WHERE annotator = ? ORDER BY id", self._number(who)
        )
        columns = zip(*rows, strict=True) if rows else [()] * 5
        types = (np.int64, np.int64, np.int64, np.float64, np.float64)
        return Answers(*(np.array(column, kind) for column, kind in zip(columns, types, strict=True)))

    def judgements(self, who: AnnotatorId) -> Judgements:
        """One annotator's answers, both orders of a pair combined. Pictures go by their number in the store."""
        answers = self.answers(who)
        return combine(answers.first, answers.second, answers.answer)

    def preferences(
        self, name: str | None = None, version: str | None = None, prompt_hash: str | None = None
    ) -> Preferences:
        """What one annotator's answers teach, in the order in which the pairs were first asked (see `combine`).

        Whatever is not given need not be, where only one annotator fits. A store of nothing but ties, or of one-sided
        answers, is no error here: `agreement` warns of it.

        Raises ValueError where there is no such annotator, it knew nothing (all UNKNOWN), or its pictures have several
        sizes.
        """
        judged = self.judgements(self.find(name, version, prompt_hash))
        if not len(judged.target):
            raise ValueError(f"{self.path}: all answers are UNKNOWN, {judged.dropped} pairs: there are no preferences")
        numbers, place = np.unique(np.stack([judged.first, judged.second]), return_inverse=True)
        first, second = place.reshape(2, -1)
        images, episode = self._images(numbers)
        return Preferences(images, episode, first, second, judged.target)

    def summary(self, name: str | None = None, version: str | None = None, prompt_hash: str | None = None) -> Summary:
        """Counts of what `preferences` combined, tied and dropped. Raises ValueError where no annotator fits."""
        return self.judgements(self.find(name, version, prompt_hash)).summary()

    def pictures(self) -> Iterator[tuple[str, int, int, np.ndarray]]:
        """Every picture, in the order in which they were added: hash, episode, t, image [height width 3]."""
        for number, h, episode, t in self._file.read("SELECT id, hash, episode, t FROM pictures ORDER BY id"):
            yield h, episode, t, self._image(number)[0]

    def questions(self) -> list[tuple]:
        """Every answer: hashes of the two pictures, name, version and prompt_hash, answer, raw, time, cost."""
        return self._file.read("SELECT * FROM questions")

    def _images(self, numbers: np.ndarray) -> tuple[HostImages, Int[np.ndarray, " n"]]:
        """These pictures in one array, and the episode of each."""
        image, _ = self._image(int(numbers[0]))
        images, episode = np.empty((len(numbers), *image.shape), np.uint8), np.empty(len(numbers), np.int64)
        for i, number in enumerate(numbers):
            image, episode[i] = self._image(int(number))
            if image.shape != images.shape[1:]:
                raise ValueError(
                    f"{self.path} has pictures {list(images.shape[1:])} and {list(image.shape)} of one annotator: "
                    "keep pictures of different sizes in different stores"
                )
            images[i] = image
        return images, episode

    def _image(self, number: int) -> tuple[UInt8[np.ndarray, "height width channel"], int]:
        [(*shape, pixels, episode)] = self._file.read(
            "SELECT height, width, channel, pixels, episode FROM pictures WHERE id = ?", number
        )
        return np.frombuffer(zlib.decompress(pixels), np.uint8).reshape(shape), episode

    def _number(self, who: AnnotatorId) -> int | None:
        found = self._file.read("SELECT id FROM annotators WHERE name = ? AND version = ? AND prompt_hash = ?", *who)
        return found[0][0] if found else None


def _printable(words: str) -> str:
    # JSON can name halves of characters, which UTF-8 (and so SQLite) cannot hold: no reason to lose an answer.
    return words.encode("utf-8", "backslashreplace").decode()
