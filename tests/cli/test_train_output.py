"""What training shows on a terminal and in a pipe."""

import io
import math
import re
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charrnn.cli import train_output
from charrnn.cli.train_output import TrainingDisplay, _rounded
from charrnn.training import recovery
from charrnn.training.progress import Progress
from tests.commands import TINY, Run, on_a_terminal, posix

PROGRESS = Progress(
    step=5, epochs=1.0, fraction=0.5, loss=1.0, learning_rate=0.1, chars=100, seconds=1.0,
    train_loss=0.6931471805599453,
)  # fmt: skip


def test_without_a_terminal_there_are_lines_and_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingDisplay(quiet=False) as shown:
        shown.update(PROGRESS)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "step      5  epoch    1.00  train 1.0000 bits/char\n"


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingDisplay(quiet=True) as shown:
        shown.update(PROGRESS)
        shown.note("a note")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal: Any = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    with TrainingDisplay(quiet=False) as shown:
        shown.update(PROGRESS)
    assert "50%|" in terminal.getvalue()
    assert "train 1.0000 bits/char\n" in terminal.getvalue()


def test_a_pipe_hears_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    between = replace(PROGRESS, train_loss=None)
    with TrainingDisplay(quiet=False) as shown:
        shown.update(between)
        monkeypatch.setattr(train_output, "_SECONDS_OF_SILENCE", -1.0)
        shown.update(between)
    assert capsys.readouterr().err == (
        "step      5  epoch    1.00  train 1.4427 bits/char, 50% of the run\n"
    )


def test_a_figure_that_there_is_none_of_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingDisplay(quiet=False) as shown:
        shown.update(replace(PROGRESS, train_loss=math.inf))
    assert capsys.readouterr().err == "step      5  epoch    1.00  train - bits/char\n"


def test_the_loss_shown_recovers_from_one_that_is_no_number() -> None:
    shown = TrainingDisplay(quiet=True)
    for loss in (1.0, math.nan, 1.0):
        shown.update(replace(PROGRESS, loss=loss))
    assert shown.loss == 1.0


