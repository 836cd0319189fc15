"""What is mixed: distributions, and what followed contexts and histories like the present ones.

Letters: N positions, V vocabulary size, C contexts, M pairs of a context and a token that followed
it, n the order of the n-gram model.

An indirect context is a history and the last token: "when what followed the last two times after
`th` was first e and then a, and the last token is h". A direct context is some last tokens, or the
current word so far, or this and the word before. A sparse input is such a context and what followed
it in the training text. It says

x(w) = log(1 + (n - D) / (D · d · P(w)))

of a token w that followed n times, d being the number of different ones and P the base's
distribution: by so much P(w) would grow if the context's counts, discounted by D, were interpolated
with it. It says nothing of a token that never followed. The last input is a match: what followed
the longest repetition, as if it had followed once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from charrnn.ids import EOS, IGNORE
from charrnn.mixing.counts import Counts
from charrnn.mixing.mixer import LEVELS, Inputs
from charrnn.mixing.recall import NONE, ODD

Array = np.ndarray

LENGTHS = (2, 3, 5, 8, 12, 16)  # after how many last tokens histories are looked up


class Context(NamedTuple):
    """What makes a context."""

    last: int = 0  # last tokens
    rows: Sequence[int] = ()  # of LENGTHS, ascending: histories
    words: int = 0  # the current word, which may be a single other token; 2: and that before it


CONTEXTS: Sequence[Context] = (
    Context(1, (0,)),
    Context(1, (1,)),
    Context(1, (2,)),
    Context(1, (1, 2)),
    Context(3),
    Context(5),
    Context(7),
    Context(words=1),
    Context(words=2),
)
LAST = 7  # tokens of direct contexts, at most
TAIL = 16  # tokens of words, at most
COUNTED = LENGTHS[:3]  # of the contexts
DENSE = 2  # the base, and the n-gram model alone
NUM_INPUTS = DENSE + len(CONTEXTS) + 1
UNKNOWN = np.uint64(0)  # in place of a hash where there is no history
DISCOUNT = 0.6  # D
MATCH = (1 - DISCOUNT) / DISCOUNT  # excess of what followed once, alone
TINY = 1e-9  # the least probability that is divided by
_DIFFERENT = np.array([1, 2, 3, 5])  # bounds of levels: of different tokens,
_TOTALS = np.array([1.5, 3.5, 7.5, 16])  # of occurrences,
PER_NAT = 5  # and of entropy
AGREEING = 16


def _factors() -> Array:
    """Odd numbers, by which a context multiplies 1, the last tokens, histories and words to be
    hashed (Dietzfelbinger et al. 1997): (contexts, 1 + LAST + 2·len(COUNTED) + 2), 0 for others."""
    shape = len(CONTEXTS), 1 + LAST + 2 * len(COUNTED) + 2
    found = np.cumprod(np.full(shape, ODD), dtype=np.uint64).reshape(shape)
    for own, (last, rows, words) in zip(found, CONTEXTS, strict=True):
        own[1 + last : 1 + LAST] = 0
        own[1 + LAST : -2].reshape(-1, 2)[[row not in rows for row in range(len(COUNTED))]] = 0
        own[-2:][np.arange(1, 3) != words] = 0
    return found


FACTORS = _factors()
POWERS = np.cumprod(np.full(TAIL, ODD), dtype=np.uint64)  # by which words multiply their tokens


def num_rows(vocab_size: int, order: int) -> int:
    """How many rows the sets of weights have together."""
    return 1 + AGREEING + len(LENGTHS) + 1 + vocab_size + order


def tails(inputs: Array) -> Array:
    """The last TAIL tokens at each place of a text, the very last first; IGNORE before a start.

    Args:
        inputs: (N,) the token before each place; <EOS> or IGNORE where a document starts.
    """
    places = np.arange(len(inputs))
    start = np.maximum.accumulate(np.where(inputs <= EOS, places, 0))
    at = places - np.arange(TAIL)[:, None]
    return np.where(at >= start, np.maximum(inputs, EOS)[np.maximum(at, 0)], IGNORE)


def words(tail: Array, letters: Array) -> Array:
    """Numbers of the current word, and of it with the one before (2, N).

    Args:
        tail: (TAIL, N) the last tokens, the very last first.
        letters: (V,) which tokens words are of.
    """
    breaks = np.cumsum((tail <= EOS) | ~letters[tail], axis=0)
    tokens = tail.astype(np.uint64) * POWERS[:, None]
    current = breaks == 0
    current[0] = True
    return np.stack([(tokens * own).sum(axis=0) for own in (current, breaks <= 1)])


def context_keys(tail: Array, found: Array, letters: Array) -> Array:
    """Hash the contexts (len(CONTEXTS), N); UNKNOWN where one has no history.

    Args:
        tail: (TAIL, N) the last tokens, the very last first.
        found: (3 or more, 2, N) histories after COUNTED tokens.
        letters: (V,) which tokens words are of.
    """
    parts = np.empty((FACTORS.shape[1], tail.shape[1]), np.uint64)
    parts[0], parts[1 : 1 + LAST] = 1, tail[:LAST].astype(np.uint64)
    parts[1 + LAST : -2] = found[: len(COUNTED)].reshape(-1, tail.shape[1]).astype(np.uint64)
    parts[-2:] = words(tail, letters)
    keys: Array = FACTORS @ parts
    for own, (_, rows, _) in zip(keys, CONTEXTS, strict=True):
        if rows:
            own[found[rows[-1], 1] == NONE] = UNKNOWN
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
        self.letters = counts.arrays["letters"]
        self.is_letter: list[bool] = self.letters.tolist()
        self.counts, self.levels = counts, _levels(counts.sizes, totals)
        self.excess = (counts.counts - DISCOUNT) / (DISCOUNT * sizes[contexts]).astype(np.float32)

    def collect(self, log_probs: Array, tail: Array, found: Array, longest: Array) -> Inputs:
        """Collect what is mixed.

        Args:
            log_probs: (DENSE, N, V) in nats.
            tail: (TAIL, N) the last tokens, the very last first.
            found: (len(LENGTHS), 2, N) histories.
            longest: (N,) tokens in the longest context that the n-gram model has, below n.
        """
        N = tail.shape[1]
        contexts = self.counts.find(context_keys(tail, found, self.letters).reshape(-1))
        places = self.counts.places(contexts)
        matched = (found[:, 1] != NONE).sum(axis=0)  # how many of LENGTHS
        matches = np.flatnonzero(matched)
        entropy = _entropy_levels(log_probs[0])
        levels = np.concatenate([entropy, entropy, self.levels[contexts], matched])

        tokens = np.append(self.counts.tokens[places], found[matched[matches] - 1, 1, matches])
        excess = np.append(self.excess[places], np.full(len(matches), MATCH, np.float32))
        sizes = np.append(self.counts.sizes[contexts], matched > 0)
        positions = np.repeat(np.arange(len(sizes)) % N, sizes)
        probs = np.exp(log_probs[0, positions, tokens])
        values = np.log1p(excess / np.maximum(probs, TINY))
        rows = place_rows(tail[0], found, matched, longest, log_probs.shape[2])
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
