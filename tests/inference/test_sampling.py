import time
import unicodedata
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from charrnn.config import SampleConfig, VocabularyConfig
from charrnn.errors import ConfigError
from charrnn.ids import EOS, UNK
from charrnn.inference.sampling import (
    Sample,
    complete,
    generate,
    most_probable,
    next_tokens,
)
from charrnn.inference.scoring import score
from charrnn.parallel.threads import Workers
from charrnn.storage.checkpoint import Checkpoint
from charrnn.text.vocabulary import UNK_CHARACTER, Vocabulary
from tests.conftest import CHARACTERS, JAMO, WORDS, MakeCheckpoint

pytestmark = pytest.mark.figures


def draw(
    checkpoint: Checkpoint, config: SampleConfig, *seeds: int | None, prompt: str = ""
) -> list[Sample]:
    """The finished samples; what was shown of each must be its text."""
    samples = [Sample(prompt, seed) for seed in seeds]
    shown = Counter[int]()
    texts = [""] * len(samples)
    for index, text in generate(checkpoint, samples, config):
        shown[index] += 1
        texts[index] += text
    assert texts == [sample.text for sample in samples]
    return samples


def test_samples_side_by_side_are_those_of_their_seeds(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint, config = make_checkpoint(), SampleConfig(length=30)
    together = draw(checkpoint, config, 3, 4, 5, prompt="ab")
    alone = [draw(checkpoint, config, seed, prompt="ab")[0] for seed in (3, 4, 5)]
    assert [sample.text for sample in together] == [sample.text for sample in alone]
    assert len({sample.text for sample in together}) > 1


@pytest.mark.parametrize("prompt", ["", "a", "bca" * 100])
def test_log_prob_is_what_score_gives_for_the_whole_less_the_prompt(
    make_checkpoint: MakeCheckpoint, workers: Workers, prompt: str
) -> None:
    checkpoint = make_checkpoint()
    reasons = set()
    for sample in draw(checkpoint, SampleConfig(length=6, stop="cc"), *range(40), prompt=prompt):
        reasons.add(sample.stop)
        whole = score(checkpoint, [sample.text], eos=sample.stop == "eos", workers=workers)[0]
        start = score(checkpoint, [prompt], eos=False, workers=workers)[0]
        assert sample.log_prob == pytest.approx(whole.log_prob - start.log_prob, abs=1e-3)
    assert reasons == {"eos", "length", "stop"}


def test_the_stop_text_is_neither_shown_nor_kept(make_checkpoint: MakeCheckpoint) -> None:
    for sample in draw(make_checkpoint(), SampleConfig(stop="ab"), *range(50)):
        assert "ab" not in sample.text


def test_any_of_several_stop_texts_ends_a_text(make_checkpoint: MakeCheckpoint) -> None:
    stops, seeds, reasons = ("ab", "caa", "", "bbbb"), range(60), set()
    whole = draw(make_checkpoint(), SampleConfig(length=6), *seeds)
    cut = draw(make_checkpoint(), SampleConfig(length=6, stop=stops), *seeds)
    for one, other in zip(whole, cut, strict=True):
        begun = [one.text[:size] for size in range(len(one.text) + 1)]
        ended = [
            text.removesuffix(stop)
            for text in begun
            for stop in stops
            if stop and text.endswith(stop)
        ]
        assert other.text == [*ended, one.text][0]
        assert other.stop == ("stop" if ended else one.stop)
        reasons.add(other.stop)
    assert reasons == {"eos", "length", "stop"}


def test_a_stop_is_a_text_or_texts() -> None:
    assert SampleConfig().stops == SampleConfig(stop="").stops == ()
    assert SampleConfig(stop="ab").stops == ("ab",)
    assert SampleConfig(stop=["ab", "", "c"]).stops == ("ab", "c")
    for wrong in (None, 3, [3], b"ab"):
        with pytest.raises(ConfigError, match="stop must be a text or a list of texts"):
            SampleConfig(stop=wrong)  # type: ignore[arg-type]


def test_the_text_may_be_asked_for_while_it_is_drawn(make_checkpoint: MakeCheckpoint) -> None:
    vocabulary, config = make_checkpoint().vocabulary, SampleConfig(length=9)
    sample = Sample("ab")
    sample.begin(vocabulary, config)
    for number in range(9):
        assert sample.text == "ab" + "c" * number
        sample.add("c", -1, config)
    assert (sample.text, sample.drawn, sample.stop) == ("ab" + "c" * 9, "c" * 9, "length")


def test_a_long_text_is_not_copied_at_every_token() -> None:
    sample, config = Sample(""), SampleConfig(length=10**12, stop="stop")
    sample.begin(Vocabulary("a"), config)
    before = time.process_time()
    for _ in range(20_000):
        sample.add("a" * 1000, -1, config)
    assert time.process_time() - before < 5  # copying 10 MB each time takes a minute
    assert len(sample.text) > 19_999_000


def test_what_was_held_back_for_the_stop_text_is_shown_at_the_end(
    make_checkpoint: MakeCheckpoint,
) -> None:
    with_stop = draw(make_checkpoint(), SampleConfig(length=4, stop="aaaaaa"), *range(30))
    without = draw(make_checkpoint(), SampleConfig(length=4), *range(30))
    assert [sample.text for sample in with_stop] == [sample.text for sample in without]


def test_length_counts_drawn_characters(make_checkpoint: MakeCheckpoint) -> None:
    for length in (0, 1, 7):
        for sample in draw(make_checkpoint(), SampleConfig(length=length), *range(9), prompt="abc"):
            assert len(sample.drawn) <= length
            assert (sample.stop == "length") == (len(sample.drawn) == length)


def test_unk_is_drawn_only_if_allowed(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = make_checkpoint()
    checkpoint.model.arrays["head.weight"][UNK, 0] = 3  # its bias: very likely
    for allow in (False, True):
        samples = draw(checkpoint, SampleConfig(length=20, allow_unk=allow), *range(10))
        assert any(UNK_CHARACTER in sample.text for sample in samples) == allow


def test_a_prompt_of_unknown_characters_is_read(make_checkpoint: MakeCheckpoint) -> None:
    assert draw(make_checkpoint(), SampleConfig(length=3), 0, prompt="Ω€")[0].text.startswith("Ω€")


def test_prompts_of_any_length_side_by_side_are_read_as_alone(
    make_checkpoint: MakeCheckpoint,
) -> None:
    checkpoint, config = make_checkpoint(), SampleConfig(length=12)
    prompts = ["", "a", "abc", "cab", "a", "bca" * 60]
    together = [Sample(prompt, seed) for seed, prompt in enumerate(prompts)]
    for _ in generate(checkpoint, together, config):
        pass
    for sample in together:
        (alone,) = draw(checkpoint, config, sample.seed, prompt=sample.prompt)
        assert sample.text == alone.text
        assert sample.log_prob == pytest.approx(alone.log_prob, abs=1e-4)


@pytest.mark.parametrize("prompt", ["", "ab"])
def test_next_tokens_are_the_distribution_that_score_uses(
    make_checkpoint: MakeCheckpoint, workers: Workers, prompt: str
) -> None:
    checkpoint = make_checkpoint()
    found = next_tokens(checkpoint, prompt)
    assert {name for name, _ in found} == {"<EOS>", "<UNK>", *"abc"}
    assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)
    assert np.exp([p for _, p in found]).sum() == pytest.approx(1, abs=1e-6)
    for name, log_prob in found:
        ended = name == "<EOS>"
        text = prompt + ("" if ended else "Ω" if name == "<UNK>" else name)
        whole = score(checkpoint, [text], eos=ended, workers=workers)[0]
        cost = whole.token_log_prob - whole.log_prob  # as Ω is one of many unknown characters
        assert whole.log_probs[-1] + cost == pytest.approx(log_prob, abs=1e-5)


def test_without_a_prompt_the_first_step_is_from_zero_input_and_state(
    make_checkpoint: MakeCheckpoint,
) -> None:
    checkpoint = make_checkpoint()
    model = checkpoint.model
    logits, _ = model.unroll(1, 1).forward(np.array([[EOS]]), model.zero_state(1))
    likeliest = 2 + int(logits[0, 2:, 0].argmax())
    checkpoint.model.arrays["head.weight"][[EOS, UNK], 0] -= 100  # a character it must be
    sample = draw(checkpoint, SampleConfig(length=1, temperature=0), 0)[0]
    assert sample.text == checkpoint.vocabulary.decode([likeliest])


def test_numpy_goes_on_to_warn_whoever_draws(make_checkpoint: MakeCheckpoint) -> None:
    before = np.geterr()
    for _ in generate(make_checkpoint(), [Sample("", 0)], SampleConfig(length=9)):
        assert np.geterr() == before
    assert "warn" in before.values() or "raise" in before.values()


def test_one_that_outlives_the_others_is_drawn_as_alone(make_checkpoint: MakeCheckpoint) -> None:
    config = SampleConfig(length=200)
    together = draw(make_checkpoint(), config, *range(5))
    longest = max(together, key=lambda sample: len(sample.text))
    (alone,) = draw(make_checkpoint(), config, longest.seed)
    assert alone.text == longest.text
    assert alone.log_prob == pytest.approx(longest.log_prob, abs=1e-3)


# Other tokens than composed characters

HANGUL = "ᄀᄂ\u1161\u1165\u11a8"
SOME_WORDS = ("\n", " a", " bb", " ccc", ".")  # however drawn, they are read as the same words


def difference(checkpoint: Checkpoint, sample: Sample, workers: Workers) -> float:
    """The score of a sample minus the score of its prompt."""
    whole = score(checkpoint, [sample.text], eos=sample.stop == "eos", workers=workers)[0]
    start = score(checkpoint, [sample.prompt], eos=False, workers=workers)[0]
    return whole.log_prob - start.log_prob


@pytest.mark.parametrize("prompt", ["", "가", "나각ᅥ", "한글 x"])
def test_log_prob_of_jamo_is_what_score_gives_for_the_whole_less_the_prompt(
    make_checkpoint: MakeCheckpoint, workers: Workers, prompt: str
) -> None:
    checkpoint = make_checkpoint(HANGUL, JAMO)
    reasons = set()
    for sample in draw(checkpoint, SampleConfig(length=6, stop="거"), *range(60), prompt=prompt):
        reasons.add(sample.stop)
        assert unicodedata.is_normalized("NFC", sample.text)
        assert len(sample.text) <= len(prompt) + 6
        assert (sample.stop == "length") == (len(sample.text) == len(prompt) + 6)
        expected = difference(checkpoint, sample, workers)
        assert sample.log_prob == pytest.approx(expected, abs=1e-3)
    assert reasons == {"eos", "length", "stop"}


def test_jamo_complete_the_last_syllable_of_a_prompt(make_checkpoint: MakeCheckpoint) -> None:
    samples = draw(make_checkpoint(HANGUL, JAMO), SampleConfig(length=3), *range(40), prompt="나가")
    assert {sample.text[:2] for sample in samples} == {"나가", "나각"}
    assert all(sample.prompt == "나가" for sample in samples)


def test_syllables_are_shown_when_the_next_one_begins(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint, sample = make_checkpoint(HANGUL, JAMO), Sample("나가", 0)
    checkpoint.model.arrays["head.weight"][EOS, 0] = -100  # its bias: no text ever ends
    shown = [text for _, text in generate(checkpoint, [sample], SampleConfig(length=20))]
    assert shown[0] == "나"
    assert "".join(shown) == sample.text
    assert [len(text) for text in shown] == [1] * (2 + 20)


@pytest.mark.parametrize("kind", [JAMO, WORDS])
def test_a_length_of_nothing_gives_the_prompt(
    make_checkpoint: MakeCheckpoint, kind: VocabularyConfig
) -> None:
    (sample,) = draw(make_checkpoint("ᄀa", kind), SampleConfig(length=0), 0, prompt="ᄀ 가")
    assert (sample.text, sample.log_prob, sample.stop) == ("ᄀ 가", 0, "length")


def test_the_stop_text_is_not_looked_for_in_a_prompt(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = make_checkpoint("ᄀ\u1161", JAMO)
    for sample in draw(checkpoint, SampleConfig(length=9, stop="가"), *range(20), prompt="ᄀ가"):
        assert sample.text.startswith("ᄀ가")
        assert "가" not in sample.drawn


def test_log_prob_of_unknown_characters_is_what_score_gives_too(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint, drawn = make_checkpoint(), 0
    for sample in draw(checkpoint, SampleConfig(length=6, allow_unk=True), *range(20), prompt="aΩ"):
        drawn += sample.drawn.count(UNK_CHARACTER)
        expected = difference(checkpoint, sample, workers)
        assert sample.log_prob == pytest.approx(expected, abs=1e-3)
    assert drawn


def test_marks_without_end_end_at_the_length(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = make_checkpoint("\u0301", JAMO)
    checkpoint.model.arrays["head.weight"][EOS, 0] = -100  # its bias: no text ever ends
    (sample,) = draw(checkpoint, SampleConfig(length=5), 0, prompt="xa")
    assert (sample.text, sample.stop) == ("xá" + "\u0301" * 5, "length")


@pytest.mark.parametrize("prompt", ["", " a bb", "Ω. a\n"])
def test_log_prob_of_words_is_what_score_gives_for_the_whole_less_the_prompt(
    make_checkpoint: MakeCheckpoint, workers: Workers, prompt: str
) -> None:
    checkpoint, config = make_checkpoint(SOME_WORDS, WORDS), SampleConfig(length=9, stop=" ccc")
    reasons = set()
    for sample in draw(checkpoint, config, *range(40), prompt=prompt):
        reasons.add(sample.stop)
        expected = difference(checkpoint, sample, workers)
        assert sample.log_prob == pytest.approx(expected, abs=1e-3)
    assert reasons == {"eos", "length", "stop"}


def test_a_word_that_would_go_beyond_the_length_is_left_out(
    make_checkpoint: MakeCheckpoint,
) -> None:
    sizes = set()
    for sample in draw(make_checkpoint(SOME_WORDS, WORDS), SampleConfig(length=6), *range(60)):
        assert {*Vocabulary([], WORDS).split(sample.text)} <= {*SOME_WORDS}
        if sample.stop == "length":
            sizes.add(len(sample.text))
    assert sizes == {3, 4, 5, 6}


def test_a_stop_text_inside_a_word_cuts_it(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = make_checkpoint([" one", " two"], WORDS)
    found = set()
    for sample in draw(checkpoint, SampleConfig(length=20, stop="wo"), *range(20), prompt="two"):
        assert "wo" not in sample.drawn
        if sample.stop == "stop":
            found.add(sample.text.replace(" one", ""))
    assert found == {"two t"}


@pytest.mark.parametrize(("tokens", "kind"), [(HANGUL, JAMO), (SOME_WORDS, WORDS)])
def test_other_tokens_drawn_side_by_side_are_those_of_their_seeds(
    make_checkpoint: MakeCheckpoint, tokens: Sequence[str], kind: VocabularyConfig
) -> None:
    checkpoint, config = make_checkpoint(tokens, kind), SampleConfig(length=15, stop="가가")
    together = draw(checkpoint, config, 3, 4, 5, prompt="가 a")
    alone = [draw(checkpoint, config, seed, prompt="가 a")[0] for seed in (3, 4, 5)]
    assert [sample.text for sample in together] == [sample.text for sample in alone]


def test_the_most_probable_samples_come_best_first_and_each_text_once(
    make_checkpoint: MakeCheckpoint,
) -> None:
    samples = draw(make_checkpoint(), SampleConfig(length=3), *range(60))
    assert all(sample.drawn_log_prob == sample.log_prob for sample in samples)
    found = most_probable(samples, 1000)
    assert {sample.text for sample in found} == {sample.text for sample in samples}
    assert len(found) == len({sample.text for sample in samples}) < 60
    log_probs = [sample.log_prob for sample in found]
    assert log_probs == sorted(log_probs, reverse=True)
    assert log_probs[0] == max(sample.log_prob for sample in samples)
    assert most_probable(samples, 3) == found[:3]


def test_of_endless_samples_only_the_best_are_held() -> None:
    alive, most = set(), 0

    def samples() -> Iterator[Sample]:
        nonlocal most
        for number in range(6000):
            sample = Sample(f"{number % 97}", number, drawn_log_prob=-float(number * 7919 % 101))
            sample.begin(Vocabulary("a"), SampleConfig())
            alive.add(number)
            weakref.finalize(sample, alive.discard, number)
            most = max(most, len(alive))
            yield sample

    found = most_probable(samples(), 5)
    assert most < 3000
    assert found == most_probable(list(samples()), 5)
    assert [sample.drawn_log_prob for sample in found] == [0, 0, 0, 0, 0]
    assert len({sample.text for sample in found}) == 5


def test_what_ends_a_text_counts_when_samples_compare(make_checkpoint: MakeCheckpoint) -> None:
    samples = draw(make_checkpoint("ab"), SampleConfig(length=9, stop="b"), *range(30))
    stopped = [sample for sample in samples if sample.stop == "stop"]
    assert stopped
    assert all(sample.drawn_log_prob < sample.log_prob for sample in stopped)


@pytest.mark.parametrize(("tokens", "kind"), [("abc", CHARACTERS), (HANGUL, JAMO)])
def test_a_copy_goes_on_by_itself(
    make_checkpoint: MakeCheckpoint, tokens: str, kind: VocabularyConfig
) -> None:
    vocabulary = make_checkpoint(tokens, kind).vocabulary
    config, one = SampleConfig(length=5), Sample("")
    one.begin(vocabulary, config)
    one.add(tokens[0], -1, config)
    other = one.copy()
    for token in tokens[2:] + tokens[:1]:
        other.add(token, -2, config)
    one.end(-0.5, config)
    assert (one.text, one.log_prob, one.stop) == (tokens[0], -1.5, "eos")
    assert len(other.text) > 1


def test_many_samples_are_the_same_on_any_number_of_threads(
    make_checkpoint: MakeCheckpoint,
) -> None:
    checkpoint, config, found = make_checkpoint(), SampleConfig(length=20), []
    for threads in (1, 2, 3):
        samples = [Sample("ab", seed) for seed in range(100)]
        with Workers(threads) as workers:
            complete(checkpoint, samples, config, workers)
        found.append([(sample.text, sample.log_prob, sample.stop) for sample in samples])
    assert found[0] == found[1] == found[2]
    assert len({text for text, _, _ in found[0]}) > 50


@pytest.mark.parametrize("stops", [["ab"], ["ab", "caa", "", "bbbb"]])
def test_the_stop_text_is_kept_if_asked_for(
    make_checkpoint: MakeCheckpoint, workers: Workers, stops: list[str]
) -> None:
    checkpoint, reasons = make_checkpoint(), set()
    cut = draw(checkpoint, SampleConfig(length=8, stop=stops), *range(60), prompt="c")
    kept = draw(
        checkpoint, SampleConfig(length=8, stop=stops, keep_stop=True), *range(60), prompt="c"
    )
    for one, other in zip(cut, kept, strict=True):
        assert other.stop == one.stop
        rest = other.text.removeprefix(one.text)
        assert rest in filter(None, stops) if one.stop == "stop" else rest == ""
        assert other.log_prob == pytest.approx(difference(checkpoint, other, workers), abs=1e-3)
        reasons.add(one.stop)
    assert reasons == {"eos", "length", "stop"}


def test_a_stop_text_that_goes_beyond_the_length_does_not_end_a_text(
    make_checkpoint: MakeCheckpoint,
) -> None:
    config = SampleConfig(length=3, stop="bcc", keep_stop=True)
    checkpoint = make_checkpoint(["a", "bc", "c", "bccc"], WORDS)
    for sample in draw(checkpoint, config, *range(200)):
        assert len(sample.text) <= 3
        assert (sample.stop == "stop") == sample.text.endswith("bcc")
