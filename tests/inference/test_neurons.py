import unicodedata
from typing import Any

import numpy as np
import pytest

from charrnn.config import ModelConfig, VocabularyConfig
from charrnn.errors import CheckpointError, ConfigError
from charrnn.ids import EOS
from charrnn.inference import neurons
from charrnn.inference.neurons import (
    Finding,
    Reading,
    Unit,
    as_read,
    best_units,
    follow,
    network_of,
    read_activations,
)
from charrnn.network.model import CharRNN
from charrnn.ngrams.kneser_ney import count_ngrams, fit
from charrnn.ngrams.residual import ResidualRNN, ngram_config
from charrnn.text.vocabulary import Vocabulary

pytestmark = pytest.mark.figures

V = 6
TOKENS = np.array([2, 3, 5, EOS, 4, 3, 3, EOS, 2, 1])


def make(cell: str = "lstm", **config: Any) -> CharRNN:
    model = CharRNN(ModelConfig(**{"vocab_size": V, "hidden_size": 4, **config}, cell=cell))
    return model.initialize(np.random.default_rng(0))


def whole(model: CharRNN, tokens: np.ndarray) -> np.ndarray:
    """All activations (U, N), each place of which is read once."""
    found = np.full((model.config.num_layers * model.config.hidden_size, len(tokens)), np.nan)
    for places, values in read_activations(model, tokens):
        assert np.isnan(found[:, places]).all()
        found[:, places] = values
    assert not np.isnan(found).any()
    return found


@pytest.mark.parametrize(
    ("cell", "config"),
    [
        ("lstm", {"num_layers": 2}),
        ("gru", {"num_layers": 3, "embedding_size": 3}),
        ("rnn", {"activation": "relu", "num_layers": 2}),
        ("rnn", {}),
    ],
)
def test_the_activations_are_the_states_step_by_step(cell: str, config: dict[str, Any]) -> None:
    model = make(cell, **config)
    unrolled, state = model.unroll(1, 1), model.zero_state(1)
    expected = []
    for token in [EOS, *TOKENS]:  # a document starts before the first token
        state = unrolled.run(np.array([[token]]), state)
        own = np.tanh(state[:, 1]) if cell == "lstm" else state[:, 0]
        expected.append(own.ravel())
    assert whole(model, TOKENS) == pytest.approx(np.array(expected[1:]).T, abs=1e-6)


@pytest.mark.parametrize("feedback", ["logits", "target"])
def test_the_activations_of_a_jordan_network(feedback: str) -> None:
    model = make("jordan", feedback=feedback)
    W, head = model.parameters["layers.0.weight"], model.parameters["head.weight"]
    o, one_hot, expected = np.zeros(V), np.eye(V), []
    one_hot[EOS] = 0
    for token in [EOS, *TOKENS]:
        o *= token != EOS
        fed = o if feedback == "logits" else one_hot[token]
        h = np.tanh(W @ np.concatenate([one_hot[token], [1], fed]))
        o = head @ np.append(1, h)
        expected.append(h)
    assert whole(model, TOKENS) == pytest.approx(np.array(expected[1:]).T, abs=1e-5)


def test_a_long_text_is_read_in_streams_nearly_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokens = make("gru"), np.random.default_rng(1).integers(1, V, 3000)
    in_one = whole(model, tokens)
    monkeypatch.setattr(neurons, "_STREAM_TOKENS", 700)
    in_streams = whole(model, tokens)
    assert in_streams == pytest.approx(in_one, abs=1e-5)
    chunks = [places for places, _ in read_activations(model, tokens)]
    assert np.ptp(chunks[0]) >= 700  # there were streams side by side
    assert max(map(len, chunks)) <= 4 * neurons._STEPS


def test_one_unit_is_followed() -> None:
    model = make("lstm", num_layers=2)
    found = follow(model, TOKENS, [Unit(1, 3), Unit(0, 2)])
    assert np.array_equal(found, whole(model, TOKENS).astype(np.float32)[[7, 2]])


