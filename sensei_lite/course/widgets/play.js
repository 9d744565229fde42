// A game: the picture, the pad, and a list of what happened. See play.py.
import { follow, make, stage } from "./common.js";

function render({ model, el }) {
  const { side, draw } = stage(model, el, "sensei-play");
  make(side, "p", { className: "heading", textContent: "Events" });
  const log = make(side, "ol", { className: "log" }, { role: "log", "aria-live": "polite", "aria-label": "Events" });
  return follow(model, ["frame"], () => {
    const frame = model.get("frame");
    draw(frame);
    if (frame.log.length < log.children.length) log.replaceChildren();
    for (const line of frame.log.slice(log.children.length)) make(log, "li", { textContent: line });
    log.scrollTop = log.scrollHeight;
  });
}
export default { render };
