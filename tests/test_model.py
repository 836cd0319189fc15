import numpy as np
import pytest

from charrnn.config import ModelConfig
from charrnn.functional import IGNORE
from charrnn.model import CharRNN
from charrnn.parameters import parameter_shapes
from charrnn.vocabulary import EOS

from .test_cells import VARIANTS, numerical_gradient

Array = np.ndarray
V, T, B = 7, 6, 4


def make(cell: str = "lstm", activation: str = "tanh", **config: int) -> CharRNN:
    """A model in float64 whose every parameter is random, biases too."""
    sizes = {"hidden_size": 5, "vocab_size": V, **config}
    model = CharRNN(ModelConfig(cell=cell, activation=activation, **sizes), np.float64)
    rng = np.random.default_rng(0)
    model.initialize(rng)
    model.parameters.flat[:] += 0.1 * rng.standard_normal(model.parameters.flat.size)
    return model


def chunk_with_boundaries() -> tuple[Array, Array]:
    """Inputs and targets (T, B) with an <EOS> and a cut in the middle, and a start at the start."""
    tokens = np.random.default_rng(3).integers(1, V, (T + 1, B))
    tokens[0, 0] = tokens[3, 1] = EOS
    tokens[4, 2] = IGNORE
    return tokens[:-1], tokens[1:]


@pytest.mark.parametrize("embedding_size", [0, 3])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize(("cell", "activation"), VARIANTS)
def test_every_gradient_is_the_numerical_one(
    cell: str, activation: str, num_layers: int, embedding_size: int
) -> None:
    model = make(cell, activation, num_layers=num_layers, embedding_size=embedding_size)
    unrolled, (inputs, targets) = model.unroll(T, B), chunk_with_boundaries()
    state = np.random.default_rng(4).standard_normal(model.zero_state(B).shape) / 3

    def loss() -> float:
        return -float(unrolled.log_probs(inputs, targets, state)[0].sum())

    nats, _, dstate = unrolled.gradient(inputs, targets, state)
    assert float(nats.sum()) == pytest.approx(loss())
    gradients = {"state": dstate}
    gradients |= {name: array.copy() for name, array in unrolled.gradients.items()}
    assert gradients.keys() == {"state", *parameter_shapes(model.config)}
    for name, gradient in gradients.items():
        array = state if name == "state" else model.parameters[name]
        assert np.abs(gradient).max() > 1e-3, name
        np.testing.assert_allclose(
            gradient, numerical_gradient(loss, array), atol=1e-7, err_msg=name
        )


