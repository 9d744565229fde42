"""The recurrent state-space model: what to remember, and what to expect next.

A state is a pair s_t = (h_t, z_t): a deterministic memory and a row of categorical variables.

    h_t = f(h_{t-1}, z_{t-1}, a_{t-1})          memory
    prior      p(z_t | h_t)                     what the model expects, without looking
    posterior  q(z_t | h_t, x_t)                what it believes after looking at x_t

Training pulls the two together; then the prior can take the posterior's place and the model dreams. Time is aligned on
arrival, as in `worlds.base.TimeStep`: the action of row t is a_{t-1}, the one that led to x_t. Where a row starts an
episode, memory and action are wiped, so nothing leaks from one episode into the next.

Source: DreamerV3 (arXiv 2301.04104). Built in notebook 02_rssm.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from sensei_lite.config import WorldModelConfig
from sensei_lite.models.distributions import mode_one_hot, sample_one_hot, unimix
from sensei_lite.models.layers import Block, Linear, NormedLinear, RecurrentCell, linear
from sensei_lite.types import Flag, Seed

LogProbs = Float[Array, "stoch classes"]


class State(NamedTuple):
    """s_t = (h_t, z_t); further axes in front are batch and time."""

    h: Float[Array, "*batch deter"]
    z: Float[Array, "*batch stoch classes"]

    @property
    def features(self) -> Float[Array, "*batch features"]:
        """The features [*batch deter + stoch * classes], h and z in one vector: what every head reads."""
        z = self.z.reshape(*self.z.shape[:-2], -1)
        return jnp.concatenate([self.h, z.astype(self.h.dtype)], axis=-1)


def clip_action(action: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
    """Clip an action to [-1, 1] as the world does, a / max(1, |a|); the gradient does not see the denominator.

    A policy draws numbers from a normal distribution, so many lie outside, and a model that was taught by what the
    world did would be asked about actions that no world ever carried out. One-hot actions stay as they are. Source:
    SENSEI's research code, which clips wherever it observes and imagines.
    """
    return action * jax.lax.stop_gradient(1.0 / jnp.maximum(1.0, jnp.abs(action)))


class RSSM(eqx.Module):
    """Memory, prior and posterior."""

    start: Float[Array, " deter"]
    into: Block
    cell: RecurrentCell
    prior_block: Block
    prior_out: Linear
    from_memory: NormedLinear
    from_picture: Linear
    posterior_out: Linear
    stoch: int = eqx.field(static=True)
    classes: int = eqx.field(static=True)
    mix: float = eqx.field(static=True)

    def __init__(self, config: WorldModelConfig, action_size: int, embedding_size: int, *, key: Seed):
        into, cell, prior, prior_out, memory, picture, posterior_out = jax.random.split(key, 7)
        size_z, hidden = config.stoch * config.classes, config.hidden
        self.stoch, self.classes, self.mix = config.stoch, config.classes, config.unimix
        self.start = jnp.zeros(config.deter)
        self.into = Block(size_z + action_size, hidden, key=into)
        self.cell = RecurrentCell(hidden, config.deter, key=cell)
        self.prior_block = Block(config.deter, hidden, key=prior)
        self.prior_out = linear(hidden, size_z, key=prior_out)
        # The posterior's first layer reads [h, x] and is kept in two parts, W [h, x] = W_h h + W_x x: the second needs
        # no memory, so `observe` computes it for all times at once, outside the loop over time.
        self.from_memory = NormedLinear(config.deter, hidden, key=memory)
        self.from_picture = linear(embedding_size, hidden, bias=False, key=picture)
        self.posterior_out = linear(hidden, size_z, key=posterior_out)

    def initial(self) -> State:
        """Return the state before anything was seen: a learned h, and the mode of the prior that goes with it."""
        h = jnp.tanh(self.start)
        # The mode would pass a straight-through gradient into the prior, from losses that are not about it.
        return State(h, jax.lax.stop_gradient(mode_one_hot(self.prior(h))))

    def recur(self, state: State, action: Float[Array, " action"]) -> Float[Array, " deter"]:
        """Compute the deterministic state h_t from s_{t-1} and a_{t-1}, whose numbers are clipped to [-1, 1]."""
        return self.cell(self.into(jnp.concatenate([state.z.reshape(-1), clip_action(action)])), state.h)

    def prior(self, h: Float[Array, " deter"]) -> LogProbs:
        """Compute the prior ln p(z_t | h_t)."""
        return self._log_probs(self.prior_out(self.prior_block(h)))

    def posterior(self, h: Float[Array, " deter"], embedding: Float[Array, " embedding"]) -> LogProbs:
        """Compute the posterior ln q(z_t | h_t, x_t), from the picture's embedding."""
        return self._posterior(h, self.from_picture(embedding))

    def observe_step(
        self,
        state: State,
        action: Float[Array, " action"],
        embedding: Float[Array, " embedding"],
        is_first: Flag,
        *,
        key: Seed,
    ) -> tuple[State, LogProbs]:
        """Sample s_t from the posterior, given s_{t-1}, a_{t-1} and x_t; return it and the posterior."""
        return self._observe_step(state, action, self.from_picture(embedding), is_first, key=key)

    def observe(
        self,
        state: State,
        actions: Float[Array, "time action"],
        embeddings: Float[Array, "time embedding"],
        is_first: Bool[Array, " time"],
        *,
        key: Seed,
    ) -> tuple[State, Float[Array, "time stoch classes"], Float[Array, "time stoch classes"]]:
        """Infer one sequence's states, posteriors and priors, each [time ...]; ``state`` is the one before time 0."""

        def step(state: State, inputs: tuple[Array, Array, Array, Array]) -> tuple[State, tuple[State, LogProbs]]:
            action, projected, first, step_key = inputs
            state, posterior = self._observe_step(state, action, projected, first, key=step_key)
            return state, (state, posterior)

        keys: Key[Array, " time"] = jax.random.split(key, len(actions))
        inputs = (actions, jax.vmap(self.from_picture)(embeddings), is_first, keys)
        _, (states, posteriors) = jax.lax.scan(step, state, inputs)
        return states, posteriors, jax.vmap(self.prior)(states.h)

    def imagine_step(self, state: State, action: Float[Array, " action"], *, key: Seed) -> State:
        """Sample s_{t+1} from the prior, given s_t and a_t: nothing is looked at."""
        h = self.recur(state, action)
        return State(h, sample_one_hot(self.prior(h), key=key))

    def _observe_step(
        self, state: State, action: Array, projected: Array, is_first: Flag, *, key: Seed
    ) -> tuple[State, LogProbs]:
        wiped = jax.tree.map(lambda fresh, old: jnp.where(is_first, fresh, old), self.initial(), state)
        h = self.recur(wiped, jnp.where(is_first, 0.0, action))
        posterior = self._posterior(h, projected)
        return State(h, sample_one_hot(posterior, key=key)), posterior

    def _posterior(self, h: Array, projected: Array) -> LogProbs:
        hidden = jax.nn.silu(self.from_memory(h, plus=projected))
        return self._log_probs(self.posterior_out(hidden))

    def _log_probs(self, logits: Array) -> LogProbs:
        return unimix(logits.reshape(self.stoch, self.classes).astype(jnp.float32), self.mix)
