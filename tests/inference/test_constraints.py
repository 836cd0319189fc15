"""What a text may go on with, in masks and in what is drawn."""

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from charrnn.config import SampleConfig, VocabularyConfig
from charrnn.errors import ConfigError
from charrnn.ids import EOS
from charrnn.inference.constraints import constraints_of
from charrnn.inference.sampling import Sample, complete
from charrnn.parallel.threads import Workers
from charrnn.storage.checkpoint import Checkpoint
from charrnn.text.vocabulary import UNK_CHARACTER, Vocabulary
from tests.conftest import CHARACTERS, JAMO, WORDS, MakeCheckpoint

TOKENS = pytest.mark.parametrize(
    ("tokens", "kind"),
    [
        ("abc ", CHARACTERS),
        (["a", " b", "ab", " cab", "\n", "bbbb"], WORDS),
        ("ᄀᄂ\u1161\u1165\u11a8 a", JAMO),
    ],
)


def drawn(
    checkpoint: Checkpoint, workers: Workers, number: int = 60, prompt: str = "", **settings: Any
) -> list[Sample]:
    config = SampleConfig(**{"temperature": 1} | settings)
    samples = [Sample(prompt, seed) for seed in range(number)]
    complete(checkpoint, samples, config, workers)
    return samples


def ending_less(checkpoint: Checkpoint) -> Checkpoint:
    checkpoint.model.arrays["head.weight"][EOS, 0] -= 3  # its bias: texts end late
    return checkpoint


def test_nothing_is_restricted_unless_asked_for() -> None:
    assert constraints_of(Vocabulary("ab"), SampleConfig(top_k=3, stop="a")) is None


@TOKENS
@pytest.mark.parametrize("prompt", ["", "ab a", "나가"])
def test_no_stretch_stands_twice(
    make_checkpoint: MakeCheckpoint,
    workers: Workers,
    tokens: Sequence[str],
    kind: VocabularyConfig,
    prompt: str,
) -> None:
    checkpoint = ending_less(make_checkpoint(tokens, kind))
    for size in (1, 2, 3):
        longest = 0
        for sample in drawn(checkpoint, workers, 20, prompt, no_repeat=size, length=30):
            text, start = sample.text, len(prompt)
            found = [text[place : place + size] for place in range(len(text) - size + 1)]
            later = found[max(0, start - size + 1) :]
            earlier = found[: len(found) - len(later)]
            assert len({*later}) == len(later)
            assert {*later}.isdisjoint(earlier)
            longest = max(longest, len(sample.drawn))
        assert longest >= size
    free = drawn(checkpoint, workers, 20, prompt, length=30)
    assert any(len({*sample.text}) < len(sample.text) for sample in free)


@TOKENS
@pytest.mark.parametrize("ban", ["a", "가b", " \n각"])
def test_what_is_banned_is_not_written(
    make_checkpoint: MakeCheckpoint,
    workers: Workers,
    tokens: Sequence[str],
    kind: VocabularyConfig,
    ban: str,
) -> None:
    checkpoint, reasons = ending_less(make_checkpoint(tokens, kind)), set()
    for sample in drawn(checkpoint, workers, prompt="a b", ban=ban, length=12):
        assert not {*sample.drawn} & {*ban}
        reasons.add(sample.stop)
    assert reasons == {"eos", "length"}
    whole = "".join(sample.drawn for sample in drawn(checkpoint, workers, prompt="a b", length=12))
    assert {*whole} & {*ban}


@TOKENS
@pytest.mark.parametrize("pattern", ["a.*", ".{3,7}", "[^a]{2} ?a", "( ?[ab]+)*", "가?나?.*|a"])
def test_every_continuation_matches_and_none_is_too_long(
    make_checkpoint: MakeCheckpoint,
    workers: Workers,
    tokens: Sequence[str],
    kind: VocabularyConfig,
    pattern: str,
) -> None:
    checkpoint = make_checkpoint(tokens, kind)
    for length in (3, 8):
        texts = set()
        try:
            found = drawn(checkpoint, workers, prompt="a ", regex=pattern, length=length)
        except ConfigError:
            assert kind == WORDS  # which has no such word
            continue
        for sample in found:
            assert re.fullmatch(pattern, sample.drawn), sample
            assert len(sample.drawn) <= length
            texts.add(sample.drawn)
        assert len(texts) > 2 or pattern[0] in "a["


