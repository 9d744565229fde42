"""What a vision-language model finds interesting, as the world model predicts it: r_t = E[R_psi | s_t].

Where an episode ends, the last picture's interest lasts (`returns.absorbing_state_reward`).
"""

from jaxtyping import Array, Float

from sensei_lite.agent.returns import absorbing_state_reward
from sensei_lite.agent.streams.base import Rewards, RewardStream, vmap_over_dream
from sensei_lite.config import BehaviourConfig
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import WorldModel


class Stream(RewardStream):
    """Predict the semantic reward."""

    def reward(self, world_model: WorldModel, states: State, actions: Float[Array, "steps starts action"]) -> Rewards:
        """Compute the predicted semantic reward of every state."""
        return vmap_over_dream(world_model.semantic, states)

    def bootstrap(
        self, settings: BehaviourConfig, reward: Rewards, value: Rewards | None, continues: Rewards
    ) -> Rewards:
        """Compute the rewards with an end's own lasting for ever, unless ``behaviour.semantic_end`` is "nothing"."""
        if settings.semantic_end == "nothing":
            return reward
        return absorbing_state_reward(reward, continues, settings.discount)
