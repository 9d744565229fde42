"""Distributions: how states, actions and rewards are written down as probabilities.

The world model's state z is a row of categorical variables, an action is one-hot or a bounded normal, and rewards and
values are a categorical over fixed bins, so that one head serves returns of 0.01 and of 10,000 alike. Categoricals are
handed around as normalised log-probabilities, classes last; `*batch` stands for any leading axes. All of it is float32:
a network that computes in bfloat16 converts its outputs before they come here.

Sources: DreamerV3 (arXiv 2301.04104); SENSEI (arXiv 2503.01584) and its Plan2Explore base (arXiv 2005.05960) use the
same pieces. Checked against danijar/dreamerv3 (its first version and today's) and NM512/dreamerv3-torch in
`tests/golden`. Left out: Gaussian latents, and log-odds heads for yes-or-no questions. Built in notebook 02_rssm.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from sensei_lite.types import Seed


def symlog(x: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Compute sign(x) ln(1 + |x|), which squashes large numbers of both signs; near 0 it is the identity."""
    sign, size = _sign_and_size(x)
    return sign * jnp.log1p(size)


def symexp(x: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Compute sign(x) (exp(|x|) - 1), the inverse of `symlog`. Overflows to infinity beyond |x| = 88."""
    sign, size = _sign_and_size(x)
    return sign * jnp.expm1(size)


def _sign_and_size(x: Float[Array, "*batch"]) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
    # Call-out D1 (ours): danijar/dreamerv3 writes sign(x), whose value 0 at x = 0 also makes the gradient there 0.
    # The derivative of symlog and symexp at 0 is 1, and so it is here.
    sign = jnp.where(x < 0, -1.0, 1.0)
    return sign, sign * x


def symexp_bins(number: int = 255) -> Float[Array, " bins"]:
    """Return the bins of two-hot heads: symexp of an even grid from -20 to 20, so from -4.9e8 to 4.9e8.

    The middle one is exactly 0 and the others mirror each other exactly. Today's danijar/dreamerv3 uses these bins.

    Raises ValueError if ``number`` is even (no bin would be 0) or below 3.
    """
    # Call-out D2 (research code): SENSEI's heads have 255 even bins, and their targets and means live in symlog space.
    # There the mean of "0 or 100, equally likely" comes out as 9; on symexp bins it is 50.
    if number < 3 or number % 2 == 0:
        raise ValueError(f"the number of bins must be odd and at least 3, so that 0 is one of them; got {number}")
    positive = np.expm1(np.linspace(0.0, 20.0, number // 2 + 1))
    return jnp.asarray(np.concatenate([-positive[:0:-1], positive]), jnp.float32)


def two_hot(x: Float[Array, "*batch"], bins: Float[Array, " bins"]) -> Float[Array, "*batch bins"]:
    """Encode x as two-hot weights w, which share 1 between the bins around it so that sum_i w_i bins_i = x.

    With bins_i <= x <= bins_{i+1}: w_{i+1} = (x - bins_i) / (bins_{i+1} - bins_i) and w_i = 1 - w_{i+1}. Beyond the
    ends all weight lies on the end bin. ``bins`` must increase.
    """
    # Seen from a bin, its weight is a hat over x: it rises from the bin before and falls towards the bin after.
    x, gap = x[..., None], jnp.diff(bins)
    ones = jnp.ones_like(x)
    rising = jnp.concatenate([ones, (x - bins[:-1]) / gap], axis=-1)
    falling = jnp.concatenate([(bins[1:] - x) / gap, ones], axis=-1)
    return jnp.clip(jnp.minimum(rising, falling), 0.0, 1.0)


def two_hot_loss(
    logits: Float[Array, "*batch bins"], target: Float[Array, "*batch"], bins: Float[Array, " bins"]
) -> Float[Array, "*batch"]:
    """Compute the cross-entropy -sum_i w_i(target) ln p_i with p = softmax(logits), in nats.

    No gradient flows to the target.
    """
    weights = two_hot(jax.lax.stop_gradient(target), bins)
    return -jnp.sum(weights * jax.nn.log_softmax(logits), axis=-1)


def two_hot_mean(logits: Float[Array, "*batch bins"], bins: Float[Array, " bins"]) -> Float[Array, "*batch"]:
    """Compute the expectation sum_i p_i bins_i, in the unit of the bins; these mirror each other as `symexp_bins` do.

    Bins of 4.9e8 turn a rounding error into a reward. So mirrored bins are taken together, (p_{n-i} - p_i) bins_{n-i},
    and a head that starts with equal logits says exactly 0.
    """
    probs = jax.nn.softmax(logits)
    return 0.5 * jnp.sum((probs - probs[..., ::-1]) * bins, axis=-1)


class TwoHot(eqx.Module):
    """A number, predicted as probabilities of the bins of `symexp_bins`."""

    logits: Float[Array, "*batch bins"]

    def mean(self) -> Float[Array, "*batch"]:
        """Compute the expected number, in the unit of the targets."""
        return two_hot_mean(self.logits, symexp_bins(self.logits.shape[-1]))

    def loss(self, *targets: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Compute the cross-entropy with a target, in nats; with several targets, the sum."""
        bins = symexp_bins(self.logits.shape[-1])
        return sum((two_hot_loss(self.logits, target, bins) for target in targets), jnp.zeros(()))


def unimix(logits: Float[Array, "*batch classes"], mix: float = 0.01) -> Float[Array, "*batch classes"]:
    """Mix a categorical of K classes with the uniform one: log-probabilities ln((1 - mix) softmax(logits) + mix / K).

    The share of uniform noise keeps every class possible, so no KL divergence and no log-probability is infinite.

    Raises ValueError unless 0 <= mix < 1.
    """
    if not 0 <= mix < 1:
        raise ValueError(f"mix is a share and must satisfy 0 <= mix < 1, got {mix}")
    if mix == 0:
        return jax.nn.log_softmax(logits)
    return jnp.log((1 - mix) * jax.nn.softmax(logits) + mix / logits.shape[-1])


def sample_one_hot(log_probs: Float[Array, "*batch classes"], *, key: Seed) -> Float[Array, "*batch classes"]:
    """Sample a one-hot vector with straight-through gradients: sample + probs - stop_gradient(probs).

    The pretence that d sample = d probs lets the world model learn through a choice.
    """
    # A uniform number falls into one of K intervals whose lengths are the probabilities. `jax.random.categorical` needs
    # K random numbers and 2K logarithms for the same; drawing was five times as slow on a CPU.
    upper_edges = jnp.cumsum(jnp.exp(log_probs), axis=-1)[..., :-1]
    uniform = jax.random.uniform(key, (*log_probs.shape[:-1], 1))
    return _straight_through(jnp.sum(uniform >= upper_edges, axis=-1), log_probs)


def mode_one_hot(log_probs: Float[Array, "*batch classes"]) -> Float[Array, "*batch classes"]:
    """Return the most probable class, one-hot, with straight-through gradients as in `sample_one_hot`."""
    return _straight_through(jnp.argmax(log_probs, axis=-1), log_probs)


def _straight_through(
    index: Int[Array, "*batch"], log_probs: Float[Array, "*batch classes"]
) -> Float[Array, "*batch classes"]:
    probs = jnp.exp(log_probs)
    # The bracket is exactly 0, so the value stays exactly one-hot.
    return jax.nn.one_hot(index, log_probs.shape[-1]) + (probs - jax.lax.stop_gradient(probs))


def log_prob_one_hot(
    log_probs: Float[Array, "*batch classes"], one_hot: Float[Array, "*batch classes"]
) -> Float[Array, "*batch"]:
    """Compute the log-probability of a one-hot vector, in nats. The caller stops the gradient of a sampled action."""
    return jnp.sum(one_hot * log_probs, axis=-1)


def categorical_entropy(log_probs: Float[Array, "*batch classes"]) -> Float[Array, "*batch"]:
    """Compute the entropy -sum_k p_k ln p_k of each categorical, in nats: 0 for certainty, ln K for a uniform one."""
    return -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)


