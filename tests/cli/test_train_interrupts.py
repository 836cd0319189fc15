"""Signals while a command trains: nothing is lost, whatever they break off."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.cli.train_interrupts import Interrupted, Interrupts
from charrnn.parallel.helpers import FORKS
from charrnn.storage import checkpoint
from charrnn.training import run as run_module
from charrnn.training import trainer, validator
from tests.commands import TEXT, Run, finish, posix, start

TRAIN = (
    *("train", "text.txt", "--hidden-size", "4", "--threads", "1", "--steps", "20"),
    *("--ngram", "2", "--evaluations", "4"),
)


def interrupted_in(function: Callable[..., Any], number: int) -> Callable[..., Any]:
    """The function, in which a signal comes."""

    def call(*args: Any, **options: Any) -> Any:
        os.kill(os.getpid(), number)
        return function(*args, **options)

    return call


@posix
@pytest.mark.parametrize(
    ("module", "name", "number"),
    [
        (validator, "evaluate", signal.SIGINT),
        (run_module, "network_baseline", signal.SIGTERM),
        (checkpoint, "save", signal.SIGTERM),
        (trainer, "clip_by_global_norm", signal.SIGINT),
    ],
)
def test_a_signal_in_any_part_of_a_run_ends_it_and_it_goes_on(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, number: int
) -> None:
    (folder / "text.txt").write_text(TEXT * 50)
    whole = run(*TRAIN, "-o", "whole.npz", "--json").objects()[0]
    with monkeypatch.context() as patch:
        patch.setattr(module, name, interrupted_in(getattr(module, name), number))
        stopped = run(*TRAIN, "-o", "m.npz")
    assert stopped.code == 128 + number
    assert stopped.err.splitlines()[-1].endswith("-o m.npz --resume")
    resumed = run("train", "--resume", "-o", "m.npz", "--json").objects()[0]
    for figures in (whole, resumed):
        for changing in ("checkpoint", "seconds", "chars_per_sec"):
            del figures[changing]
    assert resumed == whole
    found, expected = (checkpoint.load(folder / name).model for name in ("m.npz", "whole.npz"))
    np.testing.assert_equal({**found.arrays}, {**expected.arrays})


@posix
def test_a_signal_breaks_off_only_what_may_be() -> None:
    with Interrupts() as interrupts:
        with pytest.raises(Interrupted), interrupts.interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.signal == signal.SIGTERM
        with pytest.raises(Interrupted), interrupts.interruptible():
            pytest.fail("it has come before")
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.signal == signal.SIGINT
    with Interrupts(grace=1.0) as interrupts, interrupts.interruptible():  # several processes
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.signal == signal.SIGINT


@posix
def test_a_process_that_does_not_look_at_signals_is_ended_where_nothing_is_to_be_saved() -> None:
    code = (
        "import os, signal, time; from charrnn.cli import train_interrupts as here\n"
        "here._PATIENCE = 0.01\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "with here.nothing_to_save():\n"
        "    os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)"
    )
    assert finish(start(module=("-c", code))).code == 143


@posix
def test_after_that_signals_are_as_before() -> None:
    from charrnn.cli.train_interrupts import nothing_to_save

    before = signal.set_wakeup_fd(-1)
    with nothing_to_save():
        assert signal.set_wakeup_fd(before) != before
    assert signal.set_wakeup_fd(before) == before


HELPED = (
    *("train", "text.txt", "--hidden-size", "8", "--threads", "2", "--batch-size", "32"),
    *("--steps", "200", "--evaluations", "2"),
)


@pytest.mark.slow
@pytest.mark.skipif(not FORKS, reason="the system has no safe fork")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_helper_and_the_run_goes_on(
    run: Run, folder: Path, number: signal.Signals
) -> None:
    (folder / "text.txt").write_text(TEXT * 50)
    log = folder / "log.jsonl"
    whole = run(*HELPED, "-o", "whole.npz", "--json").objects()[0]
    process = start(
        *HELPED, "-o", "m.npz", "--log", "log.jsonl", cwd=folder, start_new_session=True
    )
    while not log.exists() or not log.stat().st_size:
        assert process.poll() is None
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    if number == signal.SIGKILL:  # as the system does where memory is short: one process only
        process.kill()
        assert finish(process).code == -number
    else:  # as a terminal does: all
        os.killpg(process.pid, number)
        stopped = finish(process)
        assert stopped.code == 128 + number
        assert stopped.err.splitlines()[-1].endswith("--resume")
    deadline = time.monotonic() + 10
    while Path(f"/proc/{children[0]}/fd").exists() and _state(children[0]) != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    resumed = run("train", "--resume", "-o", "m.npz", "--threads", "1", "--json").objects()[0]
    for figures in (whole, resumed):
        for changing in ("checkpoint", "seconds", "chars_per_sec"):
            del figures[changing]
    assert resumed == whole
    found, expected = (checkpoint.load(folder / name).model for name in ("m.npz", "whole.npz"))
    np.testing.assert_equal({**found.arrays}, {**expected.arrays})


def _state(process: str) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"
