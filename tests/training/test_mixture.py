"""The part of the text held for a mixture, and the mixture at the end of a run."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.ids import EOS
from charrnn.inference.evaluation import evaluate
from charrnn.mixing.mixed import Mixed
from charrnn.mixing.mixer import Mixer
from charrnn.ngrams.residual import ResidualRNN
from charrnn.parallel.threads import Workers
from charrnn.storage import checkpoint
from charrnn.text.tokens import Tokens
from charrnn.training import mixture as module
from charrnn.training.mixture import MixtureFitting, held_part, validated
from charrnn.training.run import Run
from tests.mixing.test_mixed import tokens_of
from tests.ngrams.test_residual import make as make_base
from tests.training.runs import begin, go_on, history, run_to_end, stop_at, weights

pytestmark = pytest.mark.figures

SETTINGS: dict[str, Any] = {"ngram": 3, "steps": 30, "hidden_size": 8}


@pytest.fixture(autouse=True)
def _short_texts_are_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST", 2_000)


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    """A text in which names come up, are repeated for a while, and never come back."""
    rng = np.random.default_rng(1)
    words = []
    for _ in range(60):
        names = ["".join(rng.choice([*"bcdfgklmnprstvz"], 7)) for _ in range(2)]
        words += [*rng.choice([*names, "met", "and saw", "then"], 30)]
    file = tmp_path / "novel.txt"
    file.write_text(" ".join(words))
    return file


def finished(text: Path, output: Path, **options: Any) -> Run:
    run = begin(text, output, **{**SETTINGS, **options})
    run_to_end(run)
    return run


def test_a_part_in_the_middle_is_held() -> None:
    tokens = Tokens.of(np.append(np.full(9_999, 5), EOS))
    assert held_part(tokens, None) == slice(4_750, 5_250)


def test_of_a_long_text_no_more_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 100)
    assert held_part(Tokens.of(np.full(10_000, 5)), None) == slice(4_950, 5_050)


def test_nothing_is_held_of_short_texts() -> None:
    assert held_part(Tokens.of(np.full(1_999, 5)), None) is None


def test_where_time_has_run_out_a_mixture_is_fitted_to_less(
    novel: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(novel, output, **SETTINGS)
    model, mixture = run.trainer.model, run.trainer.mixture
    assert mixture is not None
    assert isinstance(model, ResidualRNN)
    assert mixture.affordable(0.0) == 1.0  # nothing has been measured
    monkeypatch.setattr(mixture, "_finishing_seconds", 10.0)
    shares = [mixture.affordable(left) for left in (100.0, 7.0, 6.0, -5.0)]
    assert shares == [1.0, 1.0, 0.6, 0.5]
    run_to_end(run)
    whole, half = mixture.fit(model), mixture.fit(model, 0.5)
    assert whole is not None
    assert half is not None
    assert np.abs(whole.own - half.own).max() > 0.01


def test_nothing_is_held_of_a_text_that_is_long_for_its_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_A_MINUTE", 10_000)
    tokens = Tokens.of(np.full(6_000, 5))
    assert held_part(tokens, 0.5) is None
    assert held_part(tokens, 0.7) == held_part(tokens, None)


def test_a_sample_of_a_long_validation_split_tells_the_gain(
    novel: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished(novel, output)
    unmixed, mixed, validator = run.result().baselines["unmixed"], run.final, run.trainer.validator
    assert isinstance(mixed, Mixed)
    assert validator is not None
    whole = validated(mixed, mixed.base, validator, unmixed)
    assert whole == run.result().val_bits_per_char
    monkeypatch.setattr(module, "_VALIDATED", len(validator.split.tokens) // 2)
    sampled = validated(mixed, mixed.base, validator, unmixed)
    assert sampled != whole
    assert sampled < unmixed


@pytest.mark.parametrize("num_bytes", [0, 1_500, 40_000])
def test_counts_take_no_more_room_than_they_may(
    monkeypatch: pytest.MonkeyPatch, num_bytes: int
) -> None:
    monkeypatch.setattr(module, "_FEWEST_BYTES", 2_000)
    monkeypatch.setattr(module, "_MOST_BYTES", 50_000)
    base = make_base()
    tokens = tokens_of(base.vocab_size, 6_000)
    letters = np.ones(base.vocab_size, bool)
    found = MixtureFitting(base, tokens, slice(3_000, 3_300), letters, num_bytes)
    assert found.counts.num_bytes <= max(2_000, min(2 * num_bytes, 50_000)) + len(letters)


def test_the_mixture_predicts_better_and_is_what_is_written(novel: Path, output: Path) -> None:
    run = finished(novel, output)
    result = run.result()
    assert result.val_bits_per_char is not None
    assert result.val_bits_per_char < result.baselines["unmixed"] - 0.1
    loaded = checkpoint.load(output)
    assert isinstance(loaded.model, Mixed)
    assert run.data.validation is not None
    found = evaluate(loaded.model, run.data.validation, Workers(1), count_eos=False)
    assert found.bits_per_char == pytest.approx(result.val_bits_per_char, abs=1e-6)
    *_, before, last = history(output)
    assert (before["mixed"], last["mixed"]) == (False, True)
    assert last["step"] == before["step"] == 30


def test_a_document_cut_into_pieces_is_remembered_as_a_whole(novel: Path, output: Path) -> None:
    run = finished(novel, output)
    validation = run.data.validation
    assert validation is not None
    longer = dataclasses.replace(validation, tokens=np.tile(validation.tokens[:-1], 4))
    whole, cut = (
        evaluate(run.model, longer, Workers(1), count_eos=False, pieces=pieces)
        for pieces in (1, 64)
    )
    assert cut.loss == pytest.approx(whole.loss, abs=1e-4)  # the burn-in of the network


def test_without_mixing_nothing_is_held(novel: Path, output: Path) -> None:
    run = finished(novel, output, mix=False)
    assert run.trainer.mixture is None
    assert isinstance(checkpoint.load(output).model, ResidualRNN)
    assert "unmixed" not in run.result().baselines


def test_what_is_held_is_no_target(novel: Path, output: Path) -> None:
    """The network sees the held part only as the input before other targets."""
    run = begin(novel, output, **SETTINGS)
    mixture = run.trainer.mixture
    assert mixture is not None
    chunks = [*run.trainer.batches.epoch(0)]  # type: ignore[attr-defined]
    targets = np.concatenate([targets.ravel() for _, targets in chunks])
    tokens = run.data.train.array()
    kept = np.delete(tokens, np.arange(len(tokens))[mixture.held])
    most = int(tokens.max()) + 1
    # Streams have equal lengths, so a pass reads some tokens twice.
    times = np.bincount(targets[targets >= 0], minlength=most)
    expected = np.bincount(kept[kept >= 0], minlength=most)
    assert times.sum() <= 1.05 * expected.sum()
    assert times.sum() >= 0.99 * expected.sum()


@pytest.mark.parametrize("stop", [1, 15, 29, 30])
def test_a_resumed_run_ends_with_the_same_mixture(novel: Path, output: Path, stop: int) -> None:
    whole = output.with_name("whole.npz")
    finished(novel, whole)
    stop_at(begin(novel, output, **SETTINGS), stop)
    run_to_end(go_on(novel, output))
    np.testing.assert_equal(weights(output), weights(whole))
    assert history(output) == history(whole)


def test_a_longer_budget_fits_a_mixture_anew(novel: Path, output: Path) -> None:
    whole = output.with_name("whole.npz")
    finished(novel, whole)
    finished(novel, output)
    run = go_on(novel, output, steps=60)
    assert not any(row.mixed for row in run.record.history)
    run_to_end(run)
    rows = history(output)
    assert [row["mixed"] for row in rows] == [False] * (len(rows) - 1) + [True]
    assert rows[-1]["step"] == 60


def test_a_complete_run_whose_model_was_deleted_gets_its_mixture_back(
    novel: Path, output: Path
) -> None:
    finished(novel, output)
    arrays, rows = weights(output), history(output)
    output.unlink()
    go_on(novel, output)
    np.testing.assert_equal(weights(output), arrays)
    assert history(output) == rows


def test_a_mixture_that_predicts_no_better_is_left_out(
    novel: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(self: MixtureFitting, model: ResidualRNN, share: float) -> Mixer:
        found = real(self, model, share)
        assert found is not None
        found.own[:], found.sets[:] = 0, 0
        return found

    real = MixtureFitting.fit
    monkeypatch.setattr(MixtureFitting, "fit", fit)
    finished(novel, output)
    assert isinstance(checkpoint.load(output).model, ResidualRNN)


def test_how_long_it_takes_is_measured(novel: Path, output: Path) -> None:
    run = begin(novel, output, **SETTINGS)
    model, mixture = run.trainer.model, run.trainer.mixture
    assert mixture is not None
    assert run.data.validation is not None
    assert isinstance(model, ResidualRNN)
    before = model.parameters.flat.copy()
    assert mixture.seconds(model, run.data.validation.tokens, Workers(1)) > 0
    np.testing.assert_equal(model.parameters.flat, before)
