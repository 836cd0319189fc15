import itertools
import math
from collections.abc import Iterable, Sequence

import pytest

from charrnn.config import LINES, WHOLE, VocabularyConfig
from charrnn.errors import CorpusError
from charrnn.ids import UNK
from charrnn.inference.evaluation import evaluate
from charrnn.inference.scores import Score, Total
from charrnn.inference.scoring import (
    score,
    score_in_streams,
    score_pieces,
)
from charrnn.parallel.threads import Workers
from charrnn.text.documents import END, Documents
from charrnn.text.tokens import encode_documents
from charrnn.text.unicode import CHARACTERS as CHARACTERS_OF_UNICODE
from charrnn.text.vocabulary import UNK_CHARACTER
from tests.conftest import CHARACTERS, JAMO, WORDS, MakeCheckpoint, documents_of
from tests.rounding import log_prob_tolerance

pytestmark = pytest.mark.figures

KINDS = pytest.mark.parametrize(
    ("kind", "tokens"),
    [
        (CHARACTERS, "가각 xé\n"),
        (JAMO, "ᄀ\u1161\u11a8 xe\u0301"),
        (WORDS, ["각", " x", "\n", " é"]),
    ],
)
TEXTS = ["각 x é", "x\n각 한국\u0316 .", "", "é", " x" * 400]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_all_texts_up_to_a_length_with_their_ends_add_up_to_one(
    make_checkpoint: MakeCheckpoint, workers: Workers, cell: str
) -> None:
    checkpoint, longest = make_checkpoint("ab", cell=cell), 4
    letters = "ab" + UNK_CHARACTER
    texts = [
        "".join(text)
        for size in range(longest + 1)
        for text in itertools.product(letters, repeat=size)
    ]
    ended = score(checkpoint, texts, eos=True, workers=workers)
    going_on = score(
        checkpoint, [t for t in texts if len(t) == longest], eos=False, workers=workers
    )
    for add_up in (total_of_tokens, total_of_texts):
        ends_before = add_up(s for s in ended if len(s.text) < longest)
        assert ends_before + add_up(going_on) == pytest.approx(1, abs=1e-6)


def total_of_tokens(scores: Iterable[Score]) -> float:
    """P of all texts, where unknown characters are one token."""
    return math.fsum(math.exp(found.token_log_prob) for found in scores)


def total_of_texts(scores: Iterable[Score]) -> float:
    """P of all texts that differ from these in unknown characters only, and of these."""
    unknown = CHARACTERS_OF_UNICODE - 2
    return math.fsum(math.exp(found.log_prob) * unknown**found.unk for found in scores)


def test_per_char_adds_up_to_log_prob(make_checkpoint: MakeCheckpoint, workers: Workers) -> None:
    for eos in (False, True):
        found = score(make_checkpoint(), ["abcab"], eos=eos, workers=workers)[0]
        characters = [char for char, _ in found.per_char]
        assert characters == [*"abcab"] + ["<EOS>"] * eos
        assert math.fsum(log_prob for _, log_prob in found.per_char) == found.log_prob
        assert found.chars == 5 + eos


