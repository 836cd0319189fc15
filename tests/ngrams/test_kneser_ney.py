"""Kneser-Ney against a slow implementation that reads like the formulas."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.config import ModelConfig
from charrnn.ids import EOS, IGNORE, UNK
from charrnn.ngrams import kneser_ney
from charrnn.ngrams.kneser_ney import _discounts, _smoothed, count_ngrams
from charrnn.ngrams.ngram import NONE, NGram

pytestmark = pytest.mark.figures

Array = np.ndarray
Gram = tuple[int, ...]
V = 6
small = settings(deadline=None, max_examples=60, derandomize=True)
START = -9  # a marker that no token can be mistaken for


class Literal:
    """Compute P by recursion over tuples, from counts in dictionaries."""

    def __init__(self, documents: Sequence[Sequence[int]], n: int) -> None:
        self.raw: list[Counter[Gram]] = [Counter() for _ in range(n + 1)]
        for document in documents:
            padded = (START, *document)
            for k in range(1, n + 1):
                for i in range(len(padded) - k + 1):
                    if padded[i + k - 1] not in (START, IGNORE):
                        self.raw[k][padded[i : i + k]] += 1
        self.n = n
        self.counts = self.counted()
        self.discounts = [self.estimated(self.evidence(k)) for k in range(n + 1)]

    def counted(self) -> list[dict[Gram, int]]:
        """The counts of each length: occurrences, or different tokens before."""
        counts: list[dict[Gram, int]] = [dict(counter) for counter in self.raw]
        for k in range(1, self.n):
            before = defaultdict(set)
            for gram in self.raw[k + 1]:
                before[gram[1:]].add(gram[0])
            for gram in self.raw[k]:
                if gram[0] != START:
                    counts[k][gram] = len(before[gram])
        return counts

    def evidence(self, k: int) -> list[int]:
        """The counts that the discounts of a length are estimated from: below n, not at a start."""
        longest = k == self.n or not self.raw[k + 1]
        return [c for gram, c in self.counts[k].items() if longest or gram[0] != START]

    def estimated(self, counts: Sequence[int]) -> list[float]:
        """The discounts of a count of 1, 2, and 3 or more."""
        if 1 not in counts:
            return [0.5, 0.5, 0.5]
        n1, n2, n3, n4 = (counts.count(times) + 4 / times for times in (1, 2, 3, 4))
        y = n1 / (n1 + 2 * n2)
        d1, d2, d3 = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
        # Pool adjacent violators: neighbors whose shares grow get the share of both together.
        blocks: list[tuple[float, float, int]] = []  # taken, of how much, from how many of the d
        for taken, size in ((n1 * d1, n1), (n2 * d2, 2 * n2), (n3 * d3, 3 * n3)):
            blocks.append((taken, size, 1))
            while len(blocks) > 1 and blocks[-1][0] / blocks[-1][1] > blocks[-2][0] / blocks[-2][1]:
                last, before = blocks.pop(), blocks.pop()
                blocks.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
        shares = [taken / size for taken, size, times in blocks for _ in range(times)]
        d1 = shares[0]
        d2 = max(d1, 2 * shares[1])
        return [d1, d2, max(d2, 3 * shares[2])]

    def discount(self, k: int, count: int) -> float:
        return self.discounts[k][min(count, 3) - 1] if count else 0

    def prob(self, token: int, context: Gram) -> float:
        k = len(context) + 1
        lower = self.prob(token, context[1:]) if context else 1 / V
        followed = {gram: count for gram, count in self.counts[k].items() if gram[:-1] == context}
        total = sum(followed.values())
        if not total:
            return lower
        count = followed.get((*context, token), 0)
        gamma = sum(self.discount(k, c) for c in followed.values()) / total
        return (count - self.discount(k, count)) / total + gamma * lower

    def worth(self, gram: Gram) -> float:
        """The value of a k-gram: nats lost without it, or the value of a longer one, if larger."""
        *_, token = gram
        k, context = len(gram), gram[:-1]
        followed = {other: c for other, c in self.counts[k].items() if other[:-1] == context}
        removed = sum(self.discount(k, c) for c in followed.values())
        backed_off = removed / sum(followed.values()) * self.prob(token, context[1:])
        own = self.raw[k][gram] * math.log(self.prob(token, context) / backed_off)
        longer = self.raw[k + 1] if k < self.n else ()
        return max([own, *(self.worth(other) for other in longer if other[:-1] == gram)])


class LiteralPruned:
    """Compute P of a pruned model by recursion over tuples."""

    def __init__(self, full: Literal, kept: set[Gram]) -> None:
        self.full, self.kept = full, kept

    def prob(self, token: int, context: Gram) -> float:
        if not context or (*context, token) in self.kept:
            return self.full.prob(token, context)
        return self.gamma(context) * self.prob(token, context[1:])

    def gamma(self, context: Gram) -> float:
        tokens = [gram[-1] for gram in self.kept if gram[:-1] == context]
        left = 1 - math.fsum(self.full.prob(token, context) for token in tokens)
        lower_left = 1 - math.fsum(self.prob(token, context[1:]) for token in tokens)
        return left / lower_left if len(tokens) < V else 1


def corpus() -> tuple[list[list[int]], Array]:
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


def config(n: int, vocab_size: int = V) -> ModelConfig:
    return ModelConfig(vocab_size=vocab_size, cell="ngram", order=n)


def fit(
    n: int, max_size: int | None = None, dtype: type = np.float32, text: Array | None = None
) -> NGram:
    """A model of the corpus, or of another text of four tokens or fewer."""
    tokens, vocab_size = (corpus()[1], V) if text is None else (text, 4)
    of = config(n, vocab_size)
    return kneser_ney.fit(of, count_ngrams(of, tokens), max_size, dtype)


def kgrams(model: NGram) -> list[Gram]:
    """The k-grams of a model as tuples, in the order of the nodes, without single tokens."""
    tokens, children = model.arrays["ngram.tokens"], model.arrays["ngram.children"]
    parents = np.repeat(np.arange(len(children)), children)
    nodes: list[Gram] = [()]
    for token, parent in zip(tokens.tolist(), parents.tolist(), strict=True):
        nodes.append((*nodes[parent], token))
    longer = [gram for gram in nodes if len(gram) > 1]
    return [(START, *gram[1:]) if gram[0] == EOS else gram for gram in longer]


def after(model: NGram, history: Gram) -> Array:
    """P (V,) of every token after the start of a document and a history."""
    inputs = np.array([[EOS if token == START else token for token in history]]).T
    nothing = np.full_like(model.zero_state(1), NONE)
    found: Array = np.exp(model.forward(inputs, nothing)[0][-1, :, 0])
    return found


def assert_same(one: NGram, other: NGram) -> None:
    """Every number is the same."""
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(other.arrays[name], array)
        assert other.arrays[name].dtype == array.dtype


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_probabilities_are_those_of_the_formulas(n: int) -> None:
    model, literal = fit(n), Literal(corpus()[0], n)
    text = [2, 4, 3, 5, 2, 2, 3, UNK, 4, EOS]
    inputs, targets = np.array([[EOS, *text[:-1]]]).T, np.array([text]).T
    found, _ = model.log_probs(inputs, targets, model.zero_state(1))
    history: Gram = (START,)
    for token, log_prob in zip(text, found[:, 0], strict=True):
        expected = literal.prob(token, history[max(0, len(history) - n + 1) :] if n > 1 else ())
        assert log_prob == pytest.approx(math.log(expected), abs=1e-5)
        history = (*history, token)


@pytest.mark.parametrize(
    ("number", "expected"),  # of k-grams counted 1, 2, 3, 4 and 5 times
    [
        ((0, 0, 0, 0, 0), (0.5, 0.5, 0.5)),
        ((0, 9, 0, 0, 0), (0.5, 0.5, 0.5)),  # everything occurs twice
        ((0, 0, 9, 2, 7), (0.5, 0.5, 0.5)),
        ((8000, 2000, 800, 400, 70), (2 / 3, 6 / 5, 5 / 3)),  # as Chen & Goodman have them
        ((12, 6, 4, 3, 70), (0.5, 1, 1.5)),
        ((8000, 0, 0, 0, 0), (1, 1, 1)),  # just below it
        ((260_000, 227_000, 160_000, 82_000, 0), (0.615, 1.230, 1.845)),  # not 0.36, 1.23, 2.25
        ((4000, 2000, 4000, 0, 0), (0.6, 1.2, 1.8)),  # not 0.5, -1, 3
        ((4000, 200, 400, 0, 0), (0.909, 0.909, 0.955)),  # not D(2) = -3.5, D(3) = 3
    ],
)
def test_discounts_are_those_of_the_counts_of_counts(
    number: tuple[int, ...], expected: tuple[float, ...]
) -> None:
    counts = np.repeat(np.arange(len(number) + 1), (5, *number))  # a count of 0 is ignored
    np.testing.assert_allclose(_discounts(counts), (0, *expected), atol=3e-3)


@small
@given(st.lists(st.integers(0, 40), min_size=6, max_size=6))
def test_a_discount_takes_a_share_of_a_count_that_never_grows_with_it(number: list[int]) -> None:
    zero, *discounts = _discounts(np.repeat(np.arange(6), number))
    assert zero == 0
    assert 0 < discounts[0] <= discounts[1] <= discounts[2]
    shares = discounts / np.arange(1, 4)
    assert 1 > shares[0] >= shares[1] - 1e-12
    assert shares[1] >= shares[2] - 1e-12
    literal = Literal([], 1).estimated(np.repeat(np.arange(6), number).tolist())
    np.testing.assert_allclose(discounts, literal, rtol=1e-12)


lines = st.lists(st.lists(st.integers(2, V - 1), min_size=1, max_size=9), min_size=1, max_size=6)


def text_of(documents: Sequence[Sequence[int]]) -> Array:
    return np.array([token for document in documents for token in (*document, EOS)])


def log_prob(documents: Sequence[Sequence[int]], document: Sequence[int], n: int) -> float:
    """log P of one document to the model of some."""
    model = kneser_ney.fit(config(n), count_ngrams(config(n), text_of(documents)), dtype=np.float64)
    tokens = np.array([[EOS, *document, EOS]]).T
    found, _ = model.log_probs(tokens[:-1], tokens[1:], model.zero_state(1))
    return float(found.sum())


@small
@given(lines, st.integers(1, 5), st.booleans(), st.data())
def test_one_occurrence_more_never_makes_it_less_probable(
    documents: list[list[int]], n: int, shorter_too: bool, data: st.DataObject
) -> None:
    counted = count_ngrams(config(n), text_of(documents))
    more, k = [*counted], len(counted) - 1
    gram = place = data.draw(st.integers(0, len(counted[k].keys) - 1))
    while k >= 0 and (k == len(counted) - 1 or shorter_too):
        counts = counted[k].counts.copy()
        counts[gram] += 1
        more[k] = replace(counted[k], counts=counts)
        gram, k = counted[k].shorter[gram], k - 1
    before, after = (_smoothed(grams)[-1].probs for grams in (counted, more))
    assert after[place] >= before[place] - 1e-12


@small
@given(lines, st.integers(1, 5))
def test_of_two_tokens_the_one_seen_more_often_is_more_probable(
    documents: list[list[int]], n: int
) -> None:
    counted = count_ngrams(config(n), text_of(documents))
    *lower, top = _smoothed(counted)
    grams = counted[-1]
    expected = lower[-1].probs[grams.shorter] if lower else np.zeros(V)
    for one in range(len(grams.keys)):
        rivals = (grams.contexts == grams.contexts[one]) & (grams.counts < grams.counts[one])
        rivals &= expected <= expected[one] + 1e-12
        assert (top.probs[rivals] < top.probs[one]).all()


@settings(small, max_examples=12)
@given(lines, st.integers(1, 6))
def test_a_text_that_is_there_more_often_is_never_less_probable(
    documents: list[list[int]], n: int
) -> None:
    found = [log_prob([documents[0]] * times, documents[0], n) for times in range(1, 11)]
    assert (np.diff(found) >= -1e-9).all()
    found = [
        sum(log_prob(documents * times, document, n) for document in documents)
        for times in range(1, 6)
    ]
    assert (np.diff(found) >= -1e-9).all()


@pytest.mark.parametrize("times", range(1, 11))
def test_a_line_of_its_own_becomes_more_probable_with_each_copy(times: int) -> None:
    line = [2, 3, 4, 5]
    assert log_prob([line] * (times + 1), line, 6) > log_prob([line] * times, line, 6) + 1e-3


def test_what_came_three_times_is_more_probable_than_what_came_once() -> None:
    go, west, east, stay, put = range(2, 7)
    documents = [[go, west]] * 3 + [[go, east]] + [[stay, put]] * 2
    model = kneser_ney.fit(config(3, 7), count_ngrams(config(3, 7), text_of(documents)))
    found = after(model, (START, go))
    assert found.argmax() == west
    assert found[west] > 1.5 * found[east]


def test_the_k_grams_are_those_of_the_text_and_the_start_is_none() -> None:
    literal, model = Literal(corpus()[0], 4), fit(4)
    assert {*kgrams(model)} == {gram for grams in literal.raw[2:] for gram in grams}
    assert model.size == V + len(kgrams(model))


@pytest.mark.parametrize(
    ("n", "max_size"),
    [(1, None), (2, None), (3, None), (6, None), (2, 20), (6, 200), (6, 60), (6, 13), (6, V + 1)],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_every_distribution_adds_up_to_one_and_agrees_with_the_chosen_tokens(
    n: int, max_size: int | None, dtype: type
) -> None:
    model, text = fit(n, max_size, dtype), corpus()[1]
    unseen = np.random.default_rng(1).integers(IGNORE, V, (len(text), 2))
    inputs = np.column_stack([text, unseen])
    log_probs, state = model.forward(inputs, model.zero_state(3))
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-6)
    assert (log_probs < 0).all()
    for token in range(V):
        chosen, last = model.log_probs(inputs, np.full_like(inputs, token), model.zero_state(3))
        np.testing.assert_allclose(np.exp(chosen), np.exp(log_probs[:, token]), atol=1e-6)
        np.testing.assert_array_equal(last, state)


@pytest.mark.parametrize("max_size", [None, 200, 60, 13])
def test_half_precision_moves_a_probability_by_a_thousandth_at_most(max_size: int | None) -> None:
    exact, default = (
        fit(6, max_size, np.float64),
        kneser_ney.fit(config(6), count_ngrams(config(6), corpus()[1]), max_size),
    )
    assert default.arrays["ngram.alpha"].dtype == np.float16
    inputs = np.random.default_rng(1).integers(IGNORE, V, (500, 1))
    expected, _ = exact.forward(inputs, exact.zero_state(1))
    found, _ = default.forward(inputs, default.zero_state(1))
    np.testing.assert_allclose(np.exp(found), np.exp(expected), atol=1e-3)
    assert (found != expected).any()


@pytest.mark.parametrize("max_size", [None, 60])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_model_comes_back_from_its_arrays_as_it_was(max_size: int | None, dtype: type) -> None:
    model, inputs = fit(5, max_size, dtype), corpus()[1][:, None]
    arrays = {name: array.copy() for name, array in model.arrays.items()}
    loaded = NGram.from_arrays(config(5), arrays)
    assert_same(loaded, model)
    for one, other in zip(
        model.forward(inputs, model.zero_state(1)),
        loaded.forward(inputs, loaded.zero_state(1)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_what_always_came_is_not_rounded_to_what_always_comes(dtype: type) -> None:
    model = fit(3, None, dtype, np.array([2, 3] * 20_000))
    assert model.alpha.max() > 0.999
    log_probs, _ = model.forward(np.array([[EOS], [2], [3]]), model.zero_state(1))
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-6)
    assert np.exp(log_probs).min() > 1e-9


@pytest.mark.parametrize(("vocab_size", "kind"), [(256, np.uint8), (257, np.uint16)])
def test_tokens_and_children_are_as_narrow_as_they_can_be(vocab_size: int, kind: type) -> None:
    of = config(3, vocab_size)
    text = np.append(np.random.default_rng(0).integers(2, vocab_size, 2000), vocab_size - 1)
    model = kneser_ney.fit(of, count_ngrams(of, text))
    assert model.arrays["ngram.tokens"].dtype == kind
    assert model.arrays["ngram.children"].dtype == np.uint16  # the root has vocab_size children
    assert model.arrays["ngram.tokens"].max() == vocab_size - 1
    assert fit(3).arrays["ngram.children"].dtype == np.uint8


@pytest.mark.parametrize("text", [[2, EOS], [EOS], [2, IGNORE], [2, 3, 3, EOS]])
def test_the_tiniest_text_has_a_model(text: list[int]) -> None:
    model = fit(6, text=np.array(text))
    log_probs, _ = model.forward(np.array([[EOS], [2], [3]]), model.zero_state(1))
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-6)
    assert log_probs[0, :, 0].argmax() == text[0]


def test_a_model_that_has_counted_nothing_is_uniform() -> None:
    model = fit(6, text=np.array([IGNORE]))
    log_probs, _ = model.forward(np.array([[EOS], [2], [3]]), model.zero_state(1))
    np.testing.assert_allclose(log_probs, -math.log(4), rtol=1e-6)


@pytest.mark.parametrize("max_size", [None, 10**9, "size"])
def test_a_model_that_is_small_enough_is_not_pruned(max_size: int | str | None) -> None:
    full = fit(4)
    assert full.size > 100
    assert_same(fit(4, full.size if isinstance(max_size, str) else max_size), full)


def test_a_pruned_model_has_the_stated_size_down_to_the_unigrams() -> None:
    full = fit(4)
    for max_size in range(-2, full.size):
        model = fit(4, max_size)
        assert model.size == max(max_size, V)
        assert {*kgrams(model)} <= {*kgrams(full)}
    assert not kgrams(fit(4, 0))


def test_pruning_is_the_same_each_time() -> None:
    assert_same(fit(5, 77), fit(5, 77))


def test_what_stays_keeps_its_probability() -> None:
    full, pruned = fit(4), fit(4, 90)
    kept = kgrams(pruned)
    assert kept == [gram for gram in kgrams(full) if gram in kept]  # in the same order
    assert {*map(len, kept)} == {2, 3, 4}
    for *context, token in kept:
        expected = after(full, tuple(context))[token]
        assert after(pruned, tuple(context))[token] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("max_size", [12, 40, 90, 150])
def test_what_goes_is_worth_no_more_than_what_stays(max_size: int) -> None:
    literal = Literal(corpus()[0], 4)
    kept = {*kgrams(fit(4, max_size))}
    worths = {gram: literal.worth(gram) for gram in kgrams(fit(4))}
    assert len(kept) == max_size - V
    least = min(worths[gram] for gram in kept)
    assert least > 0
    assert least >= max(worth for gram, worth in worths.items() if gram not in kept) - 1e-9


@pytest.mark.parametrize(("n", "max_size"), [(2, 12), (4, 15), (4, 45), (4, 90), (4, 150)])
def test_a_pruned_model_gives_the_probabilities_of_the_formulas(n: int, max_size: int) -> None:
    documents, text = corpus()
    model = fit(n, max_size)
    literal = LiteralPruned(Literal(documents, n), {*kgrams(model)})
    histories = [(START,), (START, 2, 4, 3), (2, 2, 2), (4, 3, UNK), (UNK, UNK, 5)]
    histories += [tuple(text[i : i + 3].tolist()) for i in (1, 40, 80) if text[i : i + 3].all()]
    for history in histories:
        found = after(model, history)
        for token in range(V):
            expected = literal.prob(token, history[max(0, len(history) - n + 1) :])
            assert found[token] == pytest.approx(expected, abs=1e-6)


def test_pruning_may_raise_a_weight_above_one_and_such_a_model_loads() -> None:
    model = fit(5, 100)
    assert model.gamma.max() > 1
    assert (model.alpha < 0).any()
    assert NGram.from_arrays(config(5), model.arrays).gamma.max() == model.gamma.max()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_context_that_any_token_follows_has_a_weight_after_rounding_too(dtype: type) -> None:
    text = np.random.default_rng(4).integers(0, 4, 3000)
    size = fit(4, text=text).size
    for max_size in range(size - 20, size):
        model = fit(4, max_size, dtype, text)
        assert (model.arrays["ngram.children"][1:5] == 4).all()
        assert 0 < model.gamma.min() <= model.gamma.max() < 5
        log_probs, _ = model.forward(text[:100, None], model.zero_state(1))
        np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-6)


def test_the_smaller_a_model_the_worse_it_predicts_but_little_is_lost_at_first() -> None:
    rng = np.random.default_rng(3)
    choices = rng.integers(2, 20, (20, 20, 3))  # of a source that looks two tokens back
    text = [2, 3]
    for pick in rng.choice(3, 20_000, p=[0.7, 0.2, 0.1]):
        text.append(int(rng.integers(2, 20) if rng.random() < 0.1 else choices[*text[-2:], pick]))
    train, test = np.array(text[:16_000]), np.array(text[16_000:])[:, None]
    of = config(4, 20)
    counted = count_ngrams(of, train)

    def loss(max_size: int | None) -> float:
        model = kneser_ney.fit(of, counted, max_size)
        log_probs, _ = model.log_probs(test[:-1], test[1:], model.zero_state(1))
        return -float(log_probs.mean())

    size = kneser_ney.fit(of, counted).size
    full, half, tenth, unigrams = (loss(limit) for limit in (None, size // 2, size // 10, 0))
    assert abs(half - full) < 0.02
    assert half < tenth - 0.02
    assert tenth < unigrams - 0.5


@pytest.mark.parametrize("max_bytes", [80, 300, 700, 10**6])
def test_a_model_fits_into_so_many_bytes_and_fills_them(max_bytes: int) -> None:
    counted = count_ngrams(config(5), corpus()[1])
    full = kneser_ney.fit(config(5), counted)
    model = kneser_ney.fit_into(config(5), counted, max_bytes)
    assert model.num_bytes == sum(array.nbytes for array in model.arrays.values()) <= max_bytes
    assert model.num_bytes >= 0.8 * min(max_bytes, full.num_bytes)


def test_lengths_for_which_there_is_no_room_are_left_out_or_an_error() -> None:
    text = corpus()[1]
    sizes = np.cumsum([len(grams.keys) for grams in count_ngrams(config(6), text)])
    for k in (1, 3, 5):
        for room in (sizes[k - 1], sizes[k] - 1):
            found = kneser_ney.fit(config(6), count_ngrams(config(6), text, room, shorten=True))
            assert_same(found, fit(k, dtype=np.float16))
            with pytest.raises(ValueError, match=f"up to {k + 1} tokens; .* fits is {k}$"):
                count_ngrams(config(6), text, room)
    assert len(count_ngrams(config(6), text, sizes[-1])) == 6


@pytest.mark.parametrize("limit", [10**4, 1 << 62])
def test_keys_are_grouped_whether_or_not_they_fit_beside_their_places(limit: int) -> None:
    keys = np.random.default_rng(0).integers(0, 50, 200)
    found, order, firsts = kneser_ney._grouped(keys.copy(), limit)
    np.testing.assert_array_equal(found, np.unique(keys))
    np.testing.assert_array_equal(keys[order], np.sort(keys))
    np.testing.assert_array_equal(keys[order[firsts]], found)
    assert sorted(order) == [*range(200)]
