"""Find equal documents in a corpus by a fingerprint of each.

Letters: D documents, N characters with the end of each document.
"""

import numpy as np

from charrnn.text.documents import NUM_MARKS, Documents

Array = np.ndarray

_BASE = 0x9E3779B97F4A7C15  # odd, with irregular bits
_PART = 1 << 18  # characters to process at a time
_BITS = 16  # of a place in a document that index the first table of powers


def fingerprints(documents: Documents) -> Array:
    """Return a fingerprint of each document, uint64 (D,), the same for equal documents only.

    Two different documents share one with negligible probability.

    A polynomial in the code points modulo 2⁶⁴, in time linear in N and memory in D.
    """
    spans = documents.spans
    longest = int((spans.stops - spans.starts).max(initial=0))
    low_powers, high_powers = _powers(1, 1 << _BITS), _powers(1 << _BITS, (longest >> _BITS) + 1)
    values = documents.alphabet.astype(np.uint64) + 1
    values[:NUM_MARKS] = 0
    found = np.zeros(len(documents), np.uint64)
    for start in range(0, spans.size, _PART):
        steps = np.arange(start, min(start + _PART, spans.size), dtype=spans.ends.dtype)
        numbers = np.searchsorted(spans.ends, steps, side="right")
        places = spans.places(start, start + len(steps))
        terms = np.where(places == documents.cut_at, 0, values[documents.codes[places]])
        inside = places - spans.starts[numbers]
        terms *= low_powers[inside & ((1 << _BITS) - 1)]
        terms *= high_powers[inside >> _BITS]
        firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
        found[numbers[firsts]] += np.add.reduceat(terms, firsts)
    return found


def _powers(step: int, number: int) -> Array:
    """Return powers of the base with exponents 0, step, 2 step, … modulo 2⁶⁴, uint64 (number,)."""
    factors = np.full(number, pow(_BASE, step, 1 << 64), np.uint64)
    factors[:1] = 1
    return np.cumprod(factors)
