import math

import numpy as np
import pytest

from charrnn.network.optim import _BLOCK, Adam, clip_by_global_norm, learning_rate

pytestmark = pytest.mark.figures


def test_adam_agrees_with_the_formulas_of_the_papers() -> None:
    rng = np.random.default_rng(0)
    start = rng.standard_normal(2 * _BLOCK + 500)
    places = np.arange(start.size)
    decayed = (rng.random(start.size) < 0.5).astype(float)
    parameters, expected = start.copy(), start.copy()
    cautious = slice(100, _BLOCK + 50)
    adam = Adam(
        parameters, betas=(0.9, 0.999), weight_decay=0.1, decayed=decayed, cautious=cautious
    )
    m, v = np.zeros_like(start), np.zeros_like(start)
    for step in range(1, 5):
        gradient = rng.standard_normal(start.size)
        adam.update(gradient, 0.01)
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        expected = np.where(decayed == 1, expected * (1 - 0.01 * 0.1), expected)
        change = 0.01 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        agrees = m * gradient > 0
        for own in (
            (places >= 100) & (places < _BLOCK),
            (places >= _BLOCK) & (places < _BLOCK + 50),
        ):
            change[own] *= agrees[own] / agrees[own].mean()
        expected -= change
    np.testing.assert_allclose(parameters, expected, rtol=1e-10)


def test_weights_whose_gradients_turn_wait_and_others_move_no_further_than_bounded() -> None:
    parameters = np.zeros(100)
    adam = Adam(parameters, betas=(0.9, 0.9), cautious=slice(100))
    adam.update(np.ones(100), 0.1)
    before = parameters.copy()
    adam.update(np.append(1.0, np.full(99, -1e-3)), 0.1)
    assert (parameters[1:] == before[1:]).all()
    assert before[0] - parameters[0] == pytest.approx(0.1 / 0.1)


def test_adam_leaves_the_gradient_alone() -> None:
    gradient = np.array([1.0, -2.0])
    Adam(np.zeros(2)).update(gradient, 0.1)
    np.testing.assert_array_equal(gradient, [1, -2])


@pytest.mark.parametrize(("max_norm", "scale"), [(10.0, 1.0), (2.5, 0.5)])
def test_clipping_scales_to_the_norm_and_never_up(max_norm: float, scale: float) -> None:
    gradient = np.array([3.0, 4.0])
    assert clip_by_global_norm(gradient, max_norm) == 5
    np.testing.assert_allclose(gradient, np.array([3, 4]) * scale)


def test_clipping_reports_what_is_not_finite() -> None:
    assert math.isnan(clip_by_global_norm(np.array([1.0, np.nan]), 1.0))
    assert math.isinf(clip_by_global_norm(np.array([1e30, 1e30], np.float32), 1.0))


def test_learning_rate_rises_then_decays_to_zero() -> None:
    rates = [learning_rate(k / 100, 2.0, 0.1) for k in range(101)]
    assert max(rates) == rates[10] == 2.0
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert learning_rate(0.55, 2.0, 0.1) == pytest.approx(1.0)


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_learning_rate_without_warm_up_or_without_decay(warmup: float) -> None:
    assert 0 <= learning_rate(0.5, 1.0, warmup) <= 1
