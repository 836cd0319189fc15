"""What `charrnn score` prints of its texts: columns, their order, thresholds and a table."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from charrnn.cli import score_output
from charrnn.cli.score_input import Given, Sources
from charrnn.cli.score_output import with_bar
from charrnn.config import LINES
from tests.commands import TEXTS, Run, on_a_terminal, posix

pytestmark = pytest.mark.figures


def test_columns_under_a_header(run: Run, trained: Path) -> None:
    header, *rows = run("score", *TEXTS, "-c", trained, "--no-eos", "--tsv").out.splitlines()
    fields = run("score", *TEXTS, "-c", trained, "--no-eos", "--json").objects()
    names = header.split("\t")
    assert names == [
        "log_prob", "bits_per_char", "perplexity", "chars", "unk", "eos", "text",
    ]  # fmt: skip
    assert [row.split("\t")[:6] for row in rows][1] == ["0.000000", "", "", "0", "0", "0"]
    for row, found in zip(rows, fields, strict=True):
        values = dict(zip(names, row.split("\t"), strict=True))
        assert int(values["chars"]) == found["chars"]
        assert float(values["log_prob"]) == pytest.approx(found["log_prob"], abs=1e-6)
    assert rows[-1].endswith("\the held\\tthe \\\\ door")


def test_columns_of_no_text_are_a_header(run: Run, trained: Path) -> None:
    assert run("score", "-c", trained, "--tsv").out.count("\n") == 1


@pytest.mark.parametrize("output", ["", "--json", "--tsv"])
def test_sorting_begins_with_the_most_surprising(run: Run, trained: Path, output: str) -> None:
    command = ("score", *TEXTS, "hello world", "-c", trained, "--no-eos", *output.split())
    plain, found = run(*command).out.splitlines(), run(*command, "--sort").out.splitlines()
    assert sorted(found) == sorted(plain)
    assert found != plain
    objects = run(*command[:-1], "--json", "--sort").objects() if output else []
    bits = [each["bits_per_char"] for each in objects]
    assert bits[:-1] == sorted(bits[:-1], reverse=True)
    assert not objects or objects[-1]["text"] == ""  # in which nothing surprises


@pytest.mark.parametrize("options", ["", "--json", "--tsv", "--per-char", "--sort"])
def test_above_the_threshold_is_exit_code_3_after_all_is_printed(
    run: Run, trained: Path, options: str
) -> None:
    command = ("score", *TEXTS, "-c", trained, *options.split())
    plain = run(*command)
    bits = [
        each["bits_per_char"] for each in run("score", *TEXTS, "-c", trained, "--json").objects()
    ]
    above = 1 + 1e-5  # as one text alone and several at once round differently
    for limit, code in ((max(bits) * above, 0), (sorted(bits)[-2] * above, 3), (0.0, 3)):
        found = run(*command, "--fail-over", repr(limit))
        assert (found.code, found.out) == (code, plain.out)
    assert found.err.endswith("\n5 results above 0 bits per character\n")


def test_the_threshold_of_a_sum_is_for_the_sum(run: Run, trained: Path) -> None:
    command = ("score", *TEXTS, "-c", trained, "--json")
    (total,) = run(*command, "--total").objects()
    bits = total["bits_per_char"]
    assert max(each["bits_per_char"] for each in run(*command).objects()) > bits + 0.01
    assert run(*command, "--total", "--fail-over", str(bits + 0.01)).code == 0
    assert run(*command, "--total", "--fail-over", str(bits - 0.01)).code == 3
    assert run("score", "", "-c", trained, "--no-eos", "--fail-over", "0").code == 0


@posix
@pytest.mark.slow
def test_a_terminal_gets_a_table_the_best_first(trained: Path) -> None:
    shown = on_a_terminal("score", "zzzzzzzz", "hello\x1b[2J", "hello", "-c", trained, NO_COLOR="1")
    assert shown.count("\n") == 5
    assert shown.splitlines()[-1] == (
        "warning: the model does not know 12 of 17 characters in 2 of 3 texts; try another model"
    )
    assert shown.index("hello") < shown.index("zzzzzzzz")
    assert r"hello\x1b[2J" in shown
    assert "\x1b[2J" not in shown
    assert "\x1b[3" not in shown  # a colour


@posix
@pytest.mark.parametrize("columns", ["0", "20"])
@pytest.mark.slow
def test_numbers_are_whole_however_narrow_a_terminal_says_it_is(
    run: Run, trained: Path, columns: str
) -> None:
    texts = ("hello" * 30, "the old well", "z")
    shown = on_a_terminal("score", *texts, "-c", trained, COLUMNS=columns, NO_COLOR="1")
    plain = re.sub(r"\x1b\[\d+m", "", shown)
    assert "…" not in plain
    for score in run("score", *texts, "-c", trained, "--json").objects():
        assert f"{score['log_prob']:.2f}" in plain
        assert f" {score['bits_per_char']:.3f} " in plain
    assert "".join(line[-16:].strip() for line in plain.splitlines()).count("hello") > 20
    coloured = on_a_terminal("score", "hello", "-c", trained, "--per-char", COLUMNS=columns)
    assert "hello<EOS>" in re.sub(r"\x1b\[[\d;]*m", "", coloured)


# The bar, which changes nothing of what passes through it

SCORE: Any = object()
SCORED = [(Given(text, text, num_bytes=len(text)), SCORE) for text in ("one", "three", "")]


@pytest.fixture
def sources(folder: Path) -> Sources:
    (folder / "text.txt").write_text("one\nthree\n\n")
    return Sources([], [Path("text.txt")], LINES, "utf-8", None)


def test_scores_pass_in_order_and_a_pipe_gets_no_bar(
    sources: Sources, capfd: pytest.CaptureFixture[str]
) -> None:
    assert [*with_bar(SCORED, sources, printed=True)] == SCORED
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("printed", "stdout", "shown"), [
    (False, True, True), (True, False, True), (True, True, False),
])  # fmt: skip
def test_a_terminal_gets_a_bar_unless_it_gets_the_scores(
    sources: Sources,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    printed: bool,
    stdout: bool,
    shown: bool,
) -> None:
    monkeypatch.setattr(score_output, "BAR_DELAY", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: stdout)
    assert [*with_bar(SCORED, sources, printed)] == SCORED
    assert ("/11.0" in capfd.readouterr().err) == shown
