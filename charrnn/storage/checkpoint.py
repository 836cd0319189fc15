"""Checkpoints: models as .npz files.

A file of `charrnn.storage.archive` with the float32 parameters named by
`charrnn.network.parameters.parameter_shapes`, the arrays of `charrnn.ngrams.ngram.NGram` and
`charrnn.mixing.mixed.Mixed` if the model has these parts, and metadata:

    format      "charrnn"
    version     1
    model       fields of ModelConfig; missing ones have their default
    tokens      fields of VocabularyConfig; missing ones have their default
    vocabulary  tokens in the order of their ids, without <EOS> and <UNK>
    lines       whether documents were lines
    separator   text at which files were split into documents, "" for whole files; if missing,
                `lines` decides
    training    how it was trained: command, settings, corpus with its hash, results, history
"""

import contextlib
import math
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from unicodedata import is_normalized

import numpy as np

from charrnn.config import LINES, WHOLE, ModelConfig, VocabularyConfig
from charrnn.errors import CheckpointError, did_you_mean
from charrnn.mixing.inputs import NUM_INPUTS, num_rows
from charrnn.mixing.mixed import LanguageModel, Mixed
from charrnn.mixing.mixer import LEVELS
from charrnn.network.model import CharRNN
from charrnn.network.parameters import parameter_shapes
from charrnn.ngrams.ngram import NGram
from charrnn.ngrams.residual import ResidualRNN
from charrnn.resources import (
    BUNDLED_MODELS,
    bundled_model,
    is_bundled,
    is_short_name,
    named_model,
    trained_models,
)
from charrnn.resources import FOLDER as FOLDER
from charrnn.resources import PREVIOUS as PREVIOUS
from charrnn.resources import RESUME as RESUME
from charrnn.storage import archive, files
from charrnn.storage.archive import SUFFIX, Header
from charrnn.storage.history import best, history
from charrnn.text.vocabulary import Vocabulary

KIND = "charrnn"
MODEL = archive.file_kind(KIND)
_NAMED = 10  # models in an error
_FLOAT16, _FLOAT32 = np.dtype(np.float16).str, np.dtype(np.float32).str
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNSIGNED = [np.dtype(kind).str for kind in (np.uint8, np.uint16, np.uint32)]


@dataclass(frozen=True)
class Checkpoint:
    """A model with its vocabulary and how it was trained."""

    model: LanguageModel
    vocabulary: Vocabulary
    separator: str  # where files were split into documents: LINES, another text, or WHOLE
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def count_eos(self) -> bool:
        """Whether the end of a text counts by default: unless documents were whole files."""
        return self.separator != WHOLE


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a model atomically: `path` always holds the whole old or the whole new file.

    Raises:
        CheckpointError: the file cannot be written; the old one is intact.
    """
    metadata = {
        "model": asdict(checkpoint.model.config),
        "tokens": asdict(checkpoint.vocabulary.config),
        "vocabulary": list(checkpoint.vocabulary.tokens),
        "lines": checkpoint.separator == LINES,
        "separator": checkpoint.separator,
        "training": checkpoint.training,
    }
    archive.write(path, KIND, metadata, checkpoint.model.arrays)


def beside(path: Path, ending: str) -> Path:
    """Return the file beside a model with another ending; links to the model are followed.

    Raises:
        CheckpointError: links form a circle.
    """
    try:
        target = files.follow(path)
    except OSError as error:
        raise CheckpointError(f"cannot use {path}: {error.strerror}") from None
    return target.with_name(target.name.removesuffix(SUFFIX) + ending)


def remove_leftovers(path: Path) -> None:
    """Remove temporary files of a process that was killed while it wrote the model."""
    for file in (path, *(beside(path, ending) for ending in (RESUME, *PREVIOUS))):
        files.remove_leftovers(file)


def check_finite(log_prob: float) -> None:
    """Raise CheckpointError if a prediction is not finite, as with far too large weights."""
    if not math.isfinite(log_prob):
        raise CheckpointError("the model's predictions are not finite; train it again")


def older_models(path: Path) -> list[Path]:
    """Return the models that earlier runs replaced at `path`."""
    kept = (beside(path, ending) for ending in PREVIOUS)
    return [file for file in kept if file.exists()]


def keep_previous(path: Path) -> Path | None:
    """Copy the model at `path` to NAME.previous.npz; return the copy, None if there is no model.

    `path` exists all the time. The best model of a text is kept, so that short runs do not lose a
    good one, and up to two models of other texts, as NAME.previous-2.npz and so on.

    Raises:
        CheckpointError: the system refuses.
    """
    if not path.exists():
        return None
    older, training = older_models(path), _training(path)
    for kept in older:
        found = _training(kept)
        if text_hash(found) == text_hash(training):
            if not _is_better(found, training):
                _copy(path, kept)
            return kept
    free = [file for ending in PREVIOUS if (file := beside(path, ending)) not in older]
    previous = free[0] if free else min(older, key=lambda file: file.stat().st_mtime_ns)
    _copy(path, previous)
    return previous


def _copy(model: Path, path: Path) -> None:
    with files.atomic_write(path, MODEL, like=model) as file, model.open("rb") as opened:
        shutil.copyfileobj(opened, file)


def _training(path: Path) -> dict[str, Any]:
    """Return how a model was trained; empty if its file is damaged."""
    try:
        return peek(path)[2]
    except CheckpointError:
        return {}


def text_hash(training: Mapping[str, Any]) -> str | None:
    """Return the hash of the training text, None if the metadata has none."""
    corpus = training.get("corpus")
    found = corpus.get("sha256") if isinstance(corpus, dict) else None
    return found if isinstance(found, str) else None


def _is_better(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether a model of the same text is better: by validation, else by training time."""
    validations = [history(one), history(other)]
    kept = filter(None, map(best, validations))
    bits = [each.val_bits_per_char for each in kept if each.val_bits_per_char is not None]
    if len(bits) == 2:
        return bits[0] < bits[1]
    seconds = [each[-1].seconds or 0 if each else 0 for each in validations]
    return seconds[0] > seconds[1]


