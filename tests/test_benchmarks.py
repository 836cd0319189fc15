"""The benchmarks compare fairly: processes apart, PyTorch's as its users have it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from charrnn.parallel.threads import default_threads
from tests.benchmarks import harness, rows
from tests.benchmarks.harness import Comparison, Side, compare, fastest, used_by_others, warning
from tests.benchmarks.side import Task, line_lengths, rate

FOLDER = Path(harness.__file__).parent
SMALL: Task = rows.training(rows.model("rnn", 1, 8), 2, 4)[1]


def test_rows_report_both_rates_and_the_ratio_of_each_pair() -> None:
    found = Comparison([200, 300, 330], [100, 100, 300])
    assert found.ratios == [2, 3, pytest.approx(1.1)]
    assert str(found).split() == ["300", "100", "2.00", "(1.10", "to", "3.00)"]


def test_a_rate_counts_the_units_of_every_step() -> None:
    assert rate(lambda: 1e9, 0.0) > 1e9


def test_lines_are_of_mixed_length() -> None:
    assert (min(line_lengths(190)), max(line_lengths(190))) == (10, 199)


def test_two_sides_are_measured_in_turn() -> None:
    with Side("charrnn", SMALL) as ours, Side("plain", SMALL) as theirs:
        found = compare(ours, theirs, 2, 0.01)
        assert ours.facts["flop"] == 6 * (8 * (67 + 1 + 8) + 67 * 9)
        assert ours.pid != theirs.pid
    assert len(found.ratios) == 2
    assert min(*found.ours, *found.theirs) > 0


def test_the_fastest_way_stays_and_the_others_end() -> None:
    slow = SMALL | {"hidden_size": 512}
    with fastest("plain", [slow, SMALL], 0.1) as side:
        assert side.task == SMALL
        assert side.rate(0.01) > 0


def test_a_side_that_fails_ends_the_benchmark(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="a side has ended"), Side("plain", {}):
        pass
    assert "KeyError" in capfd.readouterr().err


@pytest.mark.parametrize(
    "task",
    [
        SMALL | {"cell": "lstm", "ngram": 3, "dropout": 0.1, "text": "hello", "seq_len": 1},
        {"kind": "sampling", **rows.model("lstm", 1, 8), "streams": 2},
        {"kind": "products", **rows.model("lstm", 1, 8)},
        {"kind": "scoring", **rows.model("lstm", 1, 8), "lines": 3},
    ],
)
def test_charrnn_does_every_kind_of_task(task: Task) -> None:
    with Side("charrnn", task | {"threads": 1}) as side:
        assert side.rate(0.01) > 0
        assert side.facts["threads"] == 1


@pytest.mark.parametrize("name", ["__init__", "side", "torch_side"])
def test_the_process_of_pytorch_holds_nothing_of_charrnn(name: str) -> None:
    found = set()
    for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    packages = {name.removesuffix(".abc") for name in found}
    assert packages <= sys.stdlib_module_names | {"torch", "tests.benchmarks.side"}


def test_nothing_sets_the_environment_of_the_sides() -> None:
    code = (
        "import os; before = {**os.environ}; import tests.benchmarks.__main__, "
        "tests.benchmarks.processes; assert before == {**os.environ}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=FOLDER.parent.parent)


@pytest.mark.slow
@pytest.mark.parametrize(
    "task",
    [
        SMALL,
        {"kind": "sampling", **rows.model("lstm", 1, 8), "streams": 2},
        {"kind": "scoring", **rows.model("lstm", 1, 8), "lines": 3},
    ],
)
def test_pytorch_is_measured_on_all_cores(task: Task) -> None:
    pytest.importorskip("torch")
    with Side("torch", rows.ways(task)[0]) as side:
        assert side.facts["threads"] == default_threads()
        assert side.rate(0.01) > 0


def test_both_sides_can_be_held_to_one_thread() -> None:
    assert {way["threads"] for way in rows.ways(SMALL | {"threads": 1})} == {1}
    assert len(rows.ways(SMALL)) == 2
    assert rows.chosen(rows.ways(SMALL)[0], 2) == "oneDNN on, threads: 2"


@pytest.mark.parametrize(("busy", "share"), [(0, 0.0), (200, 2 / 3)])
def test_what_others_use_is_seen(busy: int, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter(["cpu 0 0 0 0 0 0 0 0\ncpu0 ...", f"cpu {busy} 0 0 90 10 0 0 0\n"])
    monkeypatch.setattr(Path, "exists", lambda path: True)
    monkeypatch.setattr(Path, "read_text", lambda path: next(looks))
    assert used_by_others(0.0) == pytest.approx(share)


def test_a_busy_machine_is_told() -> None:
    assert warning(0.02) == ""
    assert warning(2 / 3) == "WARNING: the machine is busy: others use 67% of it"
