"""What the weights of a mixture say: how far it trusts its memory, and where."""

from dataclasses import dataclass

import numpy as np

from charrnn.ids import NUM_SPECIAL
from charrnn.mixing.inputs import AGREEING, DENSE, LENGTHS
from charrnn.mixing.mixed import Mixed

Array = np.ndarray


@dataclass(frozen=True)
class Trust:
    """Weights of a mixture.

    Attributes:
        lengths: of a repetition, in tokens; 0 for none.
        repetition: for each length, the weight of what followed that repetition when it came
            before.
        base: for each length, that of the network and its n-gram model together, but for what
            depends on how sure they are.
        after: (V - 2,) how much more all that the mixture counts and remembers weighs after each
            token of the vocabulary than in general.
    """

    lengths: tuple[int, ...]
    repetition: Array
    base: Array
    after: Array


def trust(model: Mixed) -> Trust:
    """Where a mixture trusts what."""
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
