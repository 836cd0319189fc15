"""`mpiexec -n N charrnn train` learns what one process learns."""

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.resources import bundled_corpus
from tests.commands import finish
from tests.mpi import launch, needs_mpi, run

pytestmark = [needs_mpi, pytest.mark.slow]

SIZES = (
    *("--hidden-size", "32", "--num-layers", "2", "--seq-len", "16", "--threads", "1"),
    *("--dropout", "0.2", "--recurrent-dropout", "0.3", "--scheduled-sampling", "0.3"),
    *("--batch-size", "12", "--evaluations", "2"),
)
KINDS = {
    "lstm of lines": (),
    "gru of words": ("--cell", "gru", "--tokens", "word"),
    "whole text": ("--whole", "--ngram", "0", "--normalize", "nfd"),
}


FAILING = """
import sys
from charrnn.text import corpus
from charrnn.__main__ import main
from charrnn.parallel.processes import world
from charrnn.errors import CorpusError

def read_corpus(*args, **options):
    raise {error}

if world().rank == 1:
    corpus.read_corpus = read_corpus
sys.exit(main())
"""
DYING = """
import os, sys
from charrnn.__main__ import main
from charrnn.parallel.processes import world
from charrnn.training.trainer import Trainer

def update(trainer, *chunk):
    if trainer.counters.step == 9:
        os.kill(os.getpid(), 9)
    return whole(trainer, *chunk)

if world().rank == 1:
    whole, Trainer._step = Trainer._step, update
sys.exit(main())
"""


@pytest.fixture(autouse=True)
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some English where the commands run."""
    some = Path(str(bundled_corpus("english"))).read_text(encoding="utf-8")[:20_000]
    (tmp_path / "some.txt").write_text(some, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def train(ranks: int, output: Path, *options: str) -> list[dict[str, Any]]:
    """Train for a few steps; what the log says of each."""
    log = output.with_suffix(".jsonl")
    result = run(
        ranks, "train", "some.txt", *SIZES, *options, "-o", output, "--log", log, "--quiet"
    )
    assert (result.code, result.out, result.err) == (0, "", "")
    return [json.loads(line) for line in log.read_text().splitlines()]


def weights(output: Path) -> np.ndarray:
    with np.load(output) as arrays:
        found = [arrays[name].ravel() for name in arrays.files if name.endswith("weight")]
    return np.concatenate(found)


def assert_near(found: np.ndarray, expected: np.ndarray) -> None:
    """Rounding decides whether a weight whose gradient is about 0 waits, so a few are far apart."""
    assert np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_several_processes_learn_what_one_learns(kind: str, tmp_path: Path) -> None:
    options = (*KINDS[kind], "--steps", "20")
    alone = train(1, tmp_path / "1.npz", *options)
    logged = train(3, tmp_path / "3.npz", *options)
    for name in ("loss", "chars"):
        found = [entry[name] for entry in logged]
        assert found == pytest.approx([entry[name] for entry in alone], rel=5e-3)
    found, expected = logged[-1]["validation"], alone[-1]["validation"]
    assert found["nats"] == pytest.approx(expected["nats"], rel=5e-3)
    assert {**found, "nats": 0} == {**expected, "nats": 0}
    assert_near(weights(tmp_path / "3.npz"), weights(tmp_path / "1.npz"))


def test_the_gradient_of_a_step_is_that_of_one_process(tmp_path: Path) -> None:
    """Adam's mean after one step is a tenth of the gradient."""
    for ranks in (1, 2, 3):
        train(ranks, tmp_path / f"{ranks}.npz", "--steps", "1")
    gradients = [np.load(tmp_path / f"{ranks}.resume.npz")["mean"] for ranks in (1, 2, 3)]
    norm = np.linalg.norm(gradients[0])
    assert norm > 1e-3
    for other in gradients[1:]:
        assert np.linalg.norm(other - gradients[0]) < 1e-5 * norm


