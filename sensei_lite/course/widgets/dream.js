// Inside a dream: as in a game, with what the model predicts, and the real world beside it. See dream.py.
import { follow, make, stage } from "./common.js";

function render({ model, el }) {
  const { pictures, figure, side, status, pad, row, draw } = stage(model, el, "sensei-play sensei-dream");
  figure.prepend(make(figure, "figcaption", { textContent: "dream" }));
  status.setAttribute("aria-live", "polite");
  const beside = make(pictures, "figure", { hidden: true });
  make(beside, "figcaption", { textContent: "reality" });
  const real = make(beside, "img", { width: model.get("picture_width"), draggable: false });

  const compare = make(row, "button", { type: "button", textContent: "show reality" }, { "aria-pressed": "false" });
  compare.addEventListener("click", () => {
    beside.hidden = !beside.hidden;
    compare.setAttribute("aria-pressed", String(!beside.hidden));
  });

  const [low, high] = model.get("semantic_range");
  const meters = [["semantic", "predicted r_sem", low, high], ["continue_prob", "goes on (probability)", 0, 1]].map(
    ([name, words, min, max]) => {
      const line = make(side, "div", { className: "meter" });
      pad.before(line);
      make(line, "span", { textContent: words });
      const meter = make(line, "meter", { min, max }, { "aria-label": words });
      return { name, meter, number: make(line, "span") };
    });

  return follow(model, ["frame"], () => {
    const frame = model.get("frame");
    draw(frame);
    real.src = frame.real;
    real.alt = frame.real_alt;
    for (const { name, meter, number } of meters) {
      meter.value = frame[name];
      number.textContent = frame[name].toFixed(2);
    }
  });
}
export default { render };
