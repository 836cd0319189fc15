"""The memory of the text being read: what followed the last tokens when they occurred before.

Letters: N places of a text, B streams side by side, L tokens that a stream remembers.

The history of a context is the last two tokens that followed it, the older one first, NONE if
missing. A stream remembers the last L tokens of its document, with <EOS> at the start.
"""

from collections.abc import Iterator, Sequence
from copy import copy

import numpy as np

from charrnn.ids import EOS, IGNORE

Array = np.ndarray

NONE = -1  # in place of a missing token of a history
ODD = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ / golden ratio: products with it spread over all bits
_FOLD = np.uint64(29)
_NOWHERE = -(1 << 60), -(1 << 60)


def hashed(parts: Sequence[Array]) -> Array:
    """Hash columns of integers, given as rows of equal shape, to uint64."""
    found = np.full(parts[0].shape, ODD)
    for part in parts:
        found ^= part.astype(np.uint64)  # NONE becomes 2⁶⁴ - 1
        found *= ODD
        found ^= found >> _FOLD
    return found


def histories(inputs: Array, targets: Array, length: int, memory: int) -> Array:
    """Find the histories (2, N) of the last `length` tokens before each place of a whole text.

    The result is that of `recall` at each place, but sorting finds all at once.

    Args:
        inputs: (N,) the token before each place; <EOS> or IGNORE where a document starts.
        targets: (N,) the token at each place.
        length: tokens of a context.
        memory: L.
    """
    places = np.arange(len(inputs))
    start = np.maximum.accumulate(np.where(inputs <= EOS, places, 0))  # of the document
    whole = np.flatnonzero(places - start >= length - 1)
    tokens = np.maximum(inputs, EOS)
    keys = hashed([tokens[whole - back] for back in range(length)])
    order = np.argsort(keys, kind="stable")
    keys, whole = keys[order], whole[order]
    found = np.full((2, len(inputs)), NONE, np.int32)
    for row, back in ((1, 1), (0, 2)):
        earlier, later = whole[:-back], whole[back:]
        same = keys[back:] == keys[:-back]
        same &= (later - earlier <= memory - length) & (start[later] == start[earlier])
        found[row, later[same]] = targets[earlier[same]]
    return found


def read(recent: Array, inputs: Array) -> Iterator[Array]:
    """Read tokens: yield what each stream remembers after each of them.

    Args:
        recent: (B, L) what it remembers before, the last token first; IGNORE for none.
        inputs: (T, B) ids; <EOS> or IGNORE starts a document and clears the memory.

    Yields:
        (B, L) views of one array, valid until the next step.
    """
    T, L = len(inputs), recent.shape[1]
    whole = np.empty((len(recent), T + L), recent.dtype)
    whole[:, :T], whole[:, T:] = np.maximum(inputs[::-1], EOS).T, recent
    starts = inputs <= EOS
    for step in range(T):
        if starts[step].any():
            whole[starts[step], T - step :] = IGNORE
        yield whole[:, T - 1 - step :][:, :L]


def recall(recent: Array, lengths: Sequence[int]) -> Array:
    """Find the histories (lengths, 2, B) of the last tokens of each stream.

    Args:
        recent: (B, L) what each stream remembers, the last token first.
        lengths: tokens of a context, ascending; the first two are 2 and 3.
    """
    B, L = recent.shape
    found = np.full((len(lengths), 2, B), NONE, np.int32)
    equal = recent[:, 1:-1] == recent[:, :1]  # earlier places of the last token
    equal &= recent[:, 2:] == recent[:, 1:2]
    _first_two(recent, equal, found[0])
    equal[:, :-1] &= recent[:, 3:] == recent[:, 2:3]
    equal[:, -1] = False
    # Few places are left by now, so from here on only these are compared.
    stream, place = np.divmod(np.flatnonzero(equal), L - 2)
    place += 1
    compared = 3
    for row, length in enumerate(lengths[1:], 1):
        for back in range(compared, length):
            within = place + back < L
            stream, place = stream[within], place[within]
            same = recent[stream, place + back] == recent[stream, back]
            stream, place = stream[same], place[same]
        compared = length
        if not len(stream):
            break
        first = np.flatnonzero(np.append(True, stream[1:] != stream[:-1]))
        found[row, 1, stream[first]] = recent[stream[first], place[first] - 1]
        second = first[first + 1 < len(stream)] + 1
        second = second[stream[second] == stream[second - 1]]
        found[row, 0, stream[second]] = recent[stream[second], place[second] - 1]
    return found


def _first_two(recent: Array, equal: Array, found: Array) -> None:
    """Write to `found` (2, B) what followed the first two places where `equal` (B, L - 2) holds."""
    streams = np.arange(len(recent))
    first = equal.argmax(axis=1)
    known = equal[streams, first]
    equal[streams, first] = False
    second = equal.argmax(axis=1)
    found[0] = np.where(equal[streams, second], recent[streams, second], NONE)
    found[1] = np.where(known, recent[streams, first], NONE)
    equal[streams, first] = known


class Index:
    """The memory of one stream, indexed by context, so that no search is needed.

    Args:
        lengths: tokens of a context, ascending.
        memory: L.
    """

    def __init__(self, lengths: Sequence[int], memory: int) -> None:
        self._lengths, self._memory = lengths, memory
        self._tokens: list[int] = []
        self._last = ""  # the last tokens, as characters: slices of a string hash fast
        self._places: dict[str, tuple[int, int]] = {}  # the last two places where a context ended

    def add(self, token: int) -> list[tuple[int, int]]:
        """Read a token; <EOS> or IGNORE starts a document and clears the memory.

        Returns:
            The histories after it as (older, newer), one for each length up to the longest context
            that occurred before.
        """
        if token <= EOS:
            self._tokens, self._last, token = [], "", EOS
            self._places.clear()
        elif len(self._tokens) == 2 * self._memory:
            self.reset(self._tokens[-self._memory :])
        tokens, places = self._tokens, self._places
        tokens.append(token)
        self._last = last = (self._last + chr(token))[-self._lengths[-1] :]
        now, found = len(tokens) - 1, []
        for length in self._lengths:
            if length > len(last):
                break
            context = last[-length:]
            newer, older = places.get(context, _NOWHERE)
            places[context] = now, newer
            oldest = now - self._memory + length
            if newer >= oldest:
                found.append((tokens[older + 1] if older >= oldest else NONE, tokens[newer + 1]))
        return found

    def read(self, inputs: Array, tail: int) -> tuple[Array, Array]:
        """Read tokens (T,), and return what `add` and `last` find after each of them.

        Returns:
            The last tokens (tail, T, 1), the very last first, and histories (lengths, 2, T, 1).
        """
        last = np.empty((tail, len(inputs), 1), np.int64)
        found = np.full((len(self._lengths), 2, len(inputs), 1), NONE, np.int32)
        for step, token in enumerate(inputs.tolist()):
            for row, history in enumerate(self.add(token)):
                found[row, :, step, 0] = history
            last[:, step, 0] = self.last(tail)
        return last, found

    def copy(self) -> "Index":
        """Return an index that reads on independently."""
        other = copy(self)
        other._tokens, other._places = [*self._tokens], {**self._places}
        return other

    def last(self, number: int) -> list[int]:
        """Return the last `number` tokens, the very last first, padded with IGNORE."""
        found = self._tokens[: -number - 1 : -1]
        return found + [IGNORE] * (number - len(found))

    def reset(self, tokens: Sequence[int]) -> None:
        """Clear the memory and read tokens; the first need not start a document."""
        self._tokens, self._last = [], ""
        self._places.clear()
        for token in tokens:
            self.add(token)
