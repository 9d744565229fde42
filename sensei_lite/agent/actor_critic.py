"""Learning to act in imagination: a policy, and a critic for each stream of rewards.

From replayed states the world model dreams T steps under the policy. Each stream k (task, semantic, disagreement) has
rewards, a critic v_k and a return R_k of its own. The policy follows the weighted, normalised advantages:

    A_t = sum_k w_k (R_k,t - v_k(s_t)) / scale_k / sum_k w_k                        (see `switch`)
    REINFORCE    L_actor = -E[ weight_t ( sg(A_t) ln pi(a_t | s_t) + eta H[pi(. | s_t)] ) ]
    pathwise     L_actor = -E[ weight_t ( A_t                      + eta H[pi(. | s_t)] ) ]
    L_critic,k = E[ weight_t ( -ln p_k(R_k,t | s_t) - ln p_k(slow v_k(s_t) | s_t) ) ]

With REINFORCE nothing is backpropagated through the dream. The pathwise gradient runs from A_t through rewards, values
and imagined states back to the actions (numbers, written as mean + deviation * noise) that led there.

Source: DreamerV3 (arXiv 2301.04104); critics per stream and advantages that are normalised before they are weighed:
SENSEI's research code (arXiv 2503.01584). Built in notebook 03_imagination; pathwise gradients in 10_robots.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sensei_lite.agent.returns import discount_weights
from sensei_lite.config import BehaviourConfig
from sensei_lite.models.distributions import (
    BoundedNormal,
    TwoHot,
    bounded_normal,
    categorical_entropy,
    log_prob_one_hot,
    mode_one_hot,
    sample_one_hot,
    unimix,
)
from sensei_lite.models.layers import MLP
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import WorldModel
from sensei_lite.types import Seed


class OneHotPolicy(eqx.Module):
    """A categorical over one-hot actions, with the same methods as `BoundedNormal`."""

    log_probs: Float[Array, "*batch action"]

    def sample(self, *, key: Seed) -> Float[Array, "*batch action"]:
        """Draw a one-hot action."""
        return sample_one_hot(self.log_probs, key=key)

    def mode(self) -> Float[Array, "*batch action"]:
        """Return the most probable action."""
        return mode_one_hot(self.log_probs)

    def log_prob(self, action: Float[Array, "*batch action"]) -> Float[Array, "*batch"]:
        """Compute ln pi(action), in nats."""
        return log_prob_one_hot(self.log_probs, action)

    def entropy(self) -> Float[Array, "*batch"]:
        """Compute the entropy, in nats."""
        return categorical_entropy(self.log_probs)


Policy = OneHotPolicy | BoundedNormal
"""What an actor says: a distribution over actions, for one state or for many (axes in front)."""


class Actor(eqx.Module):
    """The policy's network."""

    mlp: MLP
    discrete: bool = eqx.field(static=True)
    mix: float = eqx.field(static=True)

    def __init__(
        self, config: BehaviourConfig, feature_size: int, action_size: int, discrete: bool, mix: float, *, key: Seed
    ):
        self.discrete, self.mix = discrete, mix
        outputs = action_size if discrete else 2 * action_size
        # Call-out A1 (implementations): a small last layer starts the policy near uniform, as today's danijar/dreamerv3
        # does. In version 1 and SENSEI it has scale 1.
        self.mlp = MLP(feature_size, outputs, config.hidden, config.layers, out_scale=0.01, key=key)

    def __call__(self, features: Float[Array, " features"]) -> Policy:
        """Return the distribution over actions in one state."""
        out = self.mlp(features).astype(jnp.float32)
        if self.discrete:
            return OneHotPolicy(unimix(out, self.mix))
        raw_mean, raw_std = jnp.split(out, 2)
        return bounded_normal(raw_mean, raw_std)


def imagine(
    world_model: WorldModel, actor: Actor, start: State, horizon: int, *, gradient: bool = False, key: Seed
) -> tuple[State, Float[Array, "steps starts action"], Policy]:
    """Dream ``horizon`` steps from each of ``starts`` states: s_0 to s_T [time starts ...], and a_0 to a_{T-1}.

    Also the policy's distributions [steps starts ...] from which the actions were drawn. The actor is asked once: its
    loss goes by these, and their gradient reaches the actor.

    With ``gradient`` it also flows from every state into the actions before it, and from them into the actor; but not
    through what the actor read, as in the research code: an action is not chosen for what later actions make of it.
    """
    starts = start.h.shape[0]
    kept = (lambda x: x) if gradient else jax.lax.stop_gradient

    def step(state: State, key: Array) -> tuple[State, tuple[State, Array, Policy]]:
        action_key, state_key = jax.random.split(key)
        policy = jax.vmap(actor)(jax.lax.stop_gradient(state.features))
        action = kept(policy.sample(key=action_key))
        keys = jax.random.split(state_key, starts)
        following = jax.vmap(lambda s, a, k: world_model.rssm.imagine_step(s, a, key=k))(state, action, keys)
        return following, (following, action, policy)

    _, (states, actions, policy) = jax.lax.scan(step, start, jax.random.split(key, horizon))
    states = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), start, states)
    return kept(states), actions, policy


def actor_loss(
    policy: Policy,
    action: Float[Array, "steps starts action"],
    advantage: Float[Array, "steps starts"],
    weight: Float[Array, "steps starts"],
    entropy_scale: float,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Compute L_actor with REINFORCE, and the mean entropy of the policy in nats."""
    advantage, weight = jax.lax.stop_gradient((advantage, weight))
    entropy = policy.entropy()
    gain = advantage * policy.log_prob(jax.lax.stop_gradient(action)) + entropy_scale * entropy
    return -(weight * gain).mean(), entropy.mean()


def pathwise_loss(
    policy: Policy,
    advantage: Float[Array, "steps starts"],
    weight: Float[Array, "steps starts"],
    entropy_scale: float,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Compute L_actor for an ``advantage`` through which the gradient flows, and the policy's mean entropy in nats."""
    entropy = policy.entropy()
    return -(weight * (advantage + entropy_scale * entropy)).mean(), entropy.mean()


def critic_loss(
    predicted: TwoHot,
    target: Float[Array, "steps starts"],
    slow_value: Float[Array, "steps starts"],
    weight: Float[Array, "steps starts"],
) -> Float[Array, ""]:
    """Compute L_critic of one stream: from what the critic said towards the return, and towards its slow copy."""
    target, slow_value, weight = jax.lax.stop_gradient((target, slow_value, weight))
    return (weight * predicted.loss(target, slow_value)).mean()


def dream_weights(
    discount_continue: Float[Array, "time starts"], start_is_terminal: Float[Array, " starts"]
) -> Float[Array, "steps starts"]:
    """Compute how much every imagined step counts: see `returns.discount_weights`; nothing after a real end counts."""
    return discount_weights(discount_continue) * (1.0 - start_is_terminal)
