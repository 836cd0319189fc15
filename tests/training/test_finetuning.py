"""Fine-tuning: weights of kept and new tokens, and the run that follows."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.config import ModelConfig, VocabularyConfig
from charrnn.errors import ConfigError
from charrnn.ids import EOS, NUM_SPECIAL, UNK
from charrnn.network.model import CharRNN
from charrnn.network.parameters import input_size
from charrnn.ngrams.residual import ResidualRNN
from charrnn.parallel.threads import Workers
from charrnn.storage import checkpoint as checkpoints
from charrnn.text.corpus import read_corpus, split_corpus
from charrnn.text.vocabulary import Vocabulary
from charrnn.training.finetuning import LEARNING_RATE, Origin, Pretrained, remap
from charrnn.training.plan import plan
from charrnn.training.preparing import RunRequest, prepare
from charrnn.training.run import Run
from tests.conftest import CHARACTERS, JAMO, WORDS, MakeCheckpoint, corpus_of
from tests.network.test_unrolled import every_network, make

pytestmark = pytest.mark.figures

Array = np.ndarray
OLD = "abcde"  # as many tokens as `make` makes a network for
TEXT = ["the cat sat on the mat\n", "the dog sat on the log\n"] * 20
embeddings = pytest.mark.parametrize("embedding_size", [0, 3])
vocabularies = st.lists(st.sampled_from("abcdefgh"), unique=True).map(Vocabulary)


def logits_of(network: CharRNN, vocabulary: Vocabulary, text: str) -> Array:
    """The logits (T, V) of what follows <EOS> and each character of a text."""
    inputs = np.append(EOS, vocabulary.encode(text))[:, None]
    found = network.unroll(len(inputs), 1).forward(inputs, network.zero_state(1))[0][:, :, 0]
    return found.copy()


def columns_of(network: CharRNN, vocabulary: Vocabulary) -> dict[str, list[Array]]:
    """The rows and columns of weights that belong to each token."""
    config, first = network.config, network.parameters["layers.0.weight"]
    D, found = input_size(config, 0), {}
    for id, token in enumerate(["<EOS>", "<UNK>", *vocabulary.tokens]):
        of_input = network.parameters["embedding"][id] if config.embedding_size else first[:, id]
        fed_back = [first[:, D + 1 + id]] if config.cell == "jordan" else []
        found[token] = [network.parameters["head.weight"][id], of_input, *fed_back]
    return found


def assert_same(found: CharRNN, expected: CharRNN) -> None:
    assert found.config == expected.config
    np.testing.assert_array_equal(found.parameters.flat, expected.parameters.flat)


# The weights


@embeddings
@every_network
def test_the_same_tokens_give_the_same_network(
    network: dict[str, Any], embedding_size: int
) -> None:
    model, tokens = make(**network, embedding_size=embedding_size), Vocabulary(OLD)
    mapped = remap(model, tokens, Vocabulary(OLD))
    assert_same(mapped, model)
    assert not np.shares_memory(mapped.parameters.flat, model.parameters.flat)
    np.testing.assert_array_equal(
        logits_of(mapped, tokens, "abecadb?"), logits_of(model, tokens, "abecadb?")
    )


@embeddings
@every_network
def test_tokens_in_another_order_give_logits_in_that_order(
    network: dict[str, Any], embedding_size: int
) -> None:
    model, old, new = make(**network, embedding_size=embedding_size), OLD, "cebad"
    mapped = remap(model, Vocabulary(old), Vocabulary(new))
    expected = logits_of(model, Vocabulary(old), "abecadb?")
    found = logits_of(mapped, Vocabulary(new), "abecadb?")
    order = [EOS, UNK, *(NUM_SPECIAL + old.index(token) for token in new)]
    np.testing.assert_allclose(found, expected[:, order], atol=1e-12)
    assert np.abs(found - expected).max() > 0.01


@embeddings
@every_network
def test_a_new_token_is_read_and_predicted_as_unk(
    network: dict[str, Any], embedding_size: int
) -> None:
    model, old, new = make(**network, embedding_size=embedding_size), OLD, "Xabcde한"
    mapped = remap(model, Vocabulary(old), Vocabulary(new))
    expected = logits_of(model, Vocabulary(old), "ab?ec?a")
    places = [EOS, UNK, UNK, *range(NUM_SPECIAL, NUM_SPECIAL + len(old)), UNK]
    for text in ("ab?ec?a", "abXec한a"):
        found = logits_of(mapped, Vocabulary(new), text)
        np.testing.assert_allclose(found, expected[:, places], atol=1e-12)
    held = columns_of(mapped, Vocabulary(new))
    for token in "X한":
        np.testing.assert_equal(held[token][:2], held["<UNK>"][:2])  # output and input


@embeddings
@every_network
def test_dropped_tokens_are_gone_and_the_others_are_as_they_were(
    network: dict[str, Any], embedding_size: int
) -> None:
    model, old, new = make(**network, embedding_size=embedding_size), OLD, "ace"
    mapped = remap(model, Vocabulary(old), Vocabulary(new))
    assert mapped.config == ModelConfig(
        **{**asdict(model.config), "vocab_size": NUM_SPECIAL + len(new)}
    )
    before, after = columns_of(model, Vocabulary(old)), columns_of(mapped, Vocabulary(new))
    assert after.keys() == {"<EOS>", "<UNK>", *new}
    np.testing.assert_equal(after, {token: before[token] for token in after})
    if network.get("feedback") != "logits":  # else dropped tokens were fed back, too
        expected = logits_of(model, Vocabulary(old), "ac?e")
        np.testing.assert_allclose(
            logits_of(mapped, Vocabulary(new), "ac?e"), expected[:, [0, 1, 2, 4, 6]], atol=1e-12
        )


@embeddings
@every_network
def test_there_and_back_again_changes_nothing(network: dict[str, Any], embedding_size: int) -> None:
    model, old = make(**network, embedding_size=embedding_size), Vocabulary(OLD)
    for tokens in ("abcdeXYZ", "Zbe한dac", "edcba"):
        away = remap(model, old, Vocabulary(tokens))
        assert_same(remap(away, Vocabulary(tokens), old), model)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(new=vocabularies, further=vocabularies)
@every_network
def test_mapping_twice_is_mapping_once(
    network: dict[str, Any], new: Vocabulary, further: Vocabulary
) -> None:
    model, old = make(**network), Vocabulary(OLD)
    once = remap(model, old, new)
    assert_same(remap(once, new, new), once)
    lasting = Vocabulary([t for t in further.tokens if t in new.tokens or t not in OLD])
    assert_same(remap(once, new, lasting), remap(model, old, lasting))


# The settings


def pretrained(model: CharRNN | None = None, tokens: str = OLD, **config: Any) -> Pretrained:
    return Pretrained("it.npz", model or make(**config), Vocabulary(tokens))


def test_shapes_are_those_of_the_network_and_the_rest_is_of_the_run() -> None:
    source = pretrained(cell="gru", num_layers=2, embedding_size=3, dropout=0.9, ngram=3)
    model, train = plan(50_000, 40, True, source.settings({"steps": 100, "seed": None}))
    assert (model.cell, model.hidden_size, model.num_layers, model.embedding_size) == (
        *("gru", 5, 2, 3),
    )
    assert (model.vocab_size, model.ngram) == (40, 3)
    assert model.dropout != 0.9
    assert (train.steps, train.seed, train.learning_rate) == (100, 0, LEARNING_RATE)


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.25, "recurrent_dropout": 0.125},
        {"ngram": 0, "learning_rate": 0.5},
        {"ngram": 4, "ngram_scale": 0.25},
        {"cell": "gru", "hidden_size": 5, "activation": "tanh"},
    ],
)
def test_options_that_fit_the_network_win(options: dict[str, Any]) -> None:
    found = pretrained(cell="gru", ngram=3).settings(options)
    assert {name: found[name] for name in options} == options


@pytest.mark.parametrize("minutes", [0.1, 60.0])
def test_with_minutes_the_sizes_stay(minutes: float) -> None:
    model, train = plan(10**6, 40, False, pretrained(num_layers=2).settings({"minutes": minutes}))
    assert (model.hidden_size, model.num_layers, train.minutes) == (5, 2, minutes)


@pytest.mark.parametrize(
    ("name", "value", "own"),
    [
        ("cell", "lstm", "rnn"),
        ("activation", "tanh", "relu"),
        ("hidden_size", 6, 5),
        ("num_layers", 2, 1),
        ("embedding_size", 0, 3),
    ],
)
def test_another_shape_is_refused_and_both_are_named(name: str, value: object, own: object) -> None:
    source = pretrained(cell="rnn", activation="relu", embedding_size=3)
    with pytest.raises(ConfigError, match=f"^{name} must be {own}, as in it.npz, not {value};"):
        source.settings({name: value})


@pytest.mark.parametrize("kind", [CHARACTERS, JAMO, WORDS])
def test_tokens_are_of_the_kind_that_the_network_knows(kind: VocabularyConfig) -> None:
    source = Pretrained("it.npz", make(), Vocabulary(OLD, kind))
    found = source.tokens({"min_count": 2})
    assert (found.unit, found.min_count) == (kind.unit, 2)
    assert source.tokens({"tokens": kind.tokens, "normalize": kind.normalize}).unit == kind.unit
    other = WORDS if kind.tokens == "char" else CHARACTERS
    with pytest.raises(ConfigError, match=f"tokens must be {kind.tokens}, .* not {other.tokens};"):
        source.tokens({"tokens": other.tokens})
    if kind.tokens == "char":
        with pytest.raises(ConfigError, match=f"normalize must be {kind.normalize}, as in"):
            source.tokens({"normalize": "nfd" if kind is CHARACTERS else "nfc"})


def test_an_origin_tells_how_many_tokens_are_shared() -> None:
    source = Pretrained("it.npz", make(), Vocabulary(OLD), "feed")
    assert source.origin(Vocabulary("axyz")) == Origin("it.npz", "feed", kept=1, new=3, dropped=4)


# The run


def start(
    folder: Path, workers: Workers, texts: list[str], source: Pretrained | None, **options: Any
) -> Run:
    corpus, options = corpus_of(texts), {"steps": 2, **options}
    split, output = split_corpus(corpus), folder / "x.npz"
    request = RunRequest(options, init_from=source)
    return prepare(corpus, split, request, output=output, workers=workers)


def test_ngrams_are_counted_anew_and_the_network_stays(
    workers: Workers, tmp_path: Path, make_checkpoint: MakeCheckpoint
) -> None:
    source = Pretrained("it.npz", make(ngram=3), Vocabulary(OLD))
    run = start(tmp_path, workers, TEXT, source)
    fresh = start(tmp_path, workers, TEXT, None, ngram=3)
    assert isinstance(run.model, ResidualRNN)
    assert isinstance(fresh.model, ResidualRNN)
    np.testing.assert_equal(run.model.ngram.arrays, fresh.model.ngram.arrays)
    assert run.model.ngram.size > 50
    mapped = remap(make(), Vocabulary(OLD), run.data.vocabulary).parameters
    for name, array in run.model.parameters.items():
        np.testing.assert_array_equal(array, mapped[name].astype(np.float32))
    assert isinstance(start(tmp_path, workers, TEXT, source, ngram=0).model, CharRNN)


@pytest.mark.parametrize("config", [{"cell": "jordan"}, {"cell": "rnn", "activation": "relu"}])
def test_a_model_is_loaded_trained_and_saved_with_its_origin(
    config: dict[str, Any], workers: Workers, tmp_path: Path, make_checkpoint: MakeCheckpoint
) -> None:
    trained = make_checkpoint("abc", **config)
    trained.training["corpus"] = {"sha256": "feed"}
    path = tmp_path / "x.npz"
    checkpoints.save(trained, path)
    first = path.read_bytes()
    run = start(tmp_path, workers, ["abcab\n", "xyz\n"] * 20, Pretrained.load(path))
    *_, last = run.train()
    assert last.best
    origin = {"name": str(path), "corpus_sha256": "feed"}
    expected = origin | {"kept": 3, "new": 3, "dropped": 0}
    found = checkpoints.load(path)  # written over the one it started from
    assert found.training["init_from"] == run.result().to_json()["init_from"] == expected
    assert found.model.config.cell == config["cell"]
    assert (tmp_path / "x.previous.npz").read_bytes() == first


@pytest.mark.slow
def test_little_text_is_learned_better_from_more_of_its_language(
    workers: Workers, tmp_path: Path
) -> None:
    lines = [f"{line}\n" for line in read_corpus(["english"]).documents]
    options = {"hidden_size": 48, "batch_size": 16, "ngram": 0, "evaluations": 1}
    [*start(tmp_path, workers, lines[:1200], None, steps=250, **options).train()]
    more = Pretrained.load(tmp_path / "x.npz")

    def bits(source: Pretrained | None) -> float:
        run = start(tmp_path, workers, lines[1200:1400], source, steps=80, **options)
        found = [progress.validation for progress in run.train()][-1]
        assert found is not None
        return found.bits_per_char

    assert bits(more) < bits(None) - 0.2
