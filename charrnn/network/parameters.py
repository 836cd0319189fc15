"""The parameters of a network by name, all in one vector.

Letters: V vocabulary size, E embedding size, H hidden size, D input size of a layer (V or E for the
first, H above), R size of the state (H; V in jordan), K = D + 1 + R.

    embedding        (V, E)           one row per token; absent with one-hot input
    layers.0.weight  (gates·H, K)     rows and columns: see charrnn.network.cells
    layers.1.weight  ...
    head.weight      (V, 1 + H)       column 0 is the bias
"""

import numpy as np

from charrnn.config import ModelConfig
from charrnn.network.cells import CELLS

Array = np.ndarray


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """Return the shape of every parameter array by name, in storage order."""
    V, E, H = config.vocab_size, config.embedding_size, config.hidden_size
    shapes = {"embedding": (V, E)} if E else {}
    _, _, state_size = state_shape(config)
    num_gates = CELLS[config.cell].num_gates if config.cell in CELLS else 1
    for layer in range(config.num_layers):
        shapes[f"layers.{layer}.weight"] = (
            num_gates * H,
            input_size(config, layer) + 1 + state_size,
        )
    shapes["head.weight"] = (V, 1 + H)
    return shapes


def input_size(config: ModelConfig, layer: int) -> int:
    """Return D of a layer, which is also the column of its bias."""
    return config.hidden_size if layer else config.embedding_size or config.vocab_size


def state_shape(config: ModelConfig) -> tuple[int, int, int]:
    """Return the shape (num_layers, num_states, R) of the state of one stream."""
    if config.cell == "jordan":
        return 1, int(config.feedback == "logits"), config.vocab_size
    return config.num_layers, CELLS[config.cell].num_states, config.hidden_size


class Parameters(dict[str, Array]):
    """Parameter arrays by name, all views of one vector `flat`, so that Adam updates one array."""

    def __init__(self, config: ModelConfig, dtype: np.dtype | type = np.float32) -> None:
        super().__init__()
        self.config = config
        sizes = [rows * columns for rows, columns in parameter_shapes(config).values()]
        self.lie_in(np.zeros(sum(sizes), dtype))

    def lie_in(self, flat: Array) -> None:
        """Make all arrays views of another vector of the same size."""
        self.flat, start = flat, 0
        for name, (rows, columns) in parameter_shapes(self.config).items():
            stop = start + rows * columns
            self[name] = flat[start:stop].reshape(rows, columns)
            start = stop


def layers_of(config: ModelConfig) -> slice:
    """Return which part of `Parameters.flat` the recurrent layers are."""
    shapes = parameter_shapes(config)
    sizes = {name: rows * columns for name, (rows, columns) in shapes.items()}
    return slice(sizes.get("embedding", 0), sum(sizes.values()) - sizes["head.weight"])


def weights_of(config: ModelConfig, dtype: np.dtype | type = np.float32) -> Array:
    """Return a vector like `Parameters.flat`: 1 where weight decay applies, 0 for biases."""
    mask = Parameters(config, dtype)
    mask.flat.fill(1)
    mask["head.weight"][:, 0] = 0
    for layer in range(config.num_layers):
        mask[f"layers.{layer}.weight"][:, input_size(config, layer)] = 0
    return mask.flat
