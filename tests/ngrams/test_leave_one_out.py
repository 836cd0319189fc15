"""Leave-one-out predictions against dictionaries from which one occurrence was removed."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from charrnn.ids import EOS, IGNORE, UNK
from charrnn.ngrams.kneser_ney import count_ngrams
from charrnn.ngrams.leave_one_out import LeaveOneOut
from tests.ngrams.test_kneser_ney import START, Array, Gram, Literal, V, config, corpus

pytestmark = pytest.mark.figures

TINY = [[2, EOS], [2, 3, EOS], [EOS], [3, 3, 2, IGNORE], [2, 3, EOS]]
TEXTS = {"corpus": corpus()[0], "tiny": TINY}


class Without(Literal):
    """A text whose k-grams that end in one token are counted once less, but not that token.

    Args:
        gram: the longest of them.
    """

    def __init__(self, whole: Literal, gram: Gram) -> None:
        self.n, self.discounts = whole.n, whole.discounts
        self.raw = [Counter(grams) for grams in whole.raw]
        for k in range(2, len(gram) + 1):
            self.raw[k][gram[-k:]] -= 1
        self.raw = [+grams for grams in self.raw]  # those that are left
        self.counts = [*whole.counts[:2], *self.counted()[2:]]


def make(documents: Sequence[Sequence[int]], n: int) -> LeaveOneOut:
    return LeaveOneOut(config(n), count_ngrams(config(n), np.concatenate(documents)))


def places(left_out: LeaveOneOut, tokens: Array) -> tuple[Array, Array]:
    """Contexts (n, N) and targets (N,) of every position of a text."""
    inputs = np.append(EOS, tokens[:-1])[:, None]
    contexts, _ = left_out.ngram.contexts_after(inputs, left_out.ngram.zero_state(1))
    return contexts[..., 0], tokens


def predicted(documents: Sequence[Sequence[int]], n: int) -> Array:
    """P (N, V) of every token at every predicted position, without its own occurrence."""
    left_out = make(documents, n)
    contexts, targets = places(left_out, np.concatenate(documents))
    there = targets != IGNORE
    found: Array = np.exp(left_out.distributions(contexts[:, there], targets[there])).T
    return found


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("text", TEXTS)
def test_every_position_is_predicted_as_if_it_had_not_been_counted(text: str, n: int) -> None:
    documents, expected = TEXTS[text], []
    whole = Literal(documents, n)
    for document in documents:
        padded = (START, *(token for token in document if token != IGNORE))
        for end in range(2, len(padded) + 1):
            *context, token = padded[max(0, end - n) : end]
            without = Without(whole, (*context, token))
            expected.append([without.prob(other, tuple(context)) for other in range(V)])
    np.testing.assert_allclose(predicted(documents, n), expected, atol=1e-6)


@pytest.mark.parametrize("rows", [0, 1, V + 1, 40])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_however_much_of_it_is_a_table_a_model_says_the_same(
    n: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = predicted(corpus()[0], n)
    monkeypatch.setattr("charrnn.ngrams.ngram._DENSE", rows * V)
    sparse = make(corpus()[0], n).ngram
    assert len(sparse.table) == min(max(1, rows), sparse.size + 1)
    np.testing.assert_allclose(predicted(corpus()[0], n), expected, atol=1e-6)


def test_a_text_seems_harder_than_to_the_model_that_knows_it() -> None:
    left_out = make(corpus()[0], 5)
    contexts, targets = places(left_out, corpus()[1])
    own = np.maximum(targets, 0), np.arange(len(targets))
    known = left_out.ngram.distributions(contexts)[own]
    assert left_out.distributions(contexts, targets)[own].mean() < known.mean() - 0.3


@pytest.mark.parametrize("rows", [0, 10**6])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_contexts_and_targets_that_never_were_have_a_distribution_too(
    n: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charrnn.ngrams.ngram._DENSE", rows * V)
    left_out, tokens, rng = make(corpus()[0], n), corpus()[1].copy(), np.random.default_rng(0)
    for replaced in (UNK, EOS, IGNORE):
        tokens[rng.random(len(tokens)) < 0.1] = replaced
    contexts, targets = places(left_out, tokens)
    found = np.exp(left_out.distributions(contexts, np.maximum(targets, 0)))
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)
    assert found.min() > 1e-6
    shuffled = np.exp(left_out.distributions(contexts, rng.permutation(np.maximum(targets, 0))))
    np.testing.assert_allclose(shuffled.sum(axis=0), 1, atol=1e-6)


def test_a_position_sees_no_other() -> None:
    left_out = make(corpus()[0], 4)
    contexts, targets = places(left_out, np.maximum(corpus()[1], 0))
    together = left_out.distributions(contexts, targets)
    for place in range(0, len(targets), 7):
        alone = left_out.distributions(contexts[:, [place]], targets[[place]])
        np.testing.assert_array_equal(alone[:, 0], together[:, place])


@pytest.mark.parametrize("rows", [0, 1, 40, 10**6])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_what_is_kept_is_what_would_be_computed(
    n: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charrnn.ngrams.ngram._DENSE", rows * V)
    tokens, rng = corpus()[1].copy(), np.random.default_rng(0)
    tokens[rng.random(len(tokens)) < 0.1] = UNK
    kept = make(corpus()[0], n)
    contexts, targets = places(kept, np.maximum(tokens, 0))
    found = kept.distributions(contexts, targets)
    monkeypatch.setattr("charrnn.ngrams.leave_one_out._MOST", -1)
    monkeypatch.setattr("charrnn.ngrams.leave_one_out._BLOCK", 7)
    computing = make(corpus()[0], n)
    assert kept.corrections is not None
    entries = len(kept.corrections.entries)
    assert (rows <= 1 and n > 2) <= kept._least_corrections() <= entries
    assert computing.corrections is None
    expected = computing.distributions(contexts, targets)
    np.testing.assert_allclose(np.exp(found), np.exp(expected), atol=1e-6)
