// Scrubs through one episode: the slider's place is the step, and all that is shown follows from it.
"use strict";
const number = (value) =>
  value === null ? "no action follows" : Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));

function startPlayer(root) {
  const episode = JSON.parse(root.querySelector("script").textContent);
  const find = (name) => root.querySelector(name);
  const slider = find("input"), button = find("button"), screen = find(".screen");
  let timer = null;

  function show() {
    const t = Number(slider.value);
    const moment = [`Step ${t} of ${episode.steps}`, episode.happened[t]].filter(Boolean).join(": ");
    const branch = episode.exploring ? (episode.exploring[t] ? "explore" : "go") : "";
    screen.src = episode.images[t];
    screen.alt = `What the agent sees. ${moment}.`;
    find(".moment").textContent = moment;
    find(".action").textContent = episode.actions[t] ? `It chooses: ${episode.actions[t]}` : "No action follows.";
    slider.setAttribute("aria-valuetext", branch ? `${moment}; the switch says ${branch}` : moment);
    for (const gauge of root.querySelectorAll(".gauge")) {
      const { values, low, high } = episode.gauges[gauge.dataset.name], value = values[t];
      const meter = gauge.querySelector(".meter");
      gauge.querySelector(".value").textContent = number(value);
      gauge.querySelector(".fill").style.width = value === null ? "0" : `${(100 * (value - low)) / (high - low)}%`;
      meter.setAttribute("aria-valuenow", value === null ? low : value);
      meter.setAttribute("aria-valuetext", number(value));
    }
    if (branch) {
      find(".branch").textContent = branch;
      find(".branch").classList.toggle("explore", branch === "explore");
    }
    find(".weights").textContent = Object.entries(episode.weights)
      .map(([name, values]) => `${name} ${number(values[t])}`)
      .join(", ");
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }

  function play() {
    if (Number(slider.value) === episode.steps) slider.value = 0;
    button.textContent = "Pause";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (Number(slider.value) === episode.steps) stop();
    }, 300);
    show();
  }

  button.addEventListener("click", () => (timer === null ? play() : stop()));
  slider.addEventListener("input", () => {
    if (timer !== null) stop();
    show();
  });
  root.hidden = false;
  show();
}

document.querySelectorAll(".player").forEach(startPlayer);
