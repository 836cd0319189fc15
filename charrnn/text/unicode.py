"""Unicode: normalize texts, convert them to code points, and compose decomposed output.

Letters: N characters.
"""

import unicodedata
from collections.abc import Iterable

import numpy as np

from charrnn.errors import CorpusError

CODE_POINTS = 0x110000
CHARACTERS = CODE_POINTS - 0x800  # all code points but surrogates
_BOM = "\ufeff"
_LONG = 256  # marks on a letter, more than in any real text
_NO_STARTERS = "\u0f73\u0f75\u0f81"  # combining class 0, but composed of marks


def normalize(text: str) -> str:
    """Return a text in NFC without byte-order marks, so that each character has one spelling.

    Raises:
        CorpusError: it contains half a surrogate pair, as from bytes that are not text.
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
    """Put long runs of marks into canonical order (Unicode Standard Annex 15).

    Python's own normalization takes quadratic time: an hour for a million marks.
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
    """Return start and stop of the run of marks around a place."""
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
    """Return the code points of a text, uint32 (N,)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def from_code_points(numbers: np.ndarray) -> str:
    """Return the text with these code points."""
    return numbers.astype(np.uint32).tobytes().decode("utf-32-le", "surrogatepass")


def places_of_parts(text: str) -> list[int]:
    """Return, for each character of the text in NFD, the place of its character in NFC.

    Args:
        text: in NFC; in NFD, marks are in canonical order.
    """
    found, run = [], 0
    for place, composed in enumerate(text):
        for char in unicodedata.normalize("NFD", composed):
            rank = unicodedata.combining(char)
            run += rank == 0
            found.append((run, rank, place))
    return [place for *_, place in sorted(found)]


def sum_composed(text: str, values: Iterable[float]) -> list[float]:
    """Return, for each character of a text in NFC, the sum over its parts in NFD.

    Args:
        values: one for each character of the text in NFD.
    """
    sums = [0.0] * len(text)
    for place, value in zip(places_of_parts(text), values, strict=True):
        sums[place] += value
    return sums


class Composer:
    """Composes decomposed text as it arrives, and holds back what may still change.

    The last starter and its marks wait for a character that begins a new cluster: one that is not
    a combining mark and does not compose with them (Unicode Standard Annex 15).
    """

    def __init__(self) -> None:
        self._parts: list[tuple[str, float]] = []  # decomposed

    @property
    def held(self) -> str:
        """The text held back, composed."""
        return _composed("".join(part for part, _ in self._parts))

    def push(self, character: str, log_prob: float) -> list[tuple[str, float]]:
        """Add a character; return the settled ones, each with the sum of its log P."""
        settled = []
        if not unicodedata.combining(character):
            apart = self.held + character
            if _composed(apart) == apart:
                settled = self.flush()
        self._parts.append((character, log_prob))
        return settled

    def flush(self) -> list[tuple[str, float]]:
        """Return what was held back, at the end of the text."""
        parts = sorted(self._parts, key=lambda part: unicodedata.combining(part[0]))
        held = self.held
        sums = sum_composed(held, [log_prob for _, log_prob in parts])
        settled = list(zip(held, sums, strict=True))
        self._parts = []
        return settled
