"""Documents in little memory: a small number per character, and the span of each document.

Letters: D documents, A characters in the alphabet, M numbers in all, N of them in documents.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from charrnn.text.reading import regroup
from charrnn.text.unicode import CODE_POINTS, code_points, from_code_points

Array = np.ndarray

# Halves of surrogate pairs, which no text contains, mark the end of a document: LINE_END if its
# last newline was stripped, else END.
END, LINE_END = "\udc00", "\udc01"
_MARKS = END + LINE_END  # the first two of an alphabet
NUM_MARKS = len(_MARKS)
_MARK = re.compile(f"[{_MARKS}]")
WORDS = re.compile(rf".*(?:[\n{_MARKS}]|\S(?= ))", re.DOTALL)  # ends between words
_PART = 1 << 18  # characters to process at a time


@dataclass(frozen=True)
class Spans:
    """D spans of an array, read cyclically as if they were concatenated."""

    starts: Array  # (D,) places in the array
    stops: Array  # (D,) places in the array

    @classmethod
    def between(cls, stops: Array) -> "Spans":
        """Return spans that each begin where the previous one stops."""
        stops = stops.astype(_type_of_places(stops.max(initial=0)), copy=False)
        starts = np.roll(stops, 1)
        starts[:1] = 0
        return cls(starts, stops)

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def ends(self) -> Array:
        """Where each span stops in the concatenation (D,)."""
        return np.cumsum(self.stops - self.starts, dtype=self.stops.dtype)

    @property
    def size(self) -> int:
        """Total length of all spans, N."""
        return int(self.ends[-1]) if len(self) else 0

    def shuffled(self, rng: np.random.Generator) -> "Spans":
        """Return the spans in random order."""
        order = rng.permutation(np.arange(len(self), dtype=self.stops.dtype))
        return self.select(order)

    def select(self, chosen: Array) -> "Spans":
        """Return the spans chosen by an index array or a mask (D,)."""
        return Spans(self.starts[chosen], self.stops[chosen])

    def places(self, start: int, stop: int) -> Array:
        """Return the places in the array of `start` to `stop`, int64 (stop - start,).

        Both may exceed N, as the spans are read cyclically.
        """
        N, D = self.size, len(self)
        turns, rests = np.divmod((start, stop - 1), N)
        # With another type than that of `ends`, NumPy would convert all of them.
        found = np.searchsorted(self.ends, rests.astype(self.ends.dtype), side="right")
        first, last = turns * D + found
        turns, spans = np.divmod(np.arange(first, last + 1), D)
        ends = self.ends[spans] + turns * N
        counts = np.diff(np.minimum(ends, stop), prepend=start)
        return np.repeat(self.stops[spans] - ends, counts) + np.arange(start, stop)

    def parts(self) -> Iterator[Array]:
        """Yield the places of all spans in order, some at a time."""
        for start in range(0, self.size, _PART):
            yield self.places(start, min(start + _PART, self.size))


@dataclass(frozen=True)
class Documents:
    """Texts in NFC, each a span of one array of numbers; selecting some copies no text."""

    alphabet: Array  # (A,) code point of each number
    codes: Array  # (M,) numbers of characters, in the smallest type that holds them
    spans: Spans  # each document with one place for its end
    cut_at: int = -1  # place of the end of the document that is cut, if one is

    @classmethod
    def collect(cls, texts: Iterable[str]) -> "Documents":
        """Collect documents from pieces of text with END or LINE_END after each."""
        alphabet = code_points(_MARKS)
        numbers = _numbers(alphabet)
        codes, dtype = bytearray(), np.dtype(np.uint8)  # it grows in place, unlike an array
        for text in texts:
            characters = code_points(text)
            new = np.unique(characters[numbers[characters] < 0])
            numbers[new] = len(alphabet) + np.arange(len(new))
            alphabet = np.append(alphabet, new)
            if (wider := np.min_scalar_type(len(alphabet) - 1)) != dtype:
                codes, dtype = _widened(codes, dtype, wider), wider
            codes += numbers[characters].astype(dtype).tobytes()
        array = np.frombuffer(codes, dtype)
        return cls(alphabet, array, Spans.between(np.flatnonzero(array < NUM_MARKS) + 1))

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: int) -> str:
        start, stop = self.spans.starts[index], self.spans.stops[index]
        return self._text(self.codes[start : stop - 1])

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    @property
    def cut(self) -> bool:
        """Whether the last document is cut: its rest is in another split."""
        return self.cut_at >= 0

    @property
    def characters(self) -> str:
        """Characters of the alphabet, without the marks."""
        return from_code_points(self.alphabet[NUM_MARKS:])

    @property
    def chars(self) -> int:
        """Characters in all documents, without last newlines."""
        return self.spans.size - len(self)

    @property
    def lengths(self) -> Array:
        """Characters of each document (D,), with its last newline."""
        last = self.codes[self.spans.stops - 1]
        lengths: Array = self.spans.stops - self.spans.starts - (last == _MARKS.index(END))
        return lengths

    def select(self, chosen: Array) -> "Documents":
        """Return the documents chosen by an index array or a mask (D,)."""
        return replace(self, spans=self.spans.select(chosen))

    def cut_off(
        self, index: int, length: int, apart: Array | None = None
    ) -> tuple["Documents", "Documents"]:
        """Cut the document at `index` after `length` characters.

        Returns all documents with the first part of it, and its rest.

        Args:
            apart: mask (D,) of documents that go with the rest; None: none.
        """
        start, stop = self.spans.starts[index], self.spans.stops[index]
        kept = np.ones(len(self), bool) if apart is None else ~apart
        others = self.spans.select(~kept)
        kept[index] = False
        whole = self.spans.select(kept)
        middle = start + length
        first = Spans(np.append(whole.starts, start), np.append(whole.stops, middle + 1))
        rest = Spans(np.append(others.starts, middle), np.append(others.stops, stop))
        return replace(self, spans=first, cut_at=int(middle)), replace(self, spans=rest)

    def char_counts(self) -> dict[str, int]:
        """Return how often each character of the alphabet occurs, which may be 0 times."""
        A = len(self.alphabet)
        found = (np.bincount(part, minlength=A) for part in self._parts())
        counts = sum(found, np.zeros(A, int))
        return dict(zip(self.characters, counts[NUM_MARKS:].tolist(), strict=True))

    def fragments(self) -> Iterator[list[str]]:
        """Yield all documents, some at a time; long ones in parts, cut between words.

        The last text of each list continues in the next one; it is empty if a document ended.
        """
        for text in regroup(map(self._text, self._parts()), WORDS):
            yield _MARK.split(text)

    def end(self, chars: int) -> str:
        """Return the last characters, with a newline between documents."""
        return self.text(max(0, self.spans.size - chars), self.spans.size)

    def text(self, start: int, stop: int) -> str:
        """Return the characters from `start` to `stop`, with a newline between documents."""
        if start >= stop:
            return ""
        return _MARK.sub("\n", self._text(self._codes(self.spans.places(start, stop))))

    def marked(self) -> Iterator[str]:
        """Yield the text from which they were collected, in pieces."""
        for start in range(0, len(self.codes), _PART):
            yield self._text(self.codes[start : start + _PART])

    def _parts(self) -> Iterator[Array]:
        """Yield the codes of all documents, some at a time, with a mark after each."""
        for places in self.spans.parts():
            yield self._codes(places)

    def _codes(self, places: Array) -> Array:
        codes: Array = np.where(places == self.cut_at, _MARKS.index(END), self.codes[places])
        return codes

    def _text(self, codes: Array) -> str:
        return from_code_points(self.alphabet[codes])


def _type_of_places(largest: int) -> type[np.signedinteger]:
    """Return the smallest type of places, of four or eight bytes."""
    return np.int32 if largest < 1 << 31 else np.int64


def _numbers(alphabet: Array) -> Array:
    """Return the number of each code point, -1 if it is not in the alphabet."""
    numbers = np.full(CODE_POINTS, -1, np.int32)
    numbers[alphabet] = np.arange(len(alphabet))
    return numbers


def _widened(codes: bytearray, dtype: np.dtype, wider: np.dtype) -> bytearray:
    """Convert the numbers to a wider type."""
    found, old = bytearray(), np.frombuffer(codes, dtype)
    for start in range(0, len(old), _PART):
        found += old[start : start + _PART].astype(wider).tobytes()
    return found
