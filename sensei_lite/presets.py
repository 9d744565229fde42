"""Settings put together: presets of sizes and ratios, and the agents that are compared, by name.

Presets: `smoke` runs in seconds and is for tests; `lab` is what a student runs on two cores, `lab-tabletop` the same
for a robot's desk, and `lab-tabletop-numbers` for one who is told where everything is on it; `paper` has the sizes and
ratios of SENSEI's research code for MiniHack (DreamerV3 size "S") and wants a GPU, `paper-robodesk` those for Robodesk.

Agents: one program, and what each of them wants, in the table `AGENTS`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from sensei_lite.config import (
    BehaviourConfig,
    Config,
    EnsembleConfig,
    NoveltyConfig,
    SwitchConfig,
    TrainConfig,
    WorldModelConfig,
    changed,
)

PAPER_RULE = {
    "switch.rule": "reward",
    "switch.threshold": "percentile",
    "switch.go": (("semantic", 1.0), ("disagreement", 0.1)),
    "switch.explore": (("semantic", 1.0), ("disagreement", 1.0)),
}
"""The paper's rule: r_sem + beta r_dis, here with r_dis in units of its standard deviation."""


@dataclasses.dataclass(frozen=True)
class Agent:
    """An agent that is compared with others: the same program with other settings."""

    label: str
    """How tables and figures call it."""
    colour: str
    """Of its lines: one that the colour-blind tell apart (by Okabe and Ito, one by Tol)."""
    settings: Mapping[str, Any]
    """What differs from a preset, by full name; empty for the agent that learns nothing."""
    meaning: str
    """What it maximises."""


def _fixed(**weights: float) -> dict[str, Any]:
    return {"switch.rule": "fixed", "behaviour.reward_weights": tuple(weights.items())}


def _mixture(semantic: float, colour: str) -> Agent:
    return Agent(
        f"mixture {semantic:g}",
        colour,
        _fixed(semantic=semantic, disagreement=round(1.0 - semantic, 6)),
        f"semantic reward and disagreement with the fixed weights {semantic:g} and {1.0 - semantic:g} (no switch)",
    )


AGENTS: dict[str, Agent] = {
    "random": Agent("random", "#666666", {}, "nothing: it acts at random and learns nothing"),
    "rnd": Agent(
        "RND", "#CC79A7", _fixed(novelty=1.0), "novelty, by random network distillation (a baseline of the paper)"
    ),
    "plan2explore": Agent(
        "Plan2Explore",
        "#0072B2",
        _fixed(disagreement=1.0),
        "disagreement (a baseline, and the agent that collects D_init)",
    ),
    "vlm-motif": Agent(
        "VLM-Motif", "#009E73", _fixed(semantic=1.0), "the semantic reward alone (an ablation: no disagreement)"
    ),
    "mixture-0.23": _mixture(0.23, "#56B4E9"),
    "mixture-0.5": _mixture(0.5, "#4477AA"),
    "mixture-0.77": _mixture(0.77, "#332288"),
    "sensei": Agent("SENSEI", "#D55E00", PAPER_RULE, "both, with the go/explore switch as the paper writes it"),
    "sensei-return": Agent(
        "SENSEI, returns",
        "#E69F00",
        {"switch.rule": "return"},
        "both, with the research code's switch on returns, and the paper's threshold, a percentile",
    ),
    "sensei-range": Agent(
        "SENSEI, range",
        "#882255",
        {"switch.rule": "return", "switch.threshold": "range"},
        "the same with the threshold that the research code really computes (call-out S1)",
    ),
    "task": Agent("task", "#000000", _fixed(extrinsic=1.0), "the world's own reward"),
}
"""All agents that have a name. Command line, reports, figures and studies read this table; a new one is a line here."""


def agent_config(config: Config, name: str) -> Config:
    """Return the same settings for another agent. Raises ValueError where there is no such agent."""
    if name not in AGENTS:
        raise ValueError(f"there is no agent called {name!r}; there are {', '.join(AGENTS)}")
    return changed(config, AGENTS[name].settings)


def learns(name: str) -> bool:
    """Return whether an agent learns anything: all but the random one do."""
    return name not in AGENTS or bool(AGENTS[name].settings)


def needs_reward_model(config: Config) -> bool:
    """Return whether an agent with these settings needs an R_psi."""
    return "semantic" in config.streams


_ROBODESK_GO = (("semantic", 1.0), ("disagreement", 0.0))
_ROBODESK_EXPLORE = (("semantic", 0.1), ("disagreement", 1.0))


