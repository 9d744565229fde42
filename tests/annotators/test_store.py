"""Answers are kept, each once, whoever writes and however it ends."""

import builtins
import contextlib
import io
import sqlite3
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensei_lite.annotators.base import Answer, Reply, image_hash
from sensei_lite.annotators.combine import combine
from sensei_lite.annotators.export import COLUMNS, export_npz, export_parquet
from sensei_lite.annotators.store import AnnotatorId, Count, Store, StoreError

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
    with pytest.raises(ValueError, match="1 questions, 2 replies"):
        store.record(ME, [(a, b)], [Reply(FIRST), Reply(FIRST)])


def test_both_orders_are_combined(store):
    a, b, c, d, e = add(store, 5)
    answers = {
        (b, a): FIRST, (a, b): SECOND,  # b, twice
        (a, c): FIRST, (c, a): FIRST,  # contradicted
        (c, d): TIE, (d, c): TIE,
        (d, a): SECOND,  # one order only
        (b, c): UNKNOWN, (c, b): FIRST,  # not confirmed
        (b, d): UNKNOWN, (d, b): UNKNOWN,
        (a, e): UNKNOWN,
        (e, d): TIE, (d, e): FIRST,
    }  # fmt: skip
    store.record(ME, list(answers), [Reply(answer) for answer in answers.values()])
    found = store.preferences("me")
    names = [image_hash(image) for image in found.images]
    pairs = [(names[i], names[j], t) for i, j, t in zip(found.first, found.second, found.target, strict=True)]
    assert pairs == [(b, a, 1), (a, c, 0.5), (c, d, 0.5), (d, a, 0), (e, d, 0.5)]
    assert found.episode.tolist() == [0, 0, 1, 1, 2]
    assert store.summary()._asdict() == {
        "questions": 14, "pairs": 5, "both_orders": 4, "contradictions": 2, "ties": 3, "dropped": 3
    }  # fmt: skip


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_combining_is_what_it_says_for_each_pair(data):
    order = st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda q: q[0] != q[1])
    questions = data.draw(st.lists(order, unique=True, min_size=1))
    said = {question: data.draw(st.sampled_from(Answer)) for question in questions}
    judged = combine(*np.array(questions).T, np.array(list(said.values())))
    worth = {FIRST: 1.0, SECOND: 0.0, TIE: 0.5}
    found = {(i, j): t for i, j, t in zip(judged.first, judged.second, judged.target, strict=True)}
    pairs = list(dict.fromkeys(frozenset(question) for question in questions))
    assert len(found) + judged.dropped == len(pairs)
    assert [frozenset(pair) for pair in found] == [pair for pair in pairs if pair in map(frozenset, found)]
    for pair in pairs:
        i, j = next(question for question in questions if frozenset(question) == pair)
        answers = [said[i, j], *([said[j, i].swapped()] if (j, i) in said else [])]
        known = {worth.get(answer) for answer in answers}
        expected = None if None in known else known.pop() if len(known) == 1 else 0.5
        assert found.get((i, j)) == expected
    other = combine(*np.array([(j, i) for i, j in questions]).T, np.array([said[q].swapped() for q in questions]))
    np.testing.assert_array_equal(other.target, 1 - judged.target)


def test_nothing_to_learn_from_is_an_error_that_says_so(store):
    with pytest.raises(ValueError, match=r"answers\.sqlite is empty"):
        store.preferences()
    a, b, c, _ = add(store)
    with pytest.raises(ValueError, match="is empty"):
        store.summary("me")
    store.record(ME, [(a, b), (b, c)], [Reply(UNKNOWN), Reply(UNKNOWN)])
    with pytest.raises(ValueError, match="all answers are UNKNOWN, 2 pairs"):
        store.preferences()
    assert store.summary().dropped == 2
    store.record(YOU, [(a, b)], [Reply(TIE)])
    assert store.preferences("you").target.tolist() == [0.5]
    with pytest.raises(ValueError, match=r"2 annotators are called \(no name\); there are me, 1, abc; you, 1"):
        store.preferences()
    with pytest.raises(ValueError, match="nobody is called it; there are me"):
        store.preferences("it")
    assert store.find(version="1", prompt_hash="") == YOU


def test_pictures_of_two_sizes_make_no_preferences(store):
    a, b, *_ = add(store)
    (large,) = store.add_images(pictures(1, (8, 8)), np.zeros(1, int), np.zeros(1, int))
    store.record(YOU, [(a, b)], [Reply(FIRST)])
    store.record(ME, [(a, large)], [Reply(FIRST)])
    with pytest.raises(ValueError, match=r"\[2, 3, 3\] and \[8, 8, 3\]"):
        store.preferences("me")
    assert store.preferences("you").images.shape == (2, 2, 3, 3)


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
    failures, names = [], []

    def work(i):
        try:
            with Store(tmp_path / "s.sqlite") as store:
                names.append(store.add_images(pictures(30), np.full(30, i), np.arange(30)))
                store.record(
                    AnnotatorId("me", str(i)),
                    [(a, b) for a in names[-1] for b in names[-1] if a < b],
                    [Reply(FIRST)] * 435,
                )
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert failures == []
    with Store(tmp_path / "s.sqlite") as store:
        assert len(list(store.pictures())) == 30
        assert {count.answers for count in store.annotators().values()} == {435}
        assert len(store.annotators()) == 8
    assert [file.name for file in tmp_path.iterdir()] == ["s.sqlite"]


