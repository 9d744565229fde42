"""Random network distillation: r_t is the error of a learned copy of a random network in s_t (see `models.rnd`).

Source: Burda et al. (arXiv 1810.12894). Here for comparison.
"""

import jax
from jaxtyping import Array, Float

from sensei_lite.agent.streams.base import Actions, Rewards, RewardStream, Sizes, average_state
from sensei_lite.config import Config, NoveltyConfig
from sensei_lite.models.rnd import RandomDistillation
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import PosteriorRollout, Transition, WorldModel
from sensei_lite.types import Seed


class Stream(RewardStream):
    """Reward states in which the agent seldom was."""

    network: RandomDistillation
    bootstrap = staticmethod(average_state)

    @staticmethod
    def settings(config: Config) -> NoveltyConfig:
        """Return the settings of both networks."""
        return config.novelty

    @classmethod
    def make_network(cls, config: Config, sizes: Sizes, *, key: Seed) -> RandomDistillation:
        """Initialise the random network and its learned copy."""
        # The disagreement stream is given the same key, and its split(key, n)[i] is fold_in(key, i): a large constant
        # is none of these.
        return RandomDistillation(config.novelty, sizes.features, key=jax.random.fold_in(key, 0x524E44))

    @staticmethod
    def loss(network: RandomDistillation, rollout: PosteriorRollout, batch: Transition) -> Float[Array, ""]:
        """Compute the copy's mean error in replayed states."""
        return network.error(rollout.states.features).mean()

    @staticmethod
    def after_step(network: RandomDistillation, loss: Float[Array, ""]) -> RandomDistillation:
        """Return the network with the running mean of its error."""
        return network.updated(loss)

    def reward(self, world_model: WorldModel, states: State, actions: Actions) -> Rewards:
        """Compute the novelty of every state."""
        return self.network.reward(states.features)
