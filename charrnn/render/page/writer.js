"use strict";
// The tab that writes.

const LENGTH = 500; // tokens that are drawn at a time
const SHOWN = 8; // of the likeliest tokens
const SLICE = 12; // milliseconds of work between two frames
const UNDONE = 50; // texts that are remembered

const $ = (id) => document.getElementById(id);

/** Do work in slices, so that the page stays alive.
 * @param step - returns whether there is more to do.
 * @param isWanted - asked after each slice.
 * @returns whether it was done to the end. */
async function inSlices(step, isWanted) {
  let start = performance.now();
  while (step()) {
    if (performance.now() - start < SLICE) continue;
    await new Promise((resolve) => setTimeout(resolve));
    if (!isWanted()) return false;
    start = performance.now();
  }
  return true;
}

class Writer {
  constructor(model) {
    this.model = model;
    this.reader = new Reader(model);
    this.places = []; // the text
    this.given = 0; // how many places, the first ones, are of the prompt
    this.older = []; // texts before the last changes
    this.turn = 0; // what was started in an older one stops
    this.view = new TextView($("written"), model.header.shades, () => this.show());
    this.listen();
    this.begin();
  }

  listen() {
    const form = $("writing");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await this.begin()) this.write();
    });
    $("prompt").addEventListener("input", () => this.begin());
    $("prompt").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    $("temperature").addEventListener("input", () => {
      $("degrees").textContent = this.temperature.toFixed(1);
    });
    $("stop").addEventListener("click", () => this.end(++this.turn));
    $("on").addEventListener("click", () => this.write());
    $("undo").addEventListener("click", () => this.undo());
  }

  get temperature() {
    return Number($("temperature").value);
  }

  get hasEnded() {
    return this.places.at(-1)?.id === EOS;
  }

  /** Make the text what the prompt says; returns whether nothing else was started meanwhile. */
  async begin() {
    const turn = ++this.turn;
    const { places, given, model } = this;
    const tokens = model.vocabulary.split($("prompt").value);
    if (places.length > given) this.remember();
    let same = 0;
    while (same < given && places[same].text === tokens[same]) same++;
    this.cut(same);
    this.given = tokens.length;
    return this.work(turn, () => {
      if (this.places.length === tokens.length) return false;
      const token = tokens[this.places.length];
      this.add(model.vocabulary.id(token), token);
      return true;
    });
  }

  /** Draw up to LENGTH tokens. */
  async write() {
    const turn = ++this.turn;
    const start = this.places.length;
    this.view.select(null);
    const isDone = await this.work(turn, () => {
      if (this.hasEnded || this.places.length >= start + LENGTH) return false;
      this.add(draw(this.reader, this.temperature));
      return true;
    });
    if (!isDone) return;
    const drawn = this.places.slice(start).map(({ text }) => text).join("");
    $("said").textContent = `Written: ${visible(drawn.normalize("NFC"))}`;
  }

  async work(turn, step) {
    this.showControls(true);
    const isDone = await inSlices(step, () => turn === this.turn);
    if (isDone) this.end(turn);
    return isDone;
  }

  end() {
    this.showControls(false);
    this.show();
  }

  /** Add a token, whose text is given if it may be outside the vocabulary. */
  add(id, text = id === EOS ? "" : this.model.vocabulary.names[id]) {
    const place = { ...placed(this.reader, id, text, SHOWN), state: this.reader.state };
    this.view.add(place, this.places.length < this.given);
    this.places.push(place);
    if (id !== EOS) this.reader.read(id);
  }

  /** Keep the first places only. */
  cut(length) {
    if (length === this.places.length) return;
    this.places.length = length;
    this.view.cut(length);
    this.rewind();
  }

  /** Let the reader go back to the end of the text. */
  rewind() {
    const { places, reader, model } = this;
    const length = places.length - this.hasEnded;
    reader.tokens = [EOS, ...places.slice(0, length).map(({ id }) => id)];
    reader.rewind(length ? places[length - 1].state : model.start());
  }

  /** Put a token in the place of another one, or at the end, and go on from there. */
  choose(number, token) {
    ++this.turn;
    this.remember();
    this.given = Math.min(this.given, number);
    this.cut(number);
    this.add(token);
    if ($("continue").checked && token !== EOS) {
      $("written").focus({ preventScroll: true });
      this.write();
    } else {
      this.view.select(null);
      this.end();
      $("choices").querySelector("button")?.focus({ preventScroll: true });
    }
  }

  remember() {
    this.older.push({ places: this.places.slice(), given: this.given });
    if (this.older.length > UNDONE) this.older.shift();
  }

  undo() {
    ++this.turn;
    Object.assign(this, this.older.pop());
    this.view.cut(0);
    this.places.forEach((place, number) => this.view.add(place, number < this.given));
    this.rewind();
    this.end();
  }

  /** Show the buttons for what can be done now; one that had the focus hands it on. */
  showControls(isBusy) {
    const focused = document.activeElement;
    $("stop").hidden = !isBusy;
    $("on").hidden = isBusy;
    $("on").disabled = this.hasEnded || !this.places.length;
    $("undo").disabled = !this.older.length;
    $("choices").inert = isBusy;
    if (focused === $("stop") && !isBusy) $("on").focus();
    if (focused === $("on") && isBusy) $("stop").focus();
  }

  /** Show what may come next, or what might stand in the place of the selected character. */
  show() {
    const { vocabulary } = this.model;
    const group = this.view.selected;
    const choose = (number, token) => this.choose(number, token);
    if (group) {
      const { first, places } = group;
      showChoices($("choices"), `In place of ${group.name}`, places, vocabulary, (number, token) =>
        choose(first + number, token));
    } else if (this.hasEnded) {
      showChoices($("choices"), "The text ends here", [], vocabulary);
      $("choices").append(element("p", "hint", "Choose any character above to branch there."));
    } else {
      const next = { top: likeliest(this.reader.logProbs, SHOWN) };
      showChoices($("choices"), "What may come next", [next], vocabulary, (_, token) =>
        choose(this.places.length, token));
    }
  }
}
