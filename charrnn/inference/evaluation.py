"""How well a model predicts token sequences: the forward pass over many of them side by side.

Letters: T steps, B batch size (sequences side by side), V vocabulary size.
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
_NARROW, _WIDE = 32, 128  # columns side by side: fewer cost more each, more win nothing
_BATCHES = 4  # of columns, so that as many threads have work
_COLUMN = 256  # tokens in a column of many sequences, about
_CHUNK, _MAX_STEPS = 1024, 128  # predictions, and steps, between looks; the caches hold them
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
    # The longest first, so that the threads end at about the same time.
    for batch, found in zip(batches[::-1], workers.map(run, batches[::-1]), strict=True):
        for index, log_probs in zip(chain.from_iterable(batch), found, strict=True):
            results[index] = log_probs
    return results


def _packed(lengths: Sequence[int], continued: Sequence[bool]) -> tuple[list[list[int]], int]:
    """Put many sequences one after another into fewer columns of about the same length.

    Each sequence, the longest first, goes to the column that is the shortest so far (Graham 1969).

    Args:
        continued: which sequences have a past; each is the first in a column.

    Returns:
        The numbers of the sequences in each column, the shortest column first; and how many columns
        to read side by side.
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
    """log P of the tokens of sequences that lie one after another in columns.

    The columns that have ended leave the batch as soon as they are half of it.

    Args:
        unrolled: the model with work buffers for chunks of so many steps of all columns.
        columns: pasts and sequences, the shortest column first.
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


def measured_part(tokens: Array) -> tuple[list[Array], list[Array], float]:
    """Sequences to measure how long `evaluate` takes, their pasts, and the size of the split by
    theirs."""
    sequences, _, pasts = _pieces(tokens, _PIECES)
    first = max(0, len(sequences) // 2 - _NARROW)  # of about the same length, as in `evaluate`
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
