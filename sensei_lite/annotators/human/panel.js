// Two pictures, and a person who says which is more interesting.
//
// The model gives `question`, `width` (of a picture, in screen pixels) and `frame` (what changes, see panel.py); it
// takes messages {do, turn}.

const KEYS = {
  ArrowLeft: "first", 1: "first",
  ArrowRight: "second", 2: "second",
  ArrowDown: "tie", t: "tie",
  n: "unknown",
  s: "skip",
  u: "undo", Backspace: "undo",
};

function make(parent, tag, options = {}, attributes = {}) {
  const element = Object.assign(document.createElement(tag), options);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}

function render({ model, el }) {
  const question = model.get("question");

  function send(action) {
    const { turn, over, can_skip, can_undo } = model.get("frame");
    if (action === "undo" ? can_undo : action === "skip" ? can_skip : !over) model.send({ do: action, turn });
  }

  // JupyterLab gives plain letters to its own commands (d d deletes a cell) unless an element asks it not to.
  const root = make(el, "div", { className: "sensei-human" },
    { role: "group", "aria-label": question, "data-lm-suppress-shortcuts": "true" });
  root.style.maxWidth = `${2 * model.get("width") + 48}px`;
  make(root, "p", { className: "question", textContent: question });
  const stage = make(root, "div", { className: "stage", tabIndex: 0 },
    { role: "group", "aria-label": "The two pictures. Keys: left arrow or 1, the first; right arrow or 2, the second; "
      + "down arrow or t, a tie; n, no idea; s, skip; u, undo." });

  function button(parent, action, words, keys) {
    const made = make(parent, "button", { type: "button" }, { "aria-keyshortcuts": keys.join(" ") });
    const label = make(made, "span", { className: "label" });
    make(label, "span", { textContent: words });
    for (const key of keys) {
      const face = { ArrowLeft: "←", ArrowRight: "→", ArrowDown: "↓" }[key] ?? key;
      if (key !== "Backspace") make(label, "kbd", { textContent: face }, { "aria-hidden": "true" });
    }
    made.addEventListener("click", () => send(action));
    return made;
  }
  const images = [["first", "first", ["ArrowLeft", "1"]], ["second", "second", ["ArrowRight", "2"]]].map(
    ([action, words, keys]) => {
      const choice = button(stage, action, words, keys);
      choice.className = "choice";
      const image = make(choice, "img", { draggable: false, alt: `${words} picture` });
      choice.prepend(image);
      choice.style.maxWidth = image.style.width = `${model.get("width")}px`;
      return image;
    });
  const rest = make(root, "div", { className: "rest" }, { role: "group", "aria-label": "Other answers" });
  const tie = button(rest, "tie", "tie", ["ArrowDown", "t"]);
  const unknown = button(rest, "unknown", "no idea", ["n"]);
  const skip = button(rest, "skip", "skip", ["s"]);
  const undo = button(rest, "undo", "undo", ["u", "Backspace"]);
  const hint = make(root, "p", { className: "hint" }, { "aria-hidden": "true" });
  make(hint, "span", { className: "when-off", textContent: "Click here to use the keyboard." });
  make(hint, "span", { className: "when-on", textContent: "Keyboard on. Esc: leave." });
  const problem = make(root, "p", { className: "problem" }, { role: "alert" });
  const progress = make(root, "progress", {}, { "aria-label": "Pairs answered" });
  const status = make(root, "p", { className: "status" }, { role: "status" });
  const counts = make(root, "p");
  const agreement = make(root, "div");

  // A mouse click gives the keyboard to the pictures; a button reached with Tab keeps it.
  root.addEventListener("click", (event) => { if (event.detail > 0) stage.focus({ preventScroll: true }); });
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { document.activeElement?.blur(); return; }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!Object.hasOwn(KEYS, key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) send(KEYS[key]);
  });

  function draw() {
    const frame = model.get("frame");
    frame.pictures.forEach((picture, i) => { images[i].src = picture; });
    if (frame.over && stage.contains(document.activeElement)) undo.focus();  // the stage is about to vanish
    for (const made of [tie, unknown]) made.setAttribute("aria-disabled", frame.over);
    skip.setAttribute("aria-disabled", !frame.can_skip);
    undo.setAttribute("aria-disabled", !frame.can_undo);
    root.classList.toggle("over", frame.over);
    progress.max = frame.total;
    progress.value = frame.done;
    if (problem.textContent !== frame.problem) problem.textContent = frame.problem;
    status.textContent = frame.status + (frame.over ? ". All pairs are answered: thank you." : "");
    counts.textContent = frame.counts;
    agreement.replaceChildren();
    for (const line of frame.agreement) make(agreement, "p", { textContent: line });
  }
  model.on("change:frame", draw);
  draw();
  return () => model.off("change:frame", draw);
}
export default { render };
