"""Inputs drawn by the model itself. The true ones are <UNK>, which is never drawn, so that a test
sees which were replaced."""

from typing import Any

import numpy as np
import pytest

from charrnn.config import TrainConfig
from charrnn.errors import ConfigError
from charrnn.ids import EOS, IGNORE, UNK
from charrnn.network.draws import Draws
from charrnn.network.model import CharRNN
from charrnn.training.scheduled_sampling import ScheduledSampling
from tests.network.test_unrolled import B, V, every_network, make, random_state
from tests.ngrams.test_residual import text, with_ngram

pytestmark = pytest.mark.figures

Array = np.ndarray
T = 40


def replace(model: CharRNN, inputs: Array, probability: float, seed: int = 0) -> Array:
    """The inputs, some of them drawn from zero state."""
    columns = inputs.shape[1]
    sampling = ScheduledSampling(model, columns, Draws(np.random.default_rng(seed)))
    return sampling.replace(inputs, model.zero_state(columns), probability)


def with_starts(columns: int = B) -> Array:
    """Inputs (T, B) of <UNK>, with documents that start in them."""
    inputs = np.full((T, columns), UNK)
    inputs[0, 0] = inputs[5, 1] = inputs[6, 1] = EOS
    inputs[7, 2] = IGNORE
    return inputs


def test_a_probability_of_zero_leaves_every_input() -> None:
    np.testing.assert_array_equal(replace(make(), with_starts(), 0.0), with_starts())


@every_network
def test_a_probability_of_one_leaves_starts_and_the_first_of_a_chunk(
    network: dict[str, Any],
) -> None:
    inputs = with_starts()
    found = replace(make(**network), inputs, 1.0)
    stays = inputs <= EOS
    stays[0] = True
    np.testing.assert_array_equal(found[stays], with_starts()[stays])
    assert set(np.unique(found[~stays])) == {*range(UNK + 1, V)}
    np.testing.assert_array_equal(inputs, with_starts())  # the caller's own are as they were


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_the_share_that_is_replaced_is_the_probability(probability: float) -> None:
    found = replace(make(), np.full((T, 200), UNK), probability)
    assert abs((found[1:] != UNK).mean() - probability) < 0.02


@pytest.mark.parametrize("probability", [0.5, 1.0])
@every_network
def test_a_token_is_drawn_given_the_drawn_ones_before_it(
    network: dict[str, Any], probability: float
) -> None:
    model, inputs = make(**network), with_starts()
    model.parameters["head.weight"][:] *= 1e6  # so certain that only one token can be drawn
    sampling = ScheduledSampling(model, B, Draws(np.random.default_rng(0)))
    found = sampling.replace(inputs, random_state(model), probability)
    for b in range(B):
        state = random_state(model)[..., b : b + 1]
        for t in range(1, T):
            logits, state = model.unroll(1, 1).forward(found[t - 1 : t, b : b + 1], state)
            if found[t, b] != inputs[t, b]:
                assert found[t, b] == UNK + 1 + logits[0, UNK + 1 :, 0].argmax()


def test_draws_follow_the_distribution_of_the_model_without_eos_and_unk() -> None:
    model, columns = make(), 20_000
    probs = np.array([0.3, 0.2, 0.05, 0.1, 0.05, 0.1, 0.2])  # <EOS>, <UNK> and the characters
    model.parameters["head.weight"][:] = 0
    model.parameters["head.weight"][:, 0] = np.log(probs)
    found = replace(model, np.full((2, columns), UNK), 1.0)[1]
    expected = columns * probs[UNK + 1 :] / probs[UNK + 1 :].sum()
    counts = np.bincount(found, minlength=V)[UNK + 1 :]
    assert (np.square(counts - expected) / expected).sum() < 18.5  # chi-square, once in a thousand


def test_beside_an_ngram_model_the_true_token_is_left_out_of_the_counts() -> None:
    model = with_ngram(make(ngram=4, ngram_scale=1.0), text())
    model.parameters["head.weight"][:] = 0  # the n-gram model alone decides
    left_out, columns, place = model.left_out, 20_000, 40
    assert left_out is not None
    before, state = text()[:place, None], model.zero_state(1)
    state = model.unroll(place, 1, training=True).run(before, state).repeat(columns, axis=1)
    inputs = np.repeat(text()[place : place + 2, None], columns, axis=1)
    assert (inputs > EOS).all()
    sampling = ScheduledSampling(model, columns, Draws(np.random.default_rng(0)))
    drawn = sampling.replace(inputs, state, 1.0)[1]

    contexts, _ = left_out.ngram.contexts_after(inputs[:1, :1], state[-3:, :1].astype(np.int64))
    expected, known = (
        np.exp(log_probs[UNK + 1 :, 0])
        for log_probs in (
            left_out.distributions(contexts[:, 0], inputs[1, :1]),
            left_out.ngram.distributions(contexts[:, 0]),
        )
    )
    own = inputs[1, 0] - UNK - 1
    assert known[own] > 2 * expected[own]
    expected *= columns / expected.sum()
    counts = np.bincount(drawn, minlength=V)[UNK + 1 :]
    assert (np.square(counts - expected) / expected).sum() < 18.5


def test_a_seed_gives_the_same_draws() -> None:
    first, second, other = (replace(make(), with_starts(), 0.5, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="scheduled_sampling must be"):
        TrainConfig(steps=1, scheduled_sampling=share)
