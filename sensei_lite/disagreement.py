"""Curiosity: an ensemble guesses the next stochastic state, and where its members disagree there is something to learn.

    r_dis(s_t, a_t) = mean over dimensions of the spread over heads n of  f_n(s_t, a_t),   f_n trained to give z_{t+1}

Members start from different weights and see the same data. Where data is plenty they agree, even about what is random
(all predict its mean); where it is scarce they do not. So disagreement rewards the unknown and not the noisy.

Source: Plan2Explore (arXiv 2005.05960). SENSEI's text takes the variance, its research code the standard deviation;
both are here. Built in notebook 04_curiosity.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from sensei_lite.config import EnsembleConfig
from sensei_lite.networks import MLP
from sensei_lite.shapes import Seed
from sensei_lite.world_model import Watched


def spread(predictions: Float[Array, "heads *batch size"], measure: str) -> Float[Array, "*batch"]:
    """Variance or standard deviation over heads (dividing by their number), averaged over dimensions."""
    variance = predictions.var(axis=0)
    if measure == "variance":
        return variance.mean(-1)
    # The square root has no finite slope at 0, where heads agree exactly; no gradient is ever taken through a reward.
    return jnp.sqrt(jax.lax.stop_gradient(variance)).mean(-1)


class Ensemble(eqx.Module):
    """Heads with a leading axis on every weight: one ``vmap`` runs them all."""

    heads: MLP
    config: EnsembleConfig = eqx.field(static=True)

    def __init__(self, config: EnsembleConfig, feature_size: int, action_size: int, size_z: int, *, key: Seed):
        self.config = config
        keys = jax.random.split(key, config.heads)
        size_in = feature_size + action_size
        self.heads = eqx.filter_vmap(lambda k: MLP(size_in, size_z, config.hidden, config.layers, key=k))(keys)

    def predict(
        self, features: Float[Array, "rows features"], action: Float[Array, "rows action"]
    ) -> Float[Array, "heads rows size"]:
        """Every head's guess of z_{t+1}, flattened, from s_t and a_t."""
        x = jnp.concatenate([features, action], axis=-1)
        return eqx.filter_vmap(lambda head: jax.vmap(head)(x))(self.heads)

    def reward(
        self, features: Float[Array, "rows features"], action: Float[Array, "rows action"]
    ) -> Float[Array, " rows"]:
        """r_dis for doing a_t in s_t."""
        return spread(self.predict(features, action), self.config.measure)

    def loss(
        self, watched: Watched, action: Float[Array, "batch time action"], is_first: Bool[Array, "batch time"]
    ) -> Float[Array, ""]:
        """Squared error of every head, summed over dimensions and heads, averaged over pairs (t, t+1) of one episode.

        ``action`` is aligned on arrival, so the a_t that leads from s_t to s_{t+1} stands in row t+1. No gradient flows
        into the world model.
        """
        states, posterior = jax.lax.stop_gradient(watched)
        size = states.features.shape[-1]
        features = states.features[:, :-1].reshape(-1, size)
        target = (states.z if self.config.target == "sample" else posterior)[:, 1:].reshape(len(features), -1)
        guesses = self.predict(features, action[:, 1:].reshape(len(features), -1))
        error = jnp.square(guesses - target).sum(-1).sum(0)
        # Call-out E1 (ours): the research code also learns from pairs whose second row starts a new episode.
        inside = ~is_first[:, 1:].reshape(-1)
        return (error * inside).sum() / jnp.maximum(inside.sum(), 1)