def locate(path: Path | None = None) -> Path:
    """Find the model to use: `path`, else the newest in ./checkpoints, else the bundled one.

    A bundled model that lies in ./checkpoints, as in the source tree, is not the newest.

    Args:
        path: a file, or a short name: of a bundled model, or NAME for ./checkpoints/NAME.npz or
            ./NAME.npz.

    Raises:
        CheckpointError: there is none.
    """
    if path is not None:
        is_file = os.path.exists(path) and not os.path.isdir(path)
        return path if is_file else _by_name(path)
    trained = (file for file in newest_first() if not is_bundled(file))
    return next(trained, None) or bundled_model()


def newest_first() -> list[Path]:
    """Return the models in ./checkpoints, newest first."""
    models = []
    for file in trained_models():
        with contextlib.suppress(OSError):
            models.append((file.stat().st_mtime_ns, file))
    return [file for _, file in sorted(models, reverse=True)]


def _by_name(path: Path) -> Path:
    """Return the file of the model with this name, or the path if it is not a short name.

    Raises:
        CheckpointError: there is no such model.
    """
    if str(path) in BUNDLED_MODELS:
        return bundled_model(str(path))
    if is_short_name(path):
        for file in (named_model(path), path.with_suffix(SUFFIX)):
            if os.path.isfile(file):
                return file
    trained = [*trained_models(), *trained_models(path.parent)]
    names = {name: name for name in BUNDLED_MODELS} | {file.stem: str(file) for file in trained}
    if hint := did_you_mean(path.name.removesuffix(SUFFIX), names):
        raise CheckpointError(f"no model named {path}{hint}")
    if is_short_name(path) and not os.path.isdir(path):
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        known = ", ".join([*names][:_NAMED])
        raise CheckpointError(f"no model named {path}; the models here are {known}{more}")
    return path


def load(path: Path | str) -> Checkpoint:
    """Read a model from a file that need not be trusted.

    No code in it runs, and no array is allocated before its name, type and size are checked.

    Raises:
        CheckpointError: it cannot be read, or is not a model of this version.
    """
    if str(path).endswith(RESUME):
        model = str(path).removesuffix(RESUME) + SUFFIX
        raise CheckpointError(f"{path} is a run to resume, not a model; the model is {model}")
    with archive.opened(path, KIND) as file:
        config, vocabulary, separator, training = _parse(file.metadata)
        arrays = file.read(_layout(config, file.headers))
        return Checkpoint(_model(config, arrays), vocabulary, separator, training)


def peek(path: Path) -> tuple[ModelConfig, int, dict[str, Any]]:
    """Return the configuration of a model, its size and how it was trained, without its arrays.

    The size is `CharRNN.size` or `NGram.size`.

    Raises:
        CheckpointError: as for `load`, except for errors in the values of arrays.
    """
    with archive.opened(path, KIND) as file:
        config, _, _, training = _parse(file.metadata)
        layout = _layout(config, file.headers)
        file.check(layout)
    names = ["ngram.tokens"] if config.cell == "ngram" else parameter_shapes(config)
    return config, sum(math.prod(layout[name][1]) for name in names), training


def _layout(config: ModelConfig, headers: dict[str, Header]) -> dict[str, Header]:
    """Return name, type and shape of every array of a model with this configuration."""
    layout: dict[str, Header] = {}
    if config.cell != "ngram":
        layout = {name: (_FLOAT32, shape) for name, shape in parameter_shapes(config).items()}
    if config.cell == "ngram" or config.ngram:
        layout |= _ngram_layout(config.vocab_size, headers)
    if any(name.startswith("mixing.") for name in headers):
        layout |= _mixing_layout(config, headers)
    return layout


