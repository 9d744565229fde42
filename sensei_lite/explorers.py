"""The agents that are compared, by name: one program, and what each of them wants.

| name | maximises |
|---|---|
| random | nothing: it acts at random and learns nothing |
| rnd | novelty, by random network distillation (a baseline of the paper) |
| plan2explore | disagreement (a baseline, and the agent that collects D_init) |
| vlm-motif | the semantic reward alone (an ablation: no disagreement) |
| sensei-no-switch | semantic reward and disagreement with fixed weights (an ablation: no switch) |
| sensei-paper | both, with the go/explore switch as the paper writes it |
| sensei | both, with the research code's switch on returns, and the paper's threshold, a percentile |
| sensei-range | the same with the threshold that the research code really computes (call-out S1) |
| task | the world's own reward |
"""

import dataclasses

from sensei_lite.config import Config

Weights = tuple[tuple[str, float], ...]

FIXED: dict[str, Weights] = {
    "random": (),
    "rnd": (("novelty", 1.0),),
    "plan2explore": (("disagreement", 1.0),),
    "vlm-motif": (("semantic", 1.0),),
    "sensei-no-switch": (("semantic", 0.5), ("disagreement", 0.5)),
    "task": (("extrinsic", 1.0),),
}
"""Agents whose weights are the same in every state."""

PAPER_FORM_GO: Weights = (("semantic", 1.0), ("disagreement", 1.0))
PAPER_FORM_EXPLORE: Weights = (("semantic", 1.0), ("disagreement", 10.0))
"""Weights of the paper's form, which adds rewards that nothing has brought to one scale: the paper gives its beta for
each environment, and these are KeyRoom's, for `measure="information"` at `scale=0.1`."""

NAMES = (
    "random",
    "rnd",
    "plan2explore",
    "vlm-motif",
    "sensei-no-switch",
    "sensei-paper",
    "sensei",
    "sensei-range",
    "task",
)


def explorer_config(config: Config, name: str) -> Config:
    """The same settings for another agent. Raises ValueError where there is no such agent."""
    if name not in NAMES:
        raise ValueError(f"there is no agent called {name!r}; there are {', '.join(NAMES)}")
    behaviour, switch = config.behaviour, config.switch
    if name in FIXED:
        behaviour = dataclasses.replace(
            behaviour, switched=False, reward_weights=FIXED[name] or behaviour.reward_weights
        )
        return dataclasses.replace(config, behaviour=behaviour)
    if name == "sensei-paper":
        switch = dataclasses.replace(switch, compares="reward", go=PAPER_FORM_GO, explore=PAPER_FORM_EXPLORE)
    if name == "sensei-range":
        switch = dataclasses.replace(switch, threshold="range")
    return dataclasses.replace(config, switch=switch, behaviour=dataclasses.replace(behaviour, switched=True))


def learns(name: str) -> bool:
    """Whether an agent learns anything: all but the random one do."""
    return bool(FIXED.get(name, True))


def needs_taste(config: Config) -> bool:
    """Whether an agent with these settings needs an R_psi."""
    return "semantic" in config.streams
