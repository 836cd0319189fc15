"""List the models and corpora at hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from charrnn.config import ModelConfig
from charrnn.errors import CharRNNError
from charrnn.resources import BUNDLED_MODELS, bundled_corpora, bundled_model
from charrnn.storage.checkpoint import newest_first, peek
from charrnn.storage.history import best, history
from charrnn.text.corpus import read_corpus


@dataclass(frozen=True)
class ListedModel:
    """A model file; None for values that it does not have, or that an error hides."""

    model: str  # what --checkpoint takes
    modified: str | None  # ISO 8601, in UTC
    bytes: int | None
    cell: str | None = None  # with its layers and units
    parameters: int | None = None  # k-grams of an ngram
    bits_per_char: float | None = None  # on the validation split
    corpus: str | None = None
    error: str | None = None  # why the file is unusable


@dataclass(frozen=True)
class ListedCorpus:
    """A corpus by the name that `charrnn train` takes."""

    corpus: str
    chars: int
    lines: int


def models() -> list[ListedModel]:
    """List the models in ./checkpoints, the newest first, including unusable files."""
    return [_model(str(path), path) for path in newest_first()]


def bundled_models() -> list[ListedModel]:
    """List the models that come with charrnn, the default first."""
    return [_model(name, bundled_model(name)) for name in BUNDLED_MODELS]


def corpora() -> list[ListedCorpus]:
    """List the corpora that come with charrnn."""
    found = {name: read_corpus([name]) for name in bundled_corpora()}
    return [
        ListedCorpus(name, corpus.chars, len(corpus.documents)) for name, corpus in found.items()
    ]


def described(config: ModelConfig, training: Mapping[str, Any]) -> str:
    """Describe a model and its training text: `lstm 1x64, trained on hello`."""
    name = _corpus_name(training)
    return _cell(config) + (f", trained on {name}" if name else "")


def _model(name: str, path: Path) -> ListedModel:
    modified = size = None
    try:
        status = path.stat()
        modified, size = _date(status.st_mtime), status.st_size
        config, parameters, training = peek(path)
    except (CharRNNError, OSError) as error:
        return ListedModel(name, modified, size, error=str(error))
    kept = best(history(training))
    return ListedModel(
        name,
        modified,
        size,
        _cell(config),
        parameters,
        kept.val_bits_per_char if kept else None,
        _corpus_name(training),
    )


def _date(seconds: float) -> str | None:
    """Format seconds since 1970 as ISO 8601; None if the year is out of range."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def _cell(config: ModelConfig) -> str:
    if config.cell == "ngram":
        return f"ngram, order {config.order}"
    return f"{config.cell} {config.num_layers}x{config.hidden_size}"


def _corpus_name(training: Mapping[str, Any]) -> str | None:
    corpus = training.get("corpus")
    name = corpus.get("name") if isinstance(corpus, dict) else None
    return name if isinstance(name, str) else None
