"""Every process reads the corpus by itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.commands import Result, finish
from tests.mpi import launch, needs_mpi, run

pytestmark = [needs_mpi, pytest.mark.slow]

TINY = (
    *("--steps", "4", "--evaluations", "1", "--hidden-size", "4", "--batch-size", "3"),
    *("--threads", "1", "--quiet", "--json", "--force"),
)
ELSEWHERE = """
import os, sys
from charrnn.__main__ import main
from charrnn.parallel.processes import world

if world().rank == 1:
    os.chdir("machine")
sys.exit(main())
"""
LINES = 999 * b"hello world\n"


def figures(
    ranks: int, output: Path, *args: str | Path, **options: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a run says of its result and of its corpus."""
    result = run(ranks, "train", *args, *TINY, "-o", output, **options)
    assert result.code == 0, result.err
    with np.load(output) as arrays:
        texts = [arrays[name].item() for name in arrays if arrays[name].dtype.kind in "SU"]
    corpora = [json.loads(each)["training"]["corpus"] for each in texts if "sha256" in str(each)]
    return json.loads(result.out), corpora[0]


@pytest.mark.parametrize(
    "args", [("text",), ("text", "--lines", "--tokens", "word"), ("-",), ("hello", "--val", "-")]
)
def test_every_process_has_the_corpus_that_one_has(tmp_path: Path, args: tuple[str, ...]) -> None:
    """Standard input too, which only the first process can read."""
    text = tmp_path / "text"
    text.write_bytes(LINES)
    found = []
    for ranks in (1, 3):
        with text.open("rb") as file:
            found.append(figures(ranks, tmp_path / "x.npz", *args, stdin=file, cwd=tmp_path))
    (alone, corpus), (together, same_corpus) = found
    assert same_corpus == corpus
    assert together["vocab_size"] == alone["vocab_size"]
    assert together["val_bits_per_char"] == pytest.approx(alone["val_bits_per_char"], rel=1e-5)
    assert together["baselines"] == pytest.approx(alone["baselines"], rel=1e-5)


def on_two_machines(folder: Path, *args: str, others: dict[str, bytes]) -> Result:
    """Return the error of a run whose second process finds other files."""
    (folder / "machine").mkdir()
    for name, data in {"text": LINES, "val": LINES, **others}.items():
        (folder / "machine" / name).write_bytes(data)
    for name in ("text", "val"):
        (folder / name).write_bytes(LINES)
    command = ("train", *args, *TINY, "-o", str(folder / "x.npz"))
    return finish(launch(3, *command, module=("-c", ELSEWHERE), cwd=folder), 60)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"text": LINES + b"x"}, "process 1 has read another text than process 0"),
        ({"val": LINES + b"x"}, "process 1 has read another text than process 0"),
        ({"text": LINES + b"\xff"}, "text is not valid UTF-8"),
        ({"val": b""}, "no text"),
    ],
)
def test_a_text_of_one_process_that_is_another_or_unreadable_is_one_error(
    tmp_path: Path, others: dict[str, bytes], words: str
) -> None:
    result = on_two_machines(tmp_path, "text", "--val", "val", others=others)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert words in result.err
    assert not (tmp_path / "x.npz").exists()


def test_a_run_goes_on_with_the_same_text_only(tmp_path: Path) -> None:
    assert on_two_machines(tmp_path, "text", others={}).code == 0
    (tmp_path / "machine" / "text").write_bytes(LINES + b"x")
    command = ("train", "--resume", "--steps", "6", "-o", tmp_path / "x.npz")
    result = finish(launch(2, *command, module=("-c", ELSEWHERE), cwd=tmp_path), 60)
    assert result.code == 1
    assert "process 1 has read another text" in result.err