def _mixing_layout(config: ModelConfig, headers: dict[str, Header]) -> dict[str, Header]:
    """Return name, type and shape of the arrays of a mixture; the file sets their lengths."""
    if config.cell == "ngram" or not config.ngram:
        raise CheckpointError("it has a mixture but nothing to mix")
    _, keys = headers.get("mixing.keys", ("", ()))
    _, tokens = headers.get("mixing.tokens", ("", ()))
    if len(keys) != 1 or len(tokens) != 1:
        raise CheckpointError("the arrays of its mixture are missing")
    V = config.vocab_size
    return {
        "mixing.letters": (np.dtype(bool).str, (V,)),
        "mixing.keys": (np.dtype(np.uint32).str, keys),
        "mixing.children": (np.min_scalar_type(V).str, keys),
        "mixing.tokens": (np.min_scalar_type(V - 1).str, tokens),
        "mixing.counts": (np.dtype(np.uint8).str, tokens),
        "mixing.sets": (_FLOAT32, (num_rows(V, config.ngram), NUM_INPUTS)),
        "mixing.own": (_FLOAT32, (NUM_INPUTS, LEVELS)),
    }


def _ngram_layout(vocab_size: int, headers: dict[str, Header]) -> dict[str, Header]:
    """Return name, type and shape of the arrays of an n-gram model; the file sets their lengths."""
    _, tokens = headers.get("ngram.tokens", ("", ()))
    children_type, children = headers.get("ngram.children", ("", ()))
    if len(tokens) != 1 or len(children) != 1 or children_type not in _UNSIGNED:
        raise CheckpointError("the arrays of its n-gram model are missing")
    return {
        "ngram.tokens": (np.min_scalar_type(vocab_size - 1).str, tokens),
        "ngram.children": (children_type, children),
        "ngram.alpha": (_FLOAT16, tokens),
    }


def _model(config: ModelConfig, arrays: dict[str, np.ndarray]) -> LanguageModel:
    kind = NGram if config.cell == "ngram" else ResidualRNN if config.ngram else CharRNN
    try:
        model = kind.from_arrays(config, arrays)
        mixing = {name: array for name, array in arrays.items() if name.startswith("mixing.")}
        if mixing and isinstance(model, ResidualRNN):
            return Mixed.from_arrays(model, mixing)
        return model
    except ValueError as error:
        raise CheckpointError(str(error)) from None


def _parse(metadata: Mapping[str, Any]) -> tuple[ModelConfig, Vocabulary, str, dict[str, Any]]:
    """Check and convert the metadata."""
    model: dict[str, Any] = fields_of(metadata.get("model"), ModelConfig)
    tokens = fields_of(metadata.get("tokens", {}), VocabularyConfig)
    lines, training = metadata.get("lines"), metadata.get("training")
    separator = metadata.get("separator", LINES if lines else WHOLE)
    if not (isinstance(lines, bool) and _is_text(separator) and isinstance(training, dict)):
        raise CheckpointError("its metadata is incomplete")
    if "vocab_size" not in model:
        raise CheckpointError("its metadata lacks the model's configuration")
    config = ModelConfig(**model)
    vocabulary = _vocabulary(metadata.get("vocabulary"), VocabularyConfig(**tokens))
    if config.vocab_size != len(vocabulary):
        raise CheckpointError("its vocabulary does not fit its configuration")
    return config, vocabulary, separator, training


def fields_of(value: Any, kind: type) -> dict[str, Any]:
    """Return a part of the metadata if it holds fields of a dataclass and nothing else.

    Raises:
        CheckpointError: it does not.
    """
    if not (isinstance(value, dict) and value.keys() <= {each.name for each in fields(kind)}):
        raise CheckpointError(f"its metadata has no valid {kind.__name__}")
    return value


def _is_text(value: Any) -> bool:
    """Return whether a value is a string without halves of surrogate pairs."""
    return isinstance(value, str) and not _SURROGATE.search(value)


def _vocabulary(tokens: Any, config: VocabularyConfig) -> Vocabulary:
    if not (
        isinstance(tokens, list)
        and {*map(type, tokens)} <= {str}
        and _is_text("".join(tokens))
        and all(tokens)
        and (config.tokens == "word" or {*map(len, tokens)} <= {1})
        and len(set(tokens)) == len(tokens)
        and (config.normalize == "nfc" or all(is_normalized("NFD", token) for token in tokens))
    ):
        raise CheckpointError(f"its vocabulary is not a list of distinct {config.unit}s")
    return Vocabulary(tokens, config)
