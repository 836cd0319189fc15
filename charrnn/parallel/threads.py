"""Threads that share work, with BLAS, NumPy's matrix library, limited to one thread in each.

charrnn's own threads compute one shard of a batch each, and results do not depend on their number.
BLAS uses one thread inside each: two BLAS threads wait for each other in every product, so another
busy process on one core would stop both.
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

if TYPE_CHECKING:  # at run time it would slow down `charrnn --help`
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
R = TypeVar("R")

_NUM_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_EXTENSION = "numpy._core._multiarray_umath"  # part of NumPy, linked to its BLAS
_NAMES = [  # names of OpenBLAS functions depend on how it was built
    f"{prefix}openblas_{{}}{suffix}" for prefix in ("scipy_", "") for suffix in ("64_", "")
]
_inside: list[int] = []  # one entry per caller inside `one_blas_thread`: the threads before
_lock = threading.Lock()


def default_threads() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class StoppedError(Exception):
    """Ends the work on an item because another item has failed."""


class Workers:
    """The workers of a run: the threads of this process and, in `world`, all processes.

    A context manager that holds a pool of threads. Threads help because NumPy releases the
    interpreter's lock in matrix products.

    Args:
        threads: number of threads; None means one per core, divided among the processes on this
            machine. With one, or if the system has no room for more, no thread is started.
        world: the processes of the run.
        forks: whether `fork` starts helper processes, on systems where that is safe. No other
            thread of this process may be busy then.
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
        """Start helper processes; the result is empty if threads are to do the work.

        Args:
            function: the work.
            number: of items at a time, which limits the helpers.
            before: called in a helper before its share.
        """
        size = min(self.threads, number) - 1 if self.forks else 0
        self._helpers.append(Helpers(function, size, before))
        return self._helpers[-1]

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return function(item) for every item, in order, computed on the threads.

        If an item raises an error, or on Ctrl-C, the others stop at their next `check`.
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
        """Stop this item if another one has failed; long-running items call this often.

        Raises:
            StoppedError: another item has failed.
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
    """Return a pool whose threads have all started; None if the system has no room for them."""
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
    """Limit BLAS to one thread, by environment variables that it reads when NumPy is imported."""
    for name in _NUM_THREADS:
        os.environ[name] = "1"


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit OpenBLAS to one thread inside the context; does nothing with another BLAS.

    Any number of threads may be inside at once; the last one to leave restores the old number.
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
    """Return OpenBLAS's functions that get and set its number of threads."""
    get, put = _function("get_num_threads"), _function("set_num_threads")
    return (get, put) if get and put else (lambda: 1, lambda number: None)


@cache
def blas_kernel() -> str:
    """Return the name of OpenBLAS's kernels, such as "haswell"; empty with another BLAS."""
    get = _function("get_corename")
    if not get:
        return ""
    get.restype = ctypes.c_char_p
    return str(get().decode()).lower()


def _function(name: str) -> Any:
    """Return a function of OpenBLAS, None if NumPy has another BLAS."""
    library = ctypes.CDLL(sys.modules[_EXTENSION].__file__)
    found = (getattr(library, each.format(name), None) for each in _NAMES)
    return next(filter(None, found), None)
