"""Files to resume from: valid ones, and errors that name the difference."""

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.config import LINES, TrainConfig
from charrnn.errors import CheckpointError, ConfigError
from charrnn.storage import archive, checkpoint
from charrnn.training import resuming
from tests.training.runs import begin, change, go_on, run_to_end, stop_at

pytestmark = pytest.mark.figures


def test_a_run_of_an_earlier_version_goes_on(text: Path, output: Path) -> None:
    stop_at(begin(text, output), 10)
    change(output, lambda metadata, arrays: metadata["run"].pop("baselines"))
    run = go_on(text, output)
    assert run.record.baselines
    run_to_end(run)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"steps": 39}, "steps must be at least 40"),
        ({"epochs": 2.0}, "epochs must be left out: the budget of the run is in steps"),
        ({"minutes": 2.0}, "minutes must be left out"),
    ],
)
def test_no_other_budget_is_allowed(
    text: Path, output: Path, budget: dict[str, Any], message: str
) -> None:
    stop_at(begin(text, output), 10)
    with pytest.raises(ConfigError, match=message):
        go_on(text, output, **budget)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", 9),
        ("cell", "gru"),
        ("seed", 1),
        ("learning_rate", 0.5),
        ("dropout", 0.9),
        ("tokens", "word"),
        ("vocab_size", 5),
        ("split_on", LINES),
    ],
)
def test_other_options_are_refused_by_name(
    text: Path, output: Path, name: str, value: object
) -> None:
    stop_at(begin(text, output), 10)
    suspended = resuming.load(output)
    with pytest.raises(ConfigError, match=rf"^{name} must be .* not " + re.escape(repr(value))):
        suspended.check({name: value})
    suspended.check({"hidden_size": 8, "cell": "lstm", "steps": 12, "vocab_size": None})


def test_what_was_asked_for_may_be_asked_for_again(text: Path, output: Path) -> None:
    stop_at(begin(text, output, minutes=0.05, evaluations=1000), 10)
    suspended = resuming.load(output)
    assert suspended.train.evaluations < 1000  # as many as there was time for
    suspended.check({"evaluations": 1000})


