"""Cells against an oracle that computes one gate of one column at a time."""

from collections.abc import Callable

import numpy as np
import pytest

from charrnn.config import ModelConfig
from charrnn.network.cells import CELLS, Cell
from charrnn.network.unrolled import write_one_hot

pytestmark = pytest.mark.figures

Array = np.ndarray
T, B, D, H = 5, 3, 4, 6

PHI: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}
VARIANTS = [("rnn", "tanh"), ("rnn", "relu"), ("rnn", "sigmoid"), ("lstm", "tanh"), ("gru", "tanh")]


def affine(W: Array, x: Array, h: Array) -> Array:
    """Compute W·[x; 1; h] from the three parts of W."""
    total: Array = W[:, :D] @ x + W[:, D] + W[:, D + 1 :] @ h
    return total


def oracle_step(cell: str, activation: str, W: Array, x: Array, state: Array) -> Array:
    """Compute one step of one column as in a textbook, one gate at a time."""
    sigma, gates = PHI["sigmoid"], W.reshape(-1, H, D + 1 + H)
    h = state[0]
    if cell == "rnn":
        return np.array([PHI[activation](affine(W, x, h))])
    if cell == "lstm":
        i, f, o = (sigma(affine(gate, x, h)) for gate in gates[:3])
        C = f * state[1] + i * np.tanh(affine(gates[3], x, h))
        return np.array([o * np.tanh(C), C])
    z, r = (sigma(affine(gate, x, h)) for gate in gates[:2])
    candidate = np.tanh(affine(gates[2], x, r * h))
    return np.array([(1 - z) * h + z * candidate])


def make(cell: str, activation: str, T: int = T, B: int = B) -> tuple[Cell, Array, Array, Array]:
    """A cell with random weights, inputs (T, B, D) and state."""
    rng = np.random.default_rng(1)
    config = ModelConfig(vocab_size=D, cell=cell, activation=activation, hidden_size=H)
    made = CELLS[cell](config, D, T, B, np.dtype(np.float64))
    W = rng.standard_normal((made.num_gates * H, D + 1 + H)) / 2
    x = rng.standard_normal((T, B, D))
    return made, W, x, rng.standard_normal((made.num_states, H, B)) / 2


def run(
    cell: Cell, W: Array, x: Array, state: Array, keep: list[Array | None]
) -> tuple[Array, Array]:
    out = np.empty((len(x), x.shape[1], H))
    after = cell.forward(cell.weights(W, one_hot=x.ndim == 2), x, keep, state, out)
    return out, after


@pytest.mark.parametrize(("name", "activation"), VARIANTS)
def test_forward_agrees_with_the_oracle(name: str, activation: str) -> None:
    cell, W, x, state = make(name, activation)
    starts = {(2, 1), (4, 0), (4, 1)}  # (step, column) where a document begins
    keep: list[Array | None] = [None] * T
    for t in {t for t, _ in starts}:
        keep[t] = np.array([[float((t, b) not in starts)] for b in range(B)])
    out, last = run(cell, W, x, state, keep)
    for b in range(B):
        column = state[:, :, b]
        for t in range(T):
            if (t, b) in starts:
                column = np.zeros_like(column)
            column = oracle_step(name, activation, W, x[t, b], column)
            np.testing.assert_allclose(out[t, b], column[0], atol=1e-12)
        np.testing.assert_allclose(last[:, :, b], column, atol=1e-12)


@pytest.mark.parametrize("span", [1, 2, T])
@pytest.mark.parametrize(("name", "activation"), VARIANTS)
def test_gradients_by_input_state_and_weights_are_numerical_ones(
    name: str, activation: str, span: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = CELLS[name].num_gates * H
    monkeypatch.setattr("charrnn.network.cells._SPAN_NUMBERS", span * rows * B)
    cell, W, x, state = make(name, activation)
    assert cell.span == span
    keep: list[Array | None] = [None, None, np.array([[1.0], [0.0], [1.0]]), None, None]
    weights = np.random.default_rng(2).standard_normal((T, B, H))

    def loss() -> float:
        return float((run(cell, W, x, state, keep)[0] * weights).sum())

    loss()
    dW, dx = np.empty_like(W), np.empty_like(x)
    dstate = cell.backward(W, keep, weights)
    block = np.empty((T, B, W.shape[1]))
    block[..., :D] = x
    cell.weight_gradient(block, dW)
    cell.input_gradient(W, dx)
    for array, gradient in ((x, dx), (state, dstate), (W, dW)):
        numeric = numerical_gradient(loss, array)
        assert np.abs(gradient).max() > 1e-3
        np.testing.assert_allclose(gradient, numeric, atol=1e-7)


def numerical_gradient(loss: Callable[[], float], array: Array, e: float = 1e-6) -> Array:
    """Estimate the gradient of `loss` by `array` with central differences."""
    gradient = np.empty_like(array)
    for place in np.ndindex(array.shape):
        before = array[place]
        array[place] = before + e
        up = loss()
        array[place] = before - e
        gradient[place] = (up - loss()) / (2 * e)
        array[place] = before
    return gradient


@pytest.mark.parametrize(("name", "activation"), VARIANTS)
def test_no_gradient_crosses_the_start_of_a_document(name: str, activation: str) -> None:
    cell, W, x, state = make(name, activation)
    start: Array = np.zeros((B, 1))
    keep: list[Array | None] = [None, None, start, None, None]
    run(cell, W, x, state, keep)
    dout, dx = np.zeros((T, B, H)), np.empty_like(x)
    dout[2:] = 1
    dstate = cell.backward(W, keep, dout)
    cell.input_gradient(W, dx)
    assert not dstate.any()
    assert not dx[:2].any()
    assert dx[2:].any()


@pytest.mark.parametrize(("name", "activation"), VARIANTS)
def test_a_shorter_chunk_fits_the_same_buffers(name: str, activation: str) -> None:
    cell, W, x, state = make(name, activation)
    short, _, _, _ = make(name, activation, T=2)
    run(cell, W, x, state, [None] * T)
    out, last = run(cell, W, x[:2], state, [None] * 2)
    expected_out, expected_last = run(short, W, x[:2], state, [None] * 2)
    np.testing.assert_array_equal(out, expected_out)
    np.testing.assert_array_equal(last, expected_last)


def test_the_state_that_comes_out_is_no_view_of_a_buffer() -> None:
    for name in CELLS:
        cell, W, x, state = make(name, "tanh")
        _, last = run(cell, W, x, state, [None] * T)
        before = last.copy()
        run(cell, W, -x, state, [None] * T)
        np.testing.assert_array_equal(last, before)


@pytest.mark.parametrize("span", [1, 2, T])
@pytest.mark.parametrize(("name", "activation"), VARIANTS)
def test_ids_are_one_hot_inputs(
    name: str, activation: str, span: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = CELLS[name].num_gates * H
    monkeypatch.setattr("charrnn.network.cells._SPAN_NUMBERS", span * rows * B)
    cell, W, _, state = make(name, activation)
    ids = np.random.default_rng(3).integers(0, D, (T, B))
    assert (ids == 0).any()  # <EOS>, which adds nothing
    one_hot = write_one_hot(ids, np.empty((T, B, D)))
    expected, expected_last = run(cell, W, one_hot, state, [None] * T)
    out, last = run(cell, W, ids, state, [None] * T)
    np.testing.assert_allclose(out, expected, atol=1e-12)
    np.testing.assert_allclose(last, expected_last, atol=1e-12)
