import itertools
import math

import numpy as np
import pytest

from charrnn.errors import CorpusError
from charrnn.parallel import Workers
from charrnn.scoring import Total, score
from charrnn.vocabulary import UNK_CHARACTER

from .conftest import MakeCheckpoint


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_all_texts_up_to_a_length_with_their_ends_add_up_to_one(
    make_checkpoint: MakeCheckpoint, workers: Workers, cell: str
) -> None:
    checkpoint, longest = make_checkpoint("ab", cell=cell), 4
    letters = "ab" + UNK_CHARACTER
    texts = [
        "".join(text)
        for size in range(longest + 1)
        for text in itertools.product(letters, repeat=size)
    ]
    ended = score(checkpoint, texts, eos=True, workers=workers)
    going_on = score(
        checkpoint, [t for t in texts if len(t) == longest], eos=False, workers=workers
    )
    ends_before = sum(math.exp(s.log_prob) for s in ended if len(s.text) < longest)
    assert ends_before + sum(math.exp(s.log_prob) for s in going_on) == pytest.approx(1, abs=1e-6)


def test_per_char_adds_up_to_log_prob(make_checkpoint: MakeCheckpoint, workers: Workers) -> None:
    for eos in (False, True):
        found = score(make_checkpoint(), ["abcab"], eos=eos, workers=workers)[0]
        characters = [char for char, _ in found.per_char]
        assert characters == [*"abcab"] + ["<EOS>"] * eos
        assert math.fsum(log_prob for _, log_prob in found.per_char) == found.log_prob
        assert found.chars == 5 + eos


def test_zero_weights_cost_log2_of_the_vocabulary(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint = make_checkpoint("abcdef")
    for array in checkpoint.model.arrays.values():
        array[:] = 0
    figures = score(checkpoint, ["abfe"], workers=workers)[0].figures()
    assert figures["bits_per_char"] == pytest.approx(3, abs=1e-6)
    assert figures["perplexity"] == pytest.approx(8, abs=1e-5)


def test_the_end_counts_as_the_model_was_trained(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    for lines in (False, True):
        assert score(make_checkpoint(lines=lines), ["ab"], workers=workers)[0].eos == lines


def test_nothing_predicted_gives_none(make_checkpoint: MakeCheckpoint, workers: Workers) -> None:
    empty = score(make_checkpoint(), [""], eos=False, workers=workers)[0]
    assert empty.chars == 0
    assert empty.log_prob == 0
    assert empty.figures() == {"bits_per_char": None, "perplexity": None}


def test_unknown_characters_count_and_keep_their_names(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    found = score(make_checkpoint(), ["aΩb€"], eos=False, workers=workers)[0]
    assert found.unk == 2
    assert [char for char, _ in found.per_char] == [*"aΩb€"]


def test_composed_and_decomposed_text_score_alike(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint = make_checkpoint("é한")
    composed, decomposed = score(checkpoint, ["é한", "e\u0301\u1112\u1161\u11ab"], workers=workers)
    assert composed.per_char == decomposed.per_char


def test_half_a_surrogate_pair_is_no_text(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    with pytest.raises(CorpusError, match="not valid Unicode"):
        score(make_checkpoint(), ["\udcff"], workers=workers)


def test_a_total_sums_and_divides_once(make_checkpoint: MakeCheckpoint, workers: Workers) -> None:
    scores = score(make_checkpoint(), ["a", "abcΩ", "", "bb"], eos=True, workers=workers)
    total = Total()
    total.add(scores[:1])
    total.add(scores[1:])
    fields = total.fields()
    assert (fields["texts"], fields["chars"], fields["unk"]) == (4, 11, 1)
    log_prob = sum(item.log_prob for item in scores)
    assert fields["log_prob"] == pytest.approx(log_prob)
    assert fields["bits_per_char"] == pytest.approx(-log_prob / 11 / math.log(2))
    assert Total().fields()["bits_per_char"] is None


def test_a_perplexity_that_no_float_holds_is_none(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint = make_checkpoint()
    checkpoint.model.arrays["head.weight"][0, 0] = 1e5
    figures = score(checkpoint, ["a"], eos=False, workers=workers)[0].figures()
    assert figures["perplexity"] is None
    assert figures["bits_per_char"] is not None
    assert np.isfinite(figures["bits_per_char"])