def test_as_many_processes_learn_the_same_again(tmp_path: Path) -> None:
    """Three: a sum of two is the same in any order."""
    for name in ("a", "b"):
        train(3, tmp_path / f"{name}.npz", "--steps", "12")
    np.testing.assert_array_equal(weights(tmp_path / "a.npz"), weights(tmp_path / "b.npz"))


def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    for name, first, second in (("a", 1, 1), ("b", 2, 3), ("c", 3, 1)):
        train(first, tmp_path / f"{name}.npz", "--steps", "10")
        train(second, tmp_path / f"{name}.npz", "--steps", "20", "--resume")
    for name in ("b", "c"):
        assert_near(weights(tmp_path / f"{name}.npz"), weights(tmp_path / "a.npz"))


def test_one_process_speaks(tmp_path: Path) -> None:
    result = run(2, "train", "some.txt", "--steps", "5", "-o", tmp_path / "h.npz", "--json")
    assert (result.code, len(result.objects())) == (0, 1)
    assert result.err.count("written to") == 1


def test_minutes_end_on_time_and_all_agree_on_the_steps(tmp_path: Path) -> None:
    output = tmp_path / "m.npz"
    options = ("--hidden-size", "16", "--minutes", "0.1", "--json")
    result = run(2, "train", "some.txt", *options, "-o", output)
    assert result.code == 0, result.err
    assert result.objects()[0]["steps"] > 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_and_goes_on(number: int, tmp_path: Path) -> None:
    log = tmp_path / "i.jsonl"
    options = (*SIZES, "-o", tmp_path / "i.npz", "--log", log)
    process = launch(2, "train", "some.txt", *options, "--steps", "100000")
    wait_for(log, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err.decode()
    assert err.decode().count("to continue:") == 1
    done = json.loads(log.read_text().splitlines()[-1])["step"]
    train(3, tmp_path / "i.npz", "--steps", "100000", "--dry-run", "--resume")
    assert done > 0
    with np.load(tmp_path / "i.resume.npz") as arrays:
        assert np.isfinite(arrays["weights"]).all()


def wait_for(log: Path, process: subprocess.Popen[bytes]) -> None:
    """Until a few steps are done."""
    while not (log.exists() and log.read_text().count("\n") > 3):
        assert process.poll() is None
        time.sleep(0.05)


def test_a_process_that_dies_ends_them_all_and_leaves_a_model(tmp_path: Path) -> None:
    options = (*SIZES, "-o", "d.npz", "--evaluations", "50000", "--steps", "100000")
    result = finish(launch(3, "train", "some.txt", *options, module=("-c", DYING)), 120)
    assert result.code != 0
    assert "step" in result.err  # it had begun
    scored = run(1, "score", "a text", "-c", "d.npz", "--json")
    assert scored.code == 0, scored.err
    resumed = run(2, "train", *options, "--resume", "--dry-run")
    assert resumed.code == 0, resumed.err


ERRORS = {
    "no such file": (("train", "nothing.txt"), 1, "no such file: nothing.txt"),
    "wrong usage": (("train", "--steps", "x"), 2, "--steps must be a whole number"),
    "too few streams": (("train", "some.txt", "--batch-size", "1"), 2, "batch-size"),
    "no folder": (("train", "some.txt", "--steps", "2", "-o", "/dev/null/x.npz"), 1, "x.npz"),
    "nothing to resume": (("train", "--resume", "-o", "x.npz"), 1, "x.resume.npz"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_one_line(name: str, tmp_path: Path) -> None:
    arguments, code, words = ERRORS[name]
    result = run(2, *arguments)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert words in result.err


@pytest.mark.parametrize(
    ("error", "words"),
    [("CorpusError('its disk is gone')", "its disk is gone"), ("KeyError('x')", "a bug")],
)
def test_an_error_of_one_process_is_that_of_all(error: str, words: str, tmp_path: Path) -> None:
    module = ("-c", FAILING.format(error=error))
    result = finish(launch(2, "train", "some.txt", "--steps", "2", module=module))
    assert result.code == 1
    lines = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.err
    assert words in lines[0]
    assert not (tmp_path / "checkpoints").exists()
