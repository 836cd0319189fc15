"""A mixture is a language model: its distributions, its state, and its arrays."""

import numpy as np
import pytest

from charrnn.ids import EOS, IGNORE
from charrnn.mixing.fitting import count_contexts
from charrnn.mixing.inputs import NUM_INPUTS, num_rows
from charrnn.mixing.mixed import MEMORY, Mixed
from charrnn.mixing.mixer import LEVELS, Mixer
from charrnn.ngrams.residual import ResidualRNN
from tests.ngrams.test_residual import make as make_base
from tests.rounding import log_prob_tolerance

pytestmark = pytest.mark.figures

B, T = 3, 60
Array = np.ndarray


def tokens_of(vocab_size: int, size: int, seed: int = 5) -> Array:
    """A text that repeats itself, in documents, one of them cut."""
    rng = np.random.default_rng(seed)
    words = rng.integers(2, vocab_size, (6, 5))
    tokens = words[rng.integers(0, len(words), -(-size // 5))].reshape(-1)[:size]
    tokens[[size // 3, size // 2]] = EOS, IGNORE
    return tokens


def make(base: ResidualRNN | None = None) -> Mixed:
    """A mixture with random weights."""
    base = base or make_base()
    rng, V = np.random.default_rng(7), base.vocab_size
    mixer = Mixer(
        rng.normal(0, 0.2, (num_rows(V, base.ngram.config.order), NUM_INPUTS)).astype(np.float32),
        rng.uniform(0, 0.5, (NUM_INPUTS, LEVELS)).astype(np.float32),
    )
    return Mixed(base, count_contexts(V, tokens_of(V, 2000), np.arange(V) > V // 2), mixer)


def chunk(model: Mixed) -> tuple[Array, Array]:
    """Inputs and targets (T, B)."""
    tokens = tokens_of(model.vocab_size, T * B, seed=9)
    inputs = np.append(EOS, tokens[:-1])
    return inputs.reshape(B, T).T, tokens.reshape(B, T).T


def test_distributions_sum_to_one_and_are_those_of_log_probs() -> None:
    model = make()
    inputs, targets = chunk(model)
    state = model.zero_state(B)
    logits, after = model.unroll(T, B).forward(inputs, state)
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    found, same = model.unroll(T, B).log_probs(inputs, targets, state)
    assert np.array_equal(after, same)
    expected = np.log(np.take_along_axis(probs, np.maximum(targets, 0)[:, None], axis=1)[:, 0])
    expected = np.where(targets == IGNORE, 0, expected)
    np.testing.assert_allclose(found, expected, atol=log_prob_tolerance(1, 100))
    # Otherwise the inputs would have too few opinions to test anything.
    base, _ = model.base.unroll(T, B).log_probs(inputs, targets, model.base.zero_state(B))
    assert np.mean(np.abs(found - base) > 1e-3) > 0.5


def test_step_by_step_and_one_stream_alone_give_what_a_chunk_gives() -> None:
    model = make()
    inputs, targets = chunk(model)
    found, after = model.unroll(T, B).log_probs(inputs, targets, model.zero_state(B))
    tolerance = log_prob_tolerance(1, 100)
    for column in range(B):
        own, state = slice(column, column + 1), model.zero_state(1)
        unrolled, steps = model.unroll(1, 1), []
        for step in range(T):
            part = slice(step, step + 1)
            log_probs, state = unrolled.log_probs(inputs[part, own], targets[part, own], state)
            steps.append(log_probs.item())
        np.testing.assert_allclose(steps, found[:, column], atol=tolerance)
        np.testing.assert_allclose(state, after[:, own], atol=tolerance)


def test_a_state_that_goes_in_and_out_is_one_go() -> None:
    model = make()
    inputs, targets = chunk(model)
    whole, after = model.unroll(T, B).log_probs(inputs, targets, model.zero_state(B))
    state = model.unroll(T, B).run(inputs[:25], model.zero_state(B))
    rest, end = model.unroll(T, B).log_probs(inputs[25:], targets[25:], state)
    np.testing.assert_allclose(rest, whole[25:], atol=log_prob_tolerance(1, 100))
    np.testing.assert_allclose(end, after, atol=log_prob_tolerance(1, 100))


def test_a_document_starts_with_an_empty_memory() -> None:
    model = make()
    inputs, targets = chunk(model)
    inputs[0] = EOS
    state = model.unroll(T, B).run(inputs, model.zero_state(B))
    fresh, _ = model.unroll(T, B).log_probs(inputs, targets, model.zero_state(B))
    again, _ = model.unroll(T, B).log_probs(inputs, targets, state)
    assert np.array_equal(fresh, again)


def test_arrays_make_the_same_model() -> None:
    model = make()
    inputs, targets = chunk(model)
    again = Mixed.from_arrays(model.base, model.mixing_arrays)
    found, _ = model.unroll(T, B).log_probs(inputs, targets, model.zero_state(B))
    same, _ = again.unroll(T, B).log_probs(inputs, targets, again.zero_state(B))
    assert np.array_equal(found, same)
    assert model.arrays.keys() > model.mixing_arrays.keys()


def test_weights_of_another_size_are_refused() -> None:
    model = make()
    arrays = {**model.mixing_arrays, "mixing.sets": model.mixer.sets[1:]}
    with pytest.raises(ValueError, match="do not fit the model"):
        Mixed.from_arrays(model.base, arrays)


@pytest.mark.parametrize("token", [0.5, -1, 1000, np.nan])
def test_a_state_without_tokens_is_refused(token: float) -> None:
    model = make()
    state = model.zero_state(2)
    model.check_state(state)
    state[-MEMORY // 2, 1] = token
    with pytest.raises(ValueError, match="memory"):
        model.check_state(state)


def test_one_stream_is_read_as_one_of_many_from_any_state() -> None:
    model = make()
    inputs, _ = chunk(model)
    one, many = inputs[:, :1], inputs[:, [0, 0]]
    alone, together = model.unroll(20, 1), model.unroll(20, 2)
    states = [model.zero_state(1)], [model.zero_state(2)]
    for start in (0, 20, 40, 20):  # in the end it goes back
        part, number = slice(start, start + 20), start // 20
        found, after = alone.forward(one[part], states[0][number])
        expected, same = together.forward(many[part], states[1][number])
        np.testing.assert_allclose(found, expected[..., :1], atol=log_prob_tolerance(1, 100))
        np.testing.assert_allclose(after, same[:, :1], atol=log_prob_tolerance(1, 100))
        states[0].append(after)
        states[1].append(same)
