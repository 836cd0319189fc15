"""Errors have exit codes, name settings for their reader, and know what a word was meant to be."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import charrnn
from charrnn import errors
from charrnn.config import check_int
from charrnn.errors import (
    CharRNNError,
    CheckpointError,
    ConfigError,
    CorpusError,
    UnfinishedError,
    did_you_mean,
    setting,
)

ROOT = Path(charrnn.__file__).parent
BELOW = [path for path in sorted(ROOT.rglob("*.py")) if path.parent.name != "cli"]


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
        ("recurent-dropuot", ["dropout", "recurrent-dropout"], "'recurrent-dropout'"),
        ("lenght", ["length"], "'length'"),
        ("seeds", ["seed"], "'seed'"),
        ("movel", ["model"], "'model'"),
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
        ("step", ["stop"]),
        ("test", ["text"]),
        ("py", ["pyx"]),
        ("logfile", ["file"]),
        ("vocab-file", ["vocab-size"]),
        ("save-every", ["sample-every"]),
        ("order-by", ["order"]),
        ("russian", ["persian"]),
    ],
)
def test_no_word_is_suggested_that_is_another(word: str, choices: list[str]) -> None:
    assert did_you_mean(word, choices) == ""


def test_three_words_with_one_beginning_are_too_many_to_name() -> None:
    assert did_you_mean("val", ["val-fraction", "val-unk", "val-bits"]) == ""


def option(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def test_a_setting_is_a_field_to_python_and_an_option_on_the_command_line() -> None:
    error = CorpusError(f"lower {setting('min_count')} or raise {setting('vocab_size')}")
    assert str(error) == f"{error}" == "lower min_count or raise vocab_size"
    assert error.with_options(option) == "lower --min-count or raise --vocab-size"
    with pytest.raises(ConfigError, match=r"^seq_len must be a whole number from 1 to 9, not 0$"):
        check_int("seq_len", 0, 1, 9)


def test_an_error_that_quotes_another_keeps_its_settings() -> None:
    inner = CorpusError(f"set {setting('max_size')}")
    outer = CheckpointError(f"x.npz: {inner.message}")
    assert str(outer) == "x.npz: set max_size"
    assert outer.with_options(option) == "x.npz: set --max-size"


def test_an_error_without_settings_is_its_text() -> None:
    for error in (UnfinishedError("it is_one must be"), UnfinishedError()):
        assert error.with_options(option) == str(error) == "".join(error.args)


def strings(path: Path) -> Iterator[str]:
    """The strings of a file that are not docstrings or other statements."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value


@pytest.mark.parametrize("path", BELOW, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_only_the_command_line_speaks_of_options(path: Path) -> None:
    assert [text for text in strings(path) if re.search(r"--[a-z]", text)] == []


def test_the_scan_finds_options() -> None:
    assert "--lines or --whole" in {*strings(ROOT / "cli" / "__init__.py")}
