"""Dynamic evaluation learns from what it has predicted, and from nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from charrnn.config import WHOLE, ModelConfig
from charrnn.errors import ConfigError
from charrnn.ids import EOS, IGNORE
from charrnn.inference.adaptation import SEGMENT, Adaptive, Descent, learned_from
from charrnn.inference.scoring import score_pieces
from charrnn.mixing.mixed import Mixed
from charrnn.network.model import CharRNN
from charrnn.ngrams.kneser_ney import count_ngrams, fit
from charrnn.ngrams.ngram import NGram
from charrnn.ngrams.residual import Network, ResidualRNN, ngram_config
from charrnn.storage.checkpoint import Checkpoint
from charrnn.text.vocabulary import Vocabulary
from tests.mixing.test_mixed import make as make_mixed
from tests.rounding import log_prob_tolerance

pytestmark = pytest.mark.figures

V = 7
TOLERANCE = log_prob_tolerance(1, terms=V + 1 + 8)  # of a token
TEXT = np.tile([2, 3, 4, 5, 6, 4, 3], 40)
KINDS = ("network", "ngram", "mixed")
Array = np.ndarray


def make(kind: str = "network") -> Network | Mixed:
    config = ModelConfig(V, hidden_size=8, ngram=3 if kind != "network" else 0)
    network = CharRNN(config).initialize(np.random.default_rng(0))
    if kind == "network":
        return network
    counts = ngram_config(config)
    base = ResidualRNN(network, fit(counts, count_ngrams(counts, TEXT[:20])))
    return base if kind == "ngram" else make_mixed(base)


def log_probs(model: Network | Mixed | Adaptive, text: Array) -> Array:
    inputs, targets = np.append(EOS, text[:-1])[:, None], text[:, None]
    unrolled, state = model.unroll(len(text), 1), model.zero_state(1)
    return unrolled.log_probs(inputs, targets, state)[0][:, 0]


def arrays(model: Network | Mixed) -> list[Array]:
    return [array.copy() for array in model.arrays.values()]


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_segment_is_predicted_by_the_model_as_it_is(kind: str) -> None:
    model = make(kind)
    static, adapted = log_probs(model, TEXT), log_probs(Adaptive(model), TEXT)
    np.testing.assert_allclose(adapted[:SEGMENT], static[:SEGMENT], atol=TOLERANCE)
    assert (np.abs(adapted - static)[SEGMENT:] > 1e-7).mean() > 0.9
    assert adapted[SEGMENT : 2 * SEGMENT].sum() > static[SEGMENT : 2 * SEGMENT].sum() - 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_repeats_itself_is_predicted_better(kind: str) -> None:
    model = make(kind)
    assert log_probs(Adaptive(model), TEXT).sum() > log_probs(model, TEXT).sum() + 20


@pytest.mark.parametrize("kind", KINDS)
def test_no_prediction_has_seen_what_comes_after_it(kind: str) -> None:
    other = TEXT.copy()
    other[3 * SEGMENT :] = 2
    one, two = (log_probs(Adaptive(make(kind)), text) for text in (TEXT, other))
    np.testing.assert_array_equal(one[: 3 * SEGMENT], two[: 3 * SEGMENT])


@pytest.mark.parametrize("kind", KINDS)
def test_every_text_starts_from_the_same_weights_and_leaves_them(kind: str) -> None:
    model = make(kind)
    before, first = arrays(model), log_probs(Adaptive(model), TEXT)
    np.testing.assert_array_equal(log_probs(Adaptive(model), TEXT), first)
    for array, own in zip(arrays(model), before, strict=True):
        np.testing.assert_array_equal(array, own)


@pytest.mark.parametrize("kind", ["network", "ngram"])
def test_a_rate_of_zero_changes_nothing(kind: str) -> None:
    model = make(kind)
    adapted = log_probs(Adaptive(model, 0.0), TEXT)
    np.testing.assert_allclose(adapted, log_probs(model, TEXT), atol=TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_in_pieces_of_whole_segments_it_is_the_same(kind: str) -> None:
    model = Adaptive(make(kind))
    unrolled, state, found = model.unroll(SEGMENT, 1), model.zero_state(1), []
    inputs = np.append(EOS, TEXT[:-1])[:, None]
    for start in range(0, len(TEXT), 2 * SEGMENT):
        part = slice(start, start + 2 * SEGMENT)
        log_prob, state = unrolled.log_probs(inputs[part], TEXT[part, None], state)
        found.append(log_prob[:, 0])
    np.testing.assert_array_equal(np.concatenate(found), log_probs(model, TEXT))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [1.0, 1e30])
def test_whatever_the_text_and_the_rate_it_is_hardly_worse(kind: str, rate: float) -> None:
    """If learning makes predictions worse, the trained network takes over."""
    rng, model = np.random.default_rng(1), make(kind)
    size = 40 * SEGMENT
    constant, noise = np.full(size, 5), rng.integers(2, V, size)
    changing = np.repeat(rng.integers(2, V, -(-size // 50)), 50)[:size]
    for text in (constant, noise, changing):
        static, adapted = log_probs(model, text), log_probs(Adaptive(model, rate), text)
        assert np.isfinite(adapted).all()
        assert adapted.sum() > 1.01 * static.sum() - SEGMENT


@pytest.mark.parametrize("kind", KINDS)
def test_weights_at_the_edge_of_what_is_finite(kind: str) -> None:
    model = make(kind)
    network = model.base if isinstance(model, Mixed) else model
    network.parameters.flat[:] *= 1e18
    static, adapted = log_probs(model, TEXT), log_probs(Adaptive(model), TEXT)
    assert np.isfinite(static).all()
    assert np.isfinite(adapted).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_predicted_is_not_learned(kind: str) -> None:
    model, nothing = Adaptive(make(kind)), np.full(TEXT.shape, IGNORE)
    unrolled = model.unroll(SEGMENT, 1)
    inputs = np.append(EOS, TEXT[:-1])[:, None]
    found, _ = unrolled.log_probs(inputs, nothing[:, None], model.zero_state(1))
    assert not found.any()
    for array, own in zip(arrays(unrolled.learned), arrays(model.model), strict=True):
        np.testing.assert_array_equal(array, own)


def test_a_step_is_scaled_by_the_gradients_so_far_and_decays() -> None:
    weights = np.zeros(2, np.float64)
    descent = Descent(weights, 1.0)
    for _ in range(1000):
        descent.step(np.array([0.001, 0.1]))
    assert weights[0] < 0 > weights[1]
    assert weights[1] / weights[0] < 100  # the gradients' own ratio
    moved = weights.copy()
    for _ in range(100):
        descent.step(np.zeros(2))
    assert (np.abs(weights) < np.abs(moved)).all()
    descent.restore()
    assert not weights.any()


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    weights = np.ones(2)
    Descent(weights, 1.0).step(np.array([np.nan, 1.0]))
    np.testing.assert_array_equal(weights, 1)


def checkpoint(model: Network | Mixed | NGram) -> Checkpoint:
    return Checkpoint(model, Vocabulary("abcde"), WHOLE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_has_learned_from_a_text_continues_it_better(kind: str) -> None:
    before = checkpoint(make(kind))
    text = "abcdecb" * 40
    after = learned_from(before, text)
    assert type(after.model) is type(before.model)
    scores = [score_pieces(each, [text], eos=False).log_prob for each in (before, after)]
    assert scores[1] > scores[0] + 20


@pytest.mark.parametrize("text", ["", "a"])
def test_nothing_is_learned_from_nothing(text: str) -> None:
    before = checkpoint(make())
    after = learned_from(before, text)
    np.testing.assert_array_equal(
        after.model.arrays["head.weight"], before.model.arrays["head.weight"]
    )


def test_an_ngram_model_does_not_learn() -> None:
    base = make("ngram")
    assert isinstance(base, ResidualRNN)
    with pytest.raises(ConfigError, match="needs a network"):
        learned_from(replace(checkpoint(base), model=base.ngram), "abc")
