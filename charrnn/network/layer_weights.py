"""The weights of a layer in the order in which the forward pass multiplies by them.

Letters: T steps, B batch size (rows), D input size, H hidden size, G gates, R size of what is fed
back (H; of jordan V), K = D + 1 + R.
"""

from dataclasses import dataclass

import numpy as np

from charrnn.ids import EOS
from charrnn.network.blocks import column_blocks, multiply

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """A matrix for each gate, transposed.

    Those of gates with a sigmoid are halved, as σ(x) = ½ + ½·tanh(x/2).
    """

    matrix: Array  # W (G·H, K), for the backward pass
    inputs: Array  # Uᵀ (G, D, H) in blocks of its columns; of one-hot inputs Uᵀ + b, whole
    bias: Array  # b (G, 1, H)
    recurrent: Array  # Rᵀ (G, R, H) in blocks of its columns

    @classmethod
    def of(
        cls, W: Array, D: int, gates: int, *, sigmoids: int, one_hot: bool, chunk: tuple[int, int]
    ) -> "LayerWeights":
        """Prepare weights (G·H, K).

        Args:
            D: size of the inputs.
            gates: G.
            sigmoids: how many gates, the first ones, have a sigmoid.
            one_hot: inputs are ids, and <EOS> adds nothing.
            chunk: (T, B). Blocks of columns pay where few rows are multiplied: those of U where a
                chunk is a single step.
        """
        steps, rows = chunk
        scale = np.ones((gates, 1, 1), W.dtype)
        scale[:sigmoids] = 0.5
        inputs, bias, recurrent = (
            np.multiply(part.transpose(0, 2, 1), scale, order="C")
            for part in np.split(W.reshape(gates, -1, W.shape[1]), [D, D + 1], axis=2)
        )
        if one_hot:
            inputs[:, EOS] = 0
            inputs += bias
        else:
            inputs = column_blocks(inputs, rows) if steps == 1 else inputs[:, None]
        return cls(W, inputs, bias, column_blocks(recurrent, rows))

    def receive(self, inputs: Array, work: Array) -> Array:
        """What inputs (T, B, D), or ids (T, B), add to the gates (G, T, B, H).

        Args:
            work: a vector that holds as many numbers, or more.
        """
        (T, B), (G, _, H) = inputs.shape[:2], self.bias.shape
        out = work[: G * T * B * H].reshape(G, T, B, H)
        if inputs.ndim == 2:
            return np.take(self.inputs, inputs, axis=1, out=out, mode="clip")
        multiply(inputs.reshape(T * B, -1), self.inputs, out.reshape(G, T * B, H))
        out += self.bias[:, None]
        return out
