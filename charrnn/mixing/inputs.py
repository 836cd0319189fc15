"""The inputs of a mixture: two distributions, the counts after contexts, and a match.

Letters: N positions, V vocabulary size, C contexts, M pairs of a context and a token that followed
it, n the order of the n-gram model.

An indirect context (Mahoney 2005) is a history and the last token, such as: "the last two times,
e and then a followed `th`; the last token is h". A direct context is the last tokens, the current
word so far, or that and the word before. Each context is a sparse input, with an opinion on the
tokens that followed it in the training text:

x(w) = log(1 + (n - D) / (D · d · P(w)))

if w followed n times, d different tokens followed, and P is the base's distribution. This is by how
much log P(w) would grow if the context's counts, discounted by D, were interpolated with P. On
tokens that never followed, x(w) is 0. The last input is a match: the token that followed the
longest repetition, as if it had followed once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from charrnn.ids import EOS, IGNORE
from charrnn.mixing.counts import Counts
from charrnn.mixing.mixer import LEVELS, Inputs
from charrnn.mixing.recall import NONE, ODD

Array = np.ndarray

LENGTHS = (2, 3, 5, 8, 12, 16)  # the last tokens after which histories are looked up


class Context(NamedTuple):
    """What a context consists of."""

    last: int = 0  # number of last tokens
    rows: Sequence[int] = ()  # histories, by their rows in LENGTHS, ascending
    words: int = 0  # 1: the current word so far; 2: and the word before


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
LAST = 7  # longest direct context, in tokens
TAIL = 16  # last tokens in which words are sought
COUNTED = LENGTHS[:3]  # lengths of the histories in contexts
DENSE = 2  # dense inputs: the base, and the n-gram model alone
NUM_INPUTS = DENSE + len(CONTEXTS) + 1
# Which sparse inputs come from the memory.
REMEMBERED = np.array([*(bool(context.rows) for context in CONTEXTS), True])
UNKNOWN = np.uint64(0)  # in place of a hash where there is no history
DISCOUNT = 0.6  # D
MATCH = (1 - DISCOUNT) / DISCOUNT  # (n - D) / (D · d) for n = d = 1
TINY = 1e-9  # smallest probability to divide by
# Levels, how much an input knows:
DIFFERENT = np.array([1, 2, 3, 5])  # bounds by the number of different tokens that followed,
TOTALS = np.array([1.5, 3.5, 7.5, 16])  # bounds by the number of occurrences,
PER_NAT = 5  # levels per nat of entropy of a dense input
AGREEING = 16  # ways in which histories agree or not


def _factors() -> Array:
    """Return odd factors whose products with the parts of a context are summed to its hash.

    The parts are 1, the last tokens, histories and words; the hash is multiplicative
    (Dietzfelbinger et al. 1997).

    Returns:
        (contexts, 1 + LAST + 2·len(COUNTED) + 2) uint64, 0 for parts that a context lacks.
    """
    shape = len(CONTEXTS), 1 + LAST + 2 * len(COUNTED) + 2
    found = np.cumprod(np.full(shape, ODD), dtype=np.uint64).reshape(shape)
    for own, (last, rows, words) in zip(found, CONTEXTS, strict=True):
        own[1 + last : 1 + LAST] = 0
        own[1 + LAST : -2].reshape(-1, 2)[[row not in rows for row in range(len(COUNTED))]] = 0
        own[-2:][np.arange(1, 3) != words] = 0
    return found


FACTORS = _factors()
POWERS = np.cumprod(np.full(TAIL, ODD), dtype=np.uint64)  # factors of the tokens of a word


def num_rows(vocab_size: int, order: int) -> int:
    """Return the number of rows of all sets of weights together."""
    return 1 + AGREEING + len(LENGTHS) + 1 + vocab_size + order


def tails(inputs: Array) -> Array:
    """Return the last TAIL tokens before each place of a text (TAIL, N), the very last first.

    Args:
        inputs: (N,) the token before each place; <EOS> or IGNORE where a document starts.

    Returns:
        Ids, IGNORE before the start of a document.
    """
    places = np.arange(len(inputs))
    start = np.maximum.accumulate(np.where(inputs <= EOS, places, 0))
    at = places - np.arange(TAIL)[:, None]
    return np.where(at >= start, np.maximum(inputs, EOS)[np.maximum(at, 0)], IGNORE)


def words(tail: Array, letters: Array) -> Array:
    """Hash the current word so far, and that with the word before: (2, N).

    After a token that is no letter, that token is the current word.

    Args:
        tail: (TAIL, N) the last tokens, the very last first.
        letters: (V,) which tokens words consist of.
    """
    breaks = np.cumsum((tail <= EOS) | ~letters[tail], axis=0)
    tokens = tail.astype(np.uint64) * POWERS[:, None]
    current = breaks == 0
    current[0] = True
    return np.stack([(tokens * own).sum(axis=0) for own in (current, breaks <= 1)])


def context_keys(tail: Array, found: Array, letters: Array) -> Array:
    """Hash the contexts (len(CONTEXTS), N); UNKNOWN where a history is missing.

    Args:
        tail: (TAIL, N) the last tokens, the very last first.
        found: (3 or more, 2, N) histories after the last COUNTED tokens.
        letters: (V,) which tokens words consist of.
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


