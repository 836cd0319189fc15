"""The network: its parameters and how they are initialized."""

from collections.abc import Mapping

import numpy as np

from charrnn.config import ModelConfig
from charrnn.ids import EOS
from charrnn.network.jordan import UnrolledJordan
from charrnn.network.parameters import Parameters, input_size, state_shape
from charrnn.network.stream import GeneralStream, NetworkStream, Stream
from charrnn.network.unrolled import Unrolled

Array = np.ndarray

_INPUT_GAIN = 2.0  # spread of what the input adds to a gate; see training/README.md


def orthogonal(size: int, rng: np.random.Generator) -> Array:
    """Draw an orthogonal matrix (size, size), uniform over all of them (Mezzadri 2007)."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    q *= np.sign(np.diagonal(r))
    return q


class CharRNN:
    """A network and its parameters, without state and work buffers: see `unroll`.

    Args:
        config: its shape.
        dtype: float32, or float64 to check gradients.
    """

    def __init__(self, config: ModelConfig, dtype: np.dtype | type = np.float32) -> None:
        self.config = config
        self.dtype = np.dtype(dtype)
        self.parameters = Parameters(config, dtype)

    @classmethod
    def from_arrays(cls, config: ModelConfig, arrays: Mapping[str, Array]) -> "CharRNN":
        """Make a model with these parameters, whose shapes `parameter_shapes` gives."""
        model = cls(config)
        for name, array in model.parameters.items():
            array[:] = arrays[name]
        return model

    def copy(self) -> "CharRNN":
        """Return this model with its own copy of the parameters."""
        model = CharRNN(self.config, self.dtype)
        model.parameters.flat[:] = self.parameters.flat
        return model

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.config.vocab_size

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return self.parameters.flat.size

    @property
    def arrays(self) -> dict[str, Array]:
        """Every array by its name in a checkpoint."""
        return self.parameters

    def initialize(self, rng: np.random.Generator) -> "CharRNN":
        """Draw fresh weights: orthogonal recurrent blocks (Saxe et al. 2014), forget bias 1
        (Jozefowicz et al. 2015), everything else scaled by its number of inputs. Returns self."""
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

        relu is unbounded and passes on half of the sum of squares. With an orthogonal recurrent
        block h stays as large as what the input adds, from layer to layer with a gain of 1. Dropout
        scales up what it keeps, so the weights are scaled down for it.
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
        """Zeros (num_layers, num_states, H, B), the state before a document; jordan: V for H."""
        return np.zeros((*state_shape(self.config), batch_size), self.dtype)

    def unroll(self, seq_len: int, batch_size: int, *, training: bool = False) -> Unrolled:
        """Allocate work buffers for chunks of at most T steps and exactly B columns.

        Args:
            training: the weights may change from call to call.
        """
        unrolled = UnrolledJordan if self.config.cell == "jordan" else Unrolled
        return unrolled(self.parameters, seq_len, batch_size, training=training)

    def stream(self, state: Array) -> Stream:
        """Read one text, a token at a time, from a state with one column on."""
        if self.config.cell == "jordan":
            return GeneralStream(self.unroll(1, 1), state)
        return NetworkStream(self.parameters, state)
