"use strict";
// A recurrent network, a token at a time. The equations are those of charrnn/network/cells.py.
//
// A layer has one matrix W. Its columns are the input weights, the bias and the recurrent weights; its
// rows are blocks for the gates: h (rnn), i, f, o, g (lstm), z, r, h′ (gru). A state is never
// changed: each step makes a new one, so that a text can branch anywhere.

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const ACTIVATIONS = { tanh: Math.tanh, relu: (x) => Math.max(x, 0), sigmoid };

/** A matrix of which some columns are multiplied by a vector at a time. It comes as whole numbers of 16
 * bits, and what to multiply each row by. */
class Matrix {
  constructor(arrays, name) {
    const scale = arrays[`${name}.scale`];
    this.rows = scale.length;
    this.columns = arrays[name].length / this.rows;
    this.numbers = Float32Array.from(arrays[name]);
    for (let row = 0, i = 0; row < this.rows; row++) {
      for (let column = 0; column < this.columns; column++) this.numbers[i++] *= scale[row];
    }
  }

  row(number) {
    return this.numbers.subarray(number * this.columns, (number + 1) * this.columns);
  }

  /** Add a column to `out`. */
  addColumn(column, out) {
    const { numbers, columns } = this;
    for (let row = 0, at = column; row < out.length; row++, at += columns) out[row] += numbers[at];
  }

  /** Add the columns from `first` on, times a vector, to `out`; of some rows only, if named. Four rows
   * at a time take half as long as one. */
  addProduct(first, vector, out, start = 0, stop = this.rows) {
    const { numbers, columns } = this;
    const size = vector.length;
    let row = start;
    for (; row + 3 < stop; row += 4) {
      const p = row * columns + first, q = p + columns, r = q + columns, s = r + columns;
      let a = 0, b = 0, c = 0, d = 0;
      for (let i = 0; i < size; i++) {
        const x = vector[i];
        a += numbers[p + i] * x;
        b += numbers[q + i] * x;
        c += numbers[r + i] * x;
        d += numbers[s + i] * x;
      }
      out[row] += a;
      out[row + 1] += b;
      out[row + 2] += c;
      out[row + 3] += d;
    }
    for (; row < stop; row++) {
      const at = row * columns + first;
      for (let i = 0; i < size; i++) out[row] += numbers[at + i] * vector[i];
    }
  }
}

/** Steps of the cells: from `sums`, what the input and the bias add to the gates, and the state
 * before. Each returns the state after, whose first array is h. */
const CELLS = {
  rnn: {
    gates: 1,
    states: 1,
    step(layer, sums, [h]) {
      layer.W.addProduct(layer.recurrent, h, sums);
      return [sums.map(layer.activation)];
    },
  },
  lstm: {
    gates: 4,
    states: 2,
    step(layer, sums, [h, C]) {
      const H = h.length;
      const newH = new Float64Array(H), newC = new Float64Array(H);
      layer.W.addProduct(layer.recurrent, h, sums);
      for (let j = 0; j < H; j++) {
        const i = sigmoid(sums[j]), f = sigmoid(sums[H + j]), o = sigmoid(sums[2 * H + j]);
        newC[j] = f * C[j] + i * Math.tanh(sums[3 * H + j]);
        newH[j] = o * Math.tanh(newC[j]);
      }
      return [newH, newC];
    },
  },
  gru: {
    gates: 3,
    states: 1,
    step(layer, sums, [h]) {
      const H = h.length;
      layer.W.addProduct(layer.recurrent, h, sums, 0, 2 * H);
      const reset = h.map((value, j) => sigmoid(sums[H + j]) * value);
      layer.W.addProduct(layer.recurrent, reset, sums, 2 * H, 3 * H);
      return [h.map((value, j) => value + sigmoid(sums[j]) * (Math.tanh(sums[2 * H + j]) - value))];
    },
  },
};

class Layer {
  constructor(config, W, inputSize) {
    this.cell = CELLS[config.cell];
    this.size = config.hidden_size;
    this.activation = ACTIVATIONS[config.activation];
    this.W = W;
    this.bias = inputSize; // the column
    this.recurrent = inputSize + 1; // and the first of these
  }

  zeroState() {
    return Array.from({ length: this.cell.states }, () => new Float64Array(this.size));
  }

  /** The state after an input: a vector, or a token that stands for a one-hot one. */
  step(state, input) {
    return this.cell.step(this, received(this.W, this.bias, input), state);
  }
}

/** What an input and the bias add to the rows of W; <EOS> is no input. */
function received(W, bias, input) {
  const sums = new Float64Array(W.rows);
  W.addColumn(bias, sums);
  if (typeof input !== "number") W.addProduct(0, input, sums);
  else if (input > EOS) W.addColumn(input, sums);
  return sums;
}

/** All layers and the head. */
class Network {
  constructor(config, arrays) {
    if (arrays.embedding) this.embedding = new Matrix(arrays, "embedding");
    this.layers = Array.from({ length: config.num_layers }, (_, number) => {
      const below = number ? config.hidden_size : config.embedding_size || config.vocab_size;
      return new Layer(config, new Matrix(arrays, `layers.${number}.weight`), below);
    });
    this.head = new Matrix(arrays, "head.weight");
  }

  start() {
    return this.layers.map((layer) => layer.zeroState());
  }

  /** The state after a token, and the logits of what follows it. */
  step(state, token) {
    let input = embedded(this.embedding, token);
    const after = this.layers.map((layer, number) => {
      const own = layer.step(state[number], input);
      input = own[0];
      return own;
    });
    return { state: after, logits: headLogits(this.head, input) };
  }
}

/** What the first layer is given: a token, or its row of the embedding. */
function embedded(embedding, token) {
  return embedding && token > EOS ? embedding.row(token) : token;
}

function headLogits(head, h) {
  const logits = new Float64Array(head.rows);
  head.addColumn(0, logits);
  head.addProduct(1, h, logits);
  return logits;
}

/** A network whose memory is its own last output, or with feedback "target" the last token. */
class JordanNetwork {
  constructor(config, arrays) {
    if (arrays.embedding) this.embedding = new Matrix(arrays, "embedding");
    this.readsTarget = config.feedback === "target";
    this.bias = config.embedding_size || config.vocab_size; // the column
    this.W = new Matrix(arrays, "layers.0.weight");
    this.head = new Matrix(arrays, "head.weight");
  }

  start() {
    return new Float64Array(this.head.rows);
  }

  step(state, token) {
    const sums = received(this.W, this.bias, embedded(this.embedding, token));
    if (!this.readsTarget) this.W.addProduct(this.bias + 1, state, sums);
    else if (token > EOS) this.W.addColumn(this.bias + 1 + token, sums);
    const logits = headLogits(this.head, sums.map(Math.tanh));
    return { state: logits.slice(), logits };
  }
}
