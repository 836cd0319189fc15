"""The tokens of a training split as batches of streams, pass after pass.

Letters: T steps, B batch size (streams side by side), N tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from charrnn.ids import EOS, IGNORE, UNK
from charrnn.text.tokens import Tokens

Array = np.ndarray

_SEGMENT = 1 << 20  # tokens drawn at a time
_LOOKED_AT = 1 << 20  # tokens that tell how often a paragraph or a line begins
_RARE = 4096  # tokens between two beginnings; where they are rarer, they are too few to learn from
_ANYWHERE, _LINES, _PARAGRAPHS = range(3)  # newlines before a restart


@dataclass(frozen=True)
class Batches:
    """The chunks (inputs, targets) of a training split.

    The tokens of a pass, documents shuffled, form a ring. B streams start at equal distances on
    it, at an offset drawn anew for each pass, and each reads T tokens at a time until it arrives
    where the next one started. The tokens are looked up a segment of many chunks at a time; what
    is drawn depends on the seed, the number of the pass and the place of the segment alone.

    Args:
        tokens: (N,) ids, each document ending with <EOS> or IGNORE.
        unk_rate: share of the tokens read as <UNK>, drawn afresh in each pass.
        restart_rate: share of the chunks of a stream in which it starts afresh once: where a
            paragraph begins, a line if the text has no paragraphs, anywhere if it has no lines.
        line_end: the token of a newline; IGNORE if the text has none.
        streams: which of the B streams are read; None: all.
    """

    tokens: Tokens | Array
    batch_size: int
    seq_len: int
    seed: int
    unk_rate: float = 0.0
    restart_rate: float = 0.0
    line_end: int = IGNORE
    streams: slice | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Chunks that a pass takes."""
        return -(-len(self.tokens) // (self.batch_size * self.seq_len))

    def epoch(self, number: int, start_step: int = 0) -> Iterator[tuple[Array, Array]]:
        """The chunks of one pass: inputs (T, B), the token before each target, and targets.

        Of some streams they are the columns that those of all streams would have.

        Args:
            start_step: how many chunks to leave out at the start.
        """
        B, T = self.batch_size, self.seq_len
        rng = np.random.default_rng((self.seed, number))
        ring = self._source.shuffled(rng)
        starts = rng.integers(len(ring)) + np.arange(B) * len(ring) // B
        steps_per_segment = max(1, _SEGMENT // (B * T))
        for first in range(0, self.steps_per_epoch, steps_per_segment):
            steps = min(steps_per_segment, self.steps_per_epoch - first)
            if first + steps <= start_step:
                continue
            rng = np.random.default_rng((self.seed, number, 1 + first))
            tokens = self._draw(ring, starts + first * T, steps * T, rng)
            restarts = (rng.random((steps, B)) < self._restarts[1])[:, self._columns]
            for step in range(max(0, start_step - first), steps):
                chunk = tokens[step * T :][: T + 1]
                inputs, targets = chunk[:-1].copy(), chunk[1:]
                self._restart(inputs, targets, restarts[step])
                yield inputs, targets

    @property
    def _columns(self) -> slice:
        return slice(None) if self.streams is None else self.streams

    @cached_property
    def _source(self) -> Tokens:
        return self.tokens if isinstance(self.tokens, Tokens) else Tokens.of(self.tokens)

    def _draw(self, ring: Tokens, starts: Array, length: int, rng: np.random.Generator) -> Array:
        """The tokens before `starts` (B,) and `length` more (1 + length, B), some of them <UNK>."""
        own = range(len(starts))[self._columns]
        tokens = ring.side_by_side(starts[self._columns] - 1, length + 1)
        # The first and the last are in the segments beside this one too.
        inner, size = tokens[1:-1], (length - 1) * len(starts)
        places = rng.integers(max(1, size), size=rng.binomial(size, self.unk_rate))
        rows, columns = np.divmod(places, len(starts))
        read = (columns >= own.start) & (columns < own.stop)
        rows, columns = rows[read], columns[read] - own.start
        inner[rows, columns] = np.where(inner[rows, columns] > EOS, UNK, inner[rows, columns])
        return tokens

    @cached_property
    def _restarts(self) -> tuple[int, float]:
        """Where to restart, and in what share of the chunks that have such a place."""
        if self.restart_rate and self.line_end != IGNORE:
            tokens = self._source.slice(0, min(len(self.tokens), _LOOKED_AT))
            for kind in (_PARAGRAPHS, _LINES):
                places = np.flatnonzero(self._begins(tokens[:-1], tokens[1:], kind))
                if places.size * _RARE >= len(tokens):
                    share = len(np.unique(places // self.seq_len)) * self.seq_len / len(tokens)
                    return kind, min(1.0, self.restart_rate / share)
        return _ANYWHERE, self.restart_rate

    def _begins(self, before: Array, after: Array, kind: int) -> Array:
        """Between which tokens (N,) a paragraph or a line begins."""
        found: Array = (before == self.line_end) & (after != self.line_end) & (after > EOS)
        if kind == _PARAGRAPHS:
            found[1:] &= before[:-1] == self.line_end
            found[:1] = False  # what was before is not known
        return found

    def _restart(self, inputs: Array, targets: Array, chosen: Array) -> None:
        kind, _ = self._restarts
        for column in np.flatnonzero(chosen):
            begins = self._begins(inputs[:, column], targets[:, column], kind)
            if kind == _ANYWHERE or begins.any():
                inputs[begins.argmax(), column] = EOS
