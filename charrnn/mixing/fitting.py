"""Fitting a mixture: counting what followed contexts, and learning the weights.

Letters: N tokens, T steps, B streams, V vocabulary size.

The weights are learned on text that neither the counts nor the base have seen, as nothing else
tells what they are worth on new text.
"""

import numpy as np

from charrnn.ids import EOS, IGNORE
from charrnn.mixing.counts import Counts
from charrnn.mixing.inputs import COUNTED, NUM_INPUTS, UNKNOWN, context_keys, num_rows
from charrnn.mixing.mixed import MEMORY, Mixed, joined
from charrnn.mixing.mixer import Mixer, target_log_probs
from charrnn.mixing.recall import histories
from charrnn.ngrams.residual import ResidualRNN

Array = np.ndarray

_STREAMS, _STEPS = 16, 32
_PASSES = 2
_RATE = 1.5e-3  # of SGD, for each position
_LEAST = 2  # occurrences of a context that is kept
_BURN_IN = 256  # tokens that bring the base's state up to date
_LEAST_GAIN = 0.003  # nats per token that a mixture must be worth


def count_contexts(vocab_size: int, tokens: Array) -> Counts:
    """Count what followed the contexts of the inputs in a text.

    Args:
        tokens: (N,) each document and then <EOS> or IGNORE.
    """
    inputs = _inputs(tokens)
    found = np.stack([histories(inputs, tokens, length, MEMORY) for length in COUNTED])
    keys = context_keys(np.maximum(inputs, EOS), found)
    known = (keys != UNKNOWN) & (tokens != IGNORE)
    followed = np.broadcast_to(tokens, keys.shape)[known]
    return Counts.of(vocab_size, keys[known], followed, _LEAST)


def fit(base: ResidualRNN, tokens: Array, start: int) -> Mixed | None:
    """Fit a mixture to the second part of a text; None where that predicts it no better.

    Args:
        base: has seen at most the first part.
        tokens: (N,) each document and then <EOS> or IGNORE.
        start: where the second part begins.
    """
    counts = count_contexts(base.vocab_size, tokens[:start])
    rows = num_rows(base.vocab_size, base.ngram.config.order)
    model = Mixed(base, counts, Mixer.initial(rows, NUM_INPUTS))
    gains = learn(model, tokens, start)[tokens[start:] != IGNORE]
    if not len(gains):
        return None
    error = gains.std() / np.sqrt(len(gains))
    return model if gains.mean() > max(_LEAST_GAIN, 2 * error) else None


def learn(model: Mixed, tokens: Array, start: int) -> Array:
    """Learn the weights of a mixture on the second part of a text, as `fit`.

    In the end the weights are the mean of those of the last pass (Polyak & Juditsky 1992).

    Returns:
        By how many nats each token (N - start,) was predicted better than by the base, before
        anything was learned from it; 0 for IGNORE.
    """
    inputs, mixer = _inputs(tokens), model.mixer
    places = np.linspace(start, len(tokens), _STREAMS + 1, dtype=int)
    steps = int(np.diff(places).max())
    gains = np.zeros(len(tokens))
    for last in [False] * (_PASSES - 1) + [True]:
        sums = [np.zeros_like(each, np.float64) for each in mixer.arrays.values()]
        state, unrolled = states_at(model, inputs, places[:-1]), model.unroll(_STEPS, _STREAMS)
        for first in range(0, steps, _STEPS):
            at = places[:-1] + np.arange(first, min(first + _STEPS, steps))[:, None]
            own = at < places[1:]
            at = np.minimum(at, len(tokens) - 1)
            targets = np.where(own, tokens[at], IGNORE)
            mixed, state = unrolled.inputs(inputs[at], state, most=_STREAMS)
            for (_, each), following, where in zip(mixed, targets, at, strict=True):
                alone = target_log_probs(each.log_probs, following)
                found = mixer.learn(each, following, _RATE) - alone
                if not last:
                    gains[where[following != IGNORE]] = found[following != IGNORE]
                for total, array in zip(sums, mixer.arrays.values(), strict=True):
                    total += array
    for total, array in zip(sums, mixer.arrays.values(), strict=True):
        array[:] = total / steps
    return gains[start:]


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
        recent[stream, -len(whole) :] = whole
    unrolled, state = model.base.unroll(_STEPS, B), model.base.zero_state(B)
    for first in range(MEMORY - _BURN_IN, MEMORY, _STEPS):
        state = unrolled.run(read[first : first + _STEPS], state)
    return joined(state, recent)


def _inputs(tokens: Array) -> Array:
    """The token before each place of a text."""
    return np.append(EOS, tokens[:-1])
