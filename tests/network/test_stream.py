"""A stream computes the same logits as the general code."""

from typing import Any

import numpy as np
import pytest

from charrnn.config import ModelConfig
from charrnn.ids import EOS
from charrnn.network.model import CharRNN
from tests.network.test_unrolled import V, every_network, make
from tests.rounding import log_prob_tolerance

pytestmark = pytest.mark.figures

Array = np.ndarray
STEPS = 20


def assert_agrees(model: CharRNN, tokens: Array, state: Array, atol: float) -> None:
    """Return the logits after each token, computed step by step and all at once."""
    expected, _ = model.unroll(len(tokens), 1).forward(tokens[:, None], state)
    stream = model.stream(state)
    found = [stream.step(token).copy() for token in tokens.tolist()]
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected[..., 0], atol=atol)


@pytest.mark.parametrize("embedding_size", [0, 3])
@every_network
def test_from_any_state_on(network: dict[str, Any], embedding_size: int) -> None:
    model = make(**network, embedding_size=embedding_size)
    rng = np.random.default_rng(5)
    state = rng.standard_normal(model.zero_state(1).shape) / 3
    assert_agrees(model, rng.integers(EOS + 1, V, STEPS), state, atol=1e-12)


@pytest.mark.parametrize("embedding_size", [0, 3])
@every_network
def test_from_the_start_of_a_document_on(network: dict[str, Any], embedding_size: int) -> None:
    model = make(**network, embedding_size=embedding_size)
    tokens = np.random.default_rng(5).integers(EOS + 1, V, STEPS)
    tokens[0] = EOS
    assert_agrees(model, tokens, model.zero_state(1), atol=1e-12)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_within_rounding_in_float32(cell: str) -> None:
    config = ModelConfig(cell=cell, num_layers=2, hidden_size=80, vocab_size=50)
    model = CharRNN(config).initialize(np.random.default_rng(0))
    tokens = np.random.default_rng(5).integers(EOS + 1, 50, 60)
    assert_agrees(model, tokens, model.zero_state(1), log_prob_tolerance(60, terms=161))


def test_two_streams_of_one_model_do_not_meddle() -> None:
    model = make(cell="lstm", num_layers=2)
    one, other = (model.stream(model.zero_state(1)) for _ in range(2))
    for token in (EOS, 3, 4):
        found = one.step(token)
        np.testing.assert_array_equal(found, other.step(token))
    after = found.copy()
    other.step(5)
    np.testing.assert_array_equal(found, after)
