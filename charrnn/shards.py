"""The gradient of a batch, whose shares threads work on side by side.

Letters: T steps, B batch size (streams side by side).
"""

import math
from itertools import pairwise

import numpy as np

from charrnn.config import TrainConfig
from charrnn.functional import IGNORE
from charrnn.parallel import Workers
from charrnn.parameters import Parameters
from charrnn.residual import Network
from charrnn.scheduled_sampling import ScheduledSampling

Array = np.ndarray

_NUM_SHARDS = 2
_SHARD_COLUMNS = 16  # narrower shards lose more than a second thread wins


class Shards:
    """A model unrolled once for each share of the batch, so that threads can work side by side.

    How a batch is cut depends on its size alone, and gradients are summed in the order of the
    shards: the number of threads changes no result.
    """

    def __init__(self, model: Network, config: TrainConfig) -> None:
        B = config.batch_size
        shards = _NUM_SHARDS if B >= _NUM_SHARDS * _SHARD_COLUMNS else 1
        edges = [B * shard // shards for shard in range(shards + 1)]
        self.columns = [slice(a, b) for a, b in pairwise(edges)]
        sizes = [columns.stop - columns.start for columns in self.columns]
        self.unrolled = [model.unroll(config.seq_len, size, training=True) for size in sizes]
        rng = np.random.default_rng(config.seed)
        self.dropouts = rng.spawn(shards)
        self.sampling = [
            ScheduledSampling(model, size, own)
            for size, own in zip(sizes, rng.spawn(shards), strict=True)
        ]

    @property
    def generators(self) -> list[np.random.Generator]:
        """All that draw anything in training."""
        return [*self.dropouts, *(sampling.rng for sampling in self.sampling)]

    def gradient(
        self,
        inputs: Array,
        targets: Array,
        state: Array,
        workers: Workers,
        drawn: float = 0.0,
    ) -> tuple[float, Parameters, Array]:
        """One forward and backward pass over a chunk.

        Args:
            inputs: (T, B) ids.
            targets: (T, B) ids.
            state: (num_layers, num_states, H, B) before the chunk.
            drawn: the share of the inputs that the model draws itself.

        Returns:
            The sum of the loss in nats, the gradient of its mean (a work buffer that the next call
            overwrites), and the state after the chunk.
        """
        scale = 1 / max(1, int(np.count_nonzero(targets != IGNORE)))

        def run(shard: int) -> tuple[float, Array]:
            columns = self.columns[shard]
            own_inputs, own_state = inputs[:, columns], state[..., columns]
            if drawn > 0:
                own_inputs = self.sampling[shard].replace(own_inputs, own_state, drawn)
            nats, new_state, _ = self.unrolled[shard].gradient(
                own_inputs,
                targets[:, columns],
                own_state,
                scale=scale,
                dropout=self.dropouts[shard],
            )
            return float(nats.sum(dtype=np.float64)), new_state

        results = workers.map(run, range(len(self.columns)))
        gradients = self.unrolled[0].gradients
        for other in self.unrolled[1:]:
            gradients.flat += other.gradients.flat
        nats = math.fsum(nats for nats, _ in results)
        return nats, gradients, np.concatenate([state for _, state in results], axis=-1)
