"""Snapshots are read as written; invalid ones are refused."""

import json
import math
from typing import Any

import pytest

from charrnn.training.snapshot import Counters, Snapshot
from tests.training.trainers import make

pytestmark = pytest.mark.figures


@pytest.mark.parametrize(
    "wrong",
    [
        {"step": -1},
        {"step": "many"},
        {"chars": float("nan")},
        {"troubles": [1]},
        {"seconds": 10**400},
        {"seconds": "inf"},
        {"step": 10**400},
        {"updates": -1},
        {"updates": True},
        {"generators": []},
        {"generators": [{}, {}]},
        {"generators": ["PCG64"] * 2},
        {"generators": [{"bit_generator": "PCG64", "state": {"state": -1, "inc": 1}}] * 2},
        {"updates": None},
    ],
)
def test_numbers_that_are_of_no_run_are_refused(wrong: dict[str, Any]) -> None:
    trainer = make()
    arrays, numbers = trainer.snapshot().arrays, trainer.snapshot().numbers()
    with pytest.raises(ValueError, match=r"\w"):
        trainer.restore(Snapshot.read(arrays, numbers | wrong))
    for name in wrong:
        del numbers[name]
        with pytest.raises(ValueError, match="numbers"):
            Snapshot.read(arrays, numbers)


def test_numbers_are_read_as_they_were_written() -> None:
    for loss in (2.5, math.inf):
        snapshot = Snapshot(Counters(3, 1.5, best_loss=loss), {}, 2, {"0": [1]})
        numbers = json.loads(json.dumps(snapshot.numbers(), allow_nan=False))
        assert Snapshot.read({}, numbers) == snapshot
