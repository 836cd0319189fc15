"""Samples that training shows."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from charrnn.cli import train_samples
from charrnn.cli.train_samples import below_each_other, draw, on_one_line
from charrnn.config import SampleConfig
from charrnn.errors import CheckpointError
from charrnn.inference.sampling import Sample, generate
from charrnn.storage.checkpoint import Checkpoint, load
from tests.commands import TINY, Run, on_a_terminal, posix, type_in


def run_of(checkpoint: Checkpoint) -> Any:
    return SimpleNamespace(checkpoint=lambda: checkpoint)


def test_texts_are_those_of_sample(endless: Path) -> None:
    checkpoint = load(endless)
    samples = [Sample("", seed) for seed in (7, 8)]
    for _ in generate(checkpoint, samples, SampleConfig(length=30)):
        pass
    expected = [sample.text for sample in samples]
    assert draw(run_of(checkpoint), 7, 2, length=30) == expected
    assert draw(run_of(checkpoint), 8, length=30) == expected[1:]


def test_a_slow_model_is_not_waited_for(endless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_samples, "_SECONDS", -1.0)
    (text,) = draw(run_of(load(endless)), 1)
    assert len(text) == 1


def test_a_model_that_predicts_nothing_ends_no_run() -> None:
    def checkpoint() -> Checkpoint:
        raise CheckpointError("the model predicts nothing")

    assert draw(SimpleNamespace(checkpoint=checkpoint), 1) == []  # type: ignore[arg-type]


def test_a_line_holds_a_text_of_many_lines() -> None:
    assert on_one_line("  a\n\tb \n", 10) == "a b"
    assert on_one_line("hello world", 8) == "hello w…"
    assert on_one_line("안녕하세요 여러분", 8) == "안녕하 …"  # two columns each


def test_texts_of_one_line_are_lines_and_others_have_marks_between() -> None:
    assert below_each_other(["one", "two\n", ""], 20) == ["one", "two", "(an empty text)"]
    assert below_each_other(["a\nb", "c"], 20) == ["a", "b", "---", "c"]
    assert below_each_other(["one two three"], 8) == ["one two", "three"]
    assert below_each_other(["[red]x[/]"], 20) == ["[red]x[/]"]
    assert below_each_other([], 20) == []


def test_training_ends_with_three_samples_and_what_to_do_next(run: Run, folder: Path) -> None:
    (folder / "text.txt").write_text("the old well\nhe held the door\n" * 50)
    result = run("train", "text.txt", "--lines", "--steps", "20", "--hidden-size", "8")
    *_, samples, now = result.err.split("\n\n")
    title, *lines = samples.splitlines()
    assert title == "Samples at temperature 0.8:"
    found = run("sample", "--num-samples", "3", "--seed", "0", "-n", "200", "-c", "text").out
    assert [line.strip() for line in lines] == found.split("\n")[:-1]
    assert now.splitlines() == [
        "Now try:",
        "  charrnn sample -c text",
        '  charrnn score -c text "one sentence" "and another"',
    ]
    assert "\n  " not in result.err.partition("step ")[2].partition("\n\n")[0]  # none on the way


@posix
@pytest.mark.slow
def test_a_terminal_sees_it_learn_and_stdout_does_not(folder: Path) -> None:
    (folder / "text.txt").write_text("the old well\nhe held the door\n" * 50)
    train = ("train", "text.txt", "--lines", *TINY, "--evaluations", "3", "-o", "m.npz")
    shown = on_a_terminal(*train, TERM="xterm")
    assert shown.count("\x1b[2m  ") == 3
    assert "\x1b[2m  " not in on_a_terminal(*train, "--quiet", TERM="xterm")
    plain = on_a_terminal(*train, NO_COLOR="1")
    assert "\x1b[2m" not in plain
    program = [sys.executable, "-m", "charrnn", *train, "--json"]
    printed = type_in(["sh", "-c", '"$@" 2>/dev/null | wc -l', "sh", *program], None, {})
    assert printed.out.split() == ["1"]