def test_a_run_whose_best_step_has_no_training_loss_ends_well(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step before the first validation was gone back from."""
    monkeypatch.setattr(recovery, "_EXPLODED", 0.0)
    (folder / "text.txt").write_text("the old well held the door\n" * 100)
    result = run("train", "text.txt", *TINY, "--evaluations", "3", "-o", "m.npz")
    assert result.code == 0
    assert "training    - bits per character" in result.err
    assert "train -  val " in result.err
    assert run("inspect", "-c", "m.npz").code == 0
    assert run("train", "text.txt", *TINY, "--evaluations", "3", "-o", "m.npz", "--json").code == 0


def test_the_screen_holds_at_80_columns(run: Run, folder: Path) -> None:
    (folder / "text.txt").write_text("the old well held the door\n" * 100)
    result = run("train", "text.txt", "--steps", "20", "--hidden-size", "8", "-o", "m.npz")
    assert max(map(len, result.err.splitlines())) < 80
    lines = dict(line.split(maxsplit=1) for line in result.err.splitlines() if " " in line.strip())
    assert lines["model"].startswith("lstm 1x8: ")
    first, bars, last = lines["curve"].split()
    assert float(first) > float(last)
    assert len(bars) == 11  # ten validations, and the blend that the run ends with
    assert bars[0] == "█"


def test_a_validation_that_says_less_than_it_seems_to_is_named(run: Run, folder: Path) -> None:
    lines = [f"{pow(7, n + 90, 10**52):052}\n" for n in range(40)]  # no two of them alike
    for name, text in (("once", lines), ("more", lines * 5)):
        (folder / f"{name}.txt").write_text("".join(text))
    few, known = (
        "only {} characters held out, so",
        "of the held-out text is in the training text too",
    )
    ngram = ("--cell", "ngram", "--order", "2", "-o", "m.npz")

    once = run("train", "once.txt", "--lines", *ngram).err
    assert few.format(208) in once
    assert known not in once
    assert known not in run("train", "more.txt", "--lines", *ngram).err  # all on one side
    whole = run("train", "more.txt", *ngram)
    assert f"100% {known}, so the\n  validation figure is too good" in whole.err
    assert few[:4] not in whole.err
    assert max(map(len, (once + whole.err).splitlines())) < 80
    assert f"100% {known}" in run("train", "once.txt", "--val", "once.txt", *ngram).err
    assert run("train", "more.txt", "--quiet", *ngram).err == ""


def test_there_is_no_rate_where_the_clock_has_not_moved(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "text.txt").write_text("the old well held the door\n" * 100)
    sizes = ("--hidden-size", "8", "--threads", "1", "-o", "m.npz", "--force", "--json")
    monkeypatch.setattr(time, "perf_counter", lambda: 1e6)
    for options in (("--steps", "3"), ("--cell", "ngram")):
        result = run("train", "text.txt", *sizes, *options)
        assert result.code == 0, result.err
        assert result.objects()[0]["chars_per_sec"] is None
        assert "characters/s" not in result.err


def test_the_plan_can_be_pasted(run: Run, folder: Path) -> None:
    (folder / "text.txt").write_text("the old well held the door\n" * 100)
    result = run("train", "text.txt", "--steps", "2", "--hidden-size", "8", "--dry-run")
    plan = result.err[result.err.index("plan: ") :].rpartition("\nestimate")[0]
    assert plan.count("\n") == plan.count(" \\\n") > 1
    assert (
        run("train", "text.txt", *shlex.split(plan.replace("\\\n", ""))[1:], "-o", "m.npz").code
        == 0
    )


@posix
@pytest.mark.slow
def test_the_bar_holds_on_a_terminal(folder: Path) -> None:
    (folder / "text.txt").write_text("the old well held the door\n" * 100)
    shown = on_a_terminal("train", "text.txt", "--steps", "200", "--hidden-size", "8", cwd=folder)
    bars = [part for part in shown.replace("\n", "\r").split("\r") if "%|" in part]
    assert bars
    assert all(len(bar.replace("\x1b[A", "")) <= 80 for bar in bars)
    assert "bits/char, " in bars[-1]


@posix
@pytest.mark.slow
def test_a_terminal_gets_a_bar_that_goes_away(folder: Path) -> None:
    shown = on_a_terminal("train", "hello", *TINY, "-o", "h.npz")
    assert "100%|" in shown
    assert "%|" not in shown[shown.index("written to") :]
    assert "%|" not in on_a_terminal("train", "hello", *TINY, "-o", "h.npz", "--quiet")


def test_the_summary_is_in_plain_words(run: Run, folder: Path) -> None:
    (folder / "text.txt").write_text("the old well held the door\n" * 100)
    command = ("train", "text.txt", "--lines", "--steps", "20", "--hidden-size", "8", "-o", "m.npz")
    shown = run(*command, "--ngram", "3", "--json")
    assert "text: 2,600 characters (9 different) in 100 lines; 260 held out\n" in shown.err
    assert re.search(r"\nlstm 1x8: [\d,]+ parameters, with a 3-gram model; \S+ passes", shown.err)
    (result,) = shown.objects()
    baselines = result["baselines"]
    expected = [
        f"compare     {baselines['unmixed']:.4f} by this model without mixing",
        f"            {baselines['ngram']:.4f} by n-grams",
        f"            {baselines['xz']:.4f} by xz, a compressor",
        f"            {baselines['unigram']:.4f} by character frequencies alone",
    ]
    lines = shown.err.splitlines()
    first = lines.index(expected[0])
    assert lines[first : first + len(expected)] == expected
    assert lines[first - 1].startswith("validation  ")
    assert "network" in baselines
    for words in ("k-gram", "tokens", "without them", f"{baselines['network']:.4f}"):
        assert words not in shown.err
    words = run(*command, "--tokens", "word", "--ngram", "3").err
    assert "(6 different words) in 100 lines" in words
    assert "by word frequencies alone" in words
    counts = run("train", "text.txt", "--cell", "ngram", "-o", "m.npz").err
    assert "n-gram model of order 6: predicts from the last 5 characters\n" in counts


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ("--ngram 0 --steps 2 --hidden-size 4", r"train longer, e\.g\. --minutes \d+"),
        ("--cell ngram --order 1", "raise --order, or train a network"),
    ],
)
def test_what_beats_the_model_is_named_with_what_to_do(
    run: Run, folder: Path, options: str, advice: str
) -> None:
    (folder / "text.txt").write_text("the old well held the door\n" * 100)
    shown = run("train", "text.txt", "--lines", *options.split(), "-o", "m.npz").err
    assert re.search(f"\n\nN-grams and xz predict this text better: {advice}\n\n", shown)


def test_where_nothing_beats_the_model_there_is_no_advice(run: Run, folder: Path) -> None:
    (folder / "text.txt").write_text("".join(f"{pow(7, n + 90, 10**52):052}\n" for n in range(90)))
    shown = run("train", "text.txt", "--lines", "--cell", "ngram", "-o", "m.npz").err
    assert "compare " in shown
    assert "better" not in shown


def test_a_model_is_named_as_briefly_as_it_is_found(run: Run, folder: Path) -> None:
    for output, name in (
        ("m.npz", "m.npz"),
        ("py", "py"),
        ("checkpoints/a.b.npz", "checkpoints/a.b.npz"),
        ("checkpoints/everyday.npz", "checkpoints/everyday.npz"),  # not the bundled one
    ):
        shown = run("train", "hello", *TINY, "-o", output).err.replace("\\", "/")
        assert f"\n  charrnn sample -c {name}\n" in shown


def test_passes_are_in_plain_digits() -> None:
    assert [*map(_rounded, (0.1234, 24, 99.96, 2000.4))] == ["0.123", "24", "100", "2,000"]
