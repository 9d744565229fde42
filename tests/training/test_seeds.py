"""Spread over devices, hosts or seeds, learning gives the numbers that it gives alone.

How many devices there are is settled when JAX starts. So the functions that are not tests run in processes of their own
(`started`) and write down what they computed, and the tests compare files. Nothing here may compute when the module is
imported, because hosts must be connected before.
"""

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.agent import state as agents
from sensei_lite.agent import update as learning
from sensei_lite.models.world_model import Transition, WorldModel
from sensei_lite.presets import smoke
from sensei_lite.training.jax_loop import on_devices, start_training, train_chunk
from sensei_lite.training.seeds import connect_hosts, join_rows, local_copy, parallel_update, start_seeds, train_seeds
from sensei_lite.types import Discrete
from sensei_lite.worlds.base import Step, World

CONFIG = smoke()
SHAPE, ACTIONS = (16, 24, 3), Discrete(("a", "b", "c", "d", "e"))
BATCH, TIME, HOSTS, SEEDS = 8, 6, 2, 2
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


def an_agent(seed: int = 0) -> agents.AgentState:
    """An agent whose weights are all different from zero, so that every part of it has something to learn."""
    like = jax.eval_shape(lambda: agents.init(CONFIG, SHAPE, ACTIONS, key=jax.random.key(0)))
    generator = np.random.default_rng(seed)

    def fill(place, leaf):
        if place[0].name in ("normalisers", "optimisers", "updates"):
            return jnp.asarray(np.zeros(leaf.shape, leaf.dtype))
        return jnp.asarray(0.2 * generator.standard_normal(leaf.shape, np.float32))

    return jax.tree_util.tree_map_with_path(fill, like)


def some_rows(batch: int = BATCH) -> Transition:
    generator = np.random.default_rng(1)
    rows = Transition(
        image=generator.integers(0, 256, (batch, TIME, *SHAPE), np.uint8),
        action=np.eye(5, dtype=np.float32)[generator.integers(0, 5, (batch, TIME))],
        reward=generator.standard_normal((batch, TIME), np.float32),
        semantic=generator.standard_normal((batch, TIME), np.float32),
        is_first=generator.random((batch, TIME)) < 0.1,
        is_terminal=generator.random((batch, TIME)) < 0.1,
    )
    return jax.tree.map(jnp.asarray, rows)


def two_updates(update, rows: Transition):
    """The second one begins with an agent that lies where the first one left it."""
    agent, _ = update(an_agent(), rows, key=jax.random.key(2))
    return update(agent, rows, key=jax.random.key(3))


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


