"""Random numbers for a batch that do not depend on how threads or processes share its columns."""

import math
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

_DRAWN = 1 << 16  # dropout compares 16-bit integers
_WORD = (1 << 64) - 1


@dataclass(frozen=True)
class Draws:
    """Draws for some columns of a batch; other processes keep the other columns.

    Args:
        rng: the same generator in the same state everywhere: all draw for the whole batch.
        wanted: the columns to keep, and the number of columns in the batch; None keeps all.
    """

    rng: np.random.Generator
    wanted: tuple[slice, int] | None = None

    def random(self, shape: tuple[int, ...]) -> Array:
        """Draw floats (..., B) in [0, 1)."""
        if self.wanted is None:
            return self.rng.random(shape)
        columns, width = self.wanted
        return self.rng.random((*shape[:-1], width))[..., columns]

    def mask(self, out: Array, rate: float) -> Array:
        """Fill `out` (T, B, H) with a dropout mask: 0 with probability `rate`, else 1/(1-rate)."""
        columns, width = self.wanted or (slice(None), out.shape[1])
        drawn = self._whole((len(out), width, out.shape[2]))
        return _to_mask(drawn[:, columns], rate, out)

    def weight_mask(self, out: Array, rate: float) -> Array:
        """Fill `out` with a dropout mask for weights, which all columns share."""
        return _to_mask(self._whole(out.shape), rate, out)

    def _whole(self, shape: tuple[int, ...]) -> Array:
        """Draw integers below _DRAWN; four from each 64-bit word, which is fastest."""
        size = math.prod(shape)
        words = self.rng.integers(0, _WORD, -(-size // 4), np.uint64, endpoint=True)
        return words.view(np.uint16)[:size].reshape(shape)


def _to_mask(drawn: Array, rate: float, out: Array) -> Array:
    np.multiply(drawn >= round(rate * _DRAWN), out.dtype.type(1 / (1 - rate)), out=out)
    return out
