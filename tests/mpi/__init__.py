"""Several processes under mpiexec, where mpi4py is installed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Result, finish, start

_BESIDE = Path(sys.executable).with_name("mpiexec")  # where its wheel puts it
MPIEXEC = str(_BESIDE) if _BESIDE.exists() else shutil.which("mpiexec")

needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or find_spec("mpi4py") is None, reason="needs mpi4py and mpiexec"
)
_ONE_THREAD = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}


def launch(
    ranks: int, *args: str | Path, module: Sequence[str] = ("-m", "charrnn"), **options: Any
) -> subprocess.Popen[bytes]:
    """Start a command on `ranks` processes; a single one runs without mpiexec."""
    launcher = [str(MPIEXEC), "-n", str(ranks)] if ranks > 1 else []
    return start(*args, module=module, launcher=launcher, env=_ONE_THREAD, **options)


def run(ranks: int, *args: str | Path, **options: Any) -> Result:
    """Run such a command and return its result."""
    return finish(launch(ranks, *args, **options), 120)
