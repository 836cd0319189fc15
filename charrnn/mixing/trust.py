"""What the weights of a mixture say: how much it trusts its memory, and where."""

from dataclasses import dataclass

import numpy as np

from charrnn.ids import NUM_SPECIAL
from charrnn.mixing.inputs import AGREEING, DENSE, LENGTHS
from charrnn.mixing.mixed import Mixed

Array = np.ndarray


@dataclass(frozen=True)
class Trust:
    """Weights of a mixture for people to read.

    Attributes:
        lengths: lengths of a repetition in tokens; 0 for none.
        repetition: (lengths,) weight of the match after a repetition of each length.
        base: (lengths,) weight of the network and its n-gram model together, averaged over how sure
            they are.
        after: (V - 2,) how much more weight memory and counts have after each token of the
            vocabulary than in general.
    """

    lengths: tuple[int, ...]
    repetition: Array
    base: Array
    after: Array


def trust(model: Mixed) -> Trust:
    """Return how much a mixture trusts its memory, by repetition length and by the last token."""
    sets, own = model.mixer.sets, model.mixer.own
    of_lengths = 1 + AGREEING + np.arange(len(LENGTHS) + 1)
    first = of_lengths[-1] + 1 + NUM_SPECIAL
    tokens = sets[first : first + model.vocab_size - NUM_SPECIAL]
    levels = own[-1, : len(of_lengths)]  # how much the repetition knows is how long it is
    return Trust(
        lengths=(0, *LENGTHS),
        repetition=sets[0, -1] + sets[of_lengths, -1] + levels,
        base=(sets[0, :DENSE] + sets[of_lengths, :DENSE] + own[:DENSE].mean(axis=1)).sum(axis=1),
        after=tokens[:, DENSE:].sum(axis=1) - tokens[:, :DENSE].sum(axis=1),
    )
