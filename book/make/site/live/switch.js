// Go or explore: what a switch with other settings makes of a recorded episode. The episode is from book/make/site/recorded.py;
// common.js and episode.js are those of the notebook's widget, sensei_lite/course/widgets.
import { slider } from "./common.js";
import { KNOBS, describe, draw, weigh } from "./episode.js";

const section = document.querySelector("#switch");
const find = (selector) => section.querySelector(selector);

class Page {
  constructor(trace) {
    this.trace = trace;
    const marks = trace.events.flatMap((name, t) => (name ? [{ t, letter: "" }] : []));
    this.episode = { compared: trace.value, semantic: trace.semantic, disagreement: trace.disagreement, marks };
    this.settings = { percentile: trace.percentile };
    for (const branch of ["go", "explore"]) {
      for (const [stream, weight] of Object.entries(trace[branch])) this.settings[`${branch}_${stream}`] = weight;
    }
    for (const [name, words, range] of KNOBS) {
      const { input, output } = slider(find(".switch-knobs"), words, range, (value) => {
        this.settings[name] = value;
        output.textContent = value;
        this.update();
      });
      output.textContent = input.value = this.settings[name];
    }
    this.step = find(".switch-step input");
    this.step.max = trace.value.length - 1;
    this.step.addEventListener("input", () => this.update());
    this.update();
  }

  update() {
    const t = Number(this.step.value);
    const found = weigh(this.episode, this.settings);
    find(".switch-drawing").innerHTML = draw(this.episode, found, "what is ahead, v_sem", t);
    find(".switch-status").textContent = describe(found);
    const event = this.trace.events[t] ? ` Just now: ${this.trace.events[t]}.` : "";
    const reward = t ? ` Reward for arriving here: ${found.reward[t - 1].toFixed(2)}.` : "";
    find(".switch-step img").src = this.trace.pictures[t];
    find(".switch-told").textContent = `Step ${t}: ${found.exploring[t] ? "explore" : "go"}.${reward}${event}`;
  }
}

fetch(new URL("trace.json", import.meta.url))
  .then((answer) => answer.json())
  .then((trace) => (window.switchPage = new Page(trace)));