class After(NamedTuple):
    """What followed Q contexts: E pairs of a context and a token, in the order of the contexts."""

    sizes: Array  # (Q,) different tokens
    tokens: Array  # (E,)
    excess: Array  # (E,)
    levels: Array  # (Q,) how much is known


class Evidence:
    """Counts prepared for mixing: the part of x(w) that does not depend on the base.

    Args:
        counts: what followed contexts in the training text.

    Attributes:
        excess: (M,), (n - D) / (D · d) of each pair.
        levels: (C + 1,), how much is known after each context.
    """

    def __init__(self, counts: Counts) -> None:
        sizes = counts.sizes[:-1]
        contexts = np.repeat(np.arange(len(sizes)), sizes)
        totals = np.bincount(contexts, counts.counts, len(sizes) + 1)
        self.letters = counts.arrays["letters"]
        self.is_letter: list[bool] = self.letters.tolist()
        self.counts, self.levels = counts, levels_of(counts.sizes, totals)
        self.excess = (counts.counts - DISCOUNT) / (DISCOUNT * sizes[contexts]).astype(np.float32)

    def collect(self, log_probs: Array, tail: Array, found: Array, longest: Array) -> Inputs:
        """Collect the inputs of the mixture at N positions.

        Args:
            log_probs: (DENSE, N, V) in nats.
            tail: (TAIL, N) the last tokens, the very last first.
            found: (len(LENGTHS), 2, N) histories.
            longest: (N,) length of the longest context in the n-gram model, 0 to n - 1.
        """
        N = tail.shape[1]
        after = self.after(context_keys(tail, found, self.letters).reshape(-1))
        matched = (found[:, 1] != NONE).sum(axis=0)  # how many of LENGTHS have a history
        matches = np.flatnonzero(matched)
        entropy = _entropy_levels(log_probs[0])
        levels = np.concatenate([entropy, entropy, after.levels, matched])

        tokens = np.append(after.tokens, found[matched[matches] - 1, 1, matches])
        excess = np.append(after.excess, np.full(len(matches), MATCH, np.float32))
        sizes = np.append(after.sizes, matched > 0)
        positions = np.repeat(np.arange(len(sizes)) % N, sizes)
        probs = np.exp(log_probs[0, positions, tokens])
        values = np.log1p(excess / np.maximum(probs, TINY))
        rows = place_rows(tail[0], found, matched, longest, log_probs.shape[2])
        return Inputs(log_probs, sizes, tokens, values, rows, levels.reshape(-1, N))

    def after(self, keys: Array) -> After:
        """Return what followed contexts, given by their hashes (Q,)."""
        contexts = self.counts.find(keys)
        places = self.counts.places(contexts)
        sizes, levels = self.counts.sizes[contexts], self.levels[contexts]
        return After(sizes, self.counts.tokens[places], self.excess[places], levels)


def _entropy_levels(log_probs: Array) -> Array:
    entropy = -np.einsum("nv,nv->n", np.exp(log_probs), log_probs)
    found: Array = np.clip(np.nan_to_num(entropy * PER_NAT), 0, LEVELS - 1).astype(np.int64)
    return found


def levels_of(sizes: Array, totals: Array) -> Array:
    """Return how much is known: 0 for nothing, else by different tokens and occurrences."""
    different = DIFFERENT.searchsorted(sizes, "right")
    level = 1 + (different - 1) * (len(TOTALS) + 1) + TOTALS.searchsorted(totals)
    return np.where(sizes == 0, 0, np.minimum(level, LEVELS - 1))


def place_rows(last: Array, found: Array, matched: Array, longest: Array, vocab_size: int) -> Array:
    """Choose a row of each set of weights (sets, N).

    The first set has one row for all places. The others are chosen by which histories agree, by the
    length of the match, by the last token, and by the length of the longest n-gram context.
    """
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
