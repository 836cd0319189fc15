"use strict";
// The tab that scores.

const LONGEST = 20000; // characters that are scored
const LONG = 1000; // characters that take a moment
const DELAY = 150; // milliseconds after the last key

/** The first LONGEST characters of a text. */
const beginning = (text) => Array.from(text).slice(0, LONGEST).join("");

class Scorer {
  constructor(model) {
    this.model = model;
    this.turn = 0;
    this.panel = element("section", "panel");
    this.panel.setAttribute("aria-label", "What else might stand there");
    $("lines").checked = model.header.lines;
    for (const id of ["typed", "lines"]) $(id).addEventListener("input", () => this.run());
  }

  /** The texts to score. */
  texts(whole) {
    return $("lines").checked ? whole.split("\n").filter((line) => line.trim()) : [whole];
  }

  async run() {
    const turn = ++this.turn;
    await new Promise((resolve) => setTimeout(resolve, DELAY));
    if (turn !== this.turn) return;
    const whole = beginning($("typed").value);
    const isCut = whole !== $("typed").value;
    const note = isCut ? `Only the first ${LONGEST.toLocaleString("en")} characters are scored.` : "";
    $("noted").textContent = whole.length > LONG ? `Reading… ${note}` : note;
    const found = this.texts(whole).filter(Boolean).map((text) => ({ text, places: [] }));
    const steps = this.read(found);
    if (!(await inSlices(() => !steps.next().done, () => turn === this.turn))) return;
    this.show(found);
    $("noted").textContent = note;
  }

  /** Read all texts, a token at a time. */
  *read(found) {
    for (const { text, places } of found) {
      for (const place of scored(this.model, text, SHOWN)) {
        places.push(place);
        yield;
      }
    }
  }

  /** Show the texts, the most probable first. */
  show(found) {
    const scores = found.map((each) => ({ ...each, ...this.score(each) }));
    scores.sort((one, other) => other.logProb - one.logProb);
    $("results").replaceChildren(...scores.map((each, number) => this.result(each, number, scores)));
    $("results").classList.toggle("ranked", scores.length > 1);
  }

  score({ text, places }) {
    const logProb = places.reduce((sum, place) => sum + place.logProb, 0);
    const length = Array.from(this.model.vocabulary.plain(text)).length;
    const unknown = places.filter(({ id }) => id === UNK).length;
    return { logProb, unknown, bitsPerChar: bits(logProb) / (length + this.model.header.countEos) };
  }

  /** A text in colours with its figures. */
  result({ places, logProb, bitsPerChar, unknown }, number, scores) {
    const item = element("li");
    const text = element("p", "text");
    text.id = `text-${number}`;
    text.dir = "auto";
    text.setAttribute("aria-label", "Text by characters");
    const view = new TextView(text, this.model.header.shades, (group) => this.select(view, group));
    for (const place of places) view.add(place);
    const ratio = Math.exp(logProb - scores[0].logProb);
    const figures = [
      `log P ${logProb.toFixed(2).replace("-", "−")}`,
      `${bitsPerChar.toFixed(3)} bits per character`,
      number ? `${ratio < 1e-3 ? ratio.toExponential(2) : ratio.toPrecision(3)} times the best` : "",
      unknown ? `${unknown} unknown` : "",
    ];
    item.append(text, element("p", "figures", figures.filter(Boolean).join(" · ")));
    return item;
  }

  /** Show what else might stand in the place of a character, below its text. */
  select(view, group) {
    if (!group) {
      if (this.view === view) this.panel.remove();
      return;
    }
    const before = this.view;
    this.view = view;
    if (before !== view) before?.select(null);
    view.root.parentNode.append(this.panel);
    const share = percent(group.logProb);
    const heading = `${group.name}: ${bits(group.logProb).toFixed(2)} bits, P ${share}`;
    showChoices(this.panel, heading, group.places, this.model.vocabulary);
  }
}
