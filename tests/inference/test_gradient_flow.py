from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.config import WHOLE, ModelConfig
from charrnn.inference.gradient_flow import gradient_flow
from charrnn.network.model import CharRNN
from charrnn.parallel.threads import Workers
from charrnn.text.corpus import read_corpus, split_corpus
from charrnn.training.preparing import RunRequest, prepare

pytestmark = pytest.mark.figures

V = 6


def make(cell: str, **config: Any) -> CharRNN:
    model = CharRNN(ModelConfig(V, cell, hidden_size=7, **config), np.float64)
    return model.initialize(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("cell", "num_layers"), [("rnn", 1), ("lstm", 2), ("gru", 1), ("jordan", 1)]
)
def test_it_is_the_numerical_derivative(cell: str, num_layers: int) -> None:
    model, distance = make(cell, num_layers=num_layers), 4
    tokens = np.array([2, 3, 5, 4, 3])
    found = gradient_flow(model, tokens, distance, 1, np.random.default_rng(0))
    for k in range(1, distance + 1):
        before, after = tokens[: distance - k, None], tokens[distance - k : distance, None]
        state = model.zero_state(1)
        if len(before):
            _, state = model.unroll(distance, 1).forward(before, state)

        def loss(state: np.ndarray, inputs: np.ndarray = after) -> float:
            logits, _ = model.unroll(distance, 1).forward(inputs, state)
            x = logits[-1, :, 0]
            return float(np.log(np.exp(x).sum()) - x[tokens[distance]])

        for row in range(len(found)):
            gradient = np.zeros(state.shape[2])
            for unit in range(len(gradient)):
                step = np.zeros_like(state)
                step[-1, row, unit] = 1e-6
                gradient[unit] = (loss(state + step) - loss(state - step)) / 2e-6
            assert found[row, k - 1] == pytest.approx(np.linalg.norm(gradient), rel=1e-5)


def test_small_recurrent_weights_make_it_vanish_and_large_ones_explode() -> None:
    tokens, norms = np.random.default_rng(1).integers(1, V, 200), {}
    for scale in (0.5, 1.5):
        model = make("rnn", activation="relu")
        model.parameters["layers.0.weight"][:, V + 1 :] *= scale
        flow = gradient_flow(model, tokens, 30, 50, np.random.default_rng(2))[0]
        norms[scale] = flow[-1] / flow[0]
    assert norms[0.5] < 1e-6
    assert norms[1.5] > 100 * norms[0.5]


@pytest.mark.slow
def test_over_a_long_distance_an_lstm_keeps_more_of_the_gradient_than_an_rnn(
    workers: Workers, tmp_path: Path
) -> None:
    corpus = read_corpus(["english"], separator=WHOLE)
    split = split_corpus(corpus)
    size, flows = (
        {"hidden_size": 64, "dropout": 0.0, "ngram": 0, "steps": 150, "evaluations": 1},
        {},
    )
    for cell in ("lstm", "rnn"):
        options = {"cell": cell, **size}
        run = prepare(
            corpus, split, RunRequest(options), output=tmp_path / "x.npz", workers=workers
        )
        for _ in run.train():
            pass
        assert isinstance(run.model, CharRNN)
        tokens = run.data.vocabulary.encode(split.val[0])
        h = gradient_flow(run.model, tokens, 100, 256, np.random.default_rng(0))[0]
        flows[cell] = h
        at = h[[0, 9, 19, 39, 59, 79, 99]]
        assert (at[1:] < at[:-1] / 2).all()
    assert (flows["lstm"][59:] > 1e4 * flows["rnn"][59:]).all()


def test_too_short_a_text_is_an_error() -> None:
    with pytest.raises(ValueError, match="longer text"):
        gradient_flow(make("rnn"), np.array([2, 3, 4]), 3, 5, np.random.default_rng(0))
