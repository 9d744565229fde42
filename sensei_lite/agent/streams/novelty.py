"""Random network distillation: r_t is the error of a learned copy of a random network in s_t (see `models.rnd`).

Source: Burda et al. (arXiv 1810.12894). Here for comparison.
"""

import equinox as eqx
import jax
import optax
from jaxtyping import Array, Float

from sensei_lite.agent import optimisers
from sensei_lite.agent.streams.base import Metrics, Rewards, RewardStream, Sizes, average_state
from sensei_lite.config import BehaviourConfig, Config
from sensei_lite.models.layers import cast_to_compute_dtype
from sensei_lite.models.rnd import RandomDistillation
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import PosteriorRollout, Transition, WorldModel
from sensei_lite.types import Seed


class Stream(RewardStream):
    """Reward states in which the agent seldom was."""

    network: RandomDistillation

    @classmethod
    def init(cls, config: Config, sizes: Sizes, *, key: Seed) -> "Stream":
        """Initialise the random network and its learned copy."""
        # The disagreement stream is given the same key: a constant of its own makes this one's chance another.
        network = RandomDistillation(config.novelty, sizes.features, key=jax.random.fold_in(key, 1))
        return cls(network, optimisers.init(_optimiser(config), network))

    def learn(self, config: Config, rollout: PosteriorRollout, batch: Transition) -> tuple["Stream", Metrics]:
        """Take one step of the copy towards the random network, in replayed states."""
        features = rollout.states.features
        loss, gradient = eqx.filter_value_and_grad(
            lambda network: cast_to_compute_dtype(network, config.train.precision).error(features).mean()
        )(self.network)
        network, opt_state, _ = optimisers.step(_optimiser(config), gradient, self.opt_state, self.network)
        return type(self)(network.updated(loss), opt_state), {"loss/novelty": loss}

    def reward(self, world_model: WorldModel, states: State, actions: Float[Array, "steps starts action"]) -> Rewards:
        """Compute the novelty of every state."""
        return self.network.reward(states.features)

    def bootstrap(
        self, settings: BehaviourConfig, reward: Rewards, value: Rewards | None, continues: Rewards
    ) -> Rewards:
        """Compute the rewards with an average state after an end (see `average_state`)."""
        return average_state(settings, reward, value, continues)


def _optimiser(config: Config) -> optax.GradientTransformation:
    return optimisers.adam(config.novelty, eps=1e-5)