def test_without_a_run_there_is_nothing_to_resume(text: Path, output: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no run to resume"):
        go_on(text, output)
    resuming.check_finished(output)


def test_an_unfinished_run_is_not_overwritten_unasked(text: Path, output: Path) -> None:
    stop_at(begin(text, output), 10)
    with pytest.raises(CheckpointError, match=r"step 10 of 40: choose another name, or force"):
        resuming.check_finished(output)
    run_to_end(go_on(text, output))
    resuming.check_finished(output)
    checkpoint.beside(output, checkpoint.RESUME).write_bytes(b"PK damaged")
    with pytest.raises(CheckpointError, match="force"):
        resuming.check_finished(output)


def test_a_run_without_a_step_is_overwritten_unasked(text: Path, output: Path) -> None:
    begin(text, output).suspend()
    assert resuming.load(output).step == 0
    resuming.check_finished(output)


def test_an_unfinished_run_is_found_through_a_link_and_goes_on_through_it(
    text: Path, output: Path
) -> None:
    stop_at(begin(text, output), 10)
    (link := output.with_name("link.npz")).symlink_to(output.name)
    with pytest.raises(CheckpointError, match="unfinished run"):
        resuming.check_finished(link)
    run_to_end(go_on(text, link))
    assert link.is_symlink()
    resuming.check_finished(output)


# Files that are none

METADATA: list[tuple[tuple[str, ...], object]] = [
    (("model",), None),
    (("model", "hidden_size"), 1 << 20),
    (("model", "vocab_size"), 4),
    (("model", "cell"), "ngram"),
    (("train", "steps"), "many"),
    (("train", "minutes"), 3),
    (("train", "surprise"), 3),
    (("tokens", "tokens"), 7),
    (("text",), []),
    (("text", "sources"), [3]),
    (("text", "encoding"), 8),
    (("text", "val"), 8),
    (("given",), None),
    (("run", "history"), [{"step": 1}]),
    (("run", "history"), [3]),
    (("run", "seconds"), "long"),
    (("run", "steps"), 0),
    (("run", "surprise"), 1),
    (("numbers",), None),
    (("numbers", "step"), -3),
    (("numbers", "step"), "three"),
    (("numbers", "generators"), [1, 2]),
    (("numbers", "best_loss"), [1]),
    (("numbers", "best_loss"), None),
    (("numbers", "step"), 41),
    (("numbers", "step"), True),
    *((("numbers", "updates"), value) for value in (-1, 10**400, 1.5, "3")),
    *((("numbers", "seconds"), value) for value in (-1, 10**400, "inf", "nan", True)),
    (("numbers", "much_worse"), 10**400),
    (("run", "seconds"), 10**400),
    (("run", "steps"), 10**400),
    (("run", "steps"), 9),
    (("run", "history"), []),
    (("run", "complete"), 1),
    (("run", "baselines"), {"unigram": "2"}),
    (("run", "baselines"), {"another": 2.0}),
    (("run", "baselines"), {"xz": 10**400}),
]


@pytest.mark.parametrize(("name", "value"), [("square", -1), ("mean", 1e30), ("state", 1e9)])
def test_numbers_that_no_training_makes_are_refused(
    text: Path, output: Path, name: str, value: float
) -> None:
    stop_at(begin(text, output, ngram=3), 10)
    change(output, lambda metadata, arrays: arrays.update({name: 0 * arrays[name] + value}))
    with pytest.raises(CheckpointError, match=r"cannot resume .*(moments|contexts)"):
        go_on(text, output)


@pytest.mark.parametrize(("place", "value"), METADATA)
def test_metadata_of_no_run_is_refused(
    text: Path, output: Path, stopped: Path, place: tuple[str, ...], value: object
) -> None:
    output.parent.mkdir()
    shutil.copy(stopped, output.parent)

    def damage(metadata: Any, arrays: Any) -> None:
        for name in place[:-1]:
            metadata = metadata[name]
        metadata[place[-1]] = value

    change(output, damage)
    with pytest.raises(CheckpointError, match=r"cannot (load|resume)"):
        go_on(text, output)


@pytest.mark.parametrize("name", ["weights", "best", "mean", "square", "state"])
@pytest.mark.parametrize("wrong", ["missing", "short", "nan", "kind", "shape"])
def test_arrays_of_no_run_are_refused(
    text: Path, output: Path, stopped: Path, name: str, wrong: str
) -> None:
    output.parent.mkdir()
    shutil.copy(stopped, output.parent)
    path = checkpoint.beside(output, checkpoint.RESUME)
    arrays = dict(np.load(path))
    metadata = json.loads(str(arrays.pop("metadata")))
    array = arrays.pop(name)
    if wrong != "missing":
        arrays[name] = {
            "short": array[:-1],
            "nan": np.full_like(array, np.nan),
            "kind": array.astype(np.float64),
            "shape": array[None],
        }[wrong]
    archive.write(path, resuming.KIND, metadata, arrays)
    with pytest.raises(CheckpointError, match=r"cannot (load|resume)"):
        go_on(text, output)


def test_a_run_is_no_model_and_a_model_is_no_run(text: Path, output: Path) -> None:
    stop_at(begin(text, output), 10)
    path = checkpoint.beside(output, checkpoint.RESUME)
    with pytest.raises(CheckpointError, match="is a run to resume, not a model"):
        checkpoint.load(path)
    other = output.with_name("other.npz")
    path.rename(other)
    with pytest.raises(CheckpointError, match="does not say that it is a charrnn file"):
        checkpoint.load(other)
    output.rename(path)
    with pytest.raises(CheckpointError, match="does not say that it is a charrnn run file"):
        resuming.load(output)


def test_a_budget_is_as_long_or_longer() -> None:
    train = TrainConfig(minutes=5)
    assert resuming.longer(train, {}) == train
    assert resuming.longer(train, {"minutes": 6}).minutes == 6
    assert math.isclose(resuming.longer(TrainConfig(epochs=2), {"epochs": 2.5}).epochs or 0, 2.5)
