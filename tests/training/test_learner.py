"""Both trainers have the interface that a run needs."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from charrnn.config import ModelConfig, TrainConfig
from charrnn.parallel.threads import Workers
from charrnn.training.counting import NGramTrainer
from charrnn.training.learner import Learner
from charrnn.training.validator import Validator
from tests.training.trainers import SPLIT, V, make


def network() -> Learner:
    return make(SPLIT, steps=8, evaluations=2)


def ngram() -> Learner:
    config, workers = ModelConfig(vocab_size=V, cell="ngram", order=4), Workers(1)
    validator, train = Validator(SPLIT, workers), TrainConfig(steps=1)
    return NGramTrainer(config, SPLIT, validator, train, count_eos=True, workers=workers)


@pytest.mark.parametrize("fresh", [network, ngram])
def test_it_learns_to_the_end_of_its_budget_and_is_restored_there(
    fresh: Callable[[], Learner],
) -> None:
    learner, again = fresh(), fresh()
    learner.plan()
    assert learner.passes > 0
    assert learner.expected_seconds() >= 0
    assert math.isinf(learner.counters.best_loss)
    *_, last = learner.train()
    assert last.step == learner.counters.step == learner.budget.steps
    assert not learner.early
    assert learner.counters.best_loss < math.inf
    again.restore(learner.snapshot())
    again.extend()
    assert again.counters == learner.counters
    assert [*again.train()] == []
    with learner.at_best():
        for name, array in learner.model.arrays.items():
            np.testing.assert_array_equal(array, again.model.arrays[name])
