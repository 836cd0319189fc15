"""A corpus that several processes read, each a part."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.mpi import needs_mpi, run

pytestmark = needs_mpi

LINE = "The door of house {} holds 가나다 and {}é.\r\n"
TINY = (
    "--steps",
    "4",
    "--evaluations",
    "1",
    "--hidden-size",
    "4",
    "--threads",
    "1",
    "--quiet",
    "--json",
    "--force",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large and small files, a compressed one and an empty one."""
    found = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    text = "".join(LINE.format(*pair) for pair in rng.integers(0, 999, (12_000, 2)))
    (found / "a.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (found / "b.txt.gz").write_bytes(gzip.compress(text[:9999].encode()))
    (found / "c.txt").write_bytes(b"")
    (found / "d.txt").write_bytes(text[-300_000:].encode())
    return found


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
    ("ranks", "options"),
    [
        (3, ()),
        (2, ("--lines", "--tokens", "word", "--min-count", "2", "--ngram", "0")),
        (3, ("--split-on", "가", "--normalize", "nfd", "--ngram", "0")),
    ],
)
def test_the_run_is_the_same_for_any_number_of_processes(
    folder: Path, tmp_path: Path, ranks: int, options: tuple[str, ...]
) -> None:
    expected, corpus = figures(1, tmp_path / "x.npz", folder, *options)
    found, same_corpus = figures(ranks, tmp_path / "x.npz", folder, *options)
    assert same_corpus == corpus
    assert (found["vocab_size"], found["val_unk"]) == (expected["vocab_size"], expected["val_unk"])
    for name in ("train_bits_per_char", "val_bits_per_char"):
        assert found[name] == pytest.approx(expected[name], rel=1e-5)
    for name in ("unigram", "xz"):
        assert found["baselines"][name] == pytest.approx(expected["baselines"][name], rel=1e-9)


@pytest.mark.parametrize("args", [("-",), ("hello", "--val", "-")])
def test_standard_input_is_that_of_the_first_process(tmp_path: Path, args: tuple[str, ...]) -> None:
    text = tmp_path / "text"
    text.write_bytes(999 * b"hello world\n")
    several = (*args, "--batch-size", "3")
    with text.open("rb") as file:
        expected, corpus = figures(1, tmp_path / "x.npz", *several, stdin=file)
    with text.open("rb") as file:
        found, same_corpus = figures(3, tmp_path / "x.npz", *several, stdin=file)
    assert same_corpus == corpus
    assert found["val_bits_per_char"] == pytest.approx(expected["val_bits_per_char"], rel=1e-5)


def test_a_run_goes_on_with_another_number_of_processes(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.npz"
    figures(3, output, folder)
    result = run(2, "train", "--resume", "-o", output, "--steps", "6", "--json", "-q")
    assert result.code == 0, result.err
    assert json.loads(result.out)["steps"] == 6


@pytest.mark.parametrize("names", [("bad",), ("a", "bad"), ("a", "missing")])
def test_an_error_in_one_part_is_that_of_one_process(
    folder: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    data = bytearray((folder / "a.txt").read_bytes())
    (tmp_path / "a.txt").write_bytes(data)
    data[-9] = 0xFF
    (tmp_path / "bad.txt").write_bytes(data)
    paths = [tmp_path / f"{name}.txt" for name in names]
    one, several = (run(ranks, "train", *paths, *TINY) for ranks in (1, 3))
    assert one.err.startswith("error: ")
    assert several == one
