"""A run that was killed goes on to exactly the numbers of one that was not."""

import csv
import dataclasses
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.presets import smoke
from sensei_lite.training import run as training_run
from sensei_lite.training.run import train_in
from sensei_lite.training.storage import CheckpointError, RunError
from sensei_lite.worlds import KeyRoom, make_world

CONFIG, WORLD = smoke(), KeyRoom(size=4, decorations=0, max_steps=9)
UPDATES = 12

PROGRAM = """
import sys
from pathlib import Path
from sensei_lite.presets import smoke
from sensei_lite.training.run import train_in
from sensei_lite.worlds import KeyRoom
world = KeyRoom(size=4, decorations=0, max_steps=9)
train_in(Path(sys.argv[1]), smoke(), world, updates=int(sys.argv[2]), seconds_between_checkpoints=0.0)
"""


def numbers(state) -> list[np.ndarray]:
    def raw(leaf):
        return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf

    return [np.asarray(raw(leaf)) for leaf in jax.tree.leaves(state)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, train_in(folder, CONFIG, WORLD, updates=UPDATES)


def test_an_agent_without_eyes_trains_in_a_world_of_numbers(tmp_path, capsys):
    config = dataclasses.replace(CONFIG, world_model=dataclasses.replace(CONFIG.world_model, encoder="none"))
    state = train_in(tmp_path, config, make_world("tabletop-numbers", max_steps=9), updates=4)
    assert np.isfinite(state.replay.rows.vector).all()
    with (tmp_path / "metrics.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["loss/vector"]) > 0
    assert "loss/image" not in last
    assert "vector" in capsys.readouterr().err, "the progress bar tells how well numbers are foretold"
    with pytest.raises(ValueError, match="this world gives no numbers beside its pictures"):
        train_in(tmp_path / "blind", config, WORLD, updates=4)


def test_a_run_writes_down_what_it_did(uninterrupted):
    folder, state = uninterrupted
    assert int(state.agent.updates) == UPDATES
    with (folder / "metrics.csv").open() as file:
        metrics = list(csv.DictReader(file))
    with (folder / "events.csv").open() as file:
        events = list(csv.DictReader(file))
    chunks = UPDATES // CONFIG.train.chunk_updates
    assert [int(row["updates"]) for row in metrics] == [2 * (i + 1) for i in range(chunks)]
    assert int(metrics[-1]["steps"]) == int(state.steps)
    assert sum(float(row["steps"]) for row in events) == int(state.steps) - CONFIG.train.prefill_steps
    assert {"loss/image", "loss/kl", "return/disagreement"} <= set(metrics[0])


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a Unix thing")
def test_a_killed_run_goes_on_to_the_same_numbers(uninterrupted, tmp_path):
    """Kill it by force after its first checkpoint, spoil its unfinished rows, and go on."""
    folder, whole = uninterrupted
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), "1000000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.time() + 200
    while not (tmp_path / "checkpoint.npz").exists() and process.poll() is None and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("999998,1,2\n99")  # a row after the checkpoint, and one that was cut off
    done = int(np.load(tmp_path / "checkpoint.npz")[".agent.updates"])
    assert 0 < done < UPDATES, "killed too late for this test"
    resumed = train_in(tmp_path, CONFIG, WORLD, updates=UPDATES)
    assert all((a == b).all() for a, b in zip(numbers(whole), numbers(resumed), strict=True))
    for name in ("metrics.csv", "events.csv"):
        assert (tmp_path / name).read_text() == (folder / name).read_text()


def test_a_finished_run_is_not_trained_again(uninterrupted):
    folder, state = uninterrupted
    before = (folder / "metrics.csv").read_text()
    again = train_in(folder, CONFIG, WORLD, updates=UPDATES)
    assert all((a == b).all() for a, b in zip(numbers(state), numbers(again), strict=True))
    assert (folder / "metrics.csv").read_text() == before


def test_a_folder_of_another_run_is_refused(uninterrupted):
    folder, _ = uninterrupted
    before = (folder / "checkpoint.npz").read_bytes()
    other = dataclasses.replace(CONFIG, behaviour=dataclasses.replace(CONFIG.behaviour, horizon=4))
    with pytest.raises(RunError, match=r"config\.json .* another run: agent\.behaviour\.horizon was 3 and is 4"):
        train_in(folder, other, WORLD, updates=UPDATES)
    with pytest.raises(RunError, match=r"world\.size was 4 and is 5"):
        train_in(folder, CONFIG, dataclasses.replace(WORLD, size=5), updates=UPDATES)
    with pytest.raises(RunError, match="seed was 0 and is 1"):
        train_in(folder, CONFIG, WORLD, updates=UPDATES, seed=1)
    with pytest.raises(ValueError, match="multiple of chunk_updates"):
        train_in(folder, CONFIG, WORLD, updates=3)
    assert (folder / "checkpoint.npz").read_bytes() == before


def test_a_damaged_checkpoint_is_named_and_kept(uninterrupted, tmp_path):
    folder, _ = uninterrupted
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "checkpoint.npz").write_bytes((folder / "checkpoint.npz").read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"checkpoint\.npz is damaged"):
        train_in(tmp_path, CONFIG, WORLD, updates=UPDATES)
    assert (tmp_path / "checkpoint.npz").stat().st_size == 5000


def test_a_loss_that_is_not_a_number_stops_the_run(uninterrupted, tmp_path, monkeypatch):
    folder, _ = uninterrupted
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "checkpoint.npz").write_bytes((folder / "checkpoint.npz").read_bytes())

    def poisoned(config, world, state):
        return state, {"loss/image": jnp.nan, "loss/kl": jnp.ones(())}, {}

    monkeypatch.setattr(training_run, "train_chunk", poisoned)
    before = (tmp_path / "checkpoint.npz").read_bytes()
    with pytest.raises(
        FloatingPointError, match=r"after 12 updates loss/image is not a finite number.*checkpoint\.npz"
    ):
        train_in(tmp_path, CONFIG, WORLD, updates=UPDATES + 2)
    assert (tmp_path / "checkpoint.npz").read_bytes() == before


def test_tensorboard_gets_the_same_numbers_where_it_is_installed(tmp_path, monkeypatch):
    written = {}

    class Writer:
        def __init__(self, folder, purge_step):
            assert folder == str(tmp_path / "tensorboard")

        def add_scalar(self, name, value, step):
            written[name, step] = value

        def close(self):
            written["closed"] = True

    monkeypatch.setitem(sys.modules, "tensorboardX", SimpleNamespace(SummaryWriter=Writer))
    state = train_in(tmp_path, CONFIG, WORLD, updates=4)
    with (tmp_path / "metrics.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert written["loss/image", int(state.steps)] == float(last["loss/image"])
    assert ("events/key_picked_up", int(state.steps)) in written
    assert written["closed"]
