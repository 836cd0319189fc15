"""Predict many token sequences side by side: log P of their tokens, and the loss of a split.

Letters: T steps, B batch size (sequences side by side), V vocabulary size, N tokens.
"""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapreplace
from itertools import chain
from typing import Any

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
_NARROW, _WIDE = 32, 128  # columns side by side: fewer cost more each, more gain nothing
_BATCHES = 4  # batches of columns at least, so that as many threads have work
_COLUMN = 256  # tokens in a column of packed sequences, about
_CHUNK, _MAX_STEPS = 1024, 128  # most predictions and most steps of a chunk, to fit the caches
_WINDOWS, _WINDOW_STEPS = 256, 16  # windows side by side, and steps at a time
_MAX_NUMBERS = 1 << 24  # limit of the work buffers of a chunk (64 MB)
_PIECES = 64  # into which `evaluate` cuts a split
_MEASURED = 64  # tokens of each piece that `measured_part` takes
BURN_IN = 256  # tokens read but not counted before a place where a document is cut


def chunk_shape(model: LanguageModel, steps: int, columns: int) -> tuple[int, int]:
    """Return steps and columns reduced until the work buffers fit their limit.

    One-hot input counts as V numbers. Steps are reduced first, because that costs less time.
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
    """Compute log P of every token of every sequence, given the tokens before it.

    Each sequence starts from zero state and zero input; sequences do not see each other.

    Args:
        model: the model.
        sequences: arrays (N,) of ids; IGNORE is not predicted.
        workers: threads that share the work.
        pasts: the tokens before each sequence, at least <EOS>. The last one is the first input; the
            memory of a mixture holds the others, and other models ignore them.

    Returns:
        A float64 array (N,) of nats for each sequence, in order; 0 for IGNORE.
    """
    before = [_START] * len(sequences) if pasts is None else pasts
    columns, width = _packed([*map(len, sequences)], [len(each) > 1 for each in before])
    _, width = chunk_shape(model, 1, width)
    batches = [columns[i : i + width] for i in range(0, len(columns), width)]
    idle = defaultdict[tuple[int, int], list[Any]](list)  # work buffers, by their shape

    def run(batch: list[list[int]]) -> list[Array]:
        columns = [[(before[index], sequences[index]) for index in column] for column in batch]
        longest = sum(len(sequence) for _, sequence in columns[-1])
        steps = min(longest, _MAX_STEPS, _CHUNK // len(batch))
        shape = chunk_shape(model, max(1, steps), len(batch))
        try:
            unrolled = idle[shape].pop()
        except IndexError:
            unrolled = model.unroll(*shape)
        found = _batch_log_probs(model, unrolled, columns, shape[0], workers)
        idle[shape].append(unrolled)
        return found

    results: list[Array] = [np.empty(0)] * len(sequences)
    # The longest first, so that all threads finish at about the same time.
    for batch, found in zip(batches[::-1], workers.map(run, batches[::-1]), strict=True):
        for index, log_probs in zip(chain.from_iterable(batch), found, strict=True):
            results[index] = log_probs
    return results


def _packed(lengths: Sequence[int], continued: Sequence[bool]) -> tuple[list[list[int]], int]:
    """Pack many sequences end to end into columns of about the same length.

    The longest sequence left goes to the shortest column so far (Graham 1969).

    Args:
        lengths: of the sequences.
        continued: which sequences have a past; such a sequence must come first in its column.

    Returns:
        The numbers of the sequences in each column, the shortest column first, and the number of
        columns to read side by side.
    """
    wanted = max(1, min(len(lengths), math.ceil(sum(lengths) / _COLUMN)))
    batches = _BATCHES * math.ceil(wanted / (_BATCHES * _WIDE))
    number = batches * _NARROW * math.ceil(wanted / batches / _NARROW)
    number = min(len(lengths), max(number, sum(continued)))
    columns = [(0, column, list[int]()) for column in range(number)]
    for index in sorted(range(len(lengths)), key=lambda at: (not continued[at], -lengths[at])):
        length, column, own = columns[0]
        own.append(index)
        heapreplace(columns, (length + lengths[index], column, own))
    width = min(_WIDE, max(_NARROW, math.ceil(number / batches)))
    return [own for *_, own in sorted(columns)], width


def _batch_log_probs(
    model: LanguageModel,
    unrolled: Any,
    columns: list[list[tuple[Array, Array]]],
    steps: int,
    workers: Workers,
) -> list[Array]:
    """Compute log P of the tokens of sequences that are packed into columns.

    Columns that have ended leave the batch once they are half of it.

    Args:
        model: the model.
        unrolled: the model with work buffers for `steps` steps of all columns.
        columns: pasts and sequences, the shortest column first.
        steps: of a chunk.
        workers: checked for an error of another batch.

    Returns:
        An array of nats for each sequence, column by column.
    """
    pasts, sequences = zip(*chain.from_iterable(columns), strict=True)
    ends = np.cumsum([0, *map(len, sequences)])
    inputs = np.concatenate([_START, *sequences], dtype=np.int32)
    tokens, found = inputs[1:].copy(), np.empty(len(inputs) - 1)
    inputs[ends[:-1]] = [past[-1] for past in pasts]
    lengths = [sum(len(sequence) for _, sequence in column) for column in columns]
    stops = np.cumsum(lengths)
    first, B, state = 0, len(columns), state_after(model, [column[0][0] for column in columns])
    for start in range(0, lengths[-1], steps):
        workers.check()
        ended = bisect_right(lengths, start) - first
        if 2 * ended >= B:
            first, B, state = first + ended, B - ended, state[..., ended:]
            unrolled = model.unroll(steps, B)
        T = min(steps, lengths[-1] - start)
        places = np.arange(start, start + T)[:, None] + (stops - lengths)[first:]
        inside = places < stops[first:]
        places = np.minimum(places, len(tokens) - 1)
        targets = np.where(inside, tokens[places], IGNORE)
        log_probs, state = unrolled.log_probs(inputs[places], targets, state)
        found[places[inside]] = log_probs[inside]
    return np.split(found, ends[1:-1])


def past(read: Callable[[slice], Array], place: int) -> Array:
    """Return the tokens that a mixture remembers before a place of a document, from <EOS> on.

    Args:
        read: returns a part of the document.
        place: the place.
    """
    if place >= MEMORY:
        return read(slice(place - MEMORY, place))
    return np.append(EOS, read(slice(0, place))) if place > 0 else _START


def state_after(model: LanguageModel, pasts: Sequence[Array]) -> Array:
    """Return the zero state; the memory of a mixture holds each past except its last token."""
    if isinstance(model, Mixed):
        return model.remembering([past[:-1] for past in pasts])
    return model.zero_state(len(pasts))


def window_log_probs(
    model: Network | Mixed,
    sequences: Sequence[Array],
    context: int,
    workers: Workers,
) -> list[Array]:
    """Compute log P of every token given only the last `context` tokens, from zero state.

    The window begins with zero input only where it reaches the start of the sequence.

    Args:
        model: a network or a mixture.
        sequences: arrays (N,) of ids.
        context: tokens that each prediction sees.
        workers: threads that share the work.

    Returns:
        A float64 array of nats for each sequence.
    """
    if not sequences:
        return []
    lengths = np.array([*map(len, sequences)])
    tokens, ends = np.concatenate(sequences), np.cumsum(lengths)
    starts = np.repeat(ends - lengths, lengths)  # of the sequence of each token
    context = min(context, int(lengths.max()))
    steps, columns = chunk_shape(model, min(_WINDOW_STEPS, context), _WINDOWS)

    def run(first: int) -> Array:
        places = np.arange(first, min(first + columns, len(tokens)))
        own, unrolled = starts[places], model.unroll(steps, len(places))

        def inputs(start: int, stop: int) -> Array:
            workers.check()
            before = places - context + np.arange(start, stop)[:, None]
            # <EOS> before the first input changes nothing, so all windows can have one length.
            return np.where(before >= own, tokens[before], EOS)

        state, last = model.zero_state(len(places)), context - 1
        for start in range(0, last, steps):
            state = unrolled.run(inputs(start, min(start + steps, last)), state)
        log_probs, _ = unrolled.log_probs(inputs(last, context), tokens[places][None], state)
        return np.asarray(log_probs[0], np.float64)

    found = workers.map(run, range(0, len(tokens), columns))
    return np.split(np.concatenate([np.empty(0), *found]), ends[:-1])


def stream_chunks(edges: Array, steps: int, burn_in: int) -> Iterator[tuple[Array, Array]]:
    """Cut a text into streams to read side by side: yield the places of each chunk.

    Each stream begins `burn_in` tokens early, so that its state is up to date at its first edge.

    Args:
        edges: (B + 1,) places in the text that delimit the streams.
        steps: T, of a chunk.
        burn_in: tokens to read but not count.

    Yields:
        Places (T, B), negative before the text, and whether each place counts.
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


