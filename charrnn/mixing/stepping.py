"""One position of one stream, which is nearly all that sampling mixes: the fewest calls.

Letters: K inputs besides the base, V vocabulary size.
"""

from collections.abc import Sequence
from math import log, log1p

import numpy as np

from charrnn.mixing.inputs import (
    AGREEING,
    CONTEXTS,
    FACTORS,
    LENGTHS,
    MATCH,
    NUM_INPUTS,
    PER_NAT,
    TINY,
    Evidence,
)
from charrnn.mixing.mixer import LEVELS, Mixer
from charrnn.mixing.recall import NONE

Array = np.ndarray

_WORD = (1 << 64) - 1
_SHIFT = 32
_PLANS = [  # of each context: its factors, as Python integers, and its histories
    (int(own[0]), int(own[1]), [(row, *map(int, own[2 + 2 * row : 4 + 2 * row])) for row in rows])
    for own, rows in zip(FACTORS, CONTEXTS, strict=True)
]
_NONE = NONE, NONE
_OWN = np.arange(1 + NUM_INPUTS) * LEVELS  # where those of each input begin


def context_hashes(last: int, found: Sequence[tuple[int, int]]) -> list[int]:
    """What is kept of the hashes of the contexts that there are, as `inputs.context_keys`."""
    hashes = []
    for one, by_last, histories in _PLANS:
        if histories[-1][0] < len(found):
            key = one + by_last * last
            for row, older, newer in histories:
                key += older * found[row][0] + newer * found[row][1]
            hashes.append((key & _WORD) >> _SHIFT)
    return hashes


def logits(
    model: tuple[Evidence, Mixer],
    base: Array,
    last: int,
    found: Sequence[tuple[int, int]],
    longest: int,
) -> Array:
    """The mixture's logits (V,), but for a constant.

    Args:
        base: (V,) logits of the base.
        last: the last token.
        found: histories, as `Index.add` gives them.
        longest: tokens in the longest context that the n-gram model has.
    """
    evidence, mixer = model
    counts, matched = evidence.counts, len(found)
    mixed: Array = base - base.max()
    probs = np.exp(mixed)  # times their sum, which is left out
    total = float(probs.sum())
    entropy = PER_NAT * (log(total) - float(probs @ mixed) / total)
    levels = [int(min(entropy, LEVELS - 1)) if entropy > 0 else 0] + [0] * NUM_INPUTS
    levels[-1] = matched
    sizes, tokens, excess = [0] * (NUM_INPUTS - 1), [], []
    for k, key in enumerate(context_hashes(last, found)):
        context = counts.find_one(key)
        if size := counts.sizes.item(context):
            first = counts.first.item(context)
            sizes[k], levels[1 + k] = size, evidence.levels.item(context)
            tokens.append(counts.tokens[first : first + size])
            excess.append(evidence.excess[first : first + size])
    rows = place_rows(last, found, longest, len(base))
    weights = mixer.sets.take(rows, axis=0).sum(axis=0)
    weights += mixer.own.take(_OWN + levels)
    least = TINY * total
    match = probs.item(found[-1][1]) if found else 0.0
    mixed *= weights[0]
    if tokens:
        all_tokens = np.concatenate(tokens)
        values = np.concatenate(excess)
        values *= total
        values /= np.maximum(probs[all_tokens], least)
        np.log1p(values, out=values)
        values *= weights[1:-1].repeat(sizes)
        np.add.at(mixed, all_tokens, values)
    if found:
        mixed[found[-1][1]] += weights.item(-1) * log1p(MATCH * total / max(match, least))
    return mixed


def place_rows(
    last: int, found: Sequence[tuple[int, int]], longest: int, vocab_size: int
) -> list[int]:
    """The row of each set of weights, as `inputs.place_rows`."""
    short = found[1] if len(found) > 1 else _NONE
    long = found[2] if len(found) > 2 else _NONE
    agreeing = (
        (short[1] == long[1])
        + 2 * (short[1] == short[0])
        + 4 * (long[1] == long[0])
        + 8 * (long[1] != NONE)
    )
    first = 1 + AGREEING
    by_last = first + len(LENGTHS) + 1
    return [0, 1 + agreeing, first + len(found), by_last + last, by_last + vocab_size + longest]
