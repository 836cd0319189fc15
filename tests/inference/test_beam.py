"""Beam search against the likeliest character, against all texts there are, and against `score`."""

import itertools
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from charrnn.config import SampleConfig
from charrnn.errors import CheckpointError, ConfigError
from charrnn.ids import EOS, UNK
from charrnn.inference.beam import beam_search
from charrnn.inference.sampling import Sample, generate
from charrnn.inference.scoring import score
from charrnn.parallel.threads import Workers
from charrnn.storage.checkpoint import Checkpoint
from charrnn.text.vocabulary import UNK_CHARACTER
from tests.conftest import JAMO, WORDS, MakeCheckpoint

pytestmark = pytest.mark.figures

CELLS = pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "jordan"])


def ending_less(checkpoint: Checkpoint, nats: float) -> Checkpoint:
    """The model with a lower logit of <EOS>, as random ones would end every text soon."""
    checkpoint.model.arrays["head.weight"][EOS, 0] -= nats  # its bias
    return checkpoint


def likeliest(checkpoint: Checkpoint, prompt: str, config: SampleConfig) -> Sample:
    """The sample at temperature 0."""
    sample = Sample(prompt, 0)
    for _ in generate(checkpoint, [sample], config):
        pass
    return sample


def outcomes(alphabet: str, prompt: str, length: int) -> Iterator[tuple[str, bool]]:
    """Every text that may be drawn, with whether the model ends it before the length does."""
    for size in range(length + 1):
        for drawn in itertools.product(alphabet, repeat=size):
            yield prompt + "".join(drawn), size < length


def ranked(
    checkpoint: Checkpoint, alphabet: str, prompt: str, length: int, workers: Workers
) -> list[tuple[float, str]]:
    """All texts with the log P of what is drawn, the most probable first: brute force."""
    (start,) = score(checkpoint, [prompt], eos=False, workers=workers)
    found = []
    for eos in (True, False):
        texts = [text for text, ends in outcomes(alphabet, prompt, length) if ends == eos]
        for whole in score(checkpoint, texts, eos=eos, workers=workers):
            found.append((whole.log_prob - start.log_prob, whole.text))
    return sorted(found, reverse=True)


@CELLS
@pytest.mark.parametrize("prompt", ["", "a", "bcab"])
def test_a_wide_enough_beam_finds_the_most_probable_texts_of_all(
    make_checkpoint: MakeCheckpoint, workers: Workers, cell: str, prompt: str
) -> None:
    for seed in range(3):
        checkpoint = ending_less(make_checkpoint("abc", cell=cell, seed=seed), seed)
        expected = ranked(checkpoint, "abc", prompt, 4, workers)
        found = beam_search(checkpoint, prompt, SampleConfig(length=4), 500, 500)
        assert len(found) == len(expected) == sum(3**size for size in range(5))
        assert [sample.log_prob for sample in found] == pytest.approx(
            [log_prob for log_prob, _ in expected], abs=1e-4
        )
        assert found[0].text == expected[0][1]
        (first,) = beam_search(checkpoint, prompt, SampleConfig(length=4), 500)
        assert first == found[0]  # ended as soon as nothing can overtake it


