"""Curiosity: how much an ensemble disagrees about what comes next, r_{t+1} = disagreement about z_{t+1} given s_t, a_t.

The ensemble stands in `models.ensemble`. Source: Plan2Explore (arXiv 2005.05960).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from sensei_lite.agent.streams.base import Actions, Rewards, RewardStream, Sizes, average_state
from sensei_lite.config import Config, EnsembleConfig
from sensei_lite.models.ensemble import Ensemble
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import PosteriorRollout, Transition, WorldModel
from sensei_lite.types import Seed


class Stream(RewardStream):
    """Reward what the ensemble does not agree on."""

    network: Ensemble
    bootstrap = staticmethod(average_state)

    @staticmethod
    def settings(config: Config) -> EnsembleConfig:
        """Return the ensemble's settings."""
        return config.ensemble

    @classmethod
    def make_network(cls, config: Config, sizes: Sizes, *, key: Seed) -> Ensemble:
        """Initialise the ensemble."""
        return Ensemble(config.ensemble, sizes.deter, sizes.action, sizes.stoch, sizes.classes, key=key)

    @staticmethod
    def loss(network: Ensemble, rollout: PosteriorRollout, batch: Transition) -> Float[Array, ""]:
        """Compute the members' errors about the z that follow in replayed sequences."""
        return network.loss(rollout, batch.action, batch.is_first)

    def reward(self, world_model: WorldModel, states: State, actions: Actions) -> Rewards:
        """Compute the disagreement about every state that a dream arrives in."""
        # Call-out E3 (ours): on arrival, as all rewards here. In the research code r_dis of leaving s_t by a_t stands
        # at t, beside r_sem of s_t, and counts one step earlier.
        return jnp.pad(self.network.reward(states, actions), ((1, 0), (0, 0)))
