"""The gradient of a batch, whose shares threads and processes work on side by side.

Letters: T steps, B batch size (streams side by side).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from charrnn.config import TrainConfig
from charrnn.errors import ConfigError, setting
from charrnn.ids import IGNORE
from charrnn.network.draws import Draws
from charrnn.ngrams.residual import Network
from charrnn.parallel.processes import ALONE, World
from charrnn.parallel.threads import Workers
from charrnn.training.batches import Chunk
from charrnn.training.scheduled_sampling import ScheduledSampling

Array = np.ndarray

_SHARD_COLUMNS = 16  # narrower shards lose more than a second thread wins
_MOST_COLUMNS = 64  # wider ones win nothing more


@dataclass(frozen=True)
class _Piece:
    """What one thread works on: columns of one shard that are this process's.

    Args:
        shard: which one.
        columns: which of this process's columns.
    """

    shard: int
    columns: slice
    dropout: Draws
    sampling: Draws


class Shards:
    """A model unrolled once for each share of the batch, so that threads can work side by side.

    How a batch is cut into shards depends on its size alone; each has random generators of its own,
    and gradients are summed in the order of the shards: the number of threads changes no result.
    Processes share the columns evenly. Where they cut through a shard, each draws for all of its
    columns, so that their number changes nothing but the rounding of sums.

    Raises:
        ConfigError: there are more processes than columns.
    """

    def __init__(self, model: Network, config: TrainConfig, world: World = ALONE) -> None:
        if config.batch_size < world.size:
            raise ConfigError(
                f"{setting('batch_size')} must be at least {world.size}, a stream for each "
                f"process, not {config.batch_size}"
            )
        self.world, self.batch_size = world, config.batch_size
        self.pieces = list(_pieces(config, world.share(config.batch_size)))
        sizes = [piece.columns.stop - piece.columns.start for piece in self.pieces]
        self.unrolled = [model.unroll(config.seq_len, size, training=True) for size in sizes]
        self.sampling = [
            ScheduledSampling(model, size, piece.sampling)
            for size, piece in zip(sizes, self.pieces, strict=True)
        ]

    @property
    def num_streams(self) -> int:
        """How many columns are this process's."""
        return int(self.pieces[-1].columns.stop)

    def generators(self) -> dict[str, Any]:
        """The states of all generators that draw anything in training, by the shard."""
        own = {
            str(piece.shard): [draws.rng.bit_generator.state for draws in _draws(piece)]
            for piece in self.pieces
        }
        return {shard: states for part in self.world.gather(own) for shard, states in part.items()}

    def restore(self, generators: Mapping[str, Sequence[Any]]) -> None:
        """Go on from such states.

        Raises:
            KeyError, TypeError, ValueError: they are none, or not of as many shards.
        """
        for piece in self.pieces:
            for draws, state in zip(_draws(piece), generators[str(piece.shard)], strict=True):
                draws.rng.bit_generator.state = state

    def gradient(
        self, chunks: Sequence[Chunk], state: Array, workers: Workers, drawn: float = 0.0
    ) -> tuple[float, int, Array, Array]:
        """Forward and backward passes over chunks that follow each other.

        The columns of all arrays are those of this process.

        Args:
            chunks: inputs (T, B) and targets (T, B) of each, ids.
            state: (num_layers, num_states, H, B) before the first one.
            drawn: the share of the inputs that the model draws itself.

        Returns:
            The sum of the loss in nats and the number of targets, both of all processes, the
            gradient of the mean loss as one vector (a work buffer that the next call overwrites),
            and the state after the last chunk.
        """
        usual = self.batch_size * sum(len(targets) for _, targets in chunks)  # few are IGNORE

        def run(piece: int) -> tuple[float, Array, Array]:
            return self._piece_gradient(piece, chunks, state, 1 / usual, drawn)

        results = workers.map(run, range(len(self.pieces)))
        (nats, gradient, _), *others = results
        for other in others:
            gradient += other[1]
        tokens = sum(int(np.count_nonzero(targets != IGNORE)) for _, targets in chunks)
        sums = np.array([math.fsum(nats for nats, _, _ in results), tokens])
        self.world.sum(sums)
        self.world.sum(gradient)
        nats, tokens = float(sums[0]), int(sums[1])
        if 0 < tokens < usual:
            gradient *= usual / tokens
        return nats, tokens, gradient, np.concatenate([state for *_, state in results], axis=-1)

    def _piece_gradient(
        self, piece: int, chunks: Sequence[Chunk], state: Array, scale: float, drawn: float
    ) -> tuple[float, Array, Array]:
        """Nats, gradient and state of the columns of one piece."""
        columns, unrolled = self.pieces[piece].columns, self.unrolled[piece]
        state, sums, total = state[..., columns], [], unrolled.gradients.flat
        for number, (inputs, targets) in enumerate(chunks):
            inputs, targets = inputs[:, columns], targets[:, columns]
            if drawn > 0:
                inputs = self.sampling[piece].replace(inputs, state, drawn)
            nats, state, _ = unrolled.gradient(
                inputs, targets, state, scale=scale, dropout=self.pieces[piece].dropout
            )
            sums.append(float(nats.sum(dtype=np.float64)))
            if number:
                total += unrolled.gradients.flat
            elif len(chunks) > 1:
                total = unrolled.gradients.flat.copy()
        return math.fsum(sums), total, state


def _pieces(config: TrainConfig, own: slice) -> Iterator[_Piece]:
    """The parts of all shards that lie in these columns."""
    B = config.batch_size
    shards = max(min(2, B // _SHARD_COLUMNS), -(-B // _MOST_COLUMNS), 1)
    edges = [B * shard // shards for shard in range(shards + 1)]
    rng = np.random.default_rng(config.seed)
    dropouts, samplings = rng.spawn(shards), rng.spawn(shards)
    for shard, (start, stop) in enumerate(pairwise(edges)):
        first, last = max(start, own.start), min(stop, own.stop)
        if first < last:
            wanted = slice(first - start, last - start), stop - start
            yield _Piece(
                shard,
                slice(first - own.start, last - own.start),
                Draws(dropouts[shard], wanted),
                Draws(samplings[shard], wanted),
            )


def _draws(piece: _Piece) -> tuple[Draws, Draws]:
    return piece.dropout, piece.sampling
