"""A fast forward pass for sampling: one text, one token at a time.

Letters: V vocabulary size, D input size, H hidden size, G gates, K = D + 1 + H, N rows above.

One step of one text is so little arithmetic that NumPy's call overhead dominates. So h of a layer
is multiplied once by everything that reads it: the layer's recurrent weights, for the next step,
and the input weights of the layer above, or of the head:

    [R; U of the layer above]·[1; hₜ]

The equations are those of `charrnn.network.cells`; `charrnn.network.unrolled` is the general case.
"""

from abc import ABC, abstractmethod
from copy import copy
from functools import lru_cache, partial
from typing import Protocol, Self

import numpy as np

from charrnn.config import ModelConfig
from charrnn.ids import EOS
from charrnn.network.cells import CELLS
from charrnn.network.functional import ACTIVATIONS
from charrnn.network.parameters import Parameters, input_size
from charrnn.network.unrolled import Unrolled

Array = np.ndarray

_REMEMBERED = 1024  # tokens whose input term in the first layer is cached


class Stream(Protocol):
    """A model that reads one text token by token."""

    def step(self, token: int) -> Array:
        """Read a token and return the logits (V,) of the next; the next step may overwrite them.

        Args:
            token: an id; <EOS> only as the first token of a document.
        """

    def copy(self) -> Self:
        """Return a stream that reads on independently; weights are shared."""


class GeneralStream:
    """A stream of any network, by way of `Unrolled`.

    Args:
        unrolled: work buffers for one step and one column.
        state: before the first step.
    """

    def __init__(self, unrolled: Unrolled, state: Array) -> None:
        self.unrolled, self.state = unrolled, state

    def step(self, token: int) -> Array:
        """Read a token and return the logits (V,) of the next."""
        logits, self.state = self.unrolled.forward(np.array([[token]]), self.state)
        found: Array = logits[0, :, 0]
        return found

    def copy(self) -> "GeneralStream":
        """See `Stream`; both serve one thread at a time."""
        return GeneralStream(self.unrolled, self.state)


class Layer(ABC):
    """A layer of one stream, together with the weights above it that read its h.

    Args:
        W: (G·H, K), halved for sigmoid gates.
        above: (N, 1 + H), the weights [b, U] of the layer above or of the head.
        state: (num_states, H) before the first step.
    """

    summed: int  # number of gates, from the first, that read h itself (in the gru h′ reads r * h)

    def __init__(self, config: ModelConfig, W: Array, above: Array, state: Array) -> None:
        H = config.hidden_size
        rows = self.summed * H
        # Column-major is fastest for a product with one vector.
        self._matrix = np.zeros((rows + len(above), 1 + H), W.dtype, order="F")
        self._matrix[:rows, 1:] = W[:rows, -H:]
        self._matrix[rows:] = above
        self.start(state)
        self.multiply()

    def start(self, state: Array) -> None:
        """Allocate what a step writes to; the state is that before the next one."""
        dtype, H = self._matrix.dtype, state.shape[1]
        self._read = np.ones(1 + H, dtype)  # [1; h]
        self.h = self._read[1:]
        self.h[:] = state[0]
        self._product = np.empty(len(self._matrix), dtype)
        rows = self.summed * H
        self.sums, self._above = self._product[:rows], self._product[rows:]

    @property
    def state(self) -> Array:
        """The state (num_states, H) after the last step."""
        return self.h[None]

    def copy(self) -> Self:
        """Return a layer that goes on independently with the same weights."""
        other = copy(self)
        other.start(self.state)
        other._product[:] = self._product
        return other

    def multiply(self) -> Array:
        """Multiply the new h by all weights that read it; return the input term above (N,)."""
        np.dot(self._matrix, self._read, out=self._product)
        return self._above

    @abstractmethod
    def step(self, received: Array) -> Array:
        """Compute h, and return the input term (N,) of the layer above, or the logits.

        Args:
            received: (G·H,), the input term of this layer, U·x + b.
        """


class RNNLayer(Layer):
    """`cells.RNN` for one stream."""

    summed = 1

    def __init__(self, config: ModelConfig, W: Array, above: Array, state: Array) -> None:
        super().__init__(config, W, above, state)
        self.activation, _ = ACTIVATIONS[config.activation]

    def step(self, received: Array) -> Array:
        np.add(self.sums, received, out=self.h)
        self.activation(self.h)
        return self.multiply()