def test_zero_weights_cost_log2_of_the_vocabulary(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint = make_checkpoint("abcdef")
    for array in checkpoint.model.arrays.values():
        array[:] = 0
    found = score(checkpoint, ["abfe"], workers=workers)[0]
    assert found.bits_per_char == pytest.approx(3, abs=1e-6)
    assert found.perplexity == pytest.approx(8, abs=1e-5)


def test_the_end_counts_as_the_model_was_trained(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    for separator in (WHOLE, LINES, "--"):
        (found,) = score(make_checkpoint(separator=separator), ["ab"], workers=workers)
        assert found.eos == (separator != WHOLE)


def test_unknown_characters_count_and_keep_their_names(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    found = score(make_checkpoint(), ["aΩb€"], eos=False, workers=workers)[0]
    assert found.unk == 2
    assert [char for char, _ in found.per_char] == [*"aΩb€"]
    assert found.unknown_chars == found.unknown_tokens == [False, True, False, True]
    share = math.log(0x110000 - 0x800 - len("abc"))
    assert found.token_log_prob == pytest.approx(found.log_prob + 2 * share)
    assert math.fsum(log_prob for _, log_prob in found.per_char) == found.log_prob


@pytest.mark.parametrize(
    ("kind", "tokens"), [(CHARACTERS, "abc "), (JAMO, "abc "), (WORDS, ["abc", " abc"])]
)
def test_what_a_model_cannot_read_is_less_probable_than_what_it_can(
    make_checkpoint: MakeCheckpoint,
    workers: Workers,
    kind: VocabularyConfig,
    tokens: Sequence[str],
) -> None:
    checkpoint = make_checkpoint(tokens, kind)
    checkpoint.model.arrays["head.weight"][UNK, 0] = 9  # its bias: nothing is likelier
    unreadable, readable = score(checkpoint, ["한글 한글", "abc abc"], workers=workers)
    assert unreadable.token_log_prob > readable.token_log_prob
    assert unreadable.log_prob < readable.log_prob


def test_an_unknown_word_is_spelled_out(make_checkpoint: MakeCheckpoint, workers: Workers) -> None:
    (found,) = score(make_checkpoint(["a"], WORDS), ["a é, x"], workers=workers)
    a_character = math.log(2 * (0x110000 - 0x800))
    assert found.unknown_tokens == [False, True, True, True, False]
    assert found.token_log_prob - found.log_prob == pytest.approx(5 * a_character)
    for tally in (
        score_pieces(make_checkpoint(["a"], WORDS), ["a é", ", x"], eos=True),
        score_in_streams(
            make_checkpoint(["a"], WORDS), documents_of(["a é, x"]), 2, eos=True, workers=workers
        ),
    ):
        assert tally.token_log_prob - tally.log_prob == pytest.approx(5 * a_character)


def test_composed_and_decomposed_text_score_alike(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint = make_checkpoint("é한")
    composed, decomposed = score(checkpoint, ["é한", "e\u0301\u1112\u1161\u11ab"], workers=workers)
    assert composed.per_char == decomposed.per_char


def test_half_a_surrogate_pair_is_no_text(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    with pytest.raises(CorpusError, match="not valid Unicode"):
        score(make_checkpoint(), ["\udcff"], workers=workers)


# Other tokens than composed characters


@pytest.mark.parametrize("eos", [False, True])
def test_a_character_has_the_probability_of_its_jamo(
    make_checkpoint: MakeCheckpoint, workers: Workers, eos: bool
) -> None:
    checkpoint = make_checkpoint("ᄀ\u1161\u11a8x", JAMO)
    (found,) = score(checkpoint, ["가x각한"], eos=eos, workers=workers)
    tokens = [*"ᄀ\u1161xᄀ\u1161\u11a8ᄒ\u1161\u11ab"] + ["<EOS>"] * eos
    assert [token for token, _ in found.per_token] == tokens
    p = [log_prob for _, log_prob in found.per_token]
    assert p == found.log_probs.tolist()
    expected = [p[0] + p[1], p[2], sum(p[3:6]), sum(p[6:9]), *p[9:]]
    assert [char for char, _ in found.per_char] == [*"가x각한"] + ["<EOS>"] * eos
    assert [log_prob for _, log_prob in found.per_char] == pytest.approx(expected)
    assert (found.chars, found.unk) == (4 + eos, 2)
    assert found.unknown_tokens == [token in "ᄒ\u11ab" for token in tokens]
    assert found.unknown_chars == [False, False, False, True] + [False] * eos


def test_a_mark_that_changes_places_is_counted_to_its_own_character(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint = make_checkpoint("ab\u0316\u0301", JAMO)
    (found,) = score(checkpoint, ["ba\u0301\u0316"], eos=False, workers=workers)
    assert [token for token, _ in found.per_token] == [*"ba\u0316\u0301"]
    b, a, below, above = (log_prob for _, log_prob in found.per_token)
    assert dict(found.per_char) == pytest.approx({"b": b, "á": a + above, "\u0316": below})


def test_words_are_scored_by_the_word(make_checkpoint: MakeCheckpoint, workers: Workers) -> None:
    (found,) = score(make_checkpoint(["a", " cat"], WORDS), ["a cat, é"], workers=workers)
    assert [token for token, _ in found.per_token] == ["a", " cat", ",", " é", "<EOS>"]
    assert [log_prob for _, log_prob in found.per_token] == found.log_probs.tolist()
    assert (found.chars, found.unk) == (len("a cat, é") + 1, 2)
    with pytest.raises(ValueError, match="a model of words"):
        _ = found.per_char


@KINDS
def test_bits_are_by_the_character_and_perplexity_by_the_token(
    make_checkpoint: MakeCheckpoint,
    workers: Workers,
    kind: VocabularyConfig,
    tokens: Sequence[str],
) -> None:
    checkpoint = make_checkpoint(tokens, kind)
    for array in checkpoint.model.arrays.values():
        array[:] = 0
    V, total = len(checkpoint.vocabulary), Total()
    for text in TEXTS:
        (found,) = score(checkpoint, [text], workers=workers)
        total.add([found])
        count = len(checkpoint.vocabulary.split(text)) + 1
        nats = count * math.log(V) + math.fsum(found.cost)
        assert found.chars == len(text) + 1
        assert bool(found.unk) == (math.fsum(found.cost) > 0)
        assert found.perplexity == pytest.approx(math.exp(nats / count), rel=1e-5)
        assert found.bits_per_char == pytest.approx(nats / math.log(2) / (len(text) + 1))
    assert total.chars == sum(len(text) + 1 for text in TEXTS)
    assert total.token_log_prob == pytest.approx(-total.num_tokens * math.log(V), rel=1e-5)


@KINDS
@pytest.mark.parametrize("separator", [WHOLE, LINES, "--"])
def test_a_split_is_evaluated_as_its_documents_are_scored(
    make_checkpoint: MakeCheckpoint,
    workers: Workers,
    kind: VocabularyConfig,
    tokens: Sequence[str],
    separator: str,
) -> None:
    checkpoint, total = make_checkpoint(tokens, kind, separator=separator), Total()
    total.add(score(checkpoint, TEXTS, workers=workers))
    split = encode_documents(checkpoint.vocabulary, documents_of(TEXTS))
    found = evaluate(checkpoint.model, split, workers, count_eos=checkpoint.count_eos)
    assert (found.chars, found.unk, found.tokens) == (total.chars, total.unk, total.num_tokens)
    assert found.nats == pytest.approx(-total.token_log_prob)


LONG = "abcab cabc\n" * 150 + "bca"


@pytest.mark.parametrize("eos", [True, False])
@pytest.mark.parametrize("config", [CHARACTERS, WORDS, JAMO])
def test_a_long_text_in_pieces_scores_as_in_one(
    make_checkpoint: MakeCheckpoint, workers: Workers, config: VocabularyConfig, eos: bool
) -> None:
    tokens = ["a", "b", "c", " "] if config.tokens == "char" else ["abcab", " cabc", "bca"]
    checkpoint = make_checkpoint(tokens, config, separator=WHOLE)
    (whole,) = score(checkpoint, [LONG], eos=eos, workers=workers)
    pieces = [LONG[start : start + 37] for start in range(0, len(LONG), 37)]
    tally = score_pieces(checkpoint, pieces, eos=eos)
    assert tally.log_prob == pytest.approx(whole.log_prob, rel=1e-6)
    assert tally.bits_per_char == pytest.approx(whole.bits_per_char, rel=1e-6)
    assert tally.perplexity == pytest.approx(whole.perplexity, rel=1e-6)
    assert (tally.chars, tally.num_tokens) == (whole.chars, whole.num_tokens)
    assert (tally.unk, tally.eos) == (whole.unk, eos)


@pytest.mark.parametrize("eos", [True, False])
@pytest.mark.parametrize("streams", [1, 2, 7, 40])
def test_streams_count_every_token_once_and_cost_next_to_nothing(
    make_checkpoint: MakeCheckpoint, streams: int, eos: bool
) -> None:
    checkpoint = make_checkpoint(["a", "b", "c", " "], separator=WHOLE)
    documents = Documents.collect([LONG + END])
    found = []
    for threads in (1, 2):
        with Workers(threads) as workers:
            found.append(score_in_streams(checkpoint, documents, streams, eos=eos, workers=workers))
            (whole,) = score(checkpoint, [LONG], eos=eos, workers=workers)
    assert found[0].log_prob == found[1].log_prob
    assert found[0].log_prob == pytest.approx(whole.log_prob, rel=1e-5)
    for tally in found:
        assert (tally.chars, tally.num_tokens) == (whole.chars, whole.num_tokens)
        assert (tally.unk, tally.eos) == (whole.unk, eos)


def test_a_text_of_nothing_has_no_figures_in_pieces_or_streams_either(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint, nothing = make_checkpoint(), Documents.collect([])
    (end,) = score(checkpoint, [""], eos=True, workers=workers)
    for eos, log_prob in ((False, 0), (True, end.log_prob)):
        for tally in (
            score_pieces(checkpoint, [""], eos=eos),
            score_in_streams(checkpoint, nothing, 8, eos=eos, workers=workers),
        ):
            assert tally.log_prob == pytest.approx(log_prob)
            assert tally.chars == tally.num_tokens == eos
            if not eos:
                assert tally.bits_per_char is tally.perplexity is None


# What is given before a text


def test_what_is_given_is_not_scored(make_checkpoint: MakeCheckpoint, workers: Workers) -> None:
    for kind, tokens in ((CHARACTERS, "abc "), (JAMO, "abc "), (WORDS, ["a", " b", " c"])):
        checkpoint = make_checkpoint(tokens, kind)
        (before,) = score(checkpoint, ["a b"], eos=False, workers=workers)
        for eos in (True, False):
            (whole,) = score(checkpoint, ["a b c"], eos=eos, workers=workers)
            (found,) = score(checkpoint, [" c"], given="a b", eos=eos, workers=workers)
            assert found.text == " c"
            assert found.chars == 2 + eos
            rest = whole.log_prob - before.log_prob
            assert found.log_prob == pytest.approx(rest, abs=log_prob_tolerance(6, 100))


def test_every_text_may_have_its_own(make_checkpoint: MakeCheckpoint, workers: Workers) -> None:
    checkpoint, texts, given = make_checkpoint(), ["b", "c", ""], ["a", "", "bc"]
    together = score(checkpoint, texts, given=given, workers=workers)
    for found, text, before in zip(together, texts, given, strict=True):
        (alone,) = score(checkpoint, [text], given=before, workers=workers)
        assert found.log_prob == pytest.approx(alone.log_prob, abs=log_prob_tolerance(4, 100))


@pytest.mark.parametrize(
    ("kind", "tokens", "given", "text", "counted"),
    [
        (WORDS, ["The", " cat"], "The c", "at.", " cat."),
        (WORDS, ["The", " cat"], "The ", "cat", " cat"),
        (CHARACTERS, "aé", "ae", "\u0301a", "éa"),
        (CHARACTERS, "하한", "하", "\u11ab", "한"),
        (JAMO, "ᄒ\u1161\u11ab", "하", "\u11ab", "\u11ab"),
    ],
)
def test_a_token_that_begins_in_what_is_given_counts_as_a_whole(
    make_checkpoint: MakeCheckpoint,
    workers: Workers,
    kind: VocabularyConfig,
    tokens: Sequence[str],
    given: str,
    text: str,
    counted: str,
) -> None:
    checkpoint = make_checkpoint(tokens, kind)
    (found,) = score(checkpoint, [text], given=given, workers=workers)
    assert found.text == counted
    assert checkpoint.vocabulary.split(found.text) == found.tokens


def test_words_add_up_to_the_text(make_checkpoint: MakeCheckpoint, workers: Workers) -> None:
    text = "The cat’s 각,\n고양이 e\u0301! 猫は"
    words = ["The", " cat’s", " 각", ",", "\n", "고양이", " é", "!", " 猫", "は", "<EOS>"]
    for kind in (CHARACTERS, JAMO, WORDS):
        tokens = ["The", " é"] if kind is WORDS else "Thecat "
        (found,) = score(make_checkpoint(tokens, kind), [text], workers=workers)
        assert [word for word, _ in found.per_word] == words
        sums = [log_prob for _, log_prob in found.per_word]
        assert math.fsum(sums) == pytest.approx(found.log_prob)
        if kind is CHARACTERS:
            characters = [log_prob for _, log_prob in found.per_char]
            assert sums[1] == pytest.approx(math.fsum(characters[3:9]))
