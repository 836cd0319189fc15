"""Leave-one-out: what an n-gram model predicts at a place of its own text without that place.

Letters: n the order, V vocabulary size, N positions, M k-grams of all lengths.

An n-gram model knows the text that it was counted on by heart. A network trained beside it on that
text would learn to trust it far too much. So each position's own occurrence is removed from the
counts, at every length k of the back-off. At the longest context of the position its k-gram counts
one less. At the next shorter context it counts one less only if that was its only occurrence,
because there c counts the different tokens before it; and so on down. Single tokens stay in the
vocabulary.

The result depends only on the longest context and the token that followed. Training needs it in
every pass, so it is computed once for each such pair, as far as there is room.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from charrnn.config import ModelConfig
from charrnn.ngrams.corrections import Corrections, expand
from charrnn.ngrams.kneser_ney import Counts, fit
from charrnn.ngrams.ngram import NONE, TINY

Array = np.ndarray

_MOST = 1 << 24  # corrections that are kept, 8 bytes each
_BLOCK = 1 << 14  # distributions prepared at a time


@dataclass(frozen=True)
class _Without:
    """The model at N positions after their own occurrences are removed.

    Attributes:
        start: (N,) the longest context that has a row in the table and unchanged counts.
        gamma: (n, N) γ of each context.
        scale: (n, N) factor of its α.
        change: (n, N) to add to the α of the token that followed, before `scale`.
    """

    start: Array
    gamma: Array
    scale: Array
    change: Array


class LeaveOneOut:
    """The unpruned n-gram model of a text, for leave-one-out predictions on that text.

    Args:
        config: with the order n and V.
        counted: the k-grams of the text, as `count_ngrams` returns them.
    """

    def __init__(self, config: ModelConfig, counted: Sequence[Counts]) -> None:
        self.ngram = fit(config, counted, dtype=np.float32)
        self.counts = np.concatenate([[0], *(grams.counts for grams in counted), [0]])
        self.counts = self.counts.astype(np.int32)  # the last one is for NONE
        totals = np.bincount(
            np.repeat(np.arange(self.ngram.num_contexts), self.ngram.arrays["ngram.children"]),
            self.counts[1:-1],
            len(self.counts),
        )
        self.totals = totals.astype(np.float32)
        missing = config.order - len(counted)
        discounts = [grams.discounts for grams in counted] + [np.zeros(4)] * missing
        self.discounts = np.array(discounts, np.float32)  # (n, 4)
        # The first node of each length, then the end; for each node, that without its first token.
        self.firsts = np.cumsum([1, *(len(grams.keys) for grams in counted)])
        longer = zip([0, *self.firsts], counted, strict=False)
        self.suffixes = np.concatenate([[0], *(first + grams.shorter for first, grams in longer)])
        self.suffixes = self.suffixes.astype(np.int32)
        # The result of `distributions` for every k-gram, then for every context before a token that
        # never followed it; None if that is too much to keep.
        self.corrections = None
        if self._least_corrections() <= _MOST:
            self.corrections = Corrections.joined(
                np.log(np.maximum(self.ngram.table, TINY)),
                (self._corrected(*chain) for chain in self._chains()),
                _MOST,
            )

    def distributions(self, contexts: Array, targets: Array) -> Array:
        """Return log P (V, N) in nats of every token after contexts, without their own occurrence.

        Where training has shortened a context by an <UNK> or a restart, another occurrence of the
        same k-gram is removed instead.

        Args:
            contexts: (n, N) nodes of the last 0..n - 1 tokens.
            targets: (N,) ids, the token that followed.
        """
        if self.corrections is not None:
            longest = contexts.max(axis=0)  # nodes are numbered by length
            own = self.ngram.descend(longest, targets)
            plain = self.ngram.size + 1 + longest
            return self.corrections.log_probs(np.where(own == NONE, plain, own)).T
        ngram = self.ngram
        without = self._without(contexts, ngram.descend(contexts, targets))
        probs = ngram.table[without.start]
        weights = ngram.add_longer(probs, contexts, without.start, without.gamma, without.scale)
        change = without.change * np.where(contexts > without.start, weights, 0)
        probs[np.arange(len(targets)), targets] += change.sum(axis=0)
        return ngram.logs(probs)

    def _least_corrections(self) -> int:
        """Return about how many corrections there are; not more than there are."""
        contexts, dense = self.ngram.num_contexts, len(self.ngram.table)
        # For each context, the shortest one without a row in the table that it ends in.
        shortest = np.arange(contexts)
        for first, stop in pairwise(self.firsts):
            nodes = np.arange(first, min(stop, contexts))
            shorter = self.suffixes[nodes]
            shortest[nodes] = np.where(shorter < dense, nodes, shortest[shorter])
        children = self.ngram.arrays["ngram.children"].astype(np.int64)
        return int(((children + 1) * children[shortest])[dense:].sum())

    def _chains(self) -> Iterator[tuple[Array, Array]]:
        """Yield contexts (n, N) and own k-grams (n, N) of every k-gram, then of every context."""
        n, edges = self.ngram.config.order, [0, *self.firsts]
        for own in (True, False):
            for k, (first, stop) in enumerate(pairwise(edges[: None if own else n + 1])):
                for start in range(first, stop, _BLOCK):
                    nodes = np.arange(start, min(start + _BLOCK, stop))
                    grams = np.full((n + 1, len(nodes)), NONE)
                    grams[k] = nodes
                    for shorter in range(k - 1, -1, -1):
                        grams[shorter] = self.suffixes[grams[shorter + 1]]
                    contexts = grams[:-1]
                    if own and k:
                        parents = self.ngram.keys[grams[1:]] // self.ngram.vocab_size
                        contexts = np.where(grams[1:] == NONE, NONE, parents)
                    yield contexts, grams[1:] if own else np.full_like(contexts, NONE)

    def _corrected(self, contexts: Array, own: Array) -> tuple[Array, ...]:
        """Return a part for `Corrections.joined` from contexts (n, N) and own k-grams (n, N).

        Whatever followed a context also followed every shorter one. So the tokens to correct are
        the children of one context, the shortest that is longer than the context in the table.
        """
        ngram, without, columns = self.ngram, self._without(contexts, own), np.arange(own.shape[1])
        start, first_child, alpha = without.start, ngram.first_child, ngram.alpha
        longer, left, weights = ngram.weights(contexts, start, without.gamma, without.scale)
        low = longer.argmax(axis=0)
        nodes = contexts[low, columns] * longer.any(axis=0)
        first = first_child[nodes]
        counts = np.where(nodes, first_child[nodes + 1] - first, 0)
        offset = counts.cumsum() - counts - first  # from a child to its correction
        positions, children = expand(first, counts)
        tokens = ngram.tokens[children]
        probs = (left[positions] * ngram.table[start[positions], tokens]).astype(np.float64)
        # Children of longer contexts are corrections of the child with the same token.
        levels, places = np.nonzero(longer)
        nodes = contexts[longer]
        owners, children = expand(first_child[nodes], first_child[nodes + 1] - first_child[nodes])
        places, depths, found = places[owners], (levels - low[places])[owners], children
        for depth in range(len(contexts)):
            found = np.where(depths > depth, self.suffixes[found + 1] - 1, found)
        values = weights[longer][owners] * alpha[children]
        probs += np.bincount(offset[places] + found, values, len(probs))
        there = np.flatnonzero((own[low, columns] != NONE) & (counts > 0))
        change = (without.change * np.where(longer, weights, 0)).sum(axis=0)
        probs[(offset + own[low, columns] - 1)[there]] += change[there]
        values = np.log(np.maximum(probs, TINY)).astype(np.float32)
        return start, np.log(np.maximum(left, TINY)), counts, tokens, values

    def _without(self, contexts: Array, nodes: Array) -> _Without:
        """Remove one occurrence of the k-grams `nodes` (n, N) after contexts (n, N)."""
        ngram, counts = self.ngram, self.counts[nodes]  # 0 where there is no such k-gram
        there = contexts != NONE
        # A k-gram counts one less if all longer ones did, each for the last time.
        last = np.where(there, counts == 1, True)
        less = there & (counts > 0)
        less[:-1] &= np.logical_and.accumulate(last[:0:-1], axis=0)[::-1]
        totals, gamma = self.totals[contexts], ngram.left_by(contexts)
        rest = totals - less
        own = np.arange(len(contexts))[:, None]
        before = self.discounts[own, np.minimum(counts, 3)]
        after = self.discounts[own, np.minimum(counts - less, 3)]
        with np.errstate(all="ignore"):
            scale = np.where(rest > 0, totals / rest, 0)
            gamma = np.where(rest > 0, (gamma * totals - before + after) / rest, 1)
            change = np.where(less, (before - after - 1) / totals, 0)
        start = np.where((contexts < len(ngram.table)) & ~less, contexts, 0).max(axis=0)
        return _Without(start, gamma, scale, change)
