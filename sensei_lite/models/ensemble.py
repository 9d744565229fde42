"""Curiosity: an ensemble predicts the next stochastic state; where its members disagree there is something to learn.

    f_n(s_t, a_t), n = 1 ... N, each trained to give z_{t+1}

    variance             r_dis = mean over dimensions of  Var_n f_n                      (SENSEI's text)
    std                  r_dis = mean over dimensions of  sqrt(Var_n f_n)                (SENSEI's research code)
    mutual_information   r_dis = sum over categoricals of H[mean_n p_n] - mean_n H[p_n]  (this code's lab preset)

Members start from different weights and see the same data. Where data is plenty they agree, even about what is random
(all predict its mean); where it is scarce they do not. So disagreement rewards the unknown and not the noisy.

Plan2Explore derives its reward as the information gained about which member is right. For members that give a number
with equal noise, the variance stands for it; z is made of categoricals, and for members that give probabilities p_n the
mutual information is the third line, in nats.

Source: Plan2Explore (arXiv 2005.05960), SENSEI (arXiv 2503.01584). Built in notebook 04_curiosity.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from sensei_lite.config import EnsembleConfig
from sensei_lite.models import _fast
from sensei_lite.models._fast.normed_linear import mean_over_heads
from sensei_lite.models.distributions import categorical_entropy, unimix
from sensei_lite.models.layers import MLP, microbatch
from sensei_lite.models.rssm import State, clip_action
from sensei_lite.models.world_model import PosteriorRollout
from sensei_lite.types import Seed

ROWS = 512
"""Imagined steps of a microbatch, which all heads read together on a CPU."""


@_fast.on_cpu(mean_over_heads)
def mean_of_heads(x: Float[Array, "heads *rest"]) -> Float[Array, "*rest"]:
    """Compute the mean over the leading axis."""
    return x.mean(0)


def ensemble_variance(predictions: Float[Array, "heads *batch size"]) -> Float[Array, "*batch"]:
    """Compute the variance over heads (divided by their number), averaged over dimensions."""
    return _variance(predictions).mean(-1)


def ensemble_std(predictions: Float[Array, "heads *batch size"]) -> Float[Array, "*batch"]:
    """Compute the standard deviation over heads, averaged over dimensions."""
    variance = _variance(predictions)
    # The square root has no finite slope at 0, where heads agree exactly: there it passes no gradient on.
    agree = variance == 0
    return jnp.where(agree, 0.0, jnp.sqrt(jnp.where(agree, 1.0, variance))).mean(-1)


def _variance(predictions: Float[Array, "heads *batch size"]) -> Float[Array, "*batch size"]:
    return mean_of_heads(jnp.square(predictions - mean_of_heads(predictions)))


def mutual_information(log_probs: Float[Array, "heads *batch stoch classes"]) -> Float[Array, "*batch"]:
    """Compute the mutual information of z and the choice of a head, in nats, summed over the categoricals.

    It is what one would learn, on average, from being told which head is right: 0 where heads agree, however uncertain
    they are; ln(heads) for each categorical where all are sure of another class.
    """
    mean = mean_of_heads(jnp.exp(log_probs))
    return (categorical_entropy(jnp.log(mean)) - mean_of_heads(categorical_entropy(log_probs))).sum(-1)


class Ensemble(eqx.Module):
    """Heads with a leading axis on every weight: one ``vmap`` runs them all."""

    heads: MLP
    classes: int = eqx.field(static=True)
    config: EnsembleConfig = eqx.field(static=True)

    def __init__(self, config: EnsembleConfig, deter: int, action_size: int, stoch: int, classes: int, *, key: Seed):
        self.config, self.classes = config, classes
        keys = jax.random.split(key, config.heads)
        size_z = stoch * classes
        size_in = deter if config.reads == "memory" else deter + size_z + action_size
        self.heads = eqx.filter_vmap(lambda k: MLP(size_in, size_z, config.hidden, config.layers, key=k))(keys)

    def predict(
        self,
        s_t: Float[Array, "*rows features"],
        a_t: Float[Array, "*rows action"],
        h_tp1: Float[Array, "*rows deter"],
    ) -> Float[Array, "heads *rows stoch classes"]:
        """Predict z_{t+1} with every head: numbers, or for ``measure="mutual_information"`` log-probabilities."""
        # Call-out E2 (ours): `reads="memory"` makes each head a prior of its own. The RSSM has already worked out where
        # a_t leads, so heads fit much sooner, and what they still disagree about is what is rare.
        x = h_tp1 if self.config.reads == "memory" else jnp.concatenate([s_t, clip_action(a_t)], axis=-1)
        flat = x.reshape(-1, x.shape[-1])
        predictions = eqx.filter_vmap(lambda head: jax.vmap(head)(flat))(self.heads)
        predictions = predictions.reshape(len(predictions), *x.shape[:-1], -1, self.classes).astype(jnp.float32)
        return unimix(predictions) if self.config.measure == "mutual_information" else predictions

    def reward(self, states: State, actions: Float[Array, "steps *batch action"]) -> Float[Array, "steps *batch"]:
        """Compute r_dis for every a_t of an imagined rollout with states [steps + 1 *batch ...]."""

        def disagreement(*inputs: Array) -> Array:
            predictions = self.predict(*inputs)
            if self.config.measure == "mutual_information":
                return self.config.scale * mutual_information(predictions)
            measure = ensemble_variance if self.config.measure == "variance" else ensemble_std
            return self.config.scale * measure(predictions.reshape(*predictions.shape[:-2], -1))

        inputs = (states.features[:-1], actions, states.h[1:])
        rewards = microbatch(disagreement, *(part.reshape(-1, part.shape[-1]) for part in inputs), size=ROWS)
        return rewards.reshape(actions.shape[:-1])

    def loss(
        self, rollout: PosteriorRollout, action: Float[Array, "batch time action"], is_first: Bool[Array, "batch time"]
    ) -> Float[Array, ""]:
        """Compute the heads' prediction error, summed over dimensions and heads, averaged over pairs (t, t+1).

        Squared error for numbers, cross-entropy (nats) for probabilities; pairs are of one episode. ``action`` is
        aligned on arrival, so the a_t that leads from s_t to s_{t+1} stands at time t+1. No gradient flows into the
        world model.
        """
        states, posterior = jax.lax.stop_gradient(rollout)
        z_tp1 = (states.z if self.config.target == "sample" else posterior)[:, 1:]
        predictions = self.predict(states.features[:, :-1], action[:, 1:], states.h[:, 1:])
        is_information = self.config.measure == "mutual_information"
        error = (-z_tp1 * predictions if is_information else jnp.square(predictions - z_tp1)).sum((-2, -1)).sum(0)
        # Call-out E1 (ours): the research code also learns from pairs whose second row starts a new episode.
        inside = ~is_first[:, 1:]
        return (error * inside).sum() / jnp.maximum(inside.sum(), 1)
