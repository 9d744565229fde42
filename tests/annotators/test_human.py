"""The person as annotator: the panel, driven as a browser drives it, and the notebook that the command line opens."""

import base64
import dataclasses
import importlib
import io
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from sensei_lite.annotators.base import AnnotatorId, Answer, Reply, image_hash
from sensei_lite.annotators.data import Observations, save_observations
from sensei_lite.annotators.human import lab
from sensei_lite.annotators.human.panel import ANSWERS, WORDS, HumanPanel, human_id
from sensei_lite.annotators.pairs import random_pairs
from sensei_lite.annotators.store import Store
from sensei_lite.training import pipeline
from sensei_lite.training.method import teach_reward
from sensei_lite.training.plan import AnnotatePlan, RunPlan
from sensei_lite.training.storage import RunError, write_or_verify_manifest

FIRST, SECOND, TIE, UNKNOWN = Answer
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 5, 4, 3), np.uint8)
OBSERVATIONS = Observations(IMAGES, np.arange(8), np.zeros(8, np.int32), {})
PAIRS = np.array([[0, 1], [3, 2], [4, 5], [6, 7]])
ME = human_id()


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "answers.sqlite") as opened:
        yield opened


def shown_pair(panel: HumanPanel) -> list[int]:
    """Which two of `IMAGES` are shown."""
    found = []
    for address in panel.frame["pictures"]:
        head, data = address.split(",")
        assert head == "data:image/png;base64"
        image = np.asarray(Picture.open(io.BytesIO(base64.b64decode(data))))
        found.append(next(i for i in range(8) if (IMAGES[i] == image).all()))
    return found


def send(panel: HumanPanel, *actions: str, turn: int | None = None) -> None:
    """What ipywidgets does with messages of `model.send` in the browser."""
    for do in actions:
        message = {"do": do, "turn": panel.frame["turn"] if turn is None else turn}
        panel._handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})


def answers(store: Store, who: AnnotatorId = ME) -> dict[tuple[int, int], Answer]:
    """What the store has of a person, by the indices of the pictures."""
    number = {image_hash(image): i for i, image in enumerate(IMAGES)}
    return {(number[row[0]], number[row[1]]): Answer(row[5]) for row in store.questions() if row[2:5] == who}


# --- the panel -------------------------------------------------------------------------------------------------------


def test_every_answer_is_stored_before_the_next_pair_is_shown(store):
    panel = HumanPanel(store, OBSERVATIONS, PAIRS)
    for i, (do, answer) in enumerate(ANSWERS.items()):
        assert shown_pair(panel) == PAIRS[i].tolist(), "the first is on the left"
        send(panel, do)
        assert answers(store)[tuple(PAIRS[i].tolist())] == answer
        assert len(answers(store)) == i + 1
        assert panel.frame["status"] == f"{i + 1} of 4 answered, last: {WORDS[answer]}"
    assert panel.frame["over"]
    assert panel.frame["counts"] == "first 1, second 1, tie 1, no idea 1"
    assert panel.frame["pictures"] == []
    send(panel, "first", "skip")
    assert len(answers(store)) == 4
    assert "4 of 4 answered" in repr(panel)


def test_skipped_pairs_come_back_at_the_end(store):
    panel = HumanPanel(store, OBSERVATIONS, PAIRS)
    send(panel, "skip")
    assert panel.frame["counts"].endswith("skipped 1")
    send(panel, "first", "skip", "second")
    assert shown_pair(panel) == [0, 1]
    send(panel, "tie")
    assert shown_pair(panel) == PAIRS[2].tolist()
    assert not panel.frame["can_skip"], "the only one left"
    before = panel.frame
    send(panel, "skip")
    assert panel.frame == before
    send(panel, "first")
    assert answers(store) == {(3, 2): FIRST, (6, 7): SECOND, (0, 1): TIE, (4, 5): FIRST}


def test_undo_goes_back_over_everything(store):
    panel = HumanPanel(store, OBSERVATIONS, PAIRS)
    frames, stored = [], []
    for do in ("first", "skip", "second", "skip", "tie", "first"):
        frames.append(panel.frame)
        stored.append(answers(store))
        send(panel, do)
    assert panel.frame["over"]
    varying = {"turn", "status"}
    for frame, kept in zip(reversed(frames), reversed(stored), strict=True):
        send(panel, "undo")
        assert {k: v for k, v in panel.frame.items() if k not in varying} == {
            k: v for k, v in frame.items() if k not in varying
        }
        assert answers(store) == kept
    send(panel, "undo")
    assert panel.frame["status"] == "0 of 4 answered, taken back"
    send(panel, "second")
    assert answers(store) == {(0, 1): SECOND}


