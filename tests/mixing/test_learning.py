"""Counts that learn: against a dictionary, and against counts that are made anew."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from charrnn.ids import IGNORE
from charrnn.mixing import learning
from charrnn.mixing.counts import Counts
from charrnn.mixing.inputs import UNKNOWN, Evidence
from charrnn.mixing.learning import LearningEvidence

pytestmark = pytest.mark.figures

V = 6
KEYS = np.arange(1, 9, dtype=np.uint64) << np.uint64(32)  # of eight contexts


def made(rng: np.random.Generator, size: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """What followed which of the first six contexts."""
    return rng.choice(KEYS[:6], size), rng.integers(V, size=size)


def counted(keys: np.ndarray, tokens: np.ndarray) -> Counts:
    return Counts.of(np.ones(V, bool), keys, tokens, np.inf)


def read(evidence: LearningEvidence, keys: np.ndarray, tokens: np.ndarray) -> None:
    """Ask for two contexts of each position, and learn what followed."""
    for start in range(0, len(tokens), 4):
        evidence.after(keys[:, start : start + 4].reshape(-1))
        evidence.learn(tokens[start : start + 4])


def by_context(evidence: Evidence, keys: np.ndarray) -> list[tuple[dict[int, float], int]]:
    """What each context says of each token, and how much it knows."""
    sizes, tokens, excess, levels = evidence.after(keys)
    parts = np.split(np.arange(len(tokens)), np.cumsum(sizes)[:-1])
    pairs = (dict(zip(tokens[own].tolist(), excess[own].tolist(), strict=True)) for own in parts)
    return list(zip(pairs, levels.tolist(), strict=True))


def test_what_is_read_counts_twice_as_much() -> None:
    rng = np.random.default_rng(0)
    before = made(rng)
    keys, tokens = rng.choice(KEYS, (2, 80)), rng.integers(V, size=80)
    keys[rng.random(keys.shape) < 0.1] = UNKNOWN
    tokens[::7] = IGNORE
    evidence = LearningEvidence(counted(*before))
    read(evidence, keys, tokens)
    expected: dict[int, Counter[int]] = defaultdict(Counter)
    for key, token in zip(*(each.tolist() for each in before), strict=True):
        expected[key][token] += 1
    for row in keys:
        for key, token in zip(row.tolist(), tokens.tolist(), strict=True):
            if key and token != IGNORE:
                expected[key][token] += 2
    followed = [(key, token) for key in expected for token in expected[key].elements()]
    pairs = np.array(followed, np.uint64).T
    anew = Evidence(counted(pairs[0], pairs[1]))
    queries = np.append(KEYS, UNKNOWN)
    for learned in (evidence, Evidence(evidence.learned)):
        for (found, level), (other, other_level) in zip(
            by_context(learned, queries), by_context(anew, queries), strict=True
        ):
            assert found == pytest.approx(other, rel=1e-6)
            assert level == other_level


def test_what_has_learned_nothing_says_what_the_training_text_says() -> None:
    counts = counted(*made(np.random.default_rng(1)))
    for found, expected in zip(
        LearningEvidence(counts).after(KEYS), Evidence(counts).after(KEYS), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_the_counts_of_the_model_stay_as_they_are() -> None:
    counts = counted(*made(np.random.default_rng(2)))
    before = {name: array.copy() for name, array in counts.arrays.items()}
    evidence = LearningEvidence(counts)
    read(evidence, KEYS[:, None], np.array([3]))
    for name, array in counts.arrays.items():
        np.testing.assert_array_equal(array, before[name])


def test_the_oldest_contexts_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "_REMEMBERED", 2)
    evidence = LearningEvidence(counted(KEYS[:0], np.zeros(0, int)))
    for key in KEYS[:3]:
        read(evidence, np.array([[key]]), np.array([1]))
    assert [len(found) for found, _ in by_context(evidence, KEYS[:4])] == [0, 1, 1, 0]