def test_gradients_with_dropout_are_those_of_the_thinned_network() -> None:
    model = make(num_layers=2, dropout=0.5)  # type: ignore[arg-type]
    unrolled, (inputs, targets) = model.unroll(T, B), chunk_with_boundaries()
    state = model.zero_state(B)

    def loss() -> float:
        rng = np.random.default_rng(5)  # the same units each time
        return float(unrolled.gradient(inputs, targets, state, dropout=rng)[0].sum())

    loss()
    gradients = {name: array.copy() for name, array in unrolled.gradients.items()}
    for name, gradient in gradients.items():
        expected = numerical_gradient(loss, model.parameters[name])
        np.testing.assert_allclose(gradient, expected, atol=1e-7, err_msg=name)


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    model = make(hidden_size=200, dropout=0.25)  # type: ignore[arg-type]
    unrolled = model.unroll(T, B)
    unrolled.run(chunk_with_boundaries()[0], model.zero_state(B), np.random.default_rng(0))
    mask = unrolled.masks[0]
    assert set(np.unique(mask)) == {0, 1 / 0.75}
    assert abs((mask == 0).mean() - 0.25) < 0.02
    assert abs(mask.mean() - 1) < 0.03


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_step_by_step_equals_all_at_once(cell: str) -> None:
    model, (inputs, _) = make(cell, num_layers=2), chunk_with_boundaries()
    logits, last = model.unroll(T, B).forward(inputs, model.zero_state(B))
    one, state = model.unroll(1, B), model.zero_state(B)
    for t in range(T):
        step, state = one.forward(inputs[t : t + 1], state)
        np.testing.assert_allclose(step[0], logits[t], atol=1e-12)
    np.testing.assert_allclose(state, last, atol=1e-12)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_two_chunks_with_the_state_carried_equal_one(cell: str) -> None:
    model, (inputs, _) = make(cell, num_layers=2), chunk_with_boundaries()
    logits, _ = model.unroll(T, B).forward(inputs, model.zero_state(B))
    expected, half = logits.copy(), model.unroll(T, B)
    first, state = half.forward(inputs[: T // 2], model.zero_state(B))
    np.testing.assert_allclose(first, expected[: T // 2], atol=1e-12)
    second, _ = half.forward(inputs[T // 2 :], state)
    np.testing.assert_allclose(second, expected[T // 2 :], atol=1e-12)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_columns_are_independent(cell: str) -> None:
    model, (inputs, _) = make(cell, embedding_size=3), chunk_with_boundaries()
    together, _ = model.unroll(T, B).forward(inputs, model.zero_state(B))
    for b in range(B):
        alone, _ = model.unroll(T, 1).forward(inputs[:, b : b + 1], model.zero_state(1))
        np.testing.assert_allclose(alone[:, :, 0], together[:, :, b], atol=1e-12)


@pytest.mark.parametrize("start", [EOS, IGNORE])
@pytest.mark.parametrize("embedding_size", [0, 3])
def test_nothing_before_the_start_of_a_document_matters(start: int, embedding_size: int) -> None:
    model = make(num_layers=2, embedding_size=embedding_size)
    rng = np.random.default_rng(6)
    inputs = rng.integers(1, V, (T, B))
    inputs[3] = start
    state = rng.standard_normal(model.zero_state(B).shape)
    logits, _ = model.unroll(T, B).forward(inputs, state)
    fresh, _ = model.unroll(T, B).forward(inputs[3:], model.zero_state(B))
    np.testing.assert_allclose(logits[3:], fresh, atol=1e-12)


def test_the_first_input_is_a_zero_column() -> None:
    model = make()
    W = model.parameters["layers.0.weight"]
    first, _ = model.unroll(1, 1).forward(np.array([[EOS]]), model.zero_state(1))
    before = first.copy()
    W[:, :V] = 99  # input weights
    after, _ = model.unroll(1, 1).forward(np.array([[EOS]]), model.zero_state(1))
    np.testing.assert_array_equal(before, after)


def test_zero_weights_predict_a_uniform_distribution() -> None:
    model, (inputs, targets) = (
        CharRNN(ModelConfig(vocab_size=V, hidden_size=3)),
        chunk_with_boundaries(),
    )
    log_probs, _ = model.unroll(T, B).log_probs(inputs, targets, model.zero_state(B))
    np.testing.assert_allclose(log_probs[targets != IGNORE], -np.log(V), rtol=1e-6)
    assert not log_probs[targets == IGNORE].any()


@pytest.mark.parametrize("cell", ["lstm", "jordan"])
def test_a_large_vocabulary_goes_through_the_head_in_parts(
    cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, (inputs, targets) = make(cell), chunk_with_boundaries()
    whole = model.unroll(T, B)
    expected, _, _ = whole.gradient(inputs, targets, model.zero_state(B))
    monkeypatch.setattr("charrnn.unrolled._MAX_LOGITS", 5 * V)
    parts = model.unroll(T, B)
    nats, _, _ = parts.gradient(inputs, targets, model.zero_state(B))
    assert parts._logits.size == 5 * V
    np.testing.assert_allclose(nats, expected, atol=1e-12)
    np.testing.assert_allclose(parts.gradients.flat, whole.gradients.flat, atol=1e-12)
    log_probs, _ = parts.log_probs(inputs, targets, model.zero_state(B))
    np.testing.assert_allclose(log_probs, -expected, atol=1e-12)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "jordan"])
def test_reading_without_predicting_leaves_the_same_state(cell: str) -> None:
    model, (inputs, _) = make(cell), chunk_with_boundaries()
    _, expected = model.unroll(T, B).forward(inputs, model.zero_state(B))
    found = model.unroll(T, B).run(inputs, model.zero_state(B))
    np.testing.assert_array_equal(found, expected)


def test_parameters_are_views_of_one_vector() -> None:
    model = make(num_layers=3, embedding_size=3)
    for array in model.parameters.values():
        assert np.shares_memory(array, model.parameters.flat)
    assert model.parameters.flat.size == sum(array.size for array in model.parameters.values())


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


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second, other = (
        CharRNN(ModelConfig(vocab_size=V)).initialize(np.random.default_rng(seed)).parameters.flat
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
