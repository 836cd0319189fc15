"""If the network has learned too little, the n-gram model gets more weight."""

from pathlib import Path

import numpy as np
import pytest

from charrnn.inference.evaluation import evaluate
from charrnn.ngrams.residual import ResidualRNN
from charrnn.parallel.threads import Workers
from charrnn.storage.checkpoint import load
from charrnn.training.blending import best_blend, blended
from charrnn.training.run import Run
from tests.ngrams.test_residual import make
from tests.rounding import log_prob_tolerance
from tests.training.runs import begin, history, run_to_end

pytestmark = pytest.mark.figures


def log_probs(model: ResidualRNN, part: str = "") -> np.ndarray:
    tokens = np.arange(2, 7)[:, None]
    each = getattr(model, part) if part else model
    found, _ = each.unroll(5, 1).log_probs(tokens, tokens[::-1], each.zero_state(1))
    return np.asarray(found, float)


def test_no_share_is_the_n_gram_model_and_all_of_it_the_model() -> None:
    model = make()
    tolerance = log_prob_tolerance(1, 1 + model.config.hidden_size + model.vocab_size)
    np.testing.assert_allclose(
        log_probs(blended(model, 0)), log_probs(model, "ngram"), atol=tolerance
    )
    assert np.array_equal(log_probs(blended(model, 1)), log_probs(model))
    assert np.array_equal(model.parameters.flat, make().parameters.flat)


def ended(text: Path, output: Path, learning_rate: float, mix: bool) -> Run:
    """A run that has hardly learned anything."""
    run = begin(text, output, steps=2, ngram=3, mix=mix, hidden_size=8, learning_rate=learning_rate)
    run_to_end(run)
    return run


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Many different characters, each of which tells the next but one time in four."""
    rng = np.random.default_rng(0)
    places = np.cumsum(np.where(rng.random(9_000) < 0.75, 1, rng.integers(400, size=9_000))) % 400
    file = tmp_path / "text.txt"
    file.write_text("".join(map(chr, 0x4E00 + places)))
    return file


def test_a_model_is_no_worse_than_its_n_gram_model(text: Path, output: Path) -> None:
    run = ended(text, output, 0.1, mix=False)
    result, rows = run.result(), history(output)
    assert result.baselines["unmixed"] > result.baselines["ngram"] + 0.01
    assert result.val_bits_per_char is not None
    assert result.val_bits_per_char < result.baselines["ngram"] + 1e-5
    assert [row["mixed"] for row in rows] == [False] * (len(rows) - 1) + [True]
    model, validator = load(output).model, run.trainer.validator
    assert validator is not None
    with Workers(1) as workers:
        found = evaluate(model, validator.split, workers, count_eos=validator.count_eos)
    assert found.bits_per_char == pytest.approx(result.val_bits_per_char, rel=1e-6)


def test_the_best_share_of_a_network_is_found(text: Path, output: Path) -> None:
    run = ended(text, output, 1e-3, mix=False)
    network, validator = run.trainer.model, run.trainer.validator
    assert isinstance(network, ResidualRNN)
    assert validator is not None
    found = validator.evaluate(best_blend(network, validator)).bits_per_char
    for share in (0, 0.5):
        assert found <= validator.evaluate(blended(network, share)).bits_per_char