def test_each_match_is_drawn_as_often_as_the_model_has_it_among_what_may_come(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint = make_checkpoint("abc")
    found = drawn(checkpoint, workers, 2000, regex="a|b|cc", length=5)
    shares = {text: np.mean([s.drawn == text for s in found]) for text in ("a", "b", "cc")}
    first = checkpoint.model.unroll(1, 1).forward(
        np.array([[EOS]]), checkpoint.model.zero_state(1)
    )[0][0, 2:, 0]
    expected = np.exp(first) / np.exp(first).sum()
    assert [*shares.values()] == pytest.approx(expected, abs=4 * 0.5 / 2000**0.5)
    assert {sample.stop for sample in found} == {"regex"}


def test_a_text_ends_where_nothing_more_matches_and_the_end_is_not_drawn(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint = make_checkpoint("abc")
    (ended, *_) = drawn(checkpoint, workers, regex="ab")
    assert (ended.text, ended.stop) == ("ab", "regex")
    assert ended.log_prob == ended.drawn_log_prob
    (empty, *_) = drawn(checkpoint, workers, regex="", prompt="c")
    assert (empty.text, empty.stop, empty.log_prob) == ("c", "regex", 0)
    (jamo, *_) = drawn(make_checkpoint("ᄀ\u1161\u11a8", JAMO), workers, regex="", prompt="가")
    assert (jamo.text, jamo.stop) == ("가", "regex")


def test_a_syllable_ends_with_whatever_begins_the_next(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    """Else nearly all syllables at the end of a match would have a final consonant."""
    checkpoint = ending_less(make_checkpoint("ᄀ\u1161\u11a8a", JAMO))
    found = drawn(checkpoint, workers, 400, regex="[가-힣]", length=9)
    assert {sample.text for sample in found} == {"가", "각"}
    assert {sample.stop for sample in found} == {"regex", "eos"}
    share = np.mean([sample.text == "각" for sample in found])
    assert 0.1 < share < 0.6  # one of three tokens


@pytest.mark.parametrize("tokens", ["abc"])
def test_constraints_work_together(
    make_checkpoint: MakeCheckpoint, workers: Workers, tokens: str
) -> None:
    checkpoint = make_checkpoint(tokens)
    for sample in drawn(checkpoint, workers, regex="[abc]{3}", ban="b", length=3):
        assert re.fullmatch("[ac]{3}", sample.text)
    for sample in drawn(checkpoint, workers, ban="b", no_repeat=2, length=30):
        assert "b" not in sample.text
        assert len(sample.text) <= 5  # as there are four pairs
    for sample in drawn(checkpoint, workers, ban="b", stop="ac", keep_stop=True, length=30):
        assert (sample.stop == "stop") == ("ac" in sample.text) == sample.text.endswith("ac")
    marks = drawn(checkpoint, workers, regex=f"[{UNK_CHARACTER}b]", allow_unk=True)
    assert {sample.text for sample in marks} == {UNK_CHARACTER, "b"}


def test_one_alone_is_drawn_as_one_of_many(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint = ending_less(make_checkpoint("abc"))
    choices: list[dict[str, Any]] = [{"regex": "(a|bc?)*"}, {"ban": "a"}, {"no_repeat": 2}]
    for settings in choices:
        many = drawn(checkpoint, workers, 9, length=20, **settings)
        for sample in many:
            alone = Sample("", sample.seed)
            complete(
                checkpoint,
                [alone],
                SampleConfig(temperature=1, length=20, **settings),
                workers,
            )
            assert (alone.text, alone.stop) == (sample.text, sample.stop)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"regex": "d"}, "no continuation of at most 9 characters that this model can write "
                         "matches regex 'd'"),
        ({"regex": "a{10}"}, "no continuation of at most 9 characters"),
        ({"regex": "a+", "ban": "a"}, "no continuation of at most 9 characters"),
        ({"regex": r"(a)\1"}, "cannot have backreferences"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused(
    make_checkpoint: MakeCheckpoint, workers: Workers, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        drawn(make_checkpoint("abc"), workers, length=9, **settings)


def test_a_dead_end_that_marks_lead_to_is_an_error(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    """Two characters that always compose to one are no text in NFC."""
    with pytest.raises(ConfigError, match=r"nothing may follow '' with regex|no continuation"):
        drawn(make_checkpoint("e\u0301", JAMO), workers, regex="[e][\u0301]")


def test_copies_go_on_by_themselves() -> None:
    constrain = constraints_of(Vocabulary("ab"), SampleConfig(no_repeat=2))
    assert constrain is not None
    one = constrain("ab", "", 9)
    other = copy(one)
    one.push("b", 8)
    assert other.allowed.tolist() == constrain("ab", "", 9).allowed.tolist()
    assert one.allowed[[EOS, 2, 3]].tolist() == [True, True, False]  # ab and bb are there
    other.push("a", 8)
    assert other.allowed[[EOS, 2, 3]].tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"min_p": 1.5}, "min_p must be at least 0 and at most 1"),
        ({"no_repeat": 0}, "no_repeat must be a whole number from 1"),
        ({"ban": ["a"]}, "ban must be characters in a string"),
        ({"keep_stop": "yes"}, "keep_stop must be True or False"),
        ({"regex": 3}, "regex must be a string"),
        ({"regex": "a", "stop": "b"}, "regex and stop cannot be combined"),
        ({"regex": "a", "no_repeat": 3}, "regex and no_repeat cannot be combined"),
    ],
)
def test_values_are_checked(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(SampleConfig(), **settings)