def smoke() -> Config:
    """Return the smallest settings of an agent with every part in it, for tests."""
    return Config(
        world_model=WorldModelConfig(deter=16, stoch=4, classes=4, hidden=16, depth=4, bins=41),
        ensemble=EnsembleConfig(heads=2, hidden=16),
        novelty=NoveltyConfig(hidden=16, features=8),
        behaviour=BehaviourConfig(horizon=3, starts=8, hidden=16),
        train=TrainConfig(
            envs=4, batch=4, length=6, env_steps_per_update=8.0, capacity=512, prefill_steps=64, chunk_updates=2
        ),
    )


def lab() -> Config:
    """Return the settings that a student runs: minutes on two cores."""
    # In rooms that no one has seen every step shifts the whole view. With 32 categoricals and 128 hidden units dreams
    # did not show that a key is taken before 2,500 updates, and nobody learned to want it.
    return Config(world_model=WorldModelConfig(stoch=64, hidden=256))


def lab_tabletop() -> Config:
    """Return `lab` for a robot's desk, with the research code's switch for Robodesk."""
    base, change = lab(), dataclasses.replace
    return change(
        base,
        # A gripper is finer than a tile: what 16 channels keep of a patch cannot draw it.
        world_model=change(base.world_model, stoch=32, hidden=128, depth=64),
        # A normal's entropy changes more than a choice's: with the lab's weights it stays at its highest for ever.
        ensemble=change(base.ensemble, scale=1.0),
        behaviour=change(base.behaviour, entropy=3e-4, starts=None),
        switch=change(base.switch, percentile=75.0, go=_ROBODESK_GO, explore=_ROBODESK_EXPLORE),
        # All that happens: a drawer is opened a few times in a run, and what is forgotten nobody can be asked about.
        train=change(base.train, batch=8, length=8, env_steps_per_update=8.0, capacity=86_016),
    )


def lab_tabletop_numbers() -> Config:
    """Return `lab_tabletop` for an agent that is told where everything is, not shown it. R_psi sees pictures."""
    base, change = lab_tabletop(), dataclasses.replace
    return change(
        base,
        # At 1 the numbers are worth less than the nat that the KL gives away for free, and z ignores them: half a
        # decimetre, which is the difference between a touch and none, costs 0.03.
        world_model=change(base.world_model, encoder="none", vector_scale=30.0, learning_rate=1e-3),
        # Without pictures four times as many rows cost no more time, of which as many as before begin a dream.
        train=change(base.train, batch=16, length=16),
        behaviour=change(base.behaviour, starts=64),
    )


def paper() -> Config:
    """Return the research code's sizes and ratios for MiniHack."""
    return Config(
        world_model=WorldModelConfig(
            deter=512,
            stoch=32,
            classes=32,
            hidden=512,
            layers=2,
            encoder="conv",
            depth=32,
            learning_rate=1e-4,
            beta2=0.999,
        ),
        ensemble=EnsembleConfig(
            layers=2,
            hidden=512,
            reads="state",
            target="sample",
            measure="std",
            scale=1.0,
            learning_rate=1e-4,
            beta2=0.999,
        ),
        switch=SwitchConfig(threshold="range", decay=0.99),
        novelty=NoveltyConfig(hidden=512, layers=2, learning_rate=1e-4, beta2=0.999),
        behaviour=BehaviourConfig(
            horizon=15,
            starts=None,
            discount=1 - 1 / 333,
            semantic_end="nothing",
            curiosity_end="nothing",
            entropy=3e-4,
            return_decay=0.99,
            hidden=512,
            layers=2,
            learning_rate=3e-5,
            beta2=0.999,
        ),
        train=TrainConfig(envs=4, batch=16, length=64, env_steps_per_update=2.0, capacity=1_000_000),
    )


def paper_robodesk() -> Config:
    """Return the research code's sizes and weights for Robodesk ("M"): `paper` with what differs."""
    base, change = paper(), dataclasses.replace
    return change(
        base,
        world_model=change(base.world_model, deter=1024, hidden=640, layers=3, depth=48),
        ensemble=change(base.ensemble, layers=3, hidden=640),
        switch=change(base.switch, percentile=75.0, go=_ROBODESK_GO, explore=_ROBODESK_EXPLORE),
        novelty=change(base.novelty, hidden=640, layers=3),
        behaviour=change(base.behaviour, hidden=640, layers=3, gradient="pathwise"),
    )


PRESETS = {
    "smoke": smoke,
    "lab": lab,
    "lab-tabletop": lab_tabletop,
    "lab-tabletop-numbers": lab_tabletop_numbers,
    "paper": paper,
    "paper-robodesk": paper_robodesk,
}
