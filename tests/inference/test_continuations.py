"""Texts read side by side after what stands before them: as each is read alone from its start."""

import numpy as np
import pytest

from charrnn.config import LINES
from charrnn.ids import NUM_SPECIAL
from charrnn.inference.continuations import each_log_prob, look_at
from charrnn.inference.evaluation import token_log_probs
from charrnn.mixing.mixed import LanguageModel
from charrnn.parallel.threads import Workers
from charrnn.storage.checkpoint import Checkpoint
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import MakeCheckpoint
from tests.mixing.test_mixed import make as make_mixture
from tests.rounding import log_prob_tolerance

pytestmark = pytest.mark.figures

KINDS = ("rnn", "lstm", "gru", "jordan", "ngram", "residual", "mixture")


def checkpoint_of(make_checkpoint: MakeCheckpoint, kind: str) -> Checkpoint:
    """A small model of each kind, of as many characters as the mixture reads."""
    mixture = make_mixture()
    tokens = [chr(ord("a") + number) for number in range(mixture.vocab_size - NUM_SPECIAL)]
    others: dict[str, LanguageModel] = {
        "ngram": mixture.base.ngram,
        "residual": mixture.base,
        "mixture": mixture,
    }
    if kind in others:
        return Checkpoint(others[kind], Vocabulary(tokens), LINES)
    return make_checkpoint(tokens, cell=kind)


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_read_after_its_past(
    make_checkpoint: MakeCheckpoint, workers: Workers, kind: str
) -> None:
    model = checkpoint_of(make_checkpoint, kind).model
    rng = np.random.default_rng(1)
    sizes = [(0, 5), (3, 0), (3, 2), (130, 7), (1, 137), (0, 0)]
    pasts, texts = (
        [rng.integers(NUM_SPECIAL, model.vocab_size, size) for size in each]
        for each in zip(*sizes, strict=True)
    )
    pasts[2] = pasts[1]
    found = look_at(model, pasts, texts, each_log_prob, workers)
    whole = [np.append(*pair) for pair in zip(pasts, texts, strict=True)]
    expected = token_log_probs(model, whole, workers)
    for (log_probs,), past, every in zip(found, pasts, expected, strict=True):
        tolerance = log_prob_tolerance(len(every), 100)
        np.testing.assert_allclose(log_probs, every[len(past) :], atol=tolerance)


def test_no_texts_are_no_results(make_checkpoint: MakeCheckpoint, workers: Workers) -> None:
    assert look_at(make_checkpoint().model, [], [], each_log_prob, workers) == []
