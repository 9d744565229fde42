"""Random network distillation: the features of states that the agent has seldom seen cannot be predicted.

    r_nov(s) = mean over features of (g(s) - f(s))^2 / running mean of that error in replayed states

f is a network with random weights that never change; g learns to give the same, from the states that the agent was in.
The more often it was in a state like s, the smaller the error.

Source: Burda et al. (arXiv 1810.12894). Here for comparison, as a stream of the same agent: both networks read the
world model's state, so that dreams can be rewarded. The paper's RND baseline reads pictures and learns without a model.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sensei_lite.config import NoveltyConfig
from sensei_lite.models.layers import MLP, batch_apply
from sensei_lite.types import Scalar, Seed


class RandomDistillation(eqx.Module):
    """The fixed target network f, the predictor g, and the running mean of g's error."""

    target: MLP
    predictor: MLP
    error_mean: Scalar
    """Moving mean of the error before it is divided."""

    def __init__(self, config: NoveltyConfig, size: int, *, key: Seed):
        target_key, predictor_key = jax.random.split(key)
        self.target, self.predictor = (
            MLP(size, config.features, config.hidden, config.layers, key=k) for k in (target_key, predictor_key)
        )
        self.error_mean = jnp.ones(())

    def error(self, features: Float[Array, "*batch features"]) -> Float[Array, "*batch"]:
        """Compute the predictor's squared error, mean over f's features. No gradient reaches f or the world model."""
        features = jax.lax.stop_gradient(features)
        target = jax.lax.stop_gradient(batch_apply(self.target, features)).astype(jnp.float32)
        return jnp.square(batch_apply(self.predictor, features) - target).mean(-1)

    def reward(self, features: Float[Array, "*batch features"]) -> Float[Array, "*batch"]:
        """Compute r_nov, the error over its running mean: 1 where it is as large as usual in replayed states."""
        return self.error(features) / self.error_mean

    def updated(self, error: Scalar, decay: float = 0.99) -> "RandomDistillation":
        """Update the running mean of the error with a batch's mean error; return the new module."""
        error_mean = decay * self.error_mean + (1 - decay) * jax.lax.stop_gradient(error)
        return eqx.tree_at(lambda rnd: rnd.error_mean, self, error_mean)
