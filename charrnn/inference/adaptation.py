"""Dynamic evaluation: a model that keeps learning from the text it scores (Krause et al. 2018).

Each segment of the text is predicted first and learned from afterwards, so that no prediction has
seen what it predicts. Every text starts from the weights of the checkpoint anew. An n-gram model
beside the network stays as it is.

Letters: T steps, B = 1 column.
"""

from dataclasses import dataclass

import numpy as np

from charrnn.ids import IGNORE
from charrnn.network.optim import clip_by_global_norm
from charrnn.ngrams.residual import Network

Array = np.ndarray

SEGMENT = 32  # tokens between updates
RATE = 1.0  # of gradient descent, on clipped gradients


@dataclass(frozen=True)
class Adaptive:
    """A network of which every `unroll` is a copy that learns.

    Args:
        network: not changed.
        rate: learning rate of gradient descent.
    """

    network: Network
    rate: float = RATE

    def zero_state(self, batch_size: int) -> Array:
        """The state before a document."""
        return self.network.zero_state(batch_size)

    def unroll(self, seq_len: int, batch_size: int) -> "UnrolledAdaptive":
        """A copy of the network that learns."""
        return UnrolledAdaptive(self)


class UnrolledAdaptive:
    """`Unrolled` for one column, with its own copy of the weights."""

    def __init__(self, model: Adaptive) -> None:
        self.model = model
        self.copy = model.network.copy()
        self.unrolled = self.copy.unroll(SEGMENT, 1)

    def log_probs(self, inputs: Array, targets: Array, state: Array) -> tuple[Array, Array]:
        """log P (T, 1) of each target in nats, 0 where it is IGNORE, and the state afterwards."""
        found = np.empty(targets.shape)
        for start in range(0, len(targets), SEGMENT):
            part = slice(start, start + SEGMENT)
            nats, state, _ = self.unrolled.gradient(inputs[part], targets[part], state)
            found[part] = -nats
            self._learn(max(1, int(np.count_nonzero(targets[part] != IGNORE))))
        return found, state

    def _learn(self, predictions: int) -> None:
        """Take a step of gradient descent on the mean loss."""
        gradient, weights = self.unrolled.gradients.flat, self.copy.parameters.flat
        gradient /= predictions
        if not np.isfinite(clip_by_global_norm(gradient, 1.0)):
            return
        gradient *= self.model.rate
        weights -= gradient
