"""Training on tiny texts: it learns, is reproducible, keeps the best weights and resumes."""

import contextlib
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from charrnn.config import ModelConfig, TrainConfig
from charrnn.ids import EOS
from charrnn.inference.evaluation import evaluate
from charrnn.network.model import CharRNN
from charrnn.parallel.threads import Workers
from charrnn.training.batches import Batches
from charrnn.training.progress import Progress
from charrnn.training.scheduled_sampling import ScheduledSampling
from charrnn.training.snapshot import Snapshot
from charrnn.training.trainer import Trainer
from charrnn.training.validator import Validator
from tests.conftest import encoded
from tests.training.trainers import SPLIT, V, figures, make, run, with_ngram

pytestmark = pytest.mark.figures


@pytest.mark.parametrize("steps", [1, 2, 3, 40])
@pytest.mark.parametrize("warmup", [0.0, 0.03, 1.0])
def test_every_step_learns(steps: int, warmup: float) -> None:
    trainer = make(steps=steps, warmup=warmup)
    before = trainer.model.parameters.flat.copy()
    for progress in trainer.train():
        assert 0 < progress.learning_rate <= 0.02
        assert (trainer.model.parameters.flat != before).any()
        before = trainer.model.parameters.flat.copy()


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "jordan"])
def test_it_learns(cell: str) -> None:
    trainer = make(cell=cell)
    history = run(trainer)
    assert history[0].loss > 1.2
    assert history[-1].loss < 0.35  # noise only where a stream starts
    assert [progress.step for progress in history] == list(range(1, 61))


def test_it_learns_from_the_last_token_alone_what_that_one_tells() -> None:
    history = run(make(cell="jordan", feedback="target", steps=120))
    even = math.log(2) * 4 / 6  # after a 2 or a 4, either of two tokens comes
    assert even - 0.02 < np.mean([progress.loss for progress in history[-10:]]) < even + 0.1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dropout": 0.3, "num_layers": 2, "unk_rate": 0.05},
        {"cell": "jordan", "dropout": 0.3},
        {"cell": "jordan", "feedback": "target", "scheduled_sampling": 1.0},
        *({"cell": cell, "scheduled_sampling": 1.0} for cell in ("rnn", "lstm", "gru", "jordan")),
        {"ngram": 3, "dropout": 0.3, "unk_rate": 0.05},
        {"ngram": 3, "scheduled_sampling": 1.0},
        {"cell": "rnn", "dropout": 0.3, "accumulate": 2},
        {"cell": "gru", "ngram": 3, "recurrent_dropout": 0.3, "embedding_size": 3},
    ],
)
def test_a_seed_gives_the_same_weights_on_any_number_of_threads_and_processes(
    options: dict[str, Any],
) -> None:
    weights = []
    for threads, forks in ((1, False), (2, False), (3, False), (2, True)):
        with Workers(threads, forks=forks) as workers:
            trainer = make(workers=workers, batch_size=40, steps=8, **options)
            run(trainer)
            weights.append(trainer.model.parameters.flat)
    for others in weights[1:]:
        np.testing.assert_array_equal(weights[0], others)
    other = make(batch_size=40, steps=8, seed=1, **options)
    run(other)
    assert (other.model.parameters.flat != weights[0]).any()


