"""Answers are kept, each once, whoever writes and however it ends."""

import contextlib
import itertools
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sensei_lite.annotators.base import AnnotatorId, Answer, Reply, image_hash
from sensei_lite.annotators.store import Count, Store, StoreError

FIRST, SECOND, TIE, UNKNOWN = Answer
ME, YOU = AnnotatorId("me", "1", "abc"), AnnotatorId("you", "1")


def pictures(n, shape=(2, 3)):
    """n different pictures."""
    images = np.zeros((n, *shape, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.arange(n) % 256, np.arange(n) // 256
    return images


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "answers.sqlite") as store:
        yield store


def add(store, n=4):
    return store.add_images(pictures(n), np.arange(n) // 2, np.arange(n))


def test_a_picture_is_kept_once_and_exactly(store):
    images = np.random.default_rng(0).integers(0, 256, (5, 7, 4, 3), np.uint8)
    images[3] = images[1]
    hashes = store.add_images(images, np.array([4, 5, 6, 7, 8]), np.arange(5))
    assert hashes == [image_hash(image) for image in images]
    assert store.add_images(images[[1, 0]], np.array([90, 91]), np.array([0, 0])) == [hashes[1], hashes[0]]
    kept = list(store.pictures())
    assert [(h, episode, t) for h, episode, t, _ in kept] == [
        (hashes[0], 4, 0), (hashes[1], 5, 1), (hashes[2], 6, 2), (hashes[4], 8, 4)
    ]  # fmt: skip
    np.testing.assert_array_equal([image for *_, image in kept], images[[0, 1, 2, 4]])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 4, 4, 3), np.float32), "float32"),
        (np.zeros((2, 4, 4, 1), np.uint8), r"\[2, 4, 4, 1\]"),
        (np.zeros((3, 4, 4, 3), np.uint8), "3 pictures need as many episodes"),
    ],
)
def test_what_is_no_picture_is_refused(store, images, message):
    with pytest.raises(ValueError, match=message):
        store.add_images(images, np.zeros(2, int), np.zeros(2, int))
    assert list(store.pictures()) == []


def test_answers_survive_closing(tmp_path):
    path = tmp_path / "new folder" / "answers.sqlite"
    with Store(path) as store:
        a, b, c, _ = add(store)
        store.record(ME, [(a, b), (b, a)], [Reply(FIRST, "1", 0.5), Reply(TIE, "é\ud800")], [10.0, 11.0])
        store.record(YOU, [(a, c)], [Reply(SECOND)])
    with Store(path) as store:
        assert store.annotators() == {ME: Count(2, 0.5), YOU: Count(1, 0.0)}
        assert store.questions()[:2] == [
            (a, b, *ME, FIRST, "1", 10.0, 0.5), (b, a, *ME, TIE, "é\\ud800", 11.0, 0.0)
        ]  # fmt: skip
        asked = [(a, b), (b, a), (a, c), (c, a), ("nobody", a)]
        assert store.answered(ME, asked).tolist() == [True, True, False, False, False]
        assert store.answered(YOU, asked).tolist() == [False, False, True, False, False]
        assert store.answered(AnnotatorId("me", "2", "abc"), asked).tolist() == [False] * 5
        assert store.answered(ME, []).shape == (0,)
    assert {file.name for file in path.parent.iterdir()} == {path.name}


def test_the_first_answer_stays_and_its_cost_grows_if_paid_twice(store):
    a, b, *_ = add(store)
    store.record(ME, [(a, b)], [Reply(FIRST, "1", 0.25)], [1.0])
    store.record(ME, [(a, b)], [Reply(FIRST, "1", 0.25)], [1.0])  # the same reply again
    assert store.annotators()[ME] == Count(1, 0.25)
    store.record(ME, [(a, b)], [Reply(SECOND, "2", 0.5)], [2.0])  # another one, by someone who asked at the same time
    assert store.annotators()[ME] == Count(1, 0.75)
    assert store.answers(ME).answer.tolist() == [FIRST]


