"""How well a model predicts token sequences: the forward pass over many of them side by side.

Letters: T steps, B batch size (sequences side by side), V vocabulary size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from charrnn.functional import IGNORE
from charrnn.ngram import NGram
from charrnn.parallel import Workers
from charrnn.residual import Network
from charrnn.tokens import Encoded, split_documents
from charrnn.vocabulary import EOS, UNK

Array = np.ndarray

Model = Network | NGram

_COLUMNS = 32  # sequences side by side
_MAX_STEPS = 32  # so that the work buffers stay small
_WINDOWS, _WINDOW_STEPS = 256, 16  # windows side by side, and steps of them at a time
_PIECES = 64  # of a split that is evaluated
_MEASURED = 64  # tokens of each piece that is measured
BURN_IN = 256  # tokens that bring the state of a cut document's piece up to date


def token_log_probs(model: Model, sequences: Sequence[Array], workers: Workers) -> list[Array]:
    """log P of every token of every sequence given those before it, by the chain rule.

    Each sequence starts from zero state and zero input, and none is seen by another.

    Args:
        sequences: arrays of ids; IGNORE is not predicted.

    Returns:
        float64 arrays of nats, as long as the sequences, in their order; 0 for IGNORE.
    """
    by_length = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    batches = [by_length[i : i + _COLUMNS] for i in range(0, len(by_length), _COLUMNS)]

    def run(batch: list[int]) -> list[Array]:
        return _batch_log_probs(model, [sequences[index] for index in batch])

    results: list[Array] = [np.empty(0)] * len(sequences)
    # The longest first, so that the threads end at about the same time.
    for batch, found in zip(batches[::-1], workers.map(run, batches[::-1]), strict=True):
        for index, log_probs in zip(batch, found, strict=True):
            results[index] = log_probs
    return results


def _batch_log_probs(model: Model, sequences: list[Array]) -> list[Array]:
    B, longest = len(sequences), max(map(len, sequences))
    tokens = np.full((longest + 1, B), IGNORE, np.int32)
    tokens[0] = EOS
    for column, sequence in enumerate(sequences):
        tokens[1 : len(sequence) + 1, column] = sequence
    T = max(1, min(_MAX_STEPS, longest))
    unrolled, state = model.unroll(T, B), model.zero_state(B)
    log_probs = np.empty((longest, B))
    for start in range(0, longest, T):
        end = min(start + T, longest)
        inputs, targets = tokens[start:end], tokens[start + 1 : end + 1]
        log_probs[start:end], state = unrolled.log_probs(inputs, targets, state)
    return [log_probs[: len(sequence), column] for column, sequence in enumerate(sequences)]


def window_log_probs(
    model: Network, sequences: Sequence[Array], context: int, workers: Workers
) -> list[Array]:
    """log P of every token from zero state after the last `context` tokens only.

    The zero first input comes only where the window reaches the start of the sequence.

    Args:
        sequences: arrays of ids.

    Returns:
        float64 arrays of nats, as long as the sequences.
    """
    if not any(map(len, sequences)):
        return [np.empty(0) for _ in sequences]
    # A row of <EOS> before the first input changes nothing, so that all windows have one length.
    context = min(context, max(map(len, sequences)))  # more reach no further
    start = np.full(context, EOS)
    padded = [np.concatenate([start, sequence[:-1]]) for sequence in sequences if len(sequence)]
    windows = np.concatenate([sliding_window_view(inputs, context) for inputs in padded])
    targets = np.concatenate([sequence for sequence in sequences if len(sequence)])

    def run(first: int) -> Array:
        part = slice(first, first + _WINDOWS)
        return _last_log_probs(model, windows[part].T, targets[part])

    found = np.concatenate(workers.map(run, range(0, len(targets), _WINDOWS)))
    return np.split(found, np.cumsum([len(sequence) for sequence in sequences])[:-1])


def _last_log_probs(model: Network, inputs: Array, targets: Array) -> Array:
    """log P (B,) of the target after the last of the inputs (T, B), from zero state."""
    T, B = inputs.shape
    steps = min(T, _WINDOW_STEPS)
    unrolled, state = model.unroll(steps, B), model.zero_state(B)
    for start in range(0, T - 1, steps):
        state = unrolled.run(inputs[start : min(start + steps, T - 1)], state)
    log_probs, _ = unrolled.log_probs(inputs[-1:], targets[None], state)
    last: Array = log_probs[0]
    return last


@dataclass(frozen=True)
class Evaluation:
    """The loss of a model over a whole split."""

    nats: float  # -log P of all tokens
    chars: int  # characters, and each <EOS> that counts
    unk: int  # tokens outside the vocabulary
    tokens: int  # predicted

    @property
    def loss(self) -> float:
        """Nats per character."""
        return self.nats / self.chars

    @property
    def bits_per_char(self) -> float:
        """Bits per character."""
        return self.loss / math.log(2)


def measured_part(tokens: Array) -> tuple[list[Array], float]:
    """Sequences to measure how long `evaluate` takes, and the size of the split by theirs."""
    sequences, _ = _pieces(tokens, _PIECES)
    first = max(0, len(sequences) // 2 - _COLUMNS)  # of about the same length, as in `evaluate`
    chosen = sorted(sequences, key=len)[first : first + 2 * _COLUMNS]
    part = [sequence[:_MEASURED] for sequence in chosen]
    return part, sum(map(len, sequences)) / sum(map(len, part))


def evaluate(
    model: Model, split: Encoded, workers: Workers, *, count_eos: bool, pieces: int = _PIECES
) -> Evaluation:
    """The loss over a split, state carried through every document.

    Long documents are cut, to run side by side; each piece is preceded by the last BURN_IN tokens
    before it, which are fed and not counted. The processes of a run share the pieces.

    Args:
        count_eos: whether the ends of documents count.
        pieces: about how many pieces to make, 1 to cut nothing.
    """
    tokens = split.tokens if count_eos else np.where(split.tokens == EOS, IGNORE, split.tokens)
    sequences, skips = _pieces(tokens, pieces)
    world = workers.world
    own = slice(world.rank, None, world.size)
    found = token_log_probs(model, sequences[own], workers)
    sums = [float(part[skip:].sum()) for part, skip in zip(found, skips[own], strict=True)]
    return Evaluation(
        nats=-math.fsum(chain.from_iterable(world.gather(sums))),
        chars=split.count(eos=count_eos),
        unk=int(np.count_nonzero(tokens == UNK)),
        tokens=int(np.count_nonzero(tokens != IGNORE)),
    )


def _pieces(tokens: Array, number: int) -> tuple[list[Array], list[int]]:
    """About so many pieces of the documents, 1 to cut none, and how much of each is only fed."""
    size = max(math.ceil(len(tokens) / number), 4 * BURN_IN)
    sequences, skips = [], []
    for document in split_documents(tokens):
        for start in range(0, len(document), size if number > 1 else len(document)):
            skip = min(start, BURN_IN)
            skips.append(skip)
            sequences.append(document[start - skip : start + size if number > 1 else None])
    return sequences, skips
