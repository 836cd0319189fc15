"""Fitting a mixture: counts against a dictionary, and weights that improve predictions."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from charrnn.ids import EOS, IGNORE
from charrnn.mixing import fitting
from charrnn.mixing.fitting import count_contexts, fit, learn, letters_of, states_at, unfitted
from charrnn.mixing.inputs import LENGTHS, NUM_INPUTS, TAIL, context_keys, num_rows
from charrnn.mixing.mixed import MEMORY, LanguageModel, Mixed
from charrnn.mixing.mixer import Inputs, Mixer, log_softmax, target_log_probs
from charrnn.mixing.recall import read, recall
from tests.mixing.test_mixed import make, tokens_of
from tests.ngrams.test_residual import make as make_base
from tests.rounding import log_prob_tolerance

pytestmark = pytest.mark.figures


def test_counts_are_those_of_reading_token_by_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_BLOCK", 100)
    V = 8
    tokens, letters = tokens_of(V, 700), np.arange(V) > 3
    slow: dict[int, Counter[int]] = defaultdict(Counter)
    fresh = np.full((1, MEMORY), IGNORE, np.int32)
    inputs = np.append(EOS, tokens[:-1])[:, None]
    for recent, token in zip(read(fresh, inputs), tokens.tolist(), strict=True):
        keys = context_keys(recent[:, :TAIL].T, recall(recent, LENGTHS), letters)
        for key in keys[:, 0].tolist():
            if key and token != IGNORE:
                slow[key][token] += 1
    counts = count_contexts(V, tokens, letters)
    queries = np.array(sorted(slow), np.uint64)
    contexts = counts.find(queries)
    sizes, places = counts.sizes[contexts], counts.places(contexts)
    for key, own in zip(sorted(slow), np.split(places, np.cumsum(sizes)[:-1]), strict=True):
        found = dict(zip(counts.tokens[own].tolist(), counts.counts[own].tolist(), strict=True))
        assert found == slow[key]


def fitted(most: int | None = None) -> tuple[Mixed, np.ndarray]:
    base = make_base()
    V = base.vocab_size
    tokens = tokens_of(V, 6000)
    mixer = Mixer.initial(num_rows(V, base.ngram.config.order), NUM_INPUTS)
    model = Mixed(base, count_contexts(V, tokens[:4000]), mixer)
    return model, learn(model, tokens, 4000, most)


def test_weights_are_worth_something_where_a_text_repeats_itself() -> None:
    model, gains = fitted()
    assert gains.shape == (2000 - 15 * 16,)  # an eighth gave the first weights
    assert gains.mean() > 0
    tokens = tokens_of(model.vocab_size, 6000)
    assert fit(model.base, tokens, 4000) is not None


def test_letters_are_letters_and_digits() -> None:
    assert letters_of(["a", " ", "7", "한", "."]).tolist() == [
        False,
        False,
        True,
        False,
        True,
        True,
        False,
    ]


def test_fitting_learns_from_no_more_than_it_may() -> None:
    assert fitted(500)[1].shape == (496 - 3 * 16,)  # the same for each stream


def test_what_is_kept_for_the_next_pass_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = fitted()[0]
    monkeypatch.setattr(fitting, "_MOST_KEPT", 0)
    again = fitted()[0]
    assert all(np.array_equal(kept.arrays[name], again.arrays[name]) for name in kept.arrays)


def test_what_is_mixed_is_what_the_model_mixes() -> None:
    model, tokens = make(), tokens_of(make().vocab_size, 3000)
    first = np.linspace(1000, 3000, 17, dtype=int)
    steps = [*fitting._steps(model, tokens, 1000, (first[:-1], first[1:]))]
    inputs = np.append(EOS, tokens[:-1])
    state = states_at(model, inputs, first[:-1])
    at = first[:-1] + np.arange(30)[:, None]
    found, _ = model.unroll(30, 16).log_probs(inputs[at], tokens[at], state)
    expected = [model.mixer.gradient(*each)[0] for each in steps[:30]]
    np.testing.assert_allclose(found, expected, atol=log_prob_tolerance(1, 100))


def test_fitting_is_deterministic() -> None:
    first, second = fitted()[0], fitted()[0]
    assert all(np.array_equal(first.arrays[name], second.arrays[name]) for name in first.arrays)


@pytest.mark.parametrize(
    ("gains", "kept"),
    [([0.1, 0.3], True), ([1.0, -1.1], False), ([0.001] * 2, False), ([np.nan] * 2, False)],
)
def test_a_mixture_is_kept_where_it_gains_something(
    monkeypatch: pytest.MonkeyPatch, gains: list[float], kept: bool
) -> None:
    monkeypatch.setattr(fitting, "learn", lambda *_: np.array(gains * 50))
    base = make_base()
    assert (fit(base, tokens_of(base.vocab_size, 500), 400) is not None) == kept


def test_no_text_to_fit_on_gives_no_mixture() -> None:
    base = make_base()
    assert fit(base, np.append(tokens_of(base.vocab_size, 500), IGNORE), 500) is None


def test_states_are_those_of_reading_up_to_each_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_BURN_IN", MEMORY)
    model = make()
    tokens = tokens_of(model.vocab_size, 500)
    inputs = np.append(EOS, tokens[:-1])
    places = np.array([1, 30, 170, 499])
    found = states_at(model, inputs, places)
    for column, place in enumerate(places.tolist()):
        state = model.unroll(place, 1).run(inputs[:place, None], model.zero_state(1))
        np.testing.assert_allclose(found[:, [column]], state, atol=1e-5)


def test_the_first_weights_are_the_best_of_the_dense_inputs() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(8, size=400)
    log_probs = np.log(rng.dirichlet(np.ones(8), (2, 400)))
    log_probs[1, np.arange(400), target] += 1  # the second input knows something
    log_probs -= np.log(np.exp(log_probs).sum(axis=2, keepdims=True))
    none = np.zeros(0, int)
    inputs = Inputs(log_probs, none, none, none.astype(float), none[:, None], none[:, None])

    def loss(weights: np.ndarray) -> float:
        mixed = log_softmax(np.tensordot(weights, log_probs, 1))
        return float(-target_log_probs(mixed, target).mean())

    found = fitting._dense_weights([(inputs, target)])
    assert loss(found) < min(loss(np.array([1.0, 0.0])), loss(np.array([0.0, 1.0])))
    for change in 0.01 * np.concatenate([np.eye(2), -np.eye(2)]):
        assert loss(found) < loss(found + change)


def test_the_mixture_of_an_untrained_network_predicts_as_its_n_gram_model_does() -> None:
    base = make_base()
    base.parameters["head.weight"] *= 20
    tokens = tokens_of(base.vocab_size, 6000)
    model = unfitted(base, count_contexts(base.vocab_size, tokens[:4000]))
    gains = learn(model, tokens, 4000)
    inputs, targets = np.append(EOS, tokens[:-1])[4000:, None], tokens[4000:, None]

    def nats(model: LanguageModel) -> float:
        found, _ = model.unroll(2000, 1).log_probs(inputs, targets, model.zero_state(1))
        return float(-found.mean())

    assert gains.mean() > 0
    assert nats(model) < min(nats(base.ngram), nats(base))
