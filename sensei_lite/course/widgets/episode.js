// What a go/explore switch makes of a recorded episode, and a drawing of it: for the notebook's widget and the book.
//
// An episode has, for the states s_0 ... s_T, `compared` (what is held against the threshold) and `semantic`, the reward
// of s_t; `disagreement[t]`, the reward for the step from s_t to s_{t+1}; and `marks`, a list of {t, letter}. Settings are
// `percentile` and one weight for each branch and reward stream. `weigh` in switch.py says the same by the agent's switch.

export const KNOBS = [
  ["percentile", "k, the percentile", { min: 5, max: 99, step: 1 }],
  ["go_semantic", "go: weight of r_sem", { min: 0, max: 2, step: 0.05 }],
  ["go_disagreement", "go: weight of r_dis", { min: 0, max: 20, step: 0.1 }],
  ["explore_semantic", "explore: weight of r_sem", { min: 0, max: 2, step: 0.05 }],
  ["explore_disagreement", "explore: weight of r_dis", { min: 0, max: 20, step: 0.1 }],
];

// The percentile with linear interpolation, as NumPy has it.
export function percentile(values, k) {
  const sorted = [...values].sort((a, b) => a - b);
  const place = ((sorted.length - 1) * k) / 100;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

const sum = (values) => values.reduce((a, b) => a + b, 0);

// The threshold, the branch of every state, and the reward for arriving in s_1 ... s_T, whole and by stream. What there
// was to learn on the way has the weight of the state that was left.
export function weigh({ compared, semantic, disagreement }, settings) {
  const threshold = percentile(compared, settings.percentile);
  const exploring = compared.map((value) => value >= threshold);
  const weight = (stream, t) => settings[`${exploring[t] ? "explore" : "go"}_${stream}`];
  const parts = {
    semantic: semantic.slice(1).map((value, t) => weight("semantic", t + 1) * value),
    disagreement: disagreement.map((value, t) => weight("disagreement", t) * value),
  };
  return { threshold, exploring, parts, reward: parts.semantic.map((value, t) => value + parts.disagreement[t]) };
}

// The same in a sentence.
export function describe({ threshold, exploring, parts, reward }) {
  const number = (value) => Number(value.toPrecision(3)).toLocaleString("en");
  const shares = Object.entries(parts).map(([name, part]) => `${number(sum(part))} from ${name}`).join(", ");
  return `Threshold ${threshold.toFixed(2)}. The switch says explore in ${exploring.filter(Boolean).length} of `
    + `${exploring.length} states. Reward along the whole episode: ${number(sum(reward))} (${shares}).`;
}

const WIDTH = 640, LEFT = 52, RIGHT = 12, TOP = 50, TALL = 120, BELOW = TOP + TALL + 32;

// The episode as SVG in the colours of the page: what is compared, and the weighed reward; hatched where the switch says
// explore. `chosen` is a step to point at, if any.
export function draw({ compared, marks }, weighed, words, chosen = null) {
  const steps = compared.length - 1, across = (WIDTH - LEFT - RIGHT) / (steps + 1), height = BELOW + TALL + 42;
  const x = (t) => (LEFT + (t + 0.5) * across).toFixed(1);
  const hatch = `hatch-${Math.random().toString(36).slice(2)}`;  // every drawing on a page needs a name of its own
  const bands = weighed.exploring.flatMap((on, t) => on ? [TOP, BELOW].map((y) =>
    `<rect class="explore" x="${x(t - 0.5)}" y="${y}" width="${across.toFixed(2)}" height="${TALL}" fill="url(#${hatch})"/>`) : []);
  const letters = marks.map(({ t, letter }, number) => {
    const y = TOP - 7 - 11 * (number % 2);  // neighbours stand at two heights
    return `<path d="M${x(t)} ${y + 2}V${BELOW + TALL}" stroke="currentColor" stroke-opacity="0.35"/>`
      + `<text x="${x(t)}" y="${y}" text-anchor="middle">${letter}</text>`;
  });
  const pointer = chosen === null ? "" : `<path d="M${x(chosen)} ${TOP}V${BELOW + TALL}" stroke="#d55e00" stroke-width="2"/>`;
  const every = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((step) => steps <= 8 * step) ?? 1000;
  const numbers = compared.map((_, t) =>
    t % every ? "" : `<text x="${x(t)}" y="${BELOW + TALL + 15}" text-anchor="middle">${t}</text>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" fill="currentColor"
    font-family="sans-serif" font-size="12" aria-label="${describe(weighed)}">
    <defs><pattern id="${hatch}" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
      <rect width="7" height="7" fill="currentColor" fill-opacity="0.07"/>
      <path d="M0 0V7" stroke="currentColor" stroke-opacity="0.4"/></pattern></defs>
    ${bands.join("")}${letters.join("")}${pointer}
    ${panel(`${words}, and the threshold (dotted)`, 14, TOP, compared.map((value, t) => [x(t), value]), weighed.threshold)}
    ${panel("weighed reward for arriving in a state", BELOW - 10, BELOW, weighed.reward.map((value, t) => [x(t + 1), value]))}
    ${numbers.join("")}<text x="${WIDTH / 2}" y="${height - 6}" text-anchor="middle">step of the episode</text></svg>`;
}

// One line with its axis and title; and the threshold, dotted, where there is one.
function panel(title, titleAt, top, points, threshold = null) {
  const values = points.map(([, value]) => value).concat(threshold ?? []);
  const pad = 0.08 * (Math.max(...values) - Math.min(...values)) || 0.5;
  const low = Math.min(...values) - pad, high = Math.max(...values) + pad;
  const y = (value) => (top + (TALL * (high - value)) / (high - low)).toFixed(1);
  const ticks = roundNumbers(low, high).map((value) =>
    `<path d="M${LEFT - 4} ${y(value)}H${LEFT}" stroke="currentColor"/>`
    + `<text x="${LEFT - 7}" y="${Number(y(value)) + 4}" text-anchor="end">${value}</text>`);
  const dotted = `<path class="threshold" d="M${LEFT} ${y(threshold)}H${WIDTH - RIGHT}" fill="none" stroke="currentColor"
    stroke-width="1.8" stroke-dasharray="2 4"/>`;
  return `<text x="${LEFT - 44}" y="${titleAt}" font-weight="600">${title}</text>
    <path d="M${LEFT} ${top}V${top + TALL}H${WIDTH - RIGHT}" fill="none" stroke="currentColor"/>
    <polyline points="${points.map(([px, value]) => `${px},${y(value)}`).join(" ")}" fill="none" stroke="currentColor"
      stroke-width="1.8"/>${ticks.join("")}${threshold === null ? "" : dotted}`;
}

// Three to six round numbers between two others.
function roundNumbers(low, high) {
  const size = 10 ** Math.floor(Math.log10((high - low) / 3));
  const step = [5 * size, 2 * size, size].find((one) => (high - low) / one >= 3) ?? size;
  const first = Math.ceil(low / step), last = Math.floor(high / step);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}
