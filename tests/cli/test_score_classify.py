"""`charrnn score` with several models: which one a text comes from."""

import math
from pathlib import Path

import pytest

from tests.commands import TINY, Run, assert_one_line

pytestmark = pytest.mark.figures

ONE_MODEL = ("--tsv", "--sort", "--fail-over=1", "--field=text", "--html=x", "--svg=x")


def test_several_models_classify(run: Run, trained: Path, folder: Path) -> None:
    run("train", "hello", *TINY, "-o", "other.npz")
    models = ("-c", trained, "-c", "other.npz")
    (found,) = run("score", "the old well", *models, "--json").objects()
    assert found["label"] == "model"
    assert math.fsum(found["posterior"].values()) == pytest.approx(1)
    assert found["posterior"].keys() == found["log_prob"].keys() == {"model", "other"}
    assert run("score", "the old well", *models).out.split("\t")[0] == "model"
    (folder / "labels.tsv").write_text("the old well\tmodel\nthe door\tother\n")
    (counted,) = run("score", "--labels", "labels.tsv", *models, "--json").objects()
    assert counted["texts"] == 2
    assert counted["accuracy"] == 0.5
    assert counted["confusions"] == {"model": {"model": 1}, "other": {"model": 1}}
    table = run("score", "--labels", "labels.tsv", *models).out.splitlines()
    assert table[0] == "accuracy 0.5000 on 2 texts"
    assert table[2].split() == ["model", "1", "0"]


@pytest.mark.parametrize("option", ONE_MODEL)
def test_several_models_only_classify(run: Run, trained: Path, option: str) -> None:
    result = run("score", "a", "-c", trained, "-c", "everyday", option)
    assert_one_line(result, 2, "cannot be combined with several models")
