"""Work spread over threads, in an order that does not depend on how many there are."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from threading import Barrier, Event
from typing import TypeVar

from charrnn.parallel.processes import ALONE, World

T = TypeVar("T")
R = TypeVar("R")


def default_threads() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """A pool of threads, as a context manager; NumPy releases the interpreter's lock in products.

    Args:
        threads: how many work at once; None means one a core, shared with the other processes of
            the run on this machine. With one, or where the system has no room for more, no thread
            is started.
        world: these processes; what is spread over them says so.
    """

    def __init__(self, threads: int | None = None, world: World = ALONE) -> None:
        self.world = world
        threads = threads or max(1, default_threads() // world.neighbours)
        self._pool = _started(threads) if threads > 1 else None
        self.threads = threads if self._pool else 1
        self._stopping = Event()

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """function(item) for every item, results in the order of the items.

        An error of one item, or Ctrl-C, stops the others: those that are running at their next
        `check`.
        """
        if self._pool is None:
            return [function(item) for item in items]
        futures = [self._pool.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            self._stopping.set()
            for future in futures:
                future.cancel()
            wait(futures)
            self._stopping.clear()
            raise

    def check(self) -> None:
        """End the item that is running if the others have been stopped; long ones call it often.

        Raises:
            CancelledError: they have.
        """
        if self._stopping.is_set():
            raise CancelledError

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=error[0] is None, cancel_futures=True)


def _started(threads: int) -> ThreadPoolExecutor | None:
    """A pool whose threads all run before there is work; None where they cannot."""
    pool, everyone = ThreadPoolExecutor(threads), Barrier(threads + 1)
    try:
        for _ in range(threads):
            pool.submit(everyone.wait)
    except RuntimeError:  # can't start new thread
        everyone.abort()
        pool.shutdown(wait=False, cancel_futures=True)
        return None
    everyone.wait()
    return pool
