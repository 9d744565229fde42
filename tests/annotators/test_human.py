"""The person as annotator: the panel, driven as a browser drives it, and the page of its own, driven by HTTP."""

import base64
import http.client
import io
import json
import math
import re
import signal
import subprocess
import sys
import threading
import types
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from sensei_lite.annotators import human, human_page
from sensei_lite.annotators.base import Answer, Reply
from sensei_lite.annotators.data import Observations
from sensei_lite.annotators.human import ANSWERS, HumanSession
from sensei_lite.annotators.human_page import HumanAnnotator
from sensei_lite.annotators.human_panel import HumanPanel, annotate_by_hand, human_id, judgements_of
from sensei_lite.annotators.query import ask
from sensei_lite.annotators.store import AnnotatorId, Store

FIRST, SECOND, TIE, UNKNOWN = Answer
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 5, 4, 3), np.uint8)
OBSERVATIONS = Observations(IMAGES, np.arange(8), np.zeros(8, np.int32), {})
PAIRS = np.array([[0, 1], [3, 2], [4, 5], [6, 7]])


def decode(address: str) -> np.ndarray:
    head, data = address.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Picture.open(io.BytesIO(base64.b64decode(data))))


def shown_pair(frame: dict) -> list[int]:
    """Which two of `IMAGES` are shown."""
    return [next(i for i in range(8) if (IMAGES[i] == decode(address)).all()) for address in frame["pictures"]]


def send(panel: HumanPanel, do: str, turn: int | None = None) -> None:
    """What ipywidgets does with a message of `model.send` in the browser."""
    message = {"do": do, "turn": panel.frame["turn"] if turn is None else turn}
    panel._handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})


def make_panel(pairs: np.ndarray = PAIRS, **settings: object) -> tuple[HumanPanel, list[tuple[int, Answer]]]:
    told: list[tuple[int, Answer]] = []
    return HumanPanel(OBSERVATIONS, pairs, lambda i, reply: told.append((i, reply.answer)), **settings), told


# --- the panel -------------------------------------------------------------------------------------------------------


def test_every_answer_reaches_its_keeper_at_once():
    panel, told = make_panel()
    for i, (do, answer) in enumerate(ANSWERS.items()):
        assert shown_pair(panel.frame) == PAIRS[i].tolist(), "the first is on the left"
        assert panel.frame["alts"] == [f"first picture of pair {i + 1}", f"second picture of pair {i + 1}"]
        send(panel, do)
        assert told[-1] == (i, answer)
        assert panel.frame["status"] == f"{i + 1} of 4 answered, last: {human.WORDS[answer]}"
    assert told == [(0, FIRST), (1, SECOND), (2, TIE), (3, UNKNOWN)]
    assert panel.answers == dict(told)
    assert panel.frame["over"]
    assert panel.frame["counts"] == "first 1, second 1, tie 1, no idea 1"
    assert panel.frame["pictures"] == []
    send(panel, "first")
    assert len(told) == 4
    assert "4 of 4 answered" in repr(panel)


def test_images_alone_and_no_keeper_will_do():
    panel = HumanPanel(IMAGES, PAIRS)
    send(panel, "second")
    assert panel.answers == {0: SECOND}


def test_skipped_pairs_come_back_at_the_end():
    panel, told = make_panel()
    send(panel, "skip")
    assert panel.frame["counts"].endswith("skipped 1")
    for do in ("first", "skip", "second"):
        send(panel, do)
    assert shown_pair(panel.frame) == [0, 1]
    send(panel, "tie")
    assert shown_pair(panel.frame) == PAIRS[2].tolist()
    assert not panel.frame["can_skip"], "the only one left"
    before = panel.frame
    send(panel, "skip")
    assert panel.frame == before
    send(panel, "first")
    assert told == [(1, FIRST), (3, SECOND), (0, TIE), (2, FIRST)]


def test_undo_goes_back_over_everything():
    forgotten: list[int] = []
    panel, told = make_panel(forget=forgotten.append)
    frames = []
    for do in ("first", "skip", "second", "skip", "tie", "first"):
        frames.append(panel.frame)
        send(panel, do)
    assert panel.frame["over"]
    assert panel.frame["can_undo"]
    varying = {"turn", "status"}
    for before in reversed(frames):
        send(panel, "undo")
        assert {k: v for k, v in panel.frame.items() if k not in varying} == {
            k: v for k, v in before.items() if k not in varying
        }
    assert forgotten == [i for i, _ in reversed(told)]
    assert panel.answers == {}
    send(panel, "undo")
    assert panel.frame["status"] == "0 of 4 answered, taken back"


