"""What a vision-language model finds interesting, as the world model predicts it: r_t = E[R_psi | s_t].

Where an episode ends, the last picture's interest lasts (`returns.absorbing_state_reward`).
"""

from sensei_lite.agent.streams.base import Actions, Rewards, RewardStream, ask, interest_lasts
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import WorldModel


class Stream(RewardStream):
    """Predict the semantic reward."""

    bootstrap = staticmethod(interest_lasts)

    def reward(self, world_model: WorldModel, states: State, actions: Actions) -> Rewards:
        """Compute the predicted semantic reward of every state."""
        return ask(world_model.semantic, states)
