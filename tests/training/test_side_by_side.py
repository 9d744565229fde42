"""Spread over devices or seeds, learning gives the numbers that it gives alone.

How many devices there are is settled when JAX starts. So what needs four runs in a process of its own, which imports
this module: nothing here may compute when it is imported.
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


def same(one, other, *, rtol: float = 1e-4, atol: float = 2e-5) -> bool:
    """Whether two pytrees agree but for the rounding of sums in float32."""

    def raw(leaf):
        return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)

    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.allclose(raw(a), raw(b), rtol=rtol, atol=atol) for a, b in pairs)


def one_device_and_four() -> None:
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
    spread, learned = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, devices=4)), []
    for config in (spread, CONFIG):
        lies.clear()
        state = on_devices(config.train, start_training(config, Walk(), key=jax.random.key(0)))
        learned.append(train_chunk(config, Walk(), state))
        devices, batch = config.train.devices, config.train.batch
        assert (devices, batch // devices) in lies, f"with devices={devices} the batch lies {set(lies)}"
    assert same(*learned)
    with pytest.raises(ValueError, match=r"train.devices is 16, and this machine has 4"):
        on_devices(dataclasses.replace(CONFIG.train, devices=16, batch=16), state)


@pytest.mark.slow
def test_a_run_on_four_devices_learns_what_it_learns_on_one():
    here = Path(__file__)
    paths = os.pathsep.join(map(str, (here.parent, here.parents[1], here.parents[2])))
    kept = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": paths}
    kept["XLA_FLAGS"] += " --xla_force_host_platform_device_count=4"
    code = f"import conftest, {here.stem}; {here.stem}.one_device_and_four()"
    told = subprocess.run([sys.executable, "-c", code], env=kept, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr[-3000:]


def test_a_batch_that_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match=r"train\.batch is 4; it must be a multiple of train\.devices \(3\)"):
        dataclasses.replace(CONFIG.train, devices=3)


def test_seeds_side_by_side_learn_what_each_learns_alone():
    keys, world = jax.random.split(jax.random.key(0), SEEDS), Walk()
    together = start_seeds(CONFIG, world, keys=keys)
    alone = [start_training(CONFIG, world, key=key) for key in keys]
    for seed in range(SEEDS):
        assert same(jax.tree.map(lambda leaf, seed=seed: leaf[seed], together), alone[seed])
    trained = train_seeds(CONFIG, world, together)
    assert together.replay.rows.image.is_deleted(), "the replays' memory is used again"
    trained_alone = [train_chunk(CONFIG, world, state) for state in alone]
    for seed in range(SEEDS):
        assert same(jax.tree.map(lambda leaf, seed=seed: leaf[seed], trained), trained_alone[seed])
    assert not same(*trained_alone), "seeds are not all one"
