"""Commands as tests run them, and what they leave behind."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and file descriptors")

TEXT = "hello world\nthe old well\nwe held the door\n"
TEXTS = ["hello world", "", "zzzz", "the old well", "he held\tthe \\ door"]  # to be scored
RESULT_FIELDS = [
    "checkpoint", "cell", "parameters", "vocab_size", "steps", "epochs", "seconds",
    "chars_per_sec", "train_bits_per_char", "val_bits_per_char", "val_unk", "best_step", "seed",
]  # fmt: skip
SCORE_FIELDS = [
    "text", "log_prob", "prob", "bits_per_char", "perplexity", "chars", "unk", "eos",
    "token_log_prob",
]  # fmt: skip
MODEL_LINE = re.compile(r"^(?:\x1b\[2m)?models?: .*\r?\n", re.MULTILINE)  # which model answers
TINY = ("--steps", "3", "--hidden-size", "4", "--threads", "1")


@dataclass
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def objects(self) -> list[dict[str, Any]]:
        """The lines of stdout as JSON, which knows neither NaN nor Infinity."""
        return [json.loads(line, parse_constant=pytest.fail) for line in self.out.splitlines()]


Run = Callable[..., Result]


def start(
    *args: str | Path,
    module: Sequence[str] = ("-m", "charrnn"),
    launcher: Sequence[str] = (),
    **options: Any,
) -> subprocess.Popen[bytes]:
    """A command as a process of its own, with pipes for what is not given."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [*launcher, sys.executable, *module, *map(str, args)]
    return subprocess.Popen(command, **{**pipes, **options})


def finish(process: subprocess.Popen[bytes], seconds: float = 60) -> Result:
    out, err = process.communicate(timeout=seconds)
    return Result(process.returncode, (out or b"").decode(), (err or b"").decode())


def call(*args: str | Path, cwd: Path | None = None, seconds: float = 60) -> str:
    """Run a command that must succeed, in a process of its own: what it prints on stdout."""
    result = finish(start(*args, cwd=cwd), seconds)
    assert result.code == 0, result.err
    return result.out


def on_a_terminal(
    *args: str | Path,
    module: Sequence[str] = ("-m", "charrnn"),
    cwd: Path | None = None,
    **environment: str,
) -> str:
    """What a command writes to a terminal, stdout and stderr together, but for MODEL_LINE."""
    found = type_in([sys.executable, *module, *map(str, args)], cwd, environment)
    assert found.code in (0, 1, 2)
    return MODEL_LINE.sub("", found.out)


def type_in(
    command: Sequence[str], cwd: Path | None, environment: Mapping[str, str], **options: Any
) -> Result:
    """A command on a terminal of 80 columns; its stdout and stderr together."""
    import pty
    import termios

    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment}
    streams = {"stdin": follower, "stdout": follower, "stderr": follower, **options}
    process = subprocess.Popen(command, cwd=cwd, env=env, **streams)
    os.close(follower)
    written = bytearray()
    with contextlib.suppress(OSError):  # how Linux says that nobody has the terminal open any more
        while data := os.read(leader, 1 << 16):
            written += data
    os.close(leader)
    return Result(process.wait(timeout=60), written.decode(), "")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_one_line(result: Result, code: int, words: str = "") -> None:
    """The contract for errors: an exit code, one plain line on stderr, nothing on stdout."""
    assert (result.code, result.out) == (code, ""), result.err
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert words in result.err
