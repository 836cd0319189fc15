"""How many threads BLAS, NumPy's matrix library, runs.

charrnn spreads work over its own threads, one shard of a batch each, and keeps BLAS to one thread
inside each of them: two BLAS threads wait for each other in every product, so that a busy
neighbour on one core would stop them both.
"""

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache

_NUM_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_EXTENSION = "numpy._core._multiarray_umath"  # part of NumPy, linked to its BLAS
_NAMES = [  # of the functions of OpenBLAS, by how it was built
    f"{prefix}openblas_{{}}_num_threads{suffix}"
    for prefix in ("scipy_", "")
    for suffix in ("64_", "")
]
_inside: list[int] = []  # for each caller of `one_thread`, the number of threads before the first
_lock = threading.Lock()


def use_one_thread() -> None:
    """Set the environment that BLAS reads when NumPy is imported for the first time."""
    for name in _NUM_THREADS:
        os.environ[name] = "1"


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
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
    library = ctypes.CDLL(sys.modules[_EXTENSION].__file__)
    for name in _NAMES:
        get, put = (getattr(library, name.format(verb), None) for verb in ("get", "set"))
        if get and put:
            return get, put
    return lambda: 1, lambda number: None
