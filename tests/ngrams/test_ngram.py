"""The trie against a dictionary of tuples, and invalid arrays."""

import itertools
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

from charrnn.config import ModelConfig
from charrnn.ids import EOS, IGNORE
from charrnn.ngrams.ngram import NONE, NGram, _is_deeper

pytestmark = pytest.mark.figures

Array = np.ndarray
Gram = tuple[int, ...]
V, T, B = 5, 60, 3


def grown(order: int) -> dict[Gram, float]:
    """α of all single tokens and of random longer k-grams."""
    rng, alpha = np.random.default_rng(order), dict[Gram, float]()
    contexts: list[Gram] = [()]
    for k in range(1, order + 1):
        grams = [
            gram
            for gram in itertools.product(range(V), repeat=k)
            if gram[:-1] in contexts and (k == 1 or rng.random() < 0.5)
        ]
        for context in contexts:
            children = [gram for gram in grams if gram[:-1] == context]
            *shares, _ = rng.dirichlet(np.ones(len(children) + 1)).tolist()
            alpha.update(zip(children, shares, strict=True))
        contexts = grams
    return alpha


def literal(alpha: dict[Gram, float], token: int, context: Gram) -> float:
    """Compute P by recursion over tuples."""
    lower = literal(alpha, token, context[1:]) if context else 1 / V
    gamma = 1 - sum(share for gram, share in alpha.items() if gram[:-1] == context)
    return alpha.get((*context, token), 0.0) + gamma * lower


def arrays_of(alpha: dict[Gram, float]) -> dict[str, Array]:
    """The arrays of a checkpoint: by length, then by parent, then by token."""
    grams = sorted(alpha, key=lambda gram: (len(gram), gram))
    children = [sum(gram[:-1] == node for gram in grams) for node in [(), *grams]]
    return {
        "ngram.tokens": np.array([gram[-1] for gram in grams], np.uint8),
        "ngram.children": np.trim_zeros(np.array(children, np.uint8), "b"),
        "ngram.alpha": np.array([alpha[gram] for gram in grams]),
    }


def make(order: int) -> NGram:
    config = ModelConfig(vocab_size=V, cell="ngram", order=order)
    return NGram.from_arrays(config, arrays_of(grown(order)))


def text() -> tuple[Array, Array]:
    """Inputs and targets (T, B) with documents that start and that were cut."""
    rng = np.random.default_rng(3)
    tokens = rng.integers(1, V, (T + 1, B))
    tokens[rng.random(tokens.shape) < 0.08] = EOS
    tokens[rng.random(tokens.shape) < 0.04] = IGNORE
    return tokens[:-1], tokens[1:]


orders = pytest.mark.parametrize("order", [1, 2, 3, 5])


@orders
def test_probabilities_are_those_of_the_recursion(order: int) -> None:
    model, alpha, (inputs, _) = make(order), grown(order), text()
    log_probs, _ = model.forward(inputs, model.zero_state(B))
    for b in range(B):
        history: Gram = (EOS,)
        for token, found in zip(inputs[:, b].tolist(), log_probs[:, :, b], strict=True):
            history = (EOS,) if token <= EOS else (*history, token)[-order:]
            context = history[max(0, len(history) - order + 1) :] if order > 1 else ()
            expected = [literal(alpha, following, context) for following in range(V)]
            np.testing.assert_allclose(np.exp(found), expected, atol=1e-6)


@orders
def test_every_distribution_adds_up_to_one_and_agrees_with_the_chosen_tokens(order: int) -> None:
    model, (inputs, _) = make(order), text()
    log_probs, state = model.forward(inputs, model.zero_state(B))
    assert log_probs.shape == (T, V, B)
    assert state.shape == (order - 1, B)
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-6)
    for token in range(V):
        chosen, after = model.log_probs(inputs, np.full_like(inputs, token), model.zero_state(B))
        np.testing.assert_allclose(chosen, log_probs[:, token], atol=1e-5)
        np.testing.assert_array_equal(after, state)
    np.testing.assert_array_equal(model.run(inputs, model.zero_state(B)), state)


@orders
def test_step_by_step_equals_all_at_once(order: int) -> None:
    model, (inputs, _) = make(order), text()
    together, last = model.forward(inputs, model.zero_state(B))
    state = model.zero_state(B)
    for t in range(T):
        step, state = model.forward(inputs[t : t + 1], state)
        np.testing.assert_array_equal(step[0], together[t])
    np.testing.assert_array_equal(state, last)


