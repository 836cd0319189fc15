"""The one boundary where errors become lines, and the streams of a command."""

import errno
import io
import os
import sys
from pathlib import Path

import pytest

from charrnn import cli
from charrnn.cli.options import Terminated
from charrnn.errors import CharRNNError, ConfigError, CorpusError, UnfinishedError, setting
from tests.commands import Run, assert_one_line


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (CharRNNError("it is wrong"), "it is wrong", 1),
        (CorpusError("hidden_size is no option here"), "hidden_size is no option here", 1),
        (ConfigError(f"{setting('hidden_size')} must be 8"), "--hidden-size must be 8", 2),
        (ConfigError(f"x and {setting('lines')}"), "x and --lines or --whole", 2),
        (UnfinishedError("step 3 of 9"), "step 3 of 9; --resume continues it", 1),
        (KeyboardInterrupt(), "", 130),
        (Terminated(), "", 143),
        (MemoryError(), "out of memory; try smaller sizes, or fewer samples", 1),
        (ImportError("first\nOriginal error was: x\ny"), "cannot load a library: x", 1),
        (ImportError("no module y"), "cannot load a library: no module y", 1),
    ],
)
def test_an_error_has_a_line_and_an_exit_code(error: BaseException, text: str, code: int) -> None:
    assert cli._failure(error) == (text, code)


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (BrokenPipeError(), "", 141),
        (OSError(errno.ENOENT, "Not there", "a.txt"), "cannot use a.txt: Not there", 1),
        (OSError(errno.ENOSPC, "Full"), "cannot write to standard output: Full", 1),
    ],
)
def test_output_that_nobody_takes_is_discarded(
    error: OSError, text: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    discarded: list[int] = []
    monkeypatch.setattr(cli, "_discard_output", lambda: discarded.append(1))
    assert cli._failure(error) == (text, code)
    assert discarded


def test_any_other_error_is_a_fault_with_its_place() -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        text, code = cli._failure(error)
    assert text.startswith("a bug in charrnn, please report it: KeyError('x') at test_package.py:")
    assert code == 1


def test_what_is_wrong_on_the_command_line_is_one_line(run: Run) -> None:
    assert_one_line(run("train", "--hidden-size", "x"), 2, "(see charrnn train --help)")
    assert_one_line(run("paint"), 2, "(see charrnn --help)")


def test_the_version_is_one_line(run: Run) -> None:
    result = run("--version")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("charrnn ")


def test_messages_that_cannot_be_written_are_dropped(folder: Path) -> None:
    read, write = os.pipe()
    messages = cli._Messages(read, "w", closefd=False)  # an end that takes nothing
    assert messages.write(b"hello") == 5
    os.close(write)
    os.close(read)
    if os.name == "posix":
        read, write = os.pipe()
        os.close(read)
        with pytest.raises(BrokenPipeError):
            cli._Messages(write, "w", closefd=False).write(b"hello")
        os.close(write)


def test_closed_streams_are_replaced_and_output_is_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(sys, "stdout", narrow)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    cli._prepare_streams()
    assert sys.stdin.read() == ""
    sys.stdin.close()
    print("é", end="", flush=True)
    assert narrow.buffer.getvalue() == "é".encode()
