"""The weights shown are the weights used."""

import numpy as np

from charrnn.ids import NUM_SPECIAL
from charrnn.mixing.inputs import DENSE, LENGTHS
from charrnn.mixing.trust import trust
from tests.mixing.test_mixed import make


def test_the_weight_of_a_repetition_is_that_of_the_last_input() -> None:
    model = make()
    found = trust(model)
    assert found.lengths == (0, *LENGTHS)
    assert found.repetition.shape == found.base.shape == (1 + len(LENGTHS),)
    model.mixer.own[-1, 3] += 1  # what followed a repetition of the third length
    after = trust(model)
    np.testing.assert_allclose(after.repetition - found.repetition, np.eye(7)[3], atol=1e-6)
    np.testing.assert_array_equal(after.base, found.base)


def test_what_is_trusted_after_a_token_is_what_weighs_more_there() -> None:
    model = make()
    before, place = trust(model).after, model.vocab_size - NUM_SPECIAL - 1
    assert before.shape == (model.vocab_size - NUM_SPECIAL,)
    last = len(model.mixer.sets) - model.base.ngram.config.order - 1  # the row of the last token
    model.mixer.sets[last, DENSE] += 1
    np.testing.assert_allclose(trust(model).after - before, np.eye(place + 1)[place], atol=1e-6)
