import os
import subprocess
import sys

import pytest

from charrnn.parallel import blas


def test_blas_gets_one_thread_whatever_the_user_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        monkeypatch.setenv(name, "7")
    blas.use_one_thread()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
    assert os.environ["MKL_NUM_THREADS"] == "1"


def test_it_is_settled_before_numpy_is_imported() -> None:
    code = (
        "import sys; from charrnn.parallel import blas; blas.use_one_thread(); "
        "assert 'numpy' not in sys.modules; import numpy as np; "
        "a = np.arange(6.0).reshape(2, 3); print((a @ a.T).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[5.0, 14.0], [14.0, 50.0]]"


SEEN = """
import numpy
from charrnn.parallel import blas
get, put = blas._openblas()
put(2)
first, second = blas.one_thread(), blas.one_thread()
seen = [get()]
for step in (first.__enter__, second.__enter__):
    step()
    seen.append(get())
for context in (first, second):  # as threads do, in any order
    context.__exit__(None, None, None)
    seen.append(get())
print(*seen)
"""


def test_a_blas_that_is_loaded_gets_one_thread_for_a_while() -> None:
    done = subprocess.run([sys.executable, "-c", SEEN], capture_output=True, text=True, check=True)
    if done.stdout.split() == ["1"] * 5:
        pytest.skip("NumPy has another BLAS here, or the machine has one core")
    assert done.stdout.split() == ["2", "1", "1", "1", "2"]
