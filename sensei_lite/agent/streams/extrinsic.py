"""The world's own reward, as the world model predicts it: r_t = E[r | s_t]. After an end it is over."""

from sensei_lite.agent.streams.base import Actions, Rewards, RewardStream, ask
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import WorldModel


class Stream(RewardStream):
    """Predict the task's reward."""

    def reward(self, world_model: WorldModel, states: State, actions: Actions) -> Rewards:
        """Compute the predicted reward of every state."""
        return ask(world_model.reward, states)
