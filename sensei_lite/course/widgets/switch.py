"""Turn the knobs of the go/explore switch over a recorded episode, in a notebook. Built for notebook 07_sensei.

The episode stays as it was played; only what the switch makes of it changes:

    Q = k-th percentile of c_0 ... c_T        explore_t = c_t >= Q        r_t = w_sem,t r_sem,t + w_dis,t r_dis,t

where (w_sem,t, w_dis,t) are the weights of the branch of s_t, and c_t is what the trace compares: r_sem or the semantic
critic's value (see `sensei_lite.plots.trace`). So the threshold is a percentile of this one episode. In training it is
a moving average over the percentiles of many batches of dreams, and at the start of an episode nobody knows its end.

`weigh` asks the agent's own `Switch`. The page computes the same in `episode.js`, so that its sliders need no kernel; a
test says that the two agree. Nothing is fetched from the network.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import ipywidgets
import jax.numpy as jnp
import numpy as np
import traitlets
from anywidget import AnyWidget
from jaxtyping import Bool, Float

from sensei_lite.agent.returns import RunningQuantile
from sensei_lite.agent.switch import RewardSwitch
from sensei_lite.config import SwitchConfig
from sensei_lite.course.widgets.base import STYLES, script
from sensei_lite.plots.exploration import moments_of, tell_moments
from sensei_lite.plots.trace import Trace

WORDS = {"return": "the semantic critic's value", "reward": "the predicted semantic reward"}
NO_SWITCH = "this agent has no semantic reward or no disagreement, so there is nothing to switch between"


class Weighed(NamedTuple):
    """The switch's threshold, branches, weights and reward over an episode of T steps."""

    threshold: float
    """Q: the percentile of what is compared, over this episode."""
    exploring: Bool[np.ndarray, " time"]
    """True: explore. False: go."""
    weights: dict[str, Float[np.ndarray, " time"]]
    """The weight of each stream in s_t."""
    parts: dict[str, Float[np.ndarray, " steps"]]
    """What each stream adds to the reward for arriving in s_1 to s_T."""
    reward: Float[np.ndarray, " steps"]
    """The sum of the parts."""


def compared_values(trace: Trace, compares: str) -> Float[np.ndarray, " time"]:
    """Return c_t. Raises ValueError where the trace does not have it."""
    values = {"reward": trace.semantic, "return": trace.compared if trace.compares == "return" else None}
    if (found := values.get(compares)) is None:
        raise ValueError(f"this trace has nothing to compare by {compares!r}")
    return found


def weigh(
    trace: Trace,
    percentile: float,
    go: Mapping[str, float],
    explore: Mapping[str, float],
    compares: str = "return",
) -> Weighed:
    """Apply a switch with these settings to a recorded episode; its threshold is a percentile of that episode.

    Raises ValueError where the trace lacks what is compared or one of the two rewards, or the settings make no switch.
    """
    if trace.semantic is None or trace.disagreement is None:
        raise ValueError(NO_SWITCH)
    c = compared_values(trace, compares)
    threshold = np.percentile(c, percentile).astype(np.float32)
    settings = SwitchConfig(
        rule="reward" if compares == "reward" else "return",
        percentile=percentile,
        go=tuple(go.items()),
        explore=tuple(explore.items()),
    )
    switch = RewardSwitch(RunningQuantile(jnp.asarray(threshold), jnp.ones((), bool)), settings)
    exploring = switch.is_exploring(jnp.asarray(c))
    weights = switch.weights(exploring)
    # On arrival, as in a dream: index t belongs to s_t, and nothing was seen of how the agent came to s_0. Disagreement
    # about the way to s_t has the weight of the state that was left.
    weighed = {
        "semantic": np.asarray(weights["semantic"][1:] * trace.semantic[1:]),
        "disagreement": np.asarray(weights["disagreement"][:-1] * trace.disagreement),
    }
    return Weighed(
        float(threshold),
        np.asarray(exploring),
        {name: np.asarray(weight) for name, weight in weights.items()},
        weighed,
        weighed["semantic"] + weighed["disagreement"],
    )


def switch_explorer(trace: Trace) -> "SwitchWidget":
    """Show sliders for the percentile k and the four weights, over one recorded episode, in JupyterLab or Colab.

    It begins with the settings of `SwitchConfig`. What is shown can be read from Python too, as ``weighed``.

    Raises ValueError where the trace lacks the semantic reward or disagreement.
    """
    return SwitchWidget(trace)


class SwitchWidget(AnyWidget):
    """A drawing of the episode, and a sentence about it, that follow from the sliders' ``settings``."""

    _esm, _css = script("switch"), STYLES
    episode: Any = traitlets.Dict().tag(sync=True)
    """semantic [time] and disagreement [steps]; marks: step t, letter and words of what happened."""
    choices: Any = traitlets.Dict().tag(sync=True)
    """What can be held against the threshold, by name: words for it, and its values ``compared`` [time]."""
    defaults: Any = traitlets.Dict().tag(sync=True)
    settings: Any = traitlets.Dict().tag(sync=True)
    """percentile; go_semantic, go_disagreement, explore_semantic, explore_disagreement; compares."""

    def __init__(self, trace: Trace) -> None:
        config = SwitchConfig()
        self.trace = trace
        defaults: dict[str, Any] = {"percentile": config.percentile, "compares": trace.compares or "reward"}
        for branch in ("go", "explore"):
            defaults |= {f"{branch}_{name}": weight for name, weight in getattr(config, branch)}
        if trace.semantic is None or trace.disagreement is None:
            raise ValueError(NO_SWITCH)
        letters = zip(moments_of(trace), tell_moments(trace), strict=True)
        super().__init__(
            episode={
                "semantic": trace.semantic.tolist(),
                "disagreement": trace.disagreement.tolist(),
                "marks": [{"t": t, "letter": chr(ord("A") + i), "words": line} for i, (t, line) in enumerate(letters)],
            },
            choices={
                name: {"words": words, "compared": compared_values(trace, name).tolist()}
                for name, words in WORDS.items()
                if name == "reward" or trace.compares == "return"
            },
            defaults=defaults,
            settings=dict(defaults),
            layout=ipywidgets.Layout(width="auto"),
        )

    @property
    def weighed(self) -> Weighed:
        """What the switch makes of the episode with the present settings. Raises ValueError as `weigh` does."""
        go, explore = (
            {name: float(self.settings[f"{branch}_{name}"]) for name in ("semantic", "disagreement")}
            for branch in ("go", "explore")
        )
        return weigh(self.trace, float(self.settings["percentile"]), go, explore, str(self.settings["compares"]))

    def __repr__(self) -> str:
        return f"The go/explore switch over an episode of {self.trace.steps} steps, to be tried where this runs."
