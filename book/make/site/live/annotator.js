// Be the annotator: twenty pairs, then how far the reader, CLIP and the truth agree. Nothing is sent anywhere.

const section = document.querySelector("#annotator");
const find = (selector) => section.querySelector(selector);
const CHOICES = ["the first", "the second", "no difference"];
const KEYS = { 1: 0, ArrowLeft: 0, 2: 1, ArrowRight: 1, 0: 2, ArrowDown: 2 };

// The share of pairs on which two judges agree; a tie agrees by half with a choice.
export function agreement(ours, theirs) {
  const points = ours.map((answer, i) => (answer === theirs[i] ? 1 : answer === 2 || theirs[i] === 2 ? 0.5 : 0));
  return points.reduce((a, b) => a + b, 0) / points.length;
}

class Page {
  constructor(pairs) {
    this.pairs = pairs;
    section.addEventListener("keydown", (event) => {
      if (event.key in KEYS && this.answers.length < pairs.length) {
        event.preventDefault();
        this.answer(KEYS[event.key]);
      }
    });
    this.begin();
  }

  begin() {
    this.answers = [];
    find(".annotator-result").hidden = true;
    this.show();
  }

  show() {
    const number = this.answers.length;
    const { first, second } = this.pairs[number];
    find(".annotator-count").textContent = `Pair ${number + 1} of ${this.pairs.length}`;
    const buttons = [first, second, null].map((picture, choice) => {
      const button = Object.assign(document.createElement("button"), { type: "button" });
      if (picture) button.append(Object.assign(new Image(), { src: picture, alt: "" }));
      button.append(CHOICES[choice]);
      button.addEventListener("click", () => this.answer(choice));
      return button;
    });
    const focused = section.contains(document.activeElement);
    find(".annotator-pair").replaceChildren(...buttons);
    if (focused) buttons[0].focus();
  }

  answer(choice) {
    this.answers.push(choice);
    if (this.answers.length < this.pairs.length) this.show();
    else this.finish();
  }

  finish() {
    const clip = this.pairs.map((pair) => pair.clip);
    const truth = this.pairs.map((pair) => pair.truth);
    const decided = this.answers.filter((answer) => answer < 2);
    const firsts = decided.filter((answer) => answer === 0).length;
    const percent = (share) => `${Math.round(100 * share)}%`;
    const rows = [
      ["you and CLIP", percent(agreement(this.answers, clip))],
      ["you and the truth", percent(agreement(this.answers, truth))],
      ["CLIP and the truth", percent(agreement(clip, truth))],
      ["you chose the first picture", decided.length ? `${firsts} of ${decided.length} times` : "never"],
    ];
    find(".annotator-count").textContent = "Done. Thank you.";
    find(".annotator-pair").replaceChildren();
    const result = find(".annotator-result");
    const table = rows.map(([what, number]) => `<tr><th scope="row">${what}</th><td>${number}</td></tr>`).join("");
    result.innerHTML = `<table><caption>How far you agree (no difference counts half)</caption>${table}</table>`;
    const again = Object.assign(document.createElement("button"), { type: "button", textContent: "Again" });
    again.addEventListener("click", () => this.begin());
    result.append(again);
    result.hidden = false;
    result.focus();
  }
}

fetch(new URL("pairs.json", import.meta.url))
  .then((answer) => answer.json())
  .then((pairs) => (window.annotatorPage = new Page(pairs)));
