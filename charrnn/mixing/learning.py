"""Counts that learn from the text that is read, for dynamic evaluation.

Letters: N positions, C contexts, V vocabulary size.
"""

from itertools import chain

import numpy as np

from charrnn.ids import IGNORE
from charrnn.mixing.counts import MOST, Counts
from charrnn.mixing.inputs import DISCOUNT, UNKNOWN, After, Evidence, levels_of

Array = np.ndarray

_WEIGHT = 2.0  # of what is read: it tells more than the training text
_SHIFT = 32  # counts keep the upper 32 bits of a hash
_REMEMBERED = 1 << 18  # contexts at most; the oldest are dropped first


class LearningEvidence(Evidence):
    """`Evidence` that adds what it reads to the counts of the training text.

    Args:
        counts: what followed contexts in the training text; not changed.
    """

    def __init__(self, counts: Counts) -> None:
        super().__init__(counts)
        self._own: dict[int, dict[int, float]] = {}  # what followed each context by its hash
        self._last = np.zeros(0, np.uint64)  # contexts of the last positions

    def after(self, keys: Array) -> After:
        """Return what followed contexts in the training text and in what was read."""
        self._last, found = keys, super().after(keys)
        queries = keys.tolist()
        known = [place for place, key in enumerate(queries) if key in self._own]
        if not known:
            return found
        ends = np.cumsum(found.sizes)
        sizes, levels = found.sizes.copy(), found.levels.copy()
        tokens, excess, totals, start = [], [], [], 0
        for place in known:
            own, stop = self._own[queries[place]], int(ends[place] - found.sizes[place])
            size = len(own)
            tokens += [found.tokens[start:stop], np.fromiter(own, np.int64, size)]
            counts = np.fromiter(own.values(), np.float32, size)
            excess += [found.excess[start:stop], (counts - DISCOUNT) / (DISCOUNT * size)]
            totals.append(counts.sum())
            sizes[place], start = size, int(ends[place])
        levels[known] = levels_of(sizes[known], np.array(totals))
        tokens.append(found.tokens[start:])
        excess.append(found.excess[start:])
        return After(sizes, np.concatenate(tokens), np.concatenate(excess), levels)

    def learn(self, targets: Array) -> None:
        """Count what followed the contexts that were last asked for.

        Args:
            targets: (N,) tokens or IGNORE.
        """
        keys = self._last.reshape(-1, len(targets))
        known = (keys != UNKNOWN) & (targets != IGNORE)
        followed = np.broadcast_to(targets, keys.shape)[known].tolist()
        for key, token in zip(keys[known].tolist(), followed, strict=True):
            own = self._own.get(key)
            if own is None:
                own = self._own[key] = self._trained(key)
                if len(self._own) > _REMEMBERED:
                    del self._own[next(iter(self._own))]
            own[token] = min(own.get(token, 0.0) + _WEIGHT, MOST)

    @property
    def learned(self) -> Counts:
        """The counts with what was read."""
        letters, keys, children, tokens, counts = self.counts.arrays.values()
        own = {key >> _SHIFT: followed for key, followed in self._own.items()}
        kept = ~np.isin(keys, np.fromiter(own, keys.dtype, len(own)))
        pair_kept = np.repeat(kept, children)
        keys = np.append(keys[kept], np.fromiter(own, keys.dtype, len(own)))
        children = np.append(children[kept], np.array([*map(len, own.values())], int))
        tokens = np.append(tokens[pair_kept], np.array([*chain(*own.values())], int))
        read = np.array([*chain(*map(dict.values, own.values()))], counts.dtype)
        counts = np.append(counts[pair_kept], read)
        order, pairs = (
            np.argsort(each, kind="stable") for each in (keys, np.repeat(keys, children))
        )
        return Counts(letters, keys[order], children[order], tokens[pairs], counts[pairs])

    def _trained(self, key: int) -> dict[int, float]:
        """Return what followed a context in the training text."""
        context = self.counts.find_one(key >> _SHIFT)
        first, size = self.counts.first.item(context), self.counts.sizes.item(context)
        part = slice(first, first + size)
        tokens, counts = self.counts.tokens[part], self.counts.counts[part]
        return dict(zip(tokens.tolist(), counts.tolist(), strict=True))
