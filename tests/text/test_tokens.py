import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.config import VocabularyConfig
from charrnn.ids import EOS, IGNORE
from charrnn.text import documents as module
from charrnn.text.documents import Documents
from charrnn.text.tokens import (
    Encoded,
    Tokens,
    encode_documents,
    evenly_spaced,
    learn_vocabulary,
    split_documents,
    tokenize,
)
from charrnn.text.unicode import normalize
from charrnn.text.vocabulary import Vocabulary
from tests.conftest import CHARACTERS, JAMO, WORDS, documents_of

Array = np.ndarray

quick = settings(deadline=None, max_examples=60, derandomize=True)
KINDS = [CHARACTERS, JAMO, WORDS]
some_documents = st.lists(st.text("abc\n", max_size=6), min_size=1, max_size=6)
composed = st.text("각a\u0301 \n'").map(normalize)


def made(texts: list[str], cut: bool = False) -> Documents:
    """Documents, the last of which goes on somewhere else if it is cut."""
    if not cut:
        return documents_of(text + "\n" for text in texts)
    whole = documents_of([*(text + "\n" for text in texts[:-1]), texts[-1] + "tail"])
    return whole.cut_off(len(texts) - 1, len(texts[-1]))[0]


@quick
@given(some_documents, st.booleans())
def test_every_document_ends_with_eos_and_a_cut_one_with_ignore(
    documents: list[str], cut: bool
) -> None:
    vocabulary = Vocabulary("ab\n")
    expected = [id for text in documents for id in (*vocabulary.encode(text).tolist(), EOS)]
    if cut:
        expected[-1] = IGNORE
    split = encode_documents(vocabulary, made(documents, cut))
    tokens = split.tokens
    assert tokens.tolist() == expected
    assert split.num_chars(eos=False) == sum(map(len, documents))
    assert split.num_chars(eos=True) == np.count_nonzero(tokens != IGNORE)
    assert tokens.dtype == vocabulary.dtype


@quick
@given(some_documents, st.booleans())
def test_split_documents_is_the_inverse(documents: list[str], cut: bool) -> None:
    vocabulary = Vocabulary("abc\n")
    tokens = encode_documents(vocabulary, made(documents, cut)).tokens
    parts = split_documents(tokens)
    assert [vocabulary.decode(part[:-1]) for part in parts] == documents
    assert all(np.shares_memory(part, tokens) for part in parts)


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(st.lists(composed, min_size=1, max_size=6), st.booleans())
def test_characters_are_counted_in_nfc_whatever_the_tokens_are(
    kind: VocabularyConfig, documents: list[str], cut: bool
) -> None:
    vocabulary = Vocabulary.from_texts(documents, kind)
    split = encode_documents(vocabulary, made(documents, cut))
    assert split.num_chars(eos=False) == sum(map(len, documents))
    assert split.num_chars(eos=True) == sum(map(len, documents)) + len(documents) - cut
    parts = split_documents(split.tokens)
    assert [vocabulary.decode(part[:-1]) for part in parts] == documents
    assert [int(part[-1]) for part in parts[:-1]] == [EOS] * (len(documents) - 1)


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(st.lists(composed, min_size=1, max_size=6), st.booleans(), st.integers(1, 9))
def test_the_vocabulary_is_that_of_the_documents_and_no_more(
    kind: VocabularyConfig, texts: list[str], cut: bool, size: int
) -> None:
    expected = Vocabulary.from_texts(texts, kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PART", size)
        documents = made(texts, cut)
        assert learn_vocabulary(documents, kind).tokens == expected.tokens
        twice = VocabularyConfig(kind.tokens, kind.normalize, min_count=2)
        assert (
            learn_vocabulary(documents, twice).tokens == Vocabulary.from_texts(texts, twice).tokens
        )


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(st.lists(composed, min_size=1, max_size=6), st.booleans(), st.integers(1, 9))
def test_documents_are_encoded_in_parts_of_any_size(
    kind: VocabularyConfig, texts: list[str], cut: bool, size: int
) -> None:
    vocabulary = Vocabulary.from_texts(["".join(texts)[::2]], kind)
    expected = [id for text in texts for id in (*vocabulary.encode(text).tolist(), EOS)]
    if cut:
        expected[-1] = IGNORE
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PART", size)
        tokens = tokenize(vocabulary, made(texts, cut))
        assert tokens.array().tolist() == expected
    assert len(tokens) == len(expected)
    assert tokens.array().dtype == tokens.dtype == vocabulary.dtype


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(st.lists(composed, min_size=1, max_size=6), st.data())
def test_documents_keep_their_order_wherever_they_lie(
    kind: VocabularyConfig, texts: list[str], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(texts))))
    vocabulary = Vocabulary.from_texts(texts, kind)
    tokens = tokenize(vocabulary, made(texts).select(np.array(order)))
    ordered = [texts[index] for index in order]
    expected = [id for text in ordered for id in (*vocabulary.encode(text).tolist(), EOS)]
    assert tokens.array().tolist() == expected


def test_characters_take_no_memory_beside_the_documents() -> None:
    documents = documents_of(["abc"] * 10).select(np.arange(3, 7))
    tokens = tokenize(Vocabulary("abc"), documents)
    assert np.shares_memory(tokens.codes, documents.codes)
    assert tokens.array().tolist() == [2, 3, 4, EOS] * 4


@quick
@given(some_documents, st.integers(-50, 50), st.integers(1, 50), st.booleans(), st.integers(0, 9))
def test_tokens_are_read_round_and_round(
    texts: list[str], start: int, size: int, cut: bool, seed: int
) -> None:
    tokens = tokenize(Vocabulary("abc\n"), made(texts, cut))
    for found in (tokens, Tokens.of(tokens.array()), tokens.shuffled(np.random.default_rng(seed))):
        ring = found.array()
        expected = ring[np.arange(start, start + size) % len(ring)]
        np.testing.assert_array_equal(found.slice(start, start + size), expected)
    documents = sorted(part.tolist() for part in split_documents(tokens.array()))
    if not cut:
        assert sorted(part.tolist() for part in split_documents(ring)) == documents


@quick
@given(st.lists(st.integers(0, 400), min_size=1, max_size=40), st.integers(160, 2000))
def test_a_sample_is_whole_lines_where_they_are_short_and_ends_as_a_split_does(
    lengths: list[int], most: int
) -> None:
    parts = [np.append(np.arange(2, 2 + length), EOS) for length in lengths]
    whole = Encoded(np.concatenate(parts).astype(np.int16), sum(lengths))
    sample = whole.sample(most)
    if len(whole.tokens) <= most:
        assert sample is whole
        return
    assert most / 3 < len(sample.tokens) <= most
    assert sample.tokens[-1] <= EOS
    assert sample.chars == pytest.approx(np.count_nonzero(sample.tokens > EOS), abs=1)
    read = [part for part in split_documents(sample.tokens) if len(part) > 1]
    assert all((np.diff(part[:-1]) == 1).all() for part in read)  # each is a part of one


def test_a_sample_of_short_lines_begins_with_none_of_them_cut() -> None:
    lines = np.tile([2, 3, 4, EOS], 500)
    sample = Encoded(lines, 1500).sample(320)
    documents = split_documents(sample.tokens)
    assert all(part[0] == 2 for part in documents)
    assert evenly_spaced(100, 100) == [(0, 100)]
    found = evenly_spaced(1000, 160)
    assert (found[0][0], found[-1][1]) == (0, 1000)
    assert sum(stop - start for start, stop in found) == 160