@pytest.mark.parametrize("slots", [2, 16, 1024])
def test_children_are_found_however_often_their_keys_collide(
    slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charrnn.ngrams.ngram._MOST_SLOTS", slots)
    model = make(3)
    numbers = {key: node for node, key in enumerate(model.keys[1:-1].tolist(), start=1)}
    nodes, tokens = np.indices((model.size + 2, V)).reshape(2, -1) - [[1], [0]]
    expected = [numbers.get(key, NONE) for key in (nodes * V + tokens).tolist()]
    np.testing.assert_array_equal(model.descend(nodes, tokens), expected)


@orders
def test_columns_are_independent(order: int) -> None:
    model, (inputs, _) = make(order), text()
    _, before = model.forward(inputs, model.zero_state(B))
    together, _ = model.forward(inputs, before)
    for b in range(B):
        alone, _ = model.forward(inputs[:, b : b + 1], before[:, b : b + 1])
        np.testing.assert_array_equal(alone[:, :, 0], together[:, :, b])


@pytest.mark.parametrize("start", [EOS, IGNORE])
@orders
def test_nothing_before_the_start_of_a_document_matters(order: int, start: int) -> None:
    model, (inputs, _) = make(order), text()
    inputs[7] = start
    log_probs, _ = model.forward(inputs, model.zero_state(B))
    fresh, _ = model.forward(inputs[8:], model.zero_state(B))
    np.testing.assert_array_equal(log_probs[8:], fresh)


def test_nothing_is_predicted_where_the_target_is_ignored() -> None:
    model, (inputs, targets) = make(3), text()
    log_probs, _ = model.log_probs(inputs, targets, model.zero_state(B))
    np.testing.assert_array_equal(log_probs == 0, targets == IGNORE)
    assert (targets == IGNORE).any()


@pytest.mark.parametrize("rows", [0, 1, 4, V + 1, 20, 10**6])
@orders
def test_however_much_of_it_is_a_table_a_model_says_the_same(
    order: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, (inputs, _) = make(order), text()
    expected, _ = model.forward(inputs, model.zero_state(B))
    assert len(model.table) == model.size + 1
    monkeypatch.setattr("charrnn.ngrams.ngram._DENSE", rows * V)
    sparse = make(order)
    found, _ = sparse.forward(inputs, sparse.zero_state(B))
    assert len(sparse.table) == min(max(1, rows), model.size + 1)
    np.testing.assert_allclose(np.exp(found), np.exp(expected), atol=1e-6)


@orders
def test_k_grams_longer_than_the_order_are_seen(order: int) -> None:
    alpha = grown(order)
    assert max(map(len, alpha)) == order
    first_child = np.append(0, np.cumsum(arrays_of(alpha)["ngram.children"]))
    assert _is_deeper(first_child, order - 1)
    assert not _is_deeper(first_child, order)
    assert make(order).size == len(alpha)


# A trie by hand: nodes 1 to 3 are single tokens, 4 and 5 follow token 1, and 6 follows 1 1.

TRIE: dict[str, list[Any]] = {
    "tokens": [0, 1, 2, 1, 2, 2],
    "children": [3, 0, 2, 0, 1],
    "alpha": [0.125, 0.25, 0.5, 0.25, 0.5, 0.75],
}


def trie(order: int = 3, **changed: list[Any]) -> NGram:
    tokens, children, alpha = {**TRIE, **changed}.values()
    config = ModelConfig(vocab_size=3, cell="ngram", order=order)
    return NGram(
        config,
        np.array(tokens, np.uint8),
        np.array(children, np.uint8),
        np.array(alpha, np.float16),
    )


def test_the_arrays_mean_what_they_should() -> None:
    log_probs, state = trie().forward(np.array([[1], [1]]), np.full((2, 1), NONE))
    unigrams = np.array([0.125, 0.25, 0.5]) + 0.125 / 3
    after_1 = np.array([0, 0.25, 0.5]) + 0.25 * unigrams
    after_1_1 = np.array([0, 0, 0.75]) + 0.25 * after_1
    np.testing.assert_allclose(np.exp(log_probs[:, :, 0]), [after_1, after_1_1], rtol=1e-6)
    assert state[:, 0].tolist() == [2, 4]


def test_an_order_beyond_the_longest_k_gram_changes_nothing() -> None:
    inputs = np.array([[EOS, 1, 1, 1, 2, 1, 2, 2, EOS, 1, 1]]).T
    shallow, _ = trie(3).forward(inputs, trie(3).zero_state(1))
    deep, _ = trie(7).forward(inputs, trie(7).zero_state(1))
    np.testing.assert_array_equal(deep, shallow)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"children": [3, 0, 2]}, "do not fit together"),
        ({"children": [3, 0, 2, 0, 2]}, "do not fit together"),
        ({"children": [2, 1, 2, 0, 1]}, "do not fit together"),
        ({"children": [3, 0, 2, 0, 1, 0, 0]}, "do not fit together"),
        ({"children": []}, "do not fit together"),
        ({"tokens": TRIE["tokens"][:-1]}, "do not fit together"),
        ({"alpha": TRIE["alpha"][:-1]}, "do not fit together"),
        ({"tokens": [], "children": [], "alpha": []}, "do not fit together"),
        ({"tokens": [0, 1, 2, 2, 1, 2]}, "not in order"),
        ({"tokens": [0, 1, 2, 2, 2, 2]}, "not in order"),
        ({"tokens": [0, 2, 1, 1, 2, 2]}, "not in order"),
        ({"tokens": [0, 1, 3, 1, 2, 2]}, "not in order"),
        ({"tokens": [0, 1, 2, 1, 2, 3]}, "not in order"),
        ({"order": 2}, "longer than the order"),
        ({"order": 1}, "longer than the order"),
        ({"children": [3, 0, 0, 0, 1, 2], "tokens": [0, 1, 2, 1, 1, 2]}, "no trie"),
        ({"alpha": [0.125, 0.25, 0.5, 0.25, 0.5, math.inf]}, "out of range"),
        ({"alpha": [0.125, 0.25, 0.5, 0.25, 0.5, -math.inf]}, "out of range"),
        ({"alpha": [0.125, math.nan, 0.5, 0.25, 0.5, 0.75]}, "out of range"),
        ({"alpha": [0.125, 0.25, 0.5, 0.25, 0.5, 1]}, "out of range"),
        ({"alpha": [0.125, 0.25, 0.5, 0.5, 0.5, 0.75]}, "out of range"),
        ({"alpha": [0.25, 0.25, 0.5, 0.25, 0.5, 0.75]}, "out of range"),
        ({"alpha": [0.5, 0.25, 0.5, 0.25, 0.5, 0.75]}, "out of range"),
    ],
    ids=str,
)
def test_arrays_that_make_no_trie_are_refused(changed: dict[str, Any], words: str) -> None:
    assert trie().size == 6
    with pytest.raises(ValueError, match=words):
        trie(**changed)


