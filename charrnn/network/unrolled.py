"""A network unrolled over time: forward pass and truncated backpropagation through time.

Letters: T steps, B batch size, V vocabulary size, E embedding size, H hidden size.

Each call reads one chunk of T steps. `_read` runs the layers; then the head turns h of the top
layer into predictions. With `gradient`, the gradient of the loss flows back through head and layers
to the first step of the chunk, where it is cut off (Williams & Peng 1990), while the state goes on
to the next chunk. A `Tape` passes from the forward to the backward pass; everything else that the
backward pass needs is in the work buffers of the cells.

The state is one array (num_layers, num_states, H, B) with h, and C in the lstm, of every layer. It
is an argument and a result of each call. Inside, a stream is a row; logits and states, like
everything outside, have a column for each stream.

The input of a step is the token before it. If that is <EOS> or IGNORE, a document starts: the input
adds nothing and the state is zero.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from charrnn.config import ModelConfig
from charrnn.ids import EOS
from charrnn.network.cells import CELLS, Keep
from charrnn.network.draws import Draws
from charrnn.network.functional import cross_entropy, cross_entropy_backward
from charrnn.network.layer_weights import LayerWeights
from charrnn.network.parameters import Parameters, input_size, state_shape

Array = np.ndarray
Prior = Callable[[slice], Array]
"""Returns numbers (V, N) to add to the logits of a slice of the predictions; see residual.py."""

_MAX_LOGITS = 1 << 22  # size of the logits buffer; a large vocabulary takes several passes


@dataclass(slots=True)
class Tape:
    """What the forward pass over a chunk leaves for its backward pass.

    All but `inputs` are views of work buffers, which the next chunk overwrites.
    """

    inputs: Array  # (T, B)
    keep: Keep
    head: Array  # (T·B, 1 + H), [1, h] of the top layer: the input of the head
    weights: list[LayerWeights]  # of each layer, after recurrent dropout
    weight_masks: list[Array]  # recurrent dropout mask (gates·H, H) of each layer; [] for none
    masks: list[Array]  # dropout mask (T, B, H) of the output of each layer; [] for none


class Unrolled:
    """Recurrent layers and a linear + softmax head, for at most T steps of exactly B streams.

    One object serves one thread at a time; several can share the parameters. Overflow gives inf or
    nan without a warning, so callers check their results.

    Args:
        training: whether the parameters may change from call to call. If not, they are rearranged
            once, and only `gradient` reads them again.
    """

    def __init__(
        self, parameters: Parameters, seq_len: int, batch_size: int, *, training: bool = False
    ) -> None:
        self.parameters, self.config, self.training = parameters, parameters.config, training
        self.dtype = parameters.flat.dtype
        self.state_shape = *state_shape(self.config), batch_size
        H, V = self.config.hidden_size, self.config.vocab_size
        self._head = np.ones((seq_len, batch_size, 1 + H), self.dtype)  # [1, h] of the top layer
        self.top = self._head[..., 1:]  # (T, B, H), a view of these h
        rows = max(1, min(_MAX_LOGITS // V, seq_len * batch_size))
        self._logits = np.empty((rows, V), self.dtype)
        self._make_layers(seq_len, batch_size)
        self._forgets = not training  # whether cells keep nothing for a backward pass
        if self._forgets:
            for cell in self.cells:
                cell.forget_steps()

    def _make_layers(self, seq_len: int, batch_size: int) -> None:
        config = self.config
        sizes = [input_size(config, layer) for layer in range(config.num_layers)]
        self.cells = [
            CELLS[config.cell](config, size, seq_len, batch_size, self.dtype) for size in sizes
        ]
        self.x = [  # (T, B, D), the input of each layer above the first
            np.empty((seq_len, batch_size, size), self.dtype) for size in sizes[1:]
        ]

    @cached_property
    def _masks(self) -> list[Array]:
        """Dropout mask (T, B, H) of the output of each layer."""
        return [np.empty(self.top.shape, self.dtype) for _ in range(self.config.num_layers)]

    @cached_property
    def _weight_masks(self) -> list[Array]:
        """Dropout mask (gates·H, H) of the recurrent weights of each layer."""
        H = self.config.hidden_size
        return [np.empty((cell.num_gates * H, H), self.dtype) for cell in self.cells]

    @cached_property
    def gradients(self) -> Parameters:
        """Gradient of every parameter, which `gradient` fills."""
        return Parameters(self.config, self.dtype)

    @cached_property
    def _dinputs(self) -> Array:
        """Work buffer for the gradient of the input of the head, then of each layer."""
        widest = max(self.config.hidden_size, self.config.embedding_size)
        return np.empty(self.top[..., 0].size * widest, self.dtype)

    @cached_property
    def _blocks(self) -> Array:
        """Work buffer for the blocks [x, 1, h] of a layer."""
        widest = max(self.parameters[name].shape[1] for name in _layer_names(self.config))
        return np.empty(self.top[..., 0].size * widest, self.dtype)

    def run(self, inputs: Array, state: Array, dropout: Draws | None = None) -> Array:
        """Read inputs without predicting anything; return the state after the last step.

        Args:
            inputs: (T, B) ids, the token before each step; <EOS> or IGNORE where a document starts.
                May have fewer steps than the work buffers.
            state: (num_layers, num_states, H, B) before the first step.
            dropout: draws the dropout masks; None for no dropout.

        Returns:
            (num_layers, num_states, H, B), a fresh array.
        """
        return self._read(inputs, state, dropout)[1]

    def _read(
        self, inputs: Array, state: Array, dropout: Draws | None = None, *, anew: bool = False
    ) -> tuple[Tape, Array]:
        """Run the layers; return the tape of the chunk and the state after it.

        Args:
            anew: read the parameters again, because they may have changed.
        """
        with np.errstate(all="ignore"):
            tape = self._tape(inputs, dropout, anew)
            return tape, self._run_layers(tape, state, self.top[: len(inputs)])

    def _tape(self, inputs: Array, dropout: Draws | None, anew: bool) -> Tape:
        """Prepare a chunk: document starts, dropout masks and weights."""
        config, H = self.config, self.config.hidden_size
        head = self._head[: len(inputs)].reshape(-1, 1 + H)
        tape = Tape(inputs, self._keep(inputs), head, [], [], [])
        for layer in range(config.num_layers):
            if dropout is not None and config.recurrent_dropout:  # Merity et al. 2018
                mask = dropout.weight_mask(self._weight_masks[layer], config.recurrent_dropout)
                weight = self.parameters[f"layers.{layer}.weight"].copy()
                weight[:, -H:] *= mask
                tape.weight_masks.append(mask)
                tape.weights.append(self._prepared(layer, weight))
            if dropout is not None and config.dropout:
                mask = self._masks[layer][: len(inputs)]
                tape.masks.append(dropout.mask(mask, config.dropout))
        tape.weights = tape.weights or (self._weights() if self.training or anew else self._frozen)
        return tape

    def _weights(self) -> list[LayerWeights]:
        """Rearrange the current weights of all layers."""
        names = enumerate(_layer_names(self.config))
        return [self._prepared(layer, self.parameters[name]) for layer, name in names]

    @cached_property
    def _frozen(self) -> list[LayerWeights]:
        """The weights of all layers at their first use."""
        return self._weights()

    def _prepared(self, layer: int, weight: Array) -> LayerWeights:
        one_hot = layer == 0 and not self.config.embedding_size
        return self.cells[layer].weights(weight, one_hot=one_hot)

    def forward(
        self,
        inputs: Array,
        state: Array,
        prior: Prior | None = None,
        *,
        targets: Array | None = None,
    ) -> tuple[Array, Array]:
        """Compute the logits (T, V, B) after each input, and the state after the last step.

        Args:
            inputs: (T, B) ids, as for `run`.
            state: before the first step.
            prior: adds to the logits.
            targets: has no effect here; `UnrolledResidual` uses it.
        """
        tape, state = self._read(inputs, state)
        self._tape_of_forward = tape
        with np.errstate(all="ignore"):
            logits = self.parameters["head.weight"] @ tape.head.T
            if prior is not None:
                logits += prior(slice(None))
        return logits.reshape(-1, *inputs.shape).transpose(1, 0, 2), state

    def log_probs(
        self, inputs: Array, targets: Array, state: Array, prior: Prior | None = None
    ) -> tuple[Array, Array]:
        """Compute log P (T, B) of each target in nats, 0 for IGNORE, and the state after them."""
        tape, state = self._read(inputs, state)
        found, flat = np.empty(targets.size, self.dtype), targets.ravel()
        with np.errstate(all="ignore"):
            for part, logits in self._predictions(tape.head, prior):
                found[part] = -cross_entropy(logits, flat[part])[0]
        return found.reshape(targets.shape), state

    def gradient(
        self,
        inputs: Array,
        targets: Array,
        state: Array,
        *,
        prior: Prior | None = None,
        scale: float = 1.0,
        dropout: Draws | None = None,
        trace: list[Array] | None = None,
    ) -> tuple[Array, Array, Array]:
        """Run forward and backward: fill `gradients` with the gradient of scale · (summed loss).

        Args:
            inputs: (T, B) ids, as for `run`.
            targets: (T, B) ids, the token after each input; IGNORE has no loss.
            state: before the first step.
            prior: adds to the logits.
            scale: factor of the gradient, such as 1/(T·B) for the mean loss.
            dropout: as for `run`.
            trace: if given, the gradient (num_states, H, B) of the top layer's state before each
                step is appended, last step first.

        Returns:
            The loss (T, B) of each target in nats, the state after the last step, and the gradient
            of the state before the first step.
        """
        if self._forgets:
            self._make_layers(*self.top.shape[:2])
            self._forgets = False
        tape, state = self._read(inputs, state, dropout, anew=True)
        with np.errstate(all="ignore"):
            nats, dtop = self._head_gradient(tape, targets, scale, prior)
            dstate = self._layers_backward(tape, dtop, trace)
        return nats, state, dstate

    def backward(self, targets: Array, prior: Prior | None = None) -> None:
        """Fill `gradients` for the chunk that `forward` has just read; needs `training`."""
        with np.errstate(all="ignore"):
            _, dtop = self._head_gradient(self._tape_of_forward, targets, 1.0, prior)
            self._layers_backward(self._tape_of_forward, dtop, None)

    def _predictions(self, head: Array, prior: Prior | None) -> Iterator[tuple[slice, Array]]:
        """Yield slices of the predictions with their logits (N, V), one buffer at a time."""
        for start in range(0, len(head), len(self._logits)):
            part = slice(start, min(start + len(self._logits), len(head)))
            logits = self._logits[: part.stop - start]
            np.matmul(head[part], self.parameters["head.weight"].T, out=logits)
            if prior is not None:
                logits += prior(part).T
            yield part, logits

    def _head_gradient(
        self, tape: Tape, targets: Array, scale: float, prior: Prior | None
    ) -> tuple[Array, Array]:
        """Fill the gradient of the head's weights.

        Returns:
            The loss (T, B) of each target in nats, and the gradient (T, B, H) of the top layer's h.
        """
        W, gradient = self.parameters["head.weight"][:, 1:], self.gradients["head.weight"]
        nats, flat = np.empty(targets.size, self.dtype), targets.ravel()
        dtop = self._dinput(len(targets), self.config.hidden_size)
        dhead = dtop.reshape(targets.size, -1)
        for part, logits in self._predictions(tape.head, prior):
            nats[part], total = cross_entropy(logits, flat[part])
            factor = cross_entropy_backward(logits, total, flat[part], scale)
            if part.start == 0:
                np.matmul(logits.T, factor * tape.head[part], out=gradient)
            else:
                gradient += logits.T @ (factor * tape.head[part])
            np.matmul(logits, W, out=dhead[part])
            dhead[part] *= factor
        return nats.reshape(targets.shape), dtop

    def _dinput(self, steps: int, size: int) -> Array:
        """Return a view (T, B, size) of the work buffer for gradients of inputs."""
        B = self.top.shape[1]
        return self._dinputs[: steps * B * size].reshape(steps, B, size)

    def _run_layers(self, tape: Tape, state: Array, top: Array) -> Array:
        """Run the layers, write h of the top one to `top` (T, B, H), and return the state after."""
        x, after = self._input(tape.inputs), []
        outputs = [x[: len(top)] for x in self.x] + [top]
        for layer, (cell, out) in enumerate(zip(self.cells, outputs, strict=True)):
            after.append(cell.forward(tape.weights[layer], x, tape.keep, state[layer], out))
            if tape.masks:
                out *= tape.masks[layer]
            x = out
        return np.stack(after)

    def _layers_backward(self, tape: Tape, dtop: Array, trace: list[Array] | None) -> Array:
        """Backpropagate from the gradient `dtop` (T, B, H) of the top h down to the embedding.

        Returns:
            The gradient of the state before the first step.
        """
        steps, dout, dstate = len(dtop), dtop, []
        for layer in reversed(range(len(self.cells))):
            cell, dW = self.cells[layer], self.gradients[f"layers.{layer}.weight"]
            if tape.masks:
                dout *= tape.masks[layer]
            top = layer == len(self.cells) - 1
            W = tape.weights[layer].matrix
            dstate.append(cell.backward(W, tape.keep, dout, trace if top else None))
            cell.weight_gradient(self._block(layer, tape.inputs), dW)
            if tape.weight_masks:
                dW[:, -self.config.hidden_size :] *= tape.weight_masks[layer]
            if layer or "embedding" in self.gradients:
                dout = self._dinput(steps, cell.D)
                cell.input_gradient(W, dout)
        if "embedding" in self.gradients:
            self._embed_backward(tape.inputs, dout)
        return np.stack(dstate[::-1])

    def _block(self, layer: int, inputs: Array) -> Array:
        """Return a work buffer (T, B, K) that begins with the input of the layer."""
        D, K = input_size(self.config, layer), self.parameters[f"layers.{layer}.weight"].shape[1]
        block = self._blocks[: inputs.size * K].reshape(*inputs.shape, K)
        x = self.x[layer - 1][: len(inputs)] if layer else self._input(inputs)
        if x.ndim == 2:
            write_one_hot(x, block[..., :D])
        else:
            block[..., :D] = x
        return block

    def _keep(self, inputs: Array) -> list[Array | None]:
        going_on = inputs > EOS  # (T, B)
        if going_on.all():
            return [None] * len(inputs)
        rows = going_on.astype(self.dtype)[..., None]
        return [None if row.all() else row for row in rows]

    def _input(self, inputs: Array) -> Array:
        """Return the input of the first layer: ids (T, B), or embeddings (T, B, E), 0 for <EOS>."""
        ids: Array = np.maximum(inputs, EOS)
        if "embedding" not in self.parameters:
            return ids
        rows: Array = self.parameters["embedding"][ids]
        rows[np.equal(ids, EOS)] = 0
        return rows

    def _embed_backward(self, inputs: Array, dx: Array) -> None:
        """Add each row of dx (T, B, E) to the gradient of its token's embedding."""
        gradient = self.gradients["embedding"]
        gradient[:] = 0
        ids = np.maximum(inputs, EOS).ravel()
        order = np.argsort(ids, kind="stable")
        tokens, counts = np.unique(ids, return_counts=True)
        rows = dx.reshape(ids.size, -1)[order]
        # Sums over runs of rows as differences of cumulative sums; np.add.reduceat is slow.
        sums = rows.cumsum(axis=0, dtype=np.float64)[counts.cumsum() - 1]
        gradient[tokens] = np.diff(sums, axis=0, prepend=0)
        gradient[EOS] = 0


def _layer_names(config: ModelConfig) -> list[str]:
    return [f"layers.{layer}.weight" for layer in range(config.num_layers)]


def write_one_hot(ids: Array, out: Array) -> Array:
    """Fill `out` (T, B, V) with the one-hot rows of the ids (T, B), zeros for <EOS>."""
    T, B = ids.shape
    out[:] = 0
    out[np.arange(T)[:, None], np.arange(B), ids] = 1
    out[..., EOS] = 0
    return out