def test_a_new_answer_replaces_one_that_was_taken_back():
    panel, told = make_panel()
    for do in ("first", "undo", "second"):
        send(panel, do)
    assert told == [(0, FIRST), (0, SECOND)]
    assert panel.answers == {0: SECOND}


@pytest.mark.parametrize("most", [0, 1, 2])
def test_undo_can_be_limited(most):
    session = HumanSession(IMAGES, PAIRS, lambda i, reply: None, undo_answers=most)
    for answer in (FIRST, SECOND, TIE):
        session.answer(answer)
    for _ in range(3):
        session.undo()
    assert len(session.answers) == 3 - most
    assert not session.frame()["can_undo"]


def test_a_press_that_comes_too_early_judges_nothing():
    panel, told = make_panel()
    turn = panel.frame["turn"]
    send(panel, "first", turn)
    send(panel, "first", turn)  # before the next pair was on the screen
    send(panel, "undo", turn)
    assert told == [(0, FIRST)]
    for nonsense in ("", "third", "turn"):
        send(panel, nonsense)
    panel._handle_msg({"content": {"data": {"method": "custom", "content": {}}}, "buffers": []})
    assert panel.answers == {0: FIRST}


def test_what_cannot_be_stored_is_told_and_the_pair_stays():
    broken = [True]

    def record(index: int, reply: Reply) -> None:
        if broken[0]:
            raise OSError("disk full")

    def forget(index: int) -> None:
        record(index, Reply(TIE))

    panel = HumanPanel(OBSERVATIONS, PAIRS, record, forget=forget)
    send(panel, "first")
    assert panel.frame["problem"] == "Not stored (OSError: disk full). Try again."
    assert shown_pair(panel.frame) == [0, 1]
    assert panel.answers == {}
    broken[0] = False
    send(panel, "first")
    assert panel.frame["problem"] == ""
    broken[0] = True
    send(panel, "undo")
    assert "disk full" in panel.frame["problem"]
    assert panel.answers == {0: FIRST}


def test_live_agreement():
    pairs = np.array([[0, i] for i in range(1, 8)])
    other = [FIRST, SECOND, TIE, UNKNOWN, FIRST, SECOND, FIRST]
    panel, _ = make_panel(pairs, compare_with={"clip": other, "chat": np.full(7, int(FIRST))})
    assert panel.frame["agreement"] == ["With clip: no common answer yet", "With chat: no common answer yet"]
    send(panel, "first")
    assert panel.frame["agreement"][1] == "With chat: alike in 1 of 1 (100%), kappa 1.00"
    for do in ("first", "tie", "first", "unknown", "second", "second"):
        send(panel, do)
    # Judged by both: (first, first), (first, second), (tie, tie), (second, second), (second, first): 3 of 5 alike.
    # Both ways round, each says first and second in 2/5, tie in 1/5: p_e = 0.36, kappa = (0.6 - 0.36) / 0.64.
    alike, both, kappa = panel.session.agreement("clip")
    assert (alike, both) == (3, 5)
    assert kappa == pytest.approx(0.24 / 0.64)
    assert panel.frame["agreement"][0] == "With clip: alike in 3 of 5 (60%), kappa 0.38"


def test_agreement_without_a_kappa():
    panel, _ = make_panel(compare_with={"scripted": [TIE] * 4})
    send(panel, "tie")
    assert math.isnan(panel.session.agreement("scripted")[2])
    assert panel.frame["agreement"] == ["With scripted: alike in 1 of 1 (100%)"]


def test_pictures_are_enlarged_by_a_whole_number():
    for width in (4, 64, 72, 288, 600):
        panel = HumanPanel(np.zeros((2, 5, width, 3), np.uint8), np.array([[0, 1]]))
        assert panel.width % width == 0
        assert 214 <= panel.width <= 600
    assert "image-rendering: pixelated" in HumanPanel._css


