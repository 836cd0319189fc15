"""What followed the last tokens when they came before: the memory of a text that is being read.

Letters: N places of a text, B streams side by side, L tokens that a stream remembers.

The history of a context is the last two tokens that followed it, the older one first; NONE stands
for those that there are not. A stream remembers its last L tokens, <EOS> as the start of its
document among them, and nothing else: what lies further back, or in another document, is forgotten.
"""

from collections.abc import Sequence

import numpy as np

from charrnn.ids import EOS, IGNORE

Array = np.ndarray

NONE = -1
ODD = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ / golden ratio, spreads numbers over all bits
_FOLD = np.uint64(29)


def hashed(parts: Sequence[Array]) -> Array:
    """Hash columns of integers, given as rows of equal shape, to uint64."""
    found = np.full(parts[0].shape, ODD)
    for part in parts:
        found ^= part.astype(np.uint64)  # NONE becomes a number of its own
        found *= ODD
        found ^= found >> _FOLD
    return found


def histories(inputs: Array, targets: Array, length: int, memory: int) -> Array:
    """What followed the last `length` tokens before each place of a text (2, N), as `recall` finds.

    Args:
        inputs: (N,) the token before each place; <EOS> or IGNORE where a document starts.
        targets: (N,) the token at each place.
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


def recall(recent: Array, lengths: Sequence[int]) -> Array:
    """What followed the last tokens of each stream when they came before: (lengths, 2, B).

    Args:
        recent: (B, L) what each stream remembers, the last token last; IGNORE before its start.
        lengths: how many last tokens, ascending from 2.
    """
    B, L = recent.shape
    found = np.full((len(lengths), 2, B), NONE, np.int32)
    equal = recent[:, 1 : L - 1] == recent[:, -1:]
    equal &= recent[:, : L - 2] == recent[:, -2:-1]
    stream, place = np.divmod(np.flatnonzero(equal), L - 2)
    place += 1  # of the last token of an earlier occurrence
    compared = 2
    for row, length in enumerate(lengths):
        for back in range(compared, length):
            if not len(stream):
                return found
            same = recent[stream, place - back] == recent[stream, L - 1 - back]
            same &= place >= back
            stream, place = stream[same], place[same]
        compared = length
        if not len(stream):
            return found
        latest = np.flatnonzero(np.append(stream[1:] != stream[:-1], True))
        found[row, 1, stream[latest]] = recent[stream[latest], place[latest] + 1]
        latest = latest[latest > 0] - 1
        latest = latest[stream[latest] == stream[latest + 1]]
        found[row, 0, stream[latest]] = recent[stream[latest], place[latest] + 1]
    return found


def remember(recent: Array, inputs: Array) -> Array:
    """What each stream remembers (B, L) after one more token (B,); a start forgets all before."""
    after = np.empty_like(recent)
    after[:, :-1] = recent[:, 1:]
    after[inputs <= EOS] = IGNORE
    after[:, -1] = np.maximum(inputs, EOS)
    return after
