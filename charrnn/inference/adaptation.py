"""Dynamic evaluation: a model that keeps learning from the text it scores (Krause et al. 2018).

Each segment of the text is predicted first and learned from afterwards, so that no prediction has
seen what it predicts. Every text starts from the weights of the checkpoint anew. A network and the
weights of a mixture learn; an n-gram model and the counts of a mixture stay as they are.

Letters: T steps, B = 1 column.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from charrnn.ids import IGNORE
from charrnn.mixing.mixed import MEMORY, Mixed, UnrolledMixed
from charrnn.mixing.mixer import Mixer
from charrnn.network.optim import clip_by_global_norm
from charrnn.ngrams.residual import Network

Array = np.ndarray

SEGMENT = 32  # tokens between updates
RATE = 1.0  # of gradient descent, on clipped gradients
_MIXING_RATE = 2e-3  # the same for the weights of a mixture, for each prediction


@dataclass(frozen=True)
class Adaptive:
    """A model of which every `unroll` is a copy that learns.

    Args:
        model: not changed.
        rate: learning rate of gradient descent.
    """

    model: Network | Mixed
    rate: float = RATE

    def zero_state(self, batch_size: int) -> Array:
        """The state before a document."""
        return self.model.zero_state(batch_size)

    def unroll(self, seq_len: int, batch_size: int) -> "UnrolledAdaptive | UnrolledAdaptiveMixed":
        """A copy of the model that learns."""
        if isinstance(self.model, Mixed):
            return UnrolledAdaptiveMixed(self.model, self.rate)
        return UnrolledAdaptive(self.model.copy(), self.rate)


class UnrolledAdaptive:
    """`Unrolled` for one column of a network, which is changed."""

    def __init__(self, network: Network, rate: float) -> None:
        self.rate, self.weights = rate, network.parameters.flat
        self.unrolled = network.unroll(SEGMENT, 1, training=True)

    def log_probs(self, inputs: Array, targets: Array, state: Array) -> tuple[Array, Array]:
        """log P (T, 1) of each target in nats, 0 where it is IGNORE, and the state afterwards."""
        found = np.empty(targets.shape)
        for part in _segments(len(targets)):
            found[part], state = self.learn(inputs[part], targets[part], state)
        return found, state

    def learn(self, inputs: Array, targets: Array, state: Array) -> tuple[Array, Array]:
        """`log_probs` of one segment."""
        nats, state, _ = self.unrolled.gradient(inputs, targets, state)
        self._learn(max(1, int(np.count_nonzero(targets != IGNORE))))
        return -nats, state

    def _learn(self, predictions: int) -> None:
        """Take a step of gradient descent on the mean loss."""
        gradient = self.unrolled.gradients.flat
        gradient /= predictions
        if not np.isfinite(clip_by_global_norm(gradient, 1.0)):
            return
        gradient *= self.rate
        self.weights -= gradient


class UnrolledAdaptiveMixed:
    """`UnrolledAdaptive` for a mixture, whose own weights learn too."""

    def __init__(self, model: Mixed, rate: float) -> None:
        base = model.base.copy()
        self.base = UnrolledAdaptive(base, rate)
        mixer = Mixer(*(array.copy() for array in model.mixer.arrays.values()))
        unrolled = base.unroll(SEGMENT, 1, training=True)
        self.unrolled = UnrolledMixed(Mixed(base, model.counts, mixer), unrolled)

    def log_probs(self, inputs: Array, targets: Array, state: Array) -> tuple[Array, Array]:
        """log P (T, 1) of each target in nats, 0 where it is IGNORE, and the state afterwards."""
        found = np.empty(targets.shape)
        for part in _segments(len(targets)):
            before, flat = state[:-MEMORY], targets[part].reshape(-1)
            mixed, state = self.unrolled.inputs(inputs[part], state)
            for where, each in mixed:
                learned = self.unrolled.model.mixer.learn(each, flat[where], _MIXING_RATE)
                found[part].reshape(-1)[where] = learned
            self.base.learn(inputs[part], targets[part], before)
        return found, state


def _segments(length: int) -> Iterator[slice]:
    return (slice(start, start + SEGMENT) for start in range(0, length, SEGMENT))
