"""Turn the knobs of the go/explore switch over a recorded episode, in a notebook.

The episode stays as it was played; only what the switch makes of it changes:

    Q = k-th percentile of c_0 ... c_T        explore_t = c_t >= Q        r_t = w_sem,t r_sem,t + w_dis,t r_dis,t

where (w_sem,t, w_dis,t) are the weights of the branch of s_t, and c_t is what the trace compares: r_sem or the semantic
critic's value (see `exploration_trace`). So the threshold is a percentile of this one episode. In training it is a
moving average over the percentiles of many batches of dreams, and at the start of an episode nobody knows its end.

The drawing is made in Python and sent to the page as SVG in the colours of the page, light or dark. Nothing is fetched
from the network. Used in notebook 07_sensei.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from sensei_lite.agent.returns import RunningQuantile
from sensei_lite.agent.switch import RewardSwitch
from sensei_lite.config import SwitchConfig
from sensei_lite.plots.exploration import moments_of, rounded, spans, tell_moments
from sensei_lite.plots.trace import Trace

try:
    import anywidget
    import ipywidgets
    import traitlets
except ImportError as error:
    raise ImportError('widgets need more packages: pip install "sensei-lite[notebooks]"') from error

STREAMS = ("semantic", "disagreement")
WORDS = {"return": "the semantic critic's value", "reward": "the predicted semantic reward"}


class Weighed(NamedTuple):
    """What the switch makes of an episode of T steps."""

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
    """c_t. Raises ValueError where the trace does not have it."""
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
    """What a switch with these settings makes of a recorded episode; its threshold is a percentile of that episode.

    Raises ValueError where the trace lacks what is compared or one of the two rewards, or the settings make no switch.
    """
    if trace.semantic is None or trace.disagreement is None:
        raise ValueError("this agent has no semantic reward or no disagreement, so there is nothing to switch between")
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
    # On arrival, as in a dream: index t belongs to s_t, and nothing was seen of how the agent came to s_0.
    rewards = {"semantic": jnp.asarray(trace.semantic[1:]), "disagreement": jnp.asarray(trace.disagreement)}
    return Weighed(
        float(threshold),
        np.asarray(exploring),
        {name: np.asarray(weight) for name, weight in weights.items()},
        {name: np.asarray(weights[name][1:] * rewards[name]) for name in weights},
        np.asarray(switch.reward(rewards, exploring[1:])),
    )


def switch_explorer(trace: Trace) -> "SwitchWidget":
    """Sliders for the percentile k and the four weights, over one recorded episode, in JupyterLab or Colab.

    It begins with the settings of `SwitchConfig`. What is shown can be read from Python too, as ``weighed``.

    Raises ValueError where the trace lacks the semantic reward or disagreement.
    """
    return SwitchWidget(trace)


class SwitchWidget(anywidget.AnyWidget):
    """The sliders' values are ``settings``; the drawing and the sentence below it follow from them."""

    controls: Any = traitlets.List().tag(sync=True)
    """The sliders: name, label, least, most, step."""
    choices: Any = traitlets.List().tag(sync=True)
    """What can be compared with the threshold: value and label."""
    defaults: Any = traitlets.Dict().tag(sync=True)
    settings: Any = traitlets.Dict().tag(sync=True)
    """percentile; go_semantic, go_disagreement, explore_semantic, explore_disagreement; compares."""
    drawing = traitlets.Unicode().tag(sync=True)
    """The episode as SVG."""
    told = traitlets.Unicode().tag(sync=True)
    """The same in words."""
    moments: Any = traitlets.List().tag(sync=True)
    """What the letters in the drawing stand for."""

    _numbers = itertools.count()

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        settings = SwitchConfig()
        defaults: dict[str, Any] = {"percentile": settings.percentile, "compares": trace.compares or "reward"}
        for branch in ("go", "explore"):
            defaults |= {f"{branch}_{name}": weight for name, weight in getattr(settings, branch)}
        choices = [name for name in ("return", "reward") if name == "reward" or trace.compares == "return"]
        self._hatch = f"sensei-hatch-{next(SwitchWidget._numbers)}"  # every drawing on a page needs a name of its own
        self.weighed = _weigh(trace, defaults)
        super().__init__(
            controls=[_slider("percentile", "k, the percentile", 5.0, 99.0, 1.0)]
            + [
                _slider(f"{branch}_{stream}", f"{branch}: weight of {symbol}", 0.0, most, step)
                for branch in ("go", "explore")
                for stream, symbol, most, step in (
                    ("semantic", "r_sem", 2.0, 0.05),
                    ("disagreement", "r_dis", 20.0, 0.1),
                )
            ],
            choices=[{"value": name, "label": WORDS[name]} for name in choices],
            defaults=defaults,
            settings=dict(defaults),
            moments=[f"{chr(ord('A') + number)}, {line}" for number, line in enumerate(tell_moments(trace))],
            layout=ipywidgets.Layout(width="auto"),
            **self._shown(defaults),
        )
        self.observe(self._follow, "settings")

    def __repr__(self) -> str:
        return f"The go/explore switch over an episode of {self.trace.steps} steps, to be tried where this runs."

    def _shown(self, settings: Mapping[str, Any]) -> dict[str, str]:
        return {
            "drawing": draw(self.trace, self.weighed, str(settings["compares"]), self._hatch),
            "told": tell(self.weighed),
        }

    def _follow(self, _: Any) -> None:
        # What is missing or not offered stays as it was at first.
        settings = self.defaults | {name: value for name, value in self.settings.items() if name in self.defaults}
        for slider in self.controls:
            name = slider["name"]
            settings[name] = min(max(float(settings[name]), slider["least"]), slider["most"])
        if settings["compares"] not in [choice["value"] for choice in self.choices]:
            settings["compares"] = self.defaults["compares"]
        self.weighed = _weigh(self.trace, settings)
        for name, value in self._shown(settings).items():
            setattr(self, name, value)

    _css = """
.sensei-switch { display: flex; flex-wrap: wrap; gap: 8px 28px; padding: 6px; color: inherit; line-height: 1.4; }
.sensei-switch .controls { flex: 1 1 250px; max-width: 340px; }
.sensei-switch .drawing { flex: 3 1 420px; max-width: 720px; }
.sensei-switch svg { display: block; width: 100%; height: auto; color: inherit; }
.sensei-switch label { display: block; margin: 0 0 8px; }
.sensei-switch input[type=range] { display: block; width: 100%; margin: 2px 0; }
.sensei-switch output { float: right; font-variant-numeric: tabular-nums; font-weight: 600; }
.sensei-switch select, .sensei-switch button { font: inherit; color: inherit; background: #8882;
  border: 1px solid #888; border-radius: 4px; padding: 3px 8px; min-height: 32px; max-width: 100%; }
.sensei-switch option { color: black; background: white; }
.sensei-switch :is(input, select, button):focus-visible { outline: 3px solid #1a73e8; outline-offset: 1px; }
.sensei-switch p { margin: 6px 0; }
.sensei-switch ul { margin: 6px 0; padding: 0; list-style: none; font-size: 0.9em; columns: 2; }
"""

    _esm = """
function make(parent, tag, options = {}, attributes = {}) {
  const element = Object.assign(document.createElement(tag), options);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}

function render({ model, el }) {
  const root = make(el, "div", { className: "sensei-switch" },
    { role: "group", "aria-label": "The go/explore switch", "data-lm-suppress-shortcuts": "true" });
  const controls = make(root, "div", { className: "controls" });
  // JupyterLab's own meaning of the arrow keys would take them away from the sliders, and go to another cell.
  controls.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && event.key !== "Escape") event.stopPropagation();
  });
  const change = (name, value) => {
    model.set("settings", { ...model.get("settings"), [name]: value });
    model.save_changes();
  };

  const question = make(controls, "label", { textContent: "Held against the threshold: " });
  const select = make(question, "select");
  for (const { value, label } of model.get("choices")) make(select, "option", { value, textContent: label });
  select.addEventListener("change", () => change("compares", select.value));

  const sliders = model.get("controls").map(({ name, label, least, most, step }) => {
    const row = make(controls, "label", { textContent: label });
    const shown = make(row, "output");
    const input = make(row, "input", { type: "range" }, { min: least, max: most, step });
    input.addEventListener("input", () => {
      shown.textContent = input.value;
      change(name, Number(input.value));
    });
    return { name, input, shown };
  });
  const again = make(controls, "button", { type: "button", textContent: "as at first" });
  again.addEventListener("click", () => {
    model.set("settings", { ...model.get("defaults") });
    model.save_changes();
    settle();
  });

  const right = make(root, "div", { className: "drawing" });
  const drawing = make(right, "div");
  const told = make(right, "p", {}, { role: "status", "aria-live": "polite" });
  const letters = make(right, "ul", {}, { "aria-label": "What the letters stand for" });
  for (const line of model.get("moments")) make(letters, "li", { textContent: line });

  function settle() {
    const settings = model.get("settings");
    select.value = settings.compares;
    for (const { name, input, shown } of sliders) {
      input.value = settings[name];
      shown.textContent = input.value;
    }
  }
  function draw() {
    drawing.innerHTML = model.get("drawing");
    told.textContent = model.get("told");
  }
  model.on("change:settings", settle);
  model.on("change:drawing", draw);
  model.on("change:told", draw);
  settle();
  draw();
  return () => {
    model.off("change:settings", settle);
    model.off("change:drawing", draw);
    model.off("change:told", draw);
  };
}
export default { render };
"""


