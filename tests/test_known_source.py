import itertools
from collections import Counter

import numpy as np
import pytest

from tests.benchmarks import known_source as module
from tests.benchmarks.known_source import ALPHABET, MODES, Source


@pytest.fixture
def source() -> Source:
    return Source.drawn(np.random.default_rng(0))


def states_of(source: Source, text: str) -> list[int]:
    """The state before each letter of a text, and the one after the last."""
    states = [0]
    for letter in text:
        states.append(source.moves[states[-1], ALPHABET.index(letter)])
    return states


def test_each_state_has_probabilities_and_one_next_state_a_letter(source: Source) -> None:
    S, A = source.probs.shape
    assert S >= 20
    assert 8 <= A == len(ALPHABET) <= 12
    assert (source.probs > 0).all()
    np.testing.assert_allclose(source.probs.sum(axis=1), 1)
    assert source.moves.shape == (S, A)
    assert {*source.moves.flat} == {*range(S)}
    np.testing.assert_array_equal(np.count_nonzero(source.steps, axis=2), 1)
    np.testing.assert_array_equal(source.steps.sum(axis=2), source.probs)


def test_every_state_can_follow_every_state(source: Source) -> None:
    S = len(source.moves)
    reached = np.linalg.matrix_power(np.eye(S) + source.steps.sum(axis=1), S)
    assert (reached > 0).all()


def test_the_stationary_distribution_is_that_of_a_long_text(source: Source) -> None:
    assert source.stationary.sum() == pytest.approx(1)
    np.testing.assert_allclose(source.stationary @ source.steps.sum(axis=1), source.stationary)
    states = states_of(source, source.text(300_000, np.random.default_rng(1)))
    counted = np.bincount(states) / len(states)
    np.testing.assert_allclose(counted, source.stationary, atol=0.01)


def test_the_entropy_rate_of_a_source_that_is_solved_by_hand() -> None:
    shares = np.array([[192, 64], [128, 128]])
    source = Source(shares, np.array([[0, 1], [0, 1]]))
    np.testing.assert_allclose(source.stationary, [2 / 3, 1 / 3])
    assert source.entropy_rate == pytest.approx(2 / 3 * (2 - 0.75 * np.log2(3)) + 1 / 3)
    rates = source.entropies_given(3)
    assert rates[0] == pytest.approx(np.log2(3) - 2 / 3)
    np.testing.assert_allclose(rates[1:], source.entropy_rate)  # the last letter is the state


def test_a_long_text_is_as_probable_as_the_entropy_rate_says(source: Source) -> None:
    text = source.text(400_000, np.random.default_rng(2))
    letters = [ALPHABET.index(letter) for letter in text]
    bits = -np.log2(source.probs[states_of(source, text)[:-1], letters])
    parts = bits.reshape(100, -1).mean(axis=1)
    assert abs(bits.mean() - source.entropy_rate) < 3 * parts.std() / np.sqrt(len(parts))
    assert source.entropy_rate >= 1.5


def test_the_last_letters_do_not_determine_the_state(source: Source) -> None:
    for last in ("aaaaa", "abcdef", "fafafaf"):
        states = [states_of(source, "y" + "x" * mode + last)[-1] for mode in range(MODES)]
        for one, other in itertools.combinations(source.probs[states], 2):
            assert abs(one - other).sum() > 0.1


def test_the_entropy_given_more_letters_falls_towards_the_rate(source: Source) -> None:
    rates = source.entropies_given(6)
    assert (np.diff(rates) < 0).all()
    assert rates[5] > rates[6] > source.entropy_rate + 0.1
    letters = source.stationary @ source.probs
    assert rates[0] == pytest.approx(-(letters * np.log2(letters)).sum())


def test_the_entropy_given_two_letters_is_that_of_a_long_text(source: Source) -> None:
    text = source.text(1_000_000, np.random.default_rng(3))
    words = Counter(map("".join, zip(text, text[1:], text[2:], strict=False)))
    pairs = Counter[str]()
    for word, count in words.items():
        pairs[word[:2]] += count
    bits = -sum(count * np.log2(count / pairs[word[:2]]) for word, count in words.items())
    assert bits / words.total() == pytest.approx(source.entropies_given(2)[-1], abs=0.01)


def test_words_are_looked_at_some_at_a_time(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = source.entropies_given(3)
    monkeypatch.setattr(module, "_WORDS", 1)
    np.testing.assert_allclose(source.entropies_given(3), expected)


def test_a_seed_gives_a_source_and_a_text() -> None:
    def drawn(seed: int) -> str:
        rng = np.random.default_rng(seed)
        return Source.drawn(rng).text(1000, rng)

    assert drawn(0) == drawn(0) != drawn(1)
    assert {*drawn(0)} <= {*ALPHABET}
