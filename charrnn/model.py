"""The network: input, recurrent layers, linear + softmax head; loss and gradients.

Letters: T steps, B batch size (columns), V vocabulary size, E embedding size, H hidden size,
D input size of a layer (V or E for the first, H above), K = D + 1 + H.

    embedding        (V, E)           one row a token; absent with one-hot input
    layers.0.weight  (gates·H, K)     see charrnn.cells for the order of rows and columns
    layers.1.weight  ...
    head.weight      (V, 1 + H)       column 0 is the bias

The state of a network is one array (num_layers, num_states, H, B): h, and for the lstm C, of every
layer. It goes into each call and comes out of it.

The input of a step is the token before it. Where that is <EOS> or IGNORE, a document starts: its
input column is zero and so is its state.
"""

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from charrnn.cells import CELLS
from charrnn.config import ModelConfig
from charrnn.functional import cross_entropy, cross_entropy_backward
from charrnn.vocabulary import EOS

Array = np.ndarray


_INPUT_GAIN = 2.0  # spread of what the input adds to a gate; see charrnn/README.md


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """Name and shape of every parameter array, in the order in which they are stored."""
    V, E, H = config.vocab_size, config.embedding_size, config.hidden_size
    shapes = {"embedding": (V, E)} if E else {}
    D = E or V
    for layer in range(config.num_layers):
        shapes[f"layers.{layer}.weight"] = (CELLS[config.cell].num_gates * H, D + 1 + H)
        D = H
    shapes["head.weight"] = (V, 1 + H)
    return shapes


class Parameters(dict[str, Array]):
    """Arrays by name, all of them views of one contiguous vector `flat`."""

    def __init__(self, config: ModelConfig, dtype: np.dtype | type = np.float32) -> None:
        shapes = parameter_shapes(config)
        sizes = [rows * columns for rows, columns in shapes.values()]
        self.flat = np.zeros(sum(sizes), dtype)
        parts = np.split(self.flat, np.cumsum(sizes)[:-1])
        super().__init__(
            (name, part.reshape(shape))
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        )


