"""Curiosity: how much an ensemble disagrees about what comes next, r_{t+1} = disagreement about z_{t+1} given s_t, a_t.

The ensemble stands in `models.ensemble`. Source: Plan2Explore (arXiv 2005.05960).
"""

import equinox as eqx
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from sensei_lite.agent import optimisers
from sensei_lite.agent.streams.base import Metrics, Rewards, RewardStream, Sizes, average_state
from sensei_lite.config import BehaviourConfig, Config
from sensei_lite.models.ensemble import Ensemble
from sensei_lite.models.layers import cast_to_compute_dtype
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import PosteriorRollout, Transition, WorldModel
from sensei_lite.types import Seed


class Stream(RewardStream):
    """Reward what the ensemble does not agree on."""

    network: Ensemble

    @classmethod
    def init(cls, config: Config, sizes: Sizes, *, key: Seed) -> "Stream":
        """Initialise the ensemble."""
        network = Ensemble(config.ensemble, sizes.deter, sizes.action, sizes.stoch, sizes.classes, key=key)
        return cls(network, optimisers.init(_optimiser(config), network))

    def learn(self, config: Config, rollout: PosteriorRollout, batch: Transition) -> tuple["Stream", Metrics]:
        """Take one step of the ensemble towards the z that follow in replayed sequences."""
        loss, gradient = eqx.filter_value_and_grad(
            lambda ensemble: cast_to_compute_dtype(ensemble, config.train.precision).loss(
                rollout, batch.action, batch.is_first
            )
        )(self.network)
        network, opt_state, _ = optimisers.step(_optimiser(config), gradient, self.opt_state, self.network)
        return type(self)(network, opt_state), {"loss/ensemble": loss}

    def reward(self, world_model: WorldModel, states: State, actions: Float[Array, "steps starts action"]) -> Rewards:
        """Compute the disagreement about every state that a dream arrives in."""
        return jnp.pad(self.network.reward(states, actions), ((1, 0), (0, 0)))

    def bootstrap(
        self, settings: BehaviourConfig, reward: Rewards, value: Rewards | None, continues: Rewards
    ) -> Rewards:
        """Compute the rewards with an average state after an end (see `average_state`)."""
        return average_state(settings, reward, value, continues)


def _optimiser(config: Config) -> optax.GradientTransformation:
    return optimisers.adam(config.ensemble, eps=1e-5)
