"""Dynamic evaluation learns from what it has predicted and from nothing else."""

import numpy as np
import pytest

from charrnn.config import ModelConfig
from charrnn.ids import EOS
from charrnn.inference.adaptation import SEGMENT, Adaptive
from charrnn.network.model import CharRNN
from charrnn.ngrams.kneser_ney import count_ngrams, fit
from charrnn.ngrams.residual import ResidualRNN, ngram_config
from tests.rounding import log_prob_tolerance

pytestmark = pytest.mark.figures

V = 7
TOLERANCE = log_prob_tolerance(1, terms=V + 1 + 8)  # of a token
TEXT = np.tile([2, 3, 4, 5, 6, 4, 3], 40)


def network(ngram: int = 0) -> CharRNN | ResidualRNN:
    config = ModelConfig(V, hidden_size=8, ngram=ngram)
    model = CharRNN(config).initialize(np.random.default_rng(0))
    if not ngram:
        return model
    counts = ngram_config(config)
    return ResidualRNN(model, fit(counts, count_ngrams(counts, TEXT[:20])))


def log_probs(model: CharRNN | ResidualRNN | Adaptive, text: np.ndarray) -> np.ndarray:
    inputs, targets = np.append(EOS, text[:-1])[:, None], text[:, None]
    unrolled, state = model.unroll(len(text), 1), model.zero_state(1)
    return unrolled.log_probs(inputs, targets, state)[0][:, 0]


@pytest.mark.parametrize("ngram", [0, 3])
def test_the_first_segment_is_predicted_by_the_model_as_it_is(ngram: int) -> None:
    model = network(ngram)
    static, adapted = log_probs(model, TEXT), log_probs(Adaptive(model, 0.5), TEXT)
    np.testing.assert_allclose(adapted[:SEGMENT], static[:SEGMENT], atol=TOLERANCE)
    assert (np.abs(adapted - static)[SEGMENT:] > 1e-5).all()
    assert adapted[-SEGMENT:].sum() > static[-SEGMENT:].sum() + 1


@pytest.mark.parametrize("ngram", [0, 3])
def test_no_prediction_has_seen_what_comes_after_it(ngram: int) -> None:
    other = TEXT.copy()
    other[3 * SEGMENT :] = 2
    one, two = (log_probs(Adaptive(network(ngram), 0.5), text) for text in (TEXT, other))
    np.testing.assert_array_equal(one[: 3 * SEGMENT], two[: 3 * SEGMENT])


def test_every_text_starts_from_the_same_weights_and_leaves_them() -> None:
    model = network()
    before = model.parameters.flat.copy()
    first = log_probs(Adaptive(model, 0.5), TEXT)
    np.testing.assert_array_equal(log_probs(Adaptive(model, 0.5), TEXT), first)
    np.testing.assert_array_equal(model.parameters.flat, before)


def test_a_rate_of_zero_changes_nothing() -> None:
    np.testing.assert_allclose(
        log_probs(Adaptive(network(), 0.0), TEXT), log_probs(network(), TEXT), atol=TOLERANCE
    )


def test_in_pieces_of_whole_segments_it_is_the_same() -> None:
    model = Adaptive(network(), 0.5)
    unrolled, state, found = model.unroll(SEGMENT, 1), model.zero_state(1), []
    inputs = np.append(EOS, TEXT[:-1])[:, None]
    for start in range(0, len(TEXT), 2 * SEGMENT):
        part = slice(start, start + 2 * SEGMENT)
        log_prob, state = unrolled.log_probs(inputs[part], TEXT[part, None], state)
        found.append(log_prob[:, 0])
    np.testing.assert_array_equal(np.concatenate(found), log_probs(model, TEXT))
