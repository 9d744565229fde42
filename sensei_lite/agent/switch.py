"""Go or explore: from rewards, values and returns to one advantage, by one of three rules.

    fixed    (Plan2Explore, VLM-Motif, mixtures)    A_t = sum_s w_s (R_s,t - v_s(s_t)) / scale_s / sum_s w_s
    return   (SENSEI's research code)               explore_t = R_sem,t >= Q_k(R_sem)
                                                    A_t as above, with the weights w_s of the branch that t is in,
                                                    divided by the sum of the explore weights; a critic for each reward
    value    (a variant of it)                      the same, with v_sem(s_t) in the place of R_sem,t
    reward   (SENSEI's paper)                       explore_t = r_sem,t >= Q_k(r_sem)
                                                    r_t = w_sem(t) r_sem,t + w_dis(t-1) r_dis,t / std(r_dis)
                                                    one critic, of this reward

Go where it is interesting, and once there, explore: below the threshold Q the semantic reward weighs more, above it
disagreement. Q_k is a moving average of each batch's k-th percentile, R the lambda-return. By reward a state counts as
interesting by itself; by return, if something interesting follows soon, so exploring begins a few steps before; but
then the branch also depends on the action, which R_sem,t has in it and v_sem(s_t) has not.

Time is on arrival, so r_dis,t is what there was to learn on the way from s_{t-1} to s_t: by reward it is weighed by the
branch of the state that was *left*. Exploring around the interesting means to try what leads away from it.

A new rule is a class here with a line in `RULES`.

Source: SENSEI (arXiv 2503.01584) and its research code, whose numbers are golden in `tests/golden`. Built in notebook
07_sensei.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from sensei_lite.agent.returns import PercentileNormaliser, RunningDeviation, RunningQuantile, lambda_return
from sensei_lite.config import BehaviourConfig, Config, SwitchConfig
from sensei_lite.types import Scalar

Stream = dict[str, Float[Array, "time starts"]]
Steps = dict[str, Float[Array, "steps starts"]]
Normalisers = dict[str, PercentileNormaliser]
AnySwitch = TypeVar("AnySwitch", bound="Switch")


class Imagined(NamedTuple):
    """What a rule reads of a dream, each [time starts]."""

    rewards: Stream
    """By stream."""
    values: Stream
    """By critic."""
    continues: Float[Array, "time starts"]
    """The probability that the episode goes on."""
    bootstrap: dict[str, Callable[..., Float[Array, "time starts"]]]
    """By stream: what adds to rewards what follows an end (`streams.base.RewardStream.bootstrap`)."""
    experience: Float[Array, "..."] | None = None
    """The semantic rewards that were replayed with the states from which the dream starts."""


class Judgement(NamedTuple):
    """What a dream is worth."""

    returns: Steps
    """By critic."""
    advantage: Float[Array, "steps starts"]
    normalisers: Normalisers
    """As they are after these returns."""
    rule: "Rule"
    """Likewise."""
    metrics: dict[str, Array]


class Weighing(NamedTuple):
    """What a rule says of a dream's returns."""

    rule: "Rule"
    """The rule after these returns."""
    weights: dict[str, Any]
    """Of every critic: a number, or one for every imagined state [steps starts]."""
    total: float
    """What weighed advantages are divided by."""
    metrics: dict[str, Array]


