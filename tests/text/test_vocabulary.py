import unicodedata
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.config import VocabularyConfig
from charrnn.errors import ConfigError
from charrnn.ids import EOS, IGNORE, NUM_SPECIAL, UNK
from charrnn.text.unicode import normalize
from charrnn.text.vocabulary import UNK_CHARACTER, Vocabulary, split_words
from tests.conftest import CHARACTERS, JAMO, WORDS

quick = settings(deadline=None, max_examples=40, derandomize=True)
TRICKY = "ab \n\0é각힣ᄀ\u1161\u0301\ufffd\ufeff\uffff😀𐍈\U0010ffff"
texts = st.text(st.one_of(st.sampled_from(TRICKY), st.characters(codec="utf-8")), max_size=40)
texts = texts.map(normalize)


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


@quick
@given(st.lists(texts, max_size=3), st.sampled_from([CHARACTERS, JAMO]), st.integers(1, 3))
def test_counts_of_characters_give_the_vocabulary_of_their_texts(
    found: list[str], kind: VocabularyConfig, min_count: int
) -> None:
    config = VocabularyConfig(kind.tokens, kind.normalize, min_count)
    counts = Counter("".join(found))
    expected = Vocabulary.from_texts(found, config)
    assert Vocabulary.from_counts(counts, config).tokens == expected.tokens


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


def test_a_document_that_begins_with_a_mark_is_not_composed_with_the_one_before() -> None:
    assert Vocabulary.from_texts(["e", "\u0301"]).tokens == ("e", "\u0301")


# Vocabularies of any kind of token


@pytest.mark.parametrize("kind", [CHARACTERS, JAMO, WORDS])
@quick
@given(st.lists(texts, min_size=1, max_size=3))
def test_known_tokens_of_any_kind_are_decoded_to_their_text(
    kind: VocabularyConfig, found: list[str]
) -> None:
    vocabulary = Vocabulary.from_texts(found, kind)
    assert [*vocabulary.tokens] == sorted(set(vocabulary.tokens))
    for text in found:
        ids = vocabulary.encode(text)
        assert (ids >= NUM_SPECIAL).all()
        assert [vocabulary.token(id) for id in ids] == [*vocabulary.split(text)]
        assert vocabulary.decode(ids) == text


def test_hangul_taken_apart_is_jamo_and_composed_again() -> None:
    vocabulary = Vocabulary.from_texts(["각가"], JAMO)
    assert vocabulary.tokens == ("ᄀ", "ᅡ", "ᆨ")
    assert vocabulary.encode("가각나").tolist() == [2, 3, 2, 3, 4, UNK, 3]
    assert vocabulary.decode([2, 3, 4, 2, 3]) == "각가"


def test_words_outside_the_vocabulary_are_unk() -> None:
    vocabulary = Vocabulary.from_texts(["a cat", "a mat"], WORDS)
    assert vocabulary.tokens == (" cat", " mat", "a")
    ids = vocabulary.encode("a dog cat\n")
    assert ids.tolist() == [4, UNK, 2, UNK]
    assert vocabulary.decode(ids) == "a\ufffd cat\ufffd"


@quick
@given(
    st.lists(st.text("ab cd\n", max_size=8), max_size=5),
    st.sampled_from([CHARACTERS, JAMO, WORDS]),
    st.integers(1, 3),
    st.integers(1, 4),
)
def test_the_most_frequent_tokens_are_kept_and_the_first_of_equals(
    found: list[str], kind: VocabularyConfig, min_count: int, size: int
) -> None:
    limited = VocabularyConfig(kind.tokens, kind.normalize, min_count, size)
    counts = Counter(token for text in found for token in Vocabulary([], kind).split(text))
    ranking = sorted(counts, key=lambda token: (-counts[token], token))
    expected = [token for token in ranking if counts[token] >= min_count][:size]
    assert [*Vocabulary.from_texts(found, limited).tokens] == sorted(expected)
    assert [*Vocabulary.from_texts(found[::-1], limited).tokens] == sorted(expected)


def test_ten_thousand_words_are_kept_and_all_characters() -> None:
    text = "".join(f"{number}\n" for number in range(12_000)) + "7 " * 2
    words = Vocabulary.from_texts([text], WORDS).tokens
    assert len(words) == 10_000
    assert {"\n", "7", " 7"} <= {*words}
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 12_000)))
    assert len(Vocabulary.from_texts([text]).tokens) == 12_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tokens": "word", "normalize": "nfd"}, "nfd is for characters, not for words"),
        ({"tokens": "syllable"}, "tokens must be one of char, word"),
        ({"normalize": "nfkc"}, "normalize must be one of nfc, nfd"),
        ({"vocab_size": 0}, "vocab_size must be"),
        ({"vocab_size": 2.0}, "vocab_size must be"),
        ({"min_count": 0}, "min_count must be"),
    ],
)
def test_a_vocabulary_config_names_the_value_that_is_wrong(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        VocabularyConfig(**options)


# Words

WORDY = "ab Z7_ \t\n\r\u3000\xa0\x85\u2028'’.,-¡\u0301\u093e\ufe0f\u200d\u200ce日本ק한ᄀ\u1161❤😀"
wordy = st.one_of(st.text(WORDY, max_size=40), st.text(max_size=40)).map(normalize)
thorough = settings(quick, max_examples=200)


@thorough
@given(wordy)
def test_words_joined_are_the_text(text: str) -> None:
    words = split_words(text)
    assert "".join(words) == text
    assert all(words)
    assert words.count("\n") == text.count("\n")
    assert not any("\n" in word for word in words if word != "\n")


@thorough
@given(wordy)
def test_spaces_go_with_the_word_after_them(text: str) -> None:
    for word, following in pairwise([*split_words(text), "\n"]):
        if word.isspace():
            assert "\n" in (word, following)
        else:
            assert len(word.split()) == 1
            assert not word[-1].isspace()


@thorough
@given(wordy)
def test_no_word_is_parted_from_its_marks(text: str) -> None:
    before = ""
    for word in split_words(text):
        first = word[0]
        if unicodedata.category(first)[0] == "M" or first in "\u200c\u200d":
            assert before in ("", "\n")
        before = word


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A cat, 2 dogs.", "A| cat|,| 2| dogs|."),
        ("don't 'tis l’été'", "don't| '|tis| l’été|'"),
        ("a  b \n c\n\n", "a|  b| |\n| c|\n|\n"),
        ("x_1 3.14 -5", "x_1| 3|.|14| -|5"),
        ("किताब\u3000की", "किताब|\u3000की"),
        ("x\u0304y \u0304z", "x\u0304y| \u0304|z"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("❤\ufe0fab 👩\u200d👧!", "❤\ufe0f|ab| 👩\u200d|👧|!"),
        ("日本語、한국어", "日|本|語|、|한국어"),
        ("今天 天气很好。", "今|天| 天|气|很|好|。"),
        ("ラーメンを食べた々", "ラーメン|を|食|べ|た|々"),
        ("ไปที่ park 12 ๑๒", "ไ|ป|ที่| park| 12| ๑๒"),
        ("", ""),
    ],
)
def test_words_by_example(text: str, words: str) -> None:
    assert split_words(text) == [word for word in words.split("|") if word]


def test_a_long_text_without_words_is_split_in_time() -> None:
    for text in (" " * 10**5, "'" * 10**5, "a'" * 10**5, "\u0301" * 10**5):
        assert "".join(split_words(text)) == text
