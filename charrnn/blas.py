"""How many threads BLAS, NumPy's matrix library, runs: settled before NumPy is imported.

charrnn spreads work over its own threads, one shard of a batch each, and keeps BLAS to one thread
inside each of them: two BLAS threads wait for each other in every product, so that a busy
neighbour on one core would stop them both.
"""

import os

_NUM_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def use_one_thread() -> None:
    """Set the environment that BLAS reads when NumPy is imported for the first time."""
    for name in _NUM_THREADS:
        os.environ[name] = "1"
