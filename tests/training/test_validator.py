"""A validator returns what `evaluate` returns."""

import numpy as np
import pytest

from charrnn.inference.evaluation import evaluate
from charrnn.parallel.threads import Workers
from charrnn.training.validator import Validator
from tests.training.trainers import SPLIT, make


@pytest.mark.parametrize("count_eos", [False, True])
def test_it_evaluates_on_the_whole_split(count_eos: bool) -> None:
    model, workers = make().model, Workers(1)
    found = Validator(SPLIT, workers, count_eos).evaluate(model)
    assert found == evaluate(model, SPLIT, workers, count_eos=count_eos)
    assert np.isfinite(found.loss)
