"""Several processes under mpiexec, where mpi4py is installed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ..commands import Result, finish

_BESIDE = Path(sys.executable).with_name("mpiexec")  # where its wheel puts it
MPIEXEC = str(_BESIDE) if _BESIDE.exists() else shutil.which("mpiexec")

needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or subprocess.call([sys.executable, "-c", "import mpi4py.MPI"], stderr=-3) != 0,
    reason="needs mpi4py and mpiexec",
)


def launch(
    ranks: int, *args: str | Path, module: Sequence[str] = ("-m", "charrnn"), **options: Any
) -> subprocess.Popen[bytes]:
    """A command as so many processes, of one thread each."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    program = [sys.executable, *module, *map(str, args)]
    command = [str(MPIEXEC), "-n", str(ranks), *program]
    return subprocess.Popen(command, env=_environment(), **{**pipes, **options})


def run(ranks: int, *args: str | Path, **options: Any) -> Result:
    """What such a command leaves behind; one process is started without mpiexec."""
    if ranks > 1:
        return finish(launch(ranks, *args, **options), 120)
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    program = [sys.executable, "-m", "charrnn", *map(str, args)]
    return finish(subprocess.Popen(program, env=_environment(), **{**pipes, **options}), 120)


def _environment() -> dict[str, str]:
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
