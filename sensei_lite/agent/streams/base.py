"""What a reward stream is: a reward for imagined states, what has to be learned for it, and what follows an end.

    reward      r_0 ... r_T of a dream s_0 ... s_T, a_0 ... a_{T-1}, on arrival: r_t is for arriving in s_t
    learn       one optimiser step on what was replayed, for streams that learn something of their own
    bootstrap   what is added to r_t where the dream foresees the end of the episode

A stream is a pytree: what it learns (``network``) and its optimiser's state travel with the agent.
"""

import abc
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree

from sensei_lite.config import BehaviourConfig, Config
from sensei_lite.models.layers import cast_to_compute_dtype
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import PosteriorRollout, Transition, WorldModel
from sensei_lite.types import Seed

Metrics = dict[str, Array]
Rewards = Float[Array, "time starts"]
Network = TypeVar("Network")


class Sizes(NamedTuple):
    """Sizes of what a stream may read."""

    features: int
    deter: int
    stoch: int
    classes: int
    action: int


class RewardStream(eqx.Module):
    """A source of rewards. Subclasses are called ``Stream`` and stand in a file of the stream's name."""

    network: Any = None
    """What is learned for this stream alone; None where the world model says all."""
    opt_state: PyTree = None

    @classmethod
    def init(cls, config: Config, sizes: Sizes, *, key: Seed) -> "RewardStream":
        """Initialise the stream's network and optimiser."""
        return cls()

    def learn(self, config: Config, rollout: PosteriorRollout, batch: Transition) -> tuple["RewardStream", Metrics]:
        """Take one optimiser step on replayed transitions [batch time ...] and the states inferred from them."""
        return self, {}

    @abc.abstractmethod
    def reward(self, world_model: WorldModel, states: State, actions: Float[Array, "steps starts action"]) -> Rewards:
        """Compute the rewards of a dream with states [time starts ...]; index 0 is not used."""

    def bootstrap(
        self, settings: BehaviourConfig, reward: Rewards, value: Rewards | None, continues: Rewards
    ) -> Rewards:
        """Compute the rewards with what follows an end. By default nothing does: the reward is over.

        ``value`` is the stream's critic, None where it has none of its own; ``continues`` the probability that the
        episode goes on.
        """
        return reward

    def cast(self, precision: str) -> "RewardStream":
        """Return the stream with its network in the precision in which it computes."""
        return eqx.tree_at(
            lambda s: s.network, self, cast_to_compute_dtype(self.network, precision), is_leaf=lambda x: x is None
        )


def average_state(settings: BehaviourConfig, reward: Rewards, value: Rewards | None, continues: Rewards) -> Rewards:
    """Add what curiosity finds after an end: the mean value of the states from which dreams start.

    A new episode begins there. Where ``behaviour.curiosity_end`` is "nothing", nothing is added.
    """
    # Call-out A4 (ours): in paper and research code nothing follows, and the curious are afraid of ends, such as an
    # exit. Random network distillation's authors, too, let curiosity go on (arXiv 1810.12894).
    if settings.curiosity_end == "nothing" or value is None:
        return reward
    return reward + (1.0 - continues) * settings.discount * value[0].mean()


def vmap_over_dream(head: Any, states: State) -> Rewards:
    """Ask a head of the world model about every state of a dream."""
    rewards: Rewards = jax.vmap(jax.vmap(head))(states.features)
    return rewards