def _slider(name: str, label: str, least: float, most: float, step: float) -> dict[str, Any]:
    return {"name": name, "label": label, "least": least, "most": most, "step": step}


def _weigh(trace: Trace, settings: Mapping[str, Any]) -> Weighed:
    go, explore = ({name: float(settings[f"{branch}_{name}"]) for name in STREAMS} for branch in ("go", "explore"))
    return weigh(trace, float(settings["percentile"]), go, explore, str(settings["compares"]))


def tell(weighed: Weighed) -> str:
    """What the drawing shows, in a sentence."""
    parts = ", ".join(f"{rounded(float(part.sum()))} from {name}" for name, part in weighed.parts.items())
    return (
        f"Threshold {weighed.threshold:.2f}: the switch says explore in {weighed.exploring.sum()} of "
        f"{len(weighed.exploring)} states. Reward along the whole episode: {rounded(float(weighed.reward.sum()))} "
        f"({parts})."
    )


# --- the drawing ------------------------------------------------------------------------------------------------------

WIDTH, LEFT, RIGHT, TOP, TALL, GAP = 640.0, 52.0, 12.0, 50.0, 120.0, 32.0


def draw(trace: Trace, weighed: Weighed, compares: str, hatch: str) -> str:
    """The episode as SVG: what is compared, and the weighed reward, with hatched bands where the switch says explore.

    ``hatch`` names the pattern of the bands and must be another one for every drawing of a page.
    """
    c = compared_values(trace, compares)
    across = (WIDTH - LEFT - RIGHT) / (trace.steps + 1)
    x = lambda t: LEFT + (t + 0.5) * across  # noqa: E731
    below = TOP + TALL + GAP
    height = below + TALL + 42
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" fill="currentColor" '
        f'font-family="sans-serif" font-size="12" aria-label="{escape(tell(weighed))}">',
        f'<defs><pattern id="{hatch}" width="7" height="7" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="7" height="7" fill="currentColor" fill-opacity="0.07"/>'
        '<path d="M0 0V7" stroke="currentColor" stroke-opacity="0.4"/></pattern></defs>',
    ]
    for begin, end in spans(weighed.exploring):
        for y in (TOP, below):
            parts.append(
                f'<rect class="explore" x="{x(begin - 0.5):.1f}" y="{y}" width="{(end - begin) * across:.1f}" '
                f'height="{TALL}" fill="url(#{hatch})"/>'
            )
    for number, t in enumerate(moments_of(trace)):
        raised = 11 * (number % 2)  # neighbours stand at two heights
        parts.append(
            f'<path d="M{x(t):.1f} {TOP - 5 - raised}V{below + TALL}" stroke="currentColor" stroke-opacity="0.35"/>'
            f'<text x="{x(t):.1f}" y="{TOP - 7 - raised}" text-anchor="middle">{chr(ord("A") + number)}</text>'
        )
    parts += _panel(
        f"{WORDS[compares]}, and the threshold (dotted)",
        14.0,
        TOP,
        [(x(t), float(v)) for t, v in enumerate(c)],
        weighed.threshold,
    )
    parts += _panel(
        "weighed reward for arriving in a state",
        below - 10,
        below,
        [(x(t), float(v)) for t, v in enumerate(weighed.reward, start=1)],
        None,
    )
    every = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if trace.steps <= 8 * step)
    for t in range(0, trace.steps + 1, every):
        parts.append(f'<text x="{x(t):.1f}" y="{below + TALL + 15}" text-anchor="middle">{t}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{height - 6}" text-anchor="middle">step of the episode</text></svg>')
    return "".join(parts)


