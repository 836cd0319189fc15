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
        self.raw = raw
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

    def worth(self, gram: tuple[int, ...]) -> float:
        """What the text loses in nats without a k-gram, and without those it is the context of."""
        *_, token = gram
        k, context = len(gram), gram[:-1]
        followed = {other: c for other, c in self.counts[k].items() if other[:-1] == context}
        removed = sum(self.discount(k, c) for c in followed.values())
        backed_off = removed / sum(followed.values()) * self.prob(token, context[1:])
        own = self.raw[k][gram] * math.log(self.prob(token, context) / backed_off)
        longer = self.raw[k + 1] if k < self.n else ()
        return max([own, *(self.worth(other) for other in longer if other[:-1] == gram)])


class LiteralPruned:
    """P_k of the k-grams that stay, and γ from what they leave, by recursion over tuples."""

    def __init__(self, full: Literal, kept: set[tuple[int, ...]]) -> None:
        self.full, self.kept = full, kept

    def prob(self, token: int, context: tuple[int, ...]) -> float:
        if not context or (*context, token) in self.kept:
            return self.full.prob(token, context)
        return self.gamma(context) * self.prob(token, context[1:])

    def gamma(self, context: tuple[int, ...]) -> float:
        tokens = [gram[-1] for gram in self.kept if gram[:-1] == context]
        left = 1 - math.fsum(self.full.prob(token, context) for token in tokens)
        lower_left = 1 - math.fsum(self.prob(token, context[1:]) for token in tokens)
        return left / lower_left if len(tokens) < V else 1


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


def config(n: int) -> ModelConfig:
    return ModelConfig(vocab_size=V, cell="ngram", order=n)


def fit(n: int, max_size: int | None = None) -> NGram:
    return NGram.fit(config(n), corpus()[1], max_size)


def kgrams(model: NGram) -> list[list[tuple[int, ...]]]:
    """For each order the tuples that the numbers of the k-grams stand for."""
    unigrams: list[tuple[int, ...]] = [(token,) for token in range(model.vocab_size)]
    orders, contexts = [unigrams], [(START,), *unigrams[EOS + 1 :]]
    for order in model.orders[1:]:
        pairs = [divmod(int(key), model.vocab_size) for key in order.keys]
        contexts = [(*contexts[number], token) for number, token in pairs]
        orders.append(contexts)
    return orders


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


@pytest.mark.parametrize(
    ("n", "max_size"),
    [(1, None), (2, None), (3, None), (6, None), (2, 20), (6, 200), (6, 60), (6, 13), (6, V + 1)],
)
def test_every_distribution_adds_up_to_one_and_agrees_with_the_chosen_tokens(
    n: int, max_size: int | None
) -> None:
    model, text = fit(n, max_size), corpus()[1]
    unseen = np.random.default_rng(1).integers(IGNORE, V, (len(text), 2))
    inputs = np.column_stack([text, unseen])
    log_probs, state = model.forward(inputs, model.zero_state(3))
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-6)
    assert (log_probs < 0).all()
    for token in range(V):
        chosen, after = model.log_probs(inputs, np.full_like(inputs, token), model.zero_state(3))
        np.testing.assert_allclose(chosen, log_probs[:, token], atol=1e-6)
        np.testing.assert_array_equal(after, state)


@pytest.mark.parametrize(("n", "max_size"), [(1, None), (2, None), (4, None), (4, 30)])
def test_step_by_step_equals_all_at_once(n: int, max_size: int | None) -> None:
    model = fit(n, max_size)
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


@pytest.mark.parametrize("max_size", [None, 10**9, "size"])
def test_a_model_that_is_small_enough_is_not_pruned(max_size: int | str | None) -> None:
    full = fit(4)
    assert full.size > 100
    model = fit(4, full.size if isinstance(max_size, str) else max_size)
    assert model.arrays.keys() == full.arrays.keys()
    for name, array in full.arrays.items():
        np.testing.assert_array_equal(model.arrays[name], array)


def test_a_pruned_model_has_the_stated_size_down_to_the_unigrams() -> None:
    full = fit(4)
    for max_size in range(-2, full.size):
        model = fit(4, max_size)
        assert model.size == max(max_size, V)
        loaded = NGram.from_arrays(config(4), model.arrays)
        assert loaded.size == model.size
        for below, order in zip(model.orders, model.orders[1:], strict=False):
            assert len(order.backoff) == len(below.keys)
    assert len(fit(4, 0).orders) == 1


def test_pruning_is_the_same_each_time() -> None:
    one, other = fit(5, 77), fit(5, 77)
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(other.arrays[name], array)


