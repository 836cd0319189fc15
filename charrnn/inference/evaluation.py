"""How well a model predicts token sequences: the forward pass over many of them side by side.

Letters: T steps, B batch size (sequences side by side), V vocabulary size.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from charrnn.ids import EOS, IGNORE, UNK
from charrnn.inference.units import bits
from charrnn.mixing.mixed import MEMORY, LanguageModel, Mixed
from charrnn.network.parameters import input_size, state_shape
from charrnn.ngrams.ngram import NGram
from charrnn.ngrams.residual import Network
from charrnn.parallel.threads import Workers
from charrnn.text.tokens import Encoded, split_documents

Array = np.ndarray

_START = np.array([EOS])  # the input before a sequence
_COLUMNS = 32  # sequences side by side
_MAX_STEPS = 32  # so that the work buffers stay small
_WINDOWS, _WINDOW_STEPS = 256, 16  # windows side by side, and steps of them at a time
_MAX_NUMBERS = 1 << 24  # in the work buffers of a chunk (64 MB), however large the vocabulary
_PIECES = 64  # of a split that is evaluated
_MEASURED = 64  # tokens of each piece that is measured
BURN_IN = 256  # tokens that bring the state up to date where a document is cut; not counted


def chunk_shape(model: LanguageModel, steps: int, columns: int) -> tuple[int, int]:
    """Reduce steps and columns to what fits the work buffers, one-hot input counted as V numbers.

    Steps are reduced first, because fewer steps cost less time than fewer columns.
    """
    if isinstance(model, NGram):
        return steps, columns
    config = model.config
    layers, _, state_size = state_shape(config)
    room = max(1, _MAX_NUMBERS // (input_size(config, 0) + 2 * layers * state_size))
    columns = min(columns, room)
    return max(1, min(steps, room // columns)), columns


def token_log_probs(
    model: LanguageModel,
    sequences: Sequence[Array],
    workers: Workers,
    pasts: Sequence[Array] | None = None,
) -> list[Array]:
    """Compute log P of every token of every sequence given those before it, by the chain rule.

    Each sequence starts from zero state and zero input, and none is seen by another.

    Args:
        sequences: arrays of ids; IGNORE is not predicted.
        pasts: what stands before each sequence, <EOS> at least. Its last token is the first input,
            and a mixture remembers it; networks and n-grams read nothing else of it.

    Returns:
        float64 arrays of nats, as long as the sequences, in their order; 0 for IGNORE.
    """
    _, columns = chunk_shape(model, 1, _COLUMNS)
    by_length = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    batches = [by_length[i : i + columns] for i in range(0, len(by_length), columns)]
    before = [_START] * len(sequences) if pasts is None else pasts

    def run(batch: list[int]) -> list[Array]:
        own, past = ([each[index] for index in batch] for each in (sequences, before))
        return _batch_log_probs(model, own, past, workers)

    results: list[Array] = [np.empty(0)] * len(sequences)
    # The longest first, so that the threads end at about the same time.
    for batch, found in zip(batches[::-1], workers.map(run, batches[::-1]), strict=True):
        for index, log_probs in zip(batch, found, strict=True):
            results[index] = log_probs
    return results


def _batch_log_probs(
    model: LanguageModel, sequences: list[Array], pasts: list[Array], workers: Workers
) -> list[Array]:
    """log P of the tokens of a batch of sequences after their pasts, the shortest first.

    The columns that have ended leave the batch as soon as they are half of it.
    """
    lengths = [*map(len, sequences)]
    found = [np.empty(length) for length in lengths]
    read = [
        np.concatenate([past[-1:], sequence], dtype=np.int32)
        for past, sequence in zip(pasts, sequences, strict=True)
    ]
    first, B, longest = 0, len(sequences), lengths[-1]
    T, _ = chunk_shape(model, max(1, min(_MAX_STEPS, longest)), B)
    unrolled, state = model.unroll(T, B), state_after(model, pasts)
    for start in range(0, longest, T):
        workers.check()
        ended = bisect_right(lengths, start) - first
        if 2 * ended >= B:
            first, B, state = first + ended, B - ended, state[..., ended:]
            unrolled = model.unroll(T, B)
        stop = min(start + T, longest)
        tokens = np.full((stop - start + 1, B), IGNORE, np.int32)
        for column, sequence in enumerate(read[first:]):
            part = sequence[start : stop + 1]
            tokens[: len(part), column] = part
        log_probs, state = unrolled.log_probs(tokens[:-1], tokens[1:], state)
        for own, column in zip(found[first:], log_probs.T, strict=True):
            own[start:stop] = column[: max(0, len(own) - start)]
    return found


def past(read: Callable[[slice], Array], place: int) -> Array:
    """What a mixture may remember before a place of a document, <EOS> as its start among it.

    Args:
        read: gives a part of the document.
    """
    if place >= MEMORY:
        return read(slice(place - MEMORY, place))
    return np.append(EOS, read(slice(0, place))) if place > 0 else _START


def state_after(model: LanguageModel, pasts: Sequence[Array]) -> Array:
    """The zero state, in which a mixture remembers all but the last token of each past."""
    if isinstance(model, Mixed):
        return model.remembering([past[:-1] for past in pasts])
    return model.zero_state(len(pasts))


def window_log_probs(
    model: Network | Mixed,
    sequences: Sequence[Array],
    context: int,
    workers: Workers,
    *,
    skip: int = 0,
) -> list[Array]:
    """Compute log P of every token from zero state after the last `context` tokens only.

    The zero first input comes only where the window reaches the start of the sequence.

    Args:
        sequences: arrays of ids.
        skip: tokens at the start of the first sequence that are read and not predicted.

    Returns:
        float64 arrays of nats, as long as the sequences less what is skipped.
    """
    if not sequences:
        return []
    lengths = np.array([*map(len, sequences)])
    tokens, ends = np.concatenate(sequences), np.cumsum(lengths)
    starts = np.repeat(ends - lengths, lengths)  # of the sequence of each token
    context = min(context, int(lengths.max()))  # more reach no further
    steps, columns = chunk_shape(model, min(_WINDOW_STEPS, context), _WINDOWS)

    def run(first: int) -> Array:
        places = np.arange(first, min(first + columns, len(tokens)))
        own, unrolled = starts[places], model.unroll(steps, len(places))

        def inputs(start: int, stop: int) -> Array:
            workers.check()
            before = places - context + np.arange(start, stop)[:, None]
            # Rows of <EOS> before the first input change nothing: all windows have one length.
            return np.where(before >= own, tokens[before], EOS)

        state, last = model.zero_state(len(places)), context - 1
        for start in range(0, last, steps):
            state = unrolled.run(inputs(start, min(start + steps, last)), state)
        log_probs, _ = unrolled.log_probs(inputs(last, context), tokens[places][None], state)
        return np.asarray(log_probs[0], np.float64)

    found = workers.map(run, range(skip, len(tokens), columns))
    return np.split(np.concatenate([np.empty(0), *found]), ends[:-1] - skip)


def stream_chunks(edges: Array, steps: int, burn_in: int) -> Iterator[tuple[Array, Array]]:
    """Yield the places at which the streams of a text are read side by side, `steps` at a time.

    Each stream begins early by the burn-in, so that its state is up to date where it counts.

    Args:
        edges: (B + 1,) places in the text, between which the streams lie.

    Yields:
        Places (T, B), negative before the text, and whether each is between its stream's edges.
    """
    starts, stops = edges[:-1], edges[1:]
    for step in range(-burn_in, int((stops - starts).max()), steps):
        places = np.arange(step, step + steps)[:, None] + starts
        yield places, (places >= starts) & (places < stops)


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
        return bits(self.loss)


def measured_part(tokens: Array) -> tuple[list[Array], float]:
    """Sequences to measure how long `evaluate` takes, and the size of the split by theirs."""
    sequences, _, _ = _pieces(tokens, _PIECES)
    first = max(0, len(sequences) // 2 - _COLUMNS)  # of about the same length, as in `evaluate`
    chosen = sorted(sequences, key=len)[first : first + 2 * _COLUMNS]
    part = [sequence[:_MEASURED] for sequence in chosen]
    return part, sum(map(len, sequences)) / sum(map(len, part))


def evaluate(
    model: LanguageModel,
    split: Encoded,
    workers: Workers,
    *,
    count_eos: bool,
    pieces: int = _PIECES,
) -> Evaluation:
    """The loss over a split, state carried through every document.

    Long documents are cut into pieces that run side by side, each with a burn-in: the BURN_IN
    tokens before it are fed but not counted. The processes of a run share the pieces.

    Args:
        count_eos: whether the ends of documents count.
        pieces: about how many pieces to make, 1 to cut nothing.
    """
    tokens = split.tokens if count_eos else np.where(split.tokens == EOS, IGNORE, split.tokens)
    sequences, skips, pasts = _pieces(tokens, pieces)
    world = workers.world
    own = slice(world.rank, None, world.size)
    found = token_log_probs(model, sequences[own], workers, pasts[own])
    sums = [float(part[skip:].sum()) for part, skip in zip(found, skips[own], strict=True)]
    return Evaluation(
        nats=-math.fsum(chain.from_iterable(world.gather(sums))),
        chars=split.num_chars(eos=count_eos),
        unk=int(np.count_nonzero(tokens == UNK)),
        tokens=int(np.count_nonzero(tokens != IGNORE)),
    )


def _pieces(tokens: Array, number: int) -> tuple[list[Array], list[int], list[Array]]:
    """Cut documents into about `number` pieces, 1 to cut none; with each, its burn-in in tokens,
    and what stands before that."""
    size = max(math.ceil(len(tokens) / number), 4 * BURN_IN)
    sequences, skips, pasts = [], [], []
    for document in split_documents(tokens):
        for start in range(0, len(document), size if number > 1 else len(document)):
            skip = min(start, BURN_IN)
            first = start - skip
            skips.append(skip)
            sequences.append(document[first : start + size if number > 1 else None])
            pasts.append(past(document.__getitem__, first))
    return sequences, skips, pasts
