"""What an n-gram model would predict at a place of its own text, had it not seen that place.

Letters: n the order, V vocabulary size, N positions.

A model that was counted on a text knows the text by heart: a network trained beside it there would
learn to trust it far more than it deserves. So each position's own occurrence is taken out of the
counts, in every length k of the back-off. At the longest context of the position its k-gram counts
one less; at the next shorter one too if it was the only one, since there c counts the different
tokens before; and so on, but for single tokens, which stay in the vocabulary.
"""

from collections.abc import Sequence

import numpy as np

from charrnn.config import ModelConfig
from charrnn.ngrams.kneser_ney import Counts, fit
from charrnn.ngrams.ngram import NONE

Array = np.ndarray


class LeaveOneOut:
    """The unpruned model of a text, for positions of that text.

    Args:
        config: with the order n and V.
        counted: the k-grams of the text.
    """

    def __init__(self, config: ModelConfig, counted: Sequence[Counts]) -> None:
        self.ngram = fit(config, counted, dtype=np.float32)
        self.counts = np.concatenate([[0], *(grams.counts for grams in counted), [0]])
        self.counts = self.counts.astype(np.int32)  # the last one is that of NONE
        totals = np.bincount(
            np.repeat(np.arange(self.ngram.num_contexts), self.ngram.arrays["ngram.children"]),
            self.counts[1:-1],
            len(self.counts),
        )
        self.totals = totals.astype(np.float32)
        missing = config.order - len(counted)
        discounts = [grams.discounts for grams in counted] + [np.zeros(4)] * missing
        self.discounts = np.array(discounts, np.float32)  # (n, 4)

    def distributions(self, contexts: Array, targets: Array) -> Array:
        """log P (V, N) of every token after contexts (n, N), where targets (N,) followed.

        In contexts that an unknown token or a fresh start has cut short, the occurrence that is
        taken out of the counts is another one of the same k-gram.
        """
        ngram = self.ngram
        nodes = ngram.descend(contexts, targets)
        counts = self.counts[nodes]  # (n, N), 0 where there is no such k-gram
        there = contexts != NONE
        # Whether the k-gram counts one less: if it does so at all longer contexts, each time the
        # last one.
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
            change = np.where(less, (before - after - 1) / totals, 0)  # of the k-gram's own α
        start = np.where((contexts < len(ngram.table)) & ~less, contexts, 0).max(axis=0)
        probs = ngram.table[start]
        weights = ngram.add_longer(probs, contexts, start, gamma, scale)
        change *= np.where(contexts > start, weights, 0)
        probs[np.arange(len(targets)), targets] += change.sum(axis=0)
        return ngram.logs(probs)
