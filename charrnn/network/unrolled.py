"""A network unrolled over time: work buffers, the forward pass and the backward pass.

Letters: T steps, B batch size, V vocabulary size, E embedding size, H hidden size.

Inside, each stream is a row; logits and states have a column for each, as all other modules do.
The state of a network is one array (num_layers, num_states, H, B): h, and for the lstm C, of every
layer. It goes into each call and comes out of it.

One call reads one chunk of text: `_read` runs the layers, then the head turns the top layer's h
into predictions or, with `gradient`, into gradients, which flow back through the layers. A `Tape`
goes from the forward pass to the backward pass; the rest of what that needs lies in the buffers of
the cells.

The input of a step is the token before it. Where that is <EOS> or IGNORE, a document starts: its
input adds nothing and its state is zero.
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
"""Returns what to add to the logits (V, N) of a slice of the predictions; see residual.py."""

_MAX_LOGITS = 1 << 22  # numbers in the work buffer of logits, however large the vocabulary


@dataclass(slots=True)
class Tape:
    """What the forward pass over a chunk hands on to its backward pass.

    All but `inputs` are views of work buffers, which the next chunk overwrites.
    """

    inputs: Array  # (T, B)
    keep: Keep
    head: Array  # (T·B, 1 + H), [1, h] of the top layer: what the head reads, a row a prediction
    weights: list[LayerWeights]  # of each layer, as this chunk uses them: dropped ones are zero
    weight_masks: list[Array]  # recurrent dropout of each layer (gates·H, H); empty without
    masks: list[Array]  # dropout of the output of each layer (T, B, H); empty without


class Unrolled:
    """Recurrent layers and a linear + softmax head over at most T steps of exactly B rows.

    One object serves one thread at a time; several can share the parameters. Numbers that overflow
    become inf or nan without a warning, so callers check their results.

    Args:
        training: the parameters may change from call to call; otherwise only `gradient` looks at
            them anew.
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
        self._logits = np.empty((rows, V), self.dtype)  # of so many predictions
        self._make_layers(seq_len, batch_size)
        self._forgets = not training  # what only a backward pass reads
        if self._forgets:
            for cell in self.cells:
                cell.forget_steps()

    def _make_layers(self, seq_len: int, batch_size: int) -> None:
        config = self.config
        sizes = [input_size(config, layer) for layer in range(config.num_layers)]
        self.cells = [
            CELLS[config.cell](config, size, seq_len, batch_size, self.dtype) for size in sizes
        ]
        self.x = [  # (T, B, D) what enters each layer above the first
            np.empty((seq_len, batch_size, size), self.dtype) for size in sizes[1:]
        ]

    @cached_property
    def _masks(self) -> list[Array]:
        """Dropout masks of the outputs of each layer, (T, B, H) each."""
        return [np.empty(self.top.shape, self.dtype) for _ in range(self.config.num_layers)]

    @cached_property
    def _weight_masks(self) -> list[Array]:
        """Dropout masks of the recurrent weights of each layer, (gates·H, H) each."""
        H = self.config.hidden_size
        return [np.empty((cell.num_gates * H, H), self.dtype) for cell in self.cells]

    @cached_property
    def gradients(self) -> Parameters:
        """Gradient of every parameter, which `gradient` fills."""
        return Parameters(self.config, self.dtype)

    @cached_property
    def _dinputs(self) -> Array:
        """Gradient by what enters the head, then by what enters each layer."""
        widest = max(self.config.hidden_size, self.config.embedding_size)
        return np.empty(self.top[..., 0].size * widest, self.dtype)

    @cached_property
    def _blocks(self) -> Array:
        """Work buffer for the blocks [x, 1, h] of a layer."""
        widest = max(self.parameters[name].shape[1] for name in _layer_names(self.config))
        return np.empty(self.top[..., 0].size * widest, self.dtype)

    def run(self, inputs: Array, state: Array, dropout: Draws | None = None) -> Array:
        """Read the inputs without predicting anything.

        Args:
            inputs: (T, B) ids of the tokens before; <EOS> or IGNORE where a document starts.
                May have fewer steps than the work buffers.
            state: (num_layers, num_states, H, B) before the first step.
            dropout: draws the dropout masks; None drops nothing.

        Returns:
            The state after the last step, a fresh array.
        """
        return self._read(inputs, state, dropout)[1]

    def _read(
        self, inputs: Array, state: Array, dropout: Draws | None = None, *, anew: bool = False
    ) -> tuple[Tape, Array]:
        """Run the layers; returns the tape of the chunk and the state after it.

        Args:
            anew: look at the parameters, which may have changed.
        """
        with np.errstate(all="ignore"):
            tape = self._tape(inputs, dropout, anew)
            return tape, self._run_layers(tape, state, self.top[: len(inputs)])

    def _tape(self, inputs: Array, dropout: Draws | None, anew: bool) -> Tape:
        """Collect what a chunk needs before its first step; draws the dropout masks."""
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
        """The weights of all layers, as they are now."""
        names = enumerate(_layer_names(self.config))
        return [self._prepared(layer, self.parameters[name]) for layer, name in names]

    @cached_property
    def _frozen(self) -> list[LayerWeights]:
        """The weights of all layers, as they were when they were first used."""
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

        `targets` has no effect here; a network beside an n-gram model uses it.
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
        """Compute log P (T, B) of each target in nats, 0 for IGNORE, and the state afterwards."""
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
        """Run forward and backward: fill `gradients` with those of scale · (sum of the loss).

        Args:
            inputs: (T, B), as for `run`.
            targets: (T, B) ids of what follows each input; IGNORE costs nothing.
            state: before the first step.
            prior: what is added to the logits.
            scale: factor of the gradient.
            dropout: as for `run`.
            trace: receives the gradient (num_states, H, B) by the state of the top layer before
                each step, the last step first.

        Returns:
            The loss of each target (T, B) in nats, the state after the last step, and the gradient
            by the state before the first one.
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
        """Fill `gradients` as `gradient` does, for the chunk that `forward` has just read.

        Only for what is unrolled for training; otherwise steps share their memory.
        """
        with np.errstate(all="ignore"):
            _, dtop = self._head_gradient(self._tape_of_forward, targets, 1.0, prior)
            self._layers_backward(self._tape_of_forward, dtop, None)

    def _predictions(self, head: Array, prior: Prior | None) -> Iterator[tuple[slice, Array]]:
        """Yield slices of the predictions with their logits (N, V), as many as the buffer holds."""
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
        """Fill the gradient of the head.

        Returns:
            The loss of each target (T, B), and the gradient by h of the top layer (T, B, H).
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
        """A view (T, B, size) of the work buffer for gradients by inputs."""
        B = self.top.shape[1]
        return self._dinputs[: steps * B * size].reshape(steps, B, size)

    def _run_layers(self, tape: Tape, state: Array, top: Array) -> Array:
        """Run the layers, up to h of the top one (T, B, H); returns the state afterwards."""
        x, after = self._input(tape.inputs), []
        outputs = [x[: len(top)] for x in self.x] + [top]
        for layer, (cell, out) in enumerate(zip(self.cells, outputs, strict=True)):
            after.append(cell.forward(tape.weights[layer], x, tape.keep, state[layer], out))
            if tape.masks:
                out *= tape.masks[layer]
            x = out
        return np.stack(after)

    def _layers_backward(self, tape: Tape, dtop: Array, trace: list[Array] | None) -> Array:
        """Run the layers backwards, from the gradient by the top h (T, B, H) to the embedding.

        Returns:
            The gradient by the state before the first step.
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
        """A work buffer (T, B, K) that begins with what entered the layer."""
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
        """What enters the first layer: ids (T, B), or embedded (T, B, E) with zeros for <EOS>."""
        ids: Array = np.maximum(inputs, EOS)
        if "embedding" not in self.parameters:
            return ids
        rows: Array = self.parameters["embedding"][ids]
        rows[np.equal(ids, EOS)] = 0
        return rows

    def _embed_backward(self, inputs: Array, dx: Array) -> None:
        """Sum the rows of dx (T, B, E) into the row of the token that each belongs to."""
        gradient = self.gradients["embedding"]
        gradient[:] = 0
        ids = np.maximum(inputs, EOS).ravel()
        order = np.argsort(ids, kind="stable")
        tokens, counts = np.unique(ids, return_counts=True)
        rows = dx.reshape(ids.size, -1)[order]
        # Sums over runs of rows, as differences of sums from the first row on: `reduceat` is slow.
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
