"""The recurrent layers: equations, forward pass and backward pass through time.

Letters: T steps, B batch size (columns), D input size, H hidden size, K = D + 1 + H.
Arrays are feature-major with the batch last. The input of step t, a one and the state before it
are stacked in one column block [xₜ; 1; hₜ₋₁] (K, B), so that a single product with a single matrix
W (rows, K) applies input weights, bias and recurrent weights at once, as the textbook writes it.

Columns of W: 0..D-1 input weights, D bias, D+1..K-1 recurrent weights.
Rows of W, in blocks of H:  rnn: h.  lstm: i, f, o, g.  gru: z, r, h′.

Backpropagation needs the recurrent part of W step by step; the gradients by W and by the inputs are
one product each over all steps. Derivatives that do not depend on the gradient are computed for a
span of steps at once, as many as stay in the cache: small arrays cost more in calls than in
arithmetic.

A cell owns the work buffers for chunks of at most T steps. Weights and state come in with each
call, and nothing is remembered from one chunk to the next. Within a chunk the order is `forward`,
then at most one `backward`, which overwrites the gates by their gradients, then `weight_gradient`
and `input_gradient`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from charrnn.config import ModelConfig
from charrnn.network.functional import ACTIVATIONS, sigmoid, tanh

Array = np.ndarray
Keep = Sequence[Array | None]
"""Where documents start: for each step None, or a row (B,) that is 0 in the columns whose state is
cleared before the step and 1 in the others."""


_SPAN_NUMBERS = 1 << 16  # of all gates in a span of steps


class Cell(ABC):
    """What all cells share: the column blocks, the loops over time, and the gradient of W."""

    num_gates: int  # blocks of H rows in W
    num_states: int  # state arrays (H, B): h, and for the lstm C

    states: tuple[Array, ...]  # each (T+1, H, B); what a step changes and the next one reads

    def __init__(
        self, config: ModelConfig, input_size: int, seq_len: int, batch_size: int, dtype: np.dtype
    ) -> None:
        T, B, D, H = seq_len, batch_size, input_size, config.hidden_size
        self.D, self.H = D, H
        self.block = np.zeros((T + 1, D + 1 + H, B), dtype)
        self.block[:, D] = 1
        self.x = self.block[:T, :D]  # (T, D, B), written by whatever is below
        self.h = self.block[:, D + 1 :]  # (T+1, H, B): h[t] enters step t
        self.states = (self.h,)
        self.gates = np.empty((T, self.num_gates * H, B), dtype)
        self.dgates = self.gates  # the same memory: backward turns gates into gradients in place
        self.span = max(1, min(T, _SPAN_NUMBERS // self.gates[0].size))

    @abstractmethod
    def step(self, W: Array, t: int) -> None:
        """Compute states[·][t+1] from block[t] and states[·][t]: the equations of the cell."""

    @abstractmethod
    def differentiate(self, start: int, end: int) -> None:
        """Compute the factors of `step_backward` for the steps from start to end at once.

        Overwrites the gates of these steps with what is needed of them.
        """

    @abstractmethod
    def step_backward(self, W_h_T: Array, t: int, *dstate: Array) -> tuple[Array, ...]:
        """Turn the gradient by states[·][t+1] into the one by states[·][t].

        Fills dgates[t], the gradient by the sums W·block[t], and overwrites `dstate`.

        Args:
            W_h_T: the recurrent weights, transposed (H, num_gates·H).
            t: a step whose factors `differentiate` has computed.
            dstate: (H, B) each.
        """

    def forward(self, W: Array, keep: Keep, state: Array, out: Array, after: Array) -> None:
        """Run len(keep) steps from x, which the caller has filled.

        Args:
            W: weights (num_gates·H, K).
            keep: see Keep.
            state: (num_states, H, B) before the first step.
            out: (T, H, B), receives hₜ of every step.
            after: (num_states, H, B), receives the state after the last step.
        """
        for own, given in zip(self.states, state, strict=True):
            own[0] = given
        for t, kept in enumerate(keep):
            if kept is not None:
                for own in self.states:
                    own[t] *= kept
            self.step(W, t)
            out[t] = self.h[t + 1]
        for own, last in zip(self.states, after, strict=True):
            last[:] = own[len(keep)]

    def backward(
        self, W: Array, keep: Keep, dout: Array, trace: list[Array] | None = None
    ) -> Array:
        """Backpropagate through the steps of the last forward.

        Args:
            W: as given to forward.
            keep: as given to forward.
            dout: (T, H, B), gradient by the outputs.
            trace: receives the gradient by the state before each step, the last step first.

        Fills `dgates`, from which `weight_gradient` and `input_gradient` follow.

        Returns:
            Gradient by the state before the first step (num_states, H, B).
        """
        W_h_T = W[:, self.D + 1 :].T.copy()  # contiguous, as a view would slow every product
        dstate = tuple(np.zeros_like(own[0]) for own in self.states)
        last = len(keep) - 1
        for t in range(last, -1, -1):
            if t == last or t % self.span == self.span - 1:
                self.differentiate(t - t % self.span, t + 1)
            dh, *dothers = dstate
            dh += dout[t]
            dstate = self.step_backward(W_h_T, t, dh, *dothers)
            kept = keep[t]
            if kept is not None:
                for down in dstate:
                    down *= kept
            if trace is not None:
                trace.append(np.stack(dstate))
        return np.stack(dstate)

    def weight_gradient(self, dgates: Array, dW: Array, work: Array) -> None:
        """Write dW = Σₜ dgatesₜ·blockₜᵀ over the steps of the last backward, as one product.

        Args:
            dgates: (num_gates·H, T·B), `dgates` of backward with its steps side by side.
            dW: like W.
            work: a buffer for K·T·B numbers.
        """
        steps = dgates.shape[1] // self.gates.shape[-1]
        np.matmul(dgates, side_by_side(self.block[:steps], work).T, out=dW)

    def input_gradient(self, W: Array, dgates: Array) -> Array:
        """Compute the gradient by x (T, D, B) = Wₓᵀ·dgates, as one product."""
        dx: Array = W[:, : self.D].T @ dgates
        return dx.reshape(self.D, -1, self.gates.shape[-1]).transpose(1, 0, 2)


def side_by_side(array: Array, work: Array) -> Array:
    """Copy (T, N, B) to a contiguous (N, T·B), in which one product sums over time.

    Args:
        work: a vector at least as long that holds the copy; fresh memory would cost more.
    """
    T, N, B = array.shape
    copy = work[: array.size].reshape(N, T, B)
    copy[:] = array.transpose(1, 0, 2)
    return copy.reshape(N, T * B)


class RNN(Cell):
    """hₜ = φ(W·[xₜ; 1; hₜ₋₁]) (Elman 1990), φ being tanh, relu or sigmoid."""

    num_gates, num_states = 1, 1

    def __init__(
        self, config: ModelConfig, input_size: int, seq_len: int, batch_size: int, dtype: np.dtype
    ) -> None:
        super().__init__(config, input_size, seq_len, batch_size, dtype)
        self.activation, self.derivative = ACTIVATIONS[config.activation]

    def step(self, W: Array, t: int) -> None:
        self.h[t + 1] = self.activation(np.matmul(W, self.block[t], out=self.gates[t]))

    def differentiate(self, start: int, end: int) -> None:
        self.derivative(self.gates[start:end])  # not of self.h, which a document's start clears

    def step_backward(self, W_h_T: Array, t: int, *dstate: Array) -> tuple[Array, ...]:
        (dh,) = dstate
        self.dgates[t] *= dh  # holds φ′
        return (np.matmul(W_h_T, self.dgates[t], out=dh),)


class LSTM(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997, forget gate by Gers et al. 2000).

    i, f, o = σ(W·[xₜ; 1; hₜ₋₁]), g = tanh(W·[xₜ; 1; hₜ₋₁])
    Cₜ = f * Cₜ₋₁ + i * g
    hₜ = o * tanh(Cₜ)
    """

    num_gates, num_states = 4, 2

    def __init__(
        self, config: ModelConfig, input_size: int, seq_len: int, batch_size: int, dtype: np.dtype
    ) -> None:
        super().__init__(config, input_size, seq_len, batch_size, dtype)
        self.C = np.empty_like(self.h)  # (T+1, H, B): C[t] enters step t
        self.tanh_C = np.empty_like(self.h[1:])  # (T, H, B); in backward ∂h/∂C
        self.states = (self.h, self.C)
        self.factors = np.empty_like(
            self.gates[: self.span]
        )  # dgates less the gradients by C and h
        self.spare = np.empty_like(self.h[0])  # scratch

    def step(self, W: Array, t: int) -> None:
        H, h, C, tanh_C = self.H, self.h[t + 1], self.C[t + 1], self.tanh_C[t]
        gates = np.matmul(W, self.block[t], out=self.gates[t])
        ifo = gates[: 3 * H]
        ifo *= 0.5  # σ(x) = ½ + ½·tanh(x/2), so one tanh serves all four gates
        tanh(gates)
        ifo *= 0.5
        ifo += 0.5
        i, f, o, g = gates.reshape(4, H, -1)
        np.multiply(f, self.C[t], out=C)
        C += np.multiply(i, g, out=self.spare)
        np.tanh(C, out=tanh_C)
        np.multiply(o, tanh_C, out=h)

    def differentiate(self, start: int, end: int) -> None:
        H, gates, tanh_C = self.H, self.gates[start:end], self.tanh_C[start:end]
        i, _, o, g = np.split(gates, 4, axis=1)
        factors = np.multiply(gates, gates, out=self.factors[: end - start])
        by_i, by_f, by_o, by_g = np.split(factors, 4, axis=1)
        np.subtract(gates[:, : 3 * H], factors[:, : 3 * H], out=factors[:, : 3 * H])  # σ′ = σ − σ²
        np.subtract(1, by_g, out=by_g)  # tanh′ = 1 − tanh²
        by_i *= g  # C = f * C₋₁ + i * g
        by_f *= self.C[start:end]
        by_g *= i
        by_o *= tanh_C  # h = o * tanh(C)
        tanh_C *= tanh_C  # ∂h/∂C = o * (1 - tanh²(C))
        np.subtract(1, tanh_C, out=tanh_C)
        tanh_C *= o

    def step_backward(self, W_h_T: Array, t: int, *dstate: Array) -> tuple[Array, ...]:
        dh, dC = dstate
        shape = 4, self.H, -1
        dgates, factors = self.dgates[t].reshape(shape), self.factors[t % self.span].reshape(shape)
        dC += np.multiply(dh, self.tanh_C[t], out=self.spare)
        f = dgates[1]  # still, until the line after next
        dC_before = np.multiply(dC, f, out=self.spare)
        np.multiply(factors[:2], dC, out=dgates[:2])
        np.multiply(factors[2], dh, out=dgates[2])
        np.multiply(factors[3], dC, out=dgates[3])
        self.spare = dC
        return np.matmul(W_h_T, self.dgates[t], out=dh), dC_before


