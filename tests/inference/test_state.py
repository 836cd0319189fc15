"""Reading a text in steps: what each says is what the whole text says."""

import math

import numpy as np
import pytest

from charrnn.errors import CheckpointError, ConfigError, CorpusError
from charrnn.inference.sampling import next_tokens
from charrnn.inference.scoring import score
from charrnn.inference.state import State
from charrnn.parallel.threads import Workers
from tests.conftest import JAMO, WORDS, MakeCheckpoint
from tests.inference.test_continuations import KINDS, checkpoint_of
from tests.rounding import log_prob_tolerance

pytestmark = pytest.mark.figures


@pytest.mark.parametrize("kind", KINDS)
def test_steps_add_up_to_the_score(
    make_checkpoint: MakeCheckpoint, workers: Workers, kind: str
) -> None:
    checkpoint = checkpoint_of(make_checkpoint, kind)
    state, read = State(checkpoint), ""
    for part in ("a", "", "bcb", "é", "abcd" * 20, "d"):
        before = dict(state.next())
        found, read = state.feed(part), read + part
        if len(part) == 1:
            assert found.token_log_prob == pytest.approx(before.get(part, before["<UNK>"]))
        (expected,) = score(checkpoint, [read], eos=False, workers=workers)
        tolerance = log_prob_tolerance(len(read), 100)
        assert state.log_prob == pytest.approx(expected.log_prob, abs=tolerance)
        following = dict(next_tokens(checkpoint, read))
        assert dict(state.next()) == pytest.approx(following, abs=tolerance)
        assert math.fsum(map(math.exp, following.values())) == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_reads_on_by_itself(make_checkpoint: MakeCheckpoint, kind: str) -> None:
    state = State(checkpoint_of(make_checkpoint, kind))
    state.feed("ab")
    before, other = (state.log_prob, state.next()), state.copy()
    other.feed("cabca")
    assert (state.log_prob, state.next()) == before
    state.feed("cabca")
    assert (state.log_prob, state.next()) == (other.log_prob, other.next())


def test_a_text_in_parts_is_cut_into_tokens_by_parts(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    jamo = make_checkpoint("ᄀ\u1161\u11a8", JAMO)
    state = State(jamo)
    assert [state.feed(part).chars for part in "각가"] == [1, 1]
    (expected,) = score(jamo, ["각가"], eos=False, workers=workers)
    assert state.log_prob == pytest.approx(expected.log_prob, abs=log_prob_tolerance(5, 100))
    state = State(make_checkpoint(["a", " b"], WORDS))
    assert [state.feed(part).unk for part in ("a", " b", " ", "b")] == [0, 0, 1, 1]


def test_what_cannot_be_read_is_an_error(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = make_checkpoint()
    state = State(checkpoint)
    with pytest.raises(CorpusError, match="not valid Unicode"):
        state.feed("\ud800")
    with pytest.raises(ConfigError, match="text must be a string, not list"):
        state.feed(["a"])  # type: ignore[arg-type]
    assert state.log_prob == 0
    checkpoint.model.arrays["head.weight"][:] = np.inf
    with pytest.raises(CheckpointError, match="not finite"):
        State(checkpoint)
