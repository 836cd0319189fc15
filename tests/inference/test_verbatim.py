"""Copied stretches against a brute-force search for every part of a text."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.config import LINES, WHOLE
from charrnn.inference.verbatim import (
    Automaton,
    Stretch,
    copied_stretches,
    covered,
    whole_documents,
)
from charrnn.text.corpus import read_corpus
from tests.conftest import documents_of

LETTERS = st.text("ab가é\n", max_size=30)


def brute_force(text: str, documents: list[str], min_chars: int) -> list[Stretch]:
    """The maximal stretches that occur in a document, by brute force."""

    def stands(start: int, stop: int) -> bool:
        inside = start >= 0 and stop <= len(text)
        return inside and any(text[start:stop] in document for document in documents)

    found = [
        Stretch(start, stop)
        for start in range(len(text))
        for stop in range(start + min_chars, len(text) + 1)
        if stands(start, stop) and not stands(start - 1, stop) and not stands(start, stop + 1)
    ]
    return sorted(found, key=lambda stretch: -len(stretch))


@given(st.lists(LETTERS, max_size=4), st.lists(LETTERS, min_size=1, max_size=4), st.integers(1, 6))
def test_stretches_are_those_that_brute_force_finds(
    texts: list[str], documents: list[str], min_chars: int
) -> None:
    kept = [document.removesuffix("\n") for document in documents]  # the file's last newline
    found = copied_stretches(texts, documents_of(documents), min_chars)
    assert found == [brute_force(text, kept, min_chars) for text in texts]


def test_a_stretch_may_lie_anywhere_in_a_long_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    import charrnn.inference.verbatim

    monkeypatch.setattr(charrnn.inference.verbatim, "_PART", 64)
    text = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(1000))
    for start in range(0, 900, 13):
        (found,) = copied_stretches(["x" + text[start : start + 100] + "y"], documents_of([text]))
        assert found == [Stretch(1, 101)]


def test_many_texts_are_looked_for_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["one two", "", "three four", "five", "x" * 30, "six seven eight", ""] * 3
    corpus = documents_of(["two three", "seven", "e four"])
    at_once = copied_stretches(texts, corpus, 3)
    sizes = []
    monkeypatch.setattr("charrnn.inference.verbatim._TEXTS", 16)
    init = Automaton.__init__

    def noted(self: Automaton, sequence: Sequence[int]) -> None:
        sizes.append(len(sequence))
        init(self, sequence)

    monkeypatch.setattr(Automaton, "__init__", noted)
    assert copied_stretches(texts, corpus, 3) == at_once
    assert max(sizes) < 16 + 30 + 8
    assert len(sizes) > 6


def test_whole_documents(tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("anna\n\nbe\u0301\r\njoanna")
    assert whole_documents(read_corpus([str(file)], separator=LINES).documents) == {
        "anna", "bé", "joanna",
    }  # fmt: skip
    whole = whole_documents(read_corpus([str(file)], separator=WHOLE).documents)
    assert whole == {"anna\n\nbé\njoanna"}


def test_no_stretch_spans_two_documents_or_two_texts() -> None:
    corpus = documents_of(["first half", "second half"])
    assert copied_stretches(["first halfsecond half"], corpus, 5) == [
        [Stretch(10, 21), Stretch(0, 10)]
    ]
    assert copied_stretches(["seco", "nd half"], corpus, 5) == [[], [Stretch(0, 7)]]


def test_nothing_is_copied_from_an_empty_corpus_or_by_a_short_text() -> None:
    assert copied_stretches(["abc"], documents_of([]), 1) == [[]]
    assert copied_stretches(["", "abc"], documents_of(["abc"]), 4) == [[], []]
    assert copied_stretches([], documents_of(["abc"])) == []


def test_a_corpus_of_one_character_is_read_in_linear_time() -> None:
    corpus = documents_of(["a" * 300_000])
    (found,) = copied_stretches(["b" + "a" * 3000 + "b"], corpus)
    assert found == [Stretch(1, 3001)]


def test_decomposed_files_are_compared_composed(tmp_path: Path) -> None:
    file = tmp_path / "nfd.txt"
    file.write_text("xe\u0301\u1112\u1161\u11aby\r\nz", encoding="utf-8")
    corpus = read_corpus([str(file)], separator=WHOLE).documents
    assert copied_stretches(["é한y\nz"], corpus, 2) == [[Stretch(0, 5)]]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)), max_size=6))
def test_covered_stretches_hold_the_same_characters_once(pairs: list[tuple[int, int]]) -> None:
    stretches = [Stretch(start, start + size) for start, size in pairs]
    found = covered(stretches)
    places = {place for stretch in stretches for place in range(stretch.start, stretch.stop)}
    assert [place for stretch in found for place in range(stretch.start, stretch.stop)] == sorted(
        places
    )
    assert all(one.stop < two.start for one, two in pairwise(found))
