"""The recurrent layers: RNN, LSTM and GRU, forward and backward through time.

Letters: T steps, B batch size (rows), D input size, H hidden size, G gates, K = D + 1 + H.

The textbook writes a step as W·[xₜ; 1; hₜ₋₁] with columns. Here each stream is a row, so a step is
hₜ₋₁·Rᵀ + (xₜ·Uᵀ + b), with a separate matrix for each gate, small enough for BLAS to multiply
without repacking. The input term needs no state, so it is computed for many steps at once; for
one-hot input it is a table lookup.

Columns of W: 0..D-1 input weights U, D bias b, D+1..K-1 recurrent weights R.
Rows of W, in blocks of H:  rnn: h.  lstm: i, f, o, g.  gru: z, r, h′.

Backpropagation through time (Werbos 1990) applies the chain rule one step at a time, from the last
step to the first, and only the recurrent weights take part in that loop. The gradients with respect
to W and to the inputs are one product over all steps afterwards. Local derivatives, such as 1 - h²
of a tanh, do not depend on the incoming gradient, so they are computed for a span of steps at once:
on small arrays the calls cost more than the arithmetic.

A cell owns the work buffers for chunks of at most T steps. Weights and state are arguments, and
nothing carries over from one chunk to the next. Within a chunk the order is `forward`, then at most
one `backward`, which overwrites the gates, then `weight_gradient` and `input_gradient`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import as_strided

from charrnn.config import ModelConfig
from charrnn.network.blocks import multiply, multiply_parts, row_parts
from charrnn.network.functional import ACTIVATIONS, tanh
from charrnn.network.layer_weights import LayerWeights

Array = np.ndarray
Keep = Sequence[Array | None]
"""Where documents start, for each step: None, or a column (B, 1) with 0 in the rows whose state is
cleared before the step and 1 in the others."""

_SPAN_NUMBERS = 1 << 16  # gate values in a span of steps; they stay in the cache


class Cell(ABC):
    """A recurrent layer: the loops over time and the gradient of W, which all cells share."""

    num_gates: int  # blocks of H rows in W
    num_sigmoids: int  # the first gates use a sigmoid, the others tanh or the activation
    num_states: int  # state arrays (B, H): h, and C in the lstm
    groups: tuple[slice, ...]  # gates whose gradients go back through one product

    states: tuple[Array, ...]  # (T+1, B, H) each: the state before every step, and the last one

    def __init__(
        self, config: ModelConfig, input_size: int, seq_len: int, batch_size: int, dtype: np.dtype
    ) -> None:
        T, B, H, G = seq_len, batch_size, config.hidden_size, self.num_gates
        self.D, self.H = input_size, H
        self.h = np.empty((T + 1, B, H), dtype)  # h[t] enters step t
        self.states = (self.h,)
        self.gates = np.empty((G, T, B, H), dtype)
        self.dgates = np.empty((T, B, G * H), dtype)  # gradient of the sums inside the gates
        self.products = np.empty((G, B, H), dtype)  # scratch
        self.span = max(1, min(T, _SPAN_NUMBERS // self.gates[:, 0].size))
        self._received = np.empty(0, dtype)  # input terms of a span of steps

    def forget_steps(self) -> None:
        """Keep the gates of one step only, which is faster; `backward` is then impossible."""
        self.gates = _one_step(self.gates, axis=1)

    def weights(self, W: Array, *, one_hot: bool) -> LayerWeights:
        """Rearrange weights (G·H, K) for the forward pass; see `LayerWeights.of`."""
        (G, T, B, _), sigmoids = self.gates.shape, self.num_sigmoids
        return LayerWeights.of(W, self.D, G, sigmoids=sigmoids, one_hot=one_hot, chunk=(T, B))

    @abstractmethod
    def step(self, recurrent: Array, t: int, received: Array) -> None:
        """Compute states[·][t+1] from states[·][t] by the equations of the cell.

        Args:
            recurrent: `LayerWeights.recurrent`.
            t: the step, 0 to T - 1.
            received: (G, B, H), the input term xₜ·Uᵀ + b of each gate.
        """

    @abstractmethod
    def differentiate(self, start: int, end: int) -> None:
        """Compute the local derivatives that `step_backward` multiplies by, for steps start..end-1.

        Overwrites the gates of these steps.
        """

    @abstractmethod
    def step_backward(self, W_h: Sequence[Array], t: int, *dstate: Array) -> tuple[Array, ...]:
        """Turn the gradient of states[·][t+1] into the gradient of states[·][t].

        Also fills dgates[t], and overwrites `dstate`.

        Args:
            W_h: recurrent weights (·, H) of each group of gates, as `row_parts` cuts them.
            t: a step that `differentiate` has covered.
            dstate: (B, H) for each state array.

        Returns:
            (B, H) for each state array.
        """

    def forward(
        self, weights: LayerWeights, inputs: Array, keep: Keep, state: Array, out: Array
    ) -> Array:
        """Run the layer over len(keep) steps.

        Args:
            inputs: (T, B, D), or ids (T, B) for one-hot input; IGNORE is not allowed.
            keep: where documents start.
            state: (num_states, H, B) before the first step.
            out: (T, B, H), filled with hₜ of every step.

        Returns:
            The state after the last step (num_states, H, B).
        """
        steps, looked_up = len(keep), inputs.ndim == 2
        span = self.span if looked_up else steps
        if self._received.size < span * self.gates[:, 0].size:
            self._received = np.empty(span * self.gates[:, 0].size, self.gates.dtype)
        for own, given in zip(self.states, state, strict=True):
            own[0] = given.T
        for t, kept in enumerate(keep):
            if t % span == 0:
                received = weights.receive(inputs[t : min(t + span, steps)], self._received)
            if kept is not None:
                for own in self.states:
                    own[t] *= kept
            self.step(weights.recurrent, t, received[:, t % span])
            out[t] = self.h[t + 1]
        return np.stack([own[steps].T for own in self.states])

    def backward(
        self, W: Array, keep: Keep, dout: Array, trace: list[Array] | None = None
    ) -> Array:
        """Backpropagate through the steps of the last `forward`, and fill `dgates`.

        Args:
            W: (G·H, K), the weights that `forward` used.
            keep: as in `forward`.
            dout: (T, B, H), gradient of the outputs.
            trace: if given, the gradient (num_states, H, B) of the state before each step is
                appended, last step first.

        Returns:
            Gradient (num_states, H, B) of the state before the first step.
        """
        by_gate = W.reshape(self.num_gates, self.H, -1)[:, :, self.D + 1 :]
        W_h = [self._parts(by_gate[group]) for group in self.groups]
        dstate = tuple(np.zeros(own[0].shape, own.dtype) for own in self.states)
        last = len(keep) - 1
        for t in range(last, -1, -1):
            if t == last or t % self.span == self.span - 1:
                self.differentiate(t - t % self.span, t + 1)
            dh, *dothers = dstate
            dh += dout[t]
            dstate = self.step_backward(W_h, t, dh, *dothers)
            kept = keep[t]
            if kept is not None:
                for down in dstate:
                    down *= kept
            if trace is not None:
                trace.append(np.stack([down.T for down in dstate]))
        return np.stack([down.T for down in dstate])

    def _parts(self, W_h: Array) -> Array:
        """Cut the recurrent weights (·, H, H) of some gates for `multiply_parts`."""
        return row_parts(W_h.reshape(-1, self.H), len(W_h), self.gates.shape[2])

    def weight_gradient(self, block: Array, dW: Array) -> None:
        """Write dW = Σₜ dgatesₜᵀ·[xₜ, 1, hₜ₋₁] over the steps of the last backward.

        Args:
            block: (T, B, K) with x filled in; this fills in the rest, [1, hₜ₋₁].
            dW: (G·H, K).
        """
        block[..., self.D] = 1
        block[..., self.D + 1 :] = self.h[: len(block)]
        dgates = self.dgates[: len(block)].reshape(-1, len(dW))
        np.matmul(dgates.T, block.reshape(len(dgates), -1), out=dW)

    def input_gradient(self, W: Array, out: Array) -> None:
        """Write the gradient of the inputs, dgates·U, to `out` (T, B, D)."""
        dgates = self.dgates[: len(out)].reshape(-1, len(W))
        np.matmul(dgates, W[:, : self.D], out=out.reshape(-1, self.D))


class RNN(Cell):
    """Simple recurrent network (Elman 1990): hₜ = φ(W·[xₜ; 1; hₜ₋₁]), φ tanh, relu or sigmoid."""

    num_gates, num_sigmoids, num_states = 1, 0, 1
    groups = (slice(1),)

    def __init__(
        self, config: ModelConfig, input_size: int, seq_len: int, batch_size: int, dtype: np.dtype
    ) -> None:
        super().__init__(config, input_size, seq_len, batch_size, dtype)
        self.activation, self.derivative = ACTIVATIONS[config.activation]

    def step(self, recurrent: Array, t: int, received: Array) -> None:
        """Compute hₜ."""
        (gate,) = multiply(self.h[t], recurrent, self.gates[:, t])
        gate += received[0]
        self.h[t + 1] = self.activation(gate)

    def differentiate(self, start: int, end: int) -> None:
        """Replace φ in the gate by φ′."""
        self.derivative(self.gates[0, start:end])  # self.h would be wrong: document starts clear it

    def step_backward(self, W_h: Sequence[Array], t: int, *dstate: Array) -> tuple[Array, ...]:
        """Compute dhₜ₋₁ = (dhₜ * φ′)·R, the product whose repetition makes gradients vanish."""
        (dh,) = dstate
        np.multiply(self.gates[0, t], dh, out=self.dgates[t])
        return (multiply_parts(self.dgates[t], W_h[0], dh, self.products),)


class LSTM(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000).

    i, f, o = σ(W·[xₜ; 1; hₜ₋₁]), g = tanh(W·[xₜ; 1; hₜ₋₁])
    Cₜ = f * Cₜ₋₁ + i * g
    hₜ = o * tanh(Cₜ)

    The gradient flows from Cₜ to Cₜ₋₁ through a product with f alone, so it need not vanish.
    """

    num_gates, num_sigmoids, num_states = 4, 3, 2
    groups = (slice(4),)

    def __init__(
        self, config: ModelConfig, input_size: int, seq_len: int, batch_size: int, dtype: np.dtype
    ) -> None:
        super().__init__(config, input_size, seq_len, batch_size, dtype)
        T, B, H = seq_len, batch_size, self.H
        self.C = np.empty((T + 1, B, H), dtype)  # C[t] enters step t
        self.tanh_C = np.empty((T, B, H), dtype)  # `inspect` shows it; ∂h/∂C in the backward pass
        self.states = (self.h, self.C)
        self.factors = np.empty_like(self.gates[:, : self.span])  # ∂C/∂i, ∂C/∂f, ∂h/∂o, ∂C/∂g
        self.spare = np.empty((B, H), dtype)  # scratch

    def forget_steps(self) -> None:
        super().forget_steps()
        self.C = _one_step(self.C)
        self.states = (self.h, self.C)

    def step(self, recurrent: Array, t: int, received: Array) -> None:
        """Compute Cₜ and hₜ."""
        C, tanh_C = self.C[t + 1], self.tanh_C[t]
        gates = multiply(self.h[t], recurrent, self.gates[:, t])
        gates += received
        tanh(gates)
        ifo = gates[:3]  # σ(x) = ½ + ½·tanh(x/2); the weights of these gates are halved
        ifo *= 0.5
        ifo += 0.5
        i, f, o, g = gates
        np.multiply(f, self.C[t], out=C)
        C += np.multiply(i, g, out=self.spare)
        np.tanh(C, out=tanh_C)
        np.multiply(o, tanh_C, out=self.h[t + 1])

    def differentiate(self, start: int, end: int) -> None:
        """Compute `factors`, derivatives by the sums inside the gates, and put ∂h/∂C in tanh_C."""
        gates, tanh_C = self.gates[:, start:end], self.tanh_C[start:end]
        i, _, o, g = gates
        factors = np.multiply(gates, gates, out=self.factors[:, : end - start])
        by_i, by_f, by_o, by_g = factors
        np.subtract(gates[:3], factors[:3], out=factors[:3])  # σ′ = σ − σ²
        np.subtract(1, by_g, out=by_g)  # tanh′ = 1 − tanh²
        by_i *= g  # C = f * C₋₁ + i * g
        by_f *= self.C[start:end]
        by_g *= i
        by_o *= tanh_C  # h = o * tanh(C)
        tanh_C *= tanh_C  # ∂h/∂C = o * (1 - tanh²(C))
        np.subtract(1, tanh_C, out=tanh_C)
        tanh_C *= o

    def step_backward(self, W_h: Sequence[Array], t: int, *dstate: Array) -> tuple[Array, ...]:
        """Add to dCₜ what comes through hₜ; then dCₜ₋₁ = dCₜ * f, and dhₜ₋₁ = dgates·R."""
        dh, dC = dstate
        factors = self.factors[:, t % self.span]
        dgates = self.dgates[t].reshape(-1, 4, self.H).transpose(1, 0, 2)  # (4, B, H)
        dC += np.multiply(dh, self.tanh_C[t], out=self.spare)
        dC_before = np.multiply(dC, self.gates[1, t], out=self.spare)
        np.multiply(factors[:2], dC, out=dgates[:2])
        np.multiply(factors[2], dh, out=dgates[2])
        np.multiply(factors[3], dC, out=dgates[3])
        self.spare = dC
        return multiply_parts(self.dgates[t], W_h[0], dh, self.products), dC_before