def test_unk_is_among_all_texts_only_if_allowed(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint = make_checkpoint("ab")
    config = SampleConfig(length=3, allow_unk=True)
    expected = ranked(checkpoint, "ab" + UNK_CHARACTER, "", 3, workers)
    found = beam_search(checkpoint, "", config, 100, 100)
    assert [s.log_prob for s in found] == pytest.approx([p for p, _ in expected], abs=1e-4)
    found = beam_search(checkpoint, "", SampleConfig(length=3), 100, 100)
    assert len(found) == 15
    assert not any(UNK_CHARACTER in sample.text for sample in found)


@CELLS
@pytest.mark.parametrize("prompt", ["", "abc"])
def test_a_beam_of_one_is_temperature_0(
    make_checkpoint: MakeCheckpoint, cell: str, prompt: str
) -> None:
    reasons = set()
    for seed in range(10):
        checkpoint = ending_less(make_checkpoint("abcde", cell=cell, seed=seed), seed / 4)
        config = SampleConfig(length=20, temperature=0, stop="da")
        greedy = likeliest(checkpoint, prompt, config)
        (found,) = beam_search(checkpoint, prompt, config, 1)
        assert (found.text, found.stop) == (greedy.text, greedy.stop)
        assert found.log_prob == pytest.approx(greedy.log_prob, abs=1e-5)
        reasons.add(found.stop)
    assert {"eos", "length"} <= reasons


@pytest.mark.parametrize(
    ("tokens", "kind"),
    [("ᄀᄂ\u1161\u1165\u11a8", JAMO), (["\n", " a", " bb", " ccc", "."], WORDS)],
)
@pytest.mark.parametrize("prompt", ["", "가 a"])
def test_of_jamo_and_words_each_text_comes_once_with_the_log_prob_that_score_gives(
    make_checkpoint: MakeCheckpoint,
    workers: Workers,
    tokens: str | list[str],
    kind: object,
    prompt: str,
) -> None:
    checkpoint, config = make_checkpoint(tokens, kind), SampleConfig(length=5)
    (greedy,) = beam_search(checkpoint, prompt, config, 1)
    temperature_0 = SampleConfig(length=5, temperature=0)
    assert greedy.text == likeliest(checkpoint, prompt, temperature_0).text
    found = beam_search(checkpoint, prompt, config, 200, 200)
    assert len(found) == len({sample.text for sample in found}) > 20
    (start,) = score(checkpoint, [prompt], eos=False, workers=workers)
    for sample in found:
        assert unicodedata.is_normalized("NFC", sample.text)
        (whole,) = score(checkpoint, [sample.text], eos=sample.stop == "eos", workers=workers)
        assert sample.log_prob == pytest.approx(whole.log_prob - start.log_prob, abs=1e-3)
    totals = [sample.drawn_log_prob for sample in found]
    assert totals == sorted(totals, reverse=True)


def test_a_wider_beam_finds_what_a_narrow_one_misses(make_checkpoint: MakeCheckpoint) -> None:
    better = 0
    for seed in range(20):
        checkpoint = ending_less(make_checkpoint("abcde", seed=seed), 3)
        config = SampleConfig(length=6)
        (narrow,), (wide,) = (beam_search(checkpoint, "", config, n) for n in (1, 10_000))
        assert wide.log_prob >= narrow.log_prob - 1e-5
        better += wide.text != narrow.text
    assert better > 5


def test_a_stop_text_counts_for_the_rank_and_is_not_shown(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = ending_less(make_checkpoint("ab"), 100)
    config = SampleConfig(length=3, stop="b")
    found = beam_search(checkpoint, "", config, 100, 100)
    assert {sample.text for sample in found} == {"", "a", "aa", "aaa"}
    assert all(sample.drawn_log_prob < sample.log_prob for sample in found if sample.stop == "stop")
    assert {sample.stop for sample in found[:4]} == {"stop", "length"}


def test_a_length_of_nothing_gives_the_prompt(make_checkpoint: MakeCheckpoint) -> None:
    (found,) = beam_search(make_checkpoint(), "ab", SampleConfig(length=0), 5)
    assert (found.text, found.log_prob, found.stop) == ("ab", 0, "length")


@pytest.mark.parametrize("row", [EOS, UNK])
def test_a_model_that_predicts_nothing_is_refused(
    make_checkpoint: MakeCheckpoint, row: int
) -> None:
    checkpoint = make_checkpoint()
    checkpoint.model.arrays["head.weight"][row] = np.inf
    with pytest.raises(CheckpointError, match="predictions are not finite"):
        beam_search(checkpoint, "", SampleConfig(length=3), 2)


def test_a_wide_enough_beam_finds_the_most_probable_matches_of_all(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    pattern, length = re.compile("(ab?|c)*c|b"), 4
    checkpoint = ending_less(make_checkpoint("abc", cell="gru"), 1)
    texts = [text for text, _ in outcomes("abc", "", length)]
    matches = {text for text in texts if pattern.fullmatch(text)}
    expected = []
    for text in matches:
        goes_on = any(other != text and other.startswith(text) for other in matches)
        (scored,) = score(checkpoint, [text], eos=goes_on, workers=workers)
        expected.append((scored.log_prob, text))
    config = SampleConfig(length=length, regex=pattern.pattern)
    found = beam_search(checkpoint, "", config, 500, 500)
    assert [sample.text for sample in found] == [text for _, text in sorted(expected)[::-1]]
    assert [sample.drawn_log_prob for sample in found] == pytest.approx(
        sorted(log_prob for log_prob, _ in expected)[::-1], abs=1e-4
    )
    assert {sample.stop for sample in found} == {"eos", "length", "regex"}


@pytest.mark.parametrize("options", [{"ban": "b"}, {"no_repeat": 2}, {"regex": "(ab|c)*"}])
def test_a_constrained_beam_of_one_is_temperature_0(
    make_checkpoint: MakeCheckpoint, options: dict[str, Any]
) -> None:
    for seed in range(5):
        checkpoint = ending_less(make_checkpoint("abc", seed=seed), 2)
        config = SampleConfig(length=9, temperature=0, **options)
        greedy, (found,) = (
            likeliest(checkpoint, "ca", config),
            beam_search(checkpoint, "ca", config, 1),
        )
        assert (found.text, found.stop) == (greedy.text, greedy.stop)


def test_beams_keep_their_own_constraints(make_checkpoint: MakeCheckpoint) -> None:
    config = SampleConfig(length=9, no_repeat=2)
    found = beam_search(ending_less(make_checkpoint("ab"), 9), "", config, 50, 50)
    assert len(found) > 5
    for sample in found:
        pairs = [*itertools.pairwise(sample.text)]
        assert len({*pairs}) == len(pairs)


def test_a_pattern_that_nothing_matches_is_refused(make_checkpoint: MakeCheckpoint) -> None:
    with pytest.raises(ConfigError, match="no continuation of at most 3 characters"):
        beam_search(make_checkpoint("ab"), "", SampleConfig(length=3, regex="c"), 2)
