"""Output recurrence: a network whose only memory is its own last output (Jordan 1986).

Letters: T steps, B batch size (columns), V vocabulary size, D input size, H hidden size.

hₜ = tanh(W·[xₜ; 1; oₜ₋₁])
oₜ = head·[1; hₜ]           the logits

`--feedback logits` trains this through time. `--feedback target` puts the true output yₜ₋₁, as a
one-hot column, in the place of oₜ₋₁ (teacher forcing, Williams & Zipser 1989). Then no step depends
on another, so all are computed at once, and no state is carried on. In a language model the true
last output is the input itself, so such a network sees a single token.

The state is oₜ, an array (1, 1, V, B); with `--feedback target` there is none: (1, 0, V, B).
"""

from functools import cached_property

import numpy as np

from charrnn.ids import EOS
from charrnn.network.cells import side_by_side
from charrnn.network.functional import cross_entropy, cross_entropy_backward, tanh, tanh_derivative
from charrnn.network.parameters import input_size
from charrnn.network.unrolled import Prior, Tape, Unrolled, write_one_hot

Array = np.ndarray


class UnrolledJordan(Unrolled):
    """`Unrolled` for a network with output recurrence."""

    def _make_layers(self, seq_len: int, batch_size: int) -> None:
        T, B, V, H = seq_len, batch_size, self.config.vocab_size, self.config.hidden_size
        self.D = D = input_size(self.config, 0)
        self.block = np.zeros((T + 1, D + 1 + V, B), self.dtype)  # [x; 1; o₋₁]
        self.block[:, D] = 1
        self.x = self.block[:T, :D]  # (T, D, B)
        self.o = self.block[:, D + 1 :]  # (T+1, V, B): o[t] enters step t
        self.outputs = np.empty((T, V, B), self.dtype)  # logits, not cleared at a document's start
        self.h = np.empty((T, H, B), self.dtype)
        # The backward pass turns both into gradients in place: by the outputs, by the sums in tanh.
        self.doutputs, self.dsums = self.outputs, self.h

    @cached_property
    def _gradient_work(self) -> Array:
        """Scratch for gradients side by side: by h and by the outputs."""
        return np.empty(max(self.h.size, self.outputs.size), self.dtype)

    @cached_property
    def _block_work(self) -> Array:
        """Scratch for the blocks, side by side."""
        return np.empty(self.block.size, self.dtype)

    @property
    def recurrent(self) -> bool:
        """Whether the network's own outputs are fed back."""
        return self.config.feedback == "logits"

    def _run_layers(self, tape: Tape, state: Array, top: Array) -> Array:
        if not self.recurrent:
            self._run_in_parallel(tape, top)
            return state
        (W,), head = tape.weights, self.parameters["head.weight"]
        self.o[0] = state[0, 0]
        for t, kept in enumerate(tape.keep):
            if kept is not None:
                self.o[t] *= kept
            tanh(np.matmul(W, self.block[t], out=self.h[t]))
            top[t] = self.h[t] * tape.masks[0][t] if tape.masks else self.h[t]
            np.matmul(head[:, 1:], top[t], out=self.outputs[t])
            self.outputs[t] += head[:, :1]
            self.o[t + 1] = self.outputs[t]
        after: Array = self.o[len(top)].copy()[None, None]
        return after

    def _run_in_parallel(self, tape: Tape, top: Array) -> None:
        """Run all steps at once: each is given the true output before it."""
        (W,), steps = tape.weights, len(top)
        write_one_hot(np.maximum(tape.inputs, EOS), self.o[:steps])
        h = tanh(W @ side_by_side(self.block[:steps], self._block_work))
        self.h[:steps] = h.reshape(len(W), steps, -1).transpose(1, 0, 2)
        top[:] = self.h[:steps] * tape.masks[0] if tape.masks else self.h[:steps]

    def _head_gradient(
        self, tape: Tape, targets: Array, scale: float, prior: Prior | None
    ) -> tuple[Array, Array]:
        """Do as every network if the true output is fed back.

        Otherwise the second result is the gradient by each output (T, V, B) from its own
        prediction, to which later steps still add.
        """
        if not self.recurrent:
            return super()._head_gradient(tape, targets, scale, prior)
        nats = np.empty(targets.shape, self.dtype)
        for t, target in enumerate(targets):
            nats[t] = cross_entropy(self.outputs[t], target)
            cross_entropy_backward(self.doutputs[t], target, scale)
        return nats, self.doutputs[: len(targets)]

    def _layers_backward(self, tape: Tape, dtop: Array, trace: list[Array] | None) -> Array:
        steps = len(dtop)
        if self.recurrent:
            dstate = self._backward_through_time(tape, dtop, trace)
            doutputs = side_by_side(dtop, self._gradient_work)
            np.matmul(doutputs, tape.head.T, out=self.gradients["head.weight"])
        else:
            dstate = self._backward_in_parallel(tape, dtop)
        dsums = side_by_side(self.dsums[:steps], self._gradient_work)
        block = side_by_side(self.block[:steps], self._block_work)
        np.matmul(dsums, block.T, out=self.gradients["layers.0.weight"])
        if "embedding" in self.gradients:
            dx = tape.weights[0][:, : self.D].T @ dsums
            self._embed_backward(tape.inputs, dx.reshape(self.D, steps, -1).transpose(1, 0, 2))
        return dstate

    def _backward_in_parallel(self, tape: Tape, dtop: Array) -> Array:
        """Fill `dsums`; the state has no numbers to have a gradient."""
        if tape.masks:
            dtop *= tape.masks[0]
        dsums = tanh_derivative(self.h[: len(dtop)])
        dsums *= dtop
        return np.empty((1, 0, self.config.vocab_size, dtop.shape[-1]), self.dtype)

    def _backward_through_time(
        self, tape: Tape, doutputs: Array, trace: list[Array] | None
    ) -> Array:
        """Add to the gradient by each output what comes from the steps after it; fill `dsums`.

        Returns:
            Gradient by the output before the first step (1, 1, V, B).
        """
        feedback_T = tape.weights[0][:, self.D + 1 :].T.copy()
        head_T = self.parameters["head.weight"][:, 1:].T.copy()
        do = np.zeros_like(doutputs[0])
        for t in reversed(range(len(doutputs))):
            doutputs[t] += do
            dh = head_T @ doutputs[t]  # o = head·[1; h]
            if tape.masks:
                dh *= tape.masks[0][t]
            tanh_derivative(self.h[t])  # h = tanh(W·block)
            self.dsums[t] *= dh
            do = feedback_T @ self.dsums[t]
            kept = tape.keep[t]
            if kept is not None:
                do *= kept
            if trace is not None:
                trace.append(do[None])
        dstate: Array = do[None, None]
        return dstate
