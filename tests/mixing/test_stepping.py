"""One position of one stream against the path of many."""

import numpy as np

from charrnn.mixing import inputs as many
from charrnn.mixing import stepping
from charrnn.mixing.counts import Counts
from charrnn.mixing.inputs import NUM_INPUTS, UNKNOWN, Evidence
from charrnn.mixing.mixer import LEVELS, Mixer, log_softmax
from charrnn.mixing.recall import NONE
from tests.mixing.test_inputs import N, V, places
from tests.rounding import log_prob_tolerance

ORDER = 4
Array = np.ndarray


def histories(found: Array) -> list[tuple[int, int]]:
    """Those (len(LENGTHS), 2) that there are."""
    return [(int(older), int(newer)) for older, newer in found if newer != NONE]


def test_hashes_are_those_of_many() -> None:
    last, found, _ = places()
    keys = many.context_keys(last, found)
    for place in range(N):
        expected = [int(key) >> 32 for key in keys[:, place] if key != UNKNOWN]
        own = histories(found[..., place])
        assert stepping.context_hashes(int(last[place]), own) == expected


def test_logits_are_those_of_many() -> None:
    last, found, targets = places()
    keys = many.context_keys(last, found)
    known = keys != UNKNOWN
    counts = Counts.of(V, keys[known], np.broadcast_to(targets, keys.shape)[known], 1)
    rng = np.random.default_rng(1)
    longest, base = rng.integers(0, ORDER, N), rng.normal(0, 3, (N, V))
    mixer = Mixer(
        rng.normal(0, 0.3, (many.num_rows(V, ORDER), 1 + NUM_INPUTS)),
        rng.normal(0, 0.3, (1 + NUM_INPUTS, LEVELS)),
    )
    evidence = Evidence(counts)
    inputs = evidence.collect(log_softmax(base.copy()), last, found, longest)
    expected = log_softmax(mixer.logits(inputs))
    for place in range(N):
        context = int(last[place]), histories(found[..., place]), int(longest[place])
        logits = stepping.logits((evidence, mixer), base[place], *context)
        result = log_softmax(logits[None].copy())[0]
        np.testing.assert_allclose(result, expected[place], atol=log_prob_tolerance(1, 10))
    assert {len(histories(each)) for each in np.moveaxis(found, 2, 0)} == {*range(7)}
