"""Text to tokens to ids and back.

A token is a string: a character (Unicode code point) of the text composed (NFC) or decomposed
(NFD, Hangul as jamo), or a word. All tokens of a text, joined, are the text.

Two ids are always there: EOS ends a document and is only ever predicted, never an input; UNK
stands for every token outside the vocabulary. The other ids are tokens in code point order, so
that the same text always gives the same ids.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from itertools import groupby
from typing import Literal

import numpy as np

from charrnn.config import VocabularyConfig
from charrnn.ids import NUM_SPECIAL, UNK
from charrnn.text.unicode import CHARACTERS, CODE_POINTS, code_points

EOS_NAME, UNK_NAME, UNK_CHARACTER = "<EOS>", "<UNK>", "\ufffd"
_JOINERS = "\u200c\u200d"
# How the names of such characters begin, but for katakana, which spells words from abroad.
_UNSPACED = (
    *("CJK ", "IDEOGRAPHIC ", "HIRAGANA ", "BOPOMOFO ", "YI ", "TANGUT ", "NUSHU "),
    *("THAI ", "LAO ", "KHMER ", "MYANMAR ", "TAI ", "NEW TAI "),
    *("TIBETAN ", "JAVANESE ", "BALINESE "),
)
_FORMS: dict[str, Literal["NFC", "NFD"]] = {"nfc": "NFC", "nfd": "NFD"}
_CHARACTERS = VocabularyConfig()


def split_words(text: str) -> list[str]:
    """Words, numbers and single signs, each with the spaces before it; a newline is one by itself.

    So that a word at the start of a line is the one at the start of a document, and joined they are
    the text. Scripts that put no spaces between words, such as Chinese and Thai, are cut into
    characters. Marks and joiners stay with the character before them (Unicode Standard Annex 29).
    """
    return _word().findall(text)


@cache
def _word() -> re.Pattern[str]:
    characters = [*map(chr, range(CODE_POINTS))]
    marks = _JOINERS + _ranges(char for char in characters if unicodedata.category(char)[0] == "M")
    letters = _ranges(filter(_is_in_words, characters))
    word = rf"[{letters}][{letters}{marks}]*+(?:['’][{letters}{marks}]++)*+"
    return re.compile(rf"\n|[^\S\n]*+(?:{word}|\S[{marks}]*+)|[^\S\n]++")


def _is_in_words(char: str) -> bool:
    """Whether words hold a character, and not a word each: unless its script has no spaces."""
    if char.isalpha():
        return not unicodedata.name(char, "").startswith(_UNSPACED)
    return char.isalnum() or char == "_"


def _ranges(characters: Iterable[str]) -> str:
    """What a character class of a regular expression holds, in ranges.

    Args:
        characters: in code point order, none with a meaning there.
    """
    numbered = enumerate(map(ord, characters))
    runs = [[*run] for _, run in groupby(numbered, lambda pair: pair[1] - pair[0])]
    return "".join(f"{chr(run[0][1])}-{chr(run[-1][1])}" for run in runs)


class Vocabulary:
    """The tokens a model knows.

    Args:
        tokens: distinct; their ids follow EOS and UNK in this order.
        config: what a token is.
    """

    def __init__(self, tokens: Sequence[str], config: VocabularyConfig = _CHARACTERS) -> None:
        self.tokens = tuple(tokens)
        self.config = config

    @classmethod
    def from_texts(
        cls, texts: Iterable[str], config: VocabularyConfig = _CHARACTERS
    ) -> "Vocabulary":
        """The most frequent tokens of `texts` in NFC, as many as `config` wants."""
        counts = Counter[str]()
        for text in texts:
            counts.update(split_words(text) if config.tokens == "word" else text)
        return cls.from_counts(counts, config)

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], config: VocabularyConfig = _CHARACTERS
    ) -> "Vocabulary":
        """The same where it is known how often each word or character in NFC occurs."""
        if config.normalize == "nfd":
            counts = _decomposed(counts)
        found = sorted(token for token, count in counts.items() if count >= config.min_count)
        if config.max_size is not None:  # of those that are equally frequent the first ones
            found = sorted(sorted(found, key=lambda token: -counts[token])[: config.max_size])
        return cls(found, config)

    def __len__(self) -> int:
        return NUM_SPECIAL + len(self.tokens)

    @cached_property
    def dtype(self) -> np.dtype:
        """The smallest signed integer type that holds every id, and IGNORE."""
        return np.min_scalar_type(-len(self))

    def split(self, text: str) -> Sequence[str]:
        """The tokens of a text in NFC, known or not; a string where they are characters."""
        if self.config.tokens == "word":
            return split_words(text)
        return unicodedata.normalize(_FORMS[self.config.normalize], text)

    def encode(self, text: str) -> np.ndarray:
        """Ids (N,) of the tokens of a text in NFC, UNK for those not known."""
        return self.ids([self.split(text)])

    def ids(self, pieces: Sequence[Sequence[str]]) -> np.ndarray:
        """Ids (N,) of all tokens of several texts that `split` has cut, one after another."""
        if self.config.tokens == "word":
            tokens = [token for piece in pieces for token in piece]
            known = self._id_of_word
            return np.fromiter((known.get(token, UNK) for token in tokens), self.dtype, len(tokens))
        found: np.ndarray = self._id_of_code_point[code_points("".join(map(str, pieces)))]
        return found

    def unknown_nats(self, tokens: Sequence[str], ids: np.ndarray) -> np.ndarray:
        """What spelling out the unknown tokens costs beside -log P(<UNK>), float64 (N,) nats.

        With it a model gives every text a probability, and those of all texts add up to at most 1,
        so that a text compares with others and a model with other models. An unknown character is
        any of those outside the vocabulary, all equally probable. An unknown word is spelled with
        any characters, and after each it ends with probability 1/2.

        Args:
            tokens: (N,) as `split` has cut them.
            ids: (N,) theirs; known tokens cost nothing.
        """
        found: np.ndarray = (ids == UNK) * math.log(max(1, CHARACTERS - len(self.tokens)))
        if self.config.tokens == "word":
            lengths = np.fromiter(map(len, tokens), int, len(tokens))
            found = (ids == UNK) * lengths * math.log(2 * CHARACTERS)
        return found

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids, in NFC; UNK reads as U+FFFD, EOS as nothing."""
        return unicodedata.normalize("NFC", "".join(map(self.token, ids)))

    def token(self, id: int) -> str:
        """One token; UNK is U+FFFD, EOS nothing."""
        special = ("", UNK_CHARACTER)
        return special[id] if id < NUM_SPECIAL else self.tokens[id - NUM_SPECIAL]

    @cached_property
    def _id_of_code_point(self) -> np.ndarray:
        table = np.full(CODE_POINTS, UNK, self.dtype)
        table[code_points("".join(self.tokens))] = np.arange(NUM_SPECIAL, len(self))
        return table

    @cached_property
    def _id_of_word(self) -> dict[str, int]:
        return {token: id for id, token in enumerate(self.tokens, start=NUM_SPECIAL)}


def _decomposed(counts: Mapping[str, int]) -> Counter[str]:
    """How often each decomposed character occurs in characters in NFC."""
    found = Counter[str]()
    for character, count in counts.items():
        for part in unicodedata.normalize("NFD", character):
            found[part] += count
    return found
