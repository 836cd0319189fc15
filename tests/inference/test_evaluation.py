import itertools
import math
import tracemalloc
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from charrnn.config import ModelConfig
from charrnn.ids import EOS, IGNORE, UNK
from charrnn.inference import evaluation
from charrnn.inference.evaluation import (
    evaluate,
    measured_part,
    stream_chunks,
    token_log_probs,
    window_log_probs,
)
from charrnn.mixing.mixed import MEMORY
from charrnn.network.model import CharRNN
from charrnn.network.unrolled import Unrolled
from charrnn.parallel.threads import Workers
from tests.conftest import MakeCheckpoint, encoded
from tests.rounding import log_prob_tolerance

pytestmark = pytest.mark.figures

TOLERANCE = log_prob_tolerance(1, terms=8 + 1 + 8)  # of a token, with layers of 8 on layers of 8


def sequences(count: int = 70, longest: int = 300) -> list[np.ndarray]:
    """Token sequences of mixed lengths, including an empty one."""
    rng = np.random.default_rng(0)
    return [rng.integers(1, 5, size) for size in [0, longest, *rng.integers(1, 40, count)]]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_alone_in_a_batch_and_step_by_step_agree(
    make_checkpoint: MakeCheckpoint, workers: Workers, cell: str
) -> None:
    model = make_checkpoint(cell=cell, num_layers=2).model
    texts = sequences()
    together = token_log_probs(model, texts, workers)
    assert [len(found) for found in together] == [len(text) for text in texts]
    for text, found in zip(texts[:20], together[:20], strict=True):
        alone = token_log_probs(model, [text], workers)[0] if len(text) else np.empty(0)
        np.testing.assert_allclose(found, alone, atol=TOLERANCE)
        step, state = model.unroll(1, 1), model.zero_state(1)
        for before, token, log_prob in zip([EOS, *text], text, found, strict=False):
            logits, state = step.forward(np.array([[before]]), state)
            x = logits[0, :, 0].astype(float)
            assert log_prob == pytest.approx(x[token] - np.log(np.exp(x).sum()), abs=TOLERANCE)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "jordan"])
def test_many_sequences_lie_one_after_another_and_do_not_see_each_other(
    make_checkpoint: MakeCheckpoint, workers: Workers, cell: str
) -> None:
    checkpoint = make_checkpoint(cell=cell)
    counted = Counted.from_arrays(checkpoint.model.config, checkpoint.model.arrays)
    assert isinstance(counted, Counted)
    rng = np.random.default_rng(0)
    texts = [rng.integers(1, 5, size) for size in rng.integers(0, 40, 700)]
    together = token_log_probs(counted, texts, workers)
    assert counted.predictions < 1.1 * sum(map(len, texts))
    for text, found in zip(texts[:40], together[:40], strict=True):
        (alone,) = token_log_probs(checkpoint.model, [text], workers)
        np.testing.assert_allclose(found, alone, atol=1e-5)


@pytest.mark.parametrize("count", [1, 3, 33, 64, 100, 129, 600, 2000])
@pytest.mark.parametrize("longest", [1, 200, 20_000])
def test_columns_hold_every_sequence_and_are_of_about_the_same_length(
    count: int, longest: int
) -> None:
    lengths = np.random.default_rng(0).integers(0, longest + 1, count).tolist()
    continued = [length > 0 and index % 9 == 0 for index, length in enumerate(lengths)]
    columns, width = evaluation._packed(lengths, continued)
    assert sorted(itertools.chain.from_iterable(columns)) == [*range(count)]
    sums = [sum(lengths[index] for index in column) for column in columns]
    assert sums == sorted(sums)
    assert not any(continued[index] for column in columns for index in column[1:])
    assert 32 <= width <= 128
    if max(129, sum(continued)) < len(columns) < count:
        assert len(columns) % width == 0
        assert sums[-1] - sums[0] <= max(lengths)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("context", [1, 3, 40])
def test_a_window_is_what_the_last_tokens_predict_from_zero_state(
    make_checkpoint: MakeCheckpoint, workers: Workers, cell: str, context: int
) -> None:
    model = make_checkpoint(cell=cell).model
    assert isinstance(model, CharRNN)
    texts = sequences(count=5, longest=60)
    found = window_log_probs(model, texts, context, workers)
    assert [len(log_probs) for log_probs in found] == [len(text) for text in texts]
    text, log_probs = texts[1], found[1]
    for place in (0, 1, context - 1, context, context + 1, 45):
        before = np.append(EOS, text)[: place + 1][-context:]  # the inputs in the window
        logits, _ = model.unroll(len(before), 1).forward(before[:, None], model.zero_state(1))
        x = logits[-1, :, 0].astype(float)
        expected = x[text[place]] - np.log(np.exp(x).sum())
        assert log_probs[place] == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("context", [100, 10**12])
def test_a_window_longer_than_the_text_is_the_whole_text(
    make_checkpoint: MakeCheckpoint, workers: Workers, context: int
) -> None:
    model, texts = make_checkpoint().model, sequences(count=5, longest=60)
    assert isinstance(model, CharRNN)
    windows = window_log_probs(model, texts, context, workers)
    for a, b in zip(windows, token_log_probs(model, texts, workers), strict=True):
        np.testing.assert_allclose(a, b, atol=TOLERANCE)


class Counted(CharRNN):
    """Make a model count its predictions, including those of padding."""

    predictions = 0

    def unroll(self, seq_len: int, batch_size: int, *, training: bool = False) -> Unrolled:
        unrolled = super().unroll(seq_len, batch_size, training=training)
        log_probs = unrolled.log_probs

        def counted(inputs: np.ndarray, *arguments: Any) -> Any:
            self.predictions += inputs.size
            return log_probs(inputs, *arguments)

        setattr(unrolled, "log_probs", counted)  # noqa: B010
        return unrolled


