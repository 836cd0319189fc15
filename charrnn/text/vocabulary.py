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
from charrnn.errors import CorpusError
from charrnn.ids import NUM_SPECIAL, UNK

EOS_NAME, UNK_NAME, UNK_CHARACTER = "<EOS>", "<UNK>", "\ufffd"
CODE_POINTS = 0x110000
CHARACTERS = CODE_POINTS - 0x800  # that a text may hold: every code point but the surrogates
_BOM = "\ufeff"
_JOINERS = "\u200c\u200d"
# How the names of such characters begin, but for katakana, which spells words from abroad.
_UNSPACED = (
    *("CJK ", "IDEOGRAPHIC ", "HIRAGANA ", "BOPOMOFO ", "YI ", "TANGUT ", "NUSHU "),
    *(
        "THAI ",
        "LAO ",
        "KHMER ",
        "MYANMAR ",
        "TAI ",
        "NEW TAI ",
        "TIBETAN ",
        "JAVANESE ",
        "BALINESE ",
    ),
)
_FORMS: dict[str, Literal["NFC", "NFD"]] = {"nfc": "NFC", "nfd": "NFD"}
_CHARACTERS = VocabularyConfig()
_LONG = 256  # more marks on a letter than any text has
_NO_STARTERS = "\u0f73\u0f75\u0f81"  # of combining class 0, but made of marks


def normalize(text: str) -> str:
    """The canonical form of a text: NFC without byte-order marks, one spelling a character.

    Raises:
        CorpusError: it holds half a surrogate pair, as bytes that are no text leave it.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"the text is not valid Unicode at character {error.start}; is it UTF-8?"
        ) from None
    return _composed(text.replace(_BOM, ""))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", _order_marks(text))


def _order_marks(text: str) -> str:
    """The text with long runs of marks in canonical order (Unicode Standard Annex 15).

    Python's own normalization swaps neighbours until they are: of a million, for an hour.
    """
    parts, done = [], 0
    for place in range(0, len(text), _LONG):  # one of them is in every such run
        if place >= done and _is_mark(text[place]):
            start, stop = _run_of_marks(text, place)
            parts += [text[done:start], _in_order(text[start:stop])]
            done = stop
    return "".join(parts) + text[done:]


def _is_mark(char: str) -> bool:
    return unicodedata.combining(char) > 0 or char in _NO_STARTERS


def _run_of_marks(text: str, place: int) -> tuple[int, int]:
    """Where the marks around a place start and stop."""
    start = stop = place
    while start and _is_mark(text[start - 1]):
        start -= 1
    while stop < len(text) and _is_mark(text[stop]):
        stop += 1
    return start, stop


def _in_order(marks: str) -> str:
    parts = {ord(mark): unicodedata.normalize("NFD", mark) for mark in {*marks}}
    codes = code_points(marks.translate(parts))
    classes = np.zeros(CODE_POINTS, np.uint8)
    for code in np.unique(codes).tolist():
        classes[code] = unicodedata.combining(chr(code))
    return from_code_points(codes[np.argsort(classes[codes], kind="stable")])


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


def code_points(text: str) -> np.ndarray:
    """The characters of a text as numbers, uint32 (N,)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def from_code_points(numbers: np.ndarray) -> str:
    """The text of which `code_points` gives these numbers."""
    return numbers.astype(np.uint32).tobytes().decode("utf-32-le", "surrogatepass")


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


def places_of_parts(text: str) -> list[int]:
    """For each character of a text in NFD, the place in NFC of the one that it is a part of.

    Args:
        text: in NFC; in NFD marks are in canonical order.
    """
    found, run = [], 0
    for place, composed in enumerate(text):
        for char in unicodedata.normalize("NFD", composed):
            rank = unicodedata.combining(char)
            run += rank == 0
            found.append((run, rank, place))
    return [place for *_, place in sorted(found)]


def sum_composed(text: str, values: Iterable[float]) -> list[float]:
    """For each character of a text in NFC, the sum over the characters it is composed of.

    Args:
        values: one for each character of the text in NFD.
    """
    sums = [0.0] * len(text)
    for place, value in zip(places_of_parts(text), values, strict=True):
        sums[place] += value
    return sums


class Composer:
    """Composes decomposed text as it comes, and holds back what may still change.

    The last starter and what follows it wait for a character that starts anew: one that is no
    combining mark, and that stays as it is when the two are composed (Unicode Standard Annex 15).
    """

    def __init__(self) -> None:
        self._parts: list[tuple[str, float]] = []  # decomposed

    @property
    def held(self) -> str:
        """What is held back, composed."""
        return _composed("".join(part for part, _ in self._parts))

    def push(self, character: str, log_prob: float) -> list[tuple[str, float]]:
        """Take in a character, and return those settled by now, each with the sum of its log P."""
        settled = []
        if not unicodedata.combining(character):
            apart = self.held + character
            if _composed(apart) == apart:
                settled = self.flush()
        self._parts.append((character, log_prob))
        return settled

    def flush(self) -> list[tuple[str, float]]:
        """What was held back, as nothing follows it."""
        parts = sorted(self._parts, key=lambda part: unicodedata.combining(part[0]))
        held = self.held
        sums = sum_composed(held, [log_prob for _, log_prob in parts])
        settled = list(zip(held, sums, strict=True))
        self._parts = []
        return settled
