"""An n-gram model is counted in one step, and again when resuming."""

import math

import numpy as np
import pytest

from charrnn.config import ModelConfig, TrainConfig
from charrnn.inference.evaluation import evaluate
from charrnn.parallel.threads import Workers
from charrnn.training.counting import NGramTrainer
from charrnn.training.validator import Validator
from tests.training.trainers import SPLIT, V

pytestmark = pytest.mark.figures


def test_an_ngram_is_counted_in_one_step() -> None:
    config = ModelConfig(vocab_size=V, cell="ngram", order=4)
    workers = Workers(1)
    validator, train = Validator(SPLIT, workers), TrainConfig(steps=1)
    trainer = NGramTrainer(config, SPLIT, validator, train, count_eos=True, workers=workers)
    uniform = evaluate(trainer.model, SPLIT, Workers(1), count_eos=True)
    assert uniform.loss == pytest.approx(math.log(V))
    (progress,) = trainer.train()
    assert progress.best
    assert progress.validation is not None
    assert progress.validation.loss < 0.2
    found = evaluate(trainer.model, SPLIT, Workers(1), count_eos=True)
    assert found.loss == progress.validation.loss


def test_a_counted_model_is_restored_by_counting_again() -> None:
    config, workers = ModelConfig(vocab_size=V, cell="ngram", order=4), Workers(1)

    def fresh() -> NGramTrainer:
        train = TrainConfig(steps=1)
        return NGramTrainer(config, SPLIT, None, train, count_eos=True, workers=workers)

    trainer, again = fresh(), fresh()
    again.restore(trainer.snapshot())
    assert again.counters.step == 0
    [*trainer.train()]
    again.restore(trainer.snapshot())
    assert again.counters == trainer.counters
    assert [*again.train()] == []
    np.testing.assert_equal(again.model.arrays, trainer.model.arrays)
