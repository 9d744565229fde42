"""What a reward stream is: a reward for imagined states, what has to be learned for it, and what follows an end.

    reward      r_0 ... r_T of a dream s_0 ... s_T, a_0 ... a_{T-1}, on arrival: r_t is for arriving in s_t
    loss        what its network learns from, on what was replayed, for streams that learn something of their own
    bootstrap   the rewards with what follows where the dream foresees the end of the episode

A stream is a pytree: what it learns (``network``) and its optimiser's state travel with the agent.
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree

from sensei_lite.agent import optimisers
from sensei_lite.agent.returns import absorbing_state_reward
from sensei_lite.config import BehaviourConfig, Config
from sensei_lite.models.layers import cast_to_compute_dtype
from sensei_lite.models.rssm import State
from sensei_lite.models.world_model import PosteriorRollout, Transition, WorldModel
from sensei_lite.types import Seed

Metrics = dict[str, Array]
Rewards = Float[Array, "time starts"]
Actions = Float[Array, "steps starts action"]


class Sizes(NamedTuple):
    """Sizes of what a stream may read."""

    features: int
    deter: int
    stoch: int
    classes: int
    action: int


def nothing_follows(settings: BehaviourConfig, reward: Rewards, value: Rewards | None, continues: Rewards) -> Rewards:
    """Return the rewards as they are: after an end they are over."""
    return reward


def interest_lasts(settings: BehaviourConfig, reward: Rewards, value: Rewards | None, continues: Rewards) -> Rewards:
    """Compute the rewards with an end's own lasting for ever, unless ``behaviour.semantic_end`` is "nothing"."""
    lasts = settings.semantic_end == "lasts"
    return absorbing_state_reward(reward, continues, settings.discount) if lasts else reward


def average_state(settings: BehaviourConfig, reward: Rewards, value: Rewards | None, continues: Rewards) -> Rewards:
    """Compute the rewards with what curiosity finds after an end: what an average state is worth.

    A new episode begins there. It is the mean value of the states where dreams start; where curiosity has no critic of
    its own, the mean reward of the dreams, for ever: mean(r) / (1 - discount). Where ``behaviour.curiosity_end`` is
    "nothing", nothing is added.
    """
    # Call-out A4 (ours): in paper and research code nothing follows, and the curious are afraid of ends, such as an
    # exit. Random network distillation's authors, too, let curiosity go on (arXiv 1810.12894).
    if settings.curiosity_end == "nothing":
        return reward
    average = reward[1:].mean() / (1.0 - settings.discount) if value is None else value[0].mean()
    return reward + (1.0 - continues) * settings.discount * average


class RewardStream(eqx.Module):
    """A source of rewards. Subclasses are called ``Stream`` and stand in a file of the stream's name."""

    network: Any = None
    """What is learned for this stream alone; None where the world model says all."""
    opt_state: PyTree = None

    bootstrap = staticmethod(nothing_follows)
    """``bootstrap(settings, reward, value, continues)``, where ``value`` is the stream's critic, None where it has none
    of its own, and ``continues`` the probability that the episode goes on."""

    @abc.abstractmethod
    def reward(self, world_model: WorldModel, states: State, actions: Actions) -> Rewards:
        """Compute the rewards of a dream with states [time starts ...]; index 0 is not used."""

    @staticmethod
    def settings(config: Config) -> optimisers.Settings:
        """Return the settings of the stream's network and optimiser."""
        raise NotImplementedError

    @classmethod
    def make_network(cls, config: Config, sizes: Sizes, *, key: Seed) -> Any:
        """Initialise the stream's network; None where it learns nothing of its own."""
        return None

    @staticmethod
    def loss(network: Any, rollout: PosteriorRollout, batch: Transition) -> Float[Array, ""]:
        """Compute the network's loss on replayed transitions [batch time ...] and the states inferred from them."""
        raise NotImplementedError

    @staticmethod
    def after_step(network: Any, loss: Float[Array, ""]) -> Any:
        """Return the network after a step, with what it keeps beside its weights."""
        return network

    @classmethod
    def init(cls, config: Config, sizes: Sizes, *, key: Seed) -> "RewardStream":
        """Initialise the stream's network and optimiser."""
        if (network := cls.make_network(config, sizes, key=key)) is None:
            return cls()
        return cls(network, optimisers.init(optimisers.adam(cls.settings(config), eps=1e-5), network))

    def learn(self, config: Config, rollout: PosteriorRollout, batch: Transition) -> tuple["RewardStream", Metrics]:
        """Take one optimiser step of the stream's network, if it has one."""
        if self.network is None:
            return self, {}
        loss, gradient = eqx.filter_value_and_grad(
            lambda network: self.loss(cast_to_compute_dtype(network, config.train.precision), rollout, batch)
        )(self.network)
        adam = optimisers.adam(self.settings(config), eps=1e-5)
        network, opt_state, _ = optimisers.step(adam, gradient, self.opt_state, self.network)
        name = type(self).__module__.rpartition(".")[2]
        return type(self)(self.after_step(network, loss), opt_state), {f"loss/{name}": loss}

    def cast(self, precision: str) -> "RewardStream":
        """Return the stream with its network in the precision in which it computes."""
        return type(self)(cast_to_compute_dtype(self.network, precision), self.opt_state)


def ask(head: Any, states: State) -> Rewards:
    """Ask a head of the world model about every state of a dream."""
    rewards: Rewards = jax.vmap(jax.vmap(head))(states.features)
    return rewards
