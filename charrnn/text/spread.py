"""An array too large for one process, of which each holds a part.

Letters: M numbers in all, P of them looked up.
"""

import numpy as np

from charrnn.parallel.processes import World

Array = np.ndarray

_PART = 1 << 18  # numbers looked up at a time


class Spread:
    """An array (M,) that lies end to end in the processes; they all look up in it together.

    Args:
        own: the part of this process; the types of all parts are one.
    """

    def __init__(self, own: Array, world: World) -> None:
        self.own, self.world = own, world
        self._stops = np.cumsum(world.gather(len(own)))  # of the parts of all processes
        self.start = int(self._stops[world.rank]) - len(own)

    def __len__(self) -> int:
        return int(self._stops[-1])

    @property
    def dtype(self) -> np.dtype:
        """That of the numbers."""
        return self.own.dtype

    @property
    def stop(self) -> int:
        """Where this process's part stops."""
        return self.start + len(self.own)

    def __getitem__(self, places: Array | slice) -> Array:
        """The numbers at some places, an array of any shape; other processes may ask for others.

        All of them have to call this, those too that ask for nothing.
        """
        if isinstance(places, slice):
            places = np.arange(*places.indices(len(self)))
        wanted = places.ravel()
        found = np.empty(len(wanted), self.dtype)
        most = self.world.largest(len(wanted))
        for start in range(0, most, _PART):
            part = slice(start, start + _PART)
            found[part] = self._look_up(wanted[part])
        return found.reshape(places.shape)

    def _look_up(self, places: Array) -> Array:
        owners = np.searchsorted(self._stops, places, side="right")
        order = np.argsort(owners, kind="stable")
        edges = np.searchsorted(owners[order], np.arange(1, self.world.size))
        asked = self.world.exchange(np.split(places[order].astype(np.int64), edges))
        answers = self.world.exchange([self.own[each - self.start] for each in asked])
        found = np.empty(len(places), self.dtype)
        found[order] = np.concatenate(answers)
        return found
