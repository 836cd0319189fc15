"""What is mixed: the base's distribution, and what followed histories like the present ones.

Letters: K inputs besides the base, N positions, V vocabulary size, E pairs of a position and a
token.

An indirect context is a history and the last token: "when what came last after `th` was e and then
a, and the last token is h, then ...". Each input is one such context, or one of two histories, and
what followed it in the training text. It says

x(w) = log(1 + (n - D) / (D · d · P(w)))

of a token w that followed n times, d being the number of different ones and P the base's
distribution: by so much P(w) would grow if the context's counts, discounted by D, were interpolated
with it. It says nothing of a token that never followed.
"""

from collections.abc import Sequence

import numpy as np

from charrnn.mixing.counts import Counts
from charrnn.mixing.mixer import LEVELS, Inputs
from charrnn.mixing.recall import NONE, hashed

Array = np.ndarray

LENGTHS = (2, 3, 4, 5)  # after how many last tokens histories are looked up
_CONTEXTS: Sequence[Sequence[int]] = ((0,), (1,), (2,), (3,), (1, 3))  # rows of LENGTHS, ascending
NUM_INPUTS = len(_CONTEXTS)
UNKNOWN = np.uint64(0)  # in place of a hash where there is no history
_DISCOUNT = 0.6
_TINY = 1e-9
_DIFFERENT = np.array([1, 2, 3, 5])  # bounds of levels: of different tokens,
_TOTALS = np.array([1.5, 3.5, 7.5, 16])  # of occurrences,
_PER_NAT = 5  # and of entropy
_AGREEING = 16


def num_rows(vocab_size: int) -> int:
    """How many rows the sets of weights have together."""
    return 1 + vocab_size + _AGREEING


def context_keys(last: Array, found: Array) -> Array:
    """Hash the context of each input (K, N); UNKNOWN where it has no history.

    Args:
        last: (N,) the last token.
        found: (len(LENGTHS), 2, N) histories.
    """
    keys = []
    for number, rows in enumerate(_CONTEXTS):
        own = np.full_like(last, number)
        key = hashed([own, last, *found[list(rows)].reshape(-1, len(last))])
        keys.append(np.where(found[rows[-1], 1] == NONE, UNKNOWN, key))
    return np.stack(keys)


def evidence(counts: Counts, log_probs: Array, last: Array, found: Array) -> Inputs:
    """Collect what is mixed.

    Args:
        counts: what followed contexts in the training text.
        log_probs: (N, V) of the base in nats.
        last: (N,) the last token.
        found: (len(LENGTHS), 2, N) histories.
    """
    N, V = log_probs.shape
    sizes, places = counts.find(context_keys(last, found).reshape(-1))
    tokens, times = counts.tokens[places], counts.counts[places]
    queries = np.repeat(np.arange(len(sizes)), sizes)
    probs = np.maximum(np.exp(log_probs[queries % N, tokens]), _TINY)
    values = np.log1p((times - _DISCOUNT) / (_DISCOUNT * sizes[queries] * probs))
    totals = np.bincount(queries, times, len(sizes))
    entropy = -np.einsum("nv,nv->n", np.exp(log_probs), log_probs)
    base = np.minimum((entropy * _PER_NAT).astype(np.int64), LEVELS - 1)
    levels = np.concatenate([base, _levels(sizes, totals)]).reshape(-1, N)
    return Inputs(log_probs, sizes, tokens, values, _rows(last, found, V), levels)


def _levels(sizes: Array, totals: Array) -> Array:
    """How much is known: 0 for nothing, else by the different tokens and by all occurrences."""
    different = _DIFFERENT.searchsorted(sizes, "right")
    level = 1 + (different - 1) * (len(_TOTALS) + 1) + _TOTALS.searchsorted(totals)
    return np.where(sizes == 0, 0, np.minimum(level, LEVELS - 1))


def _rows(last: Array, found: Array, vocab_size: int) -> Array:
    """The row of each set: one for all places, by last token, by which histories agree."""
    short, long = found[1], found[3]
    agreeing = (
        (short[1] == long[1])
        + 2 * (short[1] == short[0])
        + 4 * (long[1] == long[0])
        + 8 * (long[1] != NONE)
    )
    return np.stack([np.zeros_like(last), 1 + last, 1 + vocab_size + agreeing])
