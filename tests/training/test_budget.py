"""The number of steps of a budget, early and late in a run."""

import time

import pytest

from charrnn.training.budget import Budget

pytestmark = pytest.mark.figures


def test_a_budget_takes_steps_away_where_time_is_short() -> None:
    late = Budget(100, deadline=time.perf_counter() + 11, reserve=1)
    late.keep_time(10, step_seconds=0.5, other_seconds=5)
    assert late.steps == 10 + 9  # a moment has passed
    late.keep_time(12, step_seconds=1e9, other_seconds=0)
    assert late.steps == 13
    assert late.planned == 100


@pytest.mark.parametrize(("step", "steps"), [(10, 139), (90, 219), (96, 100)])
def test_a_budget_adds_steps_early_in_a_run_that_would_end_too_soon(step: int, steps: int) -> None:
    early = Budget(100, deadline=time.perf_counter() + 130, reserve=1)
    early.keep_time(step, step_seconds=1.0, other_seconds=0)
    assert abs(early.steps - steps) <= 1
    nearly = Budget(100, deadline=time.perf_counter() + 94, reserve=1)
    nearly.keep_time(10, step_seconds=1.0, other_seconds=0)
    assert nearly.steps == 100
