import os
import subprocess
import sys

import pytest

from charrnn import blas


def test_blas_gets_one_thread_whatever_the_user_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    blas.prepare()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("vendor_id : AuthenticAMD\nflags : avx512f avx512cd avx512bw avx512dq avx512vl\n\n", True),
        ("vendor_id : AuthenticAMD\nflags : avx2 fma\n\n", False),
        (
            "vendor_id : GenuineIntel\nflags : avx512f avx512cd avx512bw avx512dq avx512vl\n\n",
            False,
        ),
        ("", False),
    ],
)
def test_avx512_kernels_are_asked_for_on_amd_only(
    monkeypatch: pytest.MonkeyPatch, cpuinfo: str, expected: bool
) -> None:
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    monkeypatch.setattr(blas, "_cpuinfo", lambda: cpuinfo)
    blas.prepare()
    assert ("OPENBLAS_CORETYPE" in os.environ) == expected
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)


def test_the_users_choice_of_kernels_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "HASWELL")
    blas.prepare()
    assert os.environ["OPENBLAS_CORETYPE"] == "HASWELL"


def test_a_product_still_works_after_it() -> None:
    code = (
        "from charrnn import blas; blas.prepare(); import numpy as np; "
        "a = np.arange(6.0).reshape(2, 3); print((a @ a.T).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[5.0, 14.0], [14.0, 50.0]]"
