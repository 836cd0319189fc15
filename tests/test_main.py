"""`python -m charrnn` before and after the command line."""

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from charrnn import __main__, cli
from charrnn.parallel import processes


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The exit codes that the process would have ended with at once."""
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    return codes


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_command_ends_with_its_exit_code(
    ended: list[int], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "main", lambda: code)
    assert __main__.main() == code
    assert not ended


@pytest.mark.parametrize("code", [130, 143])
def test_an_interrupted_one_waits_for_no_thread(
    ended: list[int], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "main", lambda: code)
    __main__.main()
    assert ended == [code]


def test_but_several_processes_end_together(
    ended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    several: Any = object()
    monkeypatch.setattr(cli, "main", lambda: 130)
    monkeypatch.setattr(processes, "world", lambda: several)
    assert __main__.main() == 130
    assert not ended


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_a_signal_while_python_starts_ends_in_silence() -> None:
    code = (
        "import os, signal, sys; from charrnn import __main__\n"
        "class Found:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'charrnn.cli': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Found()); __main__.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
