"""Scheduled sampling: train on what the model itself writes (Bengio et al. 2015).

Letters: T steps, B batch size (columns), V vocabulary size.

Teacher forcing feeds the true token at every step, while a model that samples is fed its own
mistakes. Here a share of the inputs is drawn from what the model predicts at that place. An n-gram
model beside the network knows the text by heart, so the true token is left out of its counts there.
"""

import numpy as np

from charrnn.ids import EOS, UNK
from charrnn.network.draws import Draws
from charrnn.network.functional import sample_categorical
from charrnn.ngrams.residual import Network

Array = np.ndarray


class ScheduledSampling:
    """Draws inputs for B columns of text, chunk after chunk.

    Args:
        model: the one that is trained; it predicts without dropout.
        draws: decides which inputs are drawn, and draws them.
    """

    def __init__(self, model: Network, batch_size: int, draws: Draws) -> None:
        self.unrolled = model.unroll(1, batch_size, training=True)
        self.draws = draws

    def replace(self, inputs: Array, state: Array, probability: float) -> Array:
        """Inputs (T, B) with tokens of the model's own in the place of true ones.

        A token is drawn given the inputs before it, drawn ones among them. <EOS> and <UNK> are
        never drawn, nothing takes the place of a document's start, and the first input of a chunk
        stays, as it was predicted in the chunk before.

        Args:
            inputs: (T, B) true ones.
            state: before the first step.
            probability: of each input to be replaced.
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
    """What each token (V, B) is drawn in proportion to: its probability, 0 for the special ones."""
    with np.errstate(all="ignore"):
        logits = logits - logits[UNK + 1 :].max(axis=0)
        weights: Array = np.exp(logits)
    weights[[EOS, UNK]] = 0
    return weights
