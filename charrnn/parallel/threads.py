"""Threads that share work, and one thread for BLAS, NumPy's matrix library, in each of them.

Work is spread over charrnn's own threads, a shard of a batch each, in an order that does not depend
on how many there are. BLAS keeps to one thread inside each: two BLAS threads wait for each other in
every product, so that a busy neighbour on one core would stop them both.
"""

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from charrnn.parallel.helpers import FORKS, Helpers
from charrnn.parallel.processes import ALONE, World

if TYPE_CHECKING:  # `charrnn --help` has no use for it, nor the time
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
R = TypeVar("R")

_NUM_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_EXTENSION = "numpy._core._multiarray_umath"  # part of NumPy, linked to its BLAS
_NAMES = [  # of the functions of OpenBLAS, by how it was built
    f"{prefix}openblas_{{}}{suffix}" for prefix in ("scipy_", "") for suffix in ("64_", "")
]
_inside: list[int] = []  # by caller of `one_blas_thread`, the number of threads before the first
_lock = threading.Lock()


def default_threads() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class StoppedError(Exception):
    """Ends the work on an item as that on another one has failed."""


class Workers:
    """Who shares the work of a run: the threads of this process and, in `world`, all processes.

    A context manager, which holds a pool of threads; NumPy releases the interpreter's lock in
    products.

    Args:
        threads: how many work at once; None means one a core, shared with the other processes on
            this machine. With one, or where the system has no room for more, no thread is started.
        world: the processes of the run.
        forks: share what `fork` is called for with copies of this process too, where the system
            has safe ones. No thread but those here may be busy then.
    """

    def __init__(
        self, threads: int | None = None, world: World = ALONE, *, forks: bool = False
    ) -> None:
        self.world = world
        number = threads or max(1, default_threads() // world.neighbours)
        self._pool = _started(number) if number > 1 else None
        self.threads = number if self._pool else 1
        self._stopping = threading.Event()
        self.forks = forks and FORKS and self.threads > 1 and world.size == 1
        self._helpers: list[Helpers] = []

    def fork(
        self, function: Callable[[Any], Any], number: int, before: Callable[[], None]
    ) -> Helpers:
        """Start helpers for work of so many items at a time; none where threads are to do it.

        Args:
            before: called by a helper before its share.
        """
        size = min(self.threads, number) - 1 if self.forks else 0
        self._helpers.append(Helpers(function, size, before))
        return self._helpers[-1]

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """function(item) for every item on the threads, results in the order of the items.

        An error of one item, or Ctrl-C, stops the others: those that are running at their next
        `check`.
        """
        if self._pool is None:
            return [function(item) for item in items]
        futures = [self._pool.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            from concurrent.futures import wait

            self._stopping.set()
            for future in futures:
                future.cancel()
            wait(futures)
            self._stopping.clear()
            raise

    def check(self) -> None:
        """End the item that is running if the others have been stopped; long ones call it often.

        Raises:
            StoppedError: they have.
        """
        if self._stopping.is_set():
            raise StoppedError

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: object) -> None:
        for helpers in self._helpers:
            helpers.close()
        if self._pool is not None:
            self._pool.shutdown(wait=error[0] is None, cancel_futures=True)


def _started(number: int) -> "ThreadPoolExecutor | None":
    """A pool whose threads all run before there is work; None where they cannot."""
    from concurrent.futures import ThreadPoolExecutor

    pool, everyone = ThreadPoolExecutor(number), threading.Barrier(number + 1)
    try:
        for _ in range(number):
            pool.submit(everyone.wait)
    except RuntimeError:  # can't start new thread
        everyone.abort()
        pool.shutdown(wait=False, cancel_futures=True)
        return None
    everyone.wait()
    return pool


def use_one_blas_thread() -> None:
    """Set the environment that BLAS reads when NumPy is imported for the first time."""
    for name in _NUM_THREADS:
        os.environ[name] = "1"


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep an OpenBLAS that is loaded to one thread for a while; with another BLAS, do nothing.

    Any number of threads may be inside; the last one to leave restores what was before the first.
    """
    get, put = _openblas()
    with _lock:
        before = _inside[0] if _inside else get()
        _inside.append(before)
        put(1)
    try:
        yield
    finally:
        with _lock:
            _inside.pop()
            if not _inside:
                put(before)


@cache
def _openblas() -> tuple[Callable[[], int], Callable[[int], object]]:
    """The functions that get and set how many threads it runs."""
    get, put = _function("get_num_threads"), _function("set_num_threads")
    return (get, put) if get and put else (lambda: 1, lambda number: None)


@cache
def blas_kernel() -> str:
    """The processor that OpenBLAS computes for, in lower case; empty with another BLAS."""
    get = _function("get_corename")
    if not get:
        return ""
    get.restype = ctypes.c_char_p
    return str(get().decode()).lower()


def _function(name: str) -> Any:
    """A function of OpenBLAS, None if NumPy has another BLAS."""
    library = ctypes.CDLL(sys.modules[_EXTENSION].__file__)
    found = (getattr(library, each.format(name), None) for each in _NAMES)
    return next(filter(None, found), None)
