"""A table of how often each token followed each of many hashed contexts.

Letters: C contexts, M pairs of a context and a token that followed it, N positions, Q queries,
E pairs found, V vocabulary size.
"""

from bisect import bisect_left
from collections.abc import Mapping

import numpy as np

Array = np.ndarray

MOST = 255  # counts saturate, to fit a byte
_SHIFT = np.uint64(32)


class Counts:
    """Counts of tokens after contexts; a context is known by the upper 32 bits of its hash.

    Args:
        letters: (V,) bool, which tokens words consist of.
        keys: (C,) uint32, ascending.
        children: (C,) number of different tokens that followed each context.
        tokens: (M,) these tokens, context by context.
        counts: (M,) uint8, at least 1.

    Raises:
        ValueError: the arrays do not fit together.
    """

    def __init__(
        self, letters: Array, keys: Array, children: Array, tokens: Array, counts: Array
    ) -> None:
        vocab_size = len(letters)
        own = {"keys": keys, "children": children, "tokens": tokens, "counts": counts}
        self.arrays = {"letters": letters, **own}
        if not (len(keys) == len(children) and len(tokens) == len(counts)):
            raise ValueError("the arrays of the mixture's counts do not fit together")
        if children.sum(dtype=np.int64) != len(tokens) or not (children > 0).all():
            raise ValueError("the arrays of the mixture's counts do not fit together")
        if (keys[1:] <= keys[:-1]).any() or not (counts > 0).all() or (tokens >= vocab_size).any():
            raise ValueError("the mixture's counts are out of range or not in order")
        # A last context without children stands for unknown ones.
        self._keys = np.append(keys, keys.dtype.type(np.iinfo(keys.dtype).max))
        self._view = self._keys.data  # a memoryview, whose items are Python integers
        self.first = np.zeros(len(keys) + 1, np.int64)
        np.cumsum(children, out=self.first[1:])
        self.tokens, self.counts = tokens.astype(np.int64), counts.astype(np.float32)
        self.sizes = np.append(children, 0).astype(np.int64)  # (C + 1,)

    @classmethod
    def from_arrays(cls, vocab_size: int, arrays: Mapping[str, Array]) -> "Counts":
        """Build a table from its `arrays`.

        Raises:
            ValueError: they do not fit together.
        """
        if arrays["letters"].shape != (vocab_size,):
            raise ValueError("the letters of the mixture's counts do not fit the model")
        names = ("letters", "keys", "children", "tokens", "counts")
        return cls(*(arrays[name] for name in names))

    @classmethod
    def of(cls, letters: Array, keys: Array, tokens: Array, max_bytes: float) -> "Counts":
        """Count what followed each context; the rarest contexts are dropped to fit `max_bytes`.

        Args:
            letters: (V,) which tokens words consist of.
            keys: (N,) uint64 hashes of the contexts.
            tokens: (N,) the token that followed each.
            max_bytes: largest size of the arrays in a checkpoint.
        """
        vocab_size = len(letters)
        bits = np.uint64((vocab_size - 1).bit_length())
        pairs = (keys >> _SHIFT << bits) | tokens.astype(np.uint64)
        pairs, counts = np.unique(pairs, return_counts=True)
        contexts = pairs >> bits
        starts = np.flatnonzero(np.append(True, contexts[1:] != contexts[:-1])[: len(pairs)])
        children = np.diff(starts, append=len(pairs))
        of_children, of_tokens = map(np.min_scalar_type, (vocab_size, vocab_size - 1))
        totals = np.add.reduceat(counts, starts) if len(starts) else starts
        sizes = 4 + of_children.itemsize + children * (of_tokens.itemsize + 1)  # bytes a context
        by_total = np.bincount(totals, sizes)  # bytes of all contexts that occurred n times
        from_total = np.cumsum(by_total[::-1])[::-1]  # n or more times
        kept = totals >= np.count_nonzero(from_total > max_bytes)
        pair_kept = np.repeat(kept, children)
        return cls(
            letters,
            contexts[starts[kept]].astype(np.uint32),
            children[kept].astype(of_children),
            (pairs[pair_kept] & ((np.uint64(1) << bits) - np.uint64(1))).astype(of_tokens),
            np.minimum(counts[pair_kept], MOST).astype(np.uint8),
        )

    @property
    def num_bytes(self) -> int:
        """Size of the arrays in a checkpoint, in bytes."""
        return sum(array.nbytes for array in self.arrays.values())

    def find(self, keys: Array) -> Array:
        """Return the number of each context (Q,), C for unknown ones.

        Args:
            keys: (Q,) uint64 hashes.
        """
        short = (keys >> _SHIFT).astype(np.uint32)
        at = self._keys.searchsorted(short)
        at[self._keys[at] != short] = len(self._keys) - 1
        return at

    def find_one(self, key: int) -> int:
        """Return the number of one context by the upper 32 bits of its hash, C if unknown."""
        place = bisect_left(self._view, key)
        return place if self._view[place] == key else len(self._view) - 1

    def places(self, contexts: Array) -> Array:
        """Return the places (E,) of all pairs of contexts (Q,) in `tokens` and `counts`."""
        sizes = self.sizes[contexts]
        ends = np.cumsum(sizes)
        return np.repeat(self.first[contexts] - ends + sizes, sizes) + np.arange(ends[-1])
