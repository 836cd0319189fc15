"""Surprisal of every character, and the tokens that were likelier."""

import math

import numpy as np
import pytest

from charrnn.config import LINES, ModelConfig, VocabularyConfig
from charrnn.errors import CheckpointError, CorpusError
from charrnn.ids import EOS
from charrnn.inference.sampling import next_tokens
from charrnn.inference.scoring import score
from charrnn.ngrams.kneser_ney import count_ngrams, fit
from charrnn.parallel.threads import Workers
from charrnn.storage.checkpoint import Checkpoint
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import CHARACTERS, JAMO, WORDS, MakeCheckpoint, surprise

pytestmark = pytest.mark.figures


def lively(checkpoint: Checkpoint) -> Checkpoint:
    """The same with a head that prefers some tokens, as no fresh one does."""
    head = checkpoint.model.arrays["head.weight"]
    head[:] = np.random.default_rng(1).normal(size=head.shape)
    return checkpoint


TEXT = "한국 a e\u0301z" * 50  # longer than what is read at a time


@pytest.mark.parametrize("kind", [CHARACTERS, JAMO, WORDS])
@pytest.mark.parametrize("eos", [True, False])
def test_the_bits_are_those_of_the_score(
    make_checkpoint: MakeCheckpoint, workers: Workers, kind: VocabularyConfig, eos: bool
) -> None:
    tokens = ["한국", " a"] if kind is WORDS else "ae\u1112\u1161\u11ab" if kind is JAMO else "ae한"
    model = lively(make_checkpoint(tokens, kind, num_layers=2))
    (expected,) = score(model, [TEXT], eos=eos, workers=workers)
    found = surprise(model, TEXT, eos=eos)
    assert found.score.log_probs == pytest.approx(expected.log_probs, abs=1e-5)
    assert (found.score.unk, found.score.chars) == (expected.unk, expected.chars)
    named = expected.per_token if kind is WORDS else expected.per_char
    assert [place.text for place in found.places()] == [name for name, _ in named]
    log_probs = [place.log_prob for place in found.places()]
    assert log_probs == pytest.approx([log_prob for _, log_prob in named], abs=1e-4)
    assert sum(len(place.steps) for place in found.places()) == expected.num_tokens


def test_the_likeliest_are_those_that_may_come_next(make_checkpoint: MakeCheckpoint) -> None:
    model = lively(make_checkpoint("abcdefgh"))
    for index, place in enumerate(surprise(model, "badge").places()):
        (step,) = place.steps
        ranked = next_tokens(model, "badge"[:index])
        names = [name for name, _ in ranked]
        assert [name for name, _ in step.likeliest] == names[:5]
        assert step.rank == 1 + names.index(place.text)
        assert step.likelier == list(step.likeliest)[: step.rank - 1]
        assert place.bits == pytest.approx(-dict(ranked)[place.text] / math.log(2), abs=1e-5)


def test_entropy_is_the_surprise_that_is_expected(make_checkpoint: MakeCheckpoint) -> None:
    model = lively(make_checkpoint("abcdefgh"))
    for index, place in enumerate(surprise(model, "badge").places()):
        log_probs = np.array([log_prob for _, log_prob in next_tokens(model, "badge"[:index])])
        expected = -(np.exp(log_probs) * log_probs).sum() / math.log(2)
        assert place.entropy == pytest.approx(expected, abs=1e-5)


def test_what_is_given_is_seen_and_not_told(make_checkpoint: MakeCheckpoint) -> None:
    model = lively(make_checkpoint("abc"))
    whole, found = surprise(model, "abcab"), surprise(model, "ab", given="abc")
    assert found.score.text == "ab"
    pairs = zip([*whole.places()][3:], found.places(), strict=True)
    for expected, place in pairs:
        assert (place.text, place.rank) == (expected.text, expected.rank)
        assert place.bits == pytest.approx(expected.bits, abs=1e-4)


def test_a_word_sums_up_its_characters(make_checkpoint: MakeCheckpoint) -> None:
    text = "ab 한국, e\u0301z"
    for kind, tokens in ((CHARACTERS, "ab 한,"), (JAMO, "ab \u1112\u1161\u11ab"), (WORDS, ["ab"])):
        found = surprise(lively(make_checkpoint(tokens, kind)), text)
        words, steps = [*found.words()], [step for place in found.places() for step in place.steps]
        assert [word.text for word in words] == ["ab", " 한국", ",", " éz", "<EOS>"]
        assert [step for word in words for step in word.steps] == steps
        names, log_probs = zip(*found.score.per_word, strict=True)
        assert [word.text for word in words] == [*names]
        assert [word.log_prob for word in words] == pytest.approx(log_probs)
        assert sum(word.entropy for word in words) == pytest.approx(
            sum(place.entropy for place in found.places())
        )
        assert words[1].rank == max(step.rank for step in words[1].steps)
        assert [word.known for word in words[:2]] == [True, False]
        assert len([*found.tokens()]) == found.score.num_tokens


def test_an_ngram_model_has_them_too() -> None:
    config = ModelConfig(5, cell="ngram", order=2)
    counted = fit(config, count_ngrams(config, np.array([2, 3] * 20 + [2, 4, EOS])))
    found = surprise(Checkpoint(counted, Vocabulary("abc"), LINES), "ac")
    (after_a,) = found.place(1).steps
    assert after_a.likeliest[0][0] == "b"  # which follows it most often
    assert (after_a.token, after_a.rank) == ("c", 2)


def test_an_unknown_character_is_named_and_costs_what_unk_does(
    make_checkpoint: MakeCheckpoint,
) -> None:
    model = lively(make_checkpoint("abc"))
    found = surprise(model, "z")
    (step,) = found.place(0).steps
    assert (step.token, step.known) == ("z", False)
    unk, share = dict(next_tokens(model, ""))["<UNK>"], math.log(0x110000 - 0x800 - 3)
    assert step.log_prob == pytest.approx(unk - share, abs=1e-5)
    assert step.log_prob == found.score.per_char[0][1]
    assert found.score.unk == 1


def test_the_worst_places_come_with_the_text_before_them(make_checkpoint: MakeCheckpoint) -> None:
    found = surprise(lively(make_checkpoint("abc")), "abcabcaab")
    worst = found.worst(3)
    bits = sorted((place.bits for place in found.places()), reverse=True)
    assert [place.bits for _, place in worst] == bits[:3]
    for before, place in worst:
        assert f"{before}{place.text}" in "abcabcaab<EOS>"
        assert place.hardest.likelier


def test_where_nothing_was_likelier_nothing_is_among_the_worst() -> None:
    config = ModelConfig(3, cell="ngram", order=2)
    counted = fit(config, count_ngrams(config, np.array([2] * 100 + [EOS])))
    assert surprise(Checkpoint(counted, Vocabulary("a"), LINES), "aaa", eos=False).worst(5) == []


def test_an_empty_text_has_no_places(make_checkpoint: MakeCheckpoint) -> None:
    found = surprise(make_checkpoint("abc"), "", eos=False)
    assert (len(found), [*found.places()], found.worst(3)) == (0, [], [])


def test_what_cannot_be_scored_is_an_error(make_checkpoint: MakeCheckpoint) -> None:
    model = make_checkpoint("abc")
    with pytest.raises(CorpusError, match="not valid Unicode"):
        surprise(model, "\ud800")
    model.model.arrays["head.weight"][:] = np.inf
    with pytest.raises(CheckpointError, match="predictions are not finite"):
        surprise(model, "abc")