def kl_categorical(
    log_p: Float[Array, "*batch stoch classes"], log_q: Float[Array, "*batch stoch classes"]
) -> Float[Array, "*batch"]:
    """Compute KL(p || q) = sum_k p_k (ln p_k - ln q_k), summed over a state's independent categoricals, in nats."""
    return jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=(-2, -1))


class BalancedKL(NamedTuple):
    """The two halves of the KL loss, and the divergence itself; each [*batch], in nats."""

    dynamics: Float[Array, "*batch"]
    """Teaches the prior to foresee the posterior."""
    representation: Float[Array, "*batch"]
    """Teaches the posterior to be foreseeable."""
    raw: Float[Array, "*batch"]
    """KL(posterior || prior) without free bits and without gradient, for the log."""


def balanced_kl(
    posterior: Float[Array, "*batch stoch classes"],
    prior: Float[Array, "*batch stoch classes"],
    free_bits: float = 1.0,
) -> BalancedKL:
    """Compute the two halves of the KL loss between posterior and prior, each with free bits.

    dynamics       = max(free_bits, KL(stop_gradient(posterior) || prior))
    representation = max(free_bits, KL(posterior || stop_gradient(prior)))

    They pull prior and posterior together, each at its own rate, and not at all once they are close. Arguments are
    log-probabilities; ``free_bits`` is in nats, whatever its name says. The maximum is taken after the sum over a
    state's categoricals and before any mean over batch and time: a step below ``free_bits`` gives no gradient, whatever
    the others do. Both have the same value; the world model weighs them.
    """
    stop = jax.lax.stop_gradient
    return BalancedKL(
        dynamics=jnp.maximum(free_bits, kl_categorical(stop(posterior), prior)),
        representation=jnp.maximum(free_bits, kl_categorical(posterior, stop(prior))),
        raw=stop(kl_categorical(posterior, prior)),
    )