def one_device_and_eight(folder: str) -> None:
    lies, traced = [], []
    observe = WorldModel.observe

    def rollout(model, rows, *, key):
        states, *rest = observe(model, rows, key=key)
        traced.append(len(rows.reward))
        for array in (rows.image, rows.reward, states.h, states.z):
            jax.debug.inspect_array_sharding(
                array, callback=lambda s, shape=array.shape: lies.append((s.num_devices, s.shard_shape(shape)[0]))
            )
        return states, *rest

    WorldModel.observe = rollout
    update = parallel_update()
    message = r"train\.batch is 12; it must be a multiple of the number of devices \(8\)"
    with pytest.raises(ValueError, match=message):
        update(an_agent(), some_rows(12), key=jax.random.key(0))
    with pytest.raises(ValueError, match=message):
        join_rows(some_rows(12), 12)
    with pytest.raises(ValueError, match=r"this host has 4 sequences; train\.batch \(8\) over 1 hosts is 8"):
        join_rows(some_rows(4), 8)
    assert traced == [], "wrong sizes are refused before anything is compiled"

    write(Path(folder, "8.npz"), two_updates(update, some_rows()))
    assert set(lies) == {(8, 1)}, f"each of 8 devices has 1 sequence of the batch and of the states, not {lies}"
    assert traced == [BATCH], "two updates are compiled for once"
    alone = jax.jit(lambda agent, rows, key: learning.update(agent, rows, key=key))
    write(Path(folder, "1.npz"), two_updates(lambda agent, rows, *, key: alone(agent, rows, key), some_rows()))
    spread = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, devices=4))
    for name, config in (("chunk4", spread), ("chunk1", CONFIG)):
        lies.clear()
        state = on_devices(config.train, start_training(config, Walk(), key=jax.random.key(0)))
        write(Path(folder, f"{name}.npz"), train_chunk(config, Walk(), state))
        devices, batch = config.train.devices, config.train.batch
        assert (devices, batch // devices) in lies, f"with devices={devices} the batch lies {set(lies)}"
    with pytest.raises(ValueError, match=r"train.devices is 16, and this machine has 8"):
        on_devices(dataclasses.replace(CONFIG.train, devices=16, batch=16), state)

    two = join_rows(some_rows(), BATCH, jax.devices()[2:4])
    assert [(shard.device.id, len(shard.data)) for shard in two.reward.addressable_shards] == [(2, 4), (3, 4)]

    with pytest.raises(RuntimeError, match="before"):
        connect_hosts("127.0.0.1:1", HOSTS, 0)


def one_host(folder: str, address: str, host: int) -> None:
    if host == 0:
        connect_hosts(address, HOSTS, 0, timeout_seconds=SECONDS)
    else:
        connect_hosts(timeout_seconds=SECONDS)  # the environment says the rest
    assert (jax.process_index(), jax.process_count(), jax.device_count()) == (host, HOSTS, 2 * HOSTS)
    share = BATCH // HOSTS
    rows = join_rows(jax.tree.map(lambda x: x[host * share :][:share], some_rows()), BATCH)
    assert rows.image.shape == (BATCH, TIME, *SHAPE)
    assert [shard.data.shape[0] for shard in rows.image.addressable_shards] == [2, 2], "the rest lies elsewhere"
    update = parallel_update()
    with pytest.raises(AssertionError, match="not the same on each process"):
        update(an_agent(seed=host), rows, key=jax.random.key(0))
    with pytest.raises(AssertionError, match="the key is not the same on every host"):
        update(an_agent(), rows, key=jax.random.key(host))
    here = local_copy(two_updates(update, rows))
    assert all(leaf.devices() == {jax.local_devices()[0]} for leaf in jax.tree.leaves(here))
    write(Path(folder, f"host{host}.npz"), here)


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
    kept |= {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": f"{here.parent}{os.pathsep}{here.parent.parent}"}
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
        started(folder, one_device_and_eight, devices=8),
        started(folder, seeds_together_and_alone, devices=1),
    )
    return folder


def test_eight_devices_learn_what_one_learns(folder):
    assert differences(folder / "8.npz", folder / "1.npz") == []


def test_a_run_on_four_devices_learns_what_it_learns_on_one(folder):
    assert differences(folder / "chunk4.npz", folder / "chunk1.npz") == []


def test_a_batch_that_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match=r"train\.batch is 4; it must be a multiple of train\.devices \(3\)"):
        dataclasses.replace(CONFIG.train, devices=3)


def test_two_hosts_learn_what_one_device_learns(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    told = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(HOSTS), "JAX_PROCESS_ID": "1"}
    finish(
        started(folder, one_host, address, 0, devices=2),
        started(folder, one_host, address, 1, devices=2, **told),
    )
    assert differences(folder / "host0.npz", folder / "1.npz") == []
    assert differences(folder / "host0.npz", folder / "host1.npz", rtol=0, atol=0) == []


@pytest.mark.parametrize("what", ["begun", "trained"])
def test_seeds_side_by_side_learn_what_each_learns_alone(folder, what):
    for seed in range(SEEDS):
        assert differences(folder / f"{what}_together{seed}.npz", folder / f"{what}_alone{seed}.npz") == []
    assert differences(folder / f"{what}_alone0.npz", folder / f"{what}_alone1.npz") != [], "seeds are not all one"


def test_a_number_in_the_environment_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv("JAX_PROCESS_ID", "two")
    with pytest.raises(ValueError, match="JAX_PROCESS_ID is 'two'; it must be a whole number"):
        connect_hosts("127.0.0.1:1", HOSTS)