def test_the_page_has_a_key_for_everything_that_python_understands():
    source = (Path(human.__file__).parent / "human.js").read_text()
    (keys,) = re.findall(r"const KEYS = \{(.*?)\};", source, re.DOTALL)
    actions = dict(re.findall(r'(\w+): "(\w+)"', keys))
    expected = {"ArrowLeft": "first", "1": "first", "ArrowRight": "second", "2": "second", "ArrowDown": "tie"}
    expected |= {"t": "tie", "n": "unknown", "s": "skip", "u": "undo", "Backspace": "undo"}
    assert actions == expected
    assert set(actions.values()) == {*ANSWERS, "skip", "undo"}
    buttons = re.findall(r'button\(rest, "(\w+)", "[\w ]+", \[(.*?)\]\)', source)
    assert {do for do, _ in buttons} == {"tie", "unknown", "skip", "undo"}
    for do, faces in buttons:
        assert {key for key, action in actions.items() if action == do} == set(re.findall(r'"(\w+)"', faces))


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (np.zeros((0, 2), int), "at least one pair"),
        (np.array([0, 1]), r"pairs must be integers \[pairs 2\]"),
        (np.array([[0.0, 1.0]]), "float64"),
        (np.array([[0, 8]]), "pairs go from 0 to 8, and there are pictures 0 to 7"),
        (np.array([[-1, 3]]), "pairs go from -1"),
    ],
)
def test_pairs_that_are_none_are_refused(pairs, message):
    with pytest.raises(ValueError, match=message):
        HumanPanel(OBSERVATIONS, pairs)


def test_other_wrong_input_is_refused():
    with pytest.raises(ValueError, match="pictures must be uint8"):
        HumanPanel(IMAGES.astype(np.float32), PAIRS)
    with pytest.raises(ValueError, match="compare_with has 3 answers of clip, and there are 4 pairs"):
        HumanPanel(IMAGES, PAIRS, compare_with={"clip": [FIRST] * 3})
    with pytest.raises(ValueError, match="7 is not a valid Answer"):
        HumanPanel(IMAGES, PAIRS, compare_with={"clip": [7] * 4})


def test_colab_is_told_to_show_the_widget(monkeypatch):
    calls = []
    output = types.ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: calls.append(1)
    for name, module in (("google", types.ModuleType("google")), ("google.colab", types.ModuleType("google.colab"))):
        module.__path__ = []
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    HumanPanel(IMAGES, PAIRS)
    assert calls == [1]


@pytest.mark.parametrize("missing", ["anywidget", "ipywidgets"])
def test_without_the_extra_the_error_names_it(missing):
    code = (
        f"import sys; sys.modules[{missing!r}] = None; import sensei_lite.annotators.human_page as p; print('page')\n"
    )
    code += "import sensei_lite.annotators.human_panel"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (1, "page\n")
    assert 'ImportError: widgets need more packages: pip install "sensei-lite[notebooks]"' in run.stderr


# --- with the store --------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "answers.sqlite") as opened:
        yield opened


def test_answers_by_hand_are_in_the_store_and_not_asked_again(store):
    panel = annotate_by_hand(store, OBSERVATIONS, PAIRS, person="ada")
    send(panel, "second")
    assert store.annotators()[human_id("ada")].answers == 1
    send(panel, "skip")
    send(panel, "tie")

    again = annotate_by_hand(store, OBSERVATIONS, PAIRS, person="ada")
    assert again.frame["status"] == "2 of 4 answered"
    assert again.answers == {0: SECOND, 2: TIE}
    assert not again.frame["can_undo"], "what was said before stays"
    assert shown_pair(again.frame) == PAIRS[1].tolist()
    send(again, "first")
    send(again, "unknown")
    preferences = store.preferences("human")
    told = {
        (preferences.images[i].tobytes(), preferences.images[j].tobytes()): target
        for i, j, target in zip(preferences.first, preferences.second, preferences.target, strict=True)
    }
    expected = {
        (IMAGES[i].tobytes(), IMAGES[j].tobytes()): y for (i, j), y in zip(PAIRS, (0.0, 1.0, 0.5), strict=False)
    }
    assert told == expected
    for other in ({"person": "eve"}, {"person": "ada", "question": "Which is duller?"}):
        assert annotate_by_hand(store, OBSERVATIONS, PAIRS, **other).frame["status"] == "0 of 4 answered"


def test_when_all_is_answered_the_panel_says_so_and_knows_the_answers(store):
    """As in a notebook whose cell is run again after the last answer."""
    panel = annotate_by_hand(store, OBSERVATIONS, PAIRS)
    for do in ANSWERS:
        send(panel, do)
    again = annotate_by_hand(store, OBSERVATIONS, PAIRS, compare_with=[human_id("reader")])
    assert again.frame["over"]
    assert again.frame["status"] == "4 of 4 answered"
    assert again.frame["agreement"][0].startswith("With human reader")
    assert again.answers == panel.answers == dict(enumerate(Answer))
    for do in (*ANSWERS, "skip", "undo"):
        send(again, do)
    assert again.answers == panel.answers
    assert store.annotators()[human_id("reader")].answers == 4


