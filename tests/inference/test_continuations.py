"""Continuations against the score of the whole less that of the prompt."""

from collections.abc import Sequence

import pytest

from charrnn.config import VocabularyConfig
from charrnn.inference import continuations
from charrnn.inference.continuations import ranked_continuations
from charrnn.inference.scoring import score
from charrnn.parallel.threads import Workers
from tests.conftest import CHARACTERS, JAMO, WORDS, MakeCheckpoint

pytestmark = pytest.mark.figures


@pytest.mark.parametrize(
    ("tokens", "kind", "texts"),
    [
        ("abc", CHARACTERS, ["a", "abc", "", "xa", "cc" * 40, "b"]),
        (["a", " b", " cc"], WORDS, [" b", " cc b", "", " ddd b"]),
        ("ᄀ\u1161\u11a8 a", JAMO, ["각", " 가a", "", "나 가"]),
    ],
)
@pytest.mark.parametrize("prompt", ["", "a", "a가 a"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_log_prob_is_that_of_the_whole_less_that_of_the_prompt(
    make_checkpoint: MakeCheckpoint,
    workers: Workers,
    monkeypatch: pytest.MonkeyPatch,
    tokens: Sequence[str],
    kind: VocabularyConfig,
    texts: list[str],
    prompt: str,
    cell: str,
) -> None:
    checkpoint = make_checkpoint(tokens, kind, cell=cell)
    monkeypatch.setattr(continuations, "_SIDE_BY_SIDE", 3)
    monkeypatch.setattr(continuations, "_STEPS", 7)
    found = ranked_continuations(checkpoint, prompt, texts)
    assert sorted(each.text for each in found) == sorted(texts)
    (start,) = score(checkpoint, [prompt], eos=False, workers=workers)
    for each in found:
        (whole,) = score(checkpoint, [prompt + each.text], eos=False, workers=workers)
        assert each.log_prob == pytest.approx(whole.log_prob - start.log_prob, abs=1e-3)
        assert each.unk == whole.unk - start.unk
    totals = [each.log_prob for each in found]
    assert totals == sorted(totals, reverse=True)
