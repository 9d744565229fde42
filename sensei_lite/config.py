"""Every setting of the agent: its meaning, its unit, and what the paper's research code uses.

"Paper" below means that code; `presets` puts settings together.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclasses.dataclass(frozen=True)
class WorldModelConfig:
    """The world model: encoder, recurrent state-space model, heads. Raises ValueError for sizes that cannot work."""

    deter: int = 128
    """Size of the deterministic state h. Paper: 512."""
    stoch: int = 32
    """Number of categorical variables of the stochastic state z. Paper: 32."""
    classes: int = 8
    """Classes of each categorical variable. Paper: 32."""
    hidden: int = 128
    """Width of hidden layers. Paper: 512."""
    layers: int = 1
    """Hidden layers of each head. Paper: 2."""
    encoder: Literal["patch", "conv", "none"] = "patch"
    """patch: a convolution whose stride is its kernel, cheap on a CPU. conv: four layers of stride 2. none: pictures
    are neither looked at nor drawn, and the world must give numbers beside them. Paper: conv."""
    patch: int = 8
    """Side of a patch in pixels, for the patch encoder; best the tile size of the world."""
    depth: int = 16
    """Channels of a patch's embedding, or of the first convolution (doubled at each further one). Paper: 32."""
    vector_scale: float = 1.0
    """Weight of the squared errors of the world's numbers, where it gives some. Not in the paper."""
    bins: int = 255
    """Bins of the reward heads and critics (odd). Paper: 255."""
    unimix: float = 0.01
    """Share of the uniform distribution in every categorical. Paper: 0.01."""
    free_bits: float = 1.0
    """KL below which nothing is pulled, in nats. Paper: 1."""
    dynamics_scale: float = 0.5
    """Weight of the KL term that teaches the prior. Paper: 0.5; today's danijar/dreamerv3: 1."""
    representation_scale: float = 0.1
    """Weight of the KL term that teaches the posterior. Paper: 0.1."""
    learning_rate: float = 3e-3
    """Adam. Paper: 1e-4."""
    beta2: float = 0.95
    """Memory of Adam's mean of squared gradients (its beta 2). Paper: 0.999. The first gradients are large, and a long
    memory of them keeps steps small for a thousand updates: more than a lab has to spare."""
    clip: float = 1000.0
    """Global norm to which gradients are clipped. Paper: 1000."""

    def __post_init__(self) -> None:
        _check_choices("world_model", self)
        _check_sizes("world_model", self, "deter", "stoch", "classes", "hidden", "layers", "patch", "depth")

    def check_image(self, shape: tuple[int, int, int]) -> None:
        """Check that pictures of this shape [height width channel] fit the encoder. Raises ValueError where not."""
        if self.encoder == "none":
            return
        side = self.patch if self.encoder == "patch" else 16
        unit = f"world_model.patch ({side})" if self.encoder == "patch" else "16, because 4 layers halve it"
        _require(
            shape[0] % side == 0 and shape[1] % side == 0,
            f"a picture of {shape[0]} x {shape[1]} does not fit the {self.encoder} encoder: each side must be a "
            f"multiple of {unit}",
        )


@dataclasses.dataclass(frozen=True)
class EnsembleConfig:
    """The ensemble whose disagreement is curiosity. Raises ValueError for sizes that cannot work."""

    heads: int = 8
    """Predictors of the next stochastic state. Paper: 8."""
    layers: int = 1
    """Hidden layers of each. Paper: 2."""
    hidden: int = 128
    """Width of hidden layers. Paper: 512."""
    reads: Literal["state", "memory"] = "memory"
    """What every head reads: the state s_t and the action a_t, or the memory h_{t+1} they lead to. Paper: state."""
    target: Literal["sample", "mean"] = "mean"
    """What every head is taught: the z that was drawn, or the probabilities that it was drawn from. Both have the same
    best guess, but the noise of a draw shakes the heads, and this shaking looks like disagreement. Paper: sample."""
    measure: Literal["variance", "std", "mutual_information"] = "mutual_information"
    """How disagreement becomes a reward (see `models.ensemble`). Paper's text: variance; research code: std."""
    scale: float = 0.1
    """What the measure is multiplied by. Returns of a range under 1 are not stretched (see `agent.returns`), so with a
    small scale an agent that has nothing left to find out acts at random again and does not follow noise. Paper: 1."""
    learning_rate: float = 1e-3
    """Adam. Paper: 1e-4."""
    beta2: float = 0.95
    """Memory of Adam's mean of squared gradients. Paper: 0.999."""
    clip: float = 100.0
    """Global norm to which gradients are clipped. Paper: 100."""

    def __post_init__(self) -> None:
        _require(self.heads >= 2, f"ensemble.heads is {self.heads}; fewer than 2 cannot disagree")
        _check_choices("ensemble", self)


