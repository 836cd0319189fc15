"""How many threads BLAS, NumPy's matrix library, runs.

charrnn spreads work over its own threads, one shard of a batch each, and keeps BLAS to one thread
inside each of them: two BLAS threads wait for each other in every product, so that a busy
neighbour on one core would stop them both.
"""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator

_NUM_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_EXTENSION = "numpy._core._multiarray_umath"  # part of NumPy, linked to its BLAS
_OPENBLAS = [  # what its functions are called, by how it was built
    f"{prefix}openblas_{{}}_num_threads{suffix}"
    for prefix in ("scipy_", "")
    for suffix in ("64_", "")
]


def use_one_thread() -> None:
    """Set the environment that BLAS reads when NumPy is imported for the first time."""
    for name in _NUM_THREADS:
        os.environ[name] = "1"


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Keep an OpenBLAS that is loaded to one thread for a while; with another BLAS, do nothing."""
    library = ctypes.CDLL(sys.modules[_EXTENSION].__file__)
    for name in _OPENBLAS:
        get, put = (getattr(library, name.format(verb), None) for verb in ("get", "set"))
        if get and put:
            before = get()
            put(1)
            try:
                yield
            finally:
                put(before)
            return
    yield