def orthogonal(size: int, rng: np.random.Generator) -> Array:
    """A random orthogonal matrix (size, size), uniform over all of them (Mezzadri 2007)."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    q *= np.sign(np.diagonal(r))
    return q


class CharRNN:
    """A network and its parameters. It holds no state and no work buffers: see `unroll`.

    Args:
        config: its shape.
        dtype: float32, or float64 to check gradients.
    """

    def __init__(self, config: ModelConfig, dtype: np.dtype | type = np.float32) -> None:
        self.config = config
        self.dtype = np.dtype(dtype)
        self.parameters = Parameters(config, dtype)

    @classmethod
    def from_arrays(cls, config: ModelConfig, arrays: Mapping[str, Array]) -> "CharRNN":
        """A model with these parameters, of the shapes that `parameter_shapes` gives."""
        model = cls(config)
        for name, array in model.parameters.items():
            array[:] = arrays[name]
        return model

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.config.vocab_size

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return self.parameters.flat.size

    @property
    def arrays(self) -> dict[str, Array]:
        """Every array by its name in a checkpoint."""
        return self.parameters

    def initialize(self, rng: np.random.Generator) -> "CharRNN":
        """Draw fresh weights: orthogonal recurrent blocks (Saxe et al. 2014), forget bias 1
        (Jozefowicz et al. 2015), everything else scaled by its number of inputs. Returns self."""
        H = self.config.hidden_size
        for name, weight in self.parameters.items():
            if name == "embedding":
                weight[:] = rng.standard_normal(weight.shape)
                weight[EOS] = 0
            elif name == "head.weight":
                weight[:, 1:] = rng.standard_normal((len(weight), H)) / np.sqrt(H)
            else:
                D = weight.shape[1] - 1 - H
                one_hot = name == "layers.0.weight" and not self.config.embedding_size
                fan_in = 1 if one_hot else D
                weight[:, :D] = rng.standard_normal((len(weight), D))
                weight[:, :D] *= _INPUT_GAIN / np.sqrt(fan_in)
                for gate in weight.reshape(-1, H, weight.shape[1]):
                    gate[:, D + 1 :] = orthogonal(H, rng)
                if self.config.cell == "lstm":
                    weight[H : 2 * H, D] = 1
        return self

    def zero_state(self, batch_size: int) -> Array:
        """The state before a document: zeros (num_layers, num_states, H, B)."""
        c = self.config
        shape = (c.num_layers, CELLS[c.cell].num_states, c.hidden_size, batch_size)
        return np.zeros(shape, self.dtype)

    def unroll(self, seq_len: int, batch_size: int) -> "Unrolled":
        """Work buffers for chunks of at most T steps and exactly B columns, and the passes."""
        return Unrolled(self, seq_len, batch_size)


class Unrolled:
    """A network unrolled over T steps and B columns: all work buffers, forward and backward.

    One object serves one thread at a time; any number of them share a CharRNN. Numbers that grow
    too large become inf or nan without a warning: whoever uses a result checks it.
    """

    def __init__(self, model: CharRNN, seq_len: int, batch_size: int) -> None:
        config, T, B, H = model.config, seq_len, batch_size, model.config.hidden_size
        self.model = model
        D = config.embedding_size or config.vocab_size
        self.cells = [
            CELLS[config.cell](config, D if layer == 0 else H, T, B, model.dtype)
            for layer in range(config.num_layers)
        ]
        self._head = np.empty((T, 1 + H, B), model.dtype)
        self._logits = np.empty((T, config.vocab_size, B), model.dtype)

    @cached_property
    def masks(self) -> list[Array]:
        """What dropout multiplies the output of each layer by, (T, H, B) each."""
        return [np.empty_like(cell.h[1:]) for cell in self.cells]

    @cached_property
    def gradients(self) -> Parameters:
        """Gradient of every parameter, as `backward` leaves it."""
        return Parameters(self.model.config, self.model.dtype)

    def forward(
        self, inputs: Array, state: Array, dropout: np.random.Generator | None = None
    ) -> tuple[Array, Array]:
        """The logits of what follows each input.

        Args:
            inputs: (T, B) ids of the tokens before; <EOS> or IGNORE where a document starts.
                May have fewer steps than the work buffers.
            state: (num_layers, num_states, H, B) before the first step.
            dropout: draws the units to drop; None drops none.

        Returns:
            logits (T, V, B), a view of a work buffer that the next call overwrites, and the state
            after the last step, a fresh array.
        """
        parameters, (steps, B) = self.model.parameters, inputs.shape
        self.inputs, self.keep = inputs, self._keep(inputs)
        self.dropped = dropout is not None and self.model.config.dropout > 0
        self._embed(inputs)
        # [1; h] of the top layer, and the logits: one column a prediction, step after step.
        self.head = self._head[:steps].reshape(-1, steps * B)
        self.logits = self._logits[:steps].reshape(-1, steps * B)
        self.head[0] = 1
        top = self.head[1:].reshape(-1, steps, B).transpose(1, 0, 2)
        outputs = [cell.x[:steps] for cell in self.cells[1:]] + [top]  # (T, H, B) each
        new_state = np.empty_like(state)
        with np.errstate(all="ignore"):
            for layer, (cell, out) in enumerate(zip(self.cells, outputs, strict=True)):
                weight = parameters[f"layers.{layer}.weight"]
                new_state[layer] = cell.forward(weight, self.keep, state[layer], out)
                if dropout is not None and self.dropped:
                    out *= self._draw_mask(layer, steps, dropout)
            np.matmul(parameters["head.weight"], self.head, out=self.logits)
        return self.logits.reshape(-1, steps, B).transpose(1, 0, 2), new_state

    def loss(self, targets: Array) -> Array:
        """-log P of each target (T, B) in nats after `forward`, 0 where it is IGNORE.

        Turns the logits into probabilities in place.
        """
        with np.errstate(all="ignore"):
            return cross_entropy(self.logits, targets.ravel()).reshape(targets.shape)

    def log_probs(self, inputs: Array, targets: Array, state: Array) -> tuple[Array, Array]:
        """log P (T, B) of each target in nats, 0 where it is IGNORE, and the state afterwards."""
        _, state = self.forward(inputs, state)
        return -self.loss(targets), state

    def backward(
        self, targets: Array, scale: float = 1.0, trace: list[Array] | None = None
    ) -> Array:
        """Backpropagate scale · (sum of the loss) after `loss`; fills `gradients`.

        Args:
            targets: as given to `loss`.
            scale: of the gradient.
            trace: receives the gradient (num_states, H, B) by the state of the top layer before
                each step, the last step first.

        Returns:
            Gradient by the state before the first step (num_layers, num_states, H, B).
        """
        parameters, gradients, steps = self.model.parameters, self.gradients, len(targets)
        with np.errstate(all="ignore"):
            dlogits = cross_entropy_backward(self.logits, targets.ravel(), scale)
            np.matmul(dlogits, self.head.T, out=gradients["head.weight"])
            dtop = np.matmul(parameters["head.weight"][:, 1:].T.copy(), dlogits)
            dout = dtop.reshape(-1, *targets.shape).transpose(1, 0, 2).copy()
            dstate = []
            for layer in reversed(range(len(self.cells))):
                cell, name = self.cells[layer], f"layers.{layer}.weight"
                if self.dropped:
                    dout *= self.masks[layer][:steps]
                top = layer == len(self.cells) - 1
                W_T = parameters[name].T.copy()
                dstate.append(cell.backward(W_T, self.keep, dout, trace if top else None))
                cell.weight_gradient(steps, gradients[name])
                dout = cell.dx[:steps]
            if "embedding" in gradients:
                self._embed_backward(dout)
        return np.stack(dstate[::-1])

    def _keep(self, inputs: Array) -> list[Array | None]:
        kept: Array = np.where(inputs > EOS, 1, 0).astype(self.model.dtype)  # (T, B)
        return [None if row.all() else row for row in kept]

    def _embed(self, inputs: Array) -> None:
        """Write the input columns: one-hot or embedded, zero where a document starts."""
        x = self.cells[0].x[: len(inputs)]
        ids = np.maximum(inputs, EOS)
        if "embedding" in self.model.parameters:
            rows = self.model.parameters["embedding"][ids]  # (T, B, E)
            rows[np.equal(ids, EOS)] = 0
            x[:] = rows.transpose(0, 2, 1)
        else:
            x[:] = 0
            np.put_along_axis(x, ids[:, None], 1, axis=1)
            x[:, EOS] = 0

    def _embed_backward(self, dx: Array) -> None:
        """Sum the columns of dx (T, E, B) into the row of the token that each belongs to."""
        gradient = self.gradients["embedding"]
        gradient[:] = 0
        ids = np.maximum(self.inputs, EOS).ravel()
        order = np.argsort(ids, kind="stable")
        tokens, first = np.unique(ids[order], return_index=True)
        columns = dx.transpose(0, 2, 1).reshape(ids.size, -1)[order]
        gradient[tokens] = np.add.reduceat(columns, first, axis=0)
        gradient[EOS] = 0

    def _draw_mask(self, layer: int, steps: int, rng: np.random.Generator) -> Array:
        """Zero for the share `dropout` of the units, 1 / (1 - dropout) for the rest."""
        mask, rate = self.masks[layer][:steps], self.model.config.dropout
        mask[:] = rng.random(mask.shape, np.float32) >= rate
        mask /= 1 - rate
        return mask