def test_a_long_sequence_among_short_ones_costs_what_it_does_alone(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint = make_checkpoint(num_layers=2)
    counted = Counted.from_arrays(checkpoint.model.config, checkpoint.model.arrays)
    assert isinstance(counted, Counted)
    rng = np.random.default_rng(0)
    texts = [rng.integers(1, 5, size) for size in [2000, *[1] * 30, 700, 700]]
    together = token_log_probs(counted, texts, workers)
    assert counted.predictions < 1.5 * sum(map(len, texts))
    for text, found in zip(texts, together, strict=True):
        (alone,) = token_log_probs(checkpoint.model, [text], workers)
        np.testing.assert_allclose(found, alone, atol=TOLERANCE)


@pytest.mark.parametrize("windows", [False, True])
def test_what_takes_long_looks_whether_it_has_been_stopped(
    make_checkpoint: MakeCheckpoint, workers: Workers, windows: bool
) -> None:
    model, chunks = make_checkpoint().model, itertools.count()
    assert isinstance(model, CharRNN)

    def check() -> None:
        if next(chunks) == 3:
            raise KeyboardInterrupt

    def found() -> list[np.ndarray]:
        texts = [np.ones(100_000, np.int8)]
        if windows:
            return window_log_probs(model, texts, 100_000, workers)
        return token_log_probs(model, texts, workers)

    workers.check = check  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        found()
    assert next(chunks) == 4


@pytest.mark.parametrize("cell", ["lstm", "jordan"])
def test_a_chunk_fits_the_work_buffers_whatever_the_vocabulary(cell: str) -> None:
    for vocab_size in (5, 5_000, 1_000_000):
        config = ModelConfig(vocab_size, cell=cell, hidden_size=2)
        model = Mock(config=config)
        for steps, columns in ((32, 32), (128, 1), (16, 256)):
            T, B = evaluation.chunk_shape(model, steps, columns)
            assert 1 <= T <= steps
            assert 1 <= B <= columns
            assert T * B * vocab_size <= 1 << 24
            assert (steps, columns) == (T, B) or vocab_size > 1000


@pytest.mark.parametrize("cell", ["lstm", "jordan"])
def test_smaller_chunks_change_nothing(
    make_checkpoint: MakeCheckpoint, workers: Workers, monkeypatch: pytest.MonkeyPatch, cell: str
) -> None:
    model, texts = make_checkpoint(cell=cell).model, sequences(count=10, longest=80)
    assert isinstance(model, CharRNN)
    found = []
    for numbers in (1 << 24, 100):
        monkeypatch.setattr(evaluation, "_MAX_NUMBERS", numbers)
        found.append(token_log_probs(model, texts, workers))
        found[-1] += window_log_probs(model, texts, 7, workers)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=TOLERANCE)


def test_windows_take_little_memory_however_long_they_are(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    model, text = make_checkpoint(hidden_size=2).model, np.ones(1000, np.int8)
    assert isinstance(model, CharRNN)
    tracemalloc.start()
    window_log_probs(model, [text], 500, workers)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000  # all windows together have as many tokens


def test_the_number_of_threads_changes_nothing(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    model = make_checkpoint().model
    with Workers(2) as two:
        for a, b in zip(
            token_log_probs(model, sequences(), workers),
            token_log_probs(model, sequences(), two),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)


def test_no_sequences_give_no_results(make_checkpoint: MakeCheckpoint, workers: Workers) -> None:
    assert token_log_probs(make_checkpoint().model, [], workers) == []


def test_cutting_long_documents_changes_next_to_nothing(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    model = make_checkpoint().model
    tokens = np.random.default_rng(1).integers(1, 5, 9000)
    tokens[[4000, -1]] = EOS
    whole = evaluate(model, encoded(tokens), workers, count_eos=True, pieces=1)
    cut = evaluate(model, encoded(tokens), workers, count_eos=True)
    assert cut.chars == whole.chars == 9000
    assert cut.unk == whole.unk == np.count_nonzero(tokens == UNK)
    assert cut.loss == pytest.approx(whole.loss, abs=1e-6)


def test_ends_and_cuts_count_only_as_asked(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    model = make_checkpoint().model
    tokens = np.array([2, 3, EOS, 4, UNK, IGNORE])
    log_probs = token_log_probs(model, [tokens[:3], tokens[3:5]], workers)
    with_ends = evaluate(model, encoded(tokens), workers, count_eos=True)
    assert (with_ends.chars, with_ends.unk) == (5, 1)
    assert with_ends.nats == pytest.approx(-sum(map(math.fsum, log_probs)))
    without = evaluate(model, encoded(tokens), workers, count_eos=False)
    assert without.chars == 4
    assert without.nats == pytest.approx(with_ends.nats + log_probs[0][-1])
    assert without.bits_per_char == pytest.approx(without.nats / 4 / math.log(2))


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_streams_count_every_place_once_and_begin_early(steps: int) -> None:
    edges = np.array([0, 5, 9, 14])
    chunks = [*stream_chunks(edges, steps, burn_in=3)]
    counted = np.concatenate([places[inside] for places, inside in chunks])
    assert sorted(counted) == [*range(14)]
    assert [*chunks[0][0][0]] == [-3, 2, 6]
    assert not any(inside[places < 0].any() for places, inside in chunks)


def test_what_is_measured_remembers_as_much_as_what_is_evaluated() -> None:
    tokens = np.append(np.full(99_999, 5), EOS)
    part, pasts, ratio = measured_part(tokens)
    assert len(part) == len(pasts)
    assert ratio > 10
    assert max(map(len, pasts)) == MEMORY
