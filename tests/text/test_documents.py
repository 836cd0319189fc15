from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.text import documents as module
from charrnn.text.documents import END, Documents, Spans
from charrnn.text.unicode import normalize
from charrnn.text.vocabulary import split_words
from tests.conftest import documents_of

quick = settings(deadline=None, max_examples=60, derandomize=True)
texts = st.lists(
    st.text(st.one_of(st.sampled_from("ab \n\0가é"), st.characters(codec="utf-8")), max_size=9),
    max_size=9,
)


@quick
@given(texts)
def test_documents_are_the_texts_without_their_last_newline(found: list[str]) -> None:
    documents = documents_of(found)
    assert [*documents] == [text.removesuffix("\n") for text in found]
    assert len(documents) == len(found)
    assert documents.lengths.tolist() == [*map(len, found)]
    assert documents.chars == sum(map(len, documents))


@quick
@given(texts, st.integers(0, 20))
def test_the_end_of_documents_is_that_of_their_text(found: list[str], chars: int) -> None:
    together = "".join(text.removesuffix("\n") + "\n" for text in found)
    assert documents_of(found).end(chars) == together[max(0, len(together) - chars) :]


@quick
@given(texts, st.integers(1, 9))
def test_documents_are_collected_from_pieces_of_any_size(found: list[str], size: int) -> None:
    together = "".join(text + END for text in found)
    pieces = [together[start : start + size] for start in range(0, len(together), size)]
    assert [*Documents.collect(pieces)] == found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "dtype"),
    [(1, np.uint8), (254, np.uint8), (255, np.uint16), (65_534, np.uint16), (65_535, np.uint32)],
)
def test_a_character_takes_as_few_bytes_as_will_do(size: int, dtype: np.dtype) -> None:
    characters = "".join(map(chr, range(0x10000, 0x10000 + size)))
    part = max(1, size // 100)
    parts = [characters[start : start + part] for start in range(1, size, part)]
    for found in (["aa" + characters[1:]], ["a" * 9, *parts, "a" * 9]):
        documents = documents_of(found)
        assert documents.codes.dtype == dtype
        assert [*documents] == found


def test_the_places_of_documents_take_four_bytes() -> None:
    spans = documents_of(["ab"] * 9).spans
    assert spans.starts.dtype == spans.stops.dtype == spans.ends.dtype == np.int32
    far = Spans.between(np.array([1 << 20, 1 << 40]))
    assert far.places((1 << 40) - 1, 1 << 40).tolist() == [(1 << 40) - 1]


@quick
@given(texts, st.data())
def test_documents_are_selected_without_a_copy(found: list[str], data: st.DataObject) -> None:
    documents = documents_of(found)
    mask = data.draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found)))
    chosen = documents.select(np.array(mask, bool))
    assert [*chosen] == [text for text, kept in zip(documents, mask, strict=True) if kept]
    assert chosen.codes is documents.codes


@quick
@given(texts.filter(len), st.data())
def test_a_document_that_is_cut_off_comes_last(found: list[str], data: st.DataObject) -> None:
    documents = documents_of(found)
    index = data.draw(st.integers(0, len(found) - 1))
    length = data.draw(st.integers(0, len(documents[index])))
    kept, rest = documents.cut_off(index, length)
    others = [text for place, text in enumerate(documents) if place != index]
    assert [*kept] == [*others, documents[index][:length]]
    assert [*rest] == [documents[index][length:]]
    assert kept.cut
    assert not rest.cut


@quick
@given(texts, st.integers(1, 9))
def test_every_character_is_counted(found: list[str], size: int) -> None:
    documents = documents_of(found)
    chosen = documents.select(np.arange(0, len(found), 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PART", size)
        counts = chosen.char_counts()
    assert {char: count for char, count in counts.items() if count} == Counter("".join(chosen))
    assert {*counts} == {*"".join(documents)}


@quick
@given(texts.filter(len), st.integers(1, 9), st.booleans())
def test_fragments_end_where_no_word_does_not(found: list[str], size: int, cut: bool) -> None:
    documents = documents_of(map(normalize, found))
    if cut:
        documents, _ = documents.cut_off(0, len(documents[0]) // 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PART", size)
        fragments = [*documents.fragments()]
    together, words = [""], list[list[str]]([[]])
    for first, *others in fragments:
        together[-1] += first
        words[-1] += split_words(first)
        together += others
        words += map(split_words, others)
    assert together == [*documents, ""]
    assert words == [*map(split_words, together)]


@quick
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(-99, 99), st.integers(1, 99)
)
def test_spans_lie_end_to_end_round_and_round(lengths: list[int], start: int, size: int) -> None:
    stops = np.cumsum(lengths)
    every = Spans.between(stops)
    some = Spans(every.starts[::2], every.stops[::2])
    for spans in (every, some, every.shuffled(np.random.default_rng(0))):
        pairs = zip(spans.starts, spans.stops, strict=True)
        ring = np.concatenate([np.arange(*pair) for pair in pairs])
        assert spans.size == len(ring)
        np.testing.assert_array_equal(np.concatenate([*spans.parts()]), ring)
        expected = ring[np.arange(start, start + size) % len(ring)]
        np.testing.assert_array_equal(spans.places(start, start + size), expected)
