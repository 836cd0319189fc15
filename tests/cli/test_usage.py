"""What an error says of a command line that cannot be parsed."""

import pytest

from tests.commands import Run, assert_one_line


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sample --lenght 3", "No such option: --lenght; did you mean '--length'?"),
        ("sample --top 3", "did you mean '--top-k' or '--top-p'?"),
        ("sample -lenght 3", "No such option: -lenght; did you mean '--length'?"),
        ("sample --prompt he", "did you mean 'charrnn sample PROMPT'?"),
        ("train --lr=1", "No such option: --lr; did you mean '--learning-rate'?"),
        ("train --xyzzy", "No such option: --xyzzy (charrnn train"),
        ("score -x", "No such option: -x (charrnn score"),
        ("score -5", "No such option: -5; put -- before an argument that begins with -"),
        ("train -corpus.txt", "option: -corpus.txt; put -- before an argument that begins with -"),
        ("sample -hello", "put -- before an argument that begins with -"),
    ],
)
def test_an_unknown_option_is_named_with_the_nearest(run: Run, command: str, words: str) -> None:
    assert_one_line(run(*command.split()), 2, words)


@pytest.mark.parametrize("text", ["-caption", "-n teresting", "-c it is"])
def test_a_text_is_not_read_as_an_option_and_its_value(run: Run, text: str) -> None:
    assert_one_line(run("sample", text), 2, "put -- before an argument that begins with -")


@pytest.mark.parametrize("options", ["-n3 -t.5", "-n 3 -t 0.5", "-n3 -ceveryday -t1"])
def test_a_value_may_be_attached(run: Run, options: str) -> None:
    result = run("sample", *options.split(), "--seed", "1")
    assert result.code == 0, result.err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["sample", "-n5 dogs"], "--length must be a whole number, not '5 dogs' (charrnn sample"),
        (["sample", "--top-p", "x"], "--top-p must be a number, not 'x'"),
        (["sample", "--best", "0"], "--best must be at least 1, not 0"),
        (["train", "--threads", "9999"], "--threads must be at most 1024, not 9999"),
        (["sample", "The", "cat"], "argument: cat; put quotes around a text of several words ("),
        (["sample", "The", "m.npz"], "extra argument: m.npz; did you mean -c m.npz?"),
        (["inspect", "a.txt", "ilsang"], "extra argument: ilsang; did you mean -c ilsang?"),
        (["inspect", "model.npz"], "FILE is the text for --neuron; did you mean -c model.npz?"),
        (["inspect", "x"], "FILE is the text for --neuron; name a model with --checkpoint"),
    ],
)
def test_a_wrong_value_or_argument_is_named_with_what_is_meant(
    run: Run, command: list[str], words: str
) -> None:
    assert_one_line(run(*command), 2, words)