@dataclasses.dataclass(frozen=True)
class NoveltyConfig:
    """Random network distillation (see `models.rnd`). Raises ValueError for sizes that cannot work."""

    features: int = 64
    """Numbers that the fixed random network gives, and the other one predicts. RND's paper: 512."""
    hidden: int = 128
    """Width of hidden layers of both."""
    layers: int = 1
    """Hidden layers of both."""
    learning_rate: float = 1e-3
    """Adam."""
    beta2: float = 0.95
    """Memory of Adam's mean of squared gradients."""
    clip: float = 100.0
    """Global norm to which gradients are clipped."""

    def __post_init__(self) -> None:
        _check_sizes("novelty", self, "features", "hidden", "layers")


Rule = Literal["fixed", "return", "value", "reward"]
"""How streams of rewards become one advantage (see `agent.switch`)."""


@dataclasses.dataclass(frozen=True)
class SwitchConfig:
    """The go/explore switch (see `agent.switch`). Raises ValueError for settings that make no switch.

    "Paper" below is the research code's KeyRoom.
    """

    rule: Rule = "fixed"
    """How streams of rewards become one advantage. fixed: by ``behaviour.reward_weights``, without a switch. return:
    the switch compares the semantic lambda-return, and advantages are weighed (the research code). value: the same
    with the semantic value. reward: it compares the predicted semantic reward, and rewards are weighed (the paper's
    text), those of curiosity in units of their standard deviation."""
    percentile: float = 90.0
    """k: the share of imagined states, in percent, that are not interesting enough to explore. Paper: 90."""
    threshold: Literal["percentile", "range", "experience"] = "percentile"
    """percentile: that percentile of dreams. range: its distance to the 5th, at least 1, as the research code computes
    it. experience: that percentile of what was replayed, for the rule ``reward``."""
    decay: float = 0.9
    """Memory of the threshold's moving average, and of the deviations'. Paper: 0.99, with learning rates that are 20 to
    30 times as small: the threshold must keep up with what it is a threshold of."""
    go: tuple[tuple[str, float], ...] = (("semantic", 1.0), ("disagreement", 0.1))
    """Weights of the streams below the threshold. Paper: semantic 1, disagreement 0.1."""
    explore: tuple[tuple[str, float], ...] = (("semantic", 0.3), ("disagreement", 1.0))
    """Weights of the streams above it. Paper: semantic 0.3, disagreement 1."""

    def __post_init__(self) -> None:
        _check_choices("switch", self)
        _require(0 < self.percentile < 100, f"switch.percentile is {self.percentile}; it must be between 0 and 100")
        _require(0 <= self.decay < 1, f"switch.decay is {self.decay}; it must be from 0 to under 1")
        _require(
            self.threshold != "experience" or self.rule in ("fixed", "reward"),
            "switch.threshold is experience, which is of rewards; the switch compares them with switch.rule reward",
        )
        names, others = [name for name, _ in self.go], [name for name, _ in self.explore]
        _require(
            sorted(names) == sorted(others) and "semantic" in names,
            f"switch.go weighs {names} and switch.explore weighs {others}: both weigh the same streams, and one of "
            "these is semantic",
        )


