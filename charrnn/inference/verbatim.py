"""Find the stretches of a text that are copied word for word from a corpus.

The corpus is searched in two steps. First, rolling hashes (Karp & Rabin 1987) of its short
stretches are compared with those of the texts, in NumPy. Then a suffix automaton of the texts
matches the places with equal hashes exactly. Both take time linear in the size of the corpus, for
each block of texts.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from charrnn.text.documents import END, LINE_END, Documents
from charrnn.text.unicode import code_points

Array = np.ndarray

MIN_CHARS = 20  # shortest stretch that is reported
_BETWEEN = "\udfff"  # separates texts; occurs in no document
_PART = 1 << 20  # characters of the corpus searched at a time
_TEXTS = 1 << 17  # characters of the texts searched for at a time, unless one text is longer
_BASE = 0x9E3779B97F4A7C15  # odd, with irregular bits
_MODULUS = 1 << 64


@dataclass(frozen=True)
class Stretch:
    """A part of a text."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def copied_stretches(
    texts: Sequence[str], corpus: Documents, min_chars: int = MIN_CHARS
) -> list[list[Stretch]]:
    """Find the stretches of each text that occur in a document of the corpus, the longest first.

    Stretches are maximal: one character longer on either side, they occur nowhere. Two of them may
    overlap.

    Args:
        texts: in NFC, like the corpus.
        corpus: the documents.
        min_chars: shortest stretch to report.
    """
    blocks = np.cumsum([0, *map(len, texts)])[:-1] // _TEXTS
    starts = np.flatnonzero(np.diff(blocks, prepend=-1)).tolist()
    found: list[list[Stretch]] = []
    for start, stop in pairwise([*starts, len(texts)]):
        found += _copied(texts[start:stop], corpus, min_chars)
    return found


def _copied(texts: Sequence[str], corpus: Documents, min_chars: int) -> list[list[Stretch]]:
    joined = code_points(_BETWEEN.join(texts))
    automaton = Automaton(joined.tolist())
    for start, stop in _places(joined, corpus, min_chars):
        automaton.match(characters_of(corpus, start, stop).tolist())
    found: list[list[Stretch]] = [[] for _ in texts]
    ends = np.cumsum([len(text) + 1 for text in texts])
    for stretch in automaton.longest():
        if len(stretch) >= min_chars:
            index = int(np.searchsorted(ends, stretch.start, side="right"))
            before = int(ends[index]) - len(texts[index]) - 1
            found[index].append(Stretch(stretch.start - before, stretch.stop - before))
    return [sorted(stretches, key=lambda stretch: -len(stretch)) for stretches in found]


def whole_documents(corpus: Documents) -> frozenset[str]:
    """Return the set of documents, to find texts that equal one, however short."""
    return frozenset(re.split(f"[{END}{LINE_END}]", "".join(corpus.marked()))) - {""}


