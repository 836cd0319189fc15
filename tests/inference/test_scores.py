import math

import pytest

from charrnn.inference.scores import Total
from charrnn.inference.scoring import score
from charrnn.parallel.threads import Workers
from tests.conftest import MakeCheckpoint

pytestmark = pytest.mark.figures


def test_nothing_predicted_gives_none(make_checkpoint: MakeCheckpoint, workers: Workers) -> None:
    empty = score(make_checkpoint(), [""], eos=False, workers=workers)[0]
    assert empty.chars == 0
    assert empty.log_prob == 0
    assert empty.bits_per_char is empty.perplexity is None


def test_a_total_sums_and_divides_once(make_checkpoint: MakeCheckpoint, workers: Workers) -> None:
    scores = score(make_checkpoint(), ["a", "abcΩ", "", "bb"], eos=True, workers=workers)
    total = Total()
    total.add(scores[:1])
    total.add(scores[1:])
    assert (total.texts, total.chars, total.unk) == (4, 11, 1)
    log_prob = sum(item.log_prob for item in scores)
    assert total.log_prob == pytest.approx(log_prob)
    token_log_prob = sum(item.token_log_prob for item in scores)
    assert total.token_log_prob == pytest.approx(token_log_prob) != log_prob
    assert total.bits_per_char == pytest.approx(-log_prob / 11 / math.log(2))
    assert Total().bits_per_char is None


def test_a_perplexity_that_no_float_holds_is_none(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint = make_checkpoint()
    checkpoint.model.arrays["head.weight"][0, 0] = 1e5
    found = score(checkpoint, ["a"], eos=False, workers=workers)[0]
    assert found.perplexity is None
    assert found.bits_per_char is not None
    assert math.isfinite(found.bits_per_char)