@dataclasses.dataclass(frozen=True)
class BehaviourConfig:
    """Learning to act in imagination. Raises ValueError for sizes that cannot work."""

    reward_weights: tuple[tuple[str, float], ...] = (("disagreement", 1.0),)
    """The reward streams to maximise (see `agent.streams`), each with its weight, where ``switch.rule`` is fixed.
    Disagreement alone is Plan2Explore, the semantic stream VLM-Motif, the extrinsic stream a task agent."""
    gradient: Literal["reinforce", "pathwise"] = "reinforce"
    """How the policy learns from dreams (see `agent.actor_critic`). Research code: reinforce where actions are choices,
    pathwise where they are numbers, as in Robodesk."""
    horizon: int = 10
    """Imagined steps. Paper: 15."""
    starts: int | None = 64
    """How many replayed states of a batch imagination starts from, drawn anew each update; None: all. Paper: all."""
    discount: float = 0.95
    """The discount: worth of a reward one step later. Paper: 1 - 1/333."""
    semantic_end: Literal["lasts", "nothing"] = "lasts"
    """What follows an episode's end in the semantic stream: its last reward for ever (see
    `agent.returns.absorbing_state_reward`), or nothing. Paper: nothing."""
    curiosity_end: Literal["average", "nothing"] = "average"
    """What follows an episode's end in the streams of disagreement and novelty: an average state (see
    `agent.streams.base.average_state`), or nothing. Paper: nothing."""
    lam: float = 0.95
    """The lambda of the return: 0 trusts the critic, 1 the imagined rewards. Paper: 0.95."""
    entropy: float = 5e-3
    """Weight of the policy's entropy. Paper: 3e-4."""
    slow_rate: float = 0.02
    """Share of the critic in its slow copy per update. Paper: 0.02."""
    return_decay: float = 0.95
    """Memory of the return normaliser. Paper: 0.99, with smaller learning rates (see ``switch.decay``)."""
    hidden: int = 128
    """Width of actor and critics. Paper: 512."""
    layers: int = 1
    """Hidden layers of actor and critics. Paper: 2."""
    learning_rate: float = 6e-4
    """Adam. Paper: 3e-5."""
    beta2: float = 0.95
    """Memory of Adam's mean of squared gradients. Paper: 0.999."""
    clip: float = 100.0
    """Global norm to which gradients are clipped. Paper: 100."""

    def __post_init__(self) -> None:
        _check_choices("behaviour", self)
        _check_sizes("behaviour", self, "horizon")
        _require(0 < self.discount < 1, f"behaviour.discount is {self.discount}; it must be between 0 and 1")
        _require(self.starts is None or self.starts >= 1, f"behaviour.starts is {self.starts}; it must be at least 1")
        _require(bool(self.reward_weights), "behaviour.reward_weights is empty; an agent must want something")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The loop: how much to collect, remember and learn. Raises ValueError for sizes that cannot work."""

    envs: int = 16
    """Worlds side by side. Paper: 4."""
    batch: int = 16
    """Sequences in an update. Paper: 16."""
    length: int = 16
    """Rows in a sequence. Paper: 64."""
    env_steps_per_update: float = 16.0
    """Environment steps (all worlds together) for each update. Paper: 2, which it calls a train ratio of 512."""
    capacity: int = 49_152
    """Rows that the replay holds, all worlds together. Paper: 1e6."""
    prefill_steps: int = 2_048
    """Rows collected at random before the first update."""
    devices: int = 1
    """Devices of this machine that share every update: each has a part of the batch and the whole agent. Paper: 1."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What networks compute in while they learn. Weights, their optimisers, and all probabilities, losses and returns
    are float32 in any case. bfloat16 is for GPUs; most CPUs are slow at it. Research code: float16."""
    chunk_updates: int = 50
    """Updates inside one compiled call: progress is shown and checkpoints are written between calls."""

    def __post_init__(self) -> None:
        _check_choices("train", self)
        _check_sizes("train", self, "envs", "batch", "length", "capacity", "devices", "chunk_updates")
        _require(
            self.batch % self.devices == 0,
            f"train.batch is {self.batch}; it must be a multiple of train.devices ({self.devices})",
        )
        _require(self.length >= 2, f"train.length is {self.length}; a sequence needs at least 2 rows")
        _require(
            self.capacity // self.envs >= 2 * self.length,
            f"train.capacity is {self.capacity}: with {self.envs} worlds it holds {self.capacity // self.envs} rows of "
            f"each, fewer than two sequences of train.length ({self.length})",
        )
        _require(
            self.prefill_steps // self.envs >= self.length + 1,
            f"train.prefill_steps is {self.prefill_steps}: with {self.envs} worlds that is fewer rows of each than a "
            "sequence",
        )
        steps = self.env_steps_per_update / self.envs
        _require(
            steps > 0 and (steps.is_integer() or (1 / steps).is_integer()),
            f"train.env_steps_per_update is {self.env_steps_per_update}; it must be a multiple or a whole fraction of "
            f"train.envs ({self.envs})",
        )


@dataclasses.dataclass(frozen=True)
class DistilConfig:
    """R_psi and how it is distilled from preferences. Raises ValueError for sizes that cannot work.

    The paper's is ``DistilConfig(encoder="cnn", hidden=512, learning_rate=1e-5, epochs=50, patience=50)``.
    """

    encoder: Literal["patch", "cnn"] = "patch"
    """patch: patches and their neighbours, cheap on a CPU. cnn: three convolutions. Paper: cnn."""
    patch: int = 8
    """Side of a patch in pixels, for the patch encoder; best the tile size of the world."""
    depth: int = 16
    """Channels of a patch's embedding, or of the first convolution (doubled at each further one). Paper: 16."""
    hidden: int = 64
    """Width of hidden layers. Paper: 512."""
    learning_rate: float = 3e-3
    """AdamW. Paper: 1e-5."""
    weight_decay: float = 1e-5
    """Share of every weight that is taken away per step, in units of the learning rate. Paper: 1e-5."""
    batch: int = 32
    """Pairs in a minibatch. Paper: 32."""
    epochs: int = 20
    """Most passes over all training pairs. Paper: 50."""
    patience: int = 5
    """Epochs without a better held-out loss after which training stops. Paper: it never stops early, but the best
    weights are chosen all the same."""
    held_out: float = 0.1
    """Share of the episodes that are kept for checking. Research code: 0.05 of the pairs, whatever their episodes."""

    def __post_init__(self) -> None:
        _check_choices("distil", self)
        _check_sizes("distil", self, "patch", "depth", "hidden", "batch", "epochs", "patience")
        _require(0 < self.held_out < 1, f"distil.held_out is {self.held_out}; it must be between 0 and 1")
        _require(self.learning_rate > 0, f"distil.learning_rate is {self.learning_rate}; it must be above 0")
        _require(self.weight_decay >= 0, f"distil.weight_decay is {self.weight_decay}; it cannot be negative")

    def check_image(self, shape: tuple[int, int, int]) -> None:
        """Check that pictures of this shape [height width channel] fit the encoder. Raises ValueError where not."""
        height, width, _ = shape
        if self.encoder == "patch":
            fits, rule = (
                height % self.patch == 0 and width % self.patch == 0,
                f"a multiple of distil.patch ({self.patch})",
            )
        else:
            fits, rule = min(height, width) >= 36, "at least 36, because three convolutions shrink it"
        _require(
            fits, f"a picture of {height} x {width} does not fit the {self.encoder} encoder: each side must be {rule}"
        )


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of an agent and its training."""

    world_model: WorldModelConfig = dataclasses.field(default_factory=WorldModelConfig)
    ensemble: EnsembleConfig = dataclasses.field(default_factory=EnsembleConfig)
    switch: SwitchConfig = dataclasses.field(default_factory=SwitchConfig)
    novelty: NoveltyConfig = dataclasses.field(default_factory=NoveltyConfig)
    behaviour: BehaviourConfig = dataclasses.field(default_factory=BehaviourConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)

    @property
    def streams(self) -> tuple[str, ...]:
        """The reward streams that count for anything."""
        weights = self.behaviour.reward_weights if self.switch.rule == "fixed" else self.switch.explore
        return tuple(name for name, _ in weights)


def config_from(description: Mapping[str, Any]) -> Config:
    """Make a `Config` of settings as `dataclasses.asdict` and JSON have them.

    Raises ValueError where a setting is missing or not known: they are of another version of this code.
    """
    parts = {}
    for part in dataclasses.fields(Config):
        stored, known = description.get(part.name, {}), type(getattr(Config(), part.name))
        names = {field.name for field in dataclasses.fields(known)}
        if different := sorted(names ^ set(stored)):
            raise ValueError(f"{part.name}.{different[0]} is not in both the settings that were stored and this code's")
        parts[part.name] = known(**{name: _tuples(value) for name, value in stored.items()})
    return Config(**parts)


def changed(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return a `Config` with some settings changed, each by its full name, such as ``{"switch.percentile": 75}``.

    Raises ValueError where there is no such setting, or a value does not fit it.
    """
    for name, value in changes.items():
        part, _, setting = name.partition(".")
        settings = vars(getattr(config, part)) if part in vars(config) else {}
        if setting not in settings:
            among = ", ".join(settings or vars(config))
            raise ValueError(
                f"there is no setting {name!r} (they are written as in switch.percentile); there are {among}"
            )
        old, new = settings[setting], _tuples(value)
        if isinstance(old, float) and isinstance(new, int):
            new = float(new)
        if old is not None and type(new) is not type(old):
            raise ValueError(f"{name} is {value!r}; it must be like {old!r}")
        config = dataclasses.replace(config, **{part: dataclasses.replace(getattr(config, part), **{setting: new})})
    return config


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, list | tuple) else value


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _check_choices(part: str, settings: Any) -> None:
    """Raise ValueError where a setting that has a few words to choose from is none of them."""
    for name, hint in get_type_hints(type(settings)).items():
        words, value = get_args(hint), getattr(settings, name)
        if get_origin(hint) is Literal and value not in words:
            raise ValueError(f"{part}.{name} is {value!r}; there are {', '.join(words)}")


def _check_sizes(part: str, settings: Any, *names: str) -> None:
    """Raise ValueError where one of these settings is below 1."""
    for name in names:
        _require(getattr(settings, name) >= 1, f"{part}.{name} is {getattr(settings, name)}; it must be at least 1")
