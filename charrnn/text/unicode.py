"""Unicode: one spelling for each character, texts as numbers, and composing what is decomposed.

Letters: N characters.
"""

import unicodedata
from collections.abc import Iterable

import numpy as np

from charrnn.errors import CorpusError

CODE_POINTS = 0x110000
CHARACTERS = CODE_POINTS - 0x800  # that a text may hold: every code point but the surrogates
_BOM = "\ufeff"
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


def code_points(text: str) -> np.ndarray:
    """The characters of a text as numbers, uint32 (N,)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def from_code_points(numbers: np.ndarray) -> str:
    """The text of which `code_points` gives these numbers."""
    return numbers.astype(np.uint32).tobytes().decode("utf-32-le", "surrogatepass")


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