def measured_part(tokens: Array) -> tuple[list[Array], list[Array], float]:
    """Choose a part of a split to measure how long `evaluate` takes.

    Returns:
        Sequences, their pasts, and how many times longer the split is.
    """
    sequences, _, pasts = _pieces(tokens, _PIECES)
    first = max(0, len(sequences) // 2 - _NARROW)  # of medium length, as typical for `evaluate`
    by_length = sorted(range(len(sequences)), key=lambda at: len(sequences[at]))
    chosen = by_length[first : first + 2 * _NARROW]
    part = [sequences[at][:_MEASURED] for at in chosen]
    return part, [pasts[at] for at in chosen], sum(map(len, sequences)) / sum(map(len, part))


def evaluate(
    model: LanguageModel,
    split: Encoded,
    workers: Workers,
    *,
    count_eos: bool,
    pieces: int = _PIECES,
) -> Evaluation:
    """Compute the loss of a model over a split.

    Long documents are cut into pieces that run side by side, each with a burn-in: the BURN_IN
    tokens before it are read but not counted. The processes of a run share the pieces.

    Args:
        model: the model.
        split: the tokens.
        workers: threads and processes that share the work.
        count_eos: whether the ends of documents count.
        pieces: about how many pieces to make; 1 cuts nothing.
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
    """Cut documents into about `number` pieces; 1 cuts nothing.

    Returns:
        The pieces with their burn-ins, the length of each burn-in, and the past before it.
    """
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
