"""Returns: what an imagined step is worth, and on what scale.

    R_t = r_{t+1} + d_{t+1} ((1 - lam) v_{t+1} + lam R_{t+1}),     R_T = v_T

The lambda-return R_t adds up the rewards that follow s_t, and at each step trusts the critic's value v a little. Time
is aligned on arrival, as in `worlds.base.TimeStep`: index t of ``reward``, ``value`` and ``discount_continue``
belongs to s_t. So r_t is the reward for arriving in s_t, and d_t discounts whatever comes after s_t: gamma times the
probability that the episode goes on, 0 where the world ended. An imagination starts in s_0; r_0 and d_0 belong to its
past and are never used.

Time is the first axis, as a scan gives it, and `*batch` stands for any axes behind it. For states s_0 to s_T the
arguments have T + 1 entries (`time`) and the results T, for s_0 to s_{T-1}: s_T only lends its value.

Source: DreamerV3 (arXiv 2301.04104); SENSEI (arXiv 2503.01584) for the quantile. Checked against danijar/dreamerv3 (its
first version, on which SENSEI's research code stands, and today's) and NM512/dreamerv3-torch in `tests/golden`. Left
out: returns over replayed steps, which only today's danijar/dreamerv3 has. Built in notebook 03_imagination.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sensei_lite.types import Flag, Scalar


def lambda_return(
    reward: Float[Array, "time *batch"],
    value: Float[Array, "time *batch"],
    discount_continue: Float[Array, "time *batch"],
    lam: float,
) -> Float[Array, "time-1 *batch"]:
    """Compute R_0 to R_{T-1} by the equation above, in the unit of the rewards.

    lam = 0 is the one-step return r_{t+1} + d_{t+1} v_{t+1}; lam = 1 adds up all rewards and ends with v_T.

    Raises ValueError if there are fewer than two states.
    """
    if len(value) < 2:
        raise ValueError(f"a return needs at least two states, s_0 and s_1 (a horizon of 1); got {len(value)}")

    def one_step_back(R_tp1: Array, arrival: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        r_tp1, v_tp1, d_tp1 = arrival
        R_t = r_tp1 + d_tp1 * ((1 - lam) * v_tp1 + lam * R_tp1)
        return R_t, R_t

    _, returns = jax.lax.scan(one_step_back, value[-1], (reward[1:], value[1:], discount_continue[1:]), reverse=True)
    return returns


def absorbing_state_reward(
    reward: Float[Array, "time *batch"], continues: Float[Array, "time *batch"], discount: float
) -> Float[Array, "time *batch"]:
    """Compute a reward that lasts where the episode ends: r_t + (1 - c_t) (g r_t + g^2 r_t + ...), g: discount.

    Preferences fix a reward only up to a constant, so no constant may change what an agent does. But where nothing
    follows an end, it does: with rewards above 0 an agent never wants to end an episode, however interesting the end
    is, and with rewards below 0 it wants any end. If the end's own reward lasts, a constant k adds k / (1 - g) to every
    return, whenever the episode ends, and no choice depends on it.

    ``continues`` (c_t) is the probability that the world did not end at t. Source: absorbing states for learned rewards
    (Kostrikov et al., Discriminator-Actor-Critic, arXiv 1809.02925), here in closed form.
    """
    # Call-out R3 (ours): paper and research code let nothing follow an end. The `paper` preset does as they do.
    return reward * (1.0 + (1.0 - continues) * discount / (1.0 - discount))


def discount_weights(discount_continue: Float[Array, "time *batch"]) -> Float[Array, "time-1 *batch"]:
    """Compute how much an imagined step counts: w_t = d_1 d_2 ... d_t, the chance to get there, discounted; w_0 = 1.

    Imagination goes on after it has foreseen the end, and what it says there must teach nothing. Whether the *start* is
    already an end is known from replay, not imagined: the caller multiplies by 1 - is_terminal of s_0. No gradient
    flows through the weights.
    """
    # Call-out R1 (implementations): this times 1 - is_terminal of s_0 is danijar/dreamerv3 version 1 and so SENSEI.
    # Today's version multiplies by the head's d_0 instead. NM512's port is a step late: it has d_{t-1} for d_t, so a
    # state that was foreseen to be the end still counts.
    return jnp.cumprod(jax.lax.stop_gradient(discount_continue[:-1]).at[0].set(1.0), axis=0)


class PercentileNormaliser(eqx.Module):
    """The usual range of returns, so that one entropy weight suits every world: from the 5th to the 95th percentile.

    low  <- decay low  + (1 - decay) percentile_5(returns)
    high <- decay high + (1 - decay) percentile_95(returns)
    normalised advantage = (R_t - v_t) / scale,     scale = max(1, high - low)

    Both start at 0 and nothing makes up for that: for the first hundred updates the scale is too small. Small returns
    are never blown up (the 1 in the maximum), or noise would drive an actor that has found nothing yet. Percentiles
    leave out the rare outlier, which would shrink everything else.
    """

    low: Scalar
    high: Scalar

    @staticmethod
    def create() -> "PercentileNormaliser":
        """Return the state before any return was seen: scale 1, offset 0."""
        return PercentileNormaliser(low=jnp.zeros(()), high=jnp.zeros(()))

    def update(
        self, returns: Float[Array, "..."], *, decay: float = 0.99, percentiles: tuple[float, float] = (5.0, 95.0)
    ) -> "PercentileNormaliser":
        """Return the state after a batch of returns of any shape. No gradient flows through it."""
        low, high = (jnp.percentile(jax.lax.stop_gradient(returns), k) for k in percentiles)
        return PercentileNormaliser(
            low=_moving_average(self.low, low, decay), high=_moving_average(self.high, high, decay)
        )

    @property
    def offset(self) -> Scalar:
        """What version 1 subtracts from returns and values alike, so that it cancels in an advantage."""
        return self.low

    @property
    def scale(self) -> Scalar:
        """What an advantage is divided by; never below 1. In the unit of the returns."""
        return jnp.maximum(1.0, self.high - self.low)


class RunningQuantile(eqx.Module):
    """A moving average of each batch's k-th percentile: SENSEI's Q_k, above which a state is worth exploring around."""

    value: Scalar
    initialised: Flag

    @staticmethod
    def create() -> "RunningQuantile":
        """Return the state before anything was seen; its value, 0, means nothing yet."""
        return RunningQuantile(value=jnp.zeros(()), initialised=jnp.zeros((), bool))

    def update(self, x: Float[Array, "..."], percentile: float, *, decay: float = 0.99) -> "RunningQuantile":
        """Return the state after a batch of any shape; ``percentile`` goes from 0 to 100. No gradient flows through it.

        Raises ValueError if ``percentile`` is outside 0 to 100.
        """
        if not 0 <= percentile <= 100:
            raise ValueError(f"percentile must be from 0 to 100, got {percentile}")
        new = jnp.percentile(jax.lax.stop_gradient(x), percentile)
        # Call-out R2 (ours): the first batch sets the value, so that the switch works from the first update on. The
        # research code's average starts at 0 and takes some hundred updates to get where the rewards are.
        value = jnp.where(self.initialised, _moving_average(self.value, new, decay), new)
        return RunningQuantile(value=value, initialised=jnp.ones((), bool))


class RunningDeviation(eqx.Module):
    """A moving average of a reward's mean and of its square, for its standard deviation: what brings it to one scale.

    The paper gives its beta for each environment. With rewards of deviation 1 one beta means the same everywhere,
    however disagreement is measured and however much is still unknown.
    """

    mean: Scalar
    square: Scalar
    initialised: Flag

    @staticmethod
    def create() -> "RunningDeviation":
        """Return the state before anything was seen: deviation 1."""
        return RunningDeviation(jnp.zeros(()), jnp.ones(()), jnp.zeros((), bool))

    def update(self, x: Float[Array, "..."], *, decay: float = 0.99) -> "RunningDeviation":
        """Return the state after a batch of any shape; the first sets it. No gradient flows through it."""
        x = jax.lax.stop_gradient(x)
        seen = [x.mean(), jnp.square(x).mean()]
        kept = [jnp.where(self.initialised, old, new) for old, new in zip((self.mean, self.square), seen, strict=True)]
        mean, square = (_moving_average(old, new, decay) for old, new in zip(kept, seen, strict=True))
        return RunningDeviation(mean, square, jnp.ones((), bool))

    @property
    def scale(self) -> Scalar:
        """The standard deviation, in the unit of the rewards; never below 1e-6, where nothing varies."""
        return jnp.sqrt(jnp.maximum(self.square - jnp.square(self.mean), 1e-12))


def _moving_average(old: Scalar, new: Scalar, decay: float) -> Scalar:
    return decay * old + (1 - decay) * new
