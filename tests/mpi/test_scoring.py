"""`mpiexec -n N charrnn score` gives the scores of one process, in their order."""

import json
from pathlib import Path

import pytest

from charrnn.resources import bundled_corpus
from tests.mpi import launch, needs_mpi, run

pytestmark = [needs_mpi, pytest.mark.slow]

MODES = {
    "lines": (),
    "sorted": ("--sort", "--tsv"),
    "per character": ("--per-char", "--json"),
    "per word": ("--per-word", "--tsv"),
}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines, some of them empty, in more blocks than processes."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    lines = Path(str(bundled_corpus("english"))).read_text(encoding="utf-8").splitlines()[:60]
    path.write_text("\n\n".join([*lines, *(f"{n}!" for n in range(300))]), encoding="utf-8")
    return path


@pytest.mark.parametrize("mode", MODES)
def test_scores_are_those_of_one_process_in_the_same_order(mode: str, text: Path) -> None:
    arguments: tuple[str | Path, ...] = ("score", "-c", "everyday", "--file", text, *MODES[mode])
    alone = run(1, *arguments)
    assert alone.code == 0, alone.err
    result = run(3, *arguments)
    assert (result.code, result.out, result.err) == (0, alone.out, alone.err)


@pytest.mark.parametrize("cut", [("--lines",), ("--whole", "--streams", "13")])
def test_totals_are_those_of_one_process(cut: tuple[str, ...], text: Path) -> None:
    arguments: tuple[str | Path, ...] = (
        "score",
        "-c",
        "everyday",
        "--file",
        text,
        *cut,
        "--total",
        "--json",
    )
    alone, other = (json.loads(run(ranks, *arguments).out) for ranks in (1, 3))
    difference = abs(other["log_prob"] - alone["log_prob"]) / alone["chars"]
    assert difference < 1e-5
    for name in ("texts", "chars", "unk"):
        assert other[name] == alone[name]


def test_standard_input_is_shared_out(tmp_path: Path) -> None:
    """A little of it: more than a pipe holds is too much for the mpiexec of MPICH itself."""
    (tmp_path / "in.txt").write_text("one\ntwo\nthree\n")
    with (tmp_path / "in.txt").open("rb") as file:
        result = run(3, "score", "-c", "everyday", stdin=file)
    assert [line.split("\t")[2] for line in result.out.splitlines()] == ["one", "two", "three"]


def test_what_is_before_a_bad_line_is_printed(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"t": "a"}\n{"t": "b"}\nno\n')
    result = run(2, "score", "-c", "everyday", "--field", "t", "--file", tmp_path / "bad.jsonl")
    assert result.code == 1
    assert [each["t"] for each in result.objects()] == ["a", "b"]
    assert result.err.startswith("error: line 3 of")
    assert result.err.count("\n") == 1


def test_a_threshold_is_everyones() -> None:
    result = run(2, "score", "-c", "everyday", "hello", "--fail-over", "0.1")
    assert result.code == 3


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("x\n" * 8000)  # whose scores are more than a pipe holds
    command = ("score", "-c", "everyday", "--file", tmp_path / "long.txt")
    with launch(2, *command) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert b"error: " not in process.stderr.read()
        assert process.wait(timeout=60) != 0


def test_what_is_not_shared_out_is_done_once() -> None:
    result = run(3, "sample", "-c", "everyday", "--seed", "1", "--json")
    assert (result.code, len(result.objects())) == (0, 1)