class LSTMLayer(Layer):
    """`cells.LSTM` for one stream."""

    summed = 4

    def start(self, state: Array) -> None:
        super().start(state)
        # C lies next to the gates, so that i * g and f * C take one call.
        blocks: Array = np.empty((5, state.shape[1]), self.h.dtype)  # i, f, o, g, C
        self.gates, self.ifo = blocks[:4].reshape(-1), blocks[:3].reshape(-1)
        self.i_f, self.o, self.g_C, self.C = blocks[:2], blocks[2], blocks[3:], blocks[4]
        self.products = np.empty_like(self.i_f)
        self.ig, self.fC = self.products
        self.half = np.array(0.5, self.h.dtype)  # NumPy converts a float in each call
        self.C[:] = state[1]

    @property
    def state(self) -> Array:
        """h and C (2, H) after the last step."""
        return np.stack([self.h, self.C])

    def step(self, received: Array) -> Array:
        np.add(self.sums, received, out=self.gates)
        np.tanh(self.gates, out=self.gates)
        np.multiply(self.ifo, self.half, out=self.ifo)  # σ(x) = ½ + ½·tanh(x/2); W is halved
        np.add(self.ifo, self.half, out=self.ifo)
        np.multiply(self.i_f, self.g_C, out=self.products)
        np.add(self.ig, self.fC, out=self.C)
        np.tanh(self.C, out=self.h)
        np.multiply(self.h, self.o, out=self.h)
        return self.multiply()


class GRULayer(Layer):
    """`cells.GRU` for one stream; h′ needs a second product, because it reads r * h."""

    summed = 2

    def __init__(self, config: ModelConfig, W: Array, above: Array, state: Array) -> None:
        super().__init__(config, W, above, state)
        H = config.hidden_size
        self.candidate_weights = np.asfortranarray(W[2 * H :, -H:])

    def start(self, state: Array) -> None:
        super().start(state)
        self.zr = self.sums
        self.z, self.r = self.zr.reshape(2, -1)
        self.reset_h, self.candidate = np.empty((2, state.shape[1]), self.h.dtype)
        self.half = np.array(0.5, self.h.dtype)

    def step(self, received: Array) -> Array:
        np.add(self.zr, received[: self.zr.size], out=self.zr)
        np.tanh(self.zr, out=self.zr)
        np.multiply(self.zr, self.half, out=self.zr)  # σ as in the lstm
        np.add(self.zr, self.half, out=self.zr)
        np.multiply(self.r, self.h, out=self.reset_h)
        candidate = np.dot(self.candidate_weights, self.reset_h, out=self.candidate)
        np.add(candidate, received[self.zr.size :], out=candidate)
        np.tanh(candidate, out=candidate)
        np.subtract(candidate, self.h, out=candidate)
        np.multiply(candidate, self.z, out=candidate)
        np.add(self.h, candidate, out=self.h)
        return self.multiply()


_LAYERS: dict[str, type[Layer]] = {"rnn": RNNLayer, "lstm": LSTMLayer, "gru": GRULayer}


class NetworkStream:
    """A stream of recurrent layers and a head.

    Overflow gives inf or nan without an error, so callers check their results.

    Args:
        parameters: copied; later changes have no effect.
        state: (num_layers, num_states, H, 1) before the first step.
    """

    def __init__(self, parameters: Parameters, state: Array) -> None:
        config = parameters.config
        weights = [_halved(parameters, layer) for layer in range(config.num_layers)]
        inputs = []  # (G·H, 1 + D), [b, U] of each layer
        for layer, W in enumerate(weights):
            D = input_size(config, layer)
            inputs.append(np.hstack([W[:, D : D + 1], W[:, :D]]))
        received = partial(_received, inputs[0], parameters.get("embedding"))
        self._received = lru_cache(_REMEMBERED)(received)
        above = [*inputs[1:], parameters["head.weight"]]
        layers = zip(weights, above, state[..., 0], strict=True)
        self.layers = [_LAYERS[config.cell](config, *each) for each in layers]

    def step(self, token: int) -> Array:
        """Read a token and return the logits (V,) of the next; the next step overwrites them."""
        received = self._received(token)
        for layer in self.layers:
            received = layer.step(received)
        return received

    def copy(self) -> "NetworkStream":
        """See `Stream`."""
        other = copy(self)
        other.layers = [layer.copy() for layer in self.layers]
        return other


def _halved(parameters: Parameters, layer: int) -> Array:
    """Return the weights (G·H, K) of a layer, halved for sigmoid gates."""
    W = parameters[f"layers.{layer}.weight"].copy()
    W[: CELLS[parameters.config.cell].num_sigmoids * parameters.config.hidden_size] *= 0.5
    return W


def _received(inputs: Array, embedding: Array | None, token: int) -> Array:
    """Return the input term U·x + b (G·H,) of a token in the first layer.

    Args:
        inputs: (G·H, 1 + D), [b, U].
        embedding: (V, D); None for one-hot input.
    """
    received: Array = inputs[:, 0].copy()
    if token > EOS:
        U = inputs[:, 1:]
        received += U[:, token] if embedding is None else U @ embedding[token]
    return received