def test_undo_never_leaves_a_wrong_answer_in_the_store(store):
    panel = annotate_by_hand(store, OBSERVATIONS, PAIRS)
    send(panel, "first")
    send(panel, "undo")
    assert human_id("reader") not in store.annotators()
    send(panel, "second")
    assert store.answers(human_id("reader")).answer.tolist() == [SECOND]


def test_agreement_with_annotators_of_the_store(store):
    clip = AnnotatorId("clip", "small")
    names = store.add_images(IMAGES, OBSERVATIONS.episode, OBSERVATIONS.t)
    asked = [(0, 1, FIRST), (1, 0, SECOND), (2, 3, FIRST), (4, 5, FIRST), (5, 4, FIRST), (1, 2, TIE)]
    store.record(clip, [(names[i], names[j]) for i, j, _ in asked], [Reply(answer) for *_, answer in asked])
    questions = [(names[i], names[j]) for i, j in PAIRS]
    assert judgements_of(store, clip, questions) == [FIRST, SECOND, TIE, UNKNOWN]
    assert judgements_of(store, AnnotatorId("chat", "x"), questions) == [UNKNOWN] * 4
    panel = annotate_by_hand(store, OBSERVATIONS, PAIRS, compare_with=[clip])
    for do in ("first", "second", "first", "first"):
        send(panel, do)
    assert panel.session.agreement("clip small")[:2] == (2, 3)


# --- the page --------------------------------------------------------------------------------------------------------


class Browser:
    """Opens the page as soon as it is announced, and then does as it is told."""

    def __init__(self) -> None:
        self.address = ""
        self.ready = threading.Event()
        self.frame: dict = {}

    def announce(self, words: str) -> None:
        (self.address,) = re.findall(r"http://127\.0\.0\.1:\d+/\S+/", words)
        self.ready.set()

    def get(self, name: str) -> bytes:
        with urllib.request.urlopen(self.address + name, timeout=20) as reply:
            return reply.read()

    def post(self, data: bytes) -> dict:
        with urllib.request.urlopen(self.address + "do", data=data, timeout=20) as reply:
            self.frame = json.load(reply)
        return self.frame

    def do(self, *actions: str) -> None:
        assert self.ready.wait(20)
        self.frame = self.frame or json.loads(self.get("state"))["frame"]
        for action in actions:
            self.post(json.dumps({"do": action, "turn": self.frame["turn"]}).encode())


@pytest.fixture
def browser():
    return Browser()


@pytest.fixture
def annotator(browser):
    return HumanAnnotator("ada", announce=browser.announce, open_browser=False)


def start(work) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_the_page_asks_every_pair_and_ends(browser, annotator):
    replies: list[tuple[int, Reply]] = []
    a, b = IMAGES[PAIRS.T]
    thread = start(lambda: replies.extend(annotator.annotate(a, b)))
    browser.do("first", "skip", "tie", "undo", "unknown", "second", "first")
    thread.join(20)
    assert not thread.is_alive()
    assert [(i, reply.answer) for i, reply in replies] == [(0, FIRST), (2, UNKNOWN), (3, SECOND), (1, FIRST)]
    assert browser.frame["over"]
    assert not browser.frame["can_undo"], "the command has ended"
    with pytest.raises(urllib.error.URLError):
        browser.get("state")


def test_the_page_serves_what_it_needs_and_nothing_else(browser, annotator):
    replies = annotator.annotate(*IMAGES[PAIRS.T])
    thread = start(lambda: next(replies))
    assert browser.ready.wait(20)
    page = browser.get("").decode()
    for name in ("human.js", "human.css"):
        assert name in page
        assert browser.get(name).decode() == (Path(human.__file__).parent / name).read_text()
    assert not re.search(r"https?://", page + browser.get("human.js").decode()), "nothing from the network"
    state = json.loads(browser.get("state"))
    assert (state["question"], state["whole_page"]) == (human.QUESTION, True)
    assert shown_pair(state["frame"]) == [0, 1]

    host = browser.address.split("/")[2]
    for path in ("/", "/state", browser.address.split(host)[1] + "../human.py", "/wrong/state"):
        connection = http.client.HTTPConnection(host, timeout=20)
        connection.request("GET", path)
        assert connection.getresponse().status == 404, path
        connection.request("POST", "/do", json.dumps({"do": "first", "turn": 0}))
        assert connection.getresponse().status == 404
        connection.close()
    for data in (b"", b"{", b"[1]", b"\xff", b'{"do": "first"' + b" " * 2000 + b"}"):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            browser.post(data)
    assert browser.post(b'{"do": "first", "turn": 99}')["done"] == 0
    browser.do("first", "first")
    thread.join(20)
    replies.close()
    with pytest.raises(urllib.error.URLError):
        browser.get("state")


