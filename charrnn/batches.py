"""The tokens of a training split as batches of streams, pass after pass.

Letters: T steps, B batch size (streams side by side), N tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from charrnn.functional import IGNORE
from charrnn.tokens import Tokens
from charrnn.vocabulary import EOS, UNK

Array = np.ndarray

_SEGMENT = 1 << 18  # tokens drawn at a time


@dataclass(frozen=True)
class Batches:
    """The chunks (inputs, targets) of a training split.

    The tokens of a pass, documents shuffled, form a ring. B streams start at equal distances on
    it, at an offset drawn anew for each pass, and each reads T tokens at a time until it arrives
    where the next one started. They are read some chunks at a time, which are a segment; what is
    drawn depends on the seed and on the numbers of pass and segment alone.

    Args:
        tokens: (N,) ids, each document ending with <EOS> or IGNORE.
        unk_rate: share of the tokens read as <UNK>, drawn afresh in each pass.
        restart_rate: share of the chunks of a stream in which it starts afresh once.
        line_end: the token after which such a restart is placed, if the chunk has one.
    """

    tokens: Tokens | Array
    batch_size: int
    seq_len: int
    seed: int
    unk_rate: float = 0.0
    restart_rate: float = 0.0
    line_end: int = IGNORE

    @property
    def steps_per_epoch(self) -> int:
        """Chunks that a pass takes."""
        return -(-len(self.tokens) // (self.batch_size * self.seq_len))

    def epoch(self, number: int, start_step: int = 0) -> Iterator[tuple[Array, Array]]:
        """The chunks of one pass: inputs (T, B), the token before each target, and targets.

        Args:
            start_step: how many chunks to leave out at the start.
        """
        T, steps = self.seq_len, self._steps_per_segment
        rng = np.random.default_rng((self.seed, number))
        ring = self._source.shuffled(rng)
        starts = rng.integers(len(ring)) + np.arange(self.batch_size) * len(ring) // self.batch_size

        def segment(index: int) -> tuple[Array, Array]:
            rng = np.random.default_rng((self.seed, number, 2 + index))  # it starts at -1
            return self._draw(ring, starts + index * steps * T, rng)

        before, _ = segment(start_step // steps - 1)
        for index in range(start_step // steps, -(-self.steps_per_epoch // steps)):
            tokens, restarts = segment(index)
            tokens, before = np.concatenate([before[-1:], tokens]), tokens
            end = min((index + 1) * steps, self.steps_per_epoch)
            for step in range(max(start_step, index * steps), end):
                chunk = tokens[step % steps * T :][: T + 1]
                inputs, targets = chunk[:-1].copy(), chunk[1:]
                self._restart(inputs, restarts[step % steps])
                yield inputs, targets

    @cached_property
    def _source(self) -> Tokens:
        return self.tokens if isinstance(self.tokens, Tokens) else Tokens.of(self.tokens)

    @property
    def _steps_per_segment(self) -> int:
        chunk = self.batch_size * self.seq_len
        return min(max(1, _SEGMENT // chunk), self.steps_per_epoch)

    def _draw(self, ring: Tokens, starts: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """A segment that begins at `starts` (B,): tokens, some of them <UNK>, and what restarts.

        Returns:
            Ids (steps * T, B), and for each chunk of a stream whether it restarts (steps, B).
        """
        steps = self._steps_per_segment
        length = steps * self.seq_len
        tokens = np.stack([ring.read(start, start + length) for start in starts.tolist()], axis=1)
        places = rng.integers(tokens.size, size=rng.binomial(tokens.size, self.unk_rate))
        flat = tokens.reshape(-1)
        flat[places] = np.where(flat[places] > EOS, UNK, flat[places])
        return tokens, rng.random((steps, self.batch_size)) < self.restart_rate

    def _restart(self, inputs: Array, chosen: Array) -> None:
        for column in np.flatnonzero(chosen):
            line_ends = np.flatnonzero(inputs[:, column] == self.line_end)
            inputs[line_ends[0] if line_ends.size else 0, column] = EOS
