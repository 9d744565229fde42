"""A checkpoint holds everything, is never half written, and is never read wrongly."""

import dataclasses
import signal
import subprocess
import sys
import time
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.presets import smoke
from sensei_lite.training.jax_loop import start_training, train_chunk
from sensei_lite.training.storage import CheckpointError, load_checkpoint, save_checkpoint
from sensei_lite.worlds import KeyRoom

TREE = {"weights": jnp.arange(6.0).reshape(2, 3), "nested": (jnp.ones(2, bool), jax.random.key(7)), "n": jnp.int32(4)}


def equal(one, other) -> bool:
    def raw(leaf):
        return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)

    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(a.dtype == b.dtype and (raw(a) == raw(b)).all() for a, b in pairs)


def test_what_is_saved_is_loaded(tmp_path):
    save_checkpoint(tmp_path / "new" / "c.npz", TREE)
    loaded = load_checkpoint(tmp_path / "new" / "c.npz", jax.eval_shape(lambda: TREE))
    assert equal(loaded, TREE)
    assert jax.tree.structure(loaded) == jax.tree.structure(TREE)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["c.npz"]


def test_training_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(tmp_path):
    """Weights, optimisers, normalisers, replay, worlds, memory and random numbers: a resumed run is bit-identical."""
    config, world = smoke(), KeyRoom(size=4, decorations=0, max_steps=9)
    state, _, _ = train_chunk(config, world, start_training(config, world, key=jax.random.key(5)))
    save_checkpoint(tmp_path / "c.npz", state)
    onward, _, _ = train_chunk(config, world, state)  # uses `state` up
    like = jax.eval_shape(lambda: start_training(config, world, key=jax.random.key(0)))
    resumed, _, _ = train_chunk(config, world, load_checkpoint(tmp_path / "c.npz", like))
    assert equal(onward, resumed)

    larger = dataclasses.replace(config, world_model=dataclasses.replace(config.world_model, deter=24))
    other = jax.eval_shape(lambda: start_training(larger, world, key=jax.random.key(0)))
    before = (tmp_path / "c.npz").read_bytes()
    with pytest.raises(CheckpointError, match=r"c\.npz: \.agent\.\S+ is float32 .* and this agent's is float32"):
        load_checkpoint(tmp_path / "c.npz", other)
    assert (tmp_path / "c.npz").read_bytes() == before


def test_files_that_are_not_the_wanted_checkpoint_say_why(tmp_path):
    path = tmp_path / "c.npz"
    with pytest.raises(FileNotFoundError):
        load_checkpoint(path, TREE)
    save_checkpoint(path, TREE)
    whole = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"c\.npz has no \['more'\]"):
        load_checkpoint(path, TREE | {"more": jnp.zeros(1)})
    with pytest.raises(CheckpointError, match=r"c\.npz has \['n'\]"):
        load_checkpoint(path, {name: leaf for name, leaf in TREE.items() if name != "n"})
    with pytest.raises(CheckpointError, match=r"\['n'\] is int32 \(\), and this agent's is float32 \(\)"):
        load_checkpoint(path, TREE | {"n": jnp.float32(4)})
    for damaged in (whole[: len(whole) // 2], b"", b"not a checkpoint", whole.replace(whole[70:90], b"?" * 20)):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"c\.npz"):
            load_checkpoint(path, TREE)
    np.savez(path, something=np.zeros(2))
    with pytest.raises(CheckpointError, match="format None"):
        load_checkpoint(path, TREE)


def test_one_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "c.npz"
    save_checkpoint(path, TREE)
    with zipfile.ZipFile(path) as stored:
        place = stored.getinfo("['weights'].npy").header_offset
    content = bytearray(path.read_bytes())
    content[content.index(np.float32(5.0).tobytes(), place)] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path, TREE)


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "c.npz"
    save_checkpoint(path, TREE)

    def full_disk(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, TREE | {"n": jnp.int32(5)})
    monkeypatch.undo()
    assert equal(load_checkpoint(path, TREE), TREE)
    assert [one.name for one in tmp_path.iterdir()] == ["c.npz"]


SAVER = """
import sys, itertools
from pathlib import Path
import jax.numpy as jnp
from sensei_lite.training.storage import save_checkpoint
for i in itertools.count():
    save_checkpoint(Path(sys.argv[1]), {"big": jnp.full(2_000_000, i), "n": jnp.int32(i)})
    print(i, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a Unix thing")
def test_a_process_killed_while_it_writes_leaves_a_whole_checkpoint(tmp_path):
    path = tmp_path / "c.npz"
    like = {"big": jax.ShapeDtypeStruct((2_000_000,), jnp.int32), "n": jax.ShapeDtypeStruct((), jnp.int32)}
    for delay in (0.0, 0.003, 0.011):
        process = subprocess.Popen([sys.executable, "-c", SAVER, str(path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3):
            said = process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        loaded = load_checkpoint(path, like)
        assert int(loaded["n"]) >= int(said)
        assert (loaded["big"] == loaded["n"]).all()
