"""Commands as processes: signals, pipes, closed streams, a full disk, any locale."""

import errno
import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from charrnn.storage import checkpoint
from tests.commands import TEXT, TINY, Run, assert_one_line, finish, posix, start

pytestmark = pytest.mark.slow

# Signals


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_a_model(folder: Path, number: int, code: int) -> None:
    sizes = ("--steps", "1000000", "--hidden-size", "4", "--threads", "1", "--sample-every", "1")
    process = start("train", "hello", *sizes, "-o", "h.npz")
    assert process.stderr is not None
    assert any(b"--- step 2" in line for line in process.stderr)  # ends where the process does
    process.send_signal(number)
    result = finish(process)
    assert result.code == code
    said, _, command = result.err.splitlines()[-3:]
    assert said.startswith("interrupted at step ")
    assert said.endswith("the model so far is in h.npz")
    assert command == "  " + shlex.join(
        ["charrnn", "train", "hello", *sizes, "-o", "h.npz", "--resume"]
    )
    assert checkpoint.load(folder / "h.npz").vocabulary.tokens == tuple("ehlo")
    assert sorted(path.name for path in folder.iterdir()) == ["h.npz", "h.resume.npz"]


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_sampling_is_silent(endless: Path, number: int, code: int) -> None:
    process = start("sample", "he", "-c", endless, "--length", "1000000000")
    assert process.stdout is not None
    process.stdout.read(2)
    process.send_signal(number)
    result = finish(process)
    assert (result.code, result.err) == (code, "")


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", ["train fifo", "score --file fifo", "train hello --val fifo"])
def test_waiting_for_a_pipe_can_be_interrupted(
    folder: Path, trained: Path, command: str, number: int, code: int
) -> None:
    os.mkfifo(folder / "fifo")
    model = ["-c", str(trained)] if command.startswith("score") else []
    process = start(*command.split(), *model)
    with (folder / "fifo").open("w"):  # once the command has opened it too, it waits for a text
        process.send_signal(number)
        result = finish(process)
    assert (result.code, result.out, result.err) == (code, "", "")
    assert [path.name for path in folder.iterdir()] == ["fifo"]


# Pipes and streams


@posix
def test_the_output_of_a_command_is_a_corpus(folder: Path) -> None:
    (folder / "text.txt").write_text(TEXT)
    line = f"{sys.executable} -m charrnn train <(cat text.txt) --lines {' '.join(TINY)} --json"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["checkpoint"] == "checkpoints/pipe.npz"


@posix
@pytest.mark.parametrize("option", ["--length=1000000000", "--num-samples=1000 --length=100"])
def test_a_reader_that_leaves_is_no_error(endless: Path, option: str) -> None:
    process = start("sample", "he", "-c", endless, *option.split())
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    process.stdout = None
    result = finish(process)
    assert result.err == ""
    assert result.code == 141


@posix
@pytest.mark.parametrize(
    "command",
    [
        "sample h --length 3 -c {}", "score h -c {}", "inspect --json -c {}", "--help",
        "export -o - -c {}",
        "train hello --steps 2 --json -o h.npz",
    ],
)  # fmt: skip
def test_closed_streams_are_no_error(trained: Path, command: str) -> None:
    line = " ".join([sys.executable, "-m", "charrnn", command.format(trained)])
    closed = subprocess.run(["sh", "-c", f"{line} <&- >&-"], capture_output=True, check=False)
    assert closed.returncode == 0
    assert b"Traceback" not in closed.stderr
    assert b"error" not in closed.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    "command", ["sample h --length 3", "score h --json", "inspect", "export -o -"]
)
def test_a_full_disk_is_one_line(trained: Path, command: str) -> None:
    with open("/dev/full", "w") as full:
        result = finish(start(*command.split(), "-c", trained, stdout=full))
    assert_one_line(result, 1, "cannot write to standard output: No space left on device")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_messages_on_a_full_disk_end_no_run(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        result = finish(start("train", "hello", *TINY, "-o", "h.npz", "--json", stderr=full))
    assert result.code == 0
    assert result.objects()[0]["steps"] == 3


@posix
def test_a_log_on_a_full_disk_ends_no_run_and_loses_nothing(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, write = itertools.count(), os.write

    def full_for_a_while(handle: int, data: bytes) -> int:
        if next(calls) in (3, 4, 5):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data[:100])  # as at the end of a disk

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full_for_a_while)
        result = run("train", "hello", "--steps", "9", "-o", "h.npz", "--log", "a.jsonl")
    assert result.code == 0
    said = "cannot write a.jsonl: No space left on device; training continues"
    assert result.err.count(said) == 1
    steps = [json.loads(line)["step"] for line in (folder / "a.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 10))


def test_output_is_utf8_in_any_locale(folder: Path) -> None:
    (folder / "korean.txt").write_text("사과와 배\n", encoding="utf-8")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    sizes = ("--steps", "2", "--hidden-size", "4", "-o", "k.npz")
    assert finish(start("train", "korean.txt", *sizes, env=environment)).code == 0
    result = finish(start("sample", "사과", "-c", "k.npz", "--length", "0", env=environment))
    assert (result.code, result.out, result.err) == (0, f"사과{os.linesep}", "")
