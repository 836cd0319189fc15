import random

import pytest

from charrnn.text.corpus import split_corpus
from charrnn.training import overlap as module
from charrnn.training.overlap import known_share
from tests.conftest import corpus_of, documents_of

_rng = random.Random(0)
LINES = ["".join(_rng.choices("abcdefg", k=60)) for _ in range(99)]


def test_nothing_of_a_text_of_other_words_is_known() -> None:
    assert known_share(documents_of(LINES[:50]), documents_of(LINES[50:])) == 0
    assert known_share(documents_of(LINES[:50]), documents_of(["short"])) == 0


def test_equal_documents_are_known_whatever_their_length() -> None:
    held_out = ["one", "two", "six", "ten"]
    assert known_share(documents_of(["six", *LINES]), documents_of(held_out)) == 0.25
    assert known_share(documents_of(LINES[::-1]), documents_of(LINES)) == 1


def test_stretches_are_known_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PART", 64)
    text = "\n".join(LINES)
    shares = [known_share(documents_of([f"x{text}"]), documents_of([text[7:2007], LINES[0]]))]
    shares.append(known_share(documents_of([text[:1000]]), documents_of([text[:2000]])))
    assert shares == [pytest.approx(1, abs=0.03), pytest.approx(0.5, abs=0.03)]


def test_a_line_with_a_space_more_is_known_but_for_its_end() -> None:
    spaced = documents_of([f"{line} " for line in LINES[::-1]])
    assert known_share(documents_of(LINES), spaced) == pytest.approx(60 / 61, abs=0.001)


def test_shared_stretches_too_short_are_chance() -> None:
    both = documents_of([line[:29] for line in LINES]), documents_of(["x" + LINES[0][:29] + "x"])
    assert known_share(*both) == 0


def test_a_text_that_repeats_itself_has_seen_its_end() -> None:
    text = "\n".join(LINES)
    split = split_corpus(corpus_of([f"{text}\n{text}"], lines=False))
    assert known_share(split.train, split.val) == 1
    split = split_corpus(corpus_of([text], lines=False))
    assert known_share(split.train, split.val) == 0
