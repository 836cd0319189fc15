"""`charrnn score` with several models: bits per character side by side, of the same event."""

import math
import re
import sys
from pathlib import Path

import pytest

from tests.commands import TEXTS, TINY, Run, assert_one_line, posix, type_in

pytestmark = pytest.mark.figures

ONE_MODEL = ("--per-char", "--per-word", "--given=a", "--sort", "--fail-over=1", "--html=x")


@pytest.fixture
def models(run: Run, trained: Path) -> tuple[str | Path, ...]:
    """Two models, one of lines and one of whole files, as options."""
    run("train", "hello", *TINY, "--whole", "-o", "other.npz")
    return ("-c", trained, "-c", "other.npz")


def test_models_are_compared_on_the_same_event(
    run: Run, trained: Path, models: tuple[str | Path, ...]
) -> None:
    found = run("score", *TEXTS, *models, "--json").objects()
    for name, options in (("model", models[:2]), ("other", models[2:])):
        alone = run("score", *TEXTS, *options, "--no-eos", "--json").objects()
        for each, expected in zip(found, alone, strict=True):
            for figure in ("bits_per_char", "log_prob", "unk"):
                assert each[figure][name] == expected[figure]
            assert (each["text"], each["chars"]) == (expected["text"], expected["chars"])
            assert not each["eos"]
    lines = [line.split("\t") for line in run("score", *TEXTS, *models).out.splitlines()]
    header, *rows = [
        line.split("\t") for line in run("score", *TEXTS, *models, "--tsv").out.splitlines()
    ]
    assert header == ["model", "other", "chars", "eos", "text"]
    for line, row, each in zip(lines, rows, found, strict=True):
        assert line == [*row[:2], row[-1]]
        assert row[2:4] == [str(each["chars"]), "0"]
        for shown, bits in zip(row, each["bits_per_char"].values(), strict=False):
            assert shown == ("-" if bits is None else f"{bits:.6g}")


def test_the_sum_over_texts_is_by_model(run: Run, models: tuple[str | Path, ...]) -> None:
    each = run("score", *TEXTS, *models, "--json", "--eos").objects()
    (total,) = run("score", *TEXTS, *models, "--json", "--eos", "--total").objects()
    assert (total["texts"], total["chars"]) == (5, sum(one["chars"] for one in each))
    for name in ("model", "other"):
        log_prob = math.fsum(one["log_prob"][name] for one in each)
        assert total["log_prob"][name] == pytest.approx(log_prob)
        bits = -log_prob / total["chars"] / math.log(2)
        assert total["bits_per_char"][name] == pytest.approx(bits)
    rows = run("score", *TEXTS, *models, "--eos", "--total").out.splitlines()
    assert [row.split("\t")[0] for row in rows] == ["model", "other"]


def test_json_lines_keep_their_fields(run: Run, models: tuple[str | Path, ...]) -> None:
    line = b'{"id": 7, "body": "hello"}'
    (found,) = run("score", "--field", "body", *models, stdin=line).objects()
    assert (found["id"], found["body"]) == (7, "hello")
    assert found["bits_per_char"].keys() == {"model", "other"}


@pytest.mark.parametrize("option", ONE_MODEL)
def test_what_is_for_one_model_is_wrong_usage(run: Run, trained: Path, option: str) -> None:
    result = run("score", "a", "-c", trained, "-c", "everyday", option)
    assert_one_line(result, 2, "cannot be combined with several models")


def test_two_models_of_one_name_cannot_be_told_apart(run: Run, trained: Path) -> None:
    result = run("score", "a", "-c", trained, "-c", trained)
    assert_one_line(result, 2, "the models must have different names")


@posix
@pytest.mark.slow
def test_a_terminal_gets_a_table_and_is_told_how_to_classify(trained: Path) -> None:
    command = ("score", "hello", "-c", trained, "-c", "everyday")
    asked = [sys.executable, "-m", "charrnn", *map(str, command)]
    shown = re.sub(r"\x1b\[\dm", "", type_in(asked, None, {"NO_COLOR": "1"}).out).splitlines()
    assert shown[2].startswith("models: side by side; charrnn classify says")
    assert shown[3].split() == ["model", "everyday", "text"]
    assert shown[4].split()[2] == "hello"
