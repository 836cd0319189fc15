import numpy as np
import pytest

from charrnn.ids import IGNORE
from charrnn.network.functional import (
    ACTIVATIONS,
    cross_entropy,
    cross_entropy_backward,
    sample_categorical,
    sigmoid,
)

pytestmark = pytest.mark.figures

X = np.linspace(-4, 4, 41) + 0.03  # no kink of relu within a difference step


def test_sigmoid_is_the_logistic_function() -> None:
    np.testing.assert_allclose(sigmoid(X.copy()), 1 / (1 + np.exp(-X)), atol=1e-15)


def test_sigmoid_of_huge_numbers_is_zero_or_one() -> None:
    np.testing.assert_array_equal(sigmoid(np.array([-1e30, 1e30], np.float32)), [0, 1])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_derivative_of_an_activation_is_the_numerical_one(name: str) -> None:
    forward, derivative = ACTIVATIONS[name]
    e = 1e-6
    numeric = (forward(X + e) - forward(X - e)) / (2 * e)
    analytic = derivative(forward(X.copy()))
    assert np.abs(analytic).max() > 0
    np.testing.assert_allclose(analytic, numeric, atol=1e-9)


def random_logits(N: int, V: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N, V)) * 3


SHIFTS = np.array([0.0, 300, -300, 31, -31, 1e5])[:, None]  # softmax is invariant to them


def test_cross_entropy_is_minus_log_softmax() -> None:
    logits, targets = random_logits(4, 5), np.array([0, 4, 2, IGNORE])
    expected = np.log(np.exp(logits).sum(axis=1))
    for n, target in enumerate(targets):
        expected[n] -= logits[n, target]
    expected[3] = 0
    for shift in SHIFTS:
        nats, _ = cross_entropy(logits + shift, targets)
        np.testing.assert_allclose(nats, expected, atol=1e-9)


def test_cross_entropy_leaves_numbers_in_proportion_to_the_probabilities() -> None:
    logits = random_logits(len(SHIFTS), 7)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    logits += SHIFTS
    _, total = cross_entropy(logits, np.zeros(len(logits), int))
    np.testing.assert_allclose(logits / total[:, None], expected, atol=1e-9)
    np.testing.assert_allclose(logits.sum(axis=1), total, rtol=1e-12)


def test_cross_entropy_of_huge_logits_is_finite() -> None:
    logits = np.array([[1e30, -1e30, 0], [-1e30, -1e30, -1e30], [80, 0, 80]], np.float32)
    nats, total = cross_entropy(logits, np.array([0, 1, 2]))
    np.testing.assert_allclose(nats, [0, np.log(3), np.log(2)], rtol=1e-6)
    assert total.max() < 1e20


def test_cross_entropy_backward_is_the_derivative() -> None:
    logits, targets = random_logits(4, 4) + SHIFTS[:4], np.array([0, 3, IGNORE, 1])
    e, numeric = 1e-6, np.empty_like(logits)
    for place in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[place] = e
        up, down = (cross_entropy(logits + s, targets)[0].sum() for s in (step, -step))
        numeric[place] = (up - down) / (2 * e)
    _, total = cross_entropy(logits, targets)
    analytic = cross_entropy_backward(logits, total, targets, 1.0) * logits
    np.testing.assert_allclose(analytic, numeric, atol=1e-7)
    assert not analytic[2].any()
    assert analytic[0].any()


WEIGHTS = np.array([0.0, 0.4, 0.0, 1.0, 0.6, 0.0])


def test_rows_are_drawn_in_proportion_to_their_weights() -> None:
    uniforms = (np.arange(1000) + 0.5) / 1000
    rows = sample_categorical(np.repeat(WEIGHTS[:, None], 1000, axis=1), uniforms)
    np.testing.assert_array_equal(np.bincount(rows, minlength=6), [0, 200, 0, 500, 300, 0])


def test_each_column_is_drawn_from_its_own_weights() -> None:
    weights, uniforms = (
        np.random.default_rng(0).random((5, 40)),
        np.random.default_rng(1).random(40),
    )
    together = sample_categorical(weights, uniforms)
    alone = [sample_categorical(weights[:, n : n + 1], uniforms[n : n + 1])[0] for n in range(40)]
    np.testing.assert_array_equal(together, alone)
    assert len({*together}) == 5


@pytest.mark.parametrize("scale", [1.0, 1e-300, 5e-324, 1e300])
def test_extreme_uniforms_and_weights_draw_no_row_of_weight_zero(scale: float) -> None:
    weights = (scale * np.sign(WEIGHTS))[:, None]
    assert sample_categorical(weights, np.array([0.0])) == 1
    assert sample_categorical(weights, np.array([np.nextafter(1, 0)])) == 4
    assert sample_categorical(weights, np.array([1.0])) == 4
