"""The same seed gives the same model, text and scores, whatever is watched and whoever watches."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.config import LINES, ModelConfig
from charrnn.inference.scoring import score
from charrnn.network.model import CharRNN
from charrnn.ngrams.kneser_ney import count_ngrams, fit
from charrnn.ngrams.residual import ResidualRNN, ngram_config
from charrnn.parallel.threads import Workers
from charrnn.storage import checkpoint
from charrnn.text.vocabulary import Vocabulary
from tests.commands import call, finish, on_a_terminal, posix, start
from tests.rounding import log_prob_tolerance

pytestmark = pytest.mark.figures

TRAIN = ("train", "text.txt", "--lines", "--hidden-size", "8", "--steps", "12", "--dropout", "0.3")
WAYS: dict[str, list[str]] = {
    "again": [],
    "in silence": ["--quiet"],
    "with samples": ["--sample-every", "1"],
    "with a log": ["--log", "a.jsonl"],
    "as JSON": ["--json"],
    "on one thread": ["--threads", "1"],
    "on three threads": ["--threads", "3"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text, and a model of it."""
    folder = tmp_path_factory.mktemp("same")
    words = np.random.default_rng(0).choice(
        ["the", "well", "held", "an", "old", "door", "apple"], (150, 5)
    )
    (folder / "text.txt").write_text("\n".join(map(" ".join, words)))
    call(*TRAIN, "-o", "first.npz", cwd=folder)
    return folder


def same_weights(one: Path, other: Path) -> bool:
    arrays, others = (checkpoint.load(path).model.arrays for path in (one, other))
    return all(np.array_equal(arrays[name], others[name]) for name in {*arrays, *others})


def outputs(folder: Path, *commands: Sequence[str]) -> list[str]:
    """What commands print that run at the same time."""
    results = [*map(finish, [start(*command, cwd=folder) for command in commands])]
    assert all(result.code == 0 for result in results), results
    return [result.out for result in results]


@pytest.mark.slow
def test_a_model_does_not_depend_on_how_its_training_is_watched(folder: Path) -> None:
    outputs(folder, *([*TRAIN, "-o", f"{way}.npz", *options] for way, options in WAYS.items()))
    for way in WAYS:
        assert same_weights(folder / "first.npz", folder / f"{way}.npz"), way


@pytest.mark.slow
@posix
def test_nor_on_a_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    on_a_terminal(*TRAIN, "-o", "terminal.npz", "--sample-every", "3")
    assert same_weights(folder / "first.npz", folder / "terminal.npz")


@pytest.mark.slow
def test_another_seed_gives_another_model(folder: Path) -> None:
    call(*TRAIN, "-o", "seed.npz", "--seed", "1", cwd=folder)
    assert not same_weights(folder / "first.npz", folder / "seed.npz")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["sample", "the", "--num-samples", "3", "--seed", "5"],
        ["sample", "the", "--num-samples", "3", "--seed", "5", "--json"],
        ["score", "the old door", "an apple", "--json"],
        ["score", "the old well held an apple " * 4, "an old door", "--adapt", "--json"],
    ],
)
def test_a_command_repeats_itself(folder: Path, command: list[str]) -> None:
    arguments = [*command, "-c", "first.npz"]
    found = {*outputs(folder, arguments, arguments, [*arguments, "--threads", "1"])}
    assert len(found) == 1
    assert found != {""}


@pytest.mark.slow
def test_sample_j_of_a_seed_is_sample_0_of_the_seed_plus_j(folder: Path) -> None:
    sample = ("sample", "the", "-c", "first.npz", "--json", "--seed")
    printed = outputs(folder, *([*sample, str(seed)] for seed in range(3, 7)))
    (together,) = outputs(folder, [*sample, "3", "--num-samples", "4"])
    texts = [json.loads(line)["text"] for line in "".join(printed).splitlines()]
    assert texts == [json.loads(line)["text"] for line in together.splitlines()]


MODELS: list[dict[str, Any]] = [
    *({"cell": cell, "num_layers": 2} for cell in ("rnn", "lstm", "gru")),
    {"cell": "jordan"},
    {"ngram": 4},
    {"hidden_size": 200},
]


@pytest.mark.parametrize("options", MODELS)
def test_a_score_does_not_depend_on_what_else_is_scored(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    config = ModelConfig(vocab_size=30, **{"hidden_size": 40, **options})
    network = CharRNN(config).initialize(rng)
    network.parameters.flat[:] += rng.normal(0, 0.1, network.size)
    model: Any = network
    if config.ngram:
        of_ngram = ngram_config(config)
        model = ResidualRNN(
            network, fit(of_ngram, count_ngrams(of_ngram, rng.integers(1, 30, 2000)))
        )
    vocabulary = Vocabulary([chr(ord("a") + number) for number in range(28)])
    found = checkpoint.Checkpoint(model, vocabulary, LINES)
    letters = [chr(ord("a") + number) for number in range(28)]
    texts = ["".join(rng.choice(letters, size)) for size in (1, 7, 60, 300, *[25] * 40)]
    with Workers(2) as workers:
        together = score(found, texts, workers=workers)
        for text, expected in zip(texts[:8], together, strict=False):
            (alone,) = score(found, [text], workers=workers)
            np.testing.assert_allclose(
                [item[1] for item in alone.per_char],
                [item[1] for item in expected.per_char],
                atol=log_prob_tolerance(1, terms=30 + 1 + config.hidden_size),
            )
