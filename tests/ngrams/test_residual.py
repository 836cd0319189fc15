"""A network on top of an n-gram model: logits, gradients and states of the sum."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.config import SampleConfig
from charrnn.errors import ConfigError
from charrnn.ids import EOS, IGNORE, UNK
from charrnn.inference.choosing import log_softmax
from charrnn.inference.sampling import Sample, generate
from charrnn.inference.scoring import score
from charrnn.network.draws import Draws
from charrnn.network.model import CharRNN
from charrnn.ngrams.kneser_ney import count_ngrams, fit
from charrnn.ngrams.leave_one_out import LeaveOneOut
from charrnn.ngrams.residual import ResidualRNN, ngram_config
from charrnn.parallel.threads import Workers
from charrnn.storage import checkpoint as checkpoints
from charrnn.storage.checkpoint import Checkpoint
from charrnn.text.corpus import split_corpus
from charrnn.text.vocabulary import UNK_CHARACTER
from charrnn.training.preparing import RunRequest, prepare
from tests.conftest import MakeCheckpoint, corpus_of
from tests.network.test_unrolled import B, T, V, assert_numerical, chunk_with_boundaries, label
from tests.network.test_unrolled import make as make_network

pytestmark = pytest.mark.figures

Array = np.ndarray
ORDER, SCALE = 4, 0.7

NETWORKS: list[dict[str, Any]] = [
    {"cell": "rnn", "embedding_size": 3},
    {"cell": "lstm", "num_layers": 2},
    {"cell": "gru"},
]
every_network = pytest.mark.parametrize("network", NETWORKS, ids=label)


def text() -> Array:
    """A text for the n-gram model: the columns of the chunk, one after another, and more."""
    rest = np.random.default_rng(6).integers(EOS, V, 200)
    return np.concatenate([chunk_with_boundaries()[1].T.ravel(), rest])


def with_ngram(network: CharRNN, tokens: Array, max_size: int | None = None) -> ResidualRNN:
    config = ngram_config(network.config)
    counted = count_ngrams(config, tokens)
    return ResidualRNN(network, fit(config, counted, max_size), LeaveOneOut(config, counted))


def make(**options: Any) -> ResidualRNN:
    """A model in float64 with a pruned n-gram model."""
    return with_ngram(make_network(**{"ngram": ORDER, "ngram_scale": SCALE, **options}), text(), 90)


def warm_state(model: ResidualRNN) -> Array:
    """A state (R + n - 1, B) in the middle of documents, with every context that is there."""
    tokens = np.random.default_rng(5).integers(UNK, V, (9, B))
    return model.unroll(9, B).run(tokens, model.zero_state(B))


def parts(model: ResidualRNN, state: Array) -> tuple[Array, Array]:
    """The state of the network and that of the n-gram model."""
    shape = model.network.zero_state(B).shape
    rows = math.prod(shape[:-1])
    return state[:rows].reshape(shape), state[rows:].astype(np.int64)


@every_network
def test_the_logits_are_those_of_the_network_and_a_share_of_the_other(
    network: dict[str, Any],
) -> None:
    model, (inputs, _) = make(**network), chunk_with_boundaries()
    of_network, of_ngram = parts(model, warm_state(model))
    assert of_ngram.max() > V  # contexts of more than one token
    logits, after = model.unroll(T, B).forward(inputs, warm_state(model))
    own, own_after = model.network.unroll(T, B).forward(inputs, of_network)
    log_probs, ngram_after = model.ngram.forward(inputs, of_ngram)
    np.testing.assert_allclose(logits, own + SCALE * log_probs, atol=1e-6)
    for found, expected in zip(parts(model, after), (own_after, ngram_after), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("training", [False, True])
@every_network
def test_all_passes_agree(network: dict[str, Any], training: bool) -> None:
    model, (inputs, targets) = make(**network), chunk_with_boundaries()
    unrolled, state = model.unroll(T, B, training=training), warm_state(model)
    logits, after = unrolled.forward(inputs, state)
    chosen = log_softmax(logits.swapaxes(0, 1))[
        np.maximum(targets, 0), np.arange(T)[:, None], np.arange(B)
    ]
    log_probs, after_log_probs = unrolled.log_probs(inputs, targets, state)
    np.testing.assert_allclose(log_probs, np.where(targets == IGNORE, 0, chosen), atol=1e-12)
    nats, after_gradient, dstate = unrolled.gradient(inputs, targets, state)
    assert np.allclose(nats, -log_probs, atol=1e-12) == (not training)
    assert dstate.shape == model.network.zero_state(B).shape
    for found in (after_log_probs, after_gradient, unrolled.run(inputs, state)):
        np.testing.assert_array_equal(found, after)


@every_network
def test_step_by_step_equals_all_at_once(network: dict[str, Any]) -> None:
    model, (inputs, _) = make(**network), chunk_with_boundaries()
    one, state = model.unroll(1, B), warm_state(model)
    logits, last = model.unroll(T, B).forward(inputs, state)
    for t in range(T):
        step, state = one.forward(inputs[t : t + 1], state)
        np.testing.assert_allclose(step[0], logits[t], atol=1e-12)
    np.testing.assert_allclose(state, last, atol=1e-12)


@pytest.mark.parametrize("columns", [[0], [3, 1]])
@every_network
def test_some_columns_alone_say_the_same(network: dict[str, Any], columns: list[int]) -> None:
    model, (inputs, targets) = make(**network), chunk_with_boundaries()
    together, alone = model.unroll(T, B), model.unroll(T, len(columns))
    state = warm_state(model)
    for name in ("forward", "log_probs"):
        given = (inputs, targets)[: 2 if name == "log_probs" else 1]
        all_found, all_after = getattr(together, name)(*given, state)
        found, after = getattr(alone, name)(*(x[:, columns] for x in given), state[..., columns])
        np.testing.assert_allclose(found, all_found[..., columns], atol=1e-12)
        np.testing.assert_allclose(after, all_after[..., columns], atol=1e-12)


@pytest.mark.parametrize("training", [False, True])
@every_network
def test_every_gradient_is_the_numerical_one(network: dict[str, Any], training: bool) -> None:
    model, (inputs, targets) = make(**network), chunk_with_boundaries()
    unrolled, state = model.unroll(T, B, training=training), warm_state(model)
    of_network, _ = parts(model, state)  # a view

    def loss() -> float:
        return float(unrolled.gradient(inputs, targets, state)[0].sum())

    _, _, dstate = unrolled.gradient(inputs, targets, state)
    gradients = {name: array.copy() for name, array in unrolled.gradients.items()}
    arrays = {**model.parameters, "state": of_network}
    assert_numerical({**gradients, "state": dstate}, arrays, loss)


def test_the_scale_is_that_of_every_gradient() -> None:
    model, (inputs, targets) = make(), chunk_with_boundaries()
    unrolled, state = model.unroll(T, B, training=True), warm_state(model)
    nats, _, _ = unrolled.gradient(inputs, targets, state)
    gradient = unrolled.gradients.flat.copy()
    scaled, _, _ = unrolled.gradient(inputs, targets, state, scale=0.25)
    np.testing.assert_allclose(scaled, nats, atol=1e-12)
    np.testing.assert_allclose(unrolled.gradients.flat, gradient / 4, atol=1e-12)


def test_dropout_and_trace_reach_the_network() -> None:
    model, (inputs, targets) = make(dropout=0.5), chunk_with_boundaries()
    unrolled, trace = model.unroll(T, B), list[Array]()
    plain, _, _ = unrolled.gradient(inputs, targets, warm_state(model), trace=trace)
    assert len(trace) == T
    rng = np.random.default_rng(0)
    thinned, _, _ = unrolled.gradient(inputs, targets, warm_state(model), dropout=Draws(rng))
    assert not np.allclose(thinned, plain)


@pytest.mark.parametrize("rows", [0, 20, 10**6])
def test_training_leaves_each_position_out_of_the_counts(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charrnn.ngrams.ngram._DENSE", rows * V)
    model, (inputs, targets) = make(), chunk_with_boundaries()
    assert model.left_out is not None
    contexts, _ = model.left_out.ngram.contexts_after(inputs, model.left_out.ngram.zero_state(B))
    left_out = model.left_out.distributions(
        contexts.reshape(ORDER, -1), np.maximum(targets, 0).ravel()
    )
    own, _ = model.network.unroll(T, B).forward(inputs, model.network.zero_state(B))
    logits = own.swapaxes(0, 1).reshape(V, -1) + SCALE * left_out
    chosen = -log_softmax(logits)[np.maximum(targets, 0).ravel(), np.arange(T * B)]
    expected = np.where(targets == IGNORE, 0, chosen.reshape(T, B))
    found, _, _ = model.unroll(T, B, training=True).gradient(inputs, targets, model.zero_state(B))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    known, _, _ = model.unroll(T, B).gradient(inputs, targets, model.zero_state(B))
    assert found.sum() > known.sum() + 1


def test_without_counts_to_leave_out_training_is_like_inference() -> None:
    whole, (inputs, targets) = make(), chunk_with_boundaries()
    model = ResidualRNN(whole.network, whole.ngram)
    state = warm_state(model)
    found, _, _ = model.unroll(T, B, training=True).gradient(inputs, targets, state)
    expected, _, _ = model.unroll(T, B).gradient(inputs, targets, state)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("training", [False, True])
def test_a_large_vocabulary_goes_through_the_head_in_parts(
    training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, (inputs, targets) = make(), chunk_with_boundaries()
    whole = model.unroll(T, B, training=training)
    expected, _, _ = whole.gradient(inputs, targets, warm_state(model))
    monkeypatch.setattr("charrnn.network.unrolled._MAX_LOGITS", 5 * V)
    in_parts = model.unroll(T, B, training=training)
    found, _, _ = in_parts.gradient(inputs, targets, warm_state(model))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(in_parts.gradients.flat, whole.gradients.flat, atol=1e-12)
    log_probs, _ = in_parts.log_probs(inputs, targets, warm_state(model))
    others, _ = whole.log_probs(inputs, targets, warm_state(model))
    np.testing.assert_allclose(log_probs, others, atol=1e-12)


@pytest.mark.parametrize("start", [EOS, IGNORE])
@every_network
def test_nothing_before_the_start_of_a_document_matters(
    network: dict[str, Any], start: int
) -> None:
    model, (inputs, _) = make(**network), chunk_with_boundaries()
    inputs[3] = start
    logits, after = model.unroll(T, B).forward(inputs, warm_state(model))
    fresh, fresh_after = model.unroll(T, B).forward(inputs[3:], model.zero_state(B))
    np.testing.assert_allclose(logits[3:], fresh, atol=1e-12)
    np.testing.assert_allclose(after, fresh_after, atol=1e-12)


@every_network
def test_a_scale_of_zero_leaves_the_network(network: dict[str, Any]) -> None:
    model, (inputs, targets) = make(**network, ngram_scale=0), chunk_with_boundaries()
    state = warm_state(model)
    of_network, _ = parts(model, state)
    found, expected = model.unroll(T, B, training=True), model.network.unroll(T, B)
    np.testing.assert_array_equal(
        found.forward(inputs, state)[0], expected.forward(inputs, of_network)[0]
    )
    np.testing.assert_array_equal(
        found.gradient(inputs, targets, state)[0], expected.gradient(inputs, targets, of_network)[0]
    )
    np.testing.assert_array_equal(found.gradients.flat, expected.gradients.flat)


@every_network
def test_what_comes_out_is_no_view_of_a_buffer(network: dict[str, Any]) -> None:
    model, (inputs, targets) = make(**network), chunk_with_boundaries()
    unrolled = model.unroll(T, B)
    found = [
        *unrolled.forward(inputs, warm_state(model)),
        *unrolled.gradient(inputs, targets, warm_state(model)),
    ]
    before = [array.copy() for array in found]
    unrolled.gradient(inputs[::-1], targets[::-1], model.zero_state(B))
    for array, copy in zip(found, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("max_size", [None, 90])
def test_more_k_grams_than_a_state_can_count_are_refused(
    max_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network(ngram=ORDER)
    model = with_ngram(network, text(), max_size)
    assert model.left_out is not None
    size = model.left_out.ngram.size  # not pruned
    monkeypatch.setattr("charrnn.ngrams.residual.MAX_NGRAMS", size)
    with_ngram(network, text(), max_size)
    ResidualRNN(network, model.ngram)
    monkeypatch.setattr("charrnn.ngrams.residual.MAX_NGRAMS", size - 1)
    with pytest.raises(ValueError, match="too large"):
        with_ngram(network, text(), max_size)


def checkpoint_of(made: Checkpoint) -> Checkpoint:
    """The same with an n-gram model beside the network."""
    assert isinstance(made.model, CharRNN)
    tokens = np.array([2, 3, 3, 2, EOS, 3, 2, 2, EOS, UNK, 2, EOS])
    return Checkpoint(with_ngram(made.model, tokens), made.vocabulary, made.separator)


def test_it_is_saved_sampled_and_scored_like_any_other(
    make_checkpoint: MakeCheckpoint, workers: Workers, tmp_path: Path
) -> None:
    made, path = checkpoint_of(make_checkpoint("ab", ngram=3)), tmp_path / "x.npz"
    checkpoints.save(made, path)
    drawn, scores = [], []
    for checkpoint in (made, checkpoints.load(path)):
        samples = [Sample("ab", 0), Sample("", 1), Sample("b", 2)]
        for _ in generate(checkpoint, samples, SampleConfig(length=20)):
            pass
        drawn.append([(sample.text, sample.log_prob) for sample in samples])
        scores.append(score(checkpoint, ["abba", "b"], workers=workers)[0].log_prob)
    assert drawn[0] == drawn[1]
    assert scores[0] == scores[1]
    for sample in samples:
        eos = sample.stop == "eos"
        alone = score(made, [sample.text], eos=eos, workers=workers)[0].log_probs
        prompt = len(sample.prompt)
        assert sample.log_prob == pytest.approx(alone[prompt:].sum(), abs=1e-5)


def test_all_texts_up_to_a_length_with_their_ends_add_up_to_one(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint, longest = checkpoint_of(make_checkpoint("ab", ngram=3)), 3
    total = 0.0
    for size in range(longest + 1):
        texts = map("".join, itertools.product("ab" + UNK_CHARACTER, repeat=size))
        scores = score(checkpoint, [*texts], eos=size < longest, workers=workers)
        total += sum(math.exp(found.token_log_prob) for found in scores)
    assert total == pytest.approx(1, abs=1e-6)


def test_it_is_trained_from_a_corpus_to_a_checkpoint(workers: Workers, tmp_path: Path) -> None:
    corpus = corpus_of(["the cat sat on the mat\n", "the dog sat on the log\n"] * 20)
    options = {"ngram": 3, "max_ngrams": 60, "steps": 20, "hidden_size": 8}
    path = tmp_path / "x.npz"
    run = prepare(corpus, split_corpus(corpus), RunRequest(options), output=path, workers=workers)
    assert isinstance(run.model, ResidualRNN)
    assert run.model.ngram.size == 60
    assert run.model.left_out is not None
    assert run.model.left_out.ngram.size > 60
    before = run.model.parameters.flat.copy()
    *_, last = run.train()
    assert last.best
    assert (run.model.parameters.flat != before).any()
    loaded = checkpoints.load(path)
    assert isinstance(loaded.model, ResidualRNN)
    np.testing.assert_equal(loaded.model.arrays, run.model.arrays)


TWO_LINES = ["the cat sat on the mat\n", "the dog sat on the log\n"] * 60


@pytest.mark.parametrize("size", [60, 120])
def test_a_planned_order_falls_to_what_can_stand_beside_a_network(
    workers: Workers, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("charrnn.training.preparing.MAX_NGRAMS", size)
    corpus = corpus_of(TWO_LINES)
    split = split_corpus(corpus)
    options = {"steps": 2, "hidden_size": 8, "batch_size": 2}
    run = prepare(corpus, split, RunRequest(options), output=None, workers=workers)
    order = run.model.config.ngram
    assert 1 < order < 6
    assert f"--ngram {order} " in run.flags()
    asked = prepare(
        corpus, split, RunRequest({**options, "ngram": order}), output=None, workers=workers
    )
    np.testing.assert_equal(asked.model.arrays, run.model.arrays)
    with pytest.raises(ConfigError, match=rf"more than {size} .* fits is {order}: lower ngram"):
        prepare(
            corpus, split, RunRequest({**options, "ngram": order + 1}), output=None, workers=workers
        )


def test_counting_is_refused_that_needs_more_memory_than_there_is(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = corpus_of(TWO_LINES)
    split, options = split_corpus(corpus), {"cell": "ngram", "steps": 1}
    run = prepare(corpus, split, RunRequest(options), output=None, workers=workers)
    monkeypatch.setattr("charrnn.training.counting.most_ngrams", lambda num_tokens: 60)
    with pytest.raises(ConfigError, match="highest order that fits is 2: lower order"):
        list(run.train())
    fits = prepare(corpus, split, RunRequest({**options, "order": 2}), output=None, workers=workers)
    assert len(list(fits.train())) == 1