def test_what_stays_keeps_its_probability() -> None:
    full, pruned = fit(4), fit(4, 90)
    assert len(pruned.orders) == 4
    for some, every, order, whole in zip(
        kgrams(pruned), kgrams(full), pruned.orders, full.orders, strict=True
    ):
        assert some == [gram for gram in every if gram in {*some}]  # all known, in the same order
        places = [every.index(gram) for gram in some]
        np.testing.assert_array_equal(order.probs, whole.probs[places])


@pytest.mark.parametrize("max_size", [12, 40, 90, 150])
def test_what_goes_is_worth_no_more_than_what_stays(max_size: int) -> None:
    literal = Literal(corpus()[0], 4)
    kept = {gram for order in kgrams(fit(4, max_size))[1:] for gram in order}
    worths = {gram: literal.worth(gram) for order in kgrams(fit(4))[1:] for gram in order}
    assert len(kept) == max_size - V
    least = min(worths[gram] for gram in kept)
    assert least > 0
    assert least >= max(worth for gram, worth in worths.items() if gram not in kept) - 1e-9


@pytest.mark.parametrize(("n", "max_size"), [(2, 12), (4, 15), (4, 45), (4, 90), (4, 150)])
def test_a_pruned_model_gives_the_probabilities_of_the_formulas(n: int, max_size: int) -> None:
    documents, text = corpus()
    model = fit(n, max_size)
    kept = {gram for order in kgrams(model)[1:] for gram in order}
    literal = LiteralPruned(Literal(documents, n), kept)
    histories = [(START,), (START, 2, 4, 3), (2, 2, 2), (4, 3, UNK), (UNK, UNK, 5)]
    histories += [tuple(text[i : i + 3].tolist()) for i in (1, 40, 80) if text[i : i + 3].all()]
    for history in histories:
        inputs = np.array([[EOS if token == START else token for token in history]]).T
        log_probs, _ = model.forward(inputs, model.zero_state(1))
        for token in range(V):
            expected = literal.prob(token, history[max(0, len(history) - n + 1) :])
            assert np.exp(log_probs[-1, token, 0]) == pytest.approx(expected, abs=1e-6)


def test_pruning_may_raise_a_weight_above_one_and_such_a_model_loads() -> None:
    model = fit(5, 100)
    assert max(order.backoff.max() for order in model.orders) > 1
    loaded = NGram.from_arrays(config(5), model.arrays)
    inputs = np.array([[EOS], [2], [4], [3]])
    np.testing.assert_array_equal(
        loaded.forward(inputs, loaded.zero_state(1))[0],
        model.forward(inputs, model.zero_state(1))[0],
    )


def test_a_context_that_any_token_follows_has_a_weight_after_rounding_too() -> None:
    text = np.random.default_rng(4).integers(0, 4, 3000)
    size = NGram.fit(ModelConfig(vocab_size=4, cell="ngram", order=4), text).size
    for max_size in range(size - 20, size):
        model = NGram.fit(ModelConfig(vocab_size=4, cell="ngram", order=4), text, max_size)
        assert (np.bincount(model.orders[1].keys // 4) == 4).all()
        assert all(0 < order.backoff.min() <= order.backoff.max() < 5 for order in model.orders)
        log_probs, _ = model.forward(text[:100, None], model.zero_state(1))
        np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("value", [-0.5, math.nan, math.inf])
def test_a_weight_that_is_none_is_refused(value: float) -> None:
    arrays = {name: array.copy() for name, array in fit(3).arrays.items()}
    arrays["orders.2.backoff"][2] = value
    with pytest.raises(ValueError, match="probabilities or weights of the 2-grams"):
        NGram.from_arrays(config(3), arrays)


def test_the_smaller_a_model_the_worse_it_predicts_but_little_is_lost_at_first() -> None:
    rng = np.random.default_rng(3)
    choices = rng.integers(2, 20, (20, 20, 3))  # of a source that looks two tokens back
    text = [2, 3]
    for pick in rng.choice(3, 20_000, p=[0.7, 0.2, 0.1]):
        text.append(int(rng.integers(2, 20) if rng.random() < 0.1 else choices[*text[-2:], pick]))
    train, test = np.array(text[:16_000]), np.array(text[16_000:])[:, None]

    def loss(max_size: int | None) -> float:
        model = NGram.fit(ModelConfig(vocab_size=20, cell="ngram", order=4), train, max_size)
        log_probs, _ = model.log_probs(test[:-1], test[1:], model.zero_state(1))
        return -float(log_probs.mean())

    size = NGram.fit(ModelConfig(vocab_size=20, cell="ngram", order=4), train).size
    full, half, tenth, unigrams = (loss(limit) for limit in (None, size // 2, size // 10, 0))
    assert abs(half - full) < 0.02
    assert half < tenth - 0.02
    assert tenth < unigrams - 0.5
