"""Runs that stop and resume with the same weights to the bit, and what they write on failure."""

import errno
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.config import LINES, VocabularyConfig
from charrnn.errors import CheckpointError, DivergedError
from charrnn.storage import checkpoint
from charrnn.training import resuming
from charrnn.training.progress import Progress
from charrnn.training.trainer import Trainer
from tests.training.runs import (
    begin,
    go_on,
    history,
    run_to_end,
    stop_at,
    weights,
)

pytestmark = pytest.mark.figures


KINDS: list[dict[str, Any]] = [
    *({"cell": cell} for cell in ("rnn", "lstm", "gru", "jordan")),
    {"cell": "jordan", "feedback": "target"},
    {"num_layers": 2, "dropout": 0.3, "recurrent_dropout": 0.2, "embedding_size": 5},
    {"ngram": 4, "dropout": 0.2},
    {"scheduled_sampling": 0.7, "batch_size": 33, "seq_len": 4},
    {"accumulate": 3, "dropout": 0.2, "seq_len": 4},
    {"separator": LINES},
    {"separator": LINES, "dropout": 0.3, "ngram": 3},
    {"tokens": VocabularyConfig("word")},
    {"tokens": VocabularyConfig(normalize="nfd", min_count=2)},
    {"epochs": 1.5},
    {"cell": "ngram", "order": 3},
]