def test_a_press_that_comes_too_early_judges_nothing(store):
    panel = HumanPanel(store, OBSERVATIONS, PAIRS)
    turn = panel.frame["turn"]
    send(panel, "first", "first", "undo", turn=turn)  # the next pair was not yet on the screen
    assert answers(store) == {(0, 1): FIRST}
    send(panel, "", "third", "turn")
    panel._handle_msg({"content": {"data": {"method": "custom", "content": {}}}, "buffers": []})
    assert answers(store) == {(0, 1): FIRST}


def test_what_cannot_be_stored_is_told_and_the_pair_stays(store, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    panel = HumanPanel(store, OBSERVATIONS, PAIRS)
    with monkeypatch.context() as broken:
        broken.setattr(store, "record", fail)
        send(panel, "first")
    assert panel.frame["problem"] == "Not stored (OSError: disk full). Try again."
    assert shown_pair(panel) == [0, 1]
    assert answers(store) == {}
    send(panel, "first")
    assert panel.frame["problem"] == ""
    with monkeypatch.context() as broken:
        broken.setattr(store, "forget", fail)
        send(panel, "undo")
    assert "disk full" in panel.frame["problem"]
    assert answers(store) == {(0, 1): FIRST}
    assert shown_pair(panel) == [3, 2]


def test_what_was_answered_before_is_not_asked_again(store):
    send(HumanPanel(store, OBSERVATIONS, PAIRS, person="ada"), "second", "skip", "tie")
    again = HumanPanel(store, OBSERVATIONS, PAIRS, person="ada")
    assert again.frame["status"] == "2 of 4 answered"
    assert again.frame["counts"] == "first 0, second 1, tie 1, no idea 0"
    assert not again.frame["can_undo"], "what was said before stays"
    assert shown_pair(again) == PAIRS[1].tolist()
    send(again, "first", "unknown")
    assert answers(store, again.who) == {(0, 1): SECOND, (4, 5): TIE, (3, 2): FIRST, (6, 7): UNKNOWN}
    last = HumanPanel(store, OBSERVATIONS, PAIRS, person="ada")
    assert last.frame["over"]
    send(last, *ANSWERS, "skip", "undo")
    assert len(answers(store, again.who)) == 4
    for other in ({"person": "eve"}, {"person": "ada", "question": "Which is duller?"}):
        assert HumanPanel(store, OBSERVATIONS, PAIRS, **other).frame["status"] == "0 of 4 answered"


def test_agreement_with_annotators_of_the_store_is_shown(store):
    clip, silent = AnnotatorId("clip", "small"), AnnotatorId("chat", "x")
    names = store.add_images(IMAGES, OBSERVATIONS.episode, OBSERVATIONS.t)
    asked = [(0, 1, FIRST), (1, 0, SECOND), (2, 3, FIRST), (4, 5, FIRST), (5, 4, FIRST), (6, 7, UNKNOWN)]
    store.record(clip, [(names[i], names[j]) for i, j, _ in asked], [Reply(answer) for *_, answer in asked])
    panel = HumanPanel(store, OBSERVATIONS, PAIRS, compare_with=[clip, silent])
    assert panel.frame["agreement"] == ["With clip small: no common answer yet", "With chat x: no common answer yet"]
    send(panel, "first", "second", "first", "first")
    # CLIP says the first, the second, and (as it contradicts itself) a tie. Both ways round, the person says first and
    # second in 1/2 each, CLIP in 1/3 each: p_o = 2/3, p_e = 1/3.
    assert panel.frame["agreement"] == [
        "With clip small: alike in 2 of 3 (67%), kappa 0.50",
        "With chat x: no common answer yet",
    ]


def test_pictures_are_enlarged_by_a_whole_number(store):
    for width in (4, 64, 72, 288, 600):
        images = np.zeros((2, 5, width, 3), np.uint8)
        images[1] = 1
        panel = HumanPanel(store, Observations(images, np.zeros(2, int), np.arange(2), {}), np.array([[0, 1]]))
        assert panel.width % width == 0
        assert 214 <= panel.width <= 600
    assert "image-rendering: pixelated" in HumanPanel._css


def test_the_page_has_a_key_for_everything_that_python_understands():
    source = (Path(lab.__file__).parent / "panel.js").read_text()
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
        (np.zeros((0, 2), int), r"pairs must be whole numbers \[pairs 2\]"),
        (np.array([[0.0, 1.0]]), "float64"),
        (np.array([[0, 8]]), "pairs go from 0 to 8, and there are pictures 0 to 7"),
        (np.array([[0, 1], [2, 2]]), "one picture twice"),
    ],
)
def test_pairs_that_are_none_are_refused(store, pairs, message):
    with pytest.raises(ValueError, match=message):
        HumanPanel(store, OBSERVATIONS, pairs)


