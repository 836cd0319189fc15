"""Errors have exit codes, and know what a word was meant to be."""

import pytest

from charrnn import errors
from charrnn.errors import CharRNNError, ConfigError, did_you_mean


def test_wrong_usage_has_an_exit_code_of_its_own() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if getattr(kind, "__module__", "") == errors.__name__ and isinstance(kind, type)
    ]
    assert len(kinds) > 5
    for kind in kinds:
        assert issubclass(kind, CharRNNError)
        assert kind.exit_code == (2 if kind is ConfigError else 1)


@pytest.mark.parametrize(
    ("word", "choices", "meant"),
    [
        ("helo", ["english", "hello"], "'hello'"),
        ("LSTM", ["lstm", "gru"], "'lstm'"),
        ("hidden_sise", ["hidden-size"], "'hidden-size'"),
        ("top", ["top-k", "top-p", "tokens"], "'top-k' or 'top-p'"),
        ("lr", ["length", "learning-rate"], "'learning-rate'"),
        ("prefix", {"prompt": "charrnn sample PROMPT"}, "'charrnn sample PROMPT'"),
    ],
)
def test_a_near_word_is_suggested(word: str, choices: list[str], meant: str) -> None:
    assert did_you_mean(word, choices) == f"; did you mean {meant}?"


@pytest.mark.parametrize(
    ("word", "choices"),
    [
        ("pain", ["train"]),
        ("x", ["english"]),
        ("x", []),
        ("t", ["top", "tokens"]),
        ("to", [*"abc"]),
    ],
)
def test_no_word_is_suggested_that_is_another(word: str, choices: list[str]) -> None:
    assert did_you_mean(word, choices) == ""


def test_three_words_with_one_beginning_are_too_many_to_name() -> None:
    assert did_you_mean("val", ["val-fraction", "val-unk", "val-bits"]) == ""
