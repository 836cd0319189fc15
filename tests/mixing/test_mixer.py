"""The mixture's logits, and its gradient against differences."""

import numpy as np
import pytest

from charrnn.ids import IGNORE
from charrnn.mixing.mixer import LEVELS, Inputs, Mixer, log_softmax, target_log_probs

pytestmark = pytest.mark.figures

N, V, D, K, ROWS = 5, 7, 2, 3, 6
Array = np.ndarray


def make() -> tuple[Mixer, Inputs, Array]:
    """A mixer in float64, what it mixes, and targets."""
    rng = np.random.default_rng(2)
    sizes = rng.integers(0, 4, K * N)
    tokens = np.concatenate([rng.permutation(V)[:size] for size in sizes])
    inputs = Inputs(
        np.stack([log_softmax(rng.normal(size=(N, V))) for _ in range(D)]),
        sizes,
        tokens,
        rng.uniform(0, 2, len(tokens)),
        rng.integers(0, ROWS, (2, N)),
        rng.integers(0, LEVELS, (D + K, N)),
    )
    mixer = Mixer(rng.normal(size=(ROWS, D + K)), rng.normal(size=(D + K, LEVELS)))
    return mixer, inputs, rng.integers(0, V, N)


def test_logits_are_sums_over_inputs() -> None:
    mixer, inputs, _ = make()
    expected = np.empty((N, V))
    ends = np.cumsum(inputs.sizes)
    for n in range(N):
        weights = mixer.own[np.arange(D + K), inputs.levels[:, n]]
        weights = weights + mixer.sets[inputs.rows[:, n]].sum(axis=0)
        expected[n] = weights[:D] @ inputs.log_probs[:, n]
        for k in range(K):
            part = slice(ends[k * N + n] - inputs.sizes[k * N + n], ends[k * N + n])
            expected[n, inputs.tokens[part]] += weights[D + k] * inputs.values[part]
    np.testing.assert_allclose(mixer.logits(inputs), expected, rtol=1e-12, atol=1e-12)


def test_the_initial_mixer_gives_the_base() -> None:
    _, inputs, _ = make()
    found = log_softmax(Mixer.initial(ROWS, D + K).logits(inputs))
    np.testing.assert_allclose(found, inputs.log_probs[0], atol=1e-12)


def test_what_is_mixed_is_split_by_position() -> None:
    mixer, inputs, _ = make()
    found = [mixer.logits(each) for each in inputs.split(1)]
    np.testing.assert_allclose(np.concatenate(found), mixer.logits(inputs), rtol=1e-12)
    assert len([*inputs.split(N)]) == 1


def test_gradient_is_that_of_differences() -> None:
    mixer, inputs, targets = make()
    log_probs, gradient = mixer.gradient(inputs, targets)
    assert log_probs == pytest.approx(
        target_log_probs(log_softmax(mixer.logits(inputs)), targets), abs=1e-12
    )
    by_sets, by_own = np.zeros(mixer.sets.shape), np.zeros(mixer.own.shape)
    for rows in inputs.rows:
        np.add.at(by_sets, rows, gradient.T)
    np.add.at(by_own, (np.arange(D + K)[:, None], inputs.levels), gradient)
    step = 1e-5
    for weights, expected in ((mixer.sets, by_sets), (mixer.own, by_own)):
        for place in np.ndindex(weights.shape):
            sums = []
            for sign in (1, -1):
                weights[place] += sign * step
                sums.append(mixer.gradient(inputs, targets)[0].sum())
                weights[place] -= sign * step
            assert -(sums[0] - sums[1]) / (2 * step) == pytest.approx(expected[place], abs=1e-8)


def test_learning_goes_against_the_gradient_and_leaves_out_what_is_ignored() -> None:
    mixer, inputs, targets = make()
    mixer.learn(inputs, np.full(N, IGNORE), 0.1)
    untouched = make()[0]
    assert np.array_equal(mixer.sets, untouched.sets)
    before = mixer.learn(inputs, targets, 1e-3)
    after, _ = mixer.gradient(inputs, targets)
    assert after.sum() > before.sum()
    assert not np.array_equal(mixer.own, untouched.own)


def test_weights_that_are_no_numbers_are_refused() -> None:
    mixer, _, _ = make()
    arrays = {**mixer.arrays, "own": mixer.own * np.nan}
    with pytest.raises(ValueError, match="not finite"):
        Mixer.from_arrays(arrays)