def test_accumulating_makes_fewer_updates_of_a_pass() -> None:
    trainer = make(epochs=2, seq_len=8, accumulate=3)
    batches = trainer.batches
    assert batches.steps_per_epoch == -(-batches.chunks_per_epoch // 3)
    history = run(trainer)
    assert len(history) == 2 * batches.steps_per_epoch
    assert history[-1].chars == 2 * batches.chunks_per_epoch * 4 * 8


def test_the_share_that_the_model_draws_itself_rises_with_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shares = []

    def spy(self: ScheduledSampling, inputs: np.ndarray, state: np.ndarray, share: float) -> Any:
        shares.append(share)
        return inputs

    monkeypatch.setattr(ScheduledSampling, "replace", spy)
    run(make(steps=10, scheduled_sampling=0.5))
    np.testing.assert_allclose(shares, 0.5 * np.arange(1, 10) / 10)  # none in the first step
    shares.clear()
    run(make(steps=10))
    assert not shares


def test_the_best_validated_weights_are_left_in_the_model() -> None:
    noise = encoded(np.append(np.random.default_rng(0).integers(2, V, 200), EOS))  # to overfit
    trainer = make(noise, learning_rate=0.05, evaluations=20)
    validated = [progress for progress in run(trainer) if progress.validation]
    assert len(validated) == 20
    losses = [progress.validation.loss for progress in validated if progress.validation]
    assert losses[-1] > min(losses)
    assert [progress.best for progress in validated] == [
        loss < min([math.inf, *losses[:index]]) for index, loss in enumerate(losses)
    ]
    found = evaluate(trainer.model, noise, Workers(1), count_eos=True)
    assert found.loss == pytest.approx(min(losses))


def test_without_validation_the_last_weights_are_the_best() -> None:
    trainer = make(evaluations=3)
    marked = [progress.step for progress in run(trainer) if progress.best]
    assert marked == [20, 40, 60]


@pytest.mark.parametrize(
    ("budget", "steps"), [({"steps": 7}, 7), ({"epochs": 2}, 16), ({"epochs": 0.01}, 1)]
)
def test_a_budget_of_steps_or_epochs_ends_where_it_says(budget: dict[str, Any], steps: int) -> None:
    history = run(make(**budget))
    assert len(history) == steps
    assert history[-1].fraction == 1
    assert history[-1].train_loss is not None


def test_a_network_on_an_ngram_model_learns_what_that_one_leaves() -> None:
    noise = np.random.default_rng(0).choice([2, 3], 400)
    text = np.append(np.column_stack([noise, noise, np.full(400, 4)]).ravel(), EOS)
    network = CharRNN(ModelConfig(vocab_size=V, hidden_size=12, ngram=1))
    network.initialize(np.random.default_rng(0))
    model = with_ngram(network, text)
    rates: dict[str, Any] = {"unk_rate": 0.0, "restart_rate": 0.0, "learning_rate": 0.02}
    config = TrainConfig(steps=150, batch_size=4, seq_len=12, **rates)
    split, workers = encoded(text), Workers(1)
    batches, validator = Batches(text, config), Validator(split, workers)
    trainer = Trainer(model, batches, validator, config, workers=workers)
    before = {name: array.copy() for name, array in model.ngram.arrays.items()}
    run(trainer)
    loss = evaluate(model, split, Workers(1), count_eos=True).loss
    assert math.log(2) / 3 - 0.01 < loss < math.log(2) / 3 + 0.05  # one of three is noise
    np.testing.assert_equal(model.ngram.arrays, before)


# Going on where a run stopped

SNAPSHOT_OPTIONS: list[dict[str, Any]] = [
    *({"cell": cell} for cell in ("rnn", "lstm", "gru", "jordan")),
    {"cell": "jordan", "feedback": "target", "scheduled_sampling": 1.0},
    {"dropout": 0.3, "recurrent_dropout": 0.3, "num_layers": 2, "unk_rate": 0.05},
    {"ngram": 3, "dropout": 0.3, "unk_rate": 0.05},
    {"scheduled_sampling": 1.0, "batch_size": 40},
    {"embedding_size": 3, "weight_decay": 0.5},
]


@pytest.mark.parametrize("options", SNAPSHOT_OPTIONS)
@pytest.mark.slow
def test_a_run_goes_on_from_any_step_as_if_it_had_never_stopped(options: dict[str, Any]) -> None:
    whole = make(SPLIT, steps=40, **options)
    expected = figures(whole.train())
    for stop in (1, 7, 8, 9, 39):  # a pass has eight steps with four streams
        first, second = make(SPLIT, steps=40, **options), make(SPLIT, steps=40, **options)
        progress = first.train()
        history = figures(itertools.islice(progress, stop))
        snapshot = first.snapshot()
        numbers = json.loads(json.dumps(snapshot.numbers(), allow_nan=False))
        arrays = {name: array.copy() for name, array in snapshot.arrays.items()}
        second.restore(Snapshot.read(arrays, numbers))
        history += figures(second.train())
        assert history == expected
        np.testing.assert_array_equal(second.model.parameters.flat, whole.model.parameters.flat)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_validation_that_was_broken_off_is_made_up_for(number: int) -> None:
    whole = make(SPLIT, steps=40, dropout=0.3, evaluations=4)
    expected = [replace(item, loss=0) for item in whole.train()]
    first, second = (make(SPLIT, steps=40, dropout=0.3, evaluations=4) for _ in range(2))
    numbers = itertools.count(1)

    @contextlib.contextmanager
    def interruptible() -> Iterator[None]:
        yield
        if next(numbers) == number:
            raise KeyboardInterrupt

    first.interruptible = interruptible
    history: list[Progress] = []
    with pytest.raises(KeyboardInterrupt):
        history += first.train()
    second.restore(first.snapshot())
    history += second.train()
    assert figures(replace(item, loss=0) for item in history) == figures(expected)
    np.testing.assert_array_equal(second.model.parameters.flat, whole.model.parameters.flat)