@pytest.mark.parametrize("options", KINDS)
def test_a_resumed_run_ends_with_the_same_weights(
    text: Path, output: Path, options: dict[str, Any]
) -> None:
    separator = options.get("separator")
    whole = output.with_name("whole.npz")
    last = run_to_end(begin(text, whole, **options))[-1].step
    for stop in sorted({1, last // 4, last // 4 + 1, last - 1} & set(range(1, last))) or [0]:
        stop_at(begin(text, output, **options), stop)
        run = go_on(text, output, separator)
        assert run.trainer.counters.step == stop
        run_to_end(run)
        np.testing.assert_equal(weights(output), weights(whole))
        assert history(output) == history(whole)


def test_a_run_may_stop_again_and_again(text: Path, output: Path) -> None:
    whole = output.with_name("whole.npz")
    run_to_end(begin(text, whole, steps=15, dropout=0.3))
    stop_at(begin(text, output, steps=15, dropout=0.3), 1)
    for _ in range(13):
        stop_at(go_on(text, output), 1)
    run_to_end(go_on(text, output))
    np.testing.assert_equal(weights(output), weights(whole))


def test_the_file_to_resume_is_enough(text: Path, output: Path) -> None:
    whole = output.with_name("whole.npz")
    run_to_end(begin(text, whole))
    stop_at(begin(text, output), 25)
    best = weights(output)
    output.unlink()
    run = go_on(text, output)
    np.testing.assert_equal(weights(output), best)  # at once, before there is a better one
    run_to_end(run)
    np.testing.assert_equal(weights(output), weights(whole))


def test_an_older_model_is_kept_once_a_run(text: Path, output: Path) -> None:
    run_to_end(begin(text, output, seed=1))
    older, previous = output.read_bytes(), output.with_name("model.previous.npz")
    assert not previous.exists()
    stop_at(begin(text, output), 25)
    assert previous.read_bytes() == older
    run_to_end(go_on(text, output))
    assert previous.read_bytes() == older


def test_a_complete_run_says_so_and_takes_a_longer_budget(text: Path, output: Path) -> None:
    run_to_end(begin(text, output))
    run = go_on(text, output)
    assert run.record.complete
    assert run.result().steps == 40
    longer = go_on(text, output, steps=60)
    assert not longer.record.complete
    progress = run_to_end(longer)
    assert [item.step for item in progress] == list(range(41, 61))
    assert progress[0].learning_rate > progress[-1].learning_rate
    assert progress[-1].validation is not None
    assert len([item for item in progress if item.validation]) == 2  # of four in all steps


def test_a_longer_budget_is_allowed_in_the_middle(text: Path, output: Path) -> None:
    stop_at(begin(text, output, epochs=2), 10)
    run = go_on(text, output, epochs=3)
    last = run_to_end(run)[-1]
    assert last.fraction == 1
    assert last.epochs == pytest.approx(3, abs=0.1)


def test_minutes_go_on_where_they_stopped(text: Path, output: Path) -> None:
    stop_at(begin(text, output, minutes=0.5), 20)
    suspended = resuming.load(output)
    assert 0 < suspended.record.seconds < 30
    run = go_on(text, output)
    assert isinstance(run.trainer, Trainer)
    assert run.trainer.budget.steps == suspended.record.steps
    assert run.trainer.budget.deadline == pytest.approx(30 - suspended.record.seconds)
    longer = go_on(text, output, minutes=1)
    assert isinstance(longer.trainer, Trainer)
    assert longer.trainer.config.minutes == 1


def test_minutes_that_go_on_end_early_too_and_keep_time_for_the_end(
    text: Path, output: Path
) -> None:
    run = begin(text, output, minutes=0.2)
    stop_at(run, 3)
    again = go_on(text, output)
    assert isinstance(run.trainer, Trainer)
    assert isinstance(again.trainer, Trainer)
    assert (
        again.trainer.budget.most
        == run.trainer.budget.most
        == 60 * run.trainer.batches.steps_per_epoch
    )
    assert again.trainer.budget.reserve >= 1
    again.trainer.budget.deadline += 1e6
    again.trainer.budget.keep_time(3, step_seconds=1e-9, other_seconds=0)
    assert again.trainer.budget.steps == run.trainer.budget.most


def test_a_run_killed_after_its_last_step_makes_no_other(text: Path, output: Path) -> None:
    run = begin(text, output, steps=10, dropout=0.3)
    for progress in run.train():
        if progress.step == 10:
            run.suspend()  # it does so by the clock
            break
    again = go_on(text, output)
    assert not again.record.complete
    assert run_to_end(again) == []
    assert again.record.complete
    whole = output.with_name("whole.npz")
    run_to_end(begin(text, whole, steps=10, dropout=0.3))
    np.testing.assert_equal(weights(output), weights(whole))
    assert history(output) == history(whole)


def test_a_complete_run_has_all_figures_also_where_the_model_is_gone(
    text: Path, output: Path
) -> None:
    for options in ({"ngram": 3}, {"cell": "ngram", "order": 3}):
        output.unlink(missing_ok=True)
        checkpoint.beside(output, checkpoint.RESUME).unlink(missing_ok=True)
        run = begin(text, output, **options)
        run_to_end(run)
        expected, before = run.result().to_json(), weights(output)
        output.unlink()
        again = go_on(text, output)
        assert again.record.complete
        found = again.result().to_json()
        for name in ("seconds", "chars_per_sec"):
            assert found.pop(name) > 0
            expected.pop(name)
        assert found == expected
        assert found["baselines"].keys() >= {"unigram", "ngram", "xz"}
        np.testing.assert_equal(weights(output), before)


def test_a_longer_budget_compares_anew_with_the_network_alone(text: Path, output: Path) -> None:
    run = begin(text, output, ngram=3, steps=10)
    run_to_end(run)
    longer = go_on(text, output, steps=30)
    run_to_end(longer)
    assert longer.record.baselines["network"] != run.record.baselines["network"]
    assert longer.record.baselines["xz"] == run.record.baselines["xz"]


def test_a_diverged_run_keeps_its_best_and_is_not_gone_on_with(
    text: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Trainer) -> Iterator[Progress]:
        yield from itertools.islice(original(self), 25)
        raise DivergedError("training diverged")

    original = Trainer.train
    monkeypatch.setattr(Trainer, "train", broken)
    with pytest.raises(DivergedError, match=r"the best model so far is in .*model\.npz"):
        run_to_end(begin(text, output))
    assert checkpoint.load(output).training["result"]["best_step"] in (10, 20)
    resuming.check_finished(output)
    with pytest.raises(CheckpointError, match="no run to resume"):
        go_on(text, output)


def test_a_full_disk_ends_no_run(text: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    whole = output.with_name("whole.npz")
    run_to_end(begin(text, whole))
    run = begin(text, output)
    progress = run.train()
    history = list(itertools.islice(progress, 15))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        history += itertools.islice(progress, 20)
    kept = [item.trouble for item in history if item.trouble]
    assert kept
    assert all("No space left on device; training continues" in trouble for trouble in kept)
    history += progress
    assert len(history) == 40
    np.testing.assert_equal(weights(output), weights(whole))
    assert not [file for file in output.parent.iterdir() if file.suffix == ".tmp"]
