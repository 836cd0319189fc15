"use strict";
// Text on the page: coloured by its surprise, a character at a time, and what else might stand there.
// Whatever comes from the model or from the user is set as text, and never as HTML.

// Control and format characters, but for those that words and emoji are spelled with.
const CONTROLS = /(?![\n\t\u00ad\u061c\u200c-\u200f\u2060\u{e0020}-\u{e007f}])[\p{Cc}\p{Cf}\p{Cs}]/gu;
const NAMES = { "\n": "↵", "\t": "⇥", " ": "␣" };

/** The text with control characters spelled out. */
function visible(text) {
  return text.replace(CONTROLS, (char) => `\\u{${char.codePointAt(0).toString(16)}}`);
}

/** A token in a list, on one line and with its spaces seen. */
function named(text) {
  return visible(text).replace(/[\n\t ]/g, (char) => NAMES[char]);
}

const bits = (logProb) => -logProb / Math.LN2;

function percent(logProb) {
  const share = 100 * Math.exp(logProb);
  if (share < 0.1) return "< 0.1%";
  return `${share.toFixed(share < 9.95 ? 1 : 0)}%`;
}

/** A new element with a class and a text. */
function element(tag, className = "", text = "") {
  const found = document.createElement(tag);
  if (className) found.className = className;
  found.textContent = text;
  return found;
}

/** A text that is coloured by its surprise, and of which characters can be selected: by a click, or by
 * the arrow keys. */
class TextView {
  /** @param shades - the least bits of each.
   * @param onSelect - is given the selected group, or null. */
  constructor(root, shades, onSelect) {
    Object.assign(this, { root, shades, onSelect });
    this.groups = []; // a composed character has several places, all others one
    this.selected = null;
    root.setAttribute("role", "listbox");
    root.tabIndex = 0;
    root.addEventListener("click", ({ target }) => {
      const group = this.groups.find(({ span }) => span === target);
      if (group) this.select(group);
    });
    root.addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    const { groups } = this;
    if (!groups.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const now = groups.indexOf(this.selected);
    const last = groups.length - 1;
    const places = {
      ArrowLeft: now < 0 ? last : Math.max(0, now - 1),
      ArrowRight: Math.min(last, now + 1),
      Home: 0,
      End: last,
    };
    if (event.key in places) this.select(groups[places[event.key]]);
    else if (event.key === "Escape") this.select(null);
    else return;
    event.preventDefault();
  }

  select(group) {
    this.selected?.span.setAttribute("aria-selected", "false");
    this.selected = group;
    group?.span.setAttribute("aria-selected", "true");
    if (group) this.root.setAttribute("aria-activedescendant", group.span.id);
    else this.root.removeAttribute("aria-activedescendant");
    group?.span.scrollIntoView({ block: "nearest" });
    this.onSelect(group);
  }

  /** Add a token at the end.
   * @param isGiven - it is of the prompt, and not coloured. */
  add(place, isGiven = false) {
    const last = this.groups.at(-1);
    if (last && joins(last.text, place.text)) {
      last.places.push(place);
      this.draw(last);
      return;
    }
    const span = element("span");
    span.id = `${this.root.id}-${this.groups.length}`;
    span.setAttribute("role", "option");
    span.setAttribute("aria-selected", "false");
    const first = last ? last.first + last.places.length : 0;
    this.groups.push({ span, first, places: [place], isGiven });
    this.root.append(span);
    this.draw(this.groups.at(-1));
  }

  draw(group) {
    const { span, places } = group;
    group.text = places.map(({ text }) => text).join("").normalize("NFC");
    group.logProb = places.reduce((sum, { logProb }) => sum + logProb, 0);
    const isEnd = places[0].id === EOS;
    group.name = isEnd ? "the end" : `“${named(group.text)}”`;
    const shade = this.shades.filter((least) => bits(group.logProb) >= least).length - 1;
    span.className = group.isGiven ? "given" : `s${Math.max(0, shade)}`;
    if (group.text === "\n") span.classList.add("newline");
    if (isEnd) span.classList.add("end");
    span.textContent = isEnd ? "<EOS>" : visible(group.text);
    span.setAttribute("aria-label", `${group.name}, ${bits(group.logProb).toFixed(1)} bits`);
  }

  /** Cut all but the first places. */
  cut(length) {
    if (this.selected && this.selected.first + this.selected.places.length > length) this.select(null);
    while (this.groups.length && this.groups.at(-1).first >= length) {
      this.groups.pop().span.remove();
    }
    const last = this.groups.at(-1);
    if (last && last.first + last.places.length > length) {
      last.places.length = length - last.first;
      this.draw(last);
    }
  }
}

/** Whether a character goes with the text before it: a mark, or what composes with it. */
function joins(before, text) {
  if (!before || !text) return false;
  if (/^[\p{M}\u200d]/u.test(text)) return before !== "\n";
  return (before + text).normalize("NFC") !== before + text.normalize("NFC");
}

/** Show what was likeliest at the places of a character, which are several where it is composed.
 * @param onChoose - is given the number of a place and a token that is clicked; without it, nothing
 * can be. */
function showChoices(root, heading, places, vocabulary, onChoose) {
  root.replaceChildren(element("h2", "", heading));
  places.forEach((place, number) => {
    if (places.length > 1) root.append(element("h3", "", named(place.text) || "then"));
    const list = element("ol", "choices");
    const choose = onChoose && ((token) => onChoose(number, token));
    list.append(...place.top.map((each) => choice(each, place.id, vocabulary, choose)));
    root.append(list);
  });
}

function choice([id, logProb], current, vocabulary, choose) {
  const isButton = choose && id !== UNK;
  const row = element(isButton ? "button" : "div", "choice");
  const name = id < NUM_SPECIAL ? vocabulary.names[id] : named(vocabulary.names[id]);
  const bar = element("span", "bar");
  bar.append(element("span"));
  bar.firstChild.style.width = `${100 * Math.exp(logProb)}%`;
  row.append(element("span", "token", name), bar, element("span", "share", percent(logProb)));
  if (id === current) row.setAttribute("aria-current", "true");
  if (isButton) {
    row.type = "button";
    row.addEventListener("click", () => choose(id));
  }
  const item = element("li");
  item.append(row);
  return item;
}