@pytest.mark.parametrize("question", [("a", "nobody"), ("nobody", "a"), ("a", "a")])
def test_a_question_that_is_none_is_refused_and_nothing_of_its_group_is_kept(store, question):
    a, b, *_ = add(store)
    names = {"a": a, "nobody": "0" * 32}
    wrong = tuple(names[name] for name in question)
    with pytest.raises(ValueError, match="not about two different pictures"):
        store.record(ME, [(a, b), wrong], [Reply(FIRST), Reply(FIRST)])
    assert store.annotators() == {}
    store.record(ME, [(a, b)], [Reply(FIRST)])  # and the store goes on working
    with pytest.raises(ValueError, match="longer than argument 1"):
        store.record(ME, [(a, b)], [Reply(FIRST), Reply(FIRST)])


def test_nothing_to_learn_from_is_an_error_that_says_so(store):
    with pytest.raises(ValueError, match=r"answers\.sqlite is empty"):
        store.preferences()
    a, b, c, _ = add(store)
    store.record(ME, [(a, b), (b, c)], [Reply(UNKNOWN), Reply(UNKNOWN)])
    with pytest.raises(ValueError, match="all answers are UNKNOWN, 2 pairs"):
        store.preferences()
    store.record(YOU, [(a, b)], [Reply(TIE)])
    assert store.preferences(YOU).target.tolist() == [0.5]
    with pytest.raises(ValueError, match=r"2 annotators are called \(no name\); there are me 1 abc; you 1"):
        store.preferences()
    with pytest.raises(ValueError, match="nobody is called it; there are me"):
        store.find("it")
    assert store.find(version="1", prompt_hash="") == YOU


def test_pictures_of_two_sizes_make_no_preferences(store):
    a, b, *_ = add(store)
    (large,) = store.add_images(pictures(1, (8, 8)), np.zeros(1, int), np.zeros(1, int))
    store.record(YOU, [(a, b)], [Reply(FIRST)])
    store.record(ME, [(a, large)], [Reply(FIRST)])
    with pytest.raises(ValueError, match=r"\[2, 3, 3\] and \[8, 8, 3\]"):
        store.preferences(ME)
    assert store.preferences(YOU).images.shape == (2, 2, 3, 3)


def another_version(path):
    Store(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 7")


def another_program(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE answers (id)")


def damaged(path):
    with Store(path) as store:
        add(store, 300)
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (another_version, "is a store of version 7, and this code reads version 1"),
        (another_program, "is no store of answers"),
        (lambda path: path.write_text("SQLite? " * 50), "is no store of answers"),
        (lambda path: path.write_bytes(b""), "is no store of answers"),
        (damaged, "is no store of answers, or is damaged"),
    ],
)
def test_a_file_that_is_not_ours_is_named_and_not_touched(tmp_path, make, message):
    path = tmp_path / "strange.sqlite"
    make(path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(StoreError, match=rf"strange\.sqlite {message}"):
        Store(path)
    after = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert after["strange.sqlite"] == before["strange.sqlite"]
    if make is not damaged:
        assert after == before


def test_many_open_a_new_store_at_once(tmp_path):
    names = pictures(10)

    def work(i):
        with Store(tmp_path / "s.sqlite") as store:
            hashes = store.add_images(names, np.full(10, i), np.arange(10))
            questions = list(itertools.combinations(hashes, 2))
            store.record(AnnotatorId("me", str(i)), questions, [Reply(FIRST)] * 45)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    with Store(tmp_path / "s.sqlite") as store:
        assert len(list(store.pictures())) == 10
        assert [count.answers for count in store.annotators().values()] == [45] * 8
    assert [file.name for file in tmp_path.iterdir()] == ["s.sqlite"]


def test_threads_share_one(store):
    hashes = add(store, 40)

    def work(i):
        for j in range(40):
            if i != j:
                store.record(ME, [(hashes[i], hashes[j])], [Reply(FIRST, cost=0.5)])
                store.answered(ME, [(hashes[i], hashes[j])])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert store.annotators() == {ME: Count(6 * 39, 6 * 39 * 0.5)}


WRITER = """
import sys, numpy as np
from sensei_lite.annotators.base import AnnotatorId, Answer, Reply
from sensei_lite.annotators.store import Store
path, own = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
with Store(path) as store:
    names = [h for h, *_ in store.pictures()]
    for i in range(len(names)):
        mine = [(names[i], names[j]) for j in range(len(names)) if i != j and (i + j) % 2 == own]
        both = [(names[i], names[-1])] * (i < len(names) - 1 and (i + len(names) - 1) % 2 != own)
        store.record(AnnotatorId("me", "1"), mine + both, [Reply(Answer(own), str(own), 1.0)] * len(mine + both))
"""


def test_two_processes_write_at_once(tmp_path):
    path, n = tmp_path / "s.sqlite", 60
    with Store(path) as store:
        add(store, n)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, path, own], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for own in ("0", "1")
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.wait(60) for child in children] == [0, 0]
    with Store(path) as store:
        ((_, count),) = store.annotators().items()
        # Every ordered pair once; what both wanted is there once, and was paid for by both.
        assert count.answers == n * (n - 1)
        assert count.cost == n * (n - 1) + (n - 1)


