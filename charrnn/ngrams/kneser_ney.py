"""Interpolated Kneser-Ney smoothing: count the k-grams of a text and estimate a model from them.

Letters: n the order, k = 1..n a length, V vocabulary size, N tokens.

The idea (Kneser & Ney 1995): take a discount from every count and give that probability to the
shorter context. What matters for a shorter context is not how often a token occurs but after how
many different tokens: "Francisco" is frequent, but only after "San".

P(w | context) = α(context, w) + γ(context) · P(w | context without its first token)
α(context, w) = (c - D(c)) / C(context)

c is the count of the k-gram, C the sum of the counts after the context, and γ the probability that
the discounts leave. D depends on k and on whether c is 1, 2, or 3 and more: modified Kneser-Ney
(Chen & Goodman 1998). At length n, c counts occurrences; below, the different tokens seen before
the k-gram. Each document starts with a marker that occurs only as context. Nothing comes before the
k-grams that begin with it, so they count occurrences.

The share D(c)/c that is taken from a count never grows with c (`_discounts`). So seeing something
more often never makes it less probable. Proof: let p be P(w | shorter context), P be
P(w | context), and r(c) be D(c)/c, with 1 > r(1) ≥ r(2) ≥ …, so that D(c + 1) - D(c) ≤ r(c).

1. Of two tokens after one context with the same p, the more frequent one has the larger P, because
   c - D(c) = c·(1 - r(c)) grows with c.
2. One more occurrence of w after a context, with equal discounts, never lowers P. The new P is
   (C·P + 1 - δ·(1 - p)) / (C + 1) with δ = D(c + 1) - D(c), so this says 1 - P ≥ δ·(1 - p). The
   discounts of all other tokens are at most their counts, C - c together, so
   1 - P ≥ (1 - p)·(C - c + D(c)) / C ≥ (1 - p)·r(c) ≥ (1 - p)·δ; for c = 0, P ≤ p and δ < 1. P also
   grows with p, so the same holds if the shorter k-grams that end in w count one more, too.
3. Copies of a whole text multiply the counts of n-grams and of k-grams at a start, and change no
   other count. From two copies on, discounts stay the same. So if every context of a text is
   followed by one token only, each further copy makes the text more probable.

Discounts are estimated from the text, so any other change to the text may move them a little.

A model can be pruned to a given size. The k-grams whose removal costs the text the least
log-likelihood go first (weighted difference, Seymore & Rosenfeld 1996). The others keep their
probabilities, and the removed probability goes to shorter contexts.

Numbering: whole contexts do not fit 64 bits, so k-grams are numbered length by length. The key of a
k-gram is (number of its context)·V + token; its number is the rank of its key among all k-grams. A
context of k tokens is a k-gram and has its number. A single token has its id as number; the start
marker takes the id of <EOS>, which is otherwise never a context. A model that has a k-gram also has
its context, while the k-gram without its first token may have been pruned.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from charrnn.config import ModelConfig
from charrnn.ids import EOS, IGNORE
from charrnn.ngrams.ngram import NONE, NGram

Array = np.ndarray

_NO_MASS = 1e-12  # a smaller probability is a rounding error of 0


@dataclass(frozen=True)
class Counts:
    """The k-grams of one length in a text; all arrays but `discounts` have one number a k-gram.

    Attributes:
        keys: sorted int64.
        contexts: number, among the (k - 1)-grams, of the k-gram without its last token.
        shorter: number, among the (k - 1)-grams, of the k-gram without its first token.
        times: occurrences.
        counts: c, occurrences or different tokens before.
        discounts: (4,), D of a count of 0, 1, 2, and 3 or more.
    """

    keys: Array
    contexts: Array
    shorter: Array
    times: Array
    counts: Array
    discounts: Array


@dataclass(frozen=True)
class _Order:
    """The k-grams of one length in a model, in float64.

    Attributes:
        keys: sorted int64.
        probs: P(last token | the others).
        backoff: γ of each context of k - 1 tokens, by its number.
        alpha: the part of `probs` that does not come from shorter contexts.
    """

    keys: Array
    probs: Array
    backoff: Array
    alpha: Array


MAX_SIZE = 10_000_000  # default limit of the k-grams of a model


def fit(
    config: ModelConfig,
    counted: Sequence[Counts],
    max_size: int | None = None,
    dtype: np.dtype | type = np.float16,
) -> NGram:
    """Estimate a model from counts.

    Args:
        config: with the order n and V.
        counted: the counts of each length, as `count_ngrams` returns them.
        max_size: most k-grams to keep, besides all unigrams; None keeps all.
        dtype: of α; float16 is precise to a thousandth.
    """
    orders = _smoothed(counted)
    if max_size is not None and max_size < sum(len(order.keys) for order in orders):
        orders = _pruned(counted, orders, max_size)
    V = config.vocab_size
    children = [np.array([V])]
    for order, longer in pairwise(orders):
        children.append(np.bincount(longer.keys // V, minlength=len(order.keys)))
    sizes = np.concatenate(children)
    return NGram(
        config,
        np.concatenate([order.keys % V for order in orders]).astype(np.min_scalar_type(V - 1)),
        sizes.astype(np.min_scalar_type(sizes.max())),
        _rounded(np.concatenate([order.alpha for order in orders]), np.dtype(dtype)),
    )


def fit_into(config: ModelConfig, counted: Sequence[Counts], max_bytes: int) -> NGram:
    """Estimate a model with as many k-grams as fit into `max_bytes` of a checkpoint."""
    largest = np.min_scalar_type(config.vocab_size)
    size = max_bytes // (2 * largest.itemsize + np.dtype(np.float16).itemsize)  # usually too low
    small = fit(config, counted, size)
    large = fit(config, counted, int(size * (max_bytes / small.num_bytes)))
    return large if large.num_bytes <= max_bytes else small


def _rounded(alpha: Array, dtype: np.dtype) -> Array:
    """Round towards zero, so that γ stays above 0."""
    found = alpha.astype(dtype)
    beyond = np.abs(found) > np.abs(alpha)
    found[beyond] = np.nextafter(found[beyond], dtype.type(0))
    return found


def count_ngrams(
    config: ModelConfig, tokens: Array, max_size: float = math.inf, *, shorten: bool = False
) -> list[Counts]:
    """Count the k-grams of a text for k = 1..n, or up to the longest document.

    Args:
        config: with the order n and V.
        tokens: (N,) ids, each document followed by <EOS> or IGNORE.
        max_size: most k-grams, all lengths together.
        shorten: stop at the highest order that fits instead of raising.

    Returns:
        The counts of each length, k = 1 first.

    Raises:
        ValueError: there are more than `max_size` k-grams; the message says which order fits.
    """
    vocab_size = config.vocab_size
    predicted = tokens != IGNORE
    starts = np.append(True, tokens[:-1] <= EOS)
    none = np.zeros(vocab_size, np.int64)  # the empty context
    times = np.bincount(tokens[predicted], minlength=vocab_size)
    found, size = [(np.arange(vocab_size), none, none, times)], vocab_size
    number = tokens.astype(np.int32)  # of the k-gram that ends at each place
    for k in range(2, config.order + 1):
        context = np.append(np.int32(NONE), number[:-1])
        context[starts] = EOS if k == 2 else NONE
        places = np.flatnonzero(predicted & (context != NONE)).astype(np.int32)
        if not places.size:
            break
        keys = context[places].astype(np.int64)
        keys *= vocab_size
        keys += tokens[places]
        keys, order, firsts = _grouped(keys, len(found[-1][0]) * vocab_size)
        size += len(keys)
        if size > max_size and shorten:
            break
        if size > max_size:
            raise ValueError(
                f"the text has more than {max_size:,} different k-grams of up to {k} tokens; the "
                f"highest order that fits is {k - 1}"
            )
        times = np.diff(firsts, append=len(order))
        found.append((keys, keys // vocab_size, number[places[order[firsts]]], times))
        number = np.full_like(number, NONE)
        number[places[order]] = np.repeat(np.arange(len(keys), dtype=np.int32), times)
    counted = []
    for k, (keys, contexts, shorter, times) in enumerate(found, start=1):
        before = times
        if k < len(found):
            before = np.bincount(found[k][2], minlength=len(times))  # 0 at a start
        counts = np.where(before > 0, before, times)
        counted.append(Counts(keys, contexts, shorter, times, counts, _discounts(before)))
    return counted


def _grouped(keys: Array, limit: int) -> tuple[Array, Array, Array]:
    """Group equal keys, all below `limit`.

    Key and place are sorted as one number if they fit into 64 bits, which is far faster.

    Returns:
        The distinct keys in order, the places (N,) sorted by key, and where in these each key
        begins.
    """
    N = len(keys)
    if limit <= (1 << 63) // N:
        keys *= N
        keys += np.arange(N)
        keys.sort()
        order: Array = (keys % N).astype(np.int32)
        keys //= N
    else:
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
    firsts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    return keys[firsts], order, firsts


def _discounts(counts: Array) -> Array:
    """Estimate the discounts of k-grams with a count of 0, 1, 2, and 3 or more.

    The estimate of Chen & Goodman (1998) uses n1 to n4, where nc k-grams have the count c. Few or
    odd counts would give discounts below 0 or of a whole count, so there are three repairs:

    - 4/c is added to nc. Alone, these would give discounts of 0.5, 1 and 1.5, the fallback of
      KenLM.
    - If the share D(c)/c would grow with c, neighbors get their mean share (isotonic regression).
      No discount is smaller than the one before.
    - If nothing occurs once, as in a text that is there twice, all discounts are 0.5.

    Returns:
        (4,) with 0 < D(1) ≤ D(2) ≤ D(3) and 1 > D(1) ≥ D(2)/2 ≥ D(3)/3.
    """
    found = np.bincount(np.minimum(counts, 5), minlength=5)[1:5]
    if not found[0]:
        return np.array([0.0, 0.5, 0.5, 0.5])
    n = found + 4 / np.arange(1, 5)
    y = n[0] / (n[0] + 2 * n[1])
    times = np.arange(1, 4)
    sizes = times * n[:3]  # sum of all counts c
    taken = sizes - (times + 1) * y * n[1:]  # sum of their discounts, by the estimate

    def share(i: int, j: int) -> float:
        return float(taken[i:j].sum() / sizes[i:j].sum())

    shares = [min(max(share(i, j) for j in range(c, 4)) for i in range(c)) for c in (1, 2, 3)]
    return np.append(0.0, np.maximum.accumulate(times * shares))


def _smoothed(counted: Sequence[Counts]) -> list[_Order]:
    """Turn counts into probabilities, from single tokens up."""
    orders: list[_Order] = []
    for grams in counted:
        num_contexts = len(orders[-1].keys) if orders else 1
        totals = np.bincount(grams.contexts, grams.counts, num_contexts)
        discounts = grams.discounts[np.minimum(grams.counts, 3)]
        removed = np.bincount(grams.contexts, discounts, num_contexts)
        with np.errstate(invalid="ignore"):
            backoff = np.where(totals > 0, removed / totals, 1.0)
        lower = orders[-1].probs[grams.shorter] if orders else 1 / len(grams.keys)
        alpha = (grams.counts - discounts) / np.maximum(totals[grams.contexts], 1)
        probs = alpha + backoff[grams.contexts] * lower
        orders.append(_Order(grams.keys, probs, backoff, alpha))
    return orders


def _pruned(counted: Sequence[Counts], orders: Sequence[_Order], max_size: int) -> list[_Order]:
    """Keep the k-grams that `_kept` chooses, with new keys and new γ."""
    kept = _kept(counted, orders, max_size)
    vocab_size = len(orders[0].keys)
    pruned = [orders[0]]
    # For every k-gram of the text, kept or not: P in the pruned model, and its number there.
    probs, numbers = orders[0].probs, orders[0].keys
    for grams, order, keep in zip(counted[1:], orders[1:], kept[1:], strict=True):
        if not keep.any():
            break
        contexts, lower = numbers[grams.contexts], probs[grams.shorter]
        num_contexts = len(pruned[-1].keys)
        backoff = _mass_left(contexts[keep], order.probs[keep], num_contexts)
        backoff /= _mass_left(contexts[keep], lower[keep], num_contexts)
        keys = contexts[keep] * vocab_size + grams.keys[keep] % vocab_size
        backed_off = np.where(contexts == NONE, 1.0, backoff[contexts]) * lower
        alpha = order.probs[keep] - backed_off[keep]
        pruned.append(_Order(keys, order.probs[keep], backoff, alpha))
        probs = np.where(keep, order.probs, backed_off)
        numbers = np.where(keep, np.cumsum(keep) - 1, NONE)
    return pruned


def _mass_left(contexts: Array, probs: Array, num_contexts: int) -> Array:
    """Return the probability that each context leaves for tokens not listed after it."""
    return np.maximum(1 - np.bincount(contexts, probs, num_contexts), _NO_MASS)


def _kept(counted: Sequence[Counts], orders: Sequence[_Order], max_size: int) -> list[Array]:
    """Choose the `max_size` most valuable k-grams; return a mask for each length.

    The value of a k-gram is the log-likelihood that the text loses without it, or the value of a
    longer k-gram whose context it is, if that is more. Shorter k-grams win a tie. So every k-gram
    is kept together with its context.
    """
    worths = [np.full(len(orders[0].keys), np.inf)]
    for grams, order, below in zip(counted[1:], orders[1:], orders[:-1], strict=True):
        backed_off = order.backoff[grams.contexts] * below.probs[grams.shorter]
        worths.append(grams.times * np.log(order.probs / backed_off))
    for k in range(len(worths) - 1, 0, -1):
        np.maximum.at(worths[k - 1], counted[k].contexts, worths[k])
    ranking = np.argsort(-np.concatenate(worths), kind="stable")
    kept = np.zeros(len(ranking), np.bool_)
    kept[ranking[: max(max_size, len(worths[0]))]] = True
    return np.split(kept, np.cumsum([len(worth) for worth in worths])[:-1])
