"""Scheduled sampling: train on tokens that the model draws itself (Bengio et al. 2015).

Letters: T steps, B batch size (columns), V vocabulary size.

Teacher forcing feeds the true token at every step. A model that samples is fed its own mistakes,
which it has never seen in training: exposure bias. Here a fraction of the inputs is drawn from what
the model predicts at that place. An n-gram model beside the network knows the text by heart, so the
true token is left out of its counts.
"""

import numpy as np

from charrnn.ids import EOS, UNK
from charrnn.network.draws import Draws
from charrnn.network.functional import sample_categorical
from charrnn.ngrams.residual import Network

Array = np.ndarray


class ScheduledSampling:
    """Replaces inputs of B columns of text by drawn ones, chunk after chunk.

    Args:
        model: the model in training; it predicts without dropout.
        batch_size: B.
        draws: random numbers that choose the inputs to replace, and draw them.
    """

    def __init__(self, model: Network, batch_size: int, draws: Draws) -> None:
        self.unrolled = model.unroll(1, batch_size, training=True)
        self.draws = draws

    def replace(self, inputs: Array, state: Array, probability: float) -> Array:
        """Return inputs (T, B), some of them replaced by tokens that the model draws.

        A token is drawn given the inputs before it, including drawn ones. <EOS> and <UNK> are never
        drawn, and the start of a document is never replaced; nor is the first input of a chunk,
        because it was predicted in the chunk before.

        Args:
            inputs: (T, B), the true ones.
            state: before the first step.
            probability: of replacing an input.
        """
        true, inputs = inputs, inputs.copy()
        chosen = (self.draws.random(inputs.shape) < probability) & (inputs > EOS)
        uniforms = self.draws.random(inputs.shape)
        for t in range(1, len(inputs)):
            logits, state = self.unrolled.forward(inputs[t - 1 : t], state, targets=true[t : t + 1])
            drawn = sample_categorical(_weights(logits[0].astype(np.float64)), uniforms[t])
            inputs[t] = np.where(chosen[t], drawn, inputs[t])
        return inputs


def _weights(logits: Array) -> Array:
    """Return weights (V, B) in proportion to the probabilities, 0 for the special tokens."""
    with np.errstate(all="ignore"):
        logits = logits - logits[UNK + 1 :].max(axis=0)
        weights: Array = np.exp(logits)
    weights[[EOS, UNK]] = 0
    return weights
