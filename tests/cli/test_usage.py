"""What an error says of a command line that cannot be parsed."""

import os
from pathlib import Path

import pytest

from charrnn.cli.usage import ALIASES
from tests.cli.test_help import COMMANDS
from tests.commands import Run, assert_one_line


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sample --lenght 3", "No such option: --lenght; did you mean '--length'?"),
        ("sample --top 3", "did you mean '--top-k' or '--top-p'?"),
        ("sample -lenght 3", "No such option: -lenght; did you mean '--length'?"),
        ("sample --prompt he", "did you mean 'charrnn sample PROMPT'?"),
        ("train --rate=1", "No such option: --rate; did you mean '--learning-rate'?"),
        ("sample --stpo x", "No such option: --stpo; did you mean '--stop'?"),
        ("sample --step 3", "No such option: --step (see charrnn sample"),
        ("train --temp 1", "No such option: --temp (see charrnn train"),
        ("train --xyzzy", "No such option: --xyzzy (see charrnn train"),
        ("train -n 3", "No such option: -n; it is an option of charrnn sample (see charrnn train"),
        (
            "train -c a",
            "-c; it is an option of charrnn sample, score, classify, inspect, export (",
        ),
        ("sample --stop", "requires an argument. (see charrnn sample"),
        ("score -x", "No such option: -x (see charrnn score"),
        ("score -5", "No such option: -5; put -- before an argument that begins with -"),
        ("train -corpus.txt", "option: -corpus.txt; put -- before an argument that begins with -"),
        ("sample -hello", "put -- before an argument that begins with -"),
    ],
)
def test_an_unknown_option_is_named_with_the_nearest(run: Run, command: str, words: str) -> None:
    assert_one_line(run(*command.split()), 2, words)


@pytest.mark.parametrize(
    "command",
    [
        ("score", "--file", "a.txt"),
        ("sample", "--choices", "a.txt"),
        ("sample", "--prompts", "a.txt"),
        ("inspect", "--gradient-flow", "a.txt"),
        ("classify", "-c", "everyday", "--labels", "a.txt"),
    ],
)
def test_whether_a_file_can_be_read_is_left_to_what_reads_it(
    run: Run, trained: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    (folder / "a.txt").write_text("he\teveryday\n" * 60)
    monkeypatch.setattr(os, "access", lambda *_: False)  # what the parser would ask
    assert run(*command, "-c", trained).code == 0


@pytest.mark.parametrize("text", ["-caption", "-n teresting", "-c it is"])
def test_a_text_is_not_read_as_an_option_and_its_value(run: Run, text: str) -> None:
    assert_one_line(run("sample", text), 2, "put -- before an argument that begins with -")


def test_a_text_of_several_words_is_shown_whole(run: Run) -> None:
    assert_one_line(run("sample", "-i am"), 2, "No such option: '-i am'; put -- before")


@pytest.mark.parametrize("options", ["-n3 -t.5", "-n 3 -t 0.5", "-n3 -ceveryday -t1"])
def test_a_value_may_be_attached(run: Run, options: str) -> None:
    result = run("sample", *options.split(), "--seed", "1")
    assert result.code == 0, result.err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            ["sample", "-n5 dogs"],
            "--length must be a whole number, not '5 dogs' (see charrnn sample",
        ),
        (["sample", "--top-p", "x"], "--top-p must be a number, not 'x'"),
        (["sample", "--best", "0"], "--best must be at least 1, not 0"),
        (["train", "--threads", "9999"], "--threads must be at most 1024, not 9999"),
        (["sample", "The", "cat"], "argument: cat; put quotes around a text of several words ("),
        (["sample", "The", "m.npz"], "extra argument: m.npz; did you mean -c m.npz?"),
        (["sample", "The", "ilsang"], "extra argument: ilsang; did you mean -c ilsang?"),
        (["train", "--lr", "x"], "--learning-rate must be a number, not 'x'"),
        (["sample", "--chars", "x"], "--length must be a whole number, not 'x'"),
        (["sample", "-mice"], "-mice is read as -m ice; put -- before an argument that begins"),
    ],
)
def test_a_wrong_value_or_argument_is_named_with_what_is_meant(
    run: Run, command: list[str], words: str
) -> None:
    assert_one_line(run(*command), 2, words)


def test_common_other_names_are_understood(run: Run, trained: Path) -> None:
    plain = ("he", "--seed", "1", "--json")
    expected = run("sample", *plain, "-c", trained, "--temperature", "0.5", "--length", "9").out
    assert len(expected.splitlines()) == 1
    for model in (("-m", trained), ("--model", trained), (f"-m{trained}",)):
        assert run("sample", *plain, *model, "--temp", "0.5", "--chars=9").out == expected
    for command in (("score", "he"), ("inspect", "--json")):
        assert run(*command, "-m", trained).out == run(*command, "-c", trained).out != ""
    train = ("train", "hello", "--steps", "1", "--dry-run", "--lr")
    assert "--learning-rate 0.5 " in run(*train, "0.5").err


@pytest.mark.parametrize("command", ALIASES)
def test_no_other_name_hides_an_option(command: str) -> None:
    parameters = COMMANDS[command].params
    names = {name.lstrip("-") for each in parameters for name in each.opts}
    assert {*ALIASES[command].values()} <= names
    assert not ALIASES[command].keys() & names
