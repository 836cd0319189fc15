"""Fitting a mixture: counting what followed contexts, and learning the weights.

Letters: N tokens, T steps, B streams, V vocabulary size.

The weights are learned on text that neither the counts nor the base have seen, as nothing else
tells what they are worth on new text.
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
_RATE = 1.5e-3  # of SGD, for each position
_BLOCK = 1 << 16  # places whose contexts are hashed at a time
_BURN_IN = 256  # tokens that bring the base's state up to date
_MOST_KEPT = 1 << 23  # numbers of distributions that are kept for the next pass
_FIRST = 1 << 21  # numbers of the distributions by which the first weights are found
_NEWTON_STEPS = 10
_RIDGE = 1e-6  # where two inputs say the same
_LEAST_GAIN = 0.002  # nats per token that a mixture must be worth


def letters_of(tokens: Sequence[str]) -> Array:
    """Which ids are letters or digits (V,), the special ones not among them.

    Args:
        tokens: of the vocabulary.
    """
    special = [False] * NUM_SPECIAL
    return np.array(special + [token.isalnum() or token in "_'" for token in tokens])


def count_contexts(
    vocab_size: int, tokens: Array, letters: Array | None = None, max_bytes: float = math.inf
) -> Counts:
    """Count what followed the contexts of the inputs in a text.

    Args:
        tokens: (N,) each document and then <EOS> or IGNORE.
        letters: (V,) which tokens words are of, None for none.
        max_bytes: what the counts may take in a checkpoint.
    """
    letters = np.zeros(vocab_size, bool) if letters is None else letters
    inputs = _inputs(tokens)
    found = np.stack([histories(inputs, tokens, length, MEMORY) for length in COUNTED])
    keys = np.empty((len(CONTEXTS), len(tokens)), np.uint64)
    for start in range(0, len(tokens), _BLOCK):  # as the tails of all take much memory
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
    """Fit a mixture to the second part of a text; None where that predicts it no better.

    Args:
        base: has seen at most the first part.
        tokens: (N,) each document and then <EOS> or IGNORE.
        start: where the second part begins.
        most: how many tokens of the second part to learn from, None for all.
        letters: (V,) which tokens words are of, None for none.
        max_bytes: what the counts may take in a checkpoint.
    """
    counts = count_contexts(base.vocab_size, tokens[:start], letters, max_bytes)
    model = unfitted(base, counts)
    gains = learn(model, tokens, start, most)
    if not len(gains):
        return None
    return model if gains.mean() > _LEAST_GAIN else None


def unfitted(base: ResidualRNN, counts: Counts) -> Mixed:
    """A mixture that predicts what its base does."""
    rows = num_rows(base.vocab_size, base.ngram.config.order)
    return Mixed(base, counts, Mixer.initial(rows, NUM_INPUTS))


def learn(model: Mixed, tokens: Array, start: int, most: int | None = None) -> Array:
    """Learn the weights of a mixture on the second part of a text, as `fit`.

    The dense inputs begin with the weights that do best by themselves at the first steps. In the
    end all weights are the mean of those of the last pass (Polyak & Juditsky 1992).

    Returns:
        By how many nats each token was predicted better than by the base before anything was
        learned from it, those of the first steps left out.
    """
    edges = np.linspace(start, len(tokens), _STREAMS + 1, dtype=int)
    first, stop = edges[:-1], edges[1:]
    if most is not None:
        stop = np.minimum(stop, first + most // _STREAMS)
    kept: list[tuple[Inputs, Array]] = []  # what the weights do not change, where there is room
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
    """The weights (D,) of the dense inputs that do best without the others, by Newton's method.

    The loss is convex. Its second derivative is the covariance of the inputs' log P.
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
        if not loss < least:  # too far
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
    """What is mixed at each step of streams side by side, and the targets (B,).

    Args:
        edges: where the streams begin and end, from `start` on, (B,) each.
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
    """The state before each of some places of a text, of which the base reads the last tokens only.

    Args:
        inputs: (N,) the token before each place.
        places: (B,).
    """
    B = len(places)
    read = np.full((MEMORY, B), EOS)  # what stands before a start changes nothing
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
    """The token before each place of a text."""
    return np.append(EOS, tokens[:-1])
