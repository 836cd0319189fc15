"""A short form of `python -m tests.crashes`: kills, two trainers, readers."""

import os
from pathlib import Path

import pytest

from tests.crashes.points import CALLS, check_points
from tests.crashes.processes import check_kills, check_readers, check_two_trainers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="needs fork and POSIX signals"),
]


def test_a_kill_at_any_call_that_changes_the_disk_loses_nothing(tmp_path: Path) -> None:
    kills, defects = check_points(tmp_path, limit=2)
    assert not defects
    assert 2 * len(CALLS) <= kills <= 4 * len(CALLS)


def test_a_kill_at_a_random_moment_loses_nothing(tmp_path: Path) -> None:
    kills, defects = check_kills(tmp_path, 4, seed=0, steps=40)
    assert not defects
    assert kills == 4


def test_one_trainer_an_output(tmp_path: Path) -> None:
    assert not check_two_trainers(tmp_path)


def test_whoever_reads_a_model_finds_a_whole_one(tmp_path: Path) -> None:
    drawn, defects = check_readers(tmp_path, readers=2, saves=10)
    assert not defects
    assert drawn
