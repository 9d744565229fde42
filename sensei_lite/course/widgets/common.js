// What the widgets share. A notebook's widget is one script, so `base.py` puts this file in the place of the line that
// imports it. The book's live pages import it as it is.

// A new element at the end of its parent.
export function make(parent, tag, properties = {}, attributes = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}

// The element that a widget draws in. JupyterLab gives plain letters to its own commands (d d deletes a cell) unless an
// element asks it not to.
export function frameOf(el, className, label) {
  return make(el, "div", { className: `sensei ${className}` },
    { role: "group", "aria-label": label, "data-lm-suppress-shortcuts": "true" });
}

// Draw now, and again whenever one of these traits changes. Returns the function that ends it.
export function follow(model, names, draw) {
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => names.forEach((name) => model.off(`change:${name}`, draw));
}

// A slider with its label and its number; `moved` is called with every new number.
export function slider(parent, words, range, moved) {
  const label = make(parent, "label", { className: "slider" });
  make(label, "span", { textContent: words });
  const output = make(label, "output");
  const input = make(label, "input", { type: "range" }, range);
  input.addEventListener("input", () => moved(Number(input.value)));
  // JupyterLab's own meaning of the arrow keys would take them away from the slider, and go to another cell.
  input.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && event.key !== "Escape") event.stopPropagation();
  });
  return { input, output };
}

// A picture to act in, with a pad of buttons and the keyboard (see `PlayWidget`). What is pressed goes back as
// {act: name}; `draw` shows the picture, its alt text and the status.
export function stage(model, el, className) {
  const title = model.get("title"), width = model.get("picture_width"), keys = model.get("key_map");
  const act = (name) => model.send({ act: name });
  const root = frameOf(el, className, title);
  const left = make(root, "div");
  const pictures = make(left, "div", { className: "pictures" });
  const figure = make(pictures, "figure");
  const screen = make(figure, "div", { className: "screen", tabIndex: 0 },
    { role: "application", "aria-label": `${title}. ${model.get("hint")} Escape: leave.` });
  screen.style.width = `${width}px`;
  const image = make(screen, "img", { width, draggable: false });
  const hint = make(left, "p", {}, { "aria-hidden": "true" });
  make(hint, "span", { className: "when-off", textContent: "Click the picture to use the keyboard." });
  make(hint, "span", { className: "when-on", textContent: "Keyboard on. Esc: leave." });

  const side = make(root, "div", { className: "side" });
  const status = make(side, "p", { className: "status" });
  const pad = make(side, "div", { className: "pad" }, { role: "group", "aria-label": "Actions" });
  const buttons = model.get("pad").map(([name, row, column, face]) => {
    const pressed = Object.keys(keys).filter((key) => keys[key] === name && key.length === 1);
    const title = pressed.map((key) => (key === " " ? "space" : key)).join(" or ");
    const button = make(pad, "button", { type: "button", textContent: face, title }, { "aria-label": name });
    button.style.gridArea = `${row} / ${column}`;
    button.addEventListener("click", () => act(name));
    return button;
  });
  const row = make(side, "p");
  const again = make(row, "button", { type: "button", textContent: "new episode", title: "n" });
  again.addEventListener("click", () => act(keys.n));
  make(side, "p", { textContent: model.get("hint") });

  // A mouse click gives the keyboard back to the picture; a button reached with Tab keeps it.
  root.addEventListener("click", (event) => { if (event.detail > 0) screen.focus({ preventScroll: true }); });
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { document.activeElement.blur(); return; }
    if (event.target.tagName === "BUTTON" && [" ", "Enter"].includes(event.key)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!Object.hasOwn(keys, key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) act(keys[key]);
  });

  function draw(frame) {
    image.src = frame.picture;
    image.alt = frame.alt;
    status.textContent = frame.status;
    for (const button of buttons) button.setAttribute("aria-disabled", frame.over);
  }
  return { pictures, figure, side, status, pad, row, draw };
}
