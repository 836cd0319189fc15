"""Output recurrence: a network whose only memory is its last output (Jordan 1986).

Letters: T steps, B batch size, V vocabulary size, D input size, H hidden size.

hₜ = tanh(W·[xₜ; 1; oₜ₋₁])
oₜ = head·[1; hₜ]           the logits

With feedback "logits" it is trained by backpropagation through time. With feedback "target" the
true output yₜ₋₁, one-hot, replaces oₜ₋₁: teacher forcing (Williams & Zipser 1989). Then the steps
do not depend on each other and run in parallel, and there is no state. In a language model the true
last output is the current input, so such a network predicts from a single token.

The state is oₜ, an array (1, 1, V, B); with feedback "target" it is empty, (1, 0, V, B).
"""

import numpy as np

from charrnn.ids import EOS
from charrnn.network.blocks import multiply
from charrnn.network.functional import cross_entropy, cross_entropy_backward, tanh, tanh_derivative
from charrnn.network.layer_weights import LayerWeights
from charrnn.network.parameters import input_size
from charrnn.network.unrolled import Prior, Tape, Unrolled, write_one_hot

Array = np.ndarray


class UnrolledJordan(Unrolled):
    """`Unrolled` for a network with output recurrence."""

    def _make_layers(self, seq_len: int, batch_size: int) -> None:
        T, B, V, H = seq_len, batch_size, self.config.vocab_size, self.config.hidden_size
        self.cells, self.D = [], input_size(self.config, 0)
        self.o = np.empty((T + 1, B, V), self.dtype)  # o[t] enters step t
        self.outputs = np.empty((T, B, V), self.dtype)  # logits; unlike o, document starts keep it
        self.h = np.empty((T, B, H), self.dtype)
        self.received = np.empty(T * B * H, self.dtype)  # input term x·Uᵀ + b
        # The backward pass turns both into gradients in place; dsums is that of tanh's argument.
        self.doutputs, self.dsums = self.outputs, self.h

    def _prepared(self, layer: int, weight: Array) -> LayerWeights:
        one_hot = not self.config.embedding_size
        chunk = self.h.shape[:2]
        return LayerWeights.of(weight, self.D, 1, sigmoids=0, one_hot=one_hot, chunk=chunk)

    @property
    def recurrent(self) -> bool:
        """Whether the network feeds back its own outputs, not the true ones."""
        return self.config.feedback == "logits"

    def _run_layers(self, tape: Tape, state: Array, top: Array) -> Array:
        (weights,), head = tape.weights, self.parameters["head.weight"]
        (received,) = weights.receive(self._input(tape.inputs), self.received)
        if not self.recurrent:
            self._run_in_parallel(tape, received, top)
            return state
        (R,), head_T = weights.recurrent, head[:, 1:].T.copy()
        self.o[0] = state[0, 0].T
        for t, kept in enumerate(tape.keep):
            if kept is not None:
                self.o[t] *= kept
            multiply(self.o[t], R, self.h[t])
            self.h[t] += received[t]
            tanh(self.h[t])
            top[t] = self.h[t] * tape.masks[0][t] if tape.masks else self.h[t]
            np.matmul(top[t], head_T, out=self.outputs[t])
            self.outputs[t] += head[:, 0]
            self.o[t + 1] = self.outputs[t]
        after: Array = self.o[len(top)].T.copy()[None, None]
        return after

    def _run_in_parallel(self, tape: Tape, received: Array, top: Array) -> None:
        """Run all steps at once; each sees the true output of the step before."""
        (weights,), steps = tape.weights, len(top)
        write_one_hot(np.maximum(tape.inputs, EOS), self.o[:steps])
        multiply(self.o[:steps], weights.recurrent[0], self.h[:steps])
        self.h[:steps] += received
        tanh(self.h[:steps])
        top[:] = self.h[:steps] * tape.masks[0] if tape.masks else self.h[:steps]

    def _head_gradient(
        self, tape: Tape, targets: Array, scale: float, prior: Prior | None
    ) -> tuple[Array, Array]:
        """Like `Unrolled._head_gradient` if the true output is fed back.

        Otherwise the second result is the gradient (T, B, V) of each output from its own loss;
        `_backward_through_time` adds what comes from later steps.
        """
        if not self.recurrent:
            return super()._head_gradient(tape, targets, scale, prior)
        nats = np.empty(targets.shape, self.dtype)
        for t, target in enumerate(targets):
            nats[t], total = cross_entropy(self.outputs[t], target)
            self.doutputs[t] *= cross_entropy_backward(self.doutputs[t], total, target, scale)
        return nats, self.doutputs[: len(targets)]

    def _layers_backward(self, tape: Tape, dtop: Array, trace: list[Array] | None) -> Array:
        steps, W, dW = len(dtop), tape.weights[0].matrix, self.gradients["layers.0.weight"]
        if self.recurrent:
            dstate = self._backward_through_time(tape, dtop, trace)
            doutputs = dtop.reshape(-1, self.config.vocab_size)
            np.matmul(doutputs.T, tape.head, out=self.gradients["head.weight"])
        else:
            dstate = self._backward_in_parallel(tape, dtop)
        dsums = self.dsums[:steps].reshape(-1, self.config.hidden_size)
        block = self._block(0, tape.inputs)
        block[..., self.D] = 1
        block[..., self.D + 1 :] = self.o[:steps]
        np.matmul(dsums.T, block.reshape(len(dsums), -1), out=dW)
        if "embedding" in self.gradients:
            dx = dsums @ W[:, : self.D]
            self._embed_backward(tape.inputs, dx)
        return dstate

    def _backward_in_parallel(self, tape: Tape, dtop: Array) -> Array:
        """Fill `dsums`; return the gradient of the state, which is empty."""
        if tape.masks:
            dtop *= tape.masks[0]
        dsums = tanh_derivative(self.h[: len(dtop)])
        dsums *= dtop
        return np.empty((1, 0, self.config.vocab_size, dtop.shape[1]), self.dtype)

    def _backward_through_time(
        self, tape: Tape, doutputs: Array, trace: list[Array] | None
    ) -> Array:
        """Add to the gradient of each output what comes from later steps; fill `dsums`.

        Returns:
            Gradient (1, 1, V, B) of the output before the first step.
        """
        feedback = tape.weights[0].matrix[:, self.D + 1 :]
        head = self.parameters["head.weight"][:, 1:]
        do = np.zeros_like(doutputs[0])
        for t in reversed(range(len(doutputs))):
            doutputs[t] += do
            dh = doutputs[t] @ head  # o = [1, h]·headᵀ
            if tape.masks:
                dh *= tape.masks[0][t]
            tanh_derivative(self.h[t])  # h = tanh(o₋₁·Rᵀ + x·Uᵀ + b)
            self.dsums[t] *= dh
            do = self.dsums[t] @ feedback
            kept = tape.keep[t]
            if kept is not None:
                do *= kept
            if trace is not None:
                trace.append(do.T[None].copy())
        dstate: Array = do.T[None, None].copy()
        return dstate