def wide(V: int, contexts: int) -> tuple[ModelConfig, Array, Array, Array]:
    """The arrays of a model in which each context is followed by every token."""
    children = np.full(contexts, V, np.min_scalar_type(V))
    tokens = np.tile(np.arange(V, dtype=children.dtype), contexts)
    config = ModelConfig(vocab_size=V, cell="ngram", order=100)
    return config, tokens, children, np.full(len(tokens), 1 / (2 * V), np.float16)


@pytest.mark.parametrize(("V", "contexts"), [(2, 500_000), (250, 8_000), (60_000, 30)])
def test_making_a_model_takes_little_memory_beside_its_arrays(V: int, contexts: int) -> None:
    config, *arrays = wide(V, contexts)
    tracemalloc.start()
    try:
        model = NGram(config, *arrays)
        assert tracemalloc.get_traced_memory()[1] < 3 * model.num_bytes + 5_000_000
    finally:
        tracemalloc.stop()


def test_a_high_order_makes_no_large_table() -> None:
    model = NGram(*wide(2, 100_000))
    tracemalloc.start()
    try:
        assert len(model.table) > 10_000
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_more_k_grams_than_int32_counts_are_refused() -> None:
    tokens = np.broadcast_to(np.uint8(0), 1 << 31)  # takes no memory
    alpha = np.broadcast_to(np.float16(0), 1 << 31)
    with pytest.raises(ValueError, match="do not fit together"):
        NGram(ModelConfig(2, "ngram"), tokens, np.array([2, (1 << 31) - 2], np.uint32), alpha)


def chain(length: int, alpha: float) -> tuple[Array, Array, Array]:
    """The arrays of 0, 1, and after each 1 both again: node 2k is k times the token 1."""
    children = np.zeros(2 * length - 1, np.uint8)
    children[::2] = 2
    tokens = np.tile(np.arange(2, dtype=np.uint8), length)
    return tokens, children, np.tile(np.array([alpha, 0], np.float16), length)


def test_a_chain_much_longer_than_the_order_is_seen_at_once() -> None:
    with pytest.raises(ValueError, match="longer than the order"):
        NGram(ModelConfig(2, "ngram", order=100), *chain(100_000, 0.25))
    assert NGram(ModelConfig(2, "ngram", order=100), *chain(100, 0.25)).size == 200


def test_numbers_that_grow_beyond_all_floats_do_so_without_a_warning() -> None:
    model = NGram(ModelConfig(2, "ngram", order=100), *chain(100, -60_000))
    inputs = np.full((120, 1), 1)
    log_probs, _ = model.forward(inputs, model.zero_state(1))
    assert not np.isfinite(log_probs).all()
    state = model.zero_state(1)
    for step in range(120):
        log_probs, state = model.forward(inputs[step : step + 1], state)
    assert not np.isfinite(log_probs).all()
    assert not np.isfinite(model.log_probs(inputs, inputs, model.zero_state(1))[0]).all()
