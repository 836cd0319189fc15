"""Measure vanishing and exploding gradients: how far back the gradient of a loss reaches.

Letters: T steps, B positions, H hidden size.

The loss at a step t is differentiated with respect to the state of the top layer k steps earlier,
for many t. The norm of this gradient, by distance k, shows how far back truncated backpropagation
through time can learn from (Bengio et al. 1994, Pascanu et al. 2013).
"""

import numpy as np

from charrnn.ids import IGNORE
from charrnn.ngrams.residual import Network

Array = np.ndarray


def gradient_flow(
    model: Network, tokens: Array, distance: int, positions: int, rng: np.random.Generator
) -> Array:
    """Compute the median norm of d(-log P of token t)/d(state before step t - k + 1), k ≥ 1.

    Args:
        model: the network.
        tokens: (N,) ids of one document, at least distance + 1.
        distance: the largest k.
        positions: how many t to draw from all with `distance` tokens before them.
        rng: draws the positions.

    Returns:
        (num_states, distance), in column k - 1 for k: row 0 for h (jordan: o), row 1 for C.

    Raises:
        ValueError: there are too few tokens.
    """
    T = distance
    if len(tokens) <= T:
        raise ValueError(
            f"a gradient over {T} characters needs a longer text: this one has {len(tokens)}"
        )
    ends = rng.integers(T, len(tokens), positions)
    inputs = tokens[ends + np.arange(-T, 0)[:, None]].astype(np.int64)  # (T, B)
    targets = np.full(inputs.shape, IGNORE)
    targets[-1] = tokens[ends]
    trace = list[Array]()
    model.unroll(T, positions).gradient(inputs, targets, model.zero_state(positions), trace=trace)
    norms = np.sqrt(np.square(np.array(trace, np.float64)).sum(axis=2))  # (T, num_states, B)
    medians: Array = np.median(norms, axis=-1).T
    return medians
