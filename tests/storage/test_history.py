import math
from dataclasses import asdict
from typing import Any

import pytest

from charrnn.storage.history import Validation, best, history
from charrnn.training.progress import Progress
from charrnn.training.run import _row

ENTRY: dict[str, Any] = {
    "step": 10, "epochs": 0.5, "seconds": 2.0, "learning_rate": 0.01,
    "train_bits_per_char": 3.0, "val_bits_per_char": 2.5, "val_unk": 0, "val_tokens": 9,
    "best": True,
}  # fmt: skip


def test_an_entry_is_read_as_it_was_written() -> None:
    assert history({"history": [ENTRY]}) == [Validation(**ENTRY)]


def test_a_run_leaves_what_is_read() -> None:
    progress = Progress(
        step=5, epochs=1.0, fraction=0.5, loss=1.0, learning_rate=0.1, chars=100, seconds=1.0,
        train_loss=math.log(2),
    )  # fmt: skip
    row = _row(progress, 3.0)
    assert history({"history": [asdict(row)]}) == [row]
    assert (row.step, row.seconds, row.train_bits_per_char) == (5, 3.0, 1.0)


@pytest.mark.parametrize(
    "foreign", [None, 1, "x", {}, {"history": 1}, [1, None, "x", [ENTRY], {"step": "1"}]]
)
def test_what_is_no_history_is_none(foreign: object) -> None:
    assert history({"history": foreign}) == []


@pytest.mark.parametrize("value", [None, True, "1", [1], -1, 10**400, 1e300])
def test_what_is_no_number_of_a_run_is_left_out(value: object) -> None:
    (found,) = history({"history": [ENTRY | {"val_bits_per_char": value, "seconds": value}]})
    assert (found.val_bits_per_char, found.seconds, found.train_bits_per_char) == (None, None, 3.0)
    assert history({"history": [ENTRY | {"step": value}]}) == []


def test_the_best_is_the_last_one_that_was_kept() -> None:
    entries = [ENTRY, ENTRY | {"step": 20}, ENTRY | {"step": 30, "best": False}]
    found = best(history({"history": entries}))
    assert found is not None
    assert found.step == 20
    assert best(history({"history": [ENTRY | {"val_bits_per_char": None}]})) is None
