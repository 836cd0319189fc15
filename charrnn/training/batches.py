"""Cut the tokens of a training split into chunks of B parallel streams, pass after pass.

Letters: T steps, B batch size (streams side by side), N tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice

import numpy as np

from charrnn.config import TrainConfig
from charrnn.ids import EOS, IGNORE, UNK
from charrnn.text.tokens import Tokens

Array = np.ndarray
Chunk = tuple[Array, Array]  # inputs (T, B) and targets (T, B)

_SEGMENT = 1 << 20  # tokens drawn at a time
_LOOKED_AT = 1 << 20  # tokens in which beginnings of paragraphs and lines are counted
_RARE = 4096  # tokens per beginning; rarer ones are too few to learn from
_ANYWHERE, _LINES, _PARAGRAPHS = range(3)  # where to restart; the number of newlines before


@dataclass(frozen=True)
class Batches:
    """The chunks (inputs, targets) of a training split.

    The tokens of a pass, documents shuffled, form a ring. B streams start at equal distances on
    it, at an offset that is new in each pass, and read T tokens at a time until each arrives where
    the next one started. The tokens are looked up in segments of many chunks. Random draws depend
    only on the seed, the number of the pass and the place of the segment.

    Args:
        tokens: (N,) ids, each document followed by <EOS> or IGNORE.
        config: B, T, the chunks of a step, the seed, `unk_rate` and `restart_rate`. A restart
            resets the state where a paragraph begins, where a line begins if the text has no
            paragraphs, or anywhere if it has no lines.
        line_end: the token of a newline; IGNORE if the text has none.
        streams: which of the B streams to read; None for all.
        held: places of tokens that are inputs but not targets; None for none.
    """

    tokens: Tokens | Array
    config: TrainConfig
    line_end: int = IGNORE
    streams: slice | None = None
    held: slice | None = None

    @property
    def chunks_per_epoch(self) -> int:
        """Number of chunks of a pass."""
        return -(-len(self.tokens) // (self.config.batch_size * self.config.seq_len))

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps of a pass, of `config.accumulate` chunks each; the last may have less."""
        return -(-self.chunks_per_epoch // self.config.accumulate)

    def steps(self, start: int = 0) -> Iterator[list[Chunk]]:
        """Yield the chunks of each step, pass after pass, without end.

        Args:
            start: steps to skip.
        """
        first, done = divmod(start, self.steps_per_epoch)
        size = self.config.accumulate
        for number in count(first):
            chunks = self.epoch(number, done * size)
            while step := list(islice(chunks, size)):
                yield step
            done = 0

    def epoch(self, number: int, start_chunk: int = 0) -> Iterator[Chunk]:
        """Yield the chunks of one pass: inputs (T, B), the token before each target, and targets.

        If only some streams are read, chunks have the columns of these.

        Args:
            number: of the pass, from 0.
            start_chunk: chunks to skip.
        """
        B, T, seed = self.config.batch_size, self.config.seq_len, self.config.seed
        rng = np.random.default_rng((seed, number))
        ring = self._source.shuffled(rng)
        starts = rng.integers(len(ring)) + np.arange(B) * len(ring) // B
        most = max(1, _SEGMENT // (B * T))  # chunks of a segment
        for first in range(0, self.chunks_per_epoch, most):
            chunks = min(most, self.chunks_per_epoch - first)
            if first + chunks <= start_chunk:
                continue
            rng = np.random.default_rng((seed, number, 1 + first))
            tokens = self._draw(ring, starts + first * T, chunks * T, rng)
            held = self._is_held(ring, starts + first * T, chunks * T)
            restarts = (rng.random((chunks, B)) < self._restarts[1])[:, self._columns]
            for chunk in range(max(0, start_chunk - first), chunks):
                read = tokens[chunk * T :][: T + 1]
                inputs, targets = read[:-1].copy(), read[1:]
                self._restart(inputs, targets, restarts[chunk])
                yield inputs, np.where(held[chunk * T :][:T], IGNORE, targets)

    @property
    def _columns(self) -> slice:
        return slice(None) if self.streams is None else self.streams

    @cached_property
    def _source(self) -> Tokens:
        return self.tokens if isinstance(self.tokens, Tokens) else Tokens.of(self.tokens)

    def _draw(self, ring: Tokens, starts: Array, length: int, rng: np.random.Generator) -> Array:
        """Return the token before `starts` (B,) and `length` more: (1 + length, B), some <UNK>."""
        own = range(len(starts))[self._columns]
        tokens = ring.side_by_side(starts[self._columns] - 1, length + 1)
        # The first and the last row belong to the neighbouring segments, too.
        inner, size = tokens[1:-1], (length - 1) * len(starts)
        places = rng.integers(max(1, size), size=rng.binomial(size, self.config.unk_rate))
        rows, columns = np.divmod(places, len(starts))
        read = (columns >= own.start) & (columns < own.stop)
        rows, columns = rows[read], columns[read] - own.start
        inner[rows, columns] = np.where(inner[rows, columns] > EOS, UNK, inner[rows, columns])
        return tokens

    def _is_held(self, ring: Tokens, starts: Array, length: int) -> Array:
        """Return which of `length` tokens from each of `starts` (B,) on are held: (length, B)."""
        if self.held is None:
            return np.zeros((length, len(starts[self._columns])), bool)
        own = self._source.spans.places(self.held.start, self.held.stop)
        places = ring.places_side_by_side(starts[self._columns], length)
        found: Array = (places >= own.min()) & (places <= own.max())
        return found

    @cached_property
    def _restarts(self) -> tuple[int, float]:
        """Where to restart, and in what fraction of the chunks that have such a place."""
        if self.config.restart_rate and self.line_end != IGNORE:
            tokens = self._source.slice(0, min(len(self.tokens), _LOOKED_AT))
            seq_len = self.config.seq_len
            for kind in (_PARAGRAPHS, _LINES):
                places = np.flatnonzero(self._begins(tokens[:-1], tokens[1:], kind))
                if places.size * _RARE >= len(tokens):
                    share = len(np.unique(places // seq_len)) * seq_len / len(tokens)
                    return kind, min(1.0, self.config.restart_rate / share)
        return _ANYWHERE, self.config.restart_rate

    def _begins(self, before: Array, after: Array, kind: int) -> Array:
        """Return between which tokens (N,) a paragraph or a line begins."""
        found: Array = (before == self.line_end) & (after != self.line_end) & (after > EOS)
        if kind == _PARAGRAPHS:
            found[1:] &= before[:-1] == self.line_end
            found[:1] = False  # the token before is unknown
        return found

    def _restart(self, inputs: Array, targets: Array, chosen: Array) -> None:
        kind, _ = self._restarts
        for column in np.flatnonzero(chosen):
            begins = self._begins(inputs[:, column], targets[:, column], kind)
            if kind == _ANYWHERE or begins.any():
                inputs[begins.argmax(), column] = EOS
