"""A process that asks is killed, or interrupted, in the middle: what was stored is never asked again."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from chat_server import brighter, chat_server

from sensei_lite.annotators.base import image_hash
from sensei_lite.annotators.chat import BudgetSpent, ChatAnnotator
from sensei_lite.annotators.chat.endpoint import KEY_VARIABLE
from sensei_lite.annotators.chat.prompts import GENERAL
from sensei_lite.annotators.data import Observations
from sensei_lite.annotators.query import ask
from sensei_lite.annotators.store import Store

KEY = "sk-loopback-0123456789abcdef"
PICTURES, PAIRS = 12, 15

# The process and the test ask the same questions: numbers from one seed.
SCRIPT = """
import sys
from pathlib import Path
from sensei_lite.annotators.query import ask
from sensei_lite.annotators.chat import ChatAnnotator
from sensei_lite.annotators.store import Store
from sensei_lite.annotators.data import load_observations
import numpy as np

folder, url = Path(sys.argv[1]), sys.argv[2]
with Store(folder / "answers.sqlite") as store:
    pairs = np.load(folder / "pairs.npy")
    ask(store, ChatAnnotator("tiny", url, upscale=0, concurrency=3), load_observations(folder / "seen.npz"), pairs)
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture(scope="module")
def loopback():
    with chat_server(brighter) as server:
        yield server


@pytest.fixture
def server(loopback):
    loopback.reset(brighter)
    return loopback


def seen() -> Observations:
    images = np.random.default_rng(0).integers(0, 256, (PICTURES, 8, 6, 3), dtype=np.uint8)
    return Observations(images, np.arange(PICTURES), np.zeros(PICTURES, np.int32), {})


def some_pairs() -> np.ndarray:
    all_pairs = np.array([(i, j) for i in range(PICTURES) for j in range(i)])
    return np.random.default_rng(1).permutation(all_pairs)[:PAIRS]


def asked_names(server) -> list[tuple[str, str]]:
    """Every question that arrived, by the names that the store uses."""
    return [(image_hash(asked.images[0]), image_hash(asked.images[1])) for asked in server.asked]


def all_names() -> list[tuple[str, str]]:
    images, pairs = seen().images, some_pairs()
    return [(image_hash(images[i]), image_hash(images[j])) for a, b in pairs for i, j in ((a, b), (b, a))]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_process_goes_on_where_the_store_ends(tmp_path, server, how):
    from sensei_lite.annotators.data import save_observations

    save_observations(tmp_path / "seen.npz", seen())
    np.save(tmp_path / "pairs.npy", some_pairs())
    process: list[subprocess.Popen] = []
    over = threading.Event()

    def respond(asked):
        if asked.number == 14:
            process[0].send_signal(how)
        if asked.number >= 14:
            over.wait(60)  # it must not wait for an answer that does not come
        return brighter(asked)

    server.respond = respond
    with (tmp_path / "errors").open("w") as errors:
        process.append(
            subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path), server.url], stderr=errors, env=os.environ)
        )
        code = process[0].wait(60)
    over.set()
    told = (tmp_path / "errors").read_text()
    assert code == -how, told
    first_run = asked_names(server)
    assert 15 <= len(first_run) <= 14 + 3

    annotator = ChatAnnotator("tiny", server.url, upscale=0, concurrency=3)
    with Store(tmp_path / "answers.sqlite") as store:
        stored = [
            name for name, done in zip(all_names(), store.answered(annotator.id, all_names()), strict=True) if done
        ]
        assert 0 < len(stored) <= 14
        if how == signal.SIGINT:  # Ctrl-C keeps all that was handed over; three at most were not
            assert len(stored) >= 14 - 3
        server.asked.clear()
        server.respond = brighter
        tally = ask(store, annotator, seen(), some_pairs(), progress=False)
        assert all(store.answered(annotator.id, all_names()))
    second_run = asked_names(server)
    assert set(stored) <= set(first_run)
    assert not set(second_run) & set(stored)
    assert sorted(second_run + stored) == sorted(all_names())  # each exactly once
    assert (tally.asked, tally.skipped, tally.left) == (2 * PAIRS - len(stored), len(stored), 0)
    assert KEY not in told
    for file in tmp_path.iterdir():
        assert KEY.encode() not in file.read_bytes()


def test_a_spent_budget_keeps_all_answers_and_a_larger_one_goes_on(tmp_path, server):
    with Store(tmp_path / "answers.sqlite") as store:
        with pytest.raises(BudgetSpent):
            ask(store, ChatAnnotator("tiny", server.url, budget_calls=7), seen(), some_pairs(), progress=False)
        assert server.calls == 7
        tally = ask(store, ChatAnnotator("tiny", server.url), seen(), some_pairs(), progress=False)
        assert server.calls == 2 * PAIRS
    assert (tally.asked, tally.skipped) == (2 * PAIRS - 7, 7)


def test_a_general_prompt_must_be_described_before_anything_is_asked(tmp_path, server):
    """Else answers would be stored under words that are not known yet."""
    with Store(tmp_path / "answers.sqlite") as store:
        with pytest.raises(ValueError, match="describe first"):
            ask(store, ChatAnnotator("tiny", server.url, prompt=GENERAL), seen(), some_pairs(), progress=False)
        assert server.calls == 0