class Rule(eqx.Module):
    """How streams of rewards become one advantage."""

    @classmethod
    @abc.abstractmethod
    def create(cls, config: Config) -> "Rule":
        """Initialise the rule before anything was imagined."""

    @staticmethod
    def critics(streams: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of what is predicted: by default the return of every stream."""
        return streams

    @abc.abstractmethod
    def weigh(self, returns: Steps, values: Stream) -> Weighing:
        """Choose the weights of returns [steps starts], by these or by the critics' values [time starts]."""

    def judge(self, dream: Imagined, normalisers: Normalisers, settings: BehaviourConfig) -> Judgement:
        """Compute returns and advantage of a dream, and the rule after it."""
        followed = {
            name: dream.bootstrap[name](settings, dream.rewards[name], value, dream.continues)
            for name, value in dream.values.items()
        }
        return self.weigh_returns(followed, dream, normalisers, settings)

    def weigh_returns(
        self, rewards: Stream, dream: Imagined, normalisers: Normalisers, settings: BehaviourConfig
    ) -> Judgement:
        """Compute returns and advantage of rewards that have what follows an end, by critic."""
        discount_continue = settings.discount * dream.continues
        returns = {
            name: lambda_return(rewards[name], value, discount_continue, settings.lam)
            for name, value in dream.values.items()
        }
        rule, weights, total, metrics = self.weigh(returns, dream.values)
        normalisers = {name: n.update(returns[name], decay=settings.return_decay) for name, n in normalisers.items()}
        advantage = advantages(returns, dream.values, normalisers, weights, total)
        return Judgement(returns, advantage, normalisers, rule, metrics)


class FixedWeights(Rule):
    """Weigh every stream the same in every state."""

    settings: tuple[tuple[str, float], ...] = eqx.field(static=True)

    @classmethod
    def create(cls, config: Config) -> "FixedWeights":
        """Take the weights from ``behaviour.reward_weights``."""
        return cls(config.behaviour.reward_weights)

    def weigh(self, returns: Steps, values: Stream) -> Weighing:
        """Return the weights of the settings."""
        weights = dict(self.settings)
        return Weighing(self, weights, sum(weights.values()), {})


class Switch(Rule):
    """What both switches share: the threshold with its moving average, and the weights of the two branches."""

    seen: RunningQuantile | PercentileNormaliser
    settings: SwitchConfig = eqx.field(static=True)

    @classmethod
    def create(cls: type[AnySwitch], config: Config | SwitchConfig) -> AnySwitch:
        """Initialise the switch from the settings of an agent, or from its own."""
        settings = config if isinstance(config, SwitchConfig) else config.switch
        is_range = settings.threshold == "range"
        return cls(PercentileNormaliser.create() if is_range else RunningQuantile.create(), settings)

    def update(self: AnySwitch, semantic: Float[Array, "..."]) -> AnySwitch:
        """Update the threshold with imagined semantic rewards (or returns) of any shape. No gradient flows through."""
        k, decay = self.settings.percentile, self.settings.decay
        seen: RunningQuantile | PercentileNormaliser
        if isinstance(self.seen, PercentileNormaliser):
            seen = self.seen.update(semantic, decay=decay, percentiles=(5.0, k))
        else:
            seen = self.seen.update(semantic, k, decay=decay)
        return dataclasses.replace(self, seen=seen)

    @property
    def threshold(self) -> Scalar:
        """Q, in the unit of what was seen."""
        # Call-out S1 (research code): there the threshold is the second value that a normaliser gives, and that is not
        # the k-th percentile but its distance to the 5th, never below 1. So R_sem is held against a range of itself.
        # `threshold="range"` does the same; "percentile" is what is meant.
        return self.seen.scale if isinstance(self.seen, PercentileNormaliser) else self.seen.value

    def is_exploring(self, semantic: Float[Array, "*batch"]) -> Bool[Array, "*batch"]:
        """Return the branch: true where it is interesting, so explore; false where to go on to what is."""
        return jax.lax.stop_gradient(semantic) >= self.threshold

    def weights(self, exploring: Bool[Array, "*batch"]) -> dict[str, Float[Array, "*batch"]]:
        """Return the weight of every reward stream in every state, by its branch."""
        go, explore = dict(self.settings.go), dict(self.settings.explore)
        return {name: jnp.where(exploring, explore[name], go[name]) for name in explore}

    @property
    def total_weight(self) -> float:
        """What weighed advantages are divided by in both branches: the sum of the explore weights."""
        return sum(weight for _, weight in self.settings.explore)

    def metrics(self, exploring: Array) -> dict[str, Array]:
        """Return the threshold and the share of states that explore."""
        return {"switch/threshold": self.threshold, "switch/exploring": exploring.mean()}


class ReturnSwitch(Switch):
    """Switch on the semantic return, and weigh advantages: the research code's form."""

    def weigh(self, returns: Steps, values: Stream) -> Weighing:
        """Return the weights of the branch that every state is in, by its semantic return."""
        return self.weigh_by(returns["semantic"])

    def weigh_by(self, semantic: Float[Array, "steps starts"]) -> Weighing:
        """Return the weights of the branch that every state is in, by what is held against the threshold."""
        switch = self.update(semantic)
        exploring = switch.is_exploring(semantic)
        return Weighing(switch, switch.weights(exploring), switch.total_weight, switch.metrics(exploring))


class ValueSwitch(ReturnSwitch):
    """Switch on the semantic value of a state, and weigh advantages: no action decides its own weights."""

    def weigh(self, returns: Steps, values: Stream) -> Weighing:
        """Return the weights of the branch that every state is in, by its semantic value."""
        return self.weigh_by(values["semantic"][:-1])


class RewardSwitch(Switch):
    """Switch on the semantic reward, and weigh rewards: the paper's form."""

    deviations: dict[str, RunningDeviation] = dataclasses.field(default_factory=dict)
    """Of every stream but the semantic one, whose unit R_psi has chosen."""

    @classmethod
    def create(cls, config: Config | SwitchConfig) -> "RewardSwitch":
        """Initialise the switch from the settings of an agent, or from its own."""
        switch = super().create(config)
        names = [name for name, _ in switch.settings.explore if name != "semantic"]
        return dataclasses.replace(switch, deviations={name: RunningDeviation.create() for name in names})

    @staticmethod
    def critics(streams: tuple[str, ...]) -> tuple[str, ...]:
        """Return the one name of what is predicted: the return of the reward that the switch makes."""
        return ("exploration",)

    def reward(
        self, rewards: dict[str, Float[Array, "*batch"]], exploring: Bool[Array, "*batch"]
    ) -> Float[Array, "*batch"]:
        """Compute the paper's one reward for a state and the step that leaves it: weighed by its branch and added."""
        weights = self.weights(exploring)
        return sum((weights[name] * rewards[name] for name in weights), jnp.zeros(()))

    def weigh(self, returns: Steps, values: Stream) -> Weighing:
        """Return the weight of the one reward: 1."""
        return Weighing(self, {"exploration": 1.0}, 1.0, {})

    def judge(self, dream: Imagined, normalisers: Normalisers, settings: BehaviourConfig) -> Judgement:
        """Compute returns and advantage of the one reward that the switch makes of a dream's."""
        semantic, decay = dream.rewards["semantic"], self.settings.decay
        # Call-out S3 (ours): a percentile of dreams calls nine tenths of them dull for ever, however interesting all of
        # them have become. `threshold="experience"` asks what was really seen.
        seen = semantic[1:]
        if self.settings.threshold == "experience":
            if dream.experience is None:
                raise ValueError("the switch's threshold is of what was replayed, and nothing was given")
            seen = dream.experience
        switch = self.update(seen)
        deviations = {name: of.update(dream.rewards[name][1:], decay=decay) for name, of in switch.deviations.items()}
        switch = dataclasses.replace(switch, deviations=deviations)
        exploring = switch.is_exploring(semantic)
        # What there was to learn on the way to s_t is weighed by the branch of the state that was left, s_{t-1}.
        here, left = switch.weights(exploring), switch.weights(jnp.concatenate([exploring[:1], exploring[:-1]]))
        weighed = {"semantic": here["semantic"] * semantic}
        # Call-out S2 (ours): the paper adds r_dis as it is, and gives a beta for each environment.
        weighed |= {name: left[name] * dream.rewards[name] / of.scale for name, of in deviations.items()}
        followed = [dream.bootstrap[name](settings, reward, None, dream.continues) for name, reward in weighed.items()]
        judged = switch.weigh_returns({"exploration": sum(followed, jnp.zeros(()))}, dream, normalisers, settings)
        return judged._replace(metrics=switch.metrics(exploring))


RULES: dict[str, type[Rule]] = {
    "fixed": FixedWeights,
    "return": ReturnSwitch,
    "value": ValueSwitch,
    "reward": RewardSwitch,
}
"""By the setting ``switch.rule``."""


def advantages(
    returns: Steps,
    values: Stream,
    normalisers: Normalisers,
    weights: dict[str, float] | dict[str, Float[Array, "steps starts"]],
    total: float,
) -> Float[Array, "steps starts"]:
    """Compute A_t: every stream's advantage on its own scale, weighed, added, and divided by ``total``.

    A weight is one number, or one for every imagined state where a switch chooses them. Of ``values`` the last, v(s_T),
    is not used.
    """
    steps = {name: len(of) for name, of in returns.items()}
    parts = [weights[k] * (returns[k] - values[k][: steps[k]]) / normalisers[k].scale for k in returns]
    return sum(parts, jnp.zeros(())) / total
