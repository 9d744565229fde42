// Inside the dream: runs one step of the exported world model for every key, and shows what it imagines.
// The numbers come from dream.onnx; this file only draws them. See book/make/site/dream.py for what goes in and out.

const here = new URL(".", import.meta.url);
const section = document.querySelector("#dream");
const find = (selector) => section.querySelector(selector);
const FACES = { north: "↑", south: "↓", west: "←", east: "→", apply: "use" };
const PLACES = { north: "1 / 2", west: "2 / 1", apply: "2 / 2", east: "2 / 3", south: "3 / 2" };
const KEYS = { ArrowUp: "north", ArrowDown: "south", ArrowLeft: "west", ArrowRight: "east", " ": "apply" };
const METERS = [
  ["semantic", "How interesting", -3, 3],
  ["value", "What is ahead", null, null],
  ["disagreement", "How new", 0, 0.6],
  ["goes_on", "Goes on", 0, 1],
];

export class Dream {
  // Loads the program and the real frames. Throws where WebAssembly or a file is missing.
  static async load() {
    const ort = await import(new URL("ort.wasm.min.mjs", here));
    ort.env.wasm.wasmPaths = here.href;
    ort.env.wasm.numThreads = 1;
    const [told, session] = await Promise.all([
      fetch(new URL("dream.json", here)).then((answer) => answer.json()),
      ort.InferenceSession.create(new URL("dream.onnx", here).href),
    ]);
    return new Dream(ort, told, session);
  }

  constructor(ort, told, session) {
    Object.assign(this, { ort, told, session });
  }

  tensor(name, values) {
    return new this.ort.Tensor("float32", Float32Array.from(values), this.told.shapes[name]);
  }

  // One step: h as numbers, z as class numbers, the number of an action, uniform numbers for the draw.
  async step(h, z, action, uniform) {
    const [stoch, classes] = this.told.shapes.z;
    const oneHot = new Float32Array(stoch * classes);
    z.forEach((drawn, variable) => (oneHot[variable * classes + drawn] = 1));
    const choice = this.told.actions.map((_, number) => (number === action ? 1 : 0));
    const feeds = { h: this.tensor("h", h), z: this.tensor("z", oneHot) };
    Object.assign(feeds, { action: this.tensor("action", choice), uniform: this.tensor("uniform", uniform) });
    const out = await this.session.run(feeds);
    const next = Object.fromEntries(Object.entries(out).map(([name, value]) => [name, value.data]));
    next.drawn = z.map((_, variable) => next.next_z.slice(variable * classes, (variable + 1) * classes).indexOf(1));
    return next;
  }
}

class Page {
  constructor(dream) {
    Object.assign(this, { dream, told: dream.told, busy: false, timer: null });
    this.canvas = find("canvas");
    [this.canvas.height, this.canvas.width] = this.told.picture;
    this.buildPad();
    this.buildMeters();
    this.buildStarts();
    this.canvas.addEventListener("keydown", (event) => {
      if (KEYS[event.key]) {
        event.preventDefault();
        this.act(this.told.actions.indexOf(KEYS[event.key]));
      }
    });
    find(".dream-auto").addEventListener("click", () => this.auto(!this.timer));
    this.start(this.told.starts[0]);
  }

