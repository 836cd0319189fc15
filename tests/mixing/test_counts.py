"""Counts of tokens after hashed contexts, against a dictionary."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from charrnn.mixing.counts import Counts

V = 300
LETTERS = np.arange(V) % 2 == 0
Array = np.ndarray


def pairs() -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    keys = rng.integers(1, 1 << 63, 40).astype(np.uint64)[rng.integers(0, 40, 4000) ** 2 // 40]
    return keys, rng.integers(0, V, 4000) ** 2 // V


@pytest.mark.parametrize("max_bytes", [math.inf, 6000, 2000, 0])
def test_counts_are_those_of_a_dictionary_as_far_as_there_is_room(max_bytes: float) -> None:
    keys, tokens = pairs()
    slow: dict[int, Counter[int]] = defaultdict(Counter)
    for key, token in zip(keys.tolist(), tokens.tolist(), strict=True):
        slow[key][token] += 1
    counts = Counts.of(LETTERS, keys, tokens, max_bytes)
    assert counts.num_bytes - LETTERS.nbytes <= max_bytes
    least = next(
        least
        for least in range(4001)
        if sum(6 + 3 * len(own) for own in slow.values() if own.total() >= least) <= max_bytes
    )
    queries = np.append(np.unique(keys), np.array([0, 1 << 62, (1 << 64) - 1], np.uint64))
    contexts = counts.find(queries)
    sizes, places = counts.sizes[contexts], counts.places(contexts)
    assert [counts.find_one(query >> 32) for query in queries.tolist()] == contexts.tolist()
    found = np.split(places, np.cumsum(sizes)[:-1])
    for query, own in zip(queries.tolist(), found, strict=True):
        listed = dict(zip(counts.tokens[own].tolist(), counts.counts[own].tolist(), strict=True))
        expected = slow[query] if slow[query].total() >= least else {}
        assert listed == {token: min(times, 255) for token, times in expected.items()}


def test_nothing_counted_finds_nothing() -> None:
    counts = Counts.of(LETTERS, np.empty(0, np.uint64), np.empty(0, np.int64), math.inf)
    contexts = counts.find(np.array([0, 5, (1 << 64) - 1], np.uint64))
    assert counts.sizes[contexts].tolist() == [0, 0, 0]
    assert not counts.places(contexts).size
    assert counts.find_one(5) == 0


def test_arrays_make_the_same_counts() -> None:
    counts = Counts.of(LETTERS, *pairs(), math.inf)
    again = Counts.from_arrays(V, counts.arrays)
    keys = np.unique(pairs()[0])
    contexts = again.find(keys)
    assert contexts.tolist() == counts.find(keys).tolist()
    assert again.places(contexts).tolist() == counts.places(contexts).tolist()
    assert again.num_bytes == counts.num_bytes > 0


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("letters", lambda array: array[1:]),
        ("keys", lambda array: array[::-1]),
        ("keys", lambda array: array[1:]),
        ("children", lambda array: array * 0),
        ("tokens", lambda array: array * 0 + V),
        ("tokens", lambda array: array[1:]),
        ("counts", lambda array: array * 0),
    ],
)
def test_hostile_arrays_are_refused(name: str, change: object) -> None:
    arrays = Counts.of(LETTERS, *pairs(), math.inf).arrays
    assert callable(change)
    with pytest.raises(ValueError, match="mixture's counts"):
        Counts.from_arrays(V, {**arrays, name: change(arrays[name])})
