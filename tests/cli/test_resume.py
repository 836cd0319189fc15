"""`charrnn train --resume` and `--force`, as typed."""

import signal
from pathlib import Path

import pytest

from charrnn.storage import checkpoint
from charrnn.training import resuming
from tests.commands import TEXT, Result, Run, assert_one_line, finish, posix, start

pytestmark = pytest.mark.figures

TRAIN = ("train", "text.txt", "--hidden-size", "4", "--threads", "1", "-o", "m.npz")


def stopped(folder: Path, *options: str) -> Result:
    """A run that a signal has stopped."""
    (folder / "text.txt").write_text(TEXT * 5)
    process = start(*TRAIN, "--steps", "1000000", "--sample-every", "1", *options, cwd=folder)
    assert process.stderr is not None
    assert any(b"--- step 3" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    return finish(process)


@posix
@pytest.mark.slow
def test_an_interrupted_run_is_not_overwritten_and_goes_on(run: Run, folder: Path) -> None:
    done = stopped(folder, "--log", "a.jsonl")
    assert done.code == 130
    assert done.err.splitlines()[-1].endswith("--log a.jsonl --resume")
    step = resuming.load(folder / "m.npz").step
    refused = run(*TRAIN, "--steps", "5")
    assert_one_line(refused, 1, "m.npz is an unfinished run, at step ")
    assert "--resume" in refused.err
    assert "--force" in refused.err
    assert_one_line(
        run(*TRAIN, "--steps", "5", "--resume"), 2, "--steps must be at least 1,000,000"
    )
    logged = (folder / "a.jsonl").read_text()
    process = start(*TRAIN, "--resume", "--log", "a.jsonl", cwd=folder)
    assert process.stderr is not None
    assert any(b"resuming after step" in line for line in process.stderr)
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 143
    assert (folder / "a.jsonl").read_text().startswith(logged)
    assert resuming.load(folder / "m.npz").step >= step
    forced = run(*TRAIN, "--steps", "5", "--force", "--json")
    assert forced.objects()[0]["steps"] == 5
    assert "1000000" in checkpoint.load(folder / "m.previous.npz").training["command"]


def test_a_complete_run_says_so(run: Run, folder: Path) -> None:
    (folder / "text.txt").write_text(TEXT * 5)
    (result,) = run(*TRAIN, "--steps", "5", "--json").objects()
    again = run("train", "--resume", "-o", "m.npz", "--json")
    assert again.code == 0
    assert again.err.splitlines() == [
        "m.npz: this run is complete, 5 steps; to continue, raise the budget, e.g. --steps 10"
    ]
    same = result | {"seconds": again.objects()[0]["seconds"]}
    assert again.objects() == [same]
    longer = run("train", "--resume", "-o", "m.npz", "--steps", "8", "--json")
    assert longer.objects()[0]["steps"] == 8


def test_resuming_with_anything_else_is_refused_by_name(run: Run, folder: Path) -> None:
    (folder / "text.txt").write_text(TEXT * 5)
    (folder / "other.txt").write_text(TEXT * 6)
    assert run(*TRAIN, "--steps", "5", "--quiet").code == 0
    resume = ("train", "--resume", "-o", "m.npz")
    assert_one_line(run(*resume, "--cell", "gru"), 2, "--cell must be 'lstm'")
    assert_one_line(run(*resume, "--lines"), 2, "--split-on must be ''")
    assert_one_line(run(*resume, "other.txt"), 1, "the text has changed since the run of m.npz")
    assert_one_line(run(*resume, "--val-fraction", "0.5"), 1, "the validation text has changed")
    (folder / "text.txt").rename(folder / "moved.txt")
    missing = run(*resume)
    assert_one_line(missing, 1, "no such file: text.txt")
    assert "hello, korean, stories); if the text of this run" in missing.err
    (folder / "texts.txt").write_text("another")
    assert "; did you mean 'texts.txt'? If the text of this run" in run(*resume).err
    assert "new path" in missing.err
    assert "--init-from m.npz" in missing.err
    assert run(*resume, "moved.txt").code == 0
    assert_one_line(run("train", "--resume", "-o", "x.npz"), 1, "there is no run to resume")
    assert not (folder / "x.npz").exists()
