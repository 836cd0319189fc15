"""The progress that a training step reports."""

from dataclasses import fields

from charrnn.training.progress import Progress
from tests.training.trainers import SPLIT, make, run


def test_a_step_without_validation_says_only_where_the_run_stands() -> None:
    first, second = run(make(SPLIT, steps=2, evaluations=1))
    later = {"train_loss", "validation", "best", "trouble"}
    assert {each.name for each in fields(Progress) if not getattr(first, each.name)} == later
    assert second.fraction == 1
    assert second.validation is not None
    assert second.best
