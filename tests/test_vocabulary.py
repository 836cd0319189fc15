import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import vocabulary as module
from charrnn.config import VocabularyConfig
from charrnn.errors import CorpusError
from charrnn.functional import IGNORE
from charrnn.vocabulary import EOS, NUM_SPECIAL, UNK, UNK_CHARACTER, Vocabulary, normalize

quick = settings(deadline=None, max_examples=40, derandomize=True)
TRICKY = "ab \n\0é각힣ᄀ\u1161\u0301\ufffd\ufeff\uffff😀𐍈\U0010ffff"
texts = st.text(st.one_of(st.sampled_from(TRICKY), st.characters(codec="utf-8")), max_size=40)


def test_the_smallest_vocabulary_is_eos_and_unk() -> None:
    empty = Vocabulary.from_texts([])
    assert len(empty) == NUM_SPECIAL == len({EOS, UNK})
    assert empty.encode("ab").tolist() == [UNK, UNK]


def test_hello_is_four_characters_and_two_tokens() -> None:
    hello = Vocabulary.from_texts(["hello"])
    assert hello.tokens == ("e", "h", "l", "o")
    assert len(hello) == 6
    assert hello.encode("hello").tolist() == [3, 2, 4, 4, 5]


@quick
@given(st.lists(texts, max_size=4))
def test_ids_follow_code_points_whatever_the_order_of_the_texts(found: list[str]) -> None:
    characters = Vocabulary.from_texts(found).tokens
    assert [*characters] == sorted(set("".join(found)), key=ord)
    assert Vocabulary.from_texts(reversed(found)).tokens == characters


@quick
@given(texts)
def test_decode_is_the_inverse_of_encode(text: str) -> None:
    vocabulary = Vocabulary.from_texts([text])
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert (ids >= NUM_SPECIAL).all()
    assert (ids < len(vocabulary)).all()
    assert ids.dtype == vocabulary.dtype


@quick
@given(texts, texts)
def test_a_character_outside_the_vocabulary_is_unk(known: str, text: str) -> None:
    vocabulary = Vocabulary.from_texts([known])
    ids = vocabulary.encode(text)
    assert (ids == UNK).tolist() == [char not in known for char in text]
    expected = "".join(char if char in known else UNK_CHARACTER for char in text)
    assert vocabulary.decode(ids) == expected


def test_eos_reads_as_nothing() -> None:
    assert Vocabulary("ab").decode([EOS, 2, EOS, 3, EOS]) == "ab"


@quick
@given(st.lists(st.text("abcd"), max_size=4), st.integers(1, 6))
def test_min_count_counts_over_all_texts(found: list[str], min_count: int) -> None:
    counts = Counter("".join(found))
    expected = {char for char in counts if counts[char] >= min_count}
    assert {*Vocabulary.from_texts(found, VocabularyConfig(min_count=min_count)).tokens} == expected


def test_a_text_is_counted_whole_in_parts_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    text = TRICKY + "aab"
    for size in (1, 2, 5, len(text)):
        monkeypatch.setattr(module, "_PART", size)
        assert Vocabulary.from_texts([text]).tokens == tuple(sorted(set(text)))
        assert Vocabulary.from_texts([text], 2).tokens == ("a", "b")


@pytest.mark.parametrize(
    ("size", "dtype"),
    [(0, np.int8), (126, np.int8), (127, np.int16), (32_766, np.int16), (32_767, np.int32)],
)
def test_the_dtype_is_the_smallest_that_holds_every_id_and_ignore(
    size: int, dtype: np.dtype
) -> None:
    vocabulary = Vocabulary([chr(0x10000 + index) for index in range(size)])
    assert vocabulary.dtype == dtype
    for number in (len(vocabulary) - 1, IGNORE):
        assert np.array(number).astype(vocabulary.dtype) == number


def test_the_last_id_survives_encoding() -> None:
    characters = [chr(0x10000 + index) for index in range(126)]
    assert Vocabulary(characters).encode(characters[-1]).tolist() == [127]


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


@pytest.mark.parametrize("text", ["a\ud800", "é\udfff가", "x\udc80"])
def test_half_a_surrogate_pair_is_no_text(text: str) -> None:
    with pytest.raises(CorpusError, match="not valid Unicode at character 1"):
        normalize(text)
