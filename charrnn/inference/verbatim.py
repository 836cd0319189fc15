"""Which stretches of a text stand word for word in a corpus.

The corpus is searched in two steps. Rolling hashes of all its stretches of a few characters are
compared with those of the texts, in NumPy; the places where they agree are then matched by a suffix
automaton of the texts, which is exact. Both take time linear in the size of the corpus, for
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

MIN_CHARS = 20
_BETWEEN = "\udfff"  # in no document
_PART = 1 << 20  # characters of the corpus looked at at a time
_TEXTS = 1 << 17  # characters of the texts looked for at a time, unless one alone has more
_BASE = 0x9E3779B97F4A7C15  # odd, its bits in no order
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
    """For each text its stretches that stand in a document of the corpus, the longest first.

    Of at least `min_chars` characters, and each as long as it can be: with one character more on
    either side it stands nowhere. Two of them may overlap.

    Args:
        texts: in NFC, as the corpus is.
    """
    blocks = np.cumsum([0, *map(len, texts)])[:-1] // _TEXTS  # of each text
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
    """The documents, to look for texts that are one of them, however short."""
    return frozenset(re.split(f"[{END}{LINE_END}]", "".join(corpus.marked()))) - {""}


def covered(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Merge stretches that overlap or touch; returns them in the order of the text."""
    found: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda stretch: stretch.start):
        if found and stretch.start <= found[-1].stop:
            last = found.pop()
            stretch = Stretch(last.start, max(last.stop, stretch.stop))
        found.append(stretch)
    return found


class Automaton:
    """The suffix automaton of a sequence (Blumer et al. 1985), and what was found of it elsewhere.

    A state is a set of sequences that end at the same places; each is a suffix of the longest one
    among them, and the link leads to the state of the next shorter suffix.
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
        self._found = [0] * len(self._sizes)  # how much of the longest one has been read

    def _append(self, last: int, item: int) -> int:
        """Take in one more item after the prefix of state `last`; the state of the new one."""
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
        """Take the shorter sequences, which now end at one place more, out of a state."""
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
        """Record every part of the sequence that also stands in `items`."""
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
        """The parts of the sequence that were read and are in no longer one that was, in order."""
        longest = [*self._found]
        by_size = sorted(range(1, len(longest)), key=self._sizes.__getitem__)
        for state in reversed(by_size):
            if longest[state]:  # then its suffixes were read too
                link = self._links[state]
                longest[link] = self._sizes[link]
        for state in by_size:
            if not longest[state]:  # then one of its suffixes at most
                longest[state] = longest[self._links[state]]
        sizes = [longest[state] for state in self._prefixes]
        for stop, (size, following) in enumerate(pairwise([*sizes, 0]), start=1):
            if size and following != size + 1:
                yield Stretch(stop - size, stop)


def _places(texts: Array, corpus: Documents, size: int) -> Iterator[tuple[int, int]]:
    """Stretches of the corpus in which everything lies that the texts share with it.

    That is longer than `size`, and apart from it little else does, by chance.
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
    """Code points of the documents end to end, with a mark after each (N,)."""
    places = corpus.spans.places(start, min(stop, corpus.spans.size))
    characters: Array = corpus.alphabet[corpus.codes[places]]
    return characters