class GRU(Cell):
    """Gated recurrent unit (Cho et al. 2014); r is applied before the matrix product.

    z, r = σ(W·[xₜ; 1; hₜ₋₁])
    h′ = tanh(W′·[xₜ; 1; r * hₜ₋₁])
    hₜ = (1 − z) * hₜ₋₁ + z * h′

    cuDNN and torch.nn.GRU apply r after the product, which is a different model.
    """

    num_gates, num_sigmoids, num_states = 3, 2, 1
    groups = (slice(2), slice(2, 3))

    def __init__(
        self, config: ModelConfig, input_size: int, seq_len: int, batch_size: int, dtype: np.dtype
    ) -> None:
        super().__init__(config, input_size, seq_len, batch_size, dtype)
        self.reset_h = np.empty_like(self.h[1:])  # (T, B, H): r * h₋₁
        self.factors = np.empty_like(self.gates[:, : self.span])  # ∂h/∂z, ∂(r * h₋₁)/∂r, ∂h/∂h′
        self.spare = np.empty((batch_size, self.H), dtype)  # scratch, and so is `product`
        self.product = np.empty_like(self.spare)

    def forget_steps(self) -> None:
        super().forget_steps()
        self.reset_h = _one_step(self.reset_h)

    def step(self, recurrent: Array, t: int, received: Array) -> None:
        """Compute hₜ as hₜ₋₁ + z * (h′ − hₜ₋₁)."""
        h_before, h, reset_h = self.h[t], self.h[t + 1], self.reset_h[t]
        gates = self.gates[:, t]
        zr, candidate = gates[:2], gates[2]
        multiply(h_before, recurrent[:2], zr)
        zr += received[:2]
        tanh(zr)
        zr *= 0.5  # σ(x) = ½ + ½·tanh(x/2); the weights of these gates are halved
        zr += 0.5
        z, r = zr
        np.multiply(r, h_before, out=reset_h)
        multiply(reset_h, recurrent[2], candidate)
        candidate += received[2]
        tanh(candidate)
        np.subtract(candidate, h_before, out=h)
        h *= z
        h += h_before

    def differentiate(self, start: int, end: int) -> None:
        """Compute `factors`, derivatives by the sums inside the gates, and turn z into 1 − z."""
        h_before = self.h[start:end]
        z, r, candidate = self.gates[:, start:end]
        by_z, by_r, by_candidate = self.factors[:, : end - start]
        np.multiply(candidate, candidate, out=by_candidate)
        np.subtract(1, by_candidate, out=by_candidate)
        by_candidate *= z
        np.subtract(1, r, out=by_r)
        by_r *= r
        by_r *= h_before
        candidate -= h_before
        candidate *= z
        np.subtract(1, z, out=z)
        np.multiply(candidate, z, out=by_z)

    def step_backward(self, W_h: Sequence[Array], t: int, *dstate: Array) -> tuple[Array, ...]:
        """Sum what reaches hₜ₋₁ directly, through r * hₜ₋₁, and through the gates z and r."""
        (dh,) = dstate
        H, dgates = self.H, self.dgates[t]
        dzr, dcandidate = dgates[:, : 2 * H], dgates[:, 2 * H :]
        not_z, r, _ = self.gates[:, t]
        by_z, by_r, by_candidate = self.factors[:, t % self.span]
        dh_before = np.multiply(dh, not_z, out=self.spare)
        np.multiply(dh, by_candidate, out=dcandidate)
        np.multiply(dh, by_z, out=dzr[:, :H])
        dreset = multiply_parts(dcandidate, W_h[1], dh, self.products)  # gradient of r * h₋₁
        dh_before += np.multiply(dreset, r, out=self.product)
        np.multiply(dreset, by_r, out=dzr[:, H:])
        dh_before += multiply_parts(dzr, W_h[0], self.product, self.products)
        self.spare = dh
        return (dh_before,)

    def weight_gradient(self, block: Array, dW: Array) -> None:
        """Write dW; in the rows of h′, r * hₜ₋₁ takes the place of hₜ₋₁."""
        split = 2 * self.H
        super().weight_gradient(block, dW)
        block[..., self.D + 1 :] = self.reset_h[: len(block)]
        dcandidates = self.dgates[: len(block)].reshape(-1, len(dW))[:, split:]
        np.matmul(dcandidates.T, block.reshape(len(dcandidates), -1), out=dW[split:])


def _one_step(steps: Array, axis: int = 0) -> Array:
    """Return an array shaped like `steps` in which all steps along the axis share one memory."""
    one = steps.take([0], axis)
    strides = [0 if n == axis else stride for n, stride in enumerate(one.strides)]
    return as_strided(one, steps.shape, strides)


CELLS: dict[str, type[Cell]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
