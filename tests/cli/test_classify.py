"""`charrnn classify`: which of several models a text comes from."""

import math
from pathlib import Path

import pytest

from tests.commands import TINY, Run, assert_one_line

pytestmark = pytest.mark.figures


@pytest.fixture
def models(run: Run, trained: Path) -> tuple[str | Path, ...]:
    """Two models, as options."""
    run("train", "hello", *TINY, "-o", "other.npz")
    return ("-c", trained, "-c", "other.npz")


def test_a_text_gets_its_label_and_posterior(run: Run, models: tuple[str | Path, ...]) -> None:
    (found,) = run("classify", "the old well", *models, "--json").objects()
    assert list(found) == ["text", "label", "posterior", "log_prob", "unk", "eos"]
    assert found["label"] == "model"
    assert math.fsum(found["posterior"].values()) == pytest.approx(1)
    assert found["posterior"].keys() == found["log_prob"].keys() == {"model", "other"}
    label, posterior, text = run("classify", "the old well", *models).out.split("\t")
    assert (label, text) == ("model", "the old well\n")
    assert float(posterior) == pytest.approx(found["posterior"]["model"], abs=1e-5)


def test_texts_come_from_files_and_standard_input(
    run: Run, folder: Path, models: tuple[str | Path, ...]
) -> None:
    (folder / "two.txt").write_text("hello\nheld\n")

    def texts(*options: str, stdin: bytes = b"") -> list[str]:
        found = run("classify", *models, "--json", *options, stdin=stdin).objects()
        return [each["text"] for each in found]

    assert texts("--file", "two.txt") == ["hello", "held"]
    assert texts("--file", "two.txt", "--whole") == ["two.txt"]
    shown = run("classify", *models, "--file", "two.txt", "--whole").out
    assert shown.split("\t")[2].strip() == "two.txt"
    assert texts("the", "-", stdin=b"a\nb\n") == ["the", "a", "b"]
    assert texts(stdin=b"a;b\n") == ["a;b"]
    assert texts("--split-on", ";", stdin=b"a;b\n") == ["a", "b"]
    assert texts(stdin=b"") == []


def test_the_accuracy_is_that_of_the_labels(
    run: Run, folder: Path, models: tuple[str | Path, ...]
) -> None:
    (folder / "labels.tsv").write_text("the old well\tmodel\nthe door\tother\n")
    (counted,) = run("classify", "--labels", "labels.tsv", *models, "--json").objects()
    assert counted["texts"] == 2
    assert counted["accuracy"] == 0.5
    assert counted["confusions"] == {"model": {"model": 1}, "other": {"model": 1}}
    table = run("classify", "--labels", "labels.tsv", *models).out.splitlines()
    assert table[0] == "accuracy 0.5000 on 2 texts"
    assert table[2].split() == ["model", "1", "0"]
    result = run("classify", "a", "--labels", "labels.tsv", *models)
    assert_one_line(result, 2, "--labels and TEXT cannot be combined")
    (folder / "labels.tsv").write_text("the old well\n")
    result = run("classify", "--labels", "labels.tsv", *models)
    assert_one_line(result, 1, "line 1 of labels.tsv must be TEXT, a tab and LABEL")
    result = run("classify", "--labels", "-", *models, stdin=b"a\tother\nb\tmodel.npz\n")
    wrong = "line 2 of standard input has the label 'model.npz'; the models are model, other"
    assert_one_line(result, 1, wrong)


def test_one_model_leaves_no_choice(run: Run, trained: Path) -> None:
    for options in ((), ("-c", trained)):
        result = run("classify", "a", *options)
        assert_one_line(result, 2, "classify chooses among several models")
    result = run("classify", "a", "-c", trained, "-c", trained)
    assert_one_line(result, 2, "must have different names")


def test_the_old_spelling_says_where_it_went(run: Run) -> None:
    result = run("score", "--labels=x.tsv", "-c", "a", "-c", "b")
    assert_one_line(result, 2, "--labels; it is an option of charrnn classify")
