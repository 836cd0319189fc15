import os
import subprocess
import sys

import pytest

from charrnn import blas


def test_blas_gets_one_thread_whatever_the_user_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        monkeypatch.setenv(name, "7")
    blas.use_one_thread()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
    assert os.environ["MKL_NUM_THREADS"] == "1"


def test_it_is_settled_before_numpy_is_imported() -> None:
    code = (
        "import sys; from charrnn import blas; blas.use_one_thread(); "
        "assert 'numpy' not in sys.modules; import numpy as np; "
        "a = np.arange(6.0).reshape(2, 3); print((a @ a.T).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[5.0, 14.0], [14.0, 50.0]]"


def test_a_blas_that_is_loaded_gets_one_thread_for_a_while() -> None:
    code = (
        "import ctypes, sys, numpy; from charrnn import blas; "
        "library = ctypes.CDLL(sys.modules[blas._EXTENSION].__file__); "
        "names = [name.format('get') for name in blas._OPENBLAS]; "
        "get = [getattr(library, name) for name in names if hasattr(library, name)]; "
        "shown = lambda: print(*[each() for each in get]); "
        "shown(); context = blas.one_thread(); "
        "context.__enter__(); shown(); context.__exit__(None, None, None); shown()"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    before, inside, after = done.stdout.split("\n")[:3]
    if not before:
        pytest.skip("NumPy has another BLAS here")
    assert (before, inside, after) == ("2", "1", "2")