def covered(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Merge stretches that overlap or touch; return them in the order of the text."""
    found: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda stretch: stretch.start):
        if found and stretch.start <= found[-1].stop:
            last = found.pop()
            stretch = Stretch(last.start, max(last.stop, stretch.stop))
        found.append(stretch)
    return found


class Automaton:
    """The suffix automaton of a sequence (Blumer et al. 1985), with the parts found elsewhere.

    A state is a set of subsequences that end at the same places. Each is a suffix of the longest
    one in the set; the link of a state leads to the state of the next shorter suffix.
    """

    def __init__(self, sequence: Sequence[int]) -> None:
        self._next: list[dict[int, int]] = [{}]
        self._links = [-1]
        self._sizes = [0]  # of the longest sequence of each state
        self._prefixes: list[int] = []  # the state of each prefix of the sequence
        last = 0
        for item in sequence:
            last = self._append(last, item)
            self._prefixes.append(last)
        self._found = [0] * len(self._sizes)  # the longest subsequence of each state that was read

    def _append(self, last: int, item: int) -> int:
        """Append an item to the prefix of state `last`; return the state of the new prefix."""
        new, state = self._add_state(self._sizes[last] + 1, {}), last
        while state >= 0 and item not in self._next[state]:
            self._next[state][item] = new
            state = self._links[state]
        if state < 0:
            self._links[new] = 0
            return new
        target = self._next[state][item]
        if self._sizes[target] > self._sizes[state] + 1:
            target = self._split(target, state, item)
        self._links[new] = target
        return new

    def _split(self, target: int, state: int, item: int) -> int:
        """Split off the shorter subsequences of a state, which now end at one place more."""
        shorter = self._add_state(self._sizes[state] + 1, {**self._next[target]})
        self._links[shorter] = self._links[target]
        self._links[target] = shorter
        while state >= 0 and self._next[state].get(item) == target:
            self._next[state][item] = shorter
            state = self._links[state]
        return shorter

    def _add_state(self, size: int, following: dict[int, int]) -> int:
        self._next.append(following)
        self._links.append(-1)
        self._sizes.append(size)
        return len(self._sizes) - 1

    def match(self, items: Sequence[int]) -> None:
        """Record every part of the sequence that also occurs in `items`."""
        following, found = self._next, self._found
        state = size = 0
        for item in items:
            while state and item not in following[state]:
                state = self._links[state]
                size = self._sizes[state]
            if item in following[state]:
                state = following[state][item]
                size += 1
                if size > found[state]:
                    found[state] = size

    def longest(self) -> Iterator[Stretch]:
        """Yield the longest recorded parts of the sequence, in order; none lies in another."""
        longest = [*self._found]
        by_size = sorted(range(1, len(longest)), key=self._sizes.__getitem__)
        for state in reversed(by_size):
            if longest[state]:  # then its suffixes were read too
                link = self._links[state]
                longest[link] = self._sizes[link]
        for state in by_size:
            if not longest[state]:  # then at most one of its suffixes was read
                longest[state] = longest[self._links[state]]
        sizes = [longest[state] for state in self._prefixes]
        for stop, (size, following) in enumerate(pairwise([*sizes, 0]), start=1):
            if size and following != size + 1:
                yield Stretch(stop - size, stop)


def _places(texts: Array, corpus: Documents, size: int) -> Iterator[tuple[int, int]]:
    """Yield parts of the corpus that contain every stretch of `size` or more shared with the texts.

    Equal hashes by chance add little else.
    """
    wanted = np.unique(stretch_hashes(texts, size))
    if not len(wanted):
        return
    parts = [np.empty(0, np.int64)]
    for start in range(0, corpus.spans.size, _PART):
        hashes = stretch_hashes(characters_of(corpus, start, start + _PART + size - 1), size)
        found = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
        parts.append(start + np.flatnonzero(wanted[found] == hashes))
    starts = np.concatenate(parts)
    gaps = np.flatnonzero(np.diff(starts) > size)
    if len(starts):
        firsts, lasts = starts[np.append(0, gaps + 1)], starts[np.append(gaps, -1)]
        yield from zip(firsts.tolist(), (lasts + size).tolist(), strict=True)


def stretch_hashes(characters: Array, size: int) -> Array:
    """Compute the polynomial hash modulo 2⁶⁴ of each stretch of `size` characters."""
    characters = characters.astype(np.uint64)
    if len(characters) < size:
        return characters[:0]
    hashes, length = characters, 1
    for bit in f"{size:b}"[1:]:
        hashes = hashes[:-length] * _power(length) + hashes[length:]
        length *= 2
        if bit == "1":
            hashes = hashes[:-1] * _power(1) + characters[length:]
            length += 1
    return hashes


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(_BASE, exponent, _MODULUS))


def characters_of(corpus: Documents, start: int, stop: int) -> Array:
    """Return the code points (N,) of the documents end to end, with a mark after each."""
    places = corpus.spans.places(start, min(stop, corpus.spans.size))
    characters: Array = corpus.alphabet[corpus.codes[places]]
    return characters