def test_the_last_answer_can_be_taken_back_until_the_next(browser, annotator):
    replies = []
    thread = start(lambda: replies.extend(annotator.annotate(*IMAGES[PAIRS[:3].T])))
    browser.do("first", "undo", "second")
    assert replies == []
    browser.do("first", "undo")
    assert not browser.frame["can_undo"], "the answer before was handed over"
    browser.do("undo")
    assert browser.frame["done"] == 1
    browser.do("tie", "unknown")
    thread.join(20)
    assert [(i, reply.answer) for i, reply in replies] == [(0, SECOND), (1, TIE), (2, UNKNOWN)]


def test_asking_through_the_store_resumes(store, browser, annotator):
    tallies = []

    def work(number: int) -> None:
        with Store(store.path) as own:
            tallies.append(ask(own, annotator, OBSERVATIONS, PAIRS[:number], both_orders=False, progress=False))

    for number, actions in ((2, ("first", "tie")), (4, ("second", "first"))):
        thread = start(lambda number=number: work(number))
        browser.do(*actions)
        thread.join(20)
        browser.ready.clear()
        browser.frame = {}
    assert [(tally.asked, tally.skipped, tally.left) for tally in tallies] == [(2, 0, 0), (2, 2, 0)]
    assert store.answers(human_id("ada")).answer.tolist() == [FIRST, TIE, SECOND, FIRST]


def test_ctrl_c_keeps_all_answers(tmp_path):
    code = """
import sys
import numpy as np
from sensei_lite.annotators.human_page import HumanAnnotator
images = np.zeros((3, 4, 4, 3), np.uint8)
try:
    for i, reply in HumanAnnotator(open_browser=False).annotate(images, images):
        print(i, reply.raw, flush=True)
except KeyboardInterrupt:
    print("stopped")
"""
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    browser = Browser()
    browser.announce(run.stderr.readline())
    browser.do("second", "tie")
    assert run.stdout.readline() == "0 second\n"  # the second one can still be taken back, and is not handed over yet
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=30)
    assert output == "1 tie\nstopped\n"


def test_ctrl_c_just_when_an_answer_comes_does_not_lose_it(monkeypatch, browser, annotator):
    """The signal is as nasty as it can be: it comes when the answer is there and nobody has it yet."""
    wait = human_page._Given.wait_for_more_than

    def interrupted(given, number):
        wait(given, number)
        if number == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(human_page._Given, "wait_for_more_than", interrupted)
    replies: list[tuple[int, Reply]] = []

    stopped = threading.Event()

    def collect() -> None:
        try:
            for reply in annotator.annotate(IMAGES[:3], IMAGES[1:4]):
                replies.append(reply)
        except KeyboardInterrupt:
            stopped.set()

    thread = start(collect)
    browser.do("first", "second", "tie")
    thread.join(20)
    assert stopped.is_set()
    assert [reply.raw for _, reply in replies][:2] == ["first", "second"]
    assert len({i for i, _ in replies}) == len(replies)


def test_what_a_person_can_be_asked(browser, annotator):
    assert (annotator.name, annotator.version) == ("human", "ada")
    assert AnnotatorId.of(annotator) == human_id("ada")
    assert HumanAnnotator("ada", question="Which is duller?").prompt_hash != annotator.prompt_hash
    assert list(annotator.annotate(IMAGES[:0], IMAGES[:0])) == []
    assert not browser.ready.is_set()
    with pytest.raises(ValueError, match="first pictures are"):
        annotator.annotate(IMAGES[:2], IMAGES[:3])
    with pytest.raises(ValueError, match="pictures must be uint8"):
        annotator.annotate(IMAGES[:2].astype(float), IMAGES[:2])


@pytest.mark.parametrize("screen", [True, False])
def test_a_browser_is_opened_only_where_there_is_a_screen(monkeypatch, browser, screen):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":0") if screen else monkeypatch.delenv("DISPLAY", raising=False)
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    thread = start(lambda: list(HumanAnnotator(announce=browser.announce).annotate(IMAGES[:1], IMAGES[1:2])))
    browser.do("first")
    thread.join(20)
    assert opened == [browser.address] * screen