def test_threads_share_one(store):
    hashes = add(store, 40)
    failures = []

    def work(i):
        try:
            for j in range(40):
                if i != j:
                    store.record(ME, [(hashes[i], hashes[j])], [Reply(FIRST, cost=0.5)])
                    store.answered(ME, [(hashes[i], hashes[j])])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert failures == []
    assert store.annotators() == {ME: Count(6 * 39, 6 * 39 * 0.5)}


WRITER = """
import sys, numpy as np
from sensei_lite.annotators.base import Answer, Reply
from sensei_lite.annotators.store import AnnotatorId, Store
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


PASSER_BY = """
import sys
from sensei_lite.annotators.store import Store
with Store(sys.argv[1]) as store:
    print(sum(count.answers for count in store.annotators().values()))
"""


def test_a_second_look_in_one_process_frees_no_locks_of_the_first(tmp_path):
    # A process loses all its locks on a file when it closes that file once. Another process would then take itself for
    # the last one, and clear away the write-ahead log that this one goes on writing to.
    path = tmp_path / "s.sqlite"

    def others_see():
        return int(subprocess.run([sys.executable, "-c", PASSER_BY, path], capture_output=True, check=True).stdout)

    with Store(path) as store:
        a, b, *_ = add(store)
        store.record(ME, [(a, b)], [Reply(FIRST)])
        Store(path).close()
        assert others_see() == 1
        store.record(ME, [(b, a)], [Reply(FIRST)])
        assert others_see() == 2
    assert others_see() == 2


def test_a_hundred_thousand_answers(store):
    rng = np.random.default_rng(0)
    hashes = store.add_images(pictures(1000), np.arange(1000) // 50, np.arange(1000) % 50)
    codes = rng.choice(1000 * 1000, 110_000, replace=False)
    first, second = np.divmod(codes, 1000)
    first, second = first[first != second][:100_000], second[first != second][:100_000]
    questions = [(hashes[i], hashes[j]) for i, j in zip(first, second, strict=True)]
    answer = rng.integers(0, 4, 100_000)
    for begin in range(0, 100_000, 5000):
        store.record(ME, questions[begin : begin + 5000], [Reply(Answer(a)) for a in answer[begin : begin + 5000]])
    assert store.answered(ME, questions).all()
    there = set(questions)
    exchanged = [(b, a) for a, b in questions]
    assert store.answered(ME, exchanged).tolist() == [question in there for question in exchanged]
    found, summary = store.preferences(), store.summary()
    assert found.images.shape == (1000, 2, 3, 3)
    assert summary.questions == 100_000
    assert len(found.target) == summary.pairs
    unordered = {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    assert summary.pairs + summary.dropped == len(unordered)


def test_npz_has_everything(store, tmp_path):
    with pytest.raises(ValueError, match="has no pictures"):
        export_npz(store, tmp_path / "out.npz")
    a, b, c, _ = add(store)
    store.record(ME, [(c, a), (a, b)], [Reply(FIRST, "one", 0.5), Reply(UNKNOWN, "what?")], [3.0, 4.0])
    export_npz(store, tmp_path / "folder" / "out.npz")
    with np.load(tmp_path / "folder" / "out.npz", allow_pickle=False) as found:
        np.testing.assert_array_equal(found["images"], pictures(4))
        assert found["hash"].tolist()[:2] == [a, b]
        assert found["episode"].tolist() == [0, 0, 1, 1]
        columns = [found[name].tolist() for name in COLUMNS]
    assert columns == [
        [2, 0], [0, 1], ["me"] * 2, ["1"] * 2, ["abc"] * 2, [FIRST, UNKNOWN], ["one", "what?"], [3.0, 4.0], [0.5, 0.0]
    ]  # fmt: skip


def test_parquet_has_everything(store, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    from PIL import Image

    a, b, c, _ = add(store)
    store.record(ME, [(c, a), (a, b)], [Reply(FIRST, "one", 0.5), Reply(UNKNOWN, "what?")], [3.0, 4.0])
    export_parquet(store, tmp_path / "out")
    answers = parquet.read_table(tmp_path / "out" / "answers.parquet").to_pydict()
    assert list(zip(*answers.values(), strict=True)) == store.questions()
    kept = parquet.read_table(tmp_path / "out" / "pictures.parquet").to_pydict()
    assert kept["hash"][:2] == [a, b]
    np.testing.assert_array_equal([np.asarray(Image.open(io.BytesIO(png))) for png in kept["png"]], pictures(4))


def test_parquet_without_pyarrow_says_what_to_install(store, tmp_path, monkeypatch):
    real = builtins.__import__

    def no_pyarrow(name, *rest):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_pyarrow)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        export_parquet(store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


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