def test_the_best_unit_of_one_half_is_judged_by_the_other() -> None:
    model, rng = make("gru", hidden_size=40), np.random.default_rng(2)
    tokens = rng.integers(2, V, 200)
    properties = {"noise": rng.integers(0, 2, 200), "token 3": (tokens == 3).astype(int)}
    units, half = whole(model, tokens), 100
    for found in best_units(model, tokens, properties):
        values = properties[found.property]
        first = [np.corrcoef(row[:half], values[:half])[0, 1] for row in units]
        assert found.unit == Unit(0, int(np.argmax(np.abs(first))))
        assert found.chosen == pytest.approx(first[found.unit.index])
        second = np.corrcoef(units[found.unit.index, half:], values[half:])[0, 1]
        assert found.held_out == pytest.approx(second)
    noise, token = best_units(model, tokens, properties)
    assert noise.chosen is not None
    assert noise.held_out is not None
    assert token.held_out is not None
    assert abs(noise.held_out) < abs(noise.chosen)
    assert abs(token.held_out) > 0.5


def test_a_counter_and_a_detector_that_were_built_are_found() -> None:
    """Units of relu: 0 counts the tokens of a document, 2 answers to a capital, 3 is constant."""
    vocabulary = Vocabulary("ABab")
    model = CharRNN(ModelConfig(len(vocabulary), "rnn", activation="relu", hidden_size=4))
    W, D = model.parameters["layers.0.weight"], len(vocabulary)
    W[0, D] = W[0, D + 1] = W[3, D] = 1
    W[2, [2, 3]] = 1
    reading = Reading.of(["abABbbb", "aB", "bbbAAa", "Aaaaa"] * 3, vocabulary)
    found = {each.property: each for each in best_units(model, reading.ids, reading.properties())}
    for name, unit in (("place in the line", 0), ("after a capital", 2)):
        assert found[name].unit == Unit(0, unit)
        assert found[name].chosen == pytest.approx(1)
        assert found[name].held_out == pytest.approx(1)
    assert found["indentation"] == Finding("indentation", None, None, None)


def test_what_changes_in_one_half_only_is_not_judged_by_the_other() -> None:
    tokens, model = np.array([2, 3, 2, 3, 4, 5, 2, 4]), make("rnn")
    early, late = np.array([0, 1, 0, 1, 0, 0, 0, 0]), np.array([0, 0, 0, 0, 0, 1, 0, 1])
    first, second = best_units(model, tokens, {"early": early, "late": late})
    assert first.unit is not None
    assert first.held_out is None
    assert second == Finding("late", None, None, None)
    assert best_units(model, tokens[:1], {"x": early[:1]}) == [Finding("x", None, None, None)]


def test_ends_of_documents_do_not_count() -> None:
    model, tokens = make("gru"), np.array([2, 3, 4, EOS, 2, 5, 3, EOS] * 4)
    values = np.tile([1, 2, 3, 0], 8)
    (found,) = best_units(model, tokens, {"x": values})
    (other,) = best_units(model, tokens, {"x": np.where(tokens == EOS, 99, values)})
    assert found == other


def test_a_unit_has_a_name() -> None:
    deep, flat = make(num_layers=3), make()
    assert Unit.named("2", flat) == Unit(0, 2)
    assert Unit.named("2", deep) == Unit.named("2.2", deep) == Unit(2, 2)
    assert Unit.named("0.3", deep).name(deep) == "0.3"
    assert Unit.named("0.3", flat).name(flat) == "3"


@pytest.mark.parametrize("name", ["", "4", "-1", "x", "1.0", "0.4", "0.", ".1.1", "²", "9" * 5000])
def test_a_unit_that_is_not_there_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match="neuron must be a number from 0 to 3, not"):
        Unit.named(name, make())


def test_a_network_beside_ngrams_has_units_and_counts_have_none() -> None:
    network = make(ngram=2)
    ngram = fit(config := ngram_config(network.config), count_ngrams(config, np.array([2, 3, EOS])))
    assert network_of(ResidualRNN(network, ngram)) is network
    assert network_of(network) is network
    with pytest.raises(ConfigError, match="only a network has units"):
        network_of(ngram)


