"use strict";
// An n-gram model: interpolated k-grams in a trie, as in charrnn/ngrams/ngram.py.
//
// Node 0 is the empty context. The children of node x are the k-grams that are one token longer; their
// numbers lie from firstChild[x] + 1 up to firstChild[x + 1]. A state is the nodes of the last 1, 2, ..
// tokens, NONE for those that are not there.

const NONE = -1;
const LEAST_PROBABILITY = 1e-12; // a smaller one is what rounding leaves of it

class NGram {
  constructor(vocabSize, order, arrays) {
    this.order = order;
    this.tokens = arrays["ngram.tokens"];
    this.alpha = arrays["ngram.alpha"];
    const children = arrays["ngram.children"];
    this.numContexts = children.length;
    this.firstChild = new Int32Array(children.length + 1);
    this.gamma = new Float64Array(children.length); // what each context leaves to a shorter one
    for (let node = 0, child = 0; node < children.length; node++) {
      const stop = child + children[node];
      let left = 1;
      for (; child < stop; child++) left -= this.alpha[child];
      this.gamma[node] = left;
      this.firstChild[node + 1] = stop;
    }
    this.unigrams = new Float64Array(vocabSize);
    for (let token = 0; token < vocabSize; token++) {
      this.unigrams[token] = this.gamma[0] / vocabSize + this.alpha[token];
    }
  }

  start() {
    const nodes = new Array(this.order - 1).fill(NONE);
    if (nodes.length) nodes[0] = 1 + EOS;
    return nodes;
  }

  /** The state after a token, and log P of what follows it, in nats. */
  step(state, token) {
    const after = this.after(state, token);
    const probs = this.unigrams.slice();
    for (const node of after) {
      if (node === NONE || node >= this.numContexts) continue;
      const left = this.gamma[node];
      for (let w = 0; w < probs.length; w++) probs[w] *= left;
      for (let place = this.firstChild[node]; place < this.firstChild[node + 1]; place++) {
        probs[this.tokens[place]] += this.alpha[place];
      }
    }
    return { state: after, logProbs: probs.map((p) => Math.log(Math.max(p, LEAST_PROBABILITY))) };
  }

  after(state, token) {
    if (!state.length) return state;
    const longer = state.slice(0, -1).map((node) => (token > EOS ? this.child(node, token) : NONE));
    return [1 + token, ...longer];
  }

  /** The child of a node that a token leads to, else NONE. */
  child(node, token) {
    if (node === NONE || node >= this.numContexts) return NONE;
    const stop = this.firstChild[node + 1];
    const place = firstNotBelow(this.tokens, token, this.firstChild[node], stop);
    return place < stop && this.tokens[place] === token ? place + 1 : NONE;
  }
}

/** The first place from `low` to `high` where an ascending array is not below a value. */
function firstNotBelow(array, value, low, high) {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (array[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
