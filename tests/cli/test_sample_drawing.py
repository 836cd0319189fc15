"""Samples drawn as the options of `charrnn sample` say."""

from pathlib import Path

import pytest

from charrnn.cli import sample_drawing
from charrnn.cli.sample_drawing import Copies, Drawing, Drawn, draw, parse_temperatures
from charrnn.config import SampleConfig
from charrnn.errors import ConfigError
from charrnn.inference.sampling import Sample
from charrnn.inference.verbatim import Stretch
from charrnn.parallel.threads import Workers
from charrnn.storage import checkpoint
from tests.conftest import documents_of

CONFIG = SampleConfig(length=8)


def drawn(prompt: str, text: str, *copied: Stretch, stop: str = "eos") -> Drawn:
    sample = Sample(prompt, stop=stop, _parts=[prompt + text])
    return Drawn(sample, 1.0, copied or None)


@pytest.mark.parametrize(("text", "values"), [("1", (1.0,)), ("0,0.5,2", (0.0, 0.5, 2.0))])
def test_temperatures_have_commas_between(text: str, values: tuple[float, ...]) -> None:
    assert parse_temperatures(text) == values
    configs = Drawing(CONFIG, values).configs()
    assert [config.temperature for config in configs] == [*values]
    assert {config.length for config in configs} == {8}


@pytest.mark.parametrize("text", ["", "x", "1,", "-1", "1,nan"])
def test_other_temperatures_are_wrong_usage(text: str) -> None:
    with pytest.raises(ConfigError, match="temperature"):
        parse_temperatures(text)


def test_one_text_is_drawn_unless_an_option_asks_for_more() -> None:
    assert Drawing().is_single
    for more in (Drawing(num_samples=2), Drawing(temperatures=(1, 2)), Drawing(best=1)):
        assert not more.is_single
    assert not Drawing(beam=3).is_single


def test_sample_j_has_the_seed_plus_j_however_few_are_drawn_at_a_time(
    trained: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, drawing = checkpoint.load(trained), Drawing(CONFIG, num_samples=2)
    together = [*draw(model, ["he", "th"], 5, drawing, CONFIG, workers)]
    assert [item.sample.seed for item in together] == [5, 6, 7, 8]
    assert [item.sample.prompt for item in together] == ["he", "he", "th", "th"]
    monkeypatch.setattr(sample_drawing, "_SIDE_BY_SIDE", 3)
    apart = [*draw(model, ["he", "th"], 5, drawing, CONFIG, workers)]
    assert [item.fields()["text"] for item in apart] == [item.fields()["text"] for item in together]


def test_the_best_are_the_most_probable_of_those_drawn(trained: Path, workers: Workers) -> None:
    model = checkpoint.load(trained)
    every = draw(model, ["he"], 0, Drawing(CONFIG, num_samples=9), CONFIG, workers)
    probable = sorted({item.sample.drawn_log_prob for item in every}, reverse=True)
    best = draw(model, ["he"], 0, Drawing(CONFIG, num_samples=9, best=2), CONFIG, workers)
    assert [item.ranked_fields()["drawn_log_prob"] for item in best] == probable[:2]


def test_a_beam_has_one_text_a_prompt_unless_more_are_kept(trained: Path, workers: Workers) -> None:
    model, prompts = checkpoint.load(trained), ["he", "th"]
    for best, count in ((None, 1), (3, 3)):
        found = [*draw(model, prompts, 0, Drawing(CONFIG, beam=4, best=best), CONFIG, workers)]
        assert [item.sample.prompt for item in found] == [p for p in prompts for _ in range(count)]
        assert {item.sample.seed for item in found} == {None}


def test_copies_are_shares_of_what_was_drawn() -> None:
    item = drawn("ab", "cdefghij", Stretch(0, 4), Stretch(2, 6))
    assert item.num_copied == 6
    assert item.copied_fields() == {
        "copied": [
            {"text": "cdef", "start": 2, "length": 4, "share": 0.5},
            {"text": "efgh", "start": 4, "length": 4, "share": 0.5},
        ],
        "copied_share": 0.75,
    }
    assert drawn("ab", "cd").copied_fields() == {}
    assert drawn("ab", "").share(0) is None


def test_a_whole_document_is_a_copy_however_short() -> None:
    copies = Copies.of(documents_of(["hello world", "short"]), 6)
    items = [drawn("sh", "ort"), drawn("sh", "ort", stop="length"), drawn("", "my world")]
    found = [item.copied for item in copies.marked(items)]
    assert found == [[Stretch(0, 3)], [], [Stretch(2, 8)]]
