"""More than one device, more than one host, more than one seed: the same learning, spread out.

Devices share one update. Each has an equal part of the replayed sequences and a whole copy of the agent:

    gradient of the mean loss = mean over devices of the gradient of each device's own mean loss

JAX's compiler divides the work: it is told where arguments lie, and puts in the sums over devices that it needs. So
`learning.update` is used as it is, and only the order in which numbers are added is another. In a training run, the
setting ``train.devices`` does the same for the devices of one machine.

Several hosts run the same program, each with worlds and a replay of its own:

    connect_hosts()                                               # before JAX is used for anything else
    update = parallel_update()
    own = train.batch // jax.process_count()
    rows = join_rows(replay.sample(own, train.length, key=...), train.batch)    # a key of the host's own
    agent, metrics = update(agent, rows, key=...)                               # the same key on every host
    memory = agents.act(local_copy(agent), ...)                                 # each host in its own worlds

Seeds are the other way to fill a device: small agents that know nothing of each other, side by side in one program.

Sources: "Distributed arrays and automatic parallelization" and "Introduction to multi-controller JAX" in JAX's
documentation (docs.jax.dev). Simplified: the agent must fit on one device; the worlds of a host are not spread over its
devices; and where ``behaviour.starts`` is a number, the states that are drawn for dreams go to every device, each of
which dreams all of them (with None, as in the paper preset, dreams are divided like the batch).
"""

import functools
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

import equinox as eqx
import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Key

from sensei_lite.agent import update as learning
from sensei_lite.agent.state import AgentState, Metrics
from sensei_lite.config import Config
from sensei_lite.models.world_model import Transition
from sensei_lite.reward.model import SemanticReward
from sensei_lite.training.jax_loop import TrainState, start_training, train_chunk
from sensei_lite.types import Seed
from sensei_lite.worlds.base import World

Tree = TypeVar("Tree")


def parallel_update(devices: Sequence[jax.Device] | None = None) -> Callable[..., tuple[AgentState, Metrics]]:
    """`learning.update`, compiled for several devices (default: all, those of other hosts too).

    Returns ``update(agent, rows, *, key) -> (agent, metrics)``. It spreads rows [batch time ...] over the devices along
    ``batch``; agent, key and results are whole on each. On several hosts rows come from `join_rows`, and every host
    must call ``update``, with the same agent and key.

    ``update`` raises ValueError, before it compiles anything, where the batch cannot be divided equally, and
    AssertionError (JAX's) where hosts differ in agent or key: they would part company without a word.
    """
    spread, whole = _shardings(devices)
    compiled = jax.jit(lambda agent, rows, key: learning.update(agent, rows, key=key), out_shardings=whole)

    def update(agent: AgentState, rows: Transition, *, key: Seed) -> tuple[AgentState, Metrics]:
        _check_divisible(len(rows.reward), spread)
        # Where an array lies is part of its type: an agent that comes from one device the first time and from all the
        # next would be compiled for twice. What lies there already is not copied, and was compared before.
        agent, rows = jax.device_put(agent, whole), jax.device_put(rows, spread)
        if _number_of_hosts(spread) > 1:
            multihost_utils.assert_equal(jax.random.key_data(key), "the key is not the same on every host")
        return compiled(agent, rows, key)

    return update


def join_rows(rows: Transition, batch: int, devices: Sequence[jax.Device] | None = None) -> Transition:
    """One batch out of what the hosts have drawn: host 0's sequences first, then host 1's, and so on.

    ``rows`` are this host's share [own time ...]; the result is [batch time ...], where ``batch`` is the setting
    ``train.batch``, and lies on ``devices`` (default: all). No row travels between hosts. Raises ValueError where the
    batch cannot be divided equally, or this host's share is not an equal one.
    """
    spread, _ = _shardings(devices)
    _check_divisible(batch, spread)
    own, hosts = len(rows.reward), _number_of_hosts(spread)
    # Each host sees its own share only: with unequal ones, hosts would compute with batches of different sizes.
    if own * hosts != batch:
        raise ValueError(
            f"this host has {own} sequences; train.batch ({batch}) over {hosts} hosts is {batch / hosts:g}"
        )
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(spread, np.asarray(leaf)), rows)


def local_copy(tree: Tree) -> Tree:
    """The agent, or anything that is whole on every device, as an ordinary value on this host's first device.

    With an agent that lies on all devices, acting would be work that all hosts must do together, in step.
    """
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def connect_hosts(
    coordinator: str | None = None, hosts: int | None = None, host: int | None = None, *, timeout_seconds: int = 300
) -> None:
    """Make this process one of several that compute together. Call it first: before JAX is used for anything else.

    ``coordinator`` is the address "name:port" of host 0, ``hosts`` how many there are, ``host`` which of them this is,
    from 0. What is left out is read from ``JAX_COORDINATOR_ADDRESS``, ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID``;
    where they are not set JAX asks the cluster (Slurm, Open MPI, Kubernetes, Cloud TPU). Afterwards `jax.devices()` are
    the devices of all hosts. CPUs talk through Gloo, which JAX chooses by itself.

    Raises ValueError where something is still unknown, RuntimeError where JAX was used before. Where not all hosts have
    come after ``timeout_seconds``, JAX ends the process, with its reasons on stderr.
    """
    jax.distributed.initialize(
        coordinator,
        _number_from_environment("JAX_NUM_PROCESSES") if hosts is None else hosts,
        _number_from_environment("JAX_PROCESS_ID") if host is None else host,
        initialization_timeout=timeout_seconds,
    )


def start_seeds(
    config: Config, world: World, reward_models: SemanticReward | None = None, *, keys: Key[Array, " seeds"]
) -> TrainState:
    """`start_training` for every key: the same type, with an axis ``seeds`` in front of every array.

    ``reward_models`` is the R_psi of every seed, in one with such an axis. Memory grows with the number of seeds, above all
    for the replays: ``train.capacity`` pictures each.
    """
    return eqx.filter_vmap(lambda reward_model, key: start_training(config, world, reward_model, key=key))(
        reward_models, keys
    )


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def train_seeds(config: Config, world: World, states: TrainState) -> tuple[TrainState, Metrics, dict[str, Array]]:
    """`train_chunk` for every seed, in one program: states, metrics and counts all have ``seeds`` in front.

    Made for a GPU that one small agent would not fill. Each seed's numbers are those of the seed alone, but for the
    order in which numbers are added. ``states`` is used up, as in `train_chunk`. A ``lax.cond`` in a world costs both
    of its branches here.
    """
    return jax.vmap(lambda state: train_chunk(config, world, state))(states)


def _shardings(devices: Sequence[jax.Device] | None) -> tuple[NamedSharding, NamedSharding]:
    """Two ways to lie on devices: spread along the first axis, and whole on each."""
    mesh = Mesh(np.asarray(jax.devices() if devices is None else devices), ("batch",))
    return NamedSharding(mesh, PartitionSpec("batch")), NamedSharding(mesh, PartitionSpec())


def _number_of_hosts(sharding: NamedSharding) -> int:
    return len({device.process_index for device in sharding.mesh.devices.flat})


def _check_divisible(batch: int, spread: NamedSharding) -> None:
    if batch % spread.num_devices:
        raise ValueError(
            f"train.batch is {batch}; it must be a multiple of the number of devices ({spread.num_devices})"
        )


def _number_from_environment(name: str) -> int | None:
    text = os.environ.get(name)
    if text is not None and not text.isdecimal():
        raise ValueError(f"the environment variable {name} is {text!r}; it must be a whole number")
    return None if text is None else int(text)
