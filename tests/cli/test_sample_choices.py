"""`charrnn sample --choices`."""

import math
import re
from pathlib import Path

import pytest

from tests.commands import TINY, Run, assert_one_line, on_a_terminal, posix

pytestmark = pytest.mark.figures


@pytest.fixture
def choices(folder: Path) -> Path:
    (folder / "choices.txt").write_text("llo\nld the door\n\nzzz\nllo\nl\\u006c\n")
    return folder / "choices.txt"


def test_choices_are_ranked_with_their_probabilities(
    run: Run, trained: Path, choices: Path
) -> None:
    command = ("sample", "he", "-c", trained, "--choices", choices)
    found = run(*command, "--json").objects()
    assert {item["choice"] for item in found} == {"llo", "ld the door", "zzz", "ll"}
    totals = [item["log_prob"] for item in found]
    assert totals == sorted(totals, reverse=True)
    (start,) = run("score", "he", "-c", trained, "--no-eos", "--json").objects()
    for item in found:
        assert list(item) == ["text", "prompt", "choice", "log_prob", "prob", "unk"]
        assert (item["text"], item["prompt"]) == ("he" + item["choice"], "he")
        (whole,) = run("score", item["text"], "-c", trained, "--no-eos", "--json").objects()
        expected = whole["log_prob"] - start["log_prob"]
        assert item["log_prob"] == pytest.approx(expected, abs=1e-3)
        assert item["prob"] == pytest.approx(math.exp(item["log_prob"]))
        assert item["unk"] == 3 * (item["choice"] == "zzz")
    lines = run(*command).out.splitlines()
    assert lines == [
        f"{item['log_prob']:.6f}\t{item['prob']:.6g}\t{item['choice']}" for item in found
    ]
    assert run(*command[:-1], "-", stdin=choices.read_bytes()).out.splitlines() == lines


def test_a_choice_is_shown_as_it_was_given(run: Run, folder: Path) -> None:
    (folder / "text.txt").write_text("the cat sat\ncaf\u00e9\n" * 20)
    for kind, prompt, choice, text in (
        (("--tokens", "word"), "the c", "at", "the cat"),
        ((), "cafe", "\u0301", "caf\u00e9"),
    ):
        assert run("train", "text.txt", *TINY, *kind, "-o", "m.npz", "-q", "--force").code == 0
        command = ("sample", prompt, "-c", "m.npz", "--choices", "-")
        (found,) = run(*command, "--json", stdin=choice.encode()).objects()
        assert (found["choice"], found["text"]) == (choice, text)
        assert run(*command, stdin=choice.encode()).out.rstrip("\n").endswith(f"\t{choice}")


@posix
def test_a_terminal_gets_a_table(trained: Path, choices: Path) -> None:
    shown = on_a_terminal("sample", "he", "-c", trained, "--choices", choices, NO_COLOR="1")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    heading, first, *rest = shown.splitlines()
    assert heading.split() == ["log", "P", "P", "of", "the", "best", "choice"]
    assert first.split()[2] == "1"
    assert len(rest) == 3


def test_choices_that_cannot_be_ranked_are_refused(run: Run, trained: Path, folder: Path) -> None:
    command = ("sample", "he", "-c", trained, "--choices")
    (folder / "empty.txt").write_text("\n\n")
    assert_one_line(run(*command, "empty.txt"), 1, "there are no choices in empty.txt")
    assert_one_line(run(*command, "-", stdin=b""), 1, "there are no choices in standard input")
    assert_one_line(run(*command, "nofile"), 1, "No such file")
    for both in (("-", "--choices", "-"), ("-", "--novel", "-"), ("--prompts=-", "--novel", "-")):
        result = run("sample", *both, "-c", trained, stdin=b"he")
        assert_one_line(result, 2, "standard input can be read only once; give '-' once")
    assert_one_line(run(*command, "-", "--seed", "3"), 2, "--choices and --seed cannot be")
