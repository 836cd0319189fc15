"""The bar of `charrnn score` changes nothing of what passes through it."""

import sys
from pathlib import Path
from typing import Any

import pytest

from charrnn.cli import progress
from charrnn.cli.progress import with_bar
from charrnn.cli.score_input import Given, Sources
from charrnn.config import LINES

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
    monkeypatch.setattr(progress, "DELAY", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: stdout)
    assert [*with_bar(SCORED, sources, printed)] == SCORED
    assert ("/11.0" in capfd.readouterr().err) == shown
