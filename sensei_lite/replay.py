"""What the agent remembers: the last rows of every world, as one pytree that compiled code writes and reads.

A ring buffer [slots envs ...]: row i of all worlds is written at slot i mod slots. A sequence is ``length`` rows in a
row from one world, drawn uniformly; it may run over the end of an episode (the model's memory is wiped there) but never
over the place where new rows overwrite old ones.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from sensei_lite.shapes import Count, Seed
from sensei_lite.world_model import Rows


class Replay(eqx.Module):
    """The ring buffer."""

    rows: Rows
    written: Int[Array, ""]
    """Rows written to each world's ring since the beginning."""

    @classmethod
    def create(cls, slots: int, example: Rows) -> "Replay":
        """An empty ring of ``slots`` rows for each world; ``example`` is a row of all worlds [envs ...]."""
        empty = jax.tree.map(lambda leaf: jnp.zeros((slots, *leaf.shape), leaf.dtype), example)
        return cls(empty, jnp.zeros((), jnp.int32))

    @property
    def slots(self) -> int:
        """Rows that the ring holds of each world."""
        return self.rows.reward.shape[0]

    @property
    def filled(self) -> Count:
        """Rows that it holds now."""
        return jnp.minimum(self.written, self.slots)

    def add(self, row: Rows) -> "Replay":
        """Remember one row of every world."""
        at = self.written % self.slots
        rows = jax.tree.map(lambda ring, new: jax.lax.dynamic_update_index_in_dim(ring, new, at, 0), self.rows, row)
        return Replay(rows, self.written + 1)

    def sample(self, batch: int, length: int, *, key: Seed) -> Rows:
        """Draw ``batch`` sequences of ``length`` rows. There must be that many rows of each world."""
        start_key, env_key = jax.random.split(key)
        start = jax.random.randint(start_key, (batch, 1), 0, self.filled - length + 1)
        env = jax.random.randint(env_key, (batch, 1), 0, self.rows.reward.shape[1])
        oldest = self.written - self.filled
        slot = (oldest + start + jnp.arange(length)) % self.slots
        return jax.tree.map(lambda ring: ring.at[slot, env].get(mode="promise_in_bounds"), self.rows)
