"""Ranks as threads of one process, which tell each other the same as those of MPI do."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeVar

import numpy as np

from charrnn.parallel.processes import _Ranks

T = TypeVar("T")


@dataclass
class _Board:
    """What every rank last said."""

    barrier: threading.Barrier
    items: list[Any] = field(default_factory=list)


class _Rank(_Ranks):
    """One of the threads."""

    def __init__(self, rank: int, size: int, board: _Board) -> None:
        self.rank, self.size, self.board = rank, size, board

    def gather(self, item: T) -> list[T]:
        self.board.items[self.rank] = item
        self.board.barrier.wait()
        found = [*self.board.items]
        self.board.barrier.wait()
        return found

    def sum(self, array: np.ndarray) -> None:
        array[...] = np.sum(self.gather(array.copy()), axis=0)

    def concatenate(self, array: np.ndarray) -> np.ndarray:
        return np.concatenate(self.gather(array))

    def exchange(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [each[self.rank] for each in self.gather(arrays)]

    def merge(self, item: T, add: Callable[[T, T], T]) -> T:
        return reduce(add, self.gather(item))

    def broadcast(self, item: T) -> T:
        return self.gather(item)[0]

    def largest(self, number: int) -> int:
        return max(self.gather(number))


def at_all_ranks(size: int, function: Callable[[_Ranks], T]) -> list[T]:
    """What a function returns at each of so many ranks; an error is the first one's that failed."""
    board = _Board(threading.Barrier(size, timeout=60), [None] * size)
    failed: list[BaseException] = []

    def run(rank: int) -> T:
        try:
            return function(_Rank(rank, size, board))
        except BaseException as error:
            failed.append(error)
            board.barrier.abort()  # nobody waits for a rank that has failed
            raise

    with ThreadPoolExecutor(size) as threads:
        futures = [threads.submit(run, rank) for rank in range(size)]
    if failed:
        raise failed[0]
    return [future.result() for future in futures]
