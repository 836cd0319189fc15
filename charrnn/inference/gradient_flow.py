"""How far a gradient flows back: vanishing and exploding gradients, measured.

Letters: T steps, B positions, H hidden size.

One loss at step t is differentiated by the state of the top layer k steps before, for many t. The
norm of that total derivative by distance k shows what truncated backpropagation can learn from
(Bengio et al. 1994, Pascanu et al. 2013).
"""

import numpy as np

from charrnn.ids import IGNORE
from charrnn.ngrams.residual import Network

Array = np.ndarray


def gradient_flow(
    model: Network, tokens: Array, distance: int, positions: int, rng: np.random.Generator
) -> Array:
    """The median norm of d(-log P of token t)/d(state before step t - k + 1), k = 1..distance.

    Args:
        tokens: (N,) of one document, at least distance + 1.
        distance: the largest k.
        positions: how many t, drawn with `rng` from all that have so many tokens before them.

    Returns:
        (num_states, distance): row 0 for h, row 1 for C where the cell has one; for o in jordan.

    Raises:
        ValueError: there are too few tokens.
    """
    T = distance
    if len(tokens) <= T:
        raise ValueError(f"a gradient over {T} characters needs a longer text than {len(tokens)}")
    ends = rng.integers(T, len(tokens), positions)
    inputs = tokens[ends + np.arange(-T, 0)[:, None]].astype(np.int64)  # (T, B)
    targets = np.full(inputs.shape, IGNORE)
    targets[-1] = tokens[ends]
    trace = list[Array]()
    model.unroll(T, positions).gradient(inputs, targets, model.zero_state(positions), trace=trace)
    norms = np.sqrt(np.square(np.array(trace, np.float64)).sum(axis=2))  # (T, num_states, B)
    medians: Array = np.median(norms, axis=-1).T
    return medians
