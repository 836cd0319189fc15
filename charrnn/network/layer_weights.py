"""The weights of a layer, rearranged for the forward pass.

Letters: T steps, B batch size (rows), D input size, H hidden size, G gates, R size of the feedback
(H; V in jordan), K = D + 1 + R.
"""

from dataclasses import dataclass

import numpy as np

from charrnn.ids import EOS
from charrnn.network.blocks import column_blocks, multiply

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """A transposed matrix for each gate.

    Weights of sigmoid gates are halved, because σ(x) = ½ + ½·tanh(x/2).
    """

    matrix: Array  # W (G·H, K), unchanged, for the backward pass
    inputs: Array  # Uᵀ (G, D, H) in column blocks; Uᵀ + b as a lookup table for one-hot input
    bias: Array  # b (G, 1, H)
    recurrent: Array  # Rᵀ (G, R, H) in column blocks

    @classmethod
    def of(
        cls, W: Array, D: int, gates: int, *, sigmoids: int, one_hot: bool, chunk: tuple[int, int]
    ) -> "LayerWeights":
        """Rearrange weights (G·H, K).

        Args:
            D: input size.
            gates: G.
            sigmoids: number of sigmoid gates, which come first.
            one_hot: whether inputs are ids; <EOS> then adds nothing.
            chunk: (T, B). U is cut into blocks only if T is 1, as blocks pay off for few rows.
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
        """Compute the input term x·Uᵀ + b (G, T, B, H) of inputs (T, B, D) or ids (T, B).

        Args:
            work: scratch vector of at least G·T·B·H numbers, in which the result lies.
        """
        (T, B), (G, _, H) = inputs.shape[:2], self.bias.shape
        out = work[: G * T * B * H].reshape(G, T, B, H)
        if inputs.ndim == 2:
            return np.take(self.inputs, inputs, axis=1, out=out, mode="clip")
        multiply(inputs.reshape(T * B, -1), self.inputs, out.reshape(G, T * B, H))
        out += self.bias[:, None]
        return out
