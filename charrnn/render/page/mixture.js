"use strict";
// What a mixture adds to a network and its n-gram model: counts after contexts, and the memory of what
// it has read. See charrnn/mixing/README.md, and stepping.py there for the same steps in Python.

class Mixture {
  /** @param constants - the numbers of charrnn/mixing/inputs.py; `contexts` has for each of them how
   * many last tokens, which histories and what of the words it is made of. */
  constructor(constants, arrays) {
    Object.assign(this, constants);
    this.isLetter = arrays["mixing.letters"];
    this.keys = arrays["mixing.keys"];
    for (let i = 1; i < this.keys.length; i++) this.keys[i] += this.keys[i - 1]; // from differences
    this.tokens = arrays["mixing.tokens"];
    this.counts = arrays["mixing.counts"];
    this.first = new Uint32Array(this.keys.length + 1);
    arrays["mixing.children"].forEach((size, i) => (this.first[i + 1] = this.first[i] + size));
    this.sets = arrays["mixing.sets"];
    this.own = arrays["mixing.own"];
    this.factors = Array.from(arrays["mixing.factors"]);
    this.powers = Array.from(arrays["mixing.powers"]);
    this.numInputs = this.contexts.length + 3; // base, n-gram model and match beside the contexts
    this.numLevels = this.own.length / this.numInputs;
  }

  /** The mixture's logits, and what the memory adds to them.
   * @param tokens - all that was read, <EOS> first.
   * @param base - log P of the network and its n-gram model.
   * @param ngram - log P of the n-gram model alone.
   * @param longest - how many tokens the longest context has that the n-gram model knows. */
  logits(tokens, base, ngram, longest) {
    const found = this.histories(tokens);
    const last = this.numInputs - 1;
    const entropy = this.entropyLevel(base);
    const known = this.contextKeys(tokens, found).map((key) => this.known(key));
    const levels = [entropy, entropy, ...known.map(({ level }) => level), found.length];
    const weights = this.weights(this.rows(tokens.at(-1), found, longest, base.length), levels);
    const logits = base.map((logProb, w) => weights[0] * logProb + weights[1] * ngram[w]);
    const memory = base.map(() => 0);
    known.forEach(({ first, stop }, k) => {
      const added = this.contexts[k][1].length ? memory : logits; // of histories, or of the text
      for (let place = first; place < stop; place++) {
        const w = this.tokens[place];
        const excess = (this.counts[place] - this.discount) / (this.discount * (stop - first));
        added[w] += weights[2 + k] * this.gain(excess, base[w]);
      }
    });
    if (found.length) {
      const w = found.at(-1)[1];
      memory[w] += weights[last] * this.gain(this.match, base[w]);
    }
    return { logits: logits.map((logit, w) => logit + memory[w]), memory };
  }

  /** By how many nats counts would raise P of a token. */
  gain(excess, logProb) {
    return Math.log1p(excess / Math.max(Math.exp(logProb), this.tiny));
  }

  /** What followed the last tokens when they came before: for each of `lengths`, as far as they did,
   * the token that followed the last time but one, or NONE, and the last time. */
  histories(tokens) {
    const now = tokens.length - 1;
    const { lengths, memory } = this;
    const found = lengths.map(() => []);
    for (let place = now - 1; place > 0 && place > now - memory; place--) {
      if (tokens[place] !== tokens[now] || tokens[place - 1] !== tokens[now - 1]) continue;
      let same = 2;
      while (same < lengths.at(-1) && same <= place && tokens[place - same] === tokens[now - same]) {
        same++;
      }
      for (let k = 0; k < lengths.length && lengths[k] <= same; k++) {
        const isRemembered = place >= now - memory + lengths[k];
        if (isRemembered && found[k].length < 2) found[k].unshift(tokens[place + 1]);
      }
    }
    return found.filter((own) => own.length).map((own) => (own.length > 1 ? own : [NONE, own[0]]));
  }

  /** What is kept of the hash of each context; 0 for one that has no history. */
  contextKeys(tokens, found) {
    const words = this.words(tokens);
    const width = this.factors.length / this.contexts.length;
    const ofHistories = 1 + this.lastTokens;
    return this.contexts.map(([last, rows, ofWords], k) => {
      if (rows.length && rows.at(-1) >= found.length) return 0;
      const factor = (column) => this.factors[k * width + column];
      let key = factor(0);
      for (let back = 0; back < last; back++) {
        key += factor(1 + back) * BigInt(tokens.at(-1 - back) ?? NONE);
      }
      for (const row of rows) {
        const [older, newer] = found[row];
        key += factor(ofHistories + 2 * row) * BigInt(older);
        key += factor(ofHistories + 2 * row + 1) * BigInt(newer);
      }
      if (ofWords) key += factor(width - 3 + ofWords) * words[ofWords - 1];
      return Number(BigInt.asUintN(64, key) >> 32n);
    });
  }

  /** Numbers of the current word, and of it with the one before. */
  words(tokens) {
    let current = 0n, both = 0n, breaks = 0;
    for (let back = 0; back < this.powers.length; back++) {
      const token = tokens.at(-1 - back) ?? NONE;
      if (token <= EOS || !this.isLetter[token]) breaks++;
      if (breaks > 1) break;
      both += BigInt(token) * this.powers[back];
      if (breaks === 0 || back === 0) current = both;
    }
    return [current, both];
  }

  /** Where the counts of a context lie, and how much is known in it. */
  known(key) {
    const place = firstNotBelow(this.keys, key, 0, this.keys.length);
    if (this.keys[place] !== key) return { first: 0, stop: 0, level: 0 };
    const first = this.first[place], stop = this.first[place + 1];
    let total = 0;
    for (let i = first; i < stop; i++) total += this.counts[i];
    const different = this.different.filter((bound) => bound <= stop - first).length;
    const occurred = this.totals.filter((bound) => bound < total).length;
    const level = 1 + (different - 1) * (this.totals.length + 1) + occurred;
    return { first, stop, level: Math.min(level, this.numLevels - 1) };
  }

  entropyLevel(logProbs) {
    let entropy = 0;
    for (const logProb of logProbs) entropy -= Math.exp(logProb) * logProb;
    return Math.max(0, Math.min(Math.trunc(entropy * this.perNat), this.numLevels - 1)) || 0;
  }

  /** The row of each set of weights: for all places, by which histories agree, by the length of the
   * repetition, by the last token, and by the longest context of the n-gram model. */
  rows(last, found, longest, vocabSize) {
    const short = found[1] ?? [NONE, NONE], long = found[2] ?? [NONE, NONE];
    const agreeing =
      (short[1] === long[1]) + 2 * (short[1] === short[0]) +
      4 * (long[1] === long[0]) + 8 * (long[1] !== NONE);
    const byLength = 1 + this.agreeing;
    const byLast = byLength + this.lengths.length + 1;
    const byLongest = byLast + vocabSize;
    return [0, 1 + agreeing, byLength + found.length, byLast + last, byLongest + longest];
  }

  /** The weight of each input: a sum of one row of each set, and one number of the input's own. */
  weights(rows, levels) {
    return levels.map((level, input) => {
      const own = this.own[input * this.numLevels + level];
      return rows.reduce((sum, row) => sum + this.sets[row * this.numInputs + input], own);
    });
  }
}
