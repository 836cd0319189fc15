"""The files of a run: when they are written, and the time reserved for that."""

import time
from pathlib import Path

import pytest

from charrnn.parallel.processes import ALONE
from charrnn.storage import checkpoint
from charrnn.training import resuming
from charrnn.training.budget import Budget
from charrnn.training.saving import Files
from tests.training.runs import begin, run_to_end, stop_at


def test_time_is_kept_for_two_models_and_the_run(
    text: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(begin(text, output), 10)
    suspended, model = resuming.load(output), checkpoint.load(output)
    budget = Budget(1)
    files, now = Files(output, ALONE, budget), [0.0]

    def slow(*args: object) -> None:
        now[0] += 3.0

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    assert not files.suspending_is_due()
    monkeypatch.setattr(resuming.Suspended, "save", slow)
    files.suspend(suspended)
    assert budget.reserve == pytest.approx(0.5 + 3 + 2 * 3)  # a model is taken for as slow
    monkeypatch.setattr(checkpoint, "save", lambda *args: None)
    files.save(lambda: model)
    assert budget.reserve == pytest.approx(0.5 + 3)
    now[0] += 149.0  # fifty times as long as writing takes is 2 % of the time
    assert not files.suspending_is_due()
    now[0] += 2.0
    assert files.suspending_is_due()


def test_what_a_run_needs_to_go_on_is_forgotten(text: Path, output: Path) -> None:
    run = begin(text, output, steps=4)
    run_to_end(run)
    assert run.files is not None
    run.files.forget()
    run.files.forget()
    assert run.files.model_exists()
    assert not checkpoint.beside(output, checkpoint.RESUME).exists()
