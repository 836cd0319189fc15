"""A diverging run returns to its best weights, a few times."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from charrnn.errors import DivergedError
from charrnn.inference.evaluation import evaluate
from charrnn.parallel.threads import Workers
from charrnn.training.progress import Progress
from tests.training.trainers import SPLIT, figures, make, run

pytestmark = pytest.mark.figures


@pytest.mark.parametrize("scheduled_sampling", [0.0, 1.0])
def test_a_loss_that_is_no_number_is_gone_back_from(scheduled_sampling: float) -> None:
    trainer = make(SPLIT, steps=200, scheduled_sampling=scheduled_sampling)
    progress = trainer.train()
    history = list(itertools.islice(progress, 50))
    best = [item for item in history if item.best][-1]
    trainer.model.parameters.flat[:] = np.nan
    history += progress
    (trouble,) = [item for item in history if item.trouble]
    assert trouble.step == 51
    assert "not a finite number" in trouble.trouble
    assert "0.01" in trouble.trouble  # half of 0.02
    validations = [item.validation.loss for item in history if item.validation]
    assert validations[-1] < best.validation.loss if best.validation else False


@pytest.mark.parametrize("factor", [-30, -1e30])
def test_what_explodes_goes_back_too(factor: float) -> None:
    trainer = make(SPLIT, steps=200)
    progress = trainer.train()
    history = list(itertools.islice(progress, 100))
    trainer.model.parameters.flat[:] *= factor
    history += progress
    (trouble,) = [item for item in history if item.trouble]
    assert "above that of a guess" in trouble.trouble
    assert 100 < trouble.step < 110
    assert history[-1].loss < 0.5


def test_a_trainer_gives_up_after_a_few_troubles_and_keeps_the_best() -> None:
    trainer = make(SPLIT, evaluations=60)
    progress = trainer.train()
    best = [item for item in itertools.islice(progress, 30) if item.best][-1]
    for _ in range(5):
        trainer.model.parameters.flat[:] = np.nan
        assert next(progress).trouble
    trainer.model.parameters.flat[:] = np.nan
    with pytest.raises(DivergedError, match=r"step 36.*learning_rate than 0.02"):
        next(progress)
    assert best.validation is not None
    found = evaluate(trainer.model, SPLIT, Workers(1), count_eos=True)
    assert found.loss <= best.validation.loss


def exploding(scale: float, **options: Any) -> str:
    """Return the error of a run whose initial weights are too large, at a tiny learning rate."""
    trainer = make(cell="rnn", learning_rate=1e-9, steps=200, **options)
    H = trainer.model.config.hidden_size
    for layer in range(trainer.model.config.num_layers):
        trainer.model.parameters[f"layers.{layer}.weight"][:, -H:] *= scale
    trainer.recovery.keep()
    with pytest.raises(DivergedError) as error:
        run(trainer)
    np.testing.assert_array_equal(trainer.model.parameters.flat, trainer.recovery.best)
    return str(error.value)


def test_it_is_not_the_learning_rate_where_fresh_weights_explode() -> None:
    told = exploding(10, activation="relu", num_layers=3)
    assert told.endswith("try fewer num_layers than 3 or another activation than relu")


def test_it_is_not_the_learning_rate_where_dropout_makes_weights_explode() -> None:
    told = exploding(2, activation="relu", recurrent_dropout=0.6, hidden_size=24)
    assert told.endswith("try a lower recurrent_dropout than 0.6")


def test_troubles_are_remembered_where_a_run_goes_on() -> None:
    def troubled() -> Iterator[Progress]:
        for progress in trainer.train():
            yield progress
            if progress.step in (20, 45):
                trainer.model.parameters.flat[:] = np.nan

    trainer = whole = make(SPLIT)
    expected = figures(troubled())
    assert [step for step, text in enumerate(expected, 1) if "back to" in text] == [21, 46]
    trainer = make(SPLIT)
    progress = troubled()
    history = figures(itertools.islice(progress, 30))
    snapshot, trainer = trainer.snapshot(), make(SPLIT)
    trainer.restore(snapshot)
    history += figures(troubled())
    assert history == expected
    np.testing.assert_array_equal(trainer.model.parameters.flat, whole.model.parameters.flat)
