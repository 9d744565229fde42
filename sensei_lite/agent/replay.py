"""What the agent remembers: the last rows of every world, as one pytree that compiled code writes and reads.

A ring buffer [slots envs ...]: row i of all worlds is written at slot i mod slots. A sequence is ``length`` rows in a
row from one world, drawn uniformly; it may run over the end of an episode (the model's memory is wiped there) but never
over the place where new rows overwrite old ones.

Beside the rows lie the true facts about them, if the world tells any (`World.facts`). No sample has them: they are for
whoever measures what the agent saw, and for scripted annotators.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from sensei_lite.models.world_model import Transition
from sensei_lite.types import Count, Seed


class Replay(eqx.Module):
    """The ring buffer."""

    rows: Transition
    facts: dict[str, Bool[Array, "slots envs"]]
    written: Int[Array, ""]
    """Rows written to each world's ring since the beginning."""

    @classmethod
    def create(cls, slots: int, example: Transition, facts: dict[str, Bool[Array, " envs"]] | None = None) -> "Replay":
        """Make an empty ring of ``slots`` rows for each world, shaped like one row of all [envs ...] and its facts.

        Without ``facts`` none are kept.
        """
        empty = jax.tree.map(lambda leaf: jnp.zeros((slots, *leaf.shape), leaf.dtype), (example, facts or {}))
        return cls(empty[0], empty[1], jnp.zeros((), jnp.int32))

    @property
    def slots(self) -> int:
        """Rows that the ring holds of each world."""
        return self.rows.reward.shape[0]

    @property
    def filled(self) -> Count:
        """Rows that it holds now."""
        return jnp.minimum(self.written, self.slots)

    def add(self, row: Transition, facts: dict[str, Bool[Array, " envs"]] | None = None) -> "Replay":
        """Remember one row of every world, and the facts about it if such are kept."""
        at, rings = self.written % self.slots, (self.rows, self.facts)
        rings = jax.tree.map(
            lambda ring, new: jax.lax.dynamic_update_index_in_dim(ring, new, at, 0), rings, (row, facts or {})
        )
        return Replay(rings[0], rings[1], self.written + 1)

    def sample(self, batch: int, length: int, *, key: Seed) -> Transition:
        """Draw ``batch`` sequences of ``length`` rows. There must be that many rows of each world."""
        start_key, env_key = jax.random.split(key)
        start = jax.random.randint(start_key, (batch, 1), 0, self.filled - length + 1)
        env = jax.random.randint(env_key, (batch, 1), 0, self.rows.reward.shape[1])
        oldest = self.written - self.filled
        slot = (oldest + start + jnp.arange(length)) % self.slots
        return jax.tree.map(lambda ring: ring.at[slot, env].get(mode="promise_in_bounds"), self.rows)

    def in_order(self) -> tuple[Transition, dict[str, Bool[Array, "rows envs"]]]:
        """All rows that it holds, oldest first [rows envs ...], and the facts about them. Not for compiled code."""
        filled = int(self.filled)
        slots = (int(self.written) - filled + jnp.arange(filled)) % self.slots
        return jax.tree.map(lambda ring: ring[slots], (self.rows, self.facts))
