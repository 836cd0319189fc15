"""How BLAS, NumPy's matrix library, uses the processor: settled before NumPy is imported.

charrnn spreads work over its own threads, one shard of a batch each, and keeps BLAS to one thread
inside each of them: two BLAS threads wait for each other in every product, so that a busy
neighbour on one core would stop them both.
"""

import os

_NUM_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_AVX512 = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}


def prepare() -> None:
    """Set the environment that BLAS reads when NumPy is imported for the first time."""
    for name in _NUM_THREADS:
        os.environ[name] = "1"
    if "OPENBLAS_CORETYPE" not in os.environ and _is_amd_with_avx512():
        # OpenBLAS 0.3.31 takes a Zen 5 for a Zen and runs kernels of half its vector width.
        os.environ["OPENBLAS_CORETYPE"] = "SKYLAKEX"


def _is_amd_with_avx512() -> bool:
    words = set(_cpuinfo().split("\n\n", 1)[0].split())  # of the first core
    return "AuthenticAMD" in words and words >= _AVX512


def _cpuinfo() -> str:
    """What Linux says of the processor; nothing elsewhere."""
    try:
        with open("/proc/cpuinfo") as file:
            return file.read()
    except OSError:
        return ""
