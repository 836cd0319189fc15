"""The processes of a run and what they tell each other: the only file that knows MPI.

`mpiexec -n N charrnn ...` starts the same program N times. Each process, a rank, runs every line of
it on its own share of the work, and where they need what the others have found they all call the
same method of `World` here. A process that nobody has launched so is a world of its own, in which
these methods return at once.
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

# What launchers tell each process of its place: MPICH and its kin, Open MPI, PMIx, Cray PALS.
_RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PALS_RANKID")
_PATIENCE = 2.0  # seconds for the others to fail too
_LOOK = 0.01  # seconds between looks
_PASSING = 0.5  # seconds for the launcher to pass on what was said
_MISSING = (
    "this is one of several processes of MPI, for which mpi4py is missing: "
    "pip install mpi4py mpich, or start charrnn without mpiexec"
)


class World:
    """One process and no other."""

    rank = 0
    size = 1
    neighbours = 1  # ranks on this machine, this one among them

    @property
    def speaks(self) -> bool:
        """Whether this is the rank that prints and writes files."""
        return self.rank == 0

    def share(self, number: int) -> slice:
        """Which of so many things in a row are this rank's; all ranks get as many, or one more."""
        return slice(number * self.rank // self.size, number * (self.rank + 1) // self.size)

    def sum(self, array: "np.ndarray") -> None:
        """Add up the arrays of all ranks, in place; every rank gets the same bits."""

    def gather(self, item: T) -> list[T]:
        """The items of all ranks, at every rank."""
        return [item]

    def broadcast(self, item: T) -> T:
        """The item of rank 0."""
        return item

    def largest(self, number: int) -> int:
        """The largest number of any rank."""
        return number

    def together(self, function: Callable[[], T], *, alone: bool = False) -> T:
        """What the function returns, unless it fails at any rank: then it fails at all of them.

        Args:
            alone: only rank 0 calls it, and the others get what it returns.

        Raises:
            CharRNNError: the first rank's that failed.
        """
        return function()

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Each item of rank 0 and what the function makes of it, in their order, at rank 0.

        All ranks work, on as many items at a time as there are ranks.
        """
        return ((item, function(item)) for item in items)

    def fail(self, say: Callable[[], None], code: int) -> None:
        """Before a process ends with an error: one rank says so for all, and none is left waiting.

        Args:
            say: prints what is wrong; called at rank 0, or where others have no error.
            code: the exit code with which those others are ended, whatever they are doing.
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
    """Items taken some at a time; an error comes after those that were there before it."""

    def __init__(self, items: Iterator[T]) -> None:
        self.items = items
        self.taken: list[T] = []
        self.error: CharRNNError | None = None

    def take(self, number: int) -> int:
        """Take so many items, or as many as there are; how many there were."""
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
    """The processes that were launched together with this one.

    Raises:
        CharRNNError: there are others, and mpi4py is missing.
    """
    found = [os.environ[name] for name in _RANKS if name in os.environ]
    if not found:
        return ALONE
    try:
        return _Ranks()
    except ImportError:
        if found[0] != "0":
            raise SystemExit(1) from None  # as rank 0 says why
        raise CharRNNError(_MISSING) from None
