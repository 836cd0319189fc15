from typing import Any

import numpy as np
import pytest

from charrnn.config import ModelConfig
from charrnn.ids import EOS
from charrnn.network.draws import Draws
from charrnn.network.model import CharRNN
from charrnn.network.parameters import weights_of
from tests.network.test_unrolled import JORDAN, V

pytestmark = pytest.mark.figures


def test_initial_recurrent_blocks_are_orthogonal_and_the_forget_bias_is_one() -> None:
    H = 5
    model = CharRNN(ModelConfig(vocab_size=V, hidden_size=H, num_layers=2), np.float64)
    model.initialize(np.random.default_rng(0))
    for name, D in (("layers.0.weight", V), ("layers.1.weight", H)):
        weight = model.parameters[name]
        for gate in weight[:, D + 1 :].reshape(4, H, H):
            np.testing.assert_allclose(gate @ gate.T, np.eye(H), atol=1e-12)
        np.testing.assert_array_equal(weight[:, D].reshape(4, H)[1], 1)
        assert not weight[:, D].reshape(4, H)[[0, 2, 3]].any()


@pytest.mark.parametrize("network", [{"cell": "rnn"}, {"cell": "gru"}, *JORDAN])
def test_every_weight_is_drawn_and_every_bias_is_zero(network: dict[str, Any]) -> None:
    model = CharRNN(ModelConfig(vocab_size=V, hidden_size=5, embedding_size=3, **network))
    model.initialize(np.random.default_rng(0))
    assert not model.parameters["embedding"][EOS].any()
    model.parameters["embedding"][EOS] = 1
    np.testing.assert_array_equal(model.parameters.flat != 0, weights_of(model.config))


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second, other = (
        CharRNN(ModelConfig(vocab_size=V)).initialize(np.random.default_rng(seed)).parameters.flat
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@pytest.mark.parametrize("dropped", [{}, {"dropout": 0.5, "recurrent_dropout": 0.7}])
def test_a_relu_is_as_large_after_many_steps_and_layers(dropped: dict[str, Any]) -> None:
    """The mean square of h equals that of the input term, with any dropout."""
    config = ModelConfig(V, cell="rnn", activation="relu", hidden_size=200, num_layers=4, **dropped)
    rng = np.random.default_rng(0)
    unrolled = CharRNN(config).initialize(rng).unroll(60, 4, training=True)
    state = unrolled.run(
        rng.integers(2, V, (60, 4)), np.zeros(unrolled.state_shape, np.float32), Draws(rng)
    )
    for h in state[:, 0]:
        assert 1 < np.mean(h**2) < 16
