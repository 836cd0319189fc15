"""Random numbers for the columns of a batch, the same however the columns are shared out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

_DRAWN = 1 << 16


@dataclass(frozen=True)
class Draws:
    """Random numbers for some columns of a batch whose other columns are drawn elsewhere.

    Args:
        rng: everyone who draws for the batch has this generator, in the same state.
        wanted: the columns to keep, and how many the batch has; None keeps all.
    """

    rng: np.random.Generator
    wanted: tuple[slice, int] | None = None

    def random(self, shape: tuple[int, ...]) -> Array:
        """Draw floats from 0 to 1 (..., B)."""
        return self._wanted(self.rng.random, shape)

    def mask(self, out: Array, rate: float) -> Array:
        """Fill `out` (..., B) with a mask: 0 with probability `rate`, else 1 / (1 - rate)."""
        return _to_mask(self._wanted(self._whole, out.shape), rate, out)

    def weight_mask(self, out: Array, rate: float) -> Array:
        """Fill `out` with a dropout mask for weights, which all columns share."""
        return _to_mask(self._whole(out.shape), rate, out)

    def _wanted(self, draw: Callable[[tuple[int, ...]], Array], shape: tuple[int, ...]) -> Array:
        if self.wanted is None:
            return draw(shape)
        columns, width = self.wanted
        return draw((*shape[:-1], width))[..., columns]

    def _whole(self, shape: tuple[int, ...]) -> Array:
        """Draw integers below _DRAWN, which is faster than drawing floats."""
        return self.rng.integers(0, _DRAWN, shape, np.uint16)


def _to_mask(drawn: Array, rate: float, out: Array) -> Array:
    np.multiply(drawn >= round(rate * _DRAWN), out.dtype.type(1 / (1 - rate)), out=out)
    return out