  buildPad() {
    this.told.actions.forEach((name, number) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: FACES[name] ?? name });
      button.setAttribute("aria-label", name);
      button.style.gridArea = PLACES[name] ?? "auto";
      button.addEventListener("click", () => this.act(number));
      find(".dream-pad").append(button);
    });
  }

  buildMeters() {
    this.meters = {};
    for (const [name, words, low, high] of METERS) {
      const meter = document.createElement("div");
      meter.className = "dream-meter";
      meter.innerHTML = `<div>${words}: <b class="number"></b></div><div class="bar"><div class="fill"></div></div>`;
      const range = low === null ? [0, 1.6 * this.told.threshold] : [low, high];
      if (name === "value") {
        const mark = Object.assign(document.createElement("div"), { className: "mark" });
        mark.style.left = `${(100 * this.told.threshold) / range[1]}%`;
        meter.querySelector(".bar").append(mark);
      }
      find(".dream-meters").append(meter);
      this.meters[name] = { meter, range };
    }
  }

  buildStarts() {
    for (const start of this.told.starts) {
      const button = Object.assign(document.createElement("button"), { type: "button" });
      const picture = Object.assign(new Image(), { src: start.picture, alt: "" });
      button.append(picture, start.words);
      button.addEventListener("click", () => this.start(start));
      find(".dream-starts").append(button);
    }
  }

  start(start) {
    this.auto(false);
    Object.assign(this, { h: start.h, z: start.z, policy: null, steps: 0 });
    const picture = new Image();
    picture.onload = () => this.canvas.getContext("2d").drawImage(picture, 0, 0);
    picture.src = start.picture;
    for (const name of Object.keys(this.meters)) this.show(name, null);
    find(".dream-status").textContent = `A real frame: ${start.words}. From here on you dream.`;
  }

  async act(action) {
    if (this.busy) return;
    this.busy = true;
    const uniform = this.z.map(() => Math.random());
    const next = await this.dream.step(this.h, this.z, action, uniform);
    Object.assign(this, { h: next.next_h, z: next.drawn, policy: next.policy, steps: this.steps + 1 });
    this.draw(next.picture);
    for (const name of Object.keys(this.meters)) this.show(name, next[name][0]);
    const branch = next.value[0] >= this.told.threshold ? "explore" : "go";
    const weights = Object.entries(this.told[branch]).map(([stream, weight]) => `${stream} ${weight}`);
    const over = next.goes_on[0] < 0.5 ? " The model expects that the episode is over." : "";
    find(".dream-status").textContent =
      `Step ${this.steps} of the dream: ${this.told.actions[action]}. The switch says ${branch} (weights: ${weights.join(", ")}).${over}`;
    this.busy = false;
    if (over) this.auto(false);
  }

  draw(numbers) {
    const context = this.canvas.getContext("2d");
    const image = context.createImageData(this.canvas.width, this.canvas.height);
    for (let pixel = 0; pixel < image.data.length / 4; pixel++) {
      for (let colour = 0; colour < 3; colour++) image.data[4 * pixel + colour] = Math.round(255 * numbers[3 * pixel + colour]);
      image.data[4 * pixel + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  show(name, value) {
    const { meter, range } = this.meters[name];
    const share = value === null ? 0 : Math.min(1, Math.max(0, (value - range[0]) / (range[1] - range[0])));
    meter.querySelector(".fill").style.width = `${100 * share}%`;
    meter.querySelector(".number").textContent = value === null ? "–" : value.toFixed(2);
  }

  auto(on) {
    clearInterval(this.timer);
    this.timer = on ? setInterval(() => this.act(this.choose()), 450) : null;
    find(".dream-auto").setAttribute("aria-pressed", String(on));
  }

  choose() {
    const chances = this.policy ?? this.told.actions.map(() => 1 / this.told.actions.length);
    let left = Math.random();
    return Math.max(0, chances.findIndex((chance) => (left -= chance) < 0));
  }
}

if (typeof WebAssembly === "object") {
  const begin = find(".dream-begin");
  begin.hidden = find(".dream-size").hidden = false;
  begin.addEventListener("click", async () => {
    begin.disabled = true;
    begin.textContent = "Loading …";
    try {
      const dream = await Dream.load();
      find(".dream-film").hidden = true;
      find(".dream-live").hidden = false;
      window.dreamPage = new Page(dream);
      find("canvas").focus();
    } catch (error) {
      begin.textContent = "This browser cannot run the dream; the film shows one";
      console.info(String(error));
    }
  });
}
