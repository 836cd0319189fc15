"""The processes of a run and their communication: the only file that uses MPI.

`mpiexec -n N charrnn ...` starts the same program N times. Each process, a rank, runs every line of
it on its own share of the work. To exchange results, all ranks call the same method of `World` in
the same order. A process not started by mpiexec has a world to itself, in which these methods
return at once.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

from charrnn.errors import CharRNNError

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")
R = TypeVar("R")

# Environment variables that launchers set: MPICH and its relatives, Open MPI, PMIx, Cray PALS.
_RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PALS_RANKID")
_PATIENCE = 2.0  # seconds to wait for the others to fail too
_LOOK = 0.01  # seconds between checks
_PASSING = 0.5  # seconds for the launcher to pass on the output
_MISSING = (
    "this is one of several processes of MPI, for which mpi4py is missing: "
    "pip install mpi4py mpich, or start charrnn without mpiexec"
)


class World:
    """A run of a single process; the base of a run of several."""

    rank = 0
    size = 1
    neighbours = 1  # ranks on this machine, including this one

    @property
    def speaks(self) -> bool:
        """Whether this rank prints and writes files."""
        return self.rank == 0

    def share(self, number: int) -> slice:
        """Return this rank's share of `number` items in a row; shares differ by at most one."""
        return slice(number * self.rank // self.size, number * (self.rank + 1) // self.size)

    def sum(self, array: "np.ndarray") -> None:
        """Sum the arrays of all ranks in place; every rank gets the same bits."""

    def gather(self, item: T) -> list[T]:
        """Return the items of all ranks, to every rank."""
        return [item]

    def broadcast(self, item: T) -> T:
        """Return the item of rank 0, to every rank."""
        return item

    def largest(self, number: int) -> int:
        """Return the largest number of any rank, to every rank."""
        return number

    def together(self, function: Callable[[], T], *, alone: bool = False) -> T:
        """Call a function on all ranks and return its result; if it fails on one, it fails on all.

        Args:
            function: what to call.
            alone: call it on rank 0 only; all ranks get its result.

        Raises:
            CharRNNError: from the first rank that failed.
        """
        return function()

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Yield, on rank 0, each of its items with function(item), in order; all ranks work."""
        return ((item, function(item)) for item in items)

    def fail(self, say: Callable[[], None], code: int) -> None:
        """Report an error before this process ends, once for all ranks, and leave no rank waiting.

        Args:
            say: prints the error; called on rank 0, or here if not all ranks fail.
            code: exit code of the ranks that are then aborted.
        """
        say()


ALONE = World()


class _Ranks(World):
    """The ranks of an MPI communicator."""

    def __init__(self) -> None:
        from mpi4py import MPI

        self._comm, self._exit = MPI.COMM_WORLD, MPI.COMM_WORLD.Dup()
        self.rank, self.size = self._comm.rank, self._comm.size
        self.neighbours = self._comm.Split_type(MPI.COMM_TYPE_SHARED).size
        self._in_place, self._max = MPI.IN_PLACE, MPI.MAX

    def sum(self, array: "np.ndarray") -> None:
        self._comm.Allreduce(self._in_place, array)

    def gather(self, item: T) -> list[T]:
        found: list[T] = self._comm.allgather(item)
        return found

    def broadcast(self, item: T) -> T:
        found: T = self._comm.bcast(item)
        return found

    def largest(self, number: int) -> int:
        return int(self._comm.allreduce(number, self._max))

    def together(self, function: Callable[[], T], *, alone: bool = False) -> T:
        found: list[T] = []
        failed = None
        try:
            if self.rank == 0 or not alone:
                found.append(function())
        except CharRNNError as error:
            failed = error
        for each in self.gather(failed):
            if each is not None:
                raise each
        return (self.broadcast(found) if alone else found)[0]

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
        source = _Source(iter(items))
        while self.together(lambda: source.take(self.size), alone=True):
            padded = [*([item] for item in source.taken), *[[]] * self.size][: self.size]
            own = self._comm.scatter(padded if self.rank == 0 else None)
            found = self.together(partial(_each, function, own))
            for results, item in zip(self._comm.gather(found) or [], source.taken, strict=False):
                yield item, results[0]

    def fail(self, say: Callable[[], None], code: int) -> None:
        arrived, deadline = self._exit.Ibarrier(), time.perf_counter() + _PATIENCE
        while not (everyone := arrived.Test()) and time.perf_counter() < deadline:
            time.sleep(_LOOK)
        if self.rank == 0 or not everyone:
            say()
        if not everyone:
            time.sleep(_PASSING)
            self._comm.Abort(code)


class _Source(Generic[T]):
    """Items taken in groups; an error comes only after the items before it."""

    def __init__(self, items: Iterator[T]) -> None:
        self.items = items
        self.taken: list[T] = []
        self.error: CharRNNError | None = None

    def take(self, number: int) -> int:
        """Take up to `number` items; return how many there were."""
        self.taken = []
        try:
            if self.error is None:
                self.taken.extend(islice(self.items, number))
        except CharRNNError as error:
            self.error = error
        if self.error and not self.taken:
            raise self.error
        return len(self.taken)


def _each(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    return [function(item) for item in items]


@cache
def world() -> World:
    """Return the processes started together with this one.

    Raises:
        CharRNNError: mpiexec started several, and mpi4py is missing.
    """
    found = [os.environ[name] for name in _RANKS if name in os.environ]
    if not found:
        return ALONE
    try:
        return _Ranks()
    except ImportError:
        if found[0] != "0":
            raise SystemExit(1) from None  # rank 0 says why
        raise CharRNNError(_MISSING) from None
