"""Data parallelism: compute the gradient of a batch in shards, on threads and processes.

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
from charrnn.parallel.helpers import Helpers, shared_zeros
from charrnn.parallel.processes import ALONE, World
from charrnn.parallel.threads import Workers
from charrnn.training.batches import Chunk
from charrnn.training.scheduled_sampling import ScheduledSampling

Array = np.ndarray

_SHARD_COLUMNS = 16  # narrower shards lose more than a second thread gains
_MOST_COLUMNS = 64  # wider shards gain nothing more
_MOST_WEIGHTS = 1 << 21  # of a model for helpers; copies of larger ones would crowd the cache


@dataclass(frozen=True)
class _Piece:
    """The work of one thread or helper: the columns of one shard that belong to this process.

    Args:
        shard: the number of the shard.
        columns: its columns, counted within this process.
        dropout: draws dropout masks.
        sampling: draws inputs for scheduled sampling.
    """

    shard: int
    columns: slice
    dropout: Draws
    sampling: Draws

    def generators(self) -> list[Any]:
        """Return the states of its random generators."""
        return [draws.rng.bit_generator.state for draws in (self.dropout, self.sampling)]

    def restore(self, generators: Sequence[Any]) -> None:
        """Restore the states of its generators; KeyError, TypeError or ValueError if invalid."""
        for draws, state in zip((self.dropout, self.sampling), generators, strict=True):
            draws.rng.bit_generator.state = state


@dataclass(frozen=True)
class _Task:
    """Everything but the weights that the gradient of a piece depends on.

    Args:
        piece: its number within this process.
        chunks: its columns of each chunk.
        state: its columns before the first chunk.
        scale: factor of the gradient.
        drawn: fraction of the inputs to draw by scheduled sampling.
        generators: the states of its random generators.
    """

    piece: int
    chunks: list[Chunk]
    state: Array
    scale: float
    drawn: float
    generators: list[Any]


class Shards:
    """A model unrolled once for each shard of the batch, to compute shards in parallel.

    The cut into shards depends on the batch size alone, each shard has its own random generators,
    and gradients are summed in the order of the shards. So the number of threads changes no result.
    MPI processes share the columns evenly. If they cut through a shard, each draws for all of its
    columns, so their number changes only the rounding of sums.

    The threads are those of the workers, or helpers if these fork; `close` ends the helpers.

    Args:
        model: the model in training.
        config: with B, T and the seed.
        world: the processes of the run.

    Raises:
        ConfigError: there are more processes than columns.
    """

    def __init__(self, model: Network, config: TrainConfig, world: World = ALONE) -> None:
        if config.batch_size < world.size:
            raise ConfigError(
                f"{setting('batch_size')} must be at least {world.size}, a stream for each "
                f"process, not {config.batch_size}"
            )
        self.model, self.world, self.batch_size = model, world, config.batch_size
        self.pieces = list(_pieces(config, world.share(config.batch_size)))
        sizes = [piece.columns.stop - piece.columns.start for piece in self.pieces]
        self.unrolled = [model.unroll(config.seq_len, size, training=True) for size in sizes]
        self.sampling = [
            ScheduledSampling(model, size, piece.sampling)
            for size, piece in zip(sizes, self.pieces, strict=True)
        ]
        self._weights = model.parameters.flat  # where helpers read the weights
        self._helpers: Helpers | None = None

    def close(self) -> None:
        """End the helpers; the next `gradient` starts new ones."""
        if self._helpers is not None:
            self._helpers.close()
            self._helpers = None

    @property
    def num_streams(self) -> int:
        """Number of columns of this process."""
        return int(self.pieces[-1].columns.stop)

    def generators(self) -> dict[str, Any]:
        """Return the states of all random generators of training, by shard."""
        own = {str(piece.shard): piece.generators() for piece in self.pieces}
        return {shard: states for part in self.world.gather(own) for shard, states in part.items()}

    def restore(self, generators: Mapping[str, Sequence[Any]]) -> None:
        """Restore the states of the generators.

        Raises:
            KeyError, TypeError, ValueError: they are invalid, or for another number of shards.
        """
        for piece in self.pieces:
            piece.restore(generators[str(piece.shard)])

    def gradient(
        self, chunks: Sequence[Chunk], state: Array, workers: Workers, drawn: float = 0.0
    ) -> tuple[float, int, Array, Array]:
        """Compute loss and gradient of consecutive chunks.

        All arrays have the columns of this process.

        Args:
            chunks: inputs (T, B) and targets (T, B) of each, ids.
            state: (num_layers, num_states, H, B) before the first chunk.
            workers: threads and processes that share the work.
            drawn: fraction of the inputs to draw by scheduled sampling.

        Returns:
            The summed loss in nats and the number of targets, both over all processes, the gradient
            of the mean loss as one vector (a work buffer that the next call overwrites), and the
            state after the last chunk.
        """
        usual = self.batch_size * sum(len(targets) for _, targets in chunks)  # without IGNORE
        tasks = [
            _Task(
                number,
                [(inputs[:, own.columns], targets[:, own.columns]) for inputs, targets in chunks],
                state[..., own.columns],
                1 / usual,
                drawn,
                own.generators(),
            )
            for number, own in enumerate(self.pieces)
        ]
        results = self._map(tasks, workers)
        for piece, (*_, generators) in zip(self.pieces, results, strict=True):
            piece.restore(generators)
        gradient, *others = (unrolled.gradients.flat for unrolled in self.unrolled)
        for other in others:
            gradient += other
        tokens = sum(int(np.count_nonzero(targets != IGNORE)) for _, targets in chunks)
        sums = np.array([math.fsum(nats for nats, *_ in results), tokens])
        self.world.sum(sums)
        self.world.sum(gradient)
        nats, tokens = float(sums[0]), int(sums[1])
        if 0 < tokens < usual:
            gradient *= usual / tokens
        return nats, tokens, gradient, np.concatenate([state for _, state, _ in results], axis=-1)

    def _map(self, tasks: list[_Task], workers: Workers) -> list[tuple[float, Array, list[Any]]]:
        """Return `_work` of all tasks, by helpers or on threads."""
        if self._helpers is None:
            helped = workers.forks and len(tasks) > 1 and self.model.size <= _MOST_WEIGHTS
            if helped:
                self._share_memory()
            number = len(tasks) if helped else 1
            self._helpers = workers.fork(self._work, number, self._read_weights)
        if not self._helpers:
            return workers.map(self._work, tasks)
        self._weights[:] = self.model.parameters.flat
        return self._helpers.map(tasks)

    def _share_memory(self) -> None:
        """Move weights and gradients to memory that this process shares with helpers."""
        dtype = self.model.parameters.flat.dtype
        self._weights, *gradients = (
            shared_zeros(self.model.size, dtype) for _ in (self.model, *self.unrolled)
        )
        for unrolled, flat in zip(self.unrolled, gradients, strict=True):
            unrolled.gradients.lie_in(flat)

    def _read_weights(self) -> None:
        """Copy the current weights, in a helper."""
        self.model.parameters.flat[:] = self._weights

    def _work(self, task: _Task) -> tuple[float, Array, list[Any]]:
        """Compute the gradient of a task in its work buffer; return nats, state and generators."""
        piece, unrolled, state = self.pieces[task.piece], self.unrolled[task.piece], task.state
        piece.restore(task.generators)
        sums, gradient, total = [], unrolled.gradients.flat, None
        for inputs, targets in task.chunks:
            if task.drawn > 0:
                inputs = self.sampling[task.piece].replace(inputs, state, task.drawn)
            nats, state, _ = unrolled.gradient(
                inputs, targets, state, scale=task.scale, dropout=piece.dropout
            )
            sums.append(float(nats.sum(dtype=np.float64)))
            if total is not None:
                gradient += total
            if len(task.chunks) > 1:
                total = gradient.copy()
        return math.fsum(sums), state, piece.generators()


def _pieces(config: TrainConfig, own: slice) -> Iterator[_Piece]:
    """Yield the parts of all shards that lie in the columns `own`."""
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
