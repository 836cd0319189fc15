"""Convert text to tokens to ids, and back.

A token is a string: a character (Unicode code point) in NFC, one in NFD (Hangul as jamo), or a
word. The tokens of a text, joined, are the text.

Two ids are special: EOS ends a document and is predicted but never read; UNK stands for every
token outside the vocabulary. The other ids are the tokens in code point order, so that the same
text always gives the same ids.
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
# Beginnings of names of characters in scripts without spaces, except katakana, which spells
# loanwords.
_UNSPACED = (
    *("CJK ", "IDEOGRAPHIC ", "HIRAGANA ", "BOPOMOFO ", "YI ", "TANGUT ", "NUSHU "),
    *("THAI ", "LAO ", "KHMER ", "MYANMAR ", "TAI ", "NEW TAI "),
    *("TIBETAN ", "JAVANESE ", "BALINESE "),
)
_FORMS: dict[str, Literal["NFC", "NFD"]] = {"nfc": "NFC", "nfd": "NFD"}
_CHARACTERS = VocabularyConfig()


def split_words(text: str) -> list[str]:
    """Split a text into words, numbers and single signs, each with the spaces before it.

    A newline is a token by itself, so that a word is the same token at the start of a line and of a
    document. Scripts without spaces between words, such as Chinese and Thai, are split into
    characters. Marks and joiners stay with the character before them (Unicode Standard Annex 29).
    """
    return _word().findall(text)


@cache
def _word() -> re.Pattern[str]:
    found = word_classes()
    letters, marks = found["letters"], found["marks"]
    word = rf"[{letters}][{letters}{marks}]*+(?:['’][{letters}{marks}]++)*+"
    return re.compile(rf"\n|[^\S\n]*+(?:{word}|\S[{marks}]*+)|[^\S\n]++")


@cache
def word_classes() -> dict[str, str]:
    """What words are made of, as character classes: letters, marks on them, spaces but newlines."""
    characters = [*map(chr, range(CODE_POINTS))]
    marks = _ranges(char for char in characters if unicodedata.category(char)[0] == "M")
    return {
        "letters": _ranges(filter(_is_in_words, characters)),
        "marks": _JOINERS + marks,
        "spaces": _ranges(char for char in characters if char.isspace() and char != "\n"),
    }


def _is_in_words(char: str) -> bool:
    """Return whether a character is part of words: not if its script has no spaces."""
    if char.isalpha():
        return not unicodedata.name(char, "").startswith(_UNSPACED)
    return char.isalnum() or char == "_"


def _ranges(characters: Iterable[str]) -> str:
    """Return the ranges of a regular expression's character class.

    Args:
        characters: in code point order, none of them special in a class.
    """
    numbered = enumerate(map(ord, characters))
    runs = [[*run] for _, run in groupby(numbered, lambda pair: pair[1] - pair[0])]
    return "".join(f"{chr(run[0][1])}-{chr(run[-1][1])}" for run in runs)


class Vocabulary:
    """The tokens that a model knows.

    Args:
        tokens: distinct; their ids follow EOS and UNK in this order.
        config: kind of tokens.
    """

    def __init__(self, tokens: Sequence[str], config: VocabularyConfig = _CHARACTERS) -> None:
        self.tokens = tuple(tokens)
        self.config = config

    @classmethod
    def from_texts(
        cls, texts: Iterable[str], config: VocabularyConfig = _CHARACTERS
    ) -> "Vocabulary":
        """Return the most frequent tokens of `texts` in NFC, as `config` says."""
        counts = Counter[str]()
        for text in texts:
            counts.update(split_words(text) if config.tokens == "word" else text)
        return cls.from_counts(counts, config)

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], config: VocabularyConfig = _CHARACTERS
    ) -> "Vocabulary":
        """Return the most frequent tokens, from the counts of words or characters in NFC."""
        if config.normalize == "nfd":
            counts = _decomposed(counts)
        found = sorted(token for token, count in counts.items() if count >= config.min_count)
        if config.max_size is not None:  # ties go to the first in code point order
            found = sorted(sorted(found, key=lambda token: -counts[token])[: config.max_size])
        return cls(found, config)

    def __len__(self) -> int:
        return NUM_SPECIAL + len(self.tokens)

    @cached_property
    def dtype(self) -> np.dtype:
        """Smallest signed integer type that holds every id and IGNORE."""
        return np.min_scalar_type(-len(self))

    def split(self, text: str) -> Sequence[str]:
        """Return the tokens of a text in NFC, known or not; characters as one string."""
        if self.config.tokens == "word":
            return split_words(text)
        return unicodedata.normalize(_FORMS[self.config.normalize], text)

    def encode(self, text: str) -> np.ndarray:
        """Return the ids (N,) of the tokens of a text in NFC, UNK for unknown ones."""
        return self.ids([self.split(text)])

    def ids(self, pieces: Sequence[Sequence[str]]) -> np.ndarray:
        """Return the ids (N,) of the tokens of several texts from `split`, concatenated."""
        if self.config.tokens == "word":
            tokens = [token for piece in pieces for token in piece]
            known = self._id_of_word
            return np.fromiter((known.get(token, UNK) for token in tokens), self.dtype, len(tokens))
        found: np.ndarray = self._id_of_code_point[code_points("".join(map(str, pieces)))]
        return found

    def unknown_nats(self, tokens: Sequence[str], ids: np.ndarray) -> np.ndarray:
        """Return the cost of spelling out unknown tokens, beyond -log P(<UNK>), float64 (N,) nats.

        With it, the probabilities of all texts add up to at most 1, so that texts and models can be
        compared. An unknown character is any of those outside the vocabulary, equally probable. An
        unknown word consists of any characters, and ends after each with probability 1/2.

        Args:
            tokens: (N,) from `split`.
            ids: (N,) their ids; known tokens cost nothing.
        """
        found: np.ndarray = (ids == UNK) * math.log(max(1, CHARACTERS - len(self.tokens)))
        if self.config.tokens == "word":
            lengths = np.fromiter(map(len, tokens), int, len(tokens))
            found = (ids == UNK) * lengths * math.log(2 * CHARACTERS)
        return found

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids, in NFC; UNK becomes U+FFFD, EOS nothing."""
        return unicodedata.normalize("NFC", "".join(map(self.token, ids)))

    def token(self, id: int) -> str:
        """Return the token of an id; U+FFFD for UNK, "" for EOS."""
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
    """Count decomposed characters, from the counts of characters in NFC."""
    found = Counter[str]()
    for character, count in counts.items():
        for part in unicodedata.normalize("NFD", character):
            found[part] += count
    return found
