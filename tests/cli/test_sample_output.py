"""What `charrnn sample` prints of what was drawn."""

import json
import math
import re
import sys

import pytest

from charrnn.cli import sample_output
from charrnn.cli.sample_drawing import Drawn
from charrnn.cli.sample_output import (
    Layout,
    print_json,
    print_next,
    print_texts,
    say_unknown,
    several_lines,
    stream,
)
from charrnn.config import SampleConfig
from charrnn.inference.sampling import Sample, generate
from charrnn.inference.verbatim import Stretch
from tests.conftest import WORDS, MakeCheckpoint

Captured = pytest.CaptureFixture[str]


def drawn(text: str, log_prob: float = -1.0, copied: list[Stretch] | None = None) -> Drawn:
    sample = Sample("he", 3, log_prob, log_prob, "eos", _parts=[text])
    return Drawn(sample, 0.5, copied)


def become_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stdout be a wide terminal without colours."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")


def test_a_text_is_printed_while_it_is_drawn(
    make_checkpoint: MakeCheckpoint, capsys: Captured
) -> None:
    model, sample, config = make_checkpoint(), Sample("ab", 1), SampleConfig(length=9)
    stream(model, Sample("ab", 1), config)
    assert "".join(text for _, text in generate(model, [sample], config)) == sample.text
    assert capsys.readouterr().out == sample.text + "\n"


@pytest.mark.parametrize("stop", ["", "cacb"])
def test_a_text_is_coloured_by_its_surprise(
    make_checkpoint: MakeCheckpoint,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    stop: str,
) -> None:
    become_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    model, sample = make_checkpoint(), Sample("ab", 1)
    model.model.arrays["head.weight"][:3, 0] = -100, -9, 9  # the biases: a is likely, no end
    config = SampleConfig(length=30, temperature=9, stop=stop)
    stream(model, sample, config, colour=True)
    shown = capsys.readouterr().out
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == sample.text + "\n"
    assert shown.startswith("ab")
    coloured = re.findall(r"\x1b\[[0-9;]+m([^\x1b]+)\x1b\[0m", shown)
    assert len(coloured) > 0
    assert {*"".join(coloured)} <= {*"bc"}  # which surprise
    monkeypatch.setenv("NO_COLOR", "1")
    stream(model, Sample("ab", 1), config, colour=True)
    assert capsys.readouterr().out == sample.text + "\n"


def test_what_is_unknown_is_named_in_short(
    make_checkpoint: MakeCheckpoint, capsys: Captured
) -> None:
    say_unknown(make_checkpoint(), ["abc", ""])
    assert capsys.readouterr().err == ""
    say_unknown(make_checkpoint(), ["ax", "\x1bb"])
    assert capsys.readouterr().err.splitlines()[-1].endswith(r"unknown to the model: '\x1b', 'x'")
    say_unknown(make_checkpoint(), ["a0123456789xyz"])
    assert capsys.readouterr().err.rstrip().endswith("'9' and 3 more")
    say_unknown(make_checkpoint(["the", " well"], WORDS), ["zzz"])
    assert "knows no word of the prompt" in capsys.readouterr().err


def test_texts_of_several_lines_are_told_apart(
    make_checkpoint: MakeCheckpoint, capsys: Captured
) -> None:
    assert several_lines(make_checkpoint("ab\n"), ["a"])
    assert several_lines(make_checkpoint(), ["a", "b\nc"])
    assert not several_lines(make_checkpoint(), ["a"])
    print_texts([1.0], [[drawn("hell"), drawn("help")]], Layout(apart=True))
    assert capsys.readouterr().out == "hell\n---\nhelp\n"


def test_json_says_what_was_asked_for(capsys: Captured) -> None:
    usual = {"text": "hell", "prompt": "he", "log_prob": -1.0, "stop": "eos", "seed": 3}
    print_json([drawn("hell")], False, ranked=False)
    assert json.loads(capsys.readouterr().out) == usual
    print_json([drawn("hell", copied=[])], True, ranked=True)
    more = {"drawn_log_prob": -1.0, "temperature": 0.5, "copied": [], "copied_share": 0.0}
    assert json.loads(capsys.readouterr().out) == usual | more


def test_temperatures_in_a_pipe_come_one_after_another(capsys: Captured) -> None:
    print_texts([0.5, 1], [[drawn("hell")], [drawn("help")]], Layout())
    assert capsys.readouterr().out.splitlines() == [
        *("--- temperature 0.5", "hell", "--- temperature 1", "help")
    ]


def test_a_wide_terminal_has_them_side_by_side(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    become_terminal(monkeypatch)
    print_texts([0.5, 1], [[drawn("hell"), drawn("heap")], [drawn("help")]], Layout())
    head, first, second = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head == ["temperature", "0.5", "temperature", "1"]
    assert (first, second) == (["hell", "help"], ["heap"])


def test_a_terminal_has_ranks_in_a_table(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    become_terminal(monkeypatch)
    print_texts([1.0], [[drawn("hell", -1), drawn("help", -3)]], Layout(ranked=True))
    head, first, second = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head == ["log", "P", "of", "the", "best", "text"]
    assert first == ["-1.00", "1", "hell"]
    assert second == ["-3.00", f"{math.exp(-2):.3g}", "help"]


def test_copies_are_listed_below_the_text(capsys: Captured) -> None:
    item = drawn("hello well", copied=[Stretch(0, 4)])
    print_texts([1.0], [[item]], Layout(marked=True))
    text, summary, stretch = capsys.readouterr().out.splitlines()
    assert text == "hello well"
    assert summary == "4 of 8 characters copied, 50.0%"
    assert stretch.split() == ["4", "50.0%", "llo"]


def test_marks_cover_what_is_copied() -> None:
    marked = sample_output._marked(drawn("hello well", copied=[Stretch(0, 3), Stretch(2, 5)]))
    assert marked.plain == "hello well"
    assert [(span.start, span.end) for span in marked.spans] == [(2, 7)]


def test_what_may_follow_has_a_bar_and_adds_up(
    make_checkpoint: MakeCheckpoint, capsys: Captured
) -> None:
    model = make_checkpoint()
    print_next(model, "ab", as_json=True)
    following = json.loads(capsys.readouterr().out)["next"]
    assert {each["char"] for each in following} == {*"abc", "<EOS>", "<UNK>"}
    assert math.fsum(each["prob"] for each in following) == pytest.approx(1, abs=1e-5)
    print_next(model, "ab", as_json=False)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == [each["char"] for each in following]
    for line, each in zip(lines, following, strict=True):
        assert len("".join(line[2:])) == round(50 * each["prob"])
