"""Fit a mixture: count what followed contexts, and learn the weights.

Letters: N tokens, T steps, B streams, V vocabulary size.

The weights are learned on text that neither the counts nor the base have seen. On their own
training text every input looks better than it is on new text.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import chain, islice

import numpy as np

from charrnn.ids import EOS, IGNORE, NUM_SPECIAL
from charrnn.mixing.counts import Counts
from charrnn.mixing.inputs import (
    CONTEXTS,
    COUNTED,
    DENSE,
    LENGTHS,
    NUM_INPUTS,
    TAIL,
    UNKNOWN,
    context_keys,
    num_rows,
    tails,
)
from charrnn.mixing.mixed import MEMORY, NUMBERS, Mixed, joined
from charrnn.mixing.mixer import Inputs, Mixer, log_softmax, target_log_probs
from charrnn.mixing.recall import histories
from charrnn.ngrams.residual import ResidualRNN

Array = np.ndarray

_STREAMS, _STEPS = 16, 32
_PASSES = 2
_RATE = 1.5e-3  # learning rate of SGD, per position
_BLOCK = 1 << 16  # places whose contexts are hashed at a time
_BURN_IN = 256  # tokens that the base reads before a stream begins
_MOST_KEPT = 1 << 23  # numbers of distributions to keep for the second pass
_FIRST = 1 << 21  # numbers of distributions from which the initial weights are found
_NEWTON_STEPS = 10
_RIDGE = 1e-6  # for inputs that say the same
_LEAST_GAIN = 0.002  # nats per token; a mixture that gains less is dropped


def letters_of(tokens: Sequence[str]) -> Array:
    """Return which ids (V,) words consist of: letters, digits, _ and '.

    Args:
        tokens: the vocabulary, without the special tokens.
    """
    special = [False] * NUM_SPECIAL
    return np.array(special + [token.isalnum() or token in "_'" for token in tokens])


def count_contexts(
    vocab_size: int, tokens: Array, letters: Array | None = None, max_bytes: float = math.inf
) -> Counts:
    """Count which tokens followed each of CONTEXTS in a text.

    Args:
        vocab_size: V.
        tokens: (N,) ids, each document followed by <EOS> or IGNORE.
        letters: (V,) which tokens words consist of; None for no words.
        max_bytes: largest size of the counts in a checkpoint.
    """
    letters = np.zeros(vocab_size, bool) if letters is None else letters
    inputs = _inputs(tokens)
    found = np.stack([histories(inputs, tokens, length, MEMORY) for length in COUNTED])
    keys = np.empty((len(CONTEXTS), len(tokens)), np.uint64)
    for start in range(0, len(tokens), _BLOCK):  # the tails of a whole text take much memory
        block, margin = slice(start, start + _BLOCK), min(start, TAIL)
        tail = tails(inputs[start - margin : block.stop])[:, margin:]
        keys[:, block] = context_keys(tail, found[..., block], letters)
    known = (keys != UNKNOWN) & (tokens != IGNORE)
    followed = np.broadcast_to(tokens, keys.shape)[known]
    return Counts.of(letters, keys[known], followed, max_bytes)


def fit(
    base: ResidualRNN,
    tokens: Array,
    start: int,
    most: int | None = None,
    letters: Array | None = None,
    max_bytes: float = math.inf,
) -> Mixed | None:
    """Count the first part of a text, and fit a mixture to the second.

    Args:
        base: a model that has not been trained on the second part.
        tokens: (N,) ids, each document followed by <EOS> or IGNORE.
        start: where the second part begins.
        most: tokens of the second part to learn from; None for all.
        letters: (V,) which tokens words consist of; None for no words.
        max_bytes: largest size of the counts in a checkpoint.

    Returns:
        The mixture; None if it predicts the second part no better than the base.
    """
    counts = count_contexts(base.vocab_size, tokens[:start], letters, max_bytes)
    model = unfitted(base, counts)
    gains = learn(model, tokens, start, most)
    if not len(gains):
        return None
    return model if gains.mean() > _LEAST_GAIN else None


def unfitted(base: ResidualRNN, counts: Counts) -> Mixed:
    """Return a mixture with initial weights, which predicts what its base predicts."""
    rows = num_rows(base.vocab_size, base.ngram.config.order)
    return Mixed(base, counts, Mixer.initial(rows, NUM_INPUTS))


def learn(model: Mixed, tokens: Array, start: int, most: int | None = None) -> Array:
    """Learn the weights of a mixture on the second part of a text, with arguments as for `fit`.

    The dense inputs begin with the weights that are best without the sparse ones in the first
    steps. The final weights are the mean over the last pass (Polyak & Juditsky 1992).

    Returns:
        For each token of the first pass, by how many nats the mixture predicted it better than the
        base, before learning from it; without the first steps.
    """
    edges = np.linspace(start, len(tokens), _STREAMS + 1, dtype=int)
    first, stop = edges[:-1], edges[1:]
    if most is not None:
        stop = np.minimum(stop, first + most // _STREAMS)
    kept: list[tuple[Inputs, Array]] = []  # inputs do not depend on the weights; kept if small
    keep = int((stop - first).max()) * _STREAMS * model.vocab_size <= _MOST_KEPT
    gains, steps = [np.empty(0)], 0
    num_first = min(int((stop - first).max()) // 8, _FIRST // (_STREAMS * model.vocab_size))
    for number in range(_PASSES):
        last, own = number == _PASSES - 1, iter(kept or _steps(model, tokens, start, (first, stop)))
        if not number and (beginning := [*islice(own, num_first)]):
            model.mixer.own[:DENSE] = _dense_weights(beginning)[:, None]
            own = chain(beginning, own)
        sums = [np.zeros_like(each, np.float64) for each in model.mixer.arrays.values()]
        for each, targets in own:
            found = model.mixer.learn(each, targets, _RATE)
            if last:
                for total, array in zip(sums, model.mixer.arrays.values(), strict=True):
                    total += array
                continue
            if number:
                continue
            steps += 1
            if steps > num_first:
                gain = found - target_log_probs(each.log_probs[0], targets)
                gains.append(gain[targets != IGNORE])
            if keep:
                kept.append((each, targets))
    for total, array in zip(sums, model.mixer.arrays.values(), strict=True):
        array[:] = total / max(1, steps)
    return np.concatenate(gains)


def _dense_weights(steps: Sequence[tuple[Inputs, Array]]) -> Array:
    """Find the weights (D,) of the dense inputs that are best without the others.

    Newton's method finds them, because the loss is convex in the weights. Its Hessian is the
    covariance of the inputs' log P under the mixture.
    """
    log_probs = np.concatenate([inputs.log_probs for inputs, _ in steps], axis=1).astype(float)
    targets = np.concatenate([targets for _, targets in steps])
    log_probs, targets = log_probs[:, targets != IGNORE], targets[targets != IGNORE]
    weights, least = np.zeros(len(log_probs)), math.inf
    weights[0] = 1
    step = np.zeros_like(weights)
    for _ in range(_NEWTON_STEPS):
        mixed = log_softmax(np.tensordot(weights + step, log_probs, 1))
        loss = -target_log_probs(mixed, targets).mean()
        if not loss < least:  # the step was too long
            step /= 2
            continue
        weights, least = weights + step, loss
        probs = np.exp(mixed, out=mixed)
        means = np.einsum("nv,dnv->dn", probs, log_probs)
        products = np.einsum("nv,anv,bnv->ab", probs, log_probs, log_probs)
        gradient = (log_probs[:, np.arange(len(targets)), targets] - means).mean(axis=1)
        covariance = (products - means @ means.T) / len(targets)
        step = np.linalg.solve(covariance + _RIDGE * np.eye(len(weights)), gradient)
    return weights


def _steps(
    model: Mixed, tokens: Array, start: int, edges: tuple[Array, Array]
) -> Iterator[tuple[Inputs, Array]]:
    """Yield the inputs of the mixture at each step of B streams, and the targets (B,).

    Args:
        edges: where the streams begin and end, (B,) each.
    """
    first, stop = edges
    inputs, longest = _inputs(tokens), int((stop - first).max())
    reach = max(0, start - MEMORY)  # where the memory of the first stream begins
    own = inputs[reach:], tokens[reach:]
    found = np.stack([histories(*own, length, MEMORY) for length in LENGTHS])
    tail = tails(own[0])
    T = max(1, min(_STEPS, NUMBERS // (model.vocab_size * _STREAMS)))
    state, unrolled = states_at(model, inputs, first)[:-MEMORY], model.unroll(T, _STREAMS)
    for step in range(0, longest, T):
        at = first + np.arange(step, min(step + T, longest))[:, None]
        within = at < stop
        at = np.minimum(at, len(tokens) - 1)
        targets = np.where(within, tokens[at], IGNORE)
        parts, state = unrolled.collect(
            inputs[at], state, tail[:, at - reach], found[:, :, at - reach]
        )
        for _, part in parts:
            yield from zip(part.split(_STREAMS), targets, strict=True)


def states_at(model: Mixed, inputs: Array, places: Array) -> Array:
    """Return the state before each of some places of a text.

    The memory is complete; the base reads only the last _BURN_IN tokens.

    Args:
        inputs: (N,) the token before each place.
        places: (B,).
    """
    B = len(places)
    read = np.full((MEMORY, B), EOS)  # <EOS> before the start of a document changes nothing
    recent = np.full((B, MEMORY), IGNORE)
    for stream, place in enumerate(places):
        before = np.maximum(inputs[max(0, place - MEMORY) : place], EOS)
        if not before.size:
            continue
        read[-len(before) :, stream] = before
        starts = np.flatnonzero(before == EOS)
        whole = before[starts[-1] :] if starts.size else before
        recent[stream, : len(whole)] = whole[::-1]
    unrolled, state = model.base.unroll(_STEPS, B), model.base.zero_state(B)
    for first in range(MEMORY - _BURN_IN, MEMORY, _STEPS):
        state = unrolled.run(read[first : first + _STEPS], state)
    return joined(state, recent)


def _inputs(tokens: Array) -> Array:
    """Return the token before each place of a text."""
    return np.append(EOS, tokens[:-1])
