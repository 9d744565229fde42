"""The go/explore switch: go where it is interesting, and once there, explore.

For every imagined state a threshold Q says which of two branches it is in, and each branch weighs the semantic reward
and disagreement in its own way. There are two forms of it, and they are not the same:

    reward (the paper's)            explore_t = r_sem,t >= Q_k(r_sem)
                                    r_t = w_sem r_sem,t + w_dis r_dis,t             one critic, of this one reward
    return (the research code's)    explore_t = R_sem,t >= Q_k(R_sem)
                                    A_t = sum_s w_s (R_s,t - v_s(s_t)) / scale_s / sum_s w_s^explore
                                                                                    a critic for each reward s

where (w_sem, w_dis) are the weights of the branch that t is in, Q_k is a moving average of each batch's k-th
percentile, and R is the lambda-return. In the first form a state counts as interesting by itself; in the second, if
something interesting follows soon, so exploring begins a few steps before.

Source: SENSEI (arXiv 2503.01584) and its research code, whose numbers are golden in `tests/golden`. Built in notebook
07_sensei.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from sensei_lite.agent.returns import PercentileNormaliser, RunningQuantile
from sensei_lite.config import SwitchConfig
from sensei_lite.types import Scalar


class Switch(eqx.Module):
    """The switch with what it remembers: the moving average behind Q."""

    seen: RunningQuantile | PercentileNormaliser
    settings: SwitchConfig = eqx.field(static=True)

    @staticmethod
    def create(settings: SwitchConfig) -> "Switch":
        """The state before anything was imagined."""
        is_range = settings.threshold == "range"
        return Switch(PercentileNormaliser.create() if is_range else RunningQuantile.create(), settings)

    def update(self, semantic: Float[Array, "..."]) -> "Switch":
        """The state after a batch of imagined semantic rewards (or returns) of any shape. No gradient flows through."""
        k, decay = self.settings.percentile, self.settings.decay
        if isinstance(self.seen, PercentileNormaliser):
            return Switch(self.seen.update(semantic, decay=decay, percentiles=(5.0, k)), self.settings)
        return Switch(self.seen.update(semantic, k, decay=decay), self.settings)

    @property
    def threshold(self) -> Scalar:
        """Q, in the unit of what was seen."""
        # Call-out S1 (research code): there the threshold is the second value that a normaliser gives, and that is not
        # the k-th percentile but its distance to the 5th, never below 1. So R_sem is held against a range of itself.
        # `threshold="range"` does the same; "percentile" is what is meant.
        return self.seen.scale if isinstance(self.seen, PercentileNormaliser) else self.seen.value

    def is_exploring(self, semantic: Float[Array, "*batch"]) -> Bool[Array, "*batch"]:
        """True: here it is interesting, so explore. False: go on to something interesting."""
        return jax.lax.stop_gradient(semantic) >= self.threshold

    def weights(self, exploring: Bool[Array, "*batch"]) -> dict[str, Float[Array, "*batch"]]:
        """The weight of every reward stream in every state, by its branch."""
        go, explore = dict(self.settings.go), dict(self.settings.explore)
        return {name: jnp.where(exploring, explore[name], go[name]) for name in explore}

    @property
    def total_weight(self) -> float:
        """What weighed advantages are divided by in both branches: the sum of the explore weights."""
        return sum(weight for _, weight in self.settings.explore)

    def reward(
        self, rewards: dict[str, Float[Array, "*batch"]], exploring: Bool[Array, "*batch"]
    ) -> Float[Array, "*batch"]:
        """The paper's one reward: every state's semantic reward and disagreement, weighed by its branch and added."""
        weights = self.weights(exploring)
        return sum((weights[name] * rewards[name] for name in weights), jnp.zeros(()))
