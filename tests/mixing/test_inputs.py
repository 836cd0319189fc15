"""The inputs of a mixture: hashes of contexts, and opinions from their counts."""

import math

import numpy as np
import pytest

from charrnn.ids import EOS, IGNORE
from charrnn.mixing.counts import Counts
from charrnn.mixing.inputs import (
    CONTEXTS,
    DENSE,
    LENGTHS,
    TAIL,
    UNKNOWN,
    Evidence,
    context_keys,
    num_rows,
    tails,
    words,
)
from charrnn.mixing.mixer import LEVELS
from charrnn.mixing.recall import NONE

V, N = 9, 200
LETTERS = np.arange(V) > 3
Array = np.ndarray


def places() -> tuple[Array, Array, Array]:
    """Last tokens, some after a start, histories, many of them short or none, and targets."""
    rng = np.random.default_rng(4)
    found = rng.integers(0, 3, (len(LENGTHS), 2, N))
    depth = rng.integers(0, 1 + len(LENGTHS), N)
    found = np.where(np.arange(len(LENGTHS))[:, None, None] < depth, found, NONE)
    found[:, 0, ::7] = NONE
    tail = np.where(
        np.arange(TAIL)[:, None] < rng.integers(2, 9, N), rng.integers(0, V, (TAIL, N)), -1
    )
    return tail, found, rng.integers(0, V, N)


def test_a_context_is_its_history_and_the_last_token() -> None:
    tail, found, _ = places()
    keys = context_keys(tail, found, LETTERS)
    assert keys.shape == (len(CONTEXTS), N)
    for own, (last, rows, size) in zip(keys.tolist(), CONTEXTS, strict=True):
        known = found[rows[-1], 1] != NONE if rows else np.full(N, True)
        assert [key != UNKNOWN for key in own] == known.tolist()
        context = np.concatenate([tail[:last], found[list(rows)].reshape(-1, N)])
        context = np.concatenate([context, words(tail, LETTERS)[size - 1 : size].astype(np.int64)])
        seen: dict[int, list[int]] = {}
        for key, each in zip(own, context.T.tolist(), strict=True):
            if key != UNKNOWN:
                assert seen.setdefault(key, each) == each
        assert len(seen) == len({*map(tuple, context.T[known].tolist())})


def test_words_are_letters_in_a_row() -> None:
    tail = np.full((TAIL, 4), IGNORE)
    tail[:4] = np.array([[5, 6, 1, 7], [5, 6, 1, 8], [1, 6, 7, 2], [1] * 4]).T
    current, both = words(tail, LETTERS)
    assert current[0] == current[1]
    assert both[0] != both[1]
    alone = np.full((TAIL, 2), IGNORE)
    alone[:3] = np.array([[1, 6, 7], [1, 2, 3]]).T
    assert words(alone, LETTERS)[0].tolist() == [current[2], current[2]]
    assert current[2] == current[3]
    assert both[2] != both[3]


def test_tails_do_not_reach_beyond_a_start() -> None:
    found = tails(np.array([EOS, 5, 6, IGNORE, 7]))
    assert found[:3].tolist() == [[0, 5, 6, 0, 7], [-1, 0, 5, -1, 0], [-1, -1, 0, -1, -1]]
    assert (found[3:] == IGNORE).all()


def test_evidence_is_by_how_much_counts_would_raise_the_base() -> None:
    tail, found, targets = places()
    keys = context_keys(tail, found, LETTERS)
    known = keys[0] != UNKNOWN
    counts = Counts.of(LETTERS, keys[0][known], targets[known], math.inf)
    longest = np.random.default_rng(2).integers(0, 4, N)
    log_probs = np.log(np.random.default_rng(1).dirichlet(np.ones(V), (DENSE, N)))
    inputs = Evidence(counts).collect(log_probs, tail, found, longest)
    assert not inputs.sizes[N:-N].any()  # nothing was counted for the other contexts
    assert np.array_equal(inputs.sizes[-N:] == 1, found[0, 1] != NONE)  # a match
    place = int(np.flatnonzero(known)[0])
    same = keys[0] == keys[0][place]
    followed, times = np.unique(targets[same], return_counts=True)
    first = int(inputs.sizes[:place].sum())
    assert inputs.tokens[first : first + len(followed)].tolist() == followed.tolist()
    for value, token, n in zip(inputs.values[first:], followed, times, strict=False):
        share = (n - 0.6) / (0.6 * len(followed) * math.exp(log_probs[0, place, token]))
        assert value == pytest.approx(math.log1p(share))
    assert inputs.levels.min() >= 0
    assert inputs.levels.max() < LEVELS
    assert not inputs.levels[DENSE + 1 : -1].any()
    assert np.array_equal(inputs.levels[-1], (found[:, 1] != NONE).sum(axis=0))
    assert inputs.rows.max() < num_rows(V, 4)
    assert (np.diff(inputs.rows, axis=0) > 0).all()  # sets share no row
