"use strict";
// A language model of the parts that there are: a network, an n-gram model, both, or a mixture.

class Model {
  static async load(base64) {
    const { header, arrays } = await unpack(base64);
    return new Model(header, arrays);
  }

  constructor(header, arrays) {
    const { config } = header;
    this.header = header;
    this.vocabulary = new Vocabulary(header.vocabulary);
    const order = config.cell === "ngram" ? config.order : config.ngram;
    if (arrays["ngram.alpha"]) this.ngram = new NGram(config.vocab_size, order, arrays);
    if (config.cell !== "ngram") {
      const Kind = config.cell === "jordan" ? JordanNetwork : Network;
      this.network = new Kind(config, arrays);
    }
    if (header.mixing) this.mixture = new Mixture(header.mixing, arrays);
  }

  /** The state before a document. */
  start() {
    return { network: this.network?.start(), ngram: this.ngram?.start() };
  }

  /** Read the last of some tokens, of which the first is <EOS>, from the state before it.
   * Returns the state after it, log P of every token that may follow, in nats, and what a memory of
   * the text adds to their logits, if there is one. */
  step(state, tokens) {
    const token = tokens.at(-1);
    const network = this.network?.step(state.network, token);
    const ngram = this.ngram?.step(state.ngram, token);
    const after = { network: network?.state, ngram: ngram?.state };
    if (!network) return { state: after, logProbs: ngram.logProbs };
    const logits = network.logits;
    if (ngram) {
      const scale = this.header.config.ngram_scale;
      for (let w = 0; w < logits.length; w++) logits[w] += scale * ngram.logProbs[w];
    }
    const logProbs = logSoftmax(logits);
    if (!this.mixture) return { state: after, logProbs };
    const longest = ngram.state.filter((node) => node !== NONE).length;
    const mixed = this.mixture.logits(tokens, logProbs, ngram.logProbs, longest);
    return { state: after, logProbs: logSoftmax(mixed.logits), memory: mixed.memory };
  }
}

function logSoftmax(logits) {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
  const shift = most + Math.log(total);
  return logits.map((logit) => logit - shift);
}

/** A text as far as it was read, with the state there, and log P of what comes next. */
class Reader {
  constructor(model) {
    this.model = model;
    this.tokens = [EOS];
    this.state = model.start();
    this.predict();
  }

  read(token) {
    this.tokens.push(token);
    this.predict();
  }

  predict() {
    Object.assign(this, this.model.step(this.state, this.tokens));
  }

  /** Read the last token again, from the state before it: after the text was cut. */
  rewind(before) {
    this.state = before;
    this.predict();
  }
}

/** A token at a place of a text: what the model thought of it, and some that were likeliest there.
 * `text` is the token itself, which may be outside the vocabulary. */
function placed({ logProbs, model }, id, text, number) {
  const cost = id === UNK ? model.vocabulary.unknownNats(text) : 0;
  return { id, text, logProb: logProbs[id] - cost, top: likeliest(logProbs, number) };
}

/** Each token of a text at its place, and at last <EOS>, where it counts. */
function* scored(model, text, number) {
  const { vocabulary } = model;
  const reader = new Reader(model);
  for (const token of vocabulary.split(text)) {
    const id = vocabulary.id(token);
    yield placed(reader, id, token, number);
    reader.read(id);
  }
  if (model.header.countEos) yield placed(reader, EOS, "", number);
}

/** Draw a token: never <UNK>; at temperature 0 the likeliest. Below 1, a temperature does not sharpen
 * what the memory adds: see charrnn/inference/choosing.py. */
function draw({ logProbs, memory }, temperature, random = Math.random) {
  let allowed = logProbs.slice();
  allowed[UNK] = -Infinity;
  if (memory && temperature > 0 && temperature < 1) {
    allowed = allowed.map((logProb, w) => logProb - (1 - temperature) * memory[w]);
  }
  const [[best, most]] = likeliest(allowed, 1);
  if (temperature === 0) return best;
  const weights = allowed.map((logProb) => Math.exp((logProb - most) / temperature));
  let left = random() * weights.reduce((sum, weight) => sum + weight, 0);
  const drawn = weights.findIndex((weight) => (left -= weight) < 0);
  return drawn < 0 ? best : drawn; // where rounding has left a little
}

/** The likeliest tokens, the likeliest first: [token, log P]. */
function likeliest(logProbs, number) {
  const best = [];
  logProbs.forEach((logProb, token) => {
    if (best.length === number && logProb <= best.at(-1)[1]) return;
    let place = best.length;
    while (place && best[place - 1][1] < logProb) place--;
    best.splice(place, 0, [token, logProb]);
    if (best.length > number) best.pop();
  });
  return best;
}
