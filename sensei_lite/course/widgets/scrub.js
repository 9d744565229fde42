// A dream beside reality, with a slider over the steps. All pictures are here from the start. See dream.py.
import { follow, frameOf, make, slider } from "./common.js";

function render({ model, el }) {
  const frames = model.get("frames"), width = model.get("picture_width");
  const root = frameOf(el, "sensei-scrub", "A dream beside reality");
  const pictures = make(root, "div", { className: "pictures" });
  const panels = model.get("panels").map((name) => {
    const figure = make(pictures, "figure");
    make(figure, "figcaption", { textContent: name });
    return { name, image: make(figure, "img", { width }), below: make(figure, "div", { className: "below" }) };
  });
  const { input, output } = slider(root, "step", { min: 0, max: frames.length - 1, step: 1 }, (t) => {
    model.set("t", t);
    model.save_changes();
  });
  const caption = make(root, "p", { className: "heading" }, { "aria-live": "polite" });

  return follow(model, ["t"], () => {
    const t = model.get("t"), frame = frames[t];
    input.value = t;
    input.setAttribute("aria-valuetext", `step ${t}: ${frame.caption}`);
    output.textContent = `${t} of ${frames.length - 1}`;
    caption.textContent = frame.caption;
    panels.forEach(({ name, image, below }, i) => {
      image.src = frame.pictures[i];
      image.alt = [`${name}, step ${t}`, frame.below[i]].filter(Boolean).join(", ");
      below.textContent = frame.below[i];
    });
  });
}
export default { render };