class GRU(Cell):
    """Gated recurrent unit as Cho et al. (2014) define it: the reset gate acts before the product.

    z, r = σ(W·[xₜ; 1; hₜ₋₁])
    h′ = tanh(W′·[xₜ; 1; r * hₜ₋₁])
    hₜ = (1 − z) * hₜ₋₁ + z * h′

    cuDNN and torch.nn.GRU reset after the product instead, which is a different model.
    """

    num_gates, num_states = 3, 1

    def __init__(
        self, config: ModelConfig, input_size: int, seq_len: int, batch_size: int, dtype: np.dtype
    ) -> None:
        super().__init__(config, input_size, seq_len, batch_size, dtype)
        self.reset_block = np.ones_like(self.block[:-1])  # (T, K, B): [x; 1; r * h₋₁]
        self.factors = np.empty_like(self.gates[: self.span])  # dgates less the gradient by h
        self.spare = np.empty_like(self.h[0])  # scratch, and so is `product`
        self.product = np.empty_like(self.h[0])

    def step(self, W: Array, t: int) -> None:
        D, H, h_before, h = self.D, self.H, self.h[t], self.h[t + 1]
        gates, reset_block = self.gates[t], self.reset_block[t]
        zr, candidate = gates[: 2 * H], gates[2 * H :]
        sigmoid(np.matmul(W[: 2 * H], self.block[t], out=zr))
        z, r = zr.reshape(2, H, -1)
        reset_block[:D] = self.x[t]
        np.multiply(r, h_before, out=reset_block[D + 1 :])
        tanh(np.matmul(W[2 * H :], reset_block, out=candidate))
        np.subtract(candidate, h_before, out=h)
        h *= z
        h += h_before

    def differentiate(self, start: int, end: int) -> None:
        h_before = self.h[start:end]
        z, r, candidate = np.split(self.gates[start:end], 3, axis=1)
        by_z, by_r, by_candidate = np.split(self.factors[: end - start], 3, axis=1)
        np.multiply(candidate, candidate, out=by_candidate)
        np.subtract(1, by_candidate, out=by_candidate)
        by_candidate *= z
        np.subtract(1, r, out=by_r)
        by_r *= r
        by_r *= h_before
        candidate -= h_before  # h = h₋₁ + z * (h′ − h₋₁)
        candidate *= z
        np.subtract(1, z, out=z)  # from here on 1 − z
        np.multiply(candidate, z, out=by_z)

    def step_backward(self, W_h_T: Array, t: int, *dstate: Array) -> tuple[Array, ...]:
        (dh,) = dstate
        H, dgates = self.H, self.dgates[t]
        not_z, r, _ = self.gates[t].reshape(3, H, -1)  # each until its gradient takes its place
        dz, dr, dcandidate = dgates.reshape(3, H, -1)
        by_z, by_r, by_candidate = self.factors[t % self.span].reshape(3, H, -1)
        dh_before = np.multiply(dh, not_z, out=self.spare)
        np.multiply(dh, by_candidate, out=dcandidate)
        np.multiply(dh, by_z, out=dz)
        dreset = np.matmul(W_h_T[:, 2 * H :], dcandidate, out=dh)  # reset_block = [x; 1; r * h₋₁]
        dh_before += np.multiply(dreset, r, out=self.product)
        np.multiply(dreset, by_r, out=dr)
        dh_before += np.matmul(W_h_T[:, : 2 * H], dgates[: 2 * H], out=self.product)
        self.spare = dh
        return (dh_before,)

    def weight_gradient(self, dgates: Array, dW: Array, work: Array) -> None:
        """Write dW as `Cell` does, with the reset blocks for the rows of h′."""
        split, steps = 2 * self.H, dgates.shape[1] // self.gates.shape[-1]
        np.matmul(dgates[:split], side_by_side(self.block[:steps], work).T, out=dW[:split])
        np.matmul(dgates[split:], side_by_side(self.reset_block[:steps], work).T, out=dW[split:])


CELLS: dict[str, type[Cell]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
