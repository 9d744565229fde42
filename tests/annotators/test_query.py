"""Every question is asked once and every answer kept, however asking ends."""

import gc
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from sensei_lite.annotators.base import Annotator, AnnotatorId, Answer, Reply, image_hash
from sensei_lite.annotators.data import Observations
from sensei_lite.annotators.query import Budget, ask
from sensei_lite.annotators.store import Count, Store


def observations(n):
    images = np.zeros((n, 2, 3, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(n)
    return Observations(images, np.arange(n) // 5, np.arange(n) % 5, {})


def number(image):
    return int(image[0, 0, 0])


PAIRS = np.array([[i, j] for i in range(6) for j in range(i + 1, 6)])


class Brighter(Annotator):
    """Prefers the picture of the higher number, answers in a scattered order, and keeps a list of what it was asked."""

    name, version, prompt_hash = "brighter", "1", "abc"

    def __init__(self, chunk=4, cost=0.0):
        self.chunk, self.cost = chunk, cost
        self.chunks, self.closed = [], 0

    def reply(self, a, b):
        return Reply(Answer.FIRST if a > b else Answer.SECOND, f"{a},{b}", self.cost)

    def annotate(self, images_a, images_b):
        questions = [(number(a), number(b)) for a, b in zip(images_a, images_b, strict=True)]
        self.chunks.append([])
        try:
            for i in reversed(range(len(questions))):
                self.chunks[-1].append(questions[i])
                yield i, self.reply(*questions[i])
        finally:
            self.closed += 1

    @property
    def asked(self):
        return [question for chunk in self.chunks for question in chunk]


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "answers.sqlite") as store:
        yield store


def stored(store):
    """What was asked and answered, by the pictures' numbers."""
    names = {h: number(image) for h, _, _, image in store.pictures()}
    return {(names[row[0]], names[row[1]]): (row[5], row[6]) for row in store.questions()}


def both(pairs):
    return [question for i, j in pairs.tolist() for question in ((i, j), (j, i))]


def test_every_question_reaches_the_annotator_once_and_its_answer_the_store(store):
    annotator = Brighter()
    stats = ask(store, annotator, observations(6), PAIRS, progress=False)
    assert sorted(annotator.asked) == sorted(both(PAIRS))
    assert [len(chunk) for chunk in annotator.chunks] == [4] * 7 + [2]
    assert stored(store) == {(a, b): (int(a < b), f"{a},{b}") for a, b in both(PAIRS)}
    assert stats._asdict() == {
        "asked": 30, "skipped": 0, "left": 0, "cost": 0.0,
        "answers": {Answer.FIRST: 15, Answer.SECOND: 15, Answer.TIE: 0, Answer.UNKNOWN: 0},
    }  # fmt: skip
    assert store.find("brighter") == ("brighter", "1", "abc")
    assert [(h, episode, t) for h, episode, t, _ in store.pictures()] == [
        (image_hash(image), i // 5, i % 5) for i, image in enumerate(observations(6).images)
    ]
    found = store.preferences()
    assert ((found.images[found.first, 0, 0, 0] > found.images[found.second, 0, 0, 0]) == found.target).all()


def test_two_orders_follow_each_other(store):
    annotator = Brighter(chunk=2)
    ask(store, annotator, observations(6), PAIRS, progress=False)
    assert [sorted(chunk) for chunk in annotator.chunks] == [[(i, j), (j, i)] for i, j in PAIRS.tolist()]


def test_what_the_store_knows_is_not_asked_again(store):
    ask(store, Brighter(), observations(6), PAIRS[:5], both_orders=False, progress=False)
    annotator = Brighter()
    stats = ask(store, annotator, observations(6), np.concatenate([PAIRS, PAIRS[:, ::-1]]), progress=False)
    assert (stats.asked, stats.skipped, stats.left) == (25, 5, 0)
    assert not set(annotator.asked) & set(map(tuple, PAIRS[:5].tolist()))
    assert ask(store, annotator, observations(6), PAIRS, progress=False).asked == 0
    # Another version or other words of the prompt make another question.
    annotator.version = "2"
    assert ask(store, annotator, observations(6), PAIRS, progress=False).asked == 30
    annotator.prompt_hash = "def"
    assert ask(store, annotator, observations(6), PAIRS, progress=False).asked == 30
    assert [count.answers for count in store.annotators().values()] == [30, 30, 30]


def test_equal_pictures_are_one_question(store):
    twins = observations(6)
    twins.images[5] = twins.images[0]
    annotator = Brighter()
    stats = ask(store, annotator, twins, np.array([[0, 1], [5, 1], [1, 0], [1, 5]]), progress=False)
    assert (stats.asked, annotator.asked) == (2, [(1, 0), (0, 1)])


@pytest.mark.parametrize("calls", [0, 1, 4, 7, 99])
def test_a_budget_of_calls_is_kept_exactly(store, calls):
    annotator = Brighter()
    stats = ask(store, annotator, observations(6), PAIRS, budget=Budget(calls=calls), progress=False)
    assert stats.asked == len(annotator.asked) == len(stored(store)) == min(calls, 30)
    assert stats.left == 30 - min(calls, 30)
    rest = ask(store, annotator, observations(6), PAIRS, progress=False)
    assert (rest.asked, rest.skipped) == (stats.left, stats.asked)
    assert len(set(annotator.asked)) == len(annotator.asked) == 30


@pytest.mark.parametrize(("dollars", "asked"), [(0.0, 0), (0.25, 1), (3.0, 12), (3.1, 13), (100.0, 30)])
def test_a_budget_of_dollars_ends_with_the_reply_that_reaches_it(store, dollars, asked):
    annotator = Brighter(chunk=256, cost=0.25)
    stats = ask(store, annotator, observations(6), PAIRS, budget=Budget(dollars=dollars), progress=False)
    assert (stats.asked, stats.cost) == (asked, asked * 0.25)
    assert store.annotators() == ({AnnotatorId("brighter", "1", "abc"): Count(asked, asked * 0.25)} if asked else {})
    # Whoever gets questions that are not paid for any more must learn of it.
    assert annotator.closed == len(annotator.chunks)


@pytest.mark.parametrize(
    ("pairs", "budget", "message"),
    [
        (np.zeros((0, 2), int), None, "whole numbers"),
        (np.zeros((3, 3), int), None, r"int64 \[3, 3\]"),
        (np.zeros((3, 2)), None, r"float64 \[3, 2\]"),
        (np.array([[0, 6]]), None, "go from 0 to 6, and there are pictures 0 to 5"),
        (np.array([[-1, 2]]), None, "go from -1"),
        (np.array([[0, 1], [2, 2]]), None, r"pair \[2, 2\] is one picture twice"),
        (PAIRS, Budget(calls=-1), "budget.calls is -1"),
        (PAIRS, Budget(dollars=float("nan")), "budget.dollars is nan"),
    ],
)
def test_what_cannot_be_asked_is_refused(store, pairs, budget, message):
    annotator = Brighter()
    with pytest.raises(ValueError, match=message):
        ask(store, annotator, observations(6), pairs, budget=budget, progress=False)
    assert (annotator.asked, store.questions()) == ([], [])


class Breaks(Brighter):
    """Answers some questions and then raises something."""

    def __init__(self, error, after):
        super().__init__()
        self.error, self.after = error, after

    def reply(self, a, b):
        if len(self.asked) > self.after:
            raise self.error
        return super().reply(a, b)


@pytest.mark.parametrize("error", [RuntimeError("no more"), KeyboardInterrupt(), SystemExit(1)])
def test_what_came_before_an_end_is_kept(store, error):
    with pytest.raises(type(error)):
        ask(store, Breaks(error, after=9), observations(6), PAIRS, progress=False)
    assert len(stored(store)) == 9
    annotator = Brighter()
    stats = ask(store, annotator, observations(6), PAIRS, progress=False)
    assert (stats.asked, stats.skipped) == (21, 9)
    assert stored(store) == {(a, b): (int(a < b), f"{a},{b}") for a, b in both(PAIRS)}


class Repeats(Brighter):
    def annotate(self, images_a, images_b):
        yield from ((i, Reply(Answer.TIE)) for i in (0, 0))


class Strays(Brighter):
    def annotate(self, images_a, images_b):
        yield from ((i, Reply(Answer.TIE)) for i in (0, len(images_a)))


@pytest.mark.parametrize(("kind", "message"), [(Repeats, "question 0 of 4 twice"), (Strays, "question 4 of 4$")])
def test_an_annotator_that_miscounts_is_found(store, kind, message):
    with pytest.raises(ValueError, match=message):
        ask(store, kind(), observations(6), PAIRS, progress=False)
    assert len(stored(store)) == 1


class Shy(Brighter):
    """Leaves out every other question."""

    def annotate(self, images_a, images_b):
        return iter([pair for pair in super().annotate(images_a, images_b) if pair[0] % 2])


def test_a_question_without_a_reply_stays_open(store):
    stats = ask(store, Shy(), observations(6), PAIRS, progress=False)
    assert (stats.asked, stats.left) == (15, 15)
    assert ask(store, Brighter(), observations(6), PAIRS, progress=False).asked == 15


def test_the_bar_shows_cost_and_what_was_there_before(store, capfd):
    ask(store, Brighter(cost=0.001), observations(6), PAIRS[:5], progress=False)
    assert capfd.readouterr().err == ""
    ask(store, Brighter(cost=0.001), observations(6), PAIRS)
    shown = capfd.readouterr().err
    assert "ask brighter" in shown
    assert "30/30" in shown
    assert "$0.0200" in shown


class Heard(Brighter):
    """Knows which of its replies were taken: the next one was asked for."""

    def annotate(self, images_a, images_b):
        for i, reply in super().annotate(images_a, images_b):
            yield i, reply
            self.taken = (*self.taken, reply.raw)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer signals here")
def test_ctrl_c_at_any_time_loses_no_answer(tmp_path):
    pairs = np.array([[i, j] for i in range(40) for j in range(i + 1, 40)])

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    gc.disable()  # an exception while it works is printed and forgotten
    try:
        for attempt in range(15):
            with Store(tmp_path / f"{attempt}.sqlite") as store:
                annotator = Heard(chunk=64)
                annotator.taken = ()
                # Pictures are there before, so that the alarm rings while answers are written.
                store.add_images(*observations(40)[:3])
                signal.setitimer(signal.ITIMER_REAL, 0.003 * (attempt + 1))
                try:
                    ask(store, annotator, observations(40), pairs, progress=False)
                    time.sleep(1)
                except KeyboardInterrupt:
                    pass
                assert set(annotator.taken) <= {raw for _, raw in stored(store).values()}
                assert len(annotator.asked) - len(stored(store)) <= 1
    finally:
        gc.enable()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Interrupted(Store):
    """Ctrl-C reaches it while it writes the fifth reply: before it is in the file, or just after."""

    calls, written = 0, False

    def record(self, *reply):
        self.calls += 1
        if self.calls != 5:
            return super().record(*reply)
        if self.written:
            super().record(*reply)
        raise KeyboardInterrupt


@pytest.mark.parametrize("written", [False, True])
def test_ctrl_c_while_a_reply_is_written_keeps_it(tmp_path, written):
    with Interrupted(tmp_path / "s.sqlite") as store:
        store.written = written
        annotator = Brighter(cost=0.5)
        with pytest.raises(KeyboardInterrupt):
            ask(store, annotator, observations(6), PAIRS, progress=False)
        assert set(stored(store)) == set(annotator.asked)
        assert store.annotators() == {AnnotatorId("brighter", "1", "abc"): Count(5, 2.5)}


SLOW = """
import json, sys, time
import numpy as np
from sensei_lite.annotators.query import ask
from sensei_lite.annotators.base import Annotator, Answer, Reply
from sensei_lite.annotators.store import Store
from sensei_lite.annotators.data import Observations

class Slow(Annotator):
    name, version, chunk = "slow", "1", 8

    def annotate(self, images_a, images_b):
        for i, (a, b) in enumerate(zip(images_a, images_b)):
            with open(sys.argv[2], "a") as log:
                log.write(json.dumps([int(a[0, 0, 0]), int(b[0, 0, 0])]) + "\\n")
            time.sleep(0.01)
            yield i, Reply(Answer.TIE, cost=0.5)

n = 12
images = np.zeros((n, 2, 3, 3), np.uint8)
images[:, 0, 0, 0] = np.arange(n)
pairs = np.array([[i, j] for i in range(n) for j in range(i + 1, n)])
with Store(sys.argv[1]) as store:
    ask(store, Slow(), Observations(images, np.arange(n), np.arange(n), {}), pairs, progress=False)
"""


def test_killed_in_the_middle_and_resumed_nothing_is_lost_or_asked_twice(tmp_path):
    path, n = tmp_path / "answers.sqlite", 12

    def begin(life):
        return subprocess.Popen([sys.executable, "-c", SLOW, path, tmp_path / f"asked {life}"])

    def asked(life):
        log = tmp_path / f"asked {life}"
        return [tuple(json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []

    known = {}
    for life, kill_after in enumerate((3, 30)):
        child = begin(life)
        while len(asked(life)) < kill_after:
            assert child.poll() is None
            time.sleep(0.005)
        with Store(path) as store:  # someone looks on
            seen = stored(store)
        assert len(seen) >= len(known) + kill_after - 2
        child.kill()
        assert child.wait(30) == -signal.SIGKILL
        with Store(path) as store:
            now = stored(store)
        assert known.items() <= seen.items() <= now.items()
        # What was stored was not asked for again, and of what was asked only the last has no answer.
        assert not set(known) & set(asked(life))
        assert set(asked(life)[:-1]) <= set(now)
        assert len(asked(life)) == len(set(asked(life)))
        known = now
    assert begin("last").wait(60) == 0
    expected = {(i, j) for i in range(n) for j in range(n) if i != j}
    assert sorted(asked("last")) == sorted(expected - set(known))
    with Store(path) as store:
        assert set(stored(store)) == expected
        assert store.annotators() == {AnnotatorId("slow", "1"): Count(len(expected), 0.5 * len(expected))}
