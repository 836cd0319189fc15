"""A corpus that several processes read, each a part."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mpi4py")
BESIDE = Path(sys.executable).with_name("mpiexec")
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
pytestmark = pytest.mark.skipif(MPIEXEC is None, reason="needs mpiexec")

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


def train(ranks: int, *args: str | Path, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    launcher = [str(MPIEXEC), "-n", str(ranks)] if ranks > 1 else []
    command = [*launcher, sys.executable, "-m", "charrnn", "train", *map(str, args)]
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(command, env=env, input=text, capture_output=True, timeout=120)


def figures(
    ranks: int, output: Path, *args: str | Path, text: bytes = b""
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a run says of its result and of its corpus."""
    done = train(ranks, *args, *TINY, "-o", output, text=text)
    assert done.returncode == 0, done.stderr.decode()
    with np.load(output) as arrays:
        texts = [arrays[name].item() for name in arrays if arrays[name].dtype.kind in "SU"]
    corpora = [json.loads(each)["training"]["corpus"] for each in texts if "sha256" in str(each)]
    return json.loads(done.stdout), corpora[0]


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--lines", "--tokens", "word", "--min-count", "2", "--ngram", "0"),
        ("--split-on", "가", "--normalize", "nfd", "--ngram", "0"),
    ],
)
def test_the_run_is_the_same_for_any_number_of_processes(
    folder: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    output = tmp_path / "x.npz"
    expected, corpus = figures(1, output, folder, *options)
    for ranks in (2, 3):
        found, same_corpus = figures(ranks, output, folder, *options)
        assert same_corpus == corpus
        assert found["vocab_size"] == expected["vocab_size"]
        assert found["val_unk"] == expected["val_unk"]
        for name in ("train_bits_per_char", "val_bits_per_char"):
            assert found[name] == pytest.approx(expected[name], rel=1e-5)
        for name in ("unigram", "xz"):
            assert found["baselines"][name] == pytest.approx(expected["baselines"][name], rel=1e-9)


def test_standard_input_is_that_of_the_first_process(tmp_path: Path) -> None:
    text = 999 * b"hello world\n"
    expected, corpus = figures(1, tmp_path / "x.npz", "-", text=text)
    found, same_corpus = figures(3, tmp_path / "x.npz", "-", text=text)
    assert same_corpus == corpus
    assert found["val_bits_per_char"] == pytest.approx(expected["val_bits_per_char"], rel=1e-5)


def test_a_run_goes_on_with_another_number_of_processes(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.npz"
    figures(3, output, folder)
    done = train(2, "--resume", "-o", output, "--steps", "6", "--threads", "1", "--json", "-q")
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["steps"] == 6


def test_an_error_in_one_part_is_that_of_one_process(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    data = bytearray((folder / "a.txt").read_bytes())
    data[-9] = 0xFF
    path.write_bytes(data)
    for args in ([path], [folder, path], [folder, tmp_path / "missing.txt"]):
        one, several = (train(ranks, *args, *TINY) for ranks in (1, 3))
        assert (several.returncode, several.stdout) == (one.returncode, one.stdout) == (1, b"")
        assert several.stderr == one.stderr
        assert several.stderr.startswith(b"error: ")