def test_colab_is_told_to_show_the_widget(store, monkeypatch):
    calls = []
    output = types.ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: calls.append(1)
    for name, module in (("google", types.ModuleType("google")), ("google.colab", types.ModuleType("google.colab"))):
        module.__path__ = []
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    HumanPanel(store, OBSERVATIONS, PAIRS)
    assert calls == [1]


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "sensei_lite.annotators.human.panel")
    with pytest.raises(ImportError, match=r'widgets need more packages: pip install "sensei-lite\[notebooks\]"'):
        importlib.import_module("sensei_lite.annotators.human.panel")


# --- from the command line -------------------------------------------------------------------------------------------


ASKED = AnnotatePlan(annotator="human", settings={"person": "ada"}, pairs=5, seed=3)


@pytest.fixture
def folder(tmp_path):
    save_observations(tmp_path / pipeline.OBSERVATIONS, OBSERVATIONS)
    return tmp_path


def test_the_command_opens_a_notebook_that_asks_and_runs_headless(folder, monkeypatch, capsys):
    """JupyterLab's place is taken by a program that runs the notebook, and then answers as its panel would."""
    import nbclient
    import nbformat

    def answer_three(command: list[str]) -> None:
        assert command[1:3] == ["-m", "jupyterlab"]
        notebook = nbformat.read(command[-1], as_version=4)
        nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
        shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        assert "0 of 5 answered" in str(shown)
        parameters = next(cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
        given: dict = {}
        exec(parameters, given)
        with Store(Path(given["folder"]) / pipeline.PREFERENCES) as store:
            pairs = random_pairs(OBSERVATIONS, given["pairs"], given["seed"])
            panel = HumanPanel(store, OBSERVATIONS, pairs, **given["settings"])
            send(panel, "first", "tie", "first")

    monkeypatch.setattr(lab, "subprocess", _stand_in(answer_three))
    stats = pipeline.annotate(folder, ASKED)
    assert (stats.asked, stats.skipped, stats.left) == (3, 0, 2)
    assert stats.answers == {FIRST: 2, SECOND: 0, TIE: 1, UNKNOWN: 0}
    said = capsys.readouterr().out
    assert str(folder / "annotate.ipynb") in said
    assert "3 questions answered now" in said
    assert "human ada" in said
    monkeypatch.setattr(lab, "subprocess", _stand_in(lambda command: None))
    again = pipeline.annotate(folder, ASKED)
    assert (again.asked, again.skipped, again.left) == (0, 3, 2)


def _stand_in(work):
    class Program:
        """Is interrupted while it works, as by Ctrl-C, and then ends."""

        waits = 0

        def __init__(self, command):
            work(command)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def poll(self):
            return 0 if self.waits else None

        def wait(self):
            self.waits += 1
            raise KeyboardInterrupt

    return types.SimpleNamespace(Popen=Program)


def test_a_run_goes_on_only_when_all_is_answered(folder, monkeypatch):
    monkeypatch.setattr(lab, "subprocess", _stand_in(lambda command: None))
    write_or_verify_manifest(folder / pipeline.WORLD, {"world": "keyroom", "settings": {}})
    for _ in range(2):  # and the stage stays open
        with pytest.raises(RunError, match="10 questions are still open"):
            teach_reward(folder, RunPlan(annotator="human", pairs=5, rounds=1))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"budget_calls": 3}, ValueError, "budget"),
        ({"settings": {"port": 8888}}, TypeError, "port"),
    ],
)
def test_settings_that_a_person_has_not_are_refused(folder, changes, error, message):
    with pytest.raises(error, match=message):
        pipeline.annotate(folder, dataclasses.replace(ASKED, **changes))


def test_without_jupyterlab_the_error_names_the_extra(folder, monkeypatch):
    monkeypatch.setattr(lab.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"jupyterlab and jupytext .*sensei-lite\[notebooks\]"):
        pipeline.annotate(folder, ASKED)
    assert not (folder / "annotate.ipynb").exists()
