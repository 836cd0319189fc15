"""What is mixed: contexts by their histories, and what their counts say."""

import math

import numpy as np
import pytest

from charrnn.mixing.counts import Counts
from charrnn.mixing.inputs import (
    LENGTHS,
    NUM_INPUTS,
    UNKNOWN,
    Evidence,
    context_keys,
    num_rows,
)
from charrnn.mixing.mixer import LEVELS
from charrnn.mixing.recall import NONE

V, N = 9, 200
Array = np.ndarray


def places() -> tuple[Array, Array, Array]:
    """Last tokens, histories, many of them shorter than two or none, and targets."""
    rng = np.random.default_rng(4)
    found = rng.integers(0, 3, (len(LENGTHS), 2, N))
    depth = rng.integers(0, 1 + len(LENGTHS), N)
    found = np.where(np.arange(len(LENGTHS))[:, None, None] < depth, found, NONE)
    found[:, 0, ::7] = NONE
    return rng.integers(0, V, N), found, rng.integers(0, V, N)


def test_a_context_is_its_history_and_the_last_token() -> None:
    last, found, _ = places()
    keys = context_keys(last, found)
    assert keys.shape == (NUM_INPUTS - 1, N)
    assert np.array_equal(keys[0] == UNKNOWN, found[0, 1] == NONE)
    assert np.array_equal(keys[-1] == UNKNOWN, found[2, 1] == NONE)
    seen: dict[int, tuple[int, ...]] = {}
    for key, *context in zip(keys[0].tolist(), last, *found[0], strict=True):
        if key != UNKNOWN:
            assert seen.setdefault(key, tuple(map(int, context))) == tuple(context)


def test_evidence_is_by_how_much_counts_would_raise_the_base() -> None:
    last, found, targets = places()
    keys = context_keys(last, found)
    known = keys[0] != UNKNOWN
    counts = Counts.of(V, keys[0][known], targets[known], 1)
    longest = np.random.default_rng(2).integers(0, 4, N)
    log_probs = np.log(np.random.default_rng(1).dirichlet(np.ones(V), N))
    inputs = Evidence(counts).collect(log_probs, last, found, longest)
    assert not inputs.sizes[N:-N].any()  # nothing was counted for the other contexts
    assert np.array_equal(inputs.sizes[-N:] == 1, found[0, 1] != NONE)  # a match
    place = int(np.flatnonzero(known)[0])
    same = keys[0] == keys[0][place]
    followed, times = np.unique(targets[same], return_counts=True)
    first = int(inputs.sizes[:place].sum())
    assert inputs.tokens[first : first + len(followed)].tolist() == followed.tolist()
    for value, token, n in zip(inputs.values[first:], followed, times, strict=False):
        share = (n - 0.6) / (0.6 * len(followed) * math.exp(log_probs[place, token]))
        assert value == pytest.approx(math.log1p(share))
    assert inputs.levels.min() >= 0
    assert inputs.levels.max() < LEVELS
    assert not inputs.levels[2:-1].any()
    assert np.array_equal(inputs.levels[-1], (found[:, 1] != NONE).sum(axis=0))
    assert inputs.rows.max() < num_rows(V, 4)
    assert (np.diff(inputs.rows, axis=0) > 0).all()  # sets share no row
