"""A recipe of the README does what it says, and the model that ships has learned."""

import datetime
import json
import re
from pathlib import Path

import numpy as np
import pytest

from charrnn.api import Model
from charrnn.config import SampleConfig
from charrnn.inference.scoring import score
from charrnn.inference.verbatim import copied_stretches, covered
from charrnn.parallel.threads import Workers
from charrnn.resources import bundled_model
from charrnn.storage import checkpoint
from charrnn.text.corpus import read_corpus, split_corpus
from tests.commands import call

pytestmark = pytest.mark.slow

MONTHS = "January February March April May June July August September October November December"


def dates(count: int) -> dict[str, str]:
    """Dates as people write them, each with its ISO form."""
    rng, found = np.random.default_rng(0), dict[str, str]()
    while len(found) < count:
        date = datetime.date(1950, 1, 1) + datetime.timedelta(int(rng.integers(27_000)))
        month = MONTHS.split()[date.month - 1]
        written = (
            f"{date.day} {month} {date.year}",
            f"{month} {date.day}, {date.year}",
            f"{date.day}.{date.month}.{date.year}",
            f"{month[:3]} {date.day} {date.year}",
        )
        found[written[rng.integers(len(written))]] = date.isoformat()
    return found


def test_dates_are_rewritten(tmp_path: Path) -> None:
    pairs = list(dates(11_300).items())
    known, unseen = pairs[:11_000], pairs[11_000:]
    lines = "".join(f"{source}\t{target}\n" for source, target in known)
    (tmp_path / "dates.txt").write_text(lines)
    (tmp_path / "prompts.txt").write_text("".join(f"{source}\t\n" for source, _ in unseen))
    small = ("--hidden-size", "128", "--num-layers", "1", "--steps", "250")  # than the README's
    call("train", "dates.txt", "--lines", *small, "-o", "dates.npz", cwd=tmp_path, seconds=600)
    sample = ("sample", "-c", "dates.npz", "--prompts", "prompts.txt", "--temperature", "0")
    found = [json.loads(line)["text"] for line in call(*sample, cwd=tmp_path).splitlines()]
    right = [text == f"{s}\t{t}" for text, (s, t) in zip(found, unseen, strict=True)]
    assert np.mean(right) > 0.95


def shuffled(sentence: str, rng: np.random.Generator) -> str:
    """The words in another order."""
    words = sentence.split()
    while (found := " ".join(rng.permutation(words))) == sentence:
        pass
    return found


def test_a_sentence_is_more_probable_than_its_words_in_another_order(workers: Workers) -> None:
    model, rng = checkpoint.load(bundled_model()), np.random.default_rng(0)
    unseen = [line for line in split_corpus(read_corpus(["stories"])).val if len(line.split()) > 4]
    assert len(unseen) > 100
    mixed = [shuffled(sentence, rng) for sentence in unseen]
    pairs = zip(*(score(model, texts, workers=workers) for texts in (unseen, mixed)), strict=True)
    assert np.mean([one.log_prob > other.log_prob for one, other in pairs]) > 0.95


@pytest.mark.parametrize(
    ("name", "corpus", "temperature", "least"),
    [
        ("everyday", "stories", 1.0, 0.95),
        ("everyday", "stories", 0.7, 0.99),
        # of Korean, whose words have many forms that its corpus does not happen to have
        ("ilsang", "korean", 1.0, 0.8),
        ("ilsang", "korean", 0.7, 0.93),
    ],
)
def test_a_bundled_model_writes_words_of_its_corpus_but_copies_little(
    name: str, corpus: str, temperature: float, least: float
) -> None:
    lines, model = read_corpus([corpus]).documents, Model(checkpoint.load(bundled_model(name)))
    samples = model.samples([""] * 300, SampleConfig(temperature=temperature), seed=1)
    texts = [sample.text for sample in samples]
    known = {*words(" ".join(lines))}
    assert np.mean([word in known for word in words(" ".join(texts))]) > least
    copied = [covered(stretches) for stretches in copied_stretches(texts, lines, 30)]
    assert sum(len(part) for parts in copied for part in parts) < sum(map(len, texts)) / 10


def words(text: str) -> list[str]:
    """In lower case, without marks."""
    return re.findall(r"[a-z]+(?:'[a-z]+)*|[가-힣]+", text.lower())
