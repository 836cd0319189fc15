"""Fast mixing of a single position of one stream, for sampling.

Letters: V vocabulary size.

The results are those of `charrnn.mixing.inputs` and `charrnn.mixing.mixer`. For one position, plain
Python on a few numbers is faster than NumPy calls.
"""

from collections.abc import Sequence
from math import log, log1p

import numpy as np

from charrnn.ids import EOS
from charrnn.mixing.inputs import (
    AGREEING,
    CONTEXTS,
    DENSE,
    FACTORS,
    LAST,
    LENGTHS,
    MATCH,
    NUM_INPUTS,
    PER_NAT,
    POWERS,
    REMEMBERED,
    TINY,
    Context,
    Evidence,
)
from charrnn.mixing.mixer import LEVELS, Mixer
from charrnn.mixing.recall import NONE

Array = np.ndarray

_WORD = (1 << 64) - 1
_SHIFT = 32


def _plan(factors: list[int], context: Context) -> tuple[list[int], list[tuple[int, ...]], int]:
    """Split the factors of a context: of 1 and the last tokens, of each history, and of words."""
    pairs = [(row, *factors[1 + LAST + 2 * row :][:2]) for row in context.rows]
    return factors[: 1 + context.last], pairs, sum(factors[-2:])


_PLANS = [
    (*_plan(factors, context), max(0, context.words - 1))
    for factors, context in zip(FACTORS.tolist(), CONTEXTS, strict=True)
]
_POWERS: list[int] = POWERS.tolist()
_NONE = NONE, NONE
_INDIRECT = int(REMEMBERED[:-1].sum())  # contexts; they are the first
_OWN = np.arange(NUM_INPUTS) * LEVELS  # where the levels of each input begin in `Mixer.own`


def words(tail: Sequence[int], is_letter: Sequence[bool]) -> tuple[int, int]:
    """Hash the current word so far, and that with the word before, as `inputs.words`."""
    current = both = breaks = 0
    for token, power in zip(tail, _POWERS, strict=True):
        breaks += token <= EOS or not is_letter[token]
        if breaks > 1:
            break
        both += token * power
        if breaks == 0 or power == _POWERS[0]:
            current = both
    return current, both


def context_hashes(
    tail: Sequence[int], found: Sequence[tuple[int, int]], is_letter: Sequence[bool]
) -> list[int]:
    """Return the upper 32 bits of the hash of each context, as `inputs.context_keys`."""
    hashes, numbers = [], words(tail, is_letter)
    for factors, histories, factor_of_words, which in _PLANS:
        key = 0
        if not histories or histories[-1][0] < len(found):
            key = factors[0] + factor_of_words * numbers[which]
            for factor, token in zip(factors[1:], tail, strict=False):
                key += factor * token
            for row, older, newer in histories:
                key += older * found[row][0] + newer * found[row][1]
        hashes.append((key & _WORD) >> _SHIFT)
    return hashes


def logits(
    model: tuple[Evidence, Mixer],
    dense: tuple[Array, Array],
    tail: Sequence[int],
    found: Sequence[tuple[int, int]],
    longest: int,
) -> tuple[Array, Array]:
    """Return the mixture's logits (V,), up to an additive constant, and what memory adds to them.

    Args:
        model: counts and weights.
        dense: (V,) logits of the base, and log P of the n-gram model.
        tail: (TAIL,) the last tokens, the very last first.
        found: histories, as `Index.add` returns them.
        longest: length of the longest context in the n-gram model.
    """
    evidence, mixer = model
    counts, matched = evidence.counts, len(found)
    base, ngram = dense
    mixed: Array = base - base.max()
    probs = np.exp(mixed)  # not divided by their sum
    total = float(probs.sum())
    entropy = PER_NAT * (log(total) - float(probs @ mixed) / total)
    level = int(min(entropy, LEVELS - 1)) if entropy > 0 else 0
    levels = [level] * DENSE + [0] * len(CONTEXTS) + [matched]
    sizes, tokens, excess, indirect = [0] * len(CONTEXTS), [], [], 0
    for k, key in enumerate(context_hashes(tail, found, evidence.is_letter)):
        context = counts.find_one(key)
        if size := counts.sizes.item(context):
            first = counts.first.item(context)
            sizes[k], levels[DENSE + k] = size, evidence.levels.item(context)
            indirect += size * (k < _INDIRECT)
            tokens.append(counts.tokens[first : first + size])
            excess.append(evidence.excess[first : first + size])
    rows = place_rows(tail[0], found, longest, len(mixed))
    weights = mixer.sets.take(rows, axis=0).sum(axis=0)
    weights += mixer.own.take(_OWN + levels)
    least = TINY * total
    match = probs.item(found[-1][1]) if found else 0.0
    mixed *= weights[0]
    mixed += weights[1] * ngram
    memory = np.zeros_like(mixed)
    if tokens:
        all_tokens = np.concatenate(tokens)
        values = np.concatenate(excess)
        values *= total
        values /= np.maximum(probs[all_tokens], least)
        np.log1p(values, out=values)
        values *= weights[DENSE:-1].repeat(sizes)
        np.add.at(memory, all_tokens[:indirect], values[:indirect])
        np.add.at(mixed, all_tokens[indirect:], values[indirect:])
    if found:
        memory[found[-1][1]] += weights.item(-1) * log1p(MATCH * total / max(match, least))
    mixed += memory
    return mixed, memory


def place_rows(
    last: int, found: Sequence[tuple[int, int]], longest: int, vocab_size: int
) -> list[int]:
    """Choose a row of each set of weights, as `inputs.place_rows`."""
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
