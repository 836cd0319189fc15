"""What tests of the command line share: a folder of their own, and small models."""

import io
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from charrnn import cli
from charrnn.ids import EOS
from charrnn.parallel import threads
from tests.commands import TEXT, Result, Run, call


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def parsed() -> Any:
    """The command line, made once: `charrnn.cli` makes it anew at every call, which takes long."""
    return typer.main.get_command(cli.app)


@pytest.fixture
def run(
    parsed: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """A function that runs a command in this process."""
    monkeypatch.setattr(threads, "use_one_blas_thread", lambda: None)
    monkeypatch.setattr(cli, "app", parsed)
    monkeypatch.setenv("COLUMNS", "80")
    before = signal.getsignal(signal.SIGTERM)

    def run(*args: str | Path, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["charrnn", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), newline="\n"))
        code = cli.main()
        return Result(code, *capfd.readouterr())

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of lines, trained for a few steps."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "corpus.txt").write_text(TEXT)
    sizes = ("--hidden-size", "8", "--steps", "30", "--threads", "1")
    call("train", "corpus.txt", "--lines", *sizes, "-o", "model.npz", cwd=folder)
    return folder / "model.npz"


@pytest.fixture(scope="session")
def endless(trained: Path) -> Path:
    """The same model, but no text ever ends."""
    arrays = dict(np.load(trained))
    arrays["head.weight"][EOS, 0] = -1e6  # the bias
    np.savez(trained.with_name("endless.npz"), **arrays)
    return trained.with_name("endless.npz")
