"""Runs by the clock take the time they are given, and end early if more is useless."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from charrnn.ids import EOS
from charrnn.inference.evaluation import evaluate, token_log_probs
from charrnn.training import clock as module
from charrnn.training import validator as validator_module
from charrnn.training.budget import Budget
from charrnn.training.shards import Shards
from tests.conftest import encoded
from tests.training.trainers import PATTERN, SPLIT, V, make, run

pytestmark = pytest.mark.figures


class Clock:
    """A fake clock that advances with work only, faster if the machine is loaded."""

    def __init__(self, load: Callable[[float], float]) -> None:
        self.now, self.load = 0.0, load

    def working(self, function: Callable[..., Any], seconds: Callable[..., float]) -> Any:
        """Return the function, made to take `seconds` on an idle machine."""

        def call(*args: Any, **options: Any) -> Any:
            for _ in range(round(100 * seconds(*args))):
                self.now += 0.01 * self.load(self.now)
            return function(*args, **options)

        return call


@pytest.mark.parametrize(
    "load",
    [
        lambda now: 1.0,
        lambda now: 3.0,
        lambda now: 1.0 if now < 25 else 2.0,
        lambda now: 2.0 if now < 30 else 1.0,
        lambda now: 4.0 if 20 < now < 23 else 1.0,
        lambda now: 1.5 if now % 4 < 2 else 1.0,
    ],
)
@pytest.mark.parametrize(("validating", "evaluations"), [(0.0001, 10), (0.0015, 1)])
def test_a_minute_is_a_minute_whatever_else_the_machine_does(
    monkeypatch: pytest.MonkeyPatch,
    load: Callable[[float], float],
    validating: float,
    evaluations: int,
) -> None:
    clock, split = Clock(load), encoded(np.tile(PATTERN, 20))
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    clocked = clock.working(Shards.gradient, lambda *args: 0.5)
    monkeypatch.setattr(Shards, "gradient", clocked)
    clocked = clock.working(token_log_probs, lambda _, part, __: validating * sum(map(len, part)))
    monkeypatch.setattr(module, "token_log_probs", clocked)
    clocked = clock.working(evaluate, lambda _, split, __: validating * len(split.tokens))
    monkeypatch.setattr(validator_module, "evaluate", clocked)
    trainer = make(split, minutes=1, seq_len=2, batch_size=1, evaluations=evaluations)
    assert trainer.budget.most > 1000
    run(trainer)
    assert 57 - trainer.budget.reserve < clock.now < 63 - trainer.budget.reserve


def test_a_budget_of_minutes_becomes_steps_that_repeat_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(lambda now: 1.0)  # as fast as measured to the end
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    clocked = clock.working(Shards.gradient, lambda *args: 0.05)
    monkeypatch.setattr(Shards, "gradient", clocked)
    timed = make(SPLIT, minutes=0.1)  # 6 s, one of which is kept for the end
    history = run(timed)
    assert history[-1].fraction == 1
    assert 50 < len(history) == timed.budget.planned
    counted = make(SPLIT, steps=len(history), evaluations=timed.config.evaluations)
    run(counted)
    np.testing.assert_array_equal(timed.model.parameters.flat, counted.model.parameters.flat)


def test_a_run_by_the_clock_ends_early_where_the_text_is_short() -> None:
    trainer = make(minutes=10, batch_size=40)  # one chunk is more than the text
    trainer.plan()
    assert trainer.budget.steps == 2000
    trainer.budget.keep_time(10, step_seconds=1e-6, other_seconds=0)
    assert trainer.budget.steps == 2000
    trainer.budget.steps = trainer.budget.most = 3
    assert not trainer.early
    assert len(run(trainer)) == 3
    assert "3 passes over so short a text are enough" in trainer.early


def test_without_time_there_is_one_step() -> None:
    assert len(run(make(minutes=1e-6))) == 1


def test_measuring_changes_nothing() -> None:
    plain, measured = make(dropout=0.5), make(dropout=0.5)
    measured.plan()
    assert measured.clock.pace is not None
    assert measured.clock.pace.step_seconds > 0
    run(plain)
    run(measured)
    np.testing.assert_array_equal(plain.model.parameters.flat, measured.model.parameters.flat)


def test_a_run_by_the_clock_that_learns_by_heart_ends_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    noise = encoded(np.append(rng.integers(2, V, 300), EOS))
    settings: dict[str, Any] = {"learning_rate": 0.05, "evaluations": 200}
    trainer = make(noise, minutes=0.5, **settings)
    trainer.plan()
    trainer.budget.plan(2000)
    trainer.budget.deadline += 1e6
    monkeypatch.setattr(Budget, "keep_time", lambda *args: None)
    losses = [progress.validation.loss for progress in run(trainer) if progress.validation]
    assert trainer.overfitting
    assert "by heart" in trainer.early
    assert trainer.counters.step < 2000
    assert all(loss > 1.05 * min(losses) for loss in losses[-3:])
    by_steps = make(noise, steps=trainer.counters.step + 20, **settings)
    assert len(run(by_steps)) == trainer.counters.step + 20
