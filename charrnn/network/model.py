"""The network: its parameters and their initialization.

Letters: V vocabulary size, D input size of a layer, H hidden size, T steps, B batch size.
"""

from collections.abc import Mapping

import numpy as np

from charrnn.config import ModelConfig
from charrnn.ids import EOS
from charrnn.network.jordan import UnrolledJordan
from charrnn.network.parameters import Parameters, input_size, state_shape
from charrnn.network.stream import GeneralStream, NetworkStream, Stream
from charrnn.network.unrolled import Unrolled

Array = np.ndarray

_INPUT_GAIN = 2.0  # standard deviation of the input term of a gate; see training/README.md


def orthogonal(size: int, rng: np.random.Generator) -> Array:
    """Draw an orthogonal matrix (size, size), uniform over all of them (Mezzadri 2007)."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    q *= np.sign(np.diagonal(r))
    return q


class CharRNN:
    """A recurrent network: its parameters, without state or work buffers (see `unroll`).

    Args:
        config: the shape of the network.
        dtype: float32; float64 for checking gradients.
    """

    def __init__(self, config: ModelConfig, dtype: np.dtype | type = np.float32) -> None:
        self.config = config
        self.dtype = np.dtype(dtype)
        self.parameters = Parameters(config, dtype)

    @classmethod
    def from_arrays(cls, config: ModelConfig, arrays: Mapping[str, Array]) -> "CharRNN":
        """Build a network from arrays by name, shaped as `parameter_shapes` says."""
        model = cls(config)
        for name, array in model.parameters.items():
            array[:] = arrays[name]
        return model

    def copy(self) -> "CharRNN":
        """Return a network with a copy of the parameters."""
        model = CharRNN(self.config, self.dtype)
        model.parameters.flat[:] = self.parameters.flat
        return model

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.config.vocab_size

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.parameters.flat.size

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays of a checkpoint by name."""
        return self.parameters

    def initialize(self, rng: np.random.Generator) -> "CharRNN":
        """Draw fresh weights and return self.

        Recurrent blocks are orthogonal, so that their powers neither grow nor vanish (Saxe et al.
        2014), the forget gate has a bias of 1 (Jozefowicz et al. 2015), and all other weights are
        scaled by one over the square root of their number of inputs.
        """
        config, parameters = self.config, self.parameters
        if "embedding" in parameters:
            parameters["embedding"][:] = rng.standard_normal(parameters["embedding"].shape)
            parameters["embedding"][EOS] = 0
        for layer in range(config.num_layers):
            self._initialize_layer(layer, rng)
        head = parameters["head.weight"]
        head[:, 1:] = rng.standard_normal(head[:, 1:].shape) / np.sqrt(config.hidden_size)
        if config.activation == "relu":
            head *= np.sqrt(1 - config.dropout) / _INPUT_GAIN
        return self

    def _initialize_layer(self, layer: int, rng: np.random.Generator) -> None:
        """Draw the weights of a layer.

        relu needs care, because it is unbounded: it halves the mean square of its argument, and
        with an orthogonal recurrent block h settles at the size of the input term. A gain of 1
        above the first layer keeps that size from layer to layer. Dropout scales up the units it
        keeps, so the weights are scaled down by as much.
        """
        config, weight = self.config, self.parameters[f"layers.{layer}.weight"]
        H, D, relu = config.hidden_size, input_size(config, layer), config.activation == "relu"
        fan_in = 1 if layer == 0 and not config.embedding_size else D  # a one-hot column has one
        gain = np.sqrt(1 - config.dropout) if relu and layer else _INPUT_GAIN
        weight[:, :D] = rng.standard_normal((len(weight), D))
        weight[:, :D] *= gain / np.sqrt(fan_in)
        recurrent = weight[:, D + 1 :]
        if config.cell == "jordan":
            recurrent[:] = rng.standard_normal(recurrent.shape) / np.sqrt(config.vocab_size)
            return
        for gate in recurrent.reshape(-1, H, H):
            gate[:] = orthogonal(H, rng)
        if relu:
            recurrent *= np.sqrt(1 - config.recurrent_dropout)
        if config.cell == "lstm":
            weight[H : 2 * H, D] = 1

    def zero_state(self, batch_size: int) -> Array:
        """Return zeros (num_layers, num_states, H or V, B), the state before a document."""
        return np.zeros((*state_shape(self.config), batch_size), self.dtype)

    def unroll(self, seq_len: int, batch_size: int, *, training: bool = False) -> Unrolled:
        """Return the network with work buffers for chunks of at most T steps and exactly B streams.

        Args:
            training: whether the weights may change from call to call.
        """
        unrolled = UnrolledJordan if self.config.cell == "jordan" else Unrolled
        return unrolled(self.parameters, seq_len, batch_size, training=training)

    def stream(self, state: Array) -> Stream:
        """Return a stream that reads one text token by token, from a state with one column."""
        if self.config.cell == "jordan":
            return GeneralStream(self.unroll(1, 1), state)
        return NetworkStream(self.parameters, state)
