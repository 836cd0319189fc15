import numpy as np
import pytest

from charrnn.config import ModelConfig
from charrnn.gradient_flow import gradient_flow
from charrnn.model import CharRNN

V = 6


def make(cell: str, **config: int) -> CharRNN:
    sizes = {"vocab_size": V, "hidden_size": 7, **config}
    model = CharRNN(ModelConfig(cell=cell, **sizes), np.float64)  # type: ignore[arg-type]
    return model.initialize(np.random.default_rng(0))


@pytest.mark.parametrize(("cell", "num_layers"), [("rnn", 1), ("lstm", 2), ("gru", 1)])
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
            gradient = np.zeros(7)
            for unit in range(7):
                step = np.zeros_like(state)
                step[-1, row, unit] = 1e-6
                gradient[unit] = (loss(state + step) - loss(state - step)) / 2e-6
            assert found[row, k - 1] == pytest.approx(np.linalg.norm(gradient), rel=1e-5)


def test_small_recurrent_weights_make_it_vanish_and_large_ones_explode() -> None:
    tokens, norms = np.random.default_rng(1).integers(1, V, 200), {}
    for scale in (0.5, 1.5):
        model = make("rnn", activation="relu")  # type: ignore[arg-type]
        model.parameters["layers.0.weight"][:, V + 1 :] *= scale
        flow = gradient_flow(model, tokens, 30, 50, np.random.default_rng(2))[0]
        norms[scale] = flow[-1] / flow[0]
    assert norms[0.5] < 1e-6
    assert norms[1.5] > 100 * norms[0.5]


def test_too_short_a_text_is_an_error() -> None:
    with pytest.raises(ValueError, match="longer text"):
        gradient_flow(make("rnn"), np.array([2, 3, 4]), 3, 5, np.random.default_rng(0))