def test_a_second_look_in_one_process_frees_no_locks_of_the_first(tmp_path):
    """A process loses all its locks on a file when it closes that file once.

    Another process would then take itself for the last one, and clear away the write-ahead log that this one goes on
    writing to.
    """
    path = tmp_path / "s.sqlite"
    passer_by = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM answers'))"

    def others_see():
        seen = subprocess.run([sys.executable, "-c", passer_by, path], capture_output=True, text=True, check=True)
        return seen.stdout.strip()

    with Store(path) as store:
        a, b, *_ = add(store)
        store.record(ME, [(a, b)], [Reply(FIRST)])
        Store(path).close()
        assert others_see() == "(1,)"
        store.record(ME, [(b, a)], [Reply(FIRST)])
        assert others_see() == "(2,)"
    assert others_see() == "(2,)"


def test_thousands_of_answers_come_back_as_they_went_in(store):
    n, number = 150, 10_000
    rng = np.random.default_rng(0)
    hashes = store.add_images(pictures(n), np.arange(n) // 50, np.arange(n) % 50)
    first, second = np.divmod(rng.permutation(n * n), n)
    first, second = first[first != second][:number], second[first != second][:number]
    questions = [(hashes[i], hashes[j]) for i, j in zip(first, second, strict=True)]
    answer = rng.integers(0, 4, number)
    for begin in range(0, number, 1000):
        store.record(ME, questions[begin : begin + 1000], [Reply(Answer(a)) for a in answer[begin : begin + 1000]])
    assert store.answered(ME, questions).all()
    there = set(questions)
    exchanged = [(b, a) for a, b in questions]
    assert store.answered(ME, exchanged).tolist() == [question in there for question in exchanged]
    np.testing.assert_array_equal(store.answers(ME).answer, answer)
    found, judged = store.preferences(), store.judgements(ME)
    assert found.images.shape == (n, 2, 3, 3)
    unordered = {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    assert len(found.target) + judged.dropped == len(unordered)


def test_an_answer_taken_back_is_gone_and_can_be_given_again(store):
    a, b, c, _ = add(store)
    store.record(ME, [(a, b), (b, a), (a, c)], [Reply(FIRST), Reply(SECOND), Reply(TIE)])
    store.record(YOU, [(a, b)], [Reply(TIE)])
    store.forget(ME, [(a, b), (b, c)])
    assert store.answered(ME, [(a, b), (b, a), (a, c)]).tolist() == [False, True, True]
    assert store.answered(YOU, [(a, b)]).all(), "another's answer stays"
    store.record(ME, [(a, b)], [Reply(SECOND)])
    assert store.answers(ME).answer.tolist() == [SECOND, TIE, SECOND]
    store.forget(AnnotatorId("nobody", "1"), [(a, b)])
