"""Texts read side by side, each from the state after what stands before it.

Letters: T steps, B texts side by side.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from charrnn.ids import EOS, IGNORE
from charrnn.inference.evaluation import chunk_shape
from charrnn.mixing.mixed import LanguageModel
from charrnn.parallel.threads import Workers

Array = np.ndarray

Look = Callable[[Any, Array, Array, Array], tuple[Sequence[Array], Array]]
"""Reads a chunk with an unrolled model: from its inputs and targets (T, B) and the state before
it to what is found at each target, arrays (T, B, ...), and the state after it."""

_STEPS = 128  # of a text at a time
_WIDE = 64  # texts side by side
_NUMBERS = 1 << 21  # logits at a time, however large the vocabulary


def each_log_prob(unrolled: Any, inputs: Array, targets: Array, state: Array) -> Any:
    """A `Look` that finds log P (T, B) of the targets in nats."""
    log_probs, state = unrolled.log_probs(inputs, targets, state)
    return [log_probs.astype(np.float64)], state


def look_at(
    model: LanguageModel,
    pasts: Sequence[Array],
    sequences: Sequence[Array],
    look: Look,
    workers: Workers,
) -> list[list[Array]]:
    """Find something at every token of every sequence, given those before it and its past.

    Equal pasts are read once.

    Args:
        pasts: ids before each sequence, from the start of its document; empty for none.
        sequences: arrays of ids.

    Returns:
        What `look` finds for each sequence, arrays as long as it.
    """
    begun = [np.append(EOS, past) for past in pasts]
    states = {past.tobytes(): past[:-1] for past in begun}
    read = workers.map(lambda tokens: _state_after(model, tokens), [*states.values()])
    after = dict(zip(states, read, strict=True))
    order = sorted(range(len(sequences)), key=lambda index: -len(sequences[index]))
    _, width = chunk_shape(model, 1, _WIDE)

    def run(batch: Sequence[int]) -> list[list[Array]]:
        longest, B = max(1, len(sequences[batch[0]])), len(batch)
        inputs, targets = np.full((2, longest, B), IGNORE, np.int64)
        for column, index in enumerate(batch):
            own, size = sequences[index], len(sequences[index])
            targets[:size, column] = own
            inputs[:size, column] = np.append(begun[index][-1], own[:-1])[:size]
        state = np.concatenate([after[begun[index].tobytes()] for index in batch], axis=-1)
        steps = max(1, min(_STEPS, longest, _NUMBERS // (B * model.vocab_size)))
        steps, _ = chunk_shape(model, steps, B)
        unrolled, parts = model.unroll(steps, B), []
        for start in range(0, longest, steps):
            workers.check()
            chunk = slice(start, start + steps)
            found, state = look(unrolled, inputs[chunk], targets[chunk], state)
            parts.append(found)
        whole = [np.concatenate(part) for part in zip(*parts, strict=True)]
        return [
            [each[: len(sequences[index]), column] for each in whole]
            for column, index in enumerate(batch)
        ]

    batches = [order[first : first + width] for first in range(0, len(order), width)]
    results: list[list[Array]] = [[]] * len(sequences)
    for batch, found in zip(batches, workers.map(run, batches), strict=True):
        for index, each in zip(batch, found, strict=True):
            results[index] = each
    return results


def _state_after(model: LanguageModel, tokens: Array) -> Array:
    """The state (..., 1) after the tokens of a document, <EOS> first; zero after none."""
    steps, _ = chunk_shape(model, max(1, min(_STEPS, len(tokens))), 1)
    unrolled, state = model.unroll(steps, 1), model.zero_state(1)
    for start in range(0, len(tokens), steps):
        state = unrolled.run(tokens[start : start + steps, None], state)
    return state