def test_numbers_beyond_all_bounds_are_an_error() -> None:
    model = make("rnn", activation="relu")
    model.parameters.flat[:] = 3e38
    with pytest.raises(CheckpointError, match="predictions are not finite"):
        list(read_activations(model, TOKENS))


@pytest.mark.parametrize(
    ("kind", "tokens", "places"),
    [
        (VocabularyConfig(), "각 b", [1, 2, 3]),
        (VocabularyConfig(normalize="nfd"), "각 b", [1, 2, 3, 4, 5]),
        (VocabularyConfig("word"), ["각", " b"], [1, 3]),
    ],
)
def test_properties_are_those_after_each_token(
    kind: VocabularyConfig, tokens: list[str], places: list[int]
) -> None:
    vocabulary = Vocabulary(sorted({*unicodedata.normalize("NFD", "각 b")}), kind)
    reading = Reading.of(["각 b", "각 b"], vocabulary)
    expected = list(vocabulary.split("각 b"))
    assert [list(document) for document in reading.documents] == [expected] * 2
    assert reading.ids[len(expected)] == EOS
    assert reading.properties()["place in the line"].tolist() == [*places, 0, *places]
    assert [part.tolist() for _, part in reading.parts(np.arange(99))] == [
        list(range(len(expected))),
        list(range(len(expected) + 1, 2 * len(expected) + 1)),
    ]


def test_the_parts_of_a_text_from_a_place_on() -> None:
    reading = Reading.of(["abc", "d", "ef"], Vocabulary("abcdef"))
    values = np.arange(len(reading.ids))
    for first, texts in enumerate(["abc d ef", "bc d ef", "c d ef", "d ef", "d ef", "ef", "ef"]):
        parts = list(reading.parts(values, first))
        assert " ".join("".join(tokens) for tokens, _ in parts) == texts
        assert parts[0][1][0] >= first


def test_of_a_text_that_is_too_long_the_beginning_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neurons, "MAX_CHARS", 5)
    vocabulary = Vocabulary("abc")
    cut = Reading.of(iter(["abc", "abc", "abc"]), vocabulary)
    assert (cut.documents, cut.whole) == (["abc", "ab"], False)
    full = Reading.of(["abc", "ab"], vocabulary)
    assert (full.documents, full.whole) == (["abc", "ab"], True)
    assert len(full.ids) == 6


@pytest.mark.parametrize(
    ("tokens", "pieces"),
    [
        ("ab", ["a", "b"]),
        ([" the", "!"], [" the", "!"]),
        (unicodedata.normalize("NFD", "각가é"), ["각", "가", "é"]),
        ("e\u0323\u0302x", ["\u1ec7", "x"]),
        ("q\u0301\u0302x", ["q\u0301\u0302", "x"]),
        ("a👩\u200d👧b", ["a", "👩\u200d👧", "b"]),
        ("", []),
    ],
)
def test_a_text_is_shown_in_pieces_with_the_last_value_of_each(
    tokens: str | list[str], pieces: list[str]
) -> None:
    found = list(as_read(tokens, np.arange(len(tokens), dtype=float)))
    assert [piece for piece, _ in found] == pieces
    sizes = [
        len(unicodedata.normalize("NFD", piece)) if isinstance(tokens, str) else 1
        for piece in pieces
    ]
    assert [value for _, value in found] == (np.cumsum(sizes) - 1).tolist()


def test_shades_are_shares_of_the_largest() -> None:
    pieces = [("a", -0.5), ("b", -0.2), ("c", 0.0), ("d", 0.05), ("e", 0.5), ("f", 0.45)]
    assert list(neurons.shades(pieces, 0.5)) == [(-4, "a"), (-2, "b"), (0, "cd"), (4, "ef")]
    assert list(neurons.shades([("a", 0.0)], 0.0)) == [(0, "a")]
    assert neurons.largest(np.array([0.1, -0.5])) == 0.5
