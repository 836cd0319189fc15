"use strict";
// Text to tokens and back, as in charrnn/text/vocabulary.py.

const EOS = 0; // ends a document, and is the input before its first token
const UNK = 1; // any token outside the vocabulary
const NUM_SPECIAL = 2;

class Vocabulary {
  /** @param header - `tokens`, `kind` (char or word), `form` (NFC or NFD), what unknown tokens cost,
   * and for words the classes of characters that they are made of. */
  constructor(header) {
    this.names = ["<EOS>", "<UNK>", ...header.tokens];
    this.ids = new Map(header.tokens.map((token, place) => [token, place + NUM_SPECIAL]));
    this.isWord = header.kind === "word";
    this.form = header.form;
    this.costOfUnknown = header.costOfUnknown;
    if (this.isWord) this.words = wordPattern(header.classes);
  }

  get size() {
    return this.names.length;
  }

  /** The tokens of a text, known or not: strings that joined are the text, in this form. */
  split(text) {
    const plain = this.plain(text);
    if (this.isWord) return plain.match(this.words) ?? [];
    return Array.from(plain.normalize(this.form));
  }

  /** The text as it is read: one spelling for each character. */
  plain(text) {
    return text.replace(/\r\n?/g, "\n").replace(/\ufeff/g, "").normalize("NFC");
  }

  id(token) {
    return this.ids.get(token) ?? UNK;
  }

  /** What an unknown token costs beside -log P(<UNK>), in nats. */
  unknownNats(token) {
    return this.costOfUnknown * (this.isWord ? Array.from(token).length : 1);
  }
}

/** Words, numbers and single signs, each with the spaces before it; a newline is one by itself. */
function wordPattern({ letters, marks, spaces }) {
  const word = `[${letters}][${letters}${marks}]*(?:['’][${letters}${marks}]+)*`;
  const single = `[^${spaces}\\n][${marks}]*`;
  return new RegExp(`\\n|[${spaces}]*(?:${word}|${single})|[${spaces}]+`, "gu");
}
