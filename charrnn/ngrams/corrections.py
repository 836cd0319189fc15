"""Compact storage of many distributions: a shared row, a constant, and a few corrections each.

Letters: L rows of the table, V vocabulary size, R distributions, E corrections, N wanted.

After most contexts of a text only a few different tokens ever came. All others have the probability
that a shorter context gives them, times a factor. So log P after a long context is log P after a
short one plus a constant, except for those few tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

Array = np.ndarray

# Structured arrays, because what is read together should lie together: memory limits the lookup.
_HEAD = np.dtype([("row", "i4"), ("shift", "f4"), ("first", "i4"), ("count", "i4")])
_ENTRY = np.dtype([("token", "i4"), ("log_prob", "f4")])


@dataclass(frozen=True)
class Corrections:
    """log P of R distributions over V tokens.

    Attributes:
        table: (L, V), log P of the distributions that the others start from.
        heads: (R,) of `_HEAD`: the row to start from, the constant to add to it, and which entries
            correct it.
        entries: (E,) of `_ENTRY`: tokens and their log P.
    """

    table: Array
    heads: Array
    entries: Array

    @classmethod
    def joined(cls, table: Array, parts: Iterator[tuple[Array, ...]], most: int) -> Self | None:
        """Join parts of a collection; None if it would have more than `most` entries.

        Args:
            table: (L, V).
            parts: the row, shift and number of entries of some distributions, then the tokens and
                log P of these entries.
            most: limit of E.
        """
        heads, entries, size = [], [], 0
        for row, shift, count, token, log_prob in parts:
            heads.append(np.empty(len(row), _HEAD))
            entries.append(np.empty(len(token), _ENTRY))
            heads[-1]["row"], heads[-1]["shift"], heads[-1]["count"] = row, shift, count
            heads[-1]["first"] = size + np.cumsum(count) - count
            entries[-1]["token"], entries[-1]["log_prob"] = token, log_prob
            size += len(token)
            if size > most:
                return None
        return cls(table, np.concatenate(heads), np.concatenate(entries))

    def log_probs(self, wanted: Array) -> Array:
        """Return log P (N, V) in nats of the distributions with these numbers (N,)."""
        heads = self.heads.take(wanted)
        found = self.table.take(heads["row"], axis=0)
        found += heads["shift"][:, None]
        positions, numbers = expand(heads["first"], heads["count"])
        entries = self.entries.take(numbers)
        positions *= found.shape[1]
        positions += entries["token"]
        found.reshape(-1)[positions] = entries["log_prob"]
        return found


def expand(first: Array, counts: Array) -> tuple[Array, Array]:
    """Concatenate ranges: `counts` numbers from each of `first` on.

    Returns:
        Which range each number belongs to, and the numbers.
    """
    ends = counts.cumsum()
    numbers = np.repeat(first - ends + counts, counts)
    numbers += np.arange(len(numbers))
    return np.repeat(np.arange(len(first)), counts), numbers
