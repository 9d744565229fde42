// Sliders for the go/explore switch over a recorded episode. The page needs no kernel. See switch.py.
import { follow, frameOf, make, slider } from "./common.js";
import { KNOBS, describe, draw, weigh } from "./episode.js";

function render({ model, el }) {
  const episode = model.get("episode"), choices = model.get("choices");
  const root = frameOf(el, "sensei-switch", "The go/explore switch");
  const change = (settings) => {
    model.set("settings", { ...model.get("settings"), ...settings });
    model.save_changes();
  };

  const controls = make(root, "div", { className: "controls" });
  const question = make(controls, "label", { textContent: "Held against the threshold: " });
  const select = make(question, "select");
  for (const [value, { words }] of Object.entries(choices)) make(select, "option", { value, textContent: words });
  select.addEventListener("change", () => change({ compares: select.value }));
  const sliders = KNOBS.map(([name, words, range]) =>
    [name, slider(controls, words, range, (value) => change({ [name]: value }))]);
  const again = make(controls, "button", { type: "button", textContent: "as at first" });
  again.addEventListener("click", () => change(model.get("defaults")));

  const right = make(root, "div", { className: "drawing" });
  const drawing = make(right, "div");
  const status = make(right, "p", {}, { role: "status", "aria-live": "polite" });
  const letters = make(right, "ul", {}, { "aria-label": "What the letters stand for" });
  for (const { letter, words } of episode.marks) make(letters, "li", { textContent: `${letter}, ${words}` });

  return follow(model, ["settings"], () => {
    const settings = model.get("settings");
    select.value = settings.compares;
    for (const [name, { input, output }] of sliders) output.textContent = input.value = settings[name];
    const { words, compared } = choices[settings.compares];
    const found = weigh({ ...episode, compared }, settings);
    drawing.innerHTML = draw({ ...episode, compared }, found, words);
    status.textContent = describe(found);
  });
}
export default { render };
