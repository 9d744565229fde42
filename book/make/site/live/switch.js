// Go or explore: what a switch with other settings makes of a recorded episode. See book/make/site/recorded.py for the episode.

const section = document.querySelector("#switch");
const find = (selector) => section.querySelector(selector);
const KNOBS = [
  ["k", "k, the percentile", 5, 99, 1],
  ["go.semantic", "go: weight of r_sem", 0, 2, 0.05],
  ["go.disagreement", "go: weight of r_dis", 0, 20, 0.1],
  ["explore.semantic", "explore: weight of r_sem", 0, 2, 0.05],
  ["explore.disagreement", "explore: weight of r_dis", 0, 20, 0.1],
];

// The percentile with linear interpolation, as NumPy has it.
export function percentile(values, k) {
  const sorted = [...values].sort((a, b) => a - b);
  const place = ((sorted.length - 1) * k) / 100;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

// What the switch makes of the episode: the threshold, the branch of every state, the reward for arriving in s_1 ... s_T.
export function weigh(trace, settings) {
  const threshold = percentile(trace.value, settings.k);
  const exploring = trace.value.map((value) => value >= threshold);
  const reward = trace.disagreement.map((news, t) => {
    const branch = exploring[t + 1] ? "explore" : "go";
    return settings[`${branch}.semantic`] * trace.semantic[t + 1] + settings[`${branch}.disagreement`] * news;
  });
  return { threshold, exploring, reward };
}

function line(values, offset, scale, x) {
  return values.map((value, t) => `${x(t + offset).toFixed(1)},${scale(value).toFixed(1)}`).join(" ");
}

function panel(top, height, values, mark) {
  const low = Math.min(...values, mark ?? Infinity, 0);
  const high = Math.max(...values, mark ?? -Infinity, 0);
  return (value) => top + height - (height * (value - low)) / (high - low || 1);
}

function draw(trace, found, chosen) {
  const last = trace.value.length - 1;
  const x = (t) => 10 + (620 * t) / last;
  const above = panel(20, 110, trace.value, found.threshold);
  const below = panel(165, 110, found.reward, 0);
  const bands = found.exploring
    .map((on, t) => (on ? `<rect x="${x(t - 0.5)}" y="8" width="${620 / last}" height="272" fill="url(#switch-hatch)"/>` : ""))
    .join("");
  const events = trace.events
    .map((name, t) => (name ? `<line x1="${x(t)}" x2="${x(t)}" y1="8" y2="280" stroke="currentColor" stroke-opacity="0.35"/>` : ""))
    .join("");
  return `<svg viewBox="0 0 640 300" role="img" aria-label="Above: the value of every state and the threshold. Below: the reward of every step. Hatched: explore.">
    <defs><pattern id="switch-hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line x1="0" y1="0" x2="0" y2="6" stroke="currentColor" stroke-opacity="0.45" stroke-width="2"/></pattern></defs>
    ${bands}${events}
    <line x1="${x(chosen)}" x2="${x(chosen)}" y1="8" y2="280" stroke="#d55e00" stroke-width="2"/>
    <text x="12" y="16" font-size="12" fill="currentColor">what is ahead, v_sem; dashed: the threshold</text>
    <polyline points="${line(trace.value, 0, above, x)}" fill="none" stroke="#0072b2" stroke-width="2.5"/>
    <line x1="10" x2="630" y1="${above(found.threshold)}" y2="${above(found.threshold)}" stroke="#d55e00" stroke-width="2" stroke-dasharray="7 5"/>
    <text x="12" y="160" font-size="12" fill="currentColor">the reward of the step that led here</text>
    <line x1="10" x2="630" y1="${below(0)}" y2="${below(0)}" stroke="currentColor" stroke-opacity="0.5"/>
    <polyline points="${line(found.reward, 1, below, x)}" fill="none" stroke="#009e73" stroke-width="2.5"/>
    <text x="12" y="296" font-size="12" fill="currentColor">step of the episode, 0 to ${last}; thin lines: events; hatched: explore</text>
  </svg>`;
}

class Page {
  constructor(trace) {
    this.trace = trace;
    this.settings = { k: trace.percentile };
    for (const branch of ["go", "explore"]) {
      for (const [stream, weight] of Object.entries(trace[branch])) this.settings[`${branch}.${stream}`] = weight;
    }
    KNOBS.forEach((knob) => this.addKnob(...knob));
    this.slider = find(".switch-step input");
    this.slider.max = trace.value.length - 1;
    this.slider.addEventListener("input", () => this.update());
    this.update();
  }

  addKnob(name, words, min, max, step) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "range", min, max, step, value: this.settings[name] });
    const number = Object.assign(document.createElement("b"), { textContent: this.settings[name] });
    const text = document.createElement("span");
    text.append(`${words}: `, number);
    label.append(text, input);
    input.addEventListener("input", () => {
      this.settings[name] = Number(input.value);
      number.textContent = input.value;
      this.update();
    });
    find(".switch-knobs").append(label);
  }

  update() {
    const t = Number(this.slider.value);
    const found = weigh(this.trace, this.settings);
    find(".switch-drawing").innerHTML = draw(this.trace, found, t);
    const count = found.exploring.filter(Boolean).length;
    const sum = found.reward.reduce((a, b) => a + b, 0);
    find(".switch-status").textContent =
      `Threshold ${found.threshold.toFixed(2)}. The switch says explore in ${count} of ${found.exploring.length} states. ` +
      `All rewards of the episode together: ${sum.toFixed(2)}.`;
    const event = this.trace.events[t] ? ` Just now: ${this.trace.events[t]}.` : "";
    const reward = t ? ` Reward for arriving here: ${found.reward[t - 1].toFixed(2)}.` : "";
    find(".switch-step img").src = this.trace.pictures[t];
    find(".switch-told").textContent = `Step ${t}: ${found.exploring[t] ? "explore" : "go"}.${reward}${event}`;
  }
}

fetch(new URL("trace.json", import.meta.url))
  .then((answer) => answer.json())
  .then((trace) => (window.switchPage = new Page(trace)));
