"""Mixing a single position equals mixing many."""

import math

import numpy as np

from charrnn.mixing import inputs as many
from charrnn.mixing import stepping
from charrnn.mixing.counts import Counts
from charrnn.mixing.inputs import NUM_INPUTS, REMEMBERED, UNKNOWN, Evidence
from charrnn.mixing.mixer import LEVELS, Mixer, log_softmax
from charrnn.mixing.recall import NONE
from tests.mixing.test_inputs import LETTERS, N, V, places
from tests.rounding import log_prob_tolerance

ORDER = 4
Array = np.ndarray


def histories(found: Array) -> list[tuple[int, int]]:
    """Return the histories (len(LENGTHS), 2) that are not missing."""
    return [(int(older), int(newer)) for older, newer in found if newer != NONE]


def test_hashes_are_those_of_many() -> None:
    tail, found, _ = places()
    keys = many.context_keys(tail, found, LETTERS)
    for place in range(N):
        expected = [int(key) >> 32 for key in keys[:, place]]
        own = histories(found[..., place])
        assert stepping.context_hashes(tail[:, place].tolist(), own, LETTERS.tolist()) == expected


def test_logits_are_those_of_many() -> None:
    tail, found, targets = places()
    keys = many.context_keys(tail, found, LETTERS)
    known = keys != UNKNOWN
    counts = Counts.of(LETTERS, keys[known], np.broadcast_to(targets, keys.shape)[known], math.inf)
    rng = np.random.default_rng(1)
    longest, base = rng.integers(0, ORDER, N), rng.normal(0, 3, (N, V))
    ngram = log_softmax(rng.normal(0, 2, (N, V)))
    mixer = Mixer(
        rng.normal(0, 0.3, (many.num_rows(V, ORDER), NUM_INPUTS)),
        rng.normal(0, 0.3, (NUM_INPUTS, LEVELS)),
    )
    evidence = Evidence(counts)
    inputs = evidence.collect(np.stack([log_softmax(base.copy()), ngram]), tail, found, longest)
    memories = mixer.logits_apart(inputs, REMEMBERED)[1]
    expected = log_softmax(mixer.logits(inputs))
    for place in range(N):
        context = tail[:, place].tolist(), histories(found[..., place]), int(longest[place])
        logits, memory = stepping.logits((evidence, mixer), (base[place], ngram[place]), *context)
        result = log_softmax(logits[None].copy())[0]
        np.testing.assert_allclose(result, expected[place], atol=log_prob_tolerance(1, 10))
        np.testing.assert_allclose(memory, memories[place], atol=log_prob_tolerance(1, 10))
    assert {len(histories(each)) for each in np.moveaxis(found, 2, 0)} == {*range(7)}
