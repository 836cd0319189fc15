"""Kneser-Ney against an implementation that reads like the formulas and is as slow."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest

from charrnn.config import ModelConfig
from charrnn.functional import IGNORE
from charrnn.ngram import NGram
from charrnn.vocabulary import EOS, UNK

V = 6
START = -9  # a marker that no token can be mistaken for


class Literal:
    """P_k by recursion over tuples, from counts in dictionaries."""

    def __init__(self, documents: Sequence[Sequence[int]], n: int) -> None:
        raw: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(n + 1)]
        for document in documents:
            padded = (START, *document)
            for k in range(1, n + 1):
                for i in range(len(padded) - k + 1):
                    if padded[i + k - 1] not in (START, IGNORE):
                        raw[k][padded[i : i + k]] += 1
        self.counts: list[dict[tuple[int, ...], int]] = [dict(counter) for counter in raw]
        for k in range(1, n):
            before = defaultdict(set)
            for gram in raw[k + 1]:
                before[gram[1:]].add(gram[0])
            for gram in raw[k]:
                if gram[0] != START:
                    self.counts[k][gram] = len(before[gram])
        self.n = n

    def discount(self, k: int, count: int) -> float:
        if count == 0:
            return 0
        n = [sum(c == times for c in self.counts[k].values()) for times in range(5)]
        if not n[1] or not n[2]:
            return 0.5
        y = n[1] / (n[1] + 2 * n[2])
        d = [0, 1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2]]
        d.append(3 - 4 * y * n[4] / n[3] if n[3] else d[2])
        return min(max(d[min(count, 3)], 0.01), min(count, 3))

    def prob(self, token: int, context: tuple[int, ...]) -> float:
        k = len(context) + 1
        lower = self.prob(token, context[1:]) if context else 1 / V
        followed = {gram: count for gram, count in self.counts[k].items() if gram[:-1] == context}
        total = sum(followed.values())
        if not total:
            return lower
        count = followed.get((*context, token), 0)
        gamma = sum(self.discount(k, c) for c in followed.values()) / total
        return (count - self.discount(k, count)) / total + gamma * lower


def corpus() -> tuple[list[list[int]], np.ndarray]:
    """Documents from a source with memory, one of them cut, and the array of their tokens."""
    rng, documents = np.random.default_rng(0), []
    for size in rng.integers(1, 25, 30):
        document = [2]
        for _ in range(size):
            document.append(
                int((document[-1] * 2 + rng.integers(3)) % 4 + 2 - (rng.random() < 0.05))
            )
        documents.append([*document, EOS])
    documents[-1][-1] = IGNORE
    return documents, np.concatenate(documents)


def fit(n: int) -> NGram:
    return NGram.fit(ModelConfig(vocab_size=V, cell="ngram", order=n), corpus()[1])


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_probabilities_are_those_of_the_formulas(n: int) -> None:
    model, literal = fit(n), Literal(corpus()[0], n)
    text = [2, 4, 3, 5, 2, 2, 3, UNK, 4, EOS]
    inputs, targets = np.array([[EOS, *text[:-1]]]).T, np.array([text]).T
    found, _ = model.log_probs(inputs, targets, model.zero_state(1))
    history: tuple[int, ...] = (START,)
    for token, log_prob in zip(text, found[:, 0], strict=True):
        expected = literal.prob(token, history[max(0, len(history) - n + 1) :] if n > 1 else ())
        assert log_prob == pytest.approx(math.log(expected), abs=1e-5)
        history = (*history, token)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_every_distribution_adds_up_to_one_and_agrees_with_the_chosen_tokens(n: int) -> None:
    model = fit(n)
    inputs = np.random.default_rng(1).integers(IGNORE, V, (40, 3))
    log_probs, state = model.forward(inputs, model.zero_state(3))
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-6)
    assert (log_probs < 0).all()
    for token in range(V):
        chosen, after = model.log_probs(inputs, np.full((40, 3), token), model.zero_state(3))
        np.testing.assert_allclose(chosen, log_probs[:, token], atol=1e-6)
        np.testing.assert_array_equal(after, state)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_step_by_step_equals_all_at_once(n: int) -> None:
    model = fit(n)
    inputs = np.random.default_rng(2).integers(IGNORE, V, (30, 2))
    together, _ = model.forward(inputs, model.zero_state(2))
    state = model.zero_state(2)
    for t in range(len(inputs)):
        step, state = model.forward(inputs[t : t + 1], state)
        np.testing.assert_array_equal(step[0], together[t])


def test_nothing_is_predicted_where_the_target_is_ignored() -> None:
    model = fit(3)
    inputs, targets = np.array([[EOS], [2]]), np.array([[2], [IGNORE]])
    log_probs, _ = model.log_probs(inputs, targets, model.zero_state(1))
    assert log_probs[0, 0] < 0
    assert log_probs[1, 0] == 0


def test_the_tiniest_text_has_a_model() -> None:
    model = NGram.fit(ModelConfig(vocab_size=4, cell="ngram", order=6), np.array([2, EOS]))
    log_probs, _ = model.forward(np.array([[EOS], [2], [3]]), model.zero_state(1))
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-6)
    assert np.exp(log_probs[0, 2, 0]) > 0.5
    assert np.exp(log_probs[1, EOS, 0]) > 0.5
