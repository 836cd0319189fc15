"""Output recurrence: a network whose only memory is its own last output (Jordan 1986).

Letters: T steps, B batch size (columns), V vocabulary size, D input size, H hidden size.

hₜ = tanh(W·[xₜ; 1; oₜ₋₁])
oₜ = head·[1; hₜ]           the logits

`--feedback logits` trains this through time. `--feedback target` puts the true output yₜ₋₁, as a
one-hot column, in the place of oₜ₋₁ (teacher forcing, Williams & Zipser 1989): then no step depends
on another one, all are computed at once, and nothing is carried on. In a language model the true
last output is the input itself, so that such a network sees one token and no more.

The state is oₜ, an array (1, 1, V, B); with `--feedback target` there is none: (1, 0, V, B).
"""

from functools import cached_property

import numpy as np

from charrnn.ids import EOS
from charrnn.network.cells import side_by_side
from charrnn.network.draws import Draws
from charrnn.network.functional import cross_entropy, cross_entropy_backward, tanh, tanh_derivative
from charrnn.network.parameters import input_size
from charrnn.network.unrolled import Prior, Unrolled, write_one_hot

Array = np.ndarray


class UnrolledJordan(Unrolled):
    """The passes of a network with output recurrence; see `Unrolled`."""

    def _make_layers(self, seq_len: int, batch_size: int) -> None:
        T, B, V, H = seq_len, batch_size, self.config.vocab_size, self.config.hidden_size
        self.D = D = input_size(self.config, 0)
        self.block = np.zeros((T + 1, D + 1 + V, B), self.dtype)  # [x; 1; o₋₁]
        self.block[:, D] = 1
        self.x = self.block[:T, :D]  # (T, D, B)
        self.o = self.block[:, D + 1 :]  # (T+1, V, B): o[t] enters step t
        self.outputs = np.empty((T, V, B), self.dtype)  # logits, not cleared at a document's start
        self.h = np.empty((T, H, B), self.dtype)  # in the backward pass, gradients by its sums

    @cached_property
    def _gate_work(self) -> Array:
        return np.empty(max(self.h.size, self.outputs.size), self.dtype)

    @cached_property
    def _block_work(self) -> Array:
        return np.empty(self.block.size, self.dtype)

    @property
    def recurrent(self) -> bool:
        """Whether the network's own outputs are fed back."""
        return self.config.feedback == "logits"

    def _run_layers(self, steps: int, state: Array, top: Array, dropout: Draws | None) -> Array:
        mask = None
        if dropout is not None and self.config.dropout:
            mask = dropout.mask(self.masks[0][:steps], self.config.dropout)
        if not self.recurrent:
            self._run_in_parallel(steps, top, mask)
            return state
        W, head = self.parameters["layers.0.weight"], self.parameters["head.weight"]
        self.o[0] = state[0, 0]
        for t, kept in enumerate(self.keep):
            if kept is not None:
                self.o[t] *= kept
            tanh(np.matmul(W, self.block[t], out=self.h[t]))
            top[t] = self.h[t] if mask is None else self.h[t] * mask[t]
            np.matmul(head[:, 1:], top[t], out=self.outputs[t])
            self.outputs[t] += head[:, :1]
            self.o[t + 1] = self.outputs[t]
        after: Array = self.o[steps].copy()[None, None]
        return after

    def _run_in_parallel(self, steps: int, top: Array, mask: Array | None) -> None:
        """All steps at once: each is given the true output before it."""
        W = self.parameters["layers.0.weight"]
        write_one_hot(np.maximum(self.inputs, EOS), self.o[:steps])
        h = tanh(W @ side_by_side(self.block[:steps], self._block_work))
        self.h[:steps] = h.reshape(len(W), steps, -1).transpose(1, 0, 2)
        top[:] = self.h[:steps] if mask is None else self.h[:steps] * mask

    def _head_gradient(self, targets: Array, scale: float, prior: Prior | None) -> Array:
        """As for every network where the true output was fed back.

        Else `outputs` holds the gradient by each output where it is predicted with, to which the
        steps after it are still to add.
        """
        if not self.recurrent:
            return super()._head_gradient(targets, scale, prior)
        nats = np.empty(targets.shape, self.dtype)
        for t, target in enumerate(targets):
            nats[t] = cross_entropy(self.outputs[t], target)
            cross_entropy_backward(self.outputs[t], target, scale)
        return nats

    def _layers_backward(self, dtop: Array, trace: list[Array] | None) -> Array:
        steps = len(dtop)
        if self.recurrent:
            dstate = self._backward_through_time(self.outputs[:steps], trace)
            doutputs = side_by_side(self.outputs[:steps], self._gate_work)
            np.matmul(doutputs, self.head.T, out=self.gradients["head.weight"])
        else:
            dstate = self._backward_in_parallel(dtop)
        dsums = side_by_side(self.h[:steps], self._gate_work)
        block = side_by_side(self.block[:steps], self._block_work)
        np.matmul(dsums, block.T, out=self.gradients["layers.0.weight"])
        if "embedding" in self.gradients:
            dx = self.parameters["layers.0.weight"][:, : self.D].T @ dsums
            self._embed_backward(dx.reshape(self.D, steps, -1).transpose(1, 0, 2))
        return dstate

    def _backward_in_parallel(self, dtop: Array) -> Array:
        """Leave the gradient by the sums of h in `h`; the state has no numbers to have one."""
        if self.dropped and self.config.dropout:
            dtop *= self.masks[0][: len(dtop)]
        h = tanh_derivative(self.h[: len(dtop)])
        h *= dtop
        return np.empty((1, 0, self.config.vocab_size, dtop.shape[-1]), self.dtype)

    def _backward_through_time(self, doutputs: Array, trace: list[Array] | None) -> Array:
        """Add to the gradient by each output what comes from the steps after it.

        Leaves the gradient by the sums of h in `h`.

        Returns:
            Gradient by the output before the first step (1, 1, V, B).
        """
        feedback_T = self.parameters["layers.0.weight"][:, self.D + 1 :].T.copy()
        head_T = self.parameters["head.weight"][:, 1:].T.copy()
        do = np.zeros_like(doutputs[0])
        for t in reversed(range(len(doutputs))):
            doutputs[t] += do
            dh = head_T @ doutputs[t]  # o = head·[1; h]
            if self.dropped and self.config.dropout:
                dh *= self.masks[0][t]
            tanh_derivative(self.h[t])  # h = tanh(W·block)
            self.h[t] *= dh
            do = feedback_T @ self.h[t]
            kept = self.keep[t]
            if kept is not None:
                do *= kept
            if trace is not None:
                trace.append(do[None])
        dstate: Array = do[None, None]
        return dstate
