"""Measure how much of a held-out text was seen in training."""

import numpy as np

from charrnn.inference.verbatim import characters_of, stretch_hashes
from charrnn.text.documents import NUM_MARKS, Documents
from charrnn.text.duplicates import fingerprints

STRETCH = 30  # characters; in stretches of 20, unrelated prose shares more than 1 % by chance
_LOOKED_AT = 1 << 20  # characters of the held-out text to search for
_PART = 1 << 20  # characters of the training text searched at a time
_BITS = 24  # of a hash that index the table of wanted ones


def known_share(train: Documents, held_out: Documents) -> float:
    """Return the share of a held-out text that also occurs in the training text, 0 to 1.

    This is the share of characters in documents that equal a training document, or the share of
    characters in stretches of 30 that occur there, whichever is larger. Takes linear time.
    """
    sizes = held_out.spans.stops - held_out.spans.starts
    known = np.isin(fingerprints(held_out), fingerprints(train))
    return max(float(sizes[known].sum() / sizes.sum()), _share_of_stretches(train, held_out))


def _share_of_stretches(train: Documents, held_out: Documents) -> float:
    characters = characters_of(held_out, 0, _LOOKED_AT)
    wanted, numbers = np.unique(stretch_hashes(characters, STRETCH), return_inverse=True)
    if not len(wanted):
        return 0.0
    shift = np.uint64(64 - _BITS)
    there = np.zeros(1 << _BITS, bool)
    there[wanted >> shift] = True
    found = np.zeros(len(wanted), bool)
    for start in range(0, train.spans.size, _PART):
        seen = stretch_hashes(characters_of(train, start, start + _PART + STRETCH - 1), STRETCH)
        seen = seen[there[seen >> shift]]
        nearest = np.minimum(np.searchsorted(wanted, seen), len(wanted) - 1)
        found[nearest[wanted[nearest] == seen]] = True
    known = np.flatnonzero(found[numbers])
    size = len(characters) + 1
    steps = np.bincount(known, minlength=size) - np.bincount(known + STRETCH, minlength=size)
    covered = np.cumsum(steps)[:-1] > 0
    return float(covered[~np.isin(characters, held_out.alphabet[:NUM_MARKS])].mean())
