"""Distributions that are looked up over and over, each as a row of a table and what it corrects.

Letters: L rows of the table, V vocabulary size, R distributions, E corrections, N of them wanted.

After most contexts of a text only a few tokens ever came. All others have the probability that a
shorter context gives them, times a factor. So log P of a long context is a row of the table, plus a
constant, but for those few tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

Array = np.ndarray

# What is read together lies together: a lookup is as fast as memory.
_HEAD = np.dtype([("row", "i4"), ("shift", "f4"), ("first", "i4"), ("count", "i4")])
_ENTRY = np.dtype([("token", "i4"), ("log_prob", "f4")])


@dataclass(frozen=True)
class Corrections:
    """log P of R distributions.

    Attributes:
        table: log P (L, V) of the distributions that the others start from.
        heads: (R,) the row that each starts from, what to add to all of it, and which entries
            correct it.
        entries: (E,) tokens and their log P.
    """

    table: Array
    heads: Array
    entries: Array

    @classmethod
    def joined(cls, table: Array, parts: Iterator[tuple[Array, ...]], most: int) -> Self | None:
        """Put parts together: row, shift and number of entries of each distribution, and the
        tokens and log P of the entries.

        Returns:
            None if there are more than `most` entries.
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
        """log P (N, V) of some of the distributions, by their numbers (N,)."""
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
    """The ranges of `counts` numbers from each of `first` on, side by side.

    Returns:
        Which range each number is of, and the numbers.
    """
    ends = counts.cumsum()
    numbers = np.repeat(first - ends + counts, counts)
    numbers += np.arange(len(numbers))
    return np.repeat(np.arange(len(first)), counts), numbers
