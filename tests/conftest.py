"""Shared fixtures: small models that are quick to make."""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.config import LINES, WHOLE, ModelConfig, VocabularyConfig
from charrnn.ids import EOS, NUM_SPECIAL
from charrnn.inference.surprise import Surprise, surprises
from charrnn.network.model import CharRNN
from charrnn.parallel.threads import Workers, one_blas_thread
from charrnn.storage.checkpoint import Checkpoint, save
from charrnn.text.corpus import Corpus
from charrnn.text.documents import END, LINE_END, Documents
from charrnn.text.tokens import Encoded
from charrnn.text.vocabulary import Vocabulary
from charrnn.training import trainer

MakeCheckpoint = Callable[..., Checkpoint]

CHARACTERS, WORDS = VocabularyConfig(), VocabularyConfig("word")
JAMO = VocabularyConfig(normalize="nfd")


def encoded(tokens: np.ndarray) -> Encoded:
    """A split whose tokens are characters."""
    return Encoded(tokens, int(np.count_nonzero(tokens > EOS)))


def marked(texts: Iterable[str]) -> Iterator[str]:
    """Each text with the mark that ends it."""
    for text in texts:
        yield text.removesuffix("\n") + (LINE_END if text.endswith("\n") else END)


def documents_of(texts: Iterable[str]) -> Documents:
    return Documents.collect(marked(texts))


def corpus_of(texts: Iterable[str], *, lines: bool = True) -> Corpus:
    return Corpus.collect("x", marked(texts), LINES if lines else WHOLE)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Each test leaves signals as it found them, or else a later one's processes ignore them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def _one_blas_thread() -> Iterator[None]:
    """As in a command; two threads would wait for each other in every product."""
    with one_blas_thread():
        yield


@pytest.fixture(scope="session", autouse=True)
def _without_ppmd() -> Iterator[None]:
    """A run compares itself with xz, whatever is installed here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pyppmd", None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _measured_quickly() -> Iterator[None]:
    """How fast a machine is matters to no test; each run by the clock would take seconds for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "_MOST_MEASURING", 0.1)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_wait_for_the_disk() -> Iterator[None]:
    """No test cuts the power; commands in processes of their own do wait for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)  # which needs an open file as well
        yield


@pytest.fixture
def make_checkpoint() -> MakeCheckpoint:
    """A function that makes a checkpoint of a random model over some tokens."""

    def make(
        tokens: Sequence[str] = "abc",
        kind: VocabularyConfig = CHARACTERS,
        *,
        separator: str = LINES,
        seed: int = 0,
        **config: Any,
    ) -> Checkpoint:
        sizes = {"hidden_size": 8, "vocab_size": NUM_SPECIAL + len(tokens)}
        model = CharRNN(ModelConfig(**{**sizes, **config}))
        model.initialize(np.random.default_rng(seed))
        return Checkpoint(model, Vocabulary(tokens, kind), separator)

    return make


def surprise(checkpoint: Checkpoint, text: str, **options: Any) -> Surprise:
    """How one text surprises a model."""
    with Workers(1) as workers:
        return surprises(checkpoint, [text], workers=workers, **options)[0]


@pytest.fixture
def workers() -> Iterator[Workers]:
    with Workers(1) as found:
        yield found


@pytest.fixture
def path(tmp_path: Path, make_checkpoint: MakeCheckpoint) -> Path:
    """A tiny checkpoint on the disk."""
    file = tmp_path / "tiny.npz"
    save(make_checkpoint("abc", hidden_size=2), file)
    return file