def _panel(
    title: str, title_at: float, top: float, points: Sequence[tuple[float, float]], threshold: float | None
) -> list[str]:
    """One line with its axis and its title; and the threshold, dotted, where there is one."""
    values = [value for _, value in points] + ([] if threshold is None else [threshold])
    low, high = min(values), max(values)
    pad = 0.08 * (high - low) or 0.5
    low, high = low - pad, high + pad
    y = lambda value: top + TALL * (high - value) / (high - low)  # noqa: E731
    line = " ".join(f"{px:.1f},{y(value):.1f}" for px, value in points)
    drawn = [
        f'<text x="{LEFT - 44}" y="{title_at}" font-weight="600">{escape(title)}</text>',
        f'<path d="M{LEFT} {top}V{top + TALL}H{WIDTH - RIGHT}" fill="none" stroke="currentColor"/>',
        f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="1.8"/>',
    ]
    for value in _ticks(low, high):
        drawn.append(
            f'<path d="M{LEFT - 4} {y(value):.1f}H{LEFT}" stroke="currentColor"/>'
            f'<text x="{LEFT - 7}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    if threshold is not None:
        drawn.append(
            f'<path class="threshold" d="M{LEFT} {y(threshold):.1f}H{WIDTH - RIGHT}" fill="none" '
            'stroke="currentColor" stroke-width="1.8" stroke-dasharray="2 4"/>'
        )
    return drawn


def _ticks(low: float, high: float) -> list[float]:
    """Three to five round numbers between two others."""
    size = 10 ** math.floor(math.log10((high - low) / 3))
    step = next(step for step in (5 * size, 2 * size, size) if (high - low) / step >= 3)
    first = math.ceil(low / step)
    return [round(float(number * step), 10) for number in range(first, math.floor(high / step) + 1)]
