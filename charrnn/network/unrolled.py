"""A network unrolled over time: work buffers, the forward pass and the backward pass.

Letters: T steps, B batch size (columns), V vocabulary size, E embedding size, H hidden size.

The state of a network is one array (num_layers, num_states, H, B): h, and for the lstm C, of every
layer. It goes into each call and comes out of it.

One call reads one chunk of text: `_read` runs the layers, then the head turns the top layer's h
into predictions or, with `gradient`, into gradients, which flow back through the layers. A `Tape`
goes from the forward pass to the backward pass; the rest of what that needs lies in the buffers of
the cells.

The input of a step is the token before it. Where that is <EOS> or IGNORE, a document starts: its
input column is zero and so is its state.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from charrnn.ids import EOS
from charrnn.network.cells import CELLS, Keep, side_by_side
from charrnn.network.draws import Draws
from charrnn.network.functional import cross_entropy, cross_entropy_backward
from charrnn.network.parameters import Parameters, input_size, state_shape

Array = np.ndarray
Prior = Callable[[slice], Array]
"""Returns what to add to the logits (V, N) of a slice of the predictions; see residual.py."""

_MAX_LOGITS = 1 << 21  # numbers in the work buffer of logits, however large the vocabulary


@dataclass(slots=True)
class Tape:
    """What the forward pass over a chunk hands on to its backward pass.

    All but `inputs` and `weights` are views of work buffers, which the next chunk overwrites.
    """

    inputs: Array  # (T, B)
    keep: Keep
    head: Array  # (1 + H, T·B), [1; h] of the top layer: what the head reads, a column a prediction
    weights: list[Array]  # of each layer, as this chunk uses them: dropped ones are zero
    weight_masks: list[Array]  # recurrent dropout of each layer (gates·H, H); empty without
    masks: list[Array]  # dropout of the output of each layer (T, H, B); empty without


class Unrolled:
    """Recurrent layers and a linear + softmax head over at most T steps of exactly B columns.

    One object serves one thread at a time; several can share the parameters. Numbers that overflow
    become inf or nan without a warning, so callers check their results.
    """

    def __init__(self, parameters: Parameters, seq_len: int, batch_size: int) -> None:
        self.parameters, self.config = parameters, parameters.config
        self.dtype = parameters.flat.dtype
        self.state_shape = *state_shape(self.config), batch_size
        H, V = self.config.hidden_size, self.config.vocab_size
        self._head = np.ones((1 + H, seq_len, batch_size), self.dtype)  # [1; h] of the top layer
        self.top = self._head[1:].transpose(1, 0, 2)  # (T, H, B), a view of these h
        self._columns = max(1, min(_MAX_LOGITS // V, seq_len * batch_size))
        self._logits = np.empty(V * self._columns, self.dtype)  # of so many predictions
        self._make_layers(seq_len, batch_size)

    def _make_layers(self, seq_len: int, batch_size: int) -> None:
        config = self.config
        self.cells = [
            CELLS[config.cell](config, input_size(config, layer), seq_len, batch_size, self.dtype)
            for layer in range(config.num_layers)
        ]
        self.x = self.cells[0].x  # (T, D, B)

    @cached_property
    def _masks(self) -> list[Array]:
        """Dropout masks of the outputs of each layer, (T, H, B) each."""
        return [np.empty(self.top.shape, self.dtype) for _ in range(self.config.num_layers)]

    @cached_property
    def _weight_masks(self) -> list[Array]:
        """Dropout masks of the recurrent weights of each layer, (gates·H, H) each."""
        shape = self.cells[0].num_gates * self.config.hidden_size, self.config.hidden_size
        return [np.empty(shape, self.dtype) for _ in self.cells]

    @cached_property
    def gradients(self) -> Parameters:
        """Gradient of every parameter, which `gradient` fills."""
        return Parameters(self.config, self.dtype)

    @cached_property
    def _gradient_work(self) -> Array:
        """Scratch for gradients side by side: by h of the top layer, then by each layer's gates."""
        return np.empty(max(cell.dgates.size for cell in self.cells), self.dtype)

    @cached_property
    def _block_work(self) -> Array:
        """Scratch for the blocks [x; 1; h] of a layer, side by side."""
        return np.empty(max(cell.block[1:].size for cell in self.cells), self.dtype)

    @cached_property
    def _dtop(self) -> Array:
        """Gradient by h of the top layer (T, H, B)."""
        return np.empty(self.top.shape, self.dtype)

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
        self, inputs: Array, state: Array, dropout: Draws | None = None
    ) -> tuple[Tape, Array]:
        """Run the layers; returns the tape of the chunk and the state after it."""
        self._embed(inputs)
        tape = self._tape(inputs, dropout)
        with np.errstate(all="ignore"):
            return tape, self._run_layers(tape, state, self.top[: len(inputs)])

    def _tape(self, inputs: Array, dropout: Draws | None) -> Tape:
        """Collect what a chunk needs before its first step; draws the dropout masks."""
        config, H = self.config, self.config.hidden_size
        head = self._head[:, : len(inputs)].reshape(1 + H, -1)
        tape = Tape(inputs, self._keep(inputs), head, [], [], [])
        for layer in range(config.num_layers):
            weight = self.parameters[f"layers.{layer}.weight"]
            if dropout is not None and config.recurrent_dropout:  # Merity et al. 2018
                mask = dropout.weight_mask(self._weight_masks[layer], config.recurrent_dropout)
                weight = weight.copy()
                weight[:, -H:] *= mask
                tape.weight_masks.append(mask)
            tape.weights.append(weight)
            if dropout is not None and config.dropout:
                mask = self._masks[layer][: len(inputs)]
                tape.masks.append(dropout.mask(mask, config.dropout))
        return tape

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
        with np.errstate(all="ignore"):
            logits = self.parameters["head.weight"] @ tape.head
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
                found[part] = -cross_entropy(logits, flat[part])
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
        tape, state = self._read(inputs, state, dropout)
        with np.errstate(all="ignore"):
            nats, dtop = self._head_gradient(tape, targets, scale, prior)
            dstate = self._layers_backward(tape, dtop, trace)
        return nats, state, dstate

    def _predictions(self, head: Array, prior: Prior | None) -> Iterator[tuple[slice, Array]]:
        """Yield slices of the predictions with their logits (V, N), as many as the buffer holds."""
        weight, V = self.parameters["head.weight"], self.config.vocab_size
        for start in range(0, head.shape[1], self._columns):
            columns = head[:, start : start + self._columns]
            part = slice(start, start + columns.shape[1])
            logits = self._logits[: V * columns.shape[1]].reshape(V, -1)
            np.matmul(weight, columns, out=logits)
            if prior is not None:
                logits += prior(part)
            yield part, logits

    def _head_gradient(
        self, tape: Tape, targets: Array, scale: float, prior: Prior | None
    ) -> tuple[Array, Array]:
        """Fill the gradient of the head.

        Returns:
            The loss of each target (T, B), and the gradient by h of the top layer (T, H, B).
        """
        weight, gradient = self.parameters["head.weight"], self.gradients["head.weight"]
        W_T = weight[:, 1:].T.copy()
        nats, flat = np.empty(targets.size, self.dtype), targets.ravel()
        dhead = self._gradient_work[: weight[0, 1:].size * targets.size].reshape(-1, targets.size)
        gradient[:] = 0
        for part, logits in self._predictions(tape.head, prior):
            nats[part] = cross_entropy(logits, flat[part])
            dlogits = cross_entropy_backward(logits, flat[part], scale)
            gradient += dlogits @ tape.head[:, part].T
            dhead[:, part] = W_T @ dlogits
        dtop = self._dtop[: len(targets)]
        dtop[:] = dhead.reshape(-1, *targets.shape).transpose(1, 0, 2)
        return nats.reshape(targets.shape), dtop

    def _run_layers(self, tape: Tape, state: Array, top: Array) -> Array:
        """Run the layers, from x to h of the top one (T, H, B); returns the state afterwards."""
        outputs = [cell.x[: len(top)] for cell in self.cells[1:]] + [top]
        after = np.empty_like(state)
        for layer, (cell, out) in enumerate(zip(self.cells, outputs, strict=True)):
            cell.forward(tape.weights[layer], tape.keep, state[layer], out, after[layer])
            if tape.masks:
                out *= tape.masks[layer]
        return after

    def _layers_backward(self, tape: Tape, dtop: Array, trace: list[Array] | None) -> Array:
        """Run the layers backwards, from the gradient by the top h (T, H, B) to the embedding.

        Returns:
            The gradient by the state before the first step.
        """
        steps, dout, dstate = len(dtop), dtop, []
        for layer in reversed(range(len(self.cells))):
            cell, name = self.cells[layer], f"layers.{layer}.weight"
            if tape.masks:
                dout *= tape.masks[layer]
            top = layer == len(self.cells) - 1
            W = tape.weights[layer]
            dstate.append(cell.backward(W, tape.keep, dout, trace if top else None))
            dgates = side_by_side(cell.dgates[:steps], self._gradient_work)
            cell.weight_gradient(dgates, self.gradients[name], self._block_work)
            if tape.weight_masks:
                recurrent = self.gradients[name][:, -self.config.hidden_size :]
                recurrent *= tape.weight_masks[layer]
            if layer or "embedding" in self.gradients:
                dout = cell.input_gradient(W, dgates)
        if "embedding" in self.gradients:
            self._embed_backward(tape.inputs, dout)
        return np.stack(dstate[::-1])

    def _keep(self, inputs: Array) -> list[Array | None]:
        going_on = inputs > EOS  # (T, B)
        if going_on.all():
            return [None] * len(inputs)
        return [None if row.all() else row for row in going_on.astype(self.dtype)]

    def _embed(self, inputs: Array) -> None:
        """Write the input columns: one-hot or embedded, zero where a document starts."""
        x, ids = self.x[: len(inputs)], np.maximum(inputs, EOS)
        if "embedding" in self.parameters:
            rows = self.parameters["embedding"][ids]  # (T, B, E)
            rows[np.equal(ids, EOS)] = 0
            x[:] = rows.transpose(0, 2, 1)
        else:
            write_one_hot(ids, x)

    def _embed_backward(self, inputs: Array, dx: Array) -> None:
        """Sum the columns of dx (T, E, B) into the row of the token that each belongs to."""
        gradient = self.gradients["embedding"]
        gradient[:] = 0
        ids = np.maximum(inputs, EOS).ravel()
        order = np.argsort(ids, kind="stable")
        tokens, first = np.unique(ids[order], return_index=True)
        columns = dx.transpose(0, 2, 1).reshape(ids.size, -1)[order]
        gradient[tokens] = np.add.reduceat(columns, first, axis=0)
        gradient[EOS] = 0


def write_one_hot(ids: Array, out: Array) -> None:
    """Fill `out` (T, V, B) with the one-hot columns of the ids (T, B), zeros for <EOS>."""
    T, B = ids.shape
    out[:] = 0
    out[np.arange(T)[:, None], ids, np.arange(B)] = 1
    out[:, EOS] = 0
