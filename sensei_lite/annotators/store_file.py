"""The file of a `store`: how it is made, recognised, read and written.

SQLite in write-ahead mode lets any number of processes read while one writes; others that want to write wait. A file is
made whole or not at all, and a file that is not ours is never touched: before it is opened for writing, its marks are
read as if it could not change. (Reading them without SQLite would be worse than it looks: closing a file frees all
locks that the process holds on it, SQLite's too. See https://sqlite.org/howtocorrupt.html, section 2.2.)
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

VERSION = 1
APPLICATION = 0x53454E53
"""Marks the file as ours, where SQLite keeps such a mark: the letters SENS."""
PATIENCE = 60.0
"""Seconds to wait for another writer before giving up."""

_SCHEMA = """
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
"""


class StoreError(ValueError):
    """A file that is no store of answers, or one of another version; the message names the file."""


class StoreFile:
    """An open store, made if it is not there. Threads may share it; processes open one each.

    Raises StoreError where the file is no store, is damaged or of another version, and OSError where it cannot be read
    or made.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            _create(path)
        self._lock = threading.RLock()
        place = path.resolve().as_uri()
        try:
            # Immutable: no lock, no write-ahead log, no file beside it.
            with contextlib.closing(_connect(f"{place}?mode=ro&immutable=1")) as connection:
                _check(connection, path)
            # `mode=rw`: SQLite must never make a file of its own.
            self._connection = _connect(f"{place}?mode=rw")
            try:
                _check(self._connection, path)  # once more, for what the write-ahead log adds
                self.read("SELECT * FROM questions LIMIT 1")
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.OperationalError as error:  # no permission, or busy for too long
            raise OSError(f"{path} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{path} is no store of answers, or is damaged: {error}") from error

    def close(self) -> None:
        """Close it. Whatever was written is in the file already."""
        with self._lock:
            self._connection.close()

    def read(self, query: str, *values: object) -> list:
        """All rows that the query finds."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: when the block is over, all of it is in the file; if it fails, nothing is."""
        with self._lock:
            if self._connection.in_transaction:  # Ctrl-C between two lines can leave one open
                self._connection.execute("ROLLBACK")
            try:
                # Claims the right to write at once: a transaction that reads first cannot wait for another's write.
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _connect(place: str) -> sqlite3.Connection:
    # A lock of our own guards the connection, so it may pass from thread to thread.
    connection = sqlite3.connect(place, timeout=PATIENCE, isolation_level=None, check_same_thread=False, uri=True)
    # Survives the death of the process. FULL would survive a power cut too, but waits at each commit for a disk that
    # others may keep busy: up to a minute was seen.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _create(path: Path) -> None:
    """Make an empty store beside its place and move it there whole, unless another was faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.unfinished")
    try:
        with contextlib.closing(_connect(unfinished.resolve().as_uri())) as connection:
            connection.executescript(_SCHEMA)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("PRAGMA journal_mode = WAL")
        try:
            os.link(unfinished, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    ((application,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    if application != APPLICATION:
        raise StoreError(f"{path} is no store of answers")
    if version != VERSION:
        raise StoreError(f"{path} is a store of version {version}, and this code reads version {VERSION}")
