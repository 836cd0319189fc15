"""Kill `charrnn train` at random moments, start it twice, and sample while it writes."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from charrnn.storage import checkpoint
from tests.crashes.corpus import lines
from tests.crashes.points import same, weights

CHARRNN = (sys.executable, "-m", "charrnn")
OPTIONS = ("--lines", "--hidden-size", "128", "--dropout", "0.2", "--threads", "1")
_LONGEST = 120  # seconds that a process may take


def start(*arguments: str | Path, folder: Path) -> subprocess.Popen[str]:
    """A command of charrnn in a folder."""
    return subprocess.Popen(
        [*CHARRNN, *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and what it said on stderr."""
    _, err = process.communicate(timeout=_LONGEST)
    return process.returncode, err


def check_kills(folder: Path, kills: int, seed: int, steps: int) -> tuple[int, list[str]]:
    """Kill runs at random moments, with SIGKILL or a signal that they handle, until they are done.

    Returns:
        How many kills there were, and what was wrong after them.
    """
    (folder / "text.txt").write_text("\n".join(lines()))
    command = ("train", "text.txt", *OPTIONS, "--steps", str(steps), "--evaluations", "20")
    began = time.monotonic()
    code, err = finish(start(*command, "-o", "whole.npz", folder=folder))
    assert code == 0, err
    lasts, expected = time.monotonic() - began, weights(folder / "whole.npz")
    rng, done, defects = random.Random(seed), 0, []
    output = folder / "model.npz"
    while done < kills:
        unfinished = checkpoint.beside(output, checkpoint.RESUME).exists()
        how = ("--resume",) if unfinished else ("--force",)
        process = start(*command, "-o", "model.npz", *how, folder=folder)
        assert process.stderr is not None
        process.stderr.readline()  # before, Python itself is starting
        time.sleep(rng.random() * lasts)
        number = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        process.send_signal(number)
        code, err = finish(process)
        done += code != 0
        defects += [f"kill {done}: {text}" for text in _defects(folder, code, number, err)]
        if code == 0 and output.exists():
            if not same(weights(output), expected):
                defects.append(f"kill {done}: the model is not that of a run without a kill")
            for file in folder.glob("*model*"):
                file.unlink()
    return done, defects


def _defects(folder: Path, code: int, number: int, err: str) -> Iterator[str]:
    if code not in (0, -number, 128 + number):
        yield f"exit code {code}: {err}"
    if "Traceback" in err:
        yield err
    output = folder / "model.npz"
    if output.exists():
        checkpoint.load(output)  # raises where it is not whole
    leftovers = [name for name in os.listdir(folder) if name.endswith(".tmp")]
    if len(leftovers) > 1:
        yield f"temporary files pile up: {leftovers}"


def check_two_trainers(folder: Path) -> list[str]:
    """The second trainer on an output is refused while the first lives, and not longer."""
    (folder / "text.txt").write_text("\n".join(lines()))
    command = ("train", "text.txt", *OPTIONS, "-o", "model.npz", "--steps")
    first = start(*command, "1000000", folder=folder)
    while not (folder / "model.resume.npz").exists():
        time.sleep(0.01)
    code, err = finish(start(*command, "2", "--force", folder=folder))
    defects = []
    if code != 1 or not err.startswith("error: another charrnn is training") or "\n" in err[:-1]:
        defects.append(f"the second trainer was not refused: {code}, {err}")
    first.kill()
    finish(first)
    code, err = finish(start(*command, "2", "--force", folder=folder))
    if code != 0:
        defects.append(f"the lock of a dead trainer was kept: {err}")
    return defects


def check_readers(folder: Path, readers: int, saves: int) -> tuple[int, list[str]]:
    """Sample from a checkpoint again and again while a trainer replaces it.

    Returns:
        How many samples were drawn, and what was wrong with any.
    """
    (folder / "text.txt").write_text("\n".join(lines()))
    command = ("train", "text.txt", *OPTIONS, "--val-fraction", "0", "-o", "model.npz")
    assert finish(start(*command, "--steps", "1", folder=folder))[0] == 0
    budget = ("--steps", str(4 * saves), "--evaluations", str(saves))
    trainer = start(*command, *budget, folder=folder)
    sampler = ("sample", "the", "-c", "model.npz", "--length", "20")
    drawn, defects = 0, []
    while trainer.poll() is None:
        running = [start(*sampler, folder=folder) for _ in range(readers)]
        for code, err in map(finish, running):
            drawn += 1
            if code or err:
                defects.append(f"a sampler failed: {code}, {err}")
    code, err = finish(trainer)
    if code or "cannot" in err:
        defects.append(f"the trainer failed: {code}, {err}")
    entries = checkpoint.load(folder / "model.npz").training["history"]
    if sum(entry["best"] for entry in entries) != saves:
        defects.append(f"it was replaced {sum(entry['best'] for entry in entries)} times")
    if not all(np.isfinite(array).all() for array in weights(folder / "model.npz").values()):
        defects.append("the model is broken")
    return drawn, defects
