"""Random numbers for columns of a batch, the same for a column whoever works on the others."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

_DRAWN = 1 << 16


@dataclass(frozen=True)
class Draws:
    """Draws for some columns out of more, which others draw for as well.

    Args:
        rng: the same for all of the columns, and in the same state.
        wanted: which ones, and of how many; None: all that are asked for.
    """

    rng: np.random.Generator
    wanted: tuple[slice, int] | None = None

    def random(self, shape: tuple[int, ...]) -> Array:
        """Floats from 0 to 1 (..., B)."""
        return self._wanted(self.rng.random, shape)

    def mask(self, out: Array, rate: float) -> Array:
        """Fill `out` (..., B) with zero for the share `rate` and 1 / (1 - rate) for the rest."""
        return _to_mask(self._wanted(self._whole, out.shape), rate, out)

    def weight_mask(self, out: Array, rate: float) -> Array:
        """The same for what all columns share."""
        return _to_mask(self._whole(out.shape), rate, out)

    def _wanted(self, draw: Callable[[tuple[int, ...]], Array], shape: tuple[int, ...]) -> Array:
        if self.wanted is None:
            return draw(shape)
        columns, width = self.wanted
        return draw((*shape[:-1], width))[..., columns]

    def _whole(self, shape: tuple[int, ...]) -> Array:
        """Whole numbers, which are drawn faster than floats."""
        return self.rng.integers(0, _DRAWN, shape, np.uint16)


def _to_mask(drawn: Array, rate: float, out: Array) -> Array:
    np.multiply(drawn >= round(rate * _DRAWN), out.dtype.type(1 / (1 - rate)), out=out)
    return out
