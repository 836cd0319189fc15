"""The scores of texts one after another, in contexts, in parts, and of whole files."""

from pathlib import Path

import pytest

from charrnn.cli.score_input import Given, Sources
from charrnn.cli.score_models import Scorer
from charrnn.config import WHOLE
from charrnn.inference.scoring import score
from charrnn.parallel.processes import ALONE
from charrnn.parallel.threads import Workers
from charrnn.storage import checkpoint

pytestmark = pytest.mark.figures

TEXTS = ["the old well", "", "he held the door", "zz"]


@pytest.fixture
def scorer(trained: Path) -> Scorer:
    return Scorer(checkpoint.load(trained), None, 1, ALONE)


def given(*texts: str) -> list[Given]:
    return [Given(text, text) for text in texts]


def sources(*files: str, separator: str = WHOLE) -> Sources:
    return Sources([], [*map(Path, files)], separator, "utf-8", None)


def test_each_text_has_its_own_score_in_the_order_given(scorer: Scorer, workers: Workers) -> None:
    arriving = [*given(*TEXTS[:2]), None, *given(*TEXTS[2:])]
    found = [*scorer.each(arriving)]
    assert [item.text for item, _ in found] == TEXTS
    expected = score(scorer.model, TEXTS, workers=workers)
    assert [one.log_prob for _, one in found] == pytest.approx(
        [other.log_prob for other in expected], rel=1e-5
    )


def test_streams_score_a_file_as_a_whole_does(scorer: Scorer, folder: Path) -> None:
    (folder / "a.txt").write_text("the old well held\n" * 200)
    ((name, whole),) = scorer.whole(sources("a.txt"), 1)
    ((_, streams),) = scorer.whole(sources("a.txt"), 2)
    assert name.name == "a.txt"
    assert streams.chars == whole.chars
    assert streams.log_prob == pytest.approx(whole.log_prob, rel=0.01)


def test_an_adapting_model_starts_afresh_with_each_text(scorer: Scorer, workers: Workers) -> None:
    text = "the old well held " * 20
    first, second = scorer.adapted(given(text, text))
    for one, other in zip(first[1:], second[1:], strict=True):
        assert one.log_prob == other.log_prob
    _, static, adapted = first
    assert static.log_prob == pytest.approx(
        score(scorer.model, [text], workers=workers)[0].log_prob, rel=1e-5
    )
    assert adapted.log_prob > static.log_prob


def test_surprises_add_up_to_the_score(scorer: Scorer, workers: Workers) -> None:
    ((item, found),) = scorer.surprises(given("the old well"))
    (expected,) = score(scorer.model, ["the old well"], workers=workers)
    assert item.text == "the old well"
    assert found.score.log_prob == pytest.approx(expected.log_prob, rel=1e-5)
    assert len([*found.places()]) == len("the old well") + 1
