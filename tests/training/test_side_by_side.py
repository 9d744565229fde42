"""Spread over devices or seeds, learning gives the numbers that it gives alone.

How many devices there are is settled when JAX starts. So the functions that are not tests run in processes of their own
(`started`) and write down what they computed, and the tests compare files. Nothing here may compute when the module is
imported.
"""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.models.world_model import WorldModel
from sensei_lite.presets import smoke
from sensei_lite.training.jax_loop import on_devices, start_training, train_chunk
from sensei_lite.training.side_by_side import start_seeds, train_seeds
from sensei_lite.types import Discrete
from sensei_lite.worlds.base import Step, World

CONFIG = smoke()
SEEDS = 2
SECONDS = 200


@dataclasses.dataclass(frozen=True)
class Walk(World):
    """Walk right: the smallest world that ends, because what it costs here is compilation."""

    event_names: ClassVar[tuple[str, ...]] = ("arrived",)
    actions = Discrete(("left", "right"))
    image_shape = (8, 8, 3)

    def reset(self, *, key):
        return jax.random.randint(key, (), 0, 7)

    def step(self, state, action, *, key):
        state = jnp.clip(state + 2 * action - 1, 0, 7)
        end = state == 7
        return Step(state, end.astype(jnp.float32), end, jnp.zeros((), bool), {"arrived": end})

    def render(self, state, scale=1):
        return jnp.zeros(self.image_shape, jnp.uint8).at[:, state].set(255)


def write(file: Path, tree, seed: int | None = None) -> None:
    """Write every array of a pytree under its place in it; of seeds side by side, one."""

    def numbers(leaf):
        raw = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        return np.asarray(raw) if seed is None else np.asarray(raw)[seed]

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    np.savez(file, **{jax.tree_util.keystr(place): numbers(leaf) for place, leaf in leaves})


def differences(one: Path, other: Path, *, rtol: float = 1e-4, atol: float = 2e-5) -> list[str]:
    """The places where two files disagree by more than the rounding of sums in float32."""
    with np.load(one) as a, np.load(other) as b:
        assert set(a.files) == set(b.files)
        return [name for name in a.files if not np.allclose(a[name], b[name], rtol=rtol, atol=atol)]


def one_device_and_four(folder: str) -> None:
    lies = []
    observe = WorldModel.observe

    def watched(model, batch, *, key):
        states, *rest = observe(model, batch, key=key)
        for array in (batch.image, batch.reward, states.h, states.z):
            jax.debug.inspect_array_sharding(
                array, callback=lambda s, shape=array.shape: lies.append((s.num_devices, s.shard_shape(shape)[0]))
            )
        return states, *rest

    WorldModel.observe = watched
    spread = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, devices=4))
    for name, config in (("chunk4", spread), ("chunk1", CONFIG)):
        lies.clear()
        state = on_devices(config.train, start_training(config, Walk(), key=jax.random.key(0)))
        write(Path(folder, f"{name}.npz"), train_chunk(config, Walk(), state))
        devices, batch = config.train.devices, config.train.batch
        assert (devices, batch // devices) in lies, f"with devices={devices} the batch lies {set(lies)}"
    with pytest.raises(ValueError, match=r"train.devices is 16, and this machine has 4"):
        on_devices(dataclasses.replace(CONFIG.train, devices=16, batch=16), state)


def seeds_together_and_alone(folder: str) -> None:
    keys, world = jax.random.split(jax.random.key(0), SEEDS), Walk()
    together = start_seeds(CONFIG, world, keys=keys)
    alone = [start_training(CONFIG, world, key=key) for key in keys]

    def write_down(what, together, alone):
        for seed in range(SEEDS):
            write(Path(folder, f"{what}_alone{seed}.npz"), alone[seed])
            write(Path(folder, f"{what}_together{seed}.npz"), together, seed)

    write_down("begun", together, alone)
    trained = train_seeds(CONFIG, world, together)
    write_down("trained", trained, [train_chunk(CONFIG, world, state) for state in alone])
    assert together.replay.rows.image.is_deleted(), "the replays' memory is used again"


def started(folder: Path, function, *arguments, devices: int, **environment: str) -> tuple[subprocess.Popen, Path]:
    """A process that runs one of the functions above, under the run-time checks of all tests; and what it says."""
    here = Path(__file__)
    # A proxy would only stand in the way of two processes on one machine.
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    # XLA's fusion emitters make faster programs, and take twice as long to do so. `conftest` adds its own flags.
    flags = f"--xla_cpu_use_fusion_emitters=false --xla_force_host_platform_device_count={devices}"
    kept |= {
        "XLA_FLAGS": flags,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": f"{here.parent}{os.pathsep}{here.parents[1]}{os.pathsep}{here.parents[2]}",
    }
    code = f"import conftest, {here.stem}; {here.stem}.{function.__name__}(*{(str(folder), *arguments)!r})"
    # Not a pipe: hosts that wait for each other must not wait for a reader too.
    said = folder / f"{function.__name__}{''.join(map(str, arguments[-1:]))}.txt"
    with said.open("w") as file:
        command = [sys.executable, "-c", code]
        return subprocess.Popen(command, env=kept | environment, stdout=file, stderr=subprocess.STDOUT), said


def finish(*processes: tuple[subprocess.Popen, Path]) -> None:
    """Wait until all are done. None is left behind, whatever happens."""
    try:
        for process, said in processes:
            process.wait(timeout=SECONDS)
            assert process.returncode == 0, said.read_text()[-3000:]
    finally:
        for process, _ in processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where all that needs no other process has been computed."""
    folder = tmp_path_factory.mktemp("devices")
    finish(
        started(folder, one_device_and_four, devices=4),
        started(folder, seeds_together_and_alone, devices=1),
    )
    return folder


def test_a_run_on_four_devices_learns_what_it_learns_on_one(folder):
    assert differences(folder / "chunk4.npz", folder / "chunk1.npz") == []


def test_a_batch_that_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match=r"train\.batch is 4; it must be a multiple of train\.devices \(3\)"):
        dataclasses.replace(CONFIG.train, devices=3)


@pytest.mark.parametrize("what", ["begun", "trained"])
def test_seeds_side_by_side_learn_what_each_learns_alone(folder, what):
    for seed in range(SEEDS):
        assert differences(folder / f"{what}_together{seed}.npz", folder / f"{what}_alone{seed}.npz") == []
    assert differences(folder / f"{what}_alone0.npz", folder / f"{what}_alone1.npz") != [], "seeds are not all one"