class BoundedNormal(eqx.Module):
    """A normal distribution with independent dimensions and a bounded mean, for actions from -1 to 1.

    Samples may lie outside; whoever gives them to the world clips them, and `log_prob` is that of the unclipped sample.
    """

    mean: Float[Array, "*batch action"]
    std: Float[Array, "*batch action"]

    def sample(self, *, key: Seed) -> Float[Array, "*batch action"]:
        """Sample mean + std * noise. Gradients flow to mean and std (reparameterisation); REINFORCE stops them."""
        return self.mean + self.std * jax.random.normal(key, self.mean.shape)

    def mode(self) -> Float[Array, "*batch action"]:
        """Return the most probable action, which is the mean."""
        return self.mean

    def log_prob(self, action: Float[Array, "*batch action"]) -> Float[Array, "*batch"]:
        """Compute the log-density of ``action``, summed over its dimensions, in nats."""
        return jnp.sum(jax.scipy.stats.norm.logpdf(action, self.mean, self.std), axis=-1)

    def entropy(self) -> Float[Array, "*batch"]:
        """Compute the differential entropy sum_i ln(std_i sqrt(2 pi e)), in nats. It can be negative."""
        return jnp.sum(jnp.log(self.std) + 0.5 * np.log(2 * np.pi * np.e), axis=-1)


def bounded_normal(
    raw_mean: Float[Array, "*batch action"],
    raw_std: Float[Array, "*batch action"],
    min_std: float = 0.1,
    max_std: float = 1.0,
) -> BoundedNormal:
    """Make a `BoundedNormal` of a network's two outputs.

    mean = tanh(raw_mean),  std = min_std + (max_std - min_std) sigmoid(raw_std + 2)

    The form and the numbers of danijar/dreamerv3: `bounded_normal` today, `normal` in version 1, which SENSEI used.
    """
    return BoundedNormal(jnp.tanh(raw_mean), min_std + (max_std - min_std) * jax.nn.sigmoid(raw_std + 2.0))
