"""What is mixed: the base's distribution, and what followed histories like the present ones.

Letters: K inputs besides the base, N positions, V vocabulary size, E pairs of a position and a
token, n the order of the n-gram model.

An indirect context is a history and the last token: "when what followed the last two times after
`th` was first e and then a, and the last token is h". All inputs but one are such a context, of one
history or of two, and what followed it in the training text. Such an input says

x(w) = log(1 + (n - D) / (D · d · P(w)))

of a token w that followed n times, d being the number of different ones and P the base's
distribution: by so much P(w) would grow if the context's counts, discounted by D, were interpolated
with it. It says nothing of a token that never followed. The last input is a match: what followed
the longest repetition, as if it had followed once.
"""

from collections.abc import Sequence

import numpy as np

from charrnn.mixing.counts import Counts
from charrnn.mixing.mixer import LEVELS, Inputs
from charrnn.mixing.recall import NONE, ODD

Array = np.ndarray

LENGTHS = (2, 3, 5, 8, 12, 16)  # after how many last tokens histories are looked up
CONTEXTS: Sequence[Sequence[int]] = ((0,), (1,), (2,), (1, 2))  # rows of LENGTHS, ascending
COUNTED = LENGTHS[:3]  # of the contexts
NUM_INPUTS = len(CONTEXTS) + 1
UNKNOWN = np.uint64(0)  # in place of a hash where there is no history
_NEEDED = [rows[-1] for rows in CONTEXTS]  # the history without which there is no context
DISCOUNT = 0.6  # D
MATCH = (1 - DISCOUNT) / DISCOUNT  # excess of what followed once, alone
TINY = 1e-9  # the least probability that is divided by
_DIFFERENT = np.array([1, 2, 3, 5])  # bounds of levels: of different tokens,
_TOTALS = np.array([1.5, 3.5, 7.5, 16])  # of occurrences,
PER_NAT = 5  # and of entropy
AGREEING = 16


def _factors() -> Array:
    """Odd numbers, by which a context multiplies 1, the last token and its histories to be hashed
    (Dietzfelbinger et al. 1997): (K - 1, 2 + 2·len(COUNTED)), 0 for histories of others."""
    shape = len(CONTEXTS), 2 + 2 * len(COUNTED)
    found = np.cumprod(np.full(shape, ODD), dtype=np.uint64).reshape(shape)
    for own, rows in zip(found, CONTEXTS, strict=True):
        own[2:].reshape(-1, 2)[[row not in rows for row in range(len(COUNTED))]] = 0
    return found


FACTORS = _factors()


def num_rows(vocab_size: int, order: int) -> int:
    """How many rows the sets of weights have together."""
    return 1 + AGREEING + len(LENGTHS) + 1 + vocab_size + order


def context_keys(last: Array, found: Array) -> Array:
    """Hash the context of each input (K - 1, N); UNKNOWN where it has no history.

    Args:
        last: (N,) the last token.
        found: (3 or more, 2, N) histories after COUNTED tokens.
    """
    parts = np.empty((2 + 2 * len(COUNTED), len(last)), np.uint64)
    parts[0], parts[1] = 1, last
    parts[2:] = found[: len(COUNTED)].reshape(-1, len(last)).astype(np.uint64)
    keys: Array = FACTORS @ parts
    keys[found[_NEEDED, 1] == NONE] = UNKNOWN
    return keys


class Evidence:
    """What counts say of tokens, whatever the base says of them.

    Args:
        counts: what followed contexts in the training text.

    Attributes:
        excess: (M,) (n - D) / (D · d) of each pair.
        levels: (C + 1,) how much is known in each context.
    """

    def __init__(self, counts: Counts) -> None:
        sizes = counts.sizes[:-1]
        contexts = np.repeat(np.arange(len(sizes)), sizes)
        totals = np.bincount(contexts, counts.counts, len(sizes) + 1)
        self.counts, self.levels = counts, _levels(counts.sizes, totals)
        self.excess = (counts.counts - DISCOUNT) / (DISCOUNT * sizes[contexts]).astype(np.float32)

    def collect(self, log_probs: Array, last: Array, found: Array, longest: Array) -> Inputs:
        """Collect what is mixed.

        Args:
            log_probs: (N, V) of the base in nats.
            last: (N,) the last token.
            found: (len(LENGTHS), 2, N) histories.
            longest: (N,) tokens in the longest context that the n-gram model has, below n.
        """
        N = len(last)
        contexts = self.counts.find(context_keys(last, found).reshape(-1))
        places = self.counts.places(contexts)
        matched = (found[:, 1] != NONE).sum(axis=0)  # how many of LENGTHS
        matches = np.flatnonzero(matched)
        levels = np.concatenate([_entropy_levels(log_probs), self.levels[contexts], matched])

        tokens = np.append(self.counts.tokens[places], found[matched[matches] - 1, 1, matches])
        excess = np.append(self.excess[places], np.full(len(matches), MATCH, np.float32))
        sizes = np.append(self.counts.sizes[contexts], matched > 0)
        positions = np.repeat(np.arange(len(sizes)) % N, sizes)
        probs = np.exp(log_probs[positions, tokens])
        values = np.log1p(excess / np.maximum(probs, TINY))
        rows = place_rows(last, found, matched, longest, log_probs.shape[1])
        return Inputs(log_probs, sizes, tokens, values, rows, levels.reshape(-1, N))


def _entropy_levels(log_probs: Array) -> Array:
    entropy = -np.einsum("nv,nv->n", np.exp(log_probs), log_probs)
    found: Array = np.clip(np.nan_to_num(entropy * PER_NAT), 0, LEVELS - 1).astype(np.int64)
    return found


def _levels(sizes: Array, totals: Array) -> Array:
    """How much is known: 0 for nothing, else by the different tokens and by all occurrences."""
    different = _DIFFERENT.searchsorted(sizes, "right")
    level = 1 + (different - 1) * (len(_TOTALS) + 1) + _TOTALS.searchsorted(totals)
    return np.where(sizes == 0, 0, np.minimum(level, LEVELS - 1))


def place_rows(last: Array, found: Array, matched: Array, longest: Array, vocab_size: int) -> Array:
    """The row of each set: the first is one for all places; the others are chosen by which
    histories agree, the length of the match, the last token, and the n-gram's longest context."""
    short, long = found[1], found[2]
    agreeing = (
        (short[1] == long[1])
        + 2 * (short[1] == short[0])
        + 4 * (long[1] == long[0])
        + 8 * (long[1] != NONE)
    )
    sets = (agreeing, AGREEING), (matched, len(LENGTHS) + 1), (last, vocab_size), (longest, 0)
    rows, first = np.zeros((1 + len(sets), len(last)), np.int64), 1
    for own, (row, size) in zip(rows[1:], sets, strict=True):
        np.add(row, first, out=own)
        first += size
    return rows
