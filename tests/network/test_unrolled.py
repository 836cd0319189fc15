"""Properties of every unrolled network, whatever its cells: gradients, chunks, documents."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from charrnn.config import ModelConfig
from charrnn.ids import EOS, IGNORE
from charrnn.network.draws import Draws
from charrnn.network.model import CharRNN
from charrnn.network.parameters import parameter_shapes
from tests.network.test_cells import VARIANTS, numerical_gradient

pytestmark = pytest.mark.figures

Array = np.ndarray
V, T, B = 7, 6, 4

DEEP: list[dict[str, Any]] = [
    {"cell": cell, "activation": activation, "num_layers": num_layers}
    for cell, activation in VARIANTS
    for num_layers in (1, 3)
]
JORDAN: list[dict[str, Any]] = [
    {"cell": "jordan", "feedback": feedback} for feedback in ("logits", "target")
]


def label(network: dict[str, Any]) -> str:
    return "-".join(map(str, network.values()))


every_network = pytest.mark.parametrize("network", [*DEEP, *JORDAN], ids=label)


def make(**config: Any) -> CharRNN:
    """A model in float64 with random parameters, including biases."""
    model = CharRNN(ModelConfig(**{"hidden_size": 5, "vocab_size": V, **config}), np.float64)
    rng = np.random.default_rng(0)
    model.initialize(rng)
    model.parameters.flat[:] += 0.1 * rng.standard_normal(model.parameters.flat.size)
    return model


def chunk_with_boundaries() -> tuple[Array, Array]:
    """Inputs and targets (T, B) with a document start at the first step, an <EOS> and a cut."""
    tokens = np.random.default_rng(3).integers(1, V, (T + 1, B))
    tokens[0, 0] = tokens[3, 1] = EOS
    tokens[4, 2] = IGNORE
    return tokens[:-1], tokens[1:]


def random_state(model: CharRNN) -> Array:
    """A state (num_layers, num_states, H, B) that is not zero."""
    return np.random.default_rng(4).standard_normal(model.zero_state(B).shape) / 3


def assert_numerical(
    gradients: dict[str, Array], arrays: dict[str, Array], loss: Callable[[], float]
) -> None:
    """Every parameter's gradient equals central differences and is not zero."""
    assert gradients.keys() == arrays.keys()
    for name, gradient in gradients.items():
        assert np.abs(gradient).max(initial=0) > 1e-3, name
        expected = numerical_gradient(loss, arrays[name])
        np.testing.assert_allclose(gradient, expected, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("embedding_size", [0, 3])
@every_network
def test_every_gradient_is_the_numerical_one(network: dict[str, Any], embedding_size: int) -> None:
    model = make(**network, embedding_size=embedding_size)
    unrolled, (inputs, targets) = model.unroll(T, B, training=True), chunk_with_boundaries()
    state = random_state(model)

    def loss() -> float:
        return -float(unrolled.log_probs(inputs, targets, state)[0].sum())

    nats, _, dstate = unrolled.gradient(inputs, targets, state)
    assert float(nats.sum()) == pytest.approx(loss())
    gradients = {name: array.copy() for name, array in unrolled.gradients.items()}
    arrays = dict(model.parameters)
    assert arrays.keys() == parameter_shapes(model.config).keys()
    assert dstate.shape == state.shape
    if state.size:  # empty if the true output is fed back
        gradients["state"], arrays["state"] = dstate, state
    assert_numerical(gradients, arrays, loss)


@every_network
def test_the_scale_is_that_of_every_gradient(network: dict[str, Any]) -> None:
    model, (inputs, targets) = make(**network), chunk_with_boundaries()
    unrolled, state = model.unroll(T, B, training=True), random_state(model)
    nats, _, dstate = unrolled.gradient(inputs, targets, state)
    gradient = unrolled.gradients.flat.copy()
    scaled_nats, _, scaled_dstate = unrolled.gradient(inputs, targets, state, scale=0.25)
    np.testing.assert_allclose(scaled_nats, nats, atol=1e-12)
    np.testing.assert_allclose(scaled_dstate, dstate / 4, atol=1e-12)
    np.testing.assert_allclose(unrolled.gradients.flat, gradient / 4, atol=1e-12)


THINNED: list[dict[str, Any]] = [
    *({**network, "dropout": 0.5} for network in ({"cell": "lstm", "num_layers": 2}, *JORDAN)),
    *({"cell": cell, "num_layers": 2, "recurrent_dropout": 0.4} for cell in ("rnn", "lstm", "gru")),
    {"cell": "lstm", "embedding_size": 3, "dropout": 0.2, "recurrent_dropout": 0.2},
]


@pytest.mark.parametrize("network", THINNED, ids=str)
def test_gradients_with_dropout_are_those_of_the_thinned_network(network: dict[str, Any]) -> None:
    model = make(**network)
    unrolled, (inputs, targets) = model.unroll(T, B, training=True), chunk_with_boundaries()
    state = random_state(model)

    def loss() -> float:
        rng = np.random.default_rng(5)  # the same units each time
        return float(unrolled.gradient(inputs, targets, state, dropout=Draws(rng))[0].sum())

    assert loss() != pytest.approx(-unrolled.log_probs(inputs, targets, state)[0].sum())
    loss()
    gradients = {name: array.copy() for name, array in unrolled.gradients.items()}
    assert_numerical(gradients, model.parameters, loss)


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    model = make(hidden_size=200, dropout=0.25)
    unrolled = model.unroll(T, B, training=True)
    unrolled.run(chunk_with_boundaries()[0], model.zero_state(B), Draws(np.random.default_rng(0)))
    mask = unrolled._masks[0]
    assert set(np.unique(mask)) == {0, 1 / 0.75}
    assert abs((mask == 0).mean() - 0.25) < 0.02
    assert abs(mask.mean() - 1) < 0.03


@pytest.mark.parametrize("kind", ["dropout", "recurrent_dropout"])
def test_without_a_generator_nothing_is_dropped(kind: str) -> None:
    (inputs, targets), plain = chunk_with_boundaries(), make(cell="lstm", num_layers=2)
    model = make(cell="lstm", num_layers=2, **{kind: 0.5})
    state = random_state(plain)
    unrolled, expected = model.unroll(T, B, training=True), plain.unroll(T, B, training=True)
    unrolled.gradient(inputs, targets, state, dropout=Draws(np.random.default_rng(0)))
    dropped = unrolled.gradients.flat.copy()
    for each in (unrolled, expected):
        each.gradient(inputs, targets, state)
    np.testing.assert_array_equal(unrolled.gradients.flat, expected.gradients.flat)
    assert (dropped != unrolled.gradients.flat).any()


@every_network
def test_step_by_step_equals_all_at_once(network: dict[str, Any]) -> None:
    model, (inputs, _) = make(**network), chunk_with_boundaries()
    one, state = model.unroll(1, B), random_state(model)
    logits, last = model.unroll(T, B, training=True).forward(inputs, state)
    for t in range(T):
        step, state = one.forward(inputs[t : t + 1], state)
        np.testing.assert_allclose(step[0], logits[t], atol=1e-12)
    np.testing.assert_allclose(state, last, atol=1e-12)


@every_network
def test_two_chunks_with_the_state_carried_equal_one(network: dict[str, Any]) -> None:
    model, (inputs, _) = make(**network), chunk_with_boundaries()
    expected, last = model.unroll(T, B, training=True).forward(inputs, random_state(model))
    half = model.unroll(T, B, training=True)
    first, state = half.forward(inputs[: T // 2], random_state(model))
    np.testing.assert_allclose(first, expected[: T // 2], atol=1e-12)
    second, state = half.forward(inputs[T // 2 :], state)
    np.testing.assert_allclose(second, expected[T // 2 :], atol=1e-12)
    np.testing.assert_allclose(state, last, atol=1e-12)


@pytest.mark.parametrize("embedding_size", [0, 3])
@every_network
def test_columns_are_independent(network: dict[str, Any], embedding_size: int) -> None:
    model, (inputs, _) = make(**network, embedding_size=embedding_size), chunk_with_boundaries()
    state = random_state(model)
    together, _ = model.unroll(T, B, training=True).forward(inputs, state)
    for b in range(B):
        alone, _ = model.unroll(T, 1).forward(inputs[:, b : b + 1], state[..., b : b + 1])
        np.testing.assert_allclose(alone[:, :, 0], together[:, :, b], atol=1e-12)


@every_network
def test_a_shorter_chunk_fits_the_same_buffers(network: dict[str, Any]) -> None:
    model, (inputs, targets) = make(**network), chunk_with_boundaries()
    long, short, state = model.unroll(T, B, training=True), model.unroll(2, B), random_state(model)
    long.gradient(inputs, targets, state)
    for found, expected in zip(
        long.gradient(inputs[:2], targets[:2], state),
        short.gradient(inputs[:2], targets[:2], state),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(long.gradients.flat, short.gradients.flat, atol=1e-12)


@pytest.mark.parametrize("start", [EOS, IGNORE])
@pytest.mark.parametrize("embedding_size", [0, 3])
@every_network
def test_nothing_before_the_start_of_a_document_matters(
    network: dict[str, Any], start: int, embedding_size: int
) -> None:
    model, (inputs, _) = make(**network, embedding_size=embedding_size), chunk_with_boundaries()
    inputs[3] = start
    logits, _ = model.unroll(T, B, training=True).forward(inputs, random_state(model))
    fresh, _ = model.unroll(T, B, training=True).forward(inputs[3:], model.zero_state(B))
    np.testing.assert_allclose(logits[3:], fresh, atol=1e-12)


@every_network
def test_what_comes_out_is_no_view_of_a_buffer(network: dict[str, Any]) -> None:
    model, (inputs, targets) = make(**network), chunk_with_boundaries()
    unrolled = model.unroll(T, B, training=True)
    found = [
        *unrolled.forward(inputs, random_state(model)),
        *unrolled.gradient(inputs, targets, random_state(model)),
    ]
    before = [array.copy() for array in found]
    unrolled.gradient(inputs[::-1], targets[::-1], model.zero_state(B))
    for array, copy in zip(found, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_the_first_input_is_a_zero_column() -> None:
    model = make()
    W = model.parameters["layers.0.weight"]
    first, _ = model.unroll(1, 1).forward(np.array([[EOS]]), model.zero_state(1))
    before = first.copy()
    W[:, :V] = 99  # input weights
    after, _ = model.unroll(1, 1).forward(np.array([[EOS]]), model.zero_state(1))
    np.testing.assert_array_equal(before, after)


@every_network
def test_zero_weights_predict_a_uniform_distribution(network: dict[str, Any]) -> None:
    model, (inputs, targets) = make(**network), chunk_with_boundaries()
    model.parameters.flat[:] = 0
    log_probs, _ = model.unroll(T, B, training=True).log_probs(inputs, targets, model.zero_state(B))
    np.testing.assert_allclose(log_probs[targets != IGNORE], -np.log(V), rtol=1e-6)
    assert not log_probs[targets == IGNORE].any()


@every_network
def test_a_large_vocabulary_goes_through_the_head_in_parts(
    network: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, (inputs, targets) = make(**network), chunk_with_boundaries()
    whole = model.unroll(T, B, training=True)
    expected, _, _ = whole.gradient(inputs, targets, model.zero_state(B))
    monkeypatch.setattr("charrnn.network.unrolled._MAX_LOGITS", 5 * V)
    parts = model.unroll(T, B, training=True)
    nats, _, _ = parts.gradient(inputs, targets, model.zero_state(B))
    assert parts._logits.shape == (5, V)
    np.testing.assert_allclose(nats, expected, atol=1e-12)
    np.testing.assert_allclose(parts.gradients.flat, whole.gradients.flat, atol=1e-12)
    log_probs, _ = parts.log_probs(inputs, targets, model.zero_state(B))
    np.testing.assert_allclose(log_probs, -expected, atol=1e-12)


@every_network
def test_reading_without_predicting_leaves_the_same_state(network: dict[str, Any]) -> None:
    model, (inputs, _) = make(**network), chunk_with_boundaries()
    _, expected = model.unroll(T, B, training=True).forward(inputs, random_state(model))
    found = model.unroll(T, B, training=True).run(inputs, random_state(model))
    np.testing.assert_array_equal(found, expected)


@every_network
def test_steps_share_their_memory_until_a_gradient_is_wanted(network: dict[str, Any]) -> None:
    model, (inputs, targets) = make(**network), chunk_with_boundaries()
    forgetful, state = model.unroll(T, B), random_state(model)
    whole = model.unroll(T, B, training=True)
    assert all(np.shares_memory(cell.gates[:, 0], cell.gates[:, 1]) for cell in forgetful.cells)
    for found, expected in zip(
        forgetful.log_probs(inputs, targets, state),
        whole.log_probs(inputs, targets, state),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(
        forgetful.gradient(inputs, targets, state),
        whole.gradient(inputs, targets, state),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(forgetful.gradients.flat, whole.gradients.flat)


@every_network
def test_backward_after_forward_is_the_gradient(network: dict[str, Any]) -> None:
    model = make(**network)
    inputs, targets = chunk_with_boundaries()
    expected, found = (model.unroll(T, B, training=True) for _ in range(2))
    expected.gradient(inputs, targets, random_state(model))
    found.forward(inputs, random_state(model))
    found.backward(targets)
    np.testing.assert_allclose(found.gradients.flat, expected.gradients.flat, atol=1e-12)
