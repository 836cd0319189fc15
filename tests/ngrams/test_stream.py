"""A stream computes the same logits as the general code."""

from typing import Any

import numpy as np
import pytest

from charrnn.ids import EOS
from charrnn.inference.choosing import log_softmax
from charrnn.ngrams import stream
from charrnn.ngrams.ngram import NONE, NGram
from charrnn.ngrams.residual import Network
from charrnn.ngrams.stream import NGramStream, stream_of
from tests.network.test_unrolled import make as make_network
from tests.ngrams import test_ngram, test_residual

pytestmark = pytest.mark.figures

Array = np.ndarray
STEPS = 40

starts = pytest.mark.parametrize("start", [True, False])


def assert_agrees(model: Network | NGram, start: bool, atol: float) -> None:
    """Return the logits after each token, from the start of a document or after some tokens."""
    tokens = np.random.default_rng(5).integers(EOS + 1, model.vocab_size, (STEPS, 1))
    state = model.zero_state(1)
    if start:
        tokens[0] = EOS
    else:
        state = model.unroll(9, 1).run(tokens[:9], state)
    expected, _ = model.unroll(STEPS, 1).forward(tokens, state)
    found = stream_of(model, state)
    logits = np.stack([found.step(token).copy() for token in tokens[:, 0].tolist()], axis=1)
    np.testing.assert_allclose(log_softmax(logits), log_softmax(expected[..., 0].T), atol=atol)


@starts
@pytest.mark.parametrize("rows", [0, 1, 4, test_ngram.V + 1, 20])  # of the table
@pytest.mark.parametrize("few", [0, 2, test_ngram.V])
@test_ngram.orders
def test_an_ngram(
    order: int, few: int, rows: int, start: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charrnn.ngrams.ngram._DENSE", rows * test_ngram.V)
    monkeypatch.setattr(stream, "_FEW", few)
    assert_agrees(test_ngram.make(order), start, atol=1e-5)


@starts
@pytest.mark.parametrize("network", test_residual.NETWORKS, ids=str)
def test_a_network_on_top_of_an_ngram(network: dict[str, Any], start: bool) -> None:
    assert_agrees(test_residual.make(**network), start, atol=1e-6)


def test_a_network_alone() -> None:
    assert_agrees(make_network(cell="gru"), start=True, atol=1e-12)


def test_one_child_is_found_like_many() -> None:
    model = test_ngram.make(3)
    nodes, tokens = np.indices((model.size + 2, test_ngram.V)).reshape(2, -1) - [[1], [0]]
    expected = np.where(tokens == EOS, NONE, model.descend(nodes, tokens))
    found = []
    for node, token in zip(nodes.tolist(), tokens.tolist(), strict=True):
        one = NGramStream(model, [node, NONE])
        one.step(token)
        found.append(one.state)
    np.testing.assert_array_equal(found, np.stack([1 + tokens, expected], axis=1))
    assert model.size > (expected != NONE).sum() > 20
