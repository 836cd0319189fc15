"""Kill a trainer at each call by which it changes the disk, just before or just after it."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from charrnn.errors import CheckpointError
from charrnn.parallel.threads import Workers
from charrnn.storage import checkpoint
from charrnn.storage.lock import locked
from charrnn.training import resuming, saving
from charrnn.training.preparing import RunRequest, prepare, resume
from tests.crashes.corpus import read

CALLS = ("mkstemp", "savez", "fsync", "replace", "chmod", "unlink")
_HOMES: dict[str, Any] = {
    "mkstemp": tempfile,
    "savez": np,
    **dict.fromkeys(("fsync", "replace", "chmod", "unlink"), os),
}
OPTIONS = {
    "hidden_size": 8,
    "batch_size": 4,
    "seq_len": 8,
    "steps": 12,
    "evaluations": 3,
    "dropout": 0.2,
    "ngram": 3,
}


@dataclass(frozen=True)
class Point:
    """The moment before or after the nth of these calls."""

    call: str
    number: int
    after: bool


def train(output: Path, seed: int) -> None:
    """Train, or go on, as `charrnn train` does, but write what it needs to go on at every step."""
    saving._LEAST_TO_LOSE, saving._SAVING_SHARE = 0.0, np.inf
    corpus, split = read()
    with Workers(1) as workers, locked(output):
        checkpoint.remove_leftovers(output)
        if checkpoint.beside(output, checkpoint.RESUME).exists():
            found = resuming.load(output)
            run = resume(found, corpus, split, {}, output=output, workers=workers, started=0.0)
        else:
            request = RunRequest({**OPTIONS, "seed": seed})
            run = prepare(corpus, split, request, output=output, workers=workers)
        if not run.record.complete:
            list(run.train())


def in_child(function: Callable[[], None]) -> int:
    """Call it in a process of its own; its exit status, or less the signal that killed it."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(point: Point, function: Callable[[], None]) -> int:
    """Call it in a child that kills itself at a point, if it gets there."""

    def run() -> None:
        home = _HOMES[point.call]
        original, calls = getattr(home, point.call), 0

        def deadly(*args: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == point.number and not point.after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*args, **options)
            if calls == point.number:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(home, point.call, deadly)
        function()

    return in_child(run)


def every_point() -> Iterator[Point]:
    """All points, of which those behind the last call of a run are never reached."""
    for call in CALLS:
        for number in range(1, 100):
            for after in (False, True):
                yield Point(call, number, after)


def weights(path: Path) -> dict[str, np.ndarray]:
    return dict(checkpoint.load(path).model.arrays)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


def check_points(folder: Path, limit: int | None = None) -> tuple[int, list[str]]:
    """Kill at every point (or at most so many of each call), and go on.

    Returns:
        How many kills there were, and what was wrong after them.
    """
    older, whole = folder / "older.npz", folder / "whole.npz"
    assert in_child(lambda: train(older, 1)) == 0
    assert in_child(lambda: train(whole, 0)) == 0
    before, expected, kills, defects = weights(older), weights(whole), 0, []
    beyond: set[str] = set()
    output = folder / "model.npz"
    for point in every_point():
        if point.call in beyond or (limit and point.number > limit):
            continue
        for file in folder.iterdir():
            if "model" in file.name:
                file.unlink()
        output.write_bytes(older.read_bytes())  # an older model is there
        if killed_at(point, lambda: train(output, 0)) == 0:
            beyond.add(point.call)
            continue
        kills += 1
        defects += [f"{point}: {defect}" for defect in _defects(output, before, expected)]
    return kills, defects


def _defects(
    output: Path, before: dict[str, np.ndarray], expected: dict[str, np.ndarray]
) -> Iterator[str]:
    """What is wrong after a kill, and after going on."""
    try:
        weights(output)
    except CheckpointError as error:
        yield f"the model cannot be loaded: {error}"
    if in_child(lambda: train(output, 0)) != 0:
        yield "the run cannot go on"
        return
    if checkpoint.load(output).training["result"]["steps"] != OPTIONS["steps"]:
        yield "it made other steps than a run without a kill"
    if not same(weights(output), expected):
        yield "the model is not that of a run without a kill"
    if not same(weights(output.with_name("model.previous.npz")), before):
        yield "the older model is lost"
    names = {file.name for file in output.parent.iterdir() if "model" in file.name}
    if names != {"model.npz", "model.resume.npz", "model.previous.npz"}:
        yield f"files are left: {sorted(names)}"
