"""The gradient of a batch that is cut into shards, or of several chunks."""

import os
import signal
from typing import Any

import numpy as np
import pytest

from charrnn.config import ModelConfig, TrainConfig
from charrnn.ids import IGNORE
from charrnn.network.model import CharRNN
from charrnn.parallel.helpers import FORKS
from charrnn.parallel.threads import Workers
from charrnn.training.scheduled_sampling import ScheduledSampling
from charrnn.training.shards import Shards
from tests.training.trainers import V, make, with_ngram

pytestmark = pytest.mark.figures


@pytest.mark.parametrize("ngram", [0, 3])
def test_the_gradient_of_shards_is_the_gradient_of_the_whole(ngram: int) -> None:
    network = CharRNN(ModelConfig(vocab_size=V, hidden_size=6, ngram=ngram), np.float64)
    network.initialize(np.random.default_rng(0))
    config = TrainConfig(steps=1, batch_size=37, seq_len=4)
    tokens = np.random.default_rng(1).integers(IGNORE, V, (5, 37))
    model = with_ngram(network, tokens.T.ravel()) if ngram else network
    shards = Shards(model, config)
    assert len(shards.pieces) == 2
    nats, tokens_read, gradient, state = shards.gradient(
        [(tokens[:-1], tokens[1:])], model.zero_state(37), Workers(1)
    )
    whole = model.unroll(4, 37, training=True)
    expected, expected_state, _ = whole.gradient(
        tokens[:-1],
        tokens[1:],
        model.zero_state(37),
        scale=1 / np.count_nonzero(tokens[1:] != IGNORE),
    )
    assert tokens_read == np.count_nonzero(tokens[1:] != IGNORE)
    assert nats == pytest.approx(expected.sum())
    np.testing.assert_allclose(gradient, whole.gradients.flat, atol=1e-12)
    np.testing.assert_allclose(state, expected_state, atol=1e-12)


def test_the_gradient_of_several_chunks_is_that_of_one_as_long() -> None:
    """But for the backpropagation, which is truncated between them."""
    model = CharRNN(ModelConfig(vocab_size=V, hidden_size=6), np.float64)
    model.initialize(np.random.default_rng(0))
    tokens, state = np.random.default_rng(1).integers(IGNORE, V, (9, 37)), model.zero_state(37)
    shards = Shards(model, TrainConfig(steps=1, batch_size=37, seq_len=4, accumulate=2))
    chunks = [(tokens[:4], tokens[1:5]), (tokens[4:8], tokens[5:])]
    nats, count, gradient, after = shards.gradient(chunks, state, Workers(1))
    gradient = gradient.copy()
    expected = np.zeros_like(gradient)
    sums = [0.0, 0]
    for chunk in chunks:
        own = shards.gradient([chunk], state, Workers(1))
        expected += own[1] * own[2]
        sums, state = [sums[0] + own[0], sums[1] + own[1]], own[3]
    np.testing.assert_allclose(gradient, expected / sums[1], atol=1e-12)
    np.testing.assert_allclose(after, state, atol=1e-12)
    assert nats == pytest.approx(sums[0])
    assert count == sums[1]


def test_what_the_model_draws_itself_is_a_constant_to_the_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = CharRNN(ModelConfig(vocab_size=V, hidden_size=6), np.float64)
    model.initialize(np.random.default_rng(0))
    tokens, state = np.random.default_rng(1).integers(IGNORE, V, (9, 4)), model.zero_state(4)
    inputs, targets = tokens[:-1], tokens[1:]
    shards = Shards(model, TrainConfig(steps=1, batch_size=4, seq_len=8))
    drawn, original = [], ScheduledSampling.replace

    def spy(self: ScheduledSampling, *args: Any) -> np.ndarray:
        drawn.append(original(self, *args))
        return drawn[-1]

    monkeypatch.setattr(ScheduledSampling, "replace", spy)
    nats, _, gradient, after = shards.gradient([(inputs, targets)], state, Workers(1), drawn=1.0)
    (replaced,) = drawn
    assert (replaced != inputs).sum() > 10
    whole, scale = model.unroll(8, 4), 1 / np.count_nonzero(targets != IGNORE)
    expected, expected_after, _ = whole.gradient(replaced, targets, state, scale=scale)
    assert nats == pytest.approx(expected.sum())
    np.testing.assert_allclose(gradient, whole.gradients.flat, atol=1e-12)
    np.testing.assert_allclose(after, expected_after, atol=1e-12)


@pytest.mark.skipif(not FORKS, reason="the system has no safe fork")
@pytest.mark.parametrize("killed", [False, True])
def test_helpers_change_nothing_and_a_run_goes_on_without_them(killed: bool) -> None:
    options: dict[str, Any] = {"batch_size": 40, "dropout": 0.3, "ngram": 3, "steps": 8}
    whole, last = make(**options), make(**options)
    list(whole.train())
    with Workers(2, forks=True) as workers:
        first = make(workers=workers, **options)
        steps = first.train()
        for _ in range(3):
            next(steps)
        helpers = first.shards._helpers
        assert helpers is not None
        assert len(helpers) == 1
        if killed:
            os.kill(helpers._helpers[0].process, signal.SIGKILL)
            next(steps)
            assert not helpers
            next(steps)
        last.restore(first.snapshot())
        list(steps)
        assert not helpers
    list(last.train())
    for trainer in (first, last):
        np.testing.assert_array_equal(trainer.model.parameters.flat, whole.model.parameters.flat)
