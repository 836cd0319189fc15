import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.errors import CorpusError
from charrnn.text.unicode import (
    CODE_POINTS,
    Composer,
    _is_mark,
    code_points,
    from_code_points,
    normalize,
    places_of_parts,
    sum_composed,
)

quick = settings(deadline=None, max_examples=40, derandomize=True)
thorough = settings(quick, max_examples=200)
TRICKY = "ab \n\0é각힣ᄀ\u1161\u0301\ufffd\ufeff\uffff😀𐍈\U0010ffff"
texts = st.text(st.one_of(st.sampled_from(TRICKY), st.characters(codec="utf-8")), max_size=40)


@pytest.mark.parametrize(
    ("spelled", "composed"),
    [("e\u0301", "é"), ("\u1112\u1161\u11ab", "한"), ("\u1100\u1161", "가"), ("\u212b", "\u00c5")],
)
def test_spellings_of_one_character_become_one(spelled: str, composed: str) -> None:
    assert normalize(spelled) == composed
    assert normalize(f"x{spelled}y") == f"x{composed}y"


@quick
@given(texts)
def test_normalize_gives_all_canonical_spellings_the_same_form(text: str) -> None:
    normal = normalize(text)
    assert normalize(unicodedata.normalize("NFD", text)) == normal
    assert normalize(normal) == normal
    assert unicodedata.is_normalized("NFC", normal)


def test_byte_order_marks_are_dropped_before_composing() -> None:
    assert normalize("\ufeffe\ufeff\u0301x\ufeff") == "éx"


@pytest.mark.parametrize("text", ["a\ud800", "é\udfff가", "x\udc80"])
def test_half_a_surrogate_pair_is_no_text(text: str) -> None:
    with pytest.raises(CorpusError, match="not valid Unicode at character 1"):
        normalize(text)


@quick
@given(texts)
def test_the_text_of_code_points_is_the_one_they_are_from(text: str) -> None:
    for each in (text, "\udc00" + text):  # half a surrogate pair, as marks in corpora are
        assert code_points(each).tolist() == [*map(ord, each)]
        assert from_code_points(code_points(each)) == each


# Composing what comes bit by bit


NASTY = [
    *"ae\u0301\u0323\u0302\u0316\u0308\u0304\u0344",  # marks that change places and combine
    *"ᄀ\u1161\u11a8\u11a7가각",  # jamo, alone too, and a final that is none
    *"\u212b\u2126\ufb1d\u0958",  # never composed again
    *"\u09c7\u09be\u0dd9\u0dcf\u0dca\u0cc6\u0cc2\u0cd5\u1025\u102e",  # composites of two starters
    *"\u0f71\u0f72\u0f74\u0f80\u302a\u3099か\ufffd \n",
]
nasty = st.lists(
    st.one_of(st.sampled_from(NASTY), st.characters(codec="utf-8", exclude_characters="\ufeff")),
    max_size=12,
)


def composed(characters: str) -> list[tuple[str, float]]:
    """What a composer gives for them, each with a log P of its own."""
    composer, final = Composer(), normalize(characters)
    found: list[tuple[str, float]] = []
    for place, char in enumerate(characters):
        found += composer.push(char, -(2.0**place))
        settled = "".join(text for text, _ in found)
        assert final.startswith(settled)
    return found + composer.flush()


@thorough
@given(nasty)
def test_composing_bit_by_bit_is_composing_at_once(parts: list[str]) -> None:
    canonical = unicodedata.normalize("NFD", "".join(parts))
    disordered = "".join(unicodedata.normalize("NFD", part) for part in parts)
    for text in (canonical, disordered):
        found = composed(text)
        assert "".join(char for char, _ in found) == normalize(text)
        assert all(len(char) == 1 for char, _ in found)
        assert -sum(log_prob for _, log_prob in found) == 2 ** len(text) - 1


@thorough
@given(nasty)
def test_each_composed_character_has_the_sum_of_its_parts(parts: list[str]) -> None:
    text = normalize("".join(parts))
    values = [2.0**place for place in range(len(unicodedata.normalize("NFD", text)))]
    sums = sum_composed(text, values)
    assert len(sums) == len(text)
    assert sum(sums) == sum(values)
    assert [f"{int(total):b}".count("1") for total in sums] == [
        len(unicodedata.normalize("NFD", char)) for char in text
    ]


@thorough
@given(nasty)
def test_the_parts_of_a_character_are_told_from_those_of_its_neighbours(parts: list[str]) -> None:
    text = normalize("".join(parts))
    found: dict[int, str] = dict.fromkeys(range(len(text)), "")
    for char, place in zip(unicodedata.normalize("NFD", text), places_of_parts(text), strict=True):
        found[place] += char
    assert [*found.values()] == [unicodedata.normalize("NFD", char) for char in text]


def test_a_mark_between_a_letter_and_its_accent_is_not_counted_to_it() -> None:
    assert normalize("a\u0316\u0301") == "á\u0316"
    assert sum_composed("á\u0316", [1, 2, 4]) == [5, 2]
    assert composed("a\u0316\u0301") == [("á", -5), ("\u0316", -2)]
    assert composed("a\u0301\u0316") == [("á", -3), ("\u0316", -4)]


def test_a_syllable_is_settled_when_the_next_one_begins() -> None:
    composer = Composer()
    found = [composer.push(char, -1.0) for char in "ᄀ\u1161\u11a8ᄂ\u1161 ᅡ"]
    settled = [[], [], [], [("각", -3)], [], [("나", -2)], [(" ", -1)]]
    assert found == settled
    assert composer.held == "ᅡ"
    assert composer.flush() == [("ᅡ", -1)]
    assert composer.flush() == []


# Marks in masses


def by_the_book(text: str) -> str:
    """NFC of a letter and its marks, sorted as the Unicode Standard has it."""
    decomposed = [part for char in text for part in unicodedata.normalize("NFD", char)]
    return unicodedata.normalize("NFC", "".join(sorted(decomposed, key=unicodedata.combining)))


@given(st.text("\u0301\u0316\u0334\u0345\u0344\u0f73\u0f71\u3099", min_size=1), st.integers(0, 300))
def test_masses_of_marks_are_composed_as_few_are(marks: str, start: int) -> None:
    text = "x" * start + "e" + marks * (1 + 600 // len(marks)) + "e" + marks
    assert normalize(text) == unicodedata.normalize("NFC", text)


@pytest.mark.slow
def test_a_million_marks_are_composed_at_once() -> None:
    for marks in ("\u0301\u0316", "\u0f73\u0316"):
        text = "e" + marks * 500_000
        assert normalize(text) == by_the_book(text)


def test_all_that_is_made_of_marks_is_known_as_a_mark() -> None:
    for char in map(chr, range(CODE_POINTS)):
        first = unicodedata.normalize("NFD", char)[0]
        assert _is_mark(char) == (unicodedata.combining(first) > 0)


def test_masses_of_marks_are_held_back_at_once() -> None:
    composer = Composer()
    settled = [composer.push(char, -1.0) for char in "e" + "\u0301\u0316" * 20_000]
    assert not any(settled)
    settled = [composer.push("e", -1.0)]
    assert len(settled[0]) == 40_000
    assert sum(log_prob for _, log_prob in settled[0]) == -40_001
