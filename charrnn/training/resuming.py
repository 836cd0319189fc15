"""What a training run needs to go on exactly where it stopped: NAME.resume.npz beside the model.

A file of `charrnn.storage.archive`: the vectors of `charrnn.training.trainer.Snapshot`, and
metadata with

    format      "charrnn run"
    version     1
    model, train, tokens    the fields of ModelConfig, TrainConfig and VocabularyConfig
    text        how the text was read, and hashes that tell whether it is the same
    given       the options that were set by hand
    run         command, history, seconds so far, steps of the budget, whether it is complete,
                where its first weights came from
    numbers     those of the Snapshot
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

import numpy as np

from charrnn.config import ModelConfig, TrainConfig, VocabularyConfig
from charrnn.errors import CheckpointError, ConfigError, setting
from charrnn.network.parameters import parameter_shapes
from charrnn.storage import archive, files
from charrnn.storage.archive import Header
from charrnn.storage.checkpoint import MODEL, RESUME, beside, fields_of, older_models
from charrnn.training.baselines import NAMES
from charrnn.training.trainer import Snapshot

KIND = "charrnn run"
T = TypeVar("T")

BUDGETS = ("steps", "epochs", "minutes")
_VECTORS = ("weights", "best", "mean", "square")
_FLOAT32 = np.dtype(np.float32).str
_MAX_COUNT = 10**15
_MAX_NUMBER = 1e18


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT


def _is_number(value: Any) -> bool:
    return (isinstance(value, float) or _is_count(value)) and abs(value) <= _MAX_NUMBER


def _is_figure(value: Any) -> bool:
    return value is None or _is_number(value)


def _are_baselines(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() <= {*NAMES}
        and all(map(_is_number, value.values()))
    )


_RUN = {
    "command": str,
    "history": list,
    "baselines": _are_baselines,
    "seconds": _is_number,
    "steps": _is_count,
    "planned": _is_count,
    "saved": bool,
    "complete": bool,
    "init_from": dict,
}
_ORIGIN = {  # of the first weights, where they were not drawn
    "name": str,
    "corpus_sha256": (str, NoneType),
    "kept": _is_count,
    "new": _is_count,
    "dropped": _is_count,
}
_TEXT = {
    "sources": list,
    "encoding": str,
    "separator": str,
    "val": (str, NoneType),
    "val_fraction": _is_figure,
    "max_size": (int, NoneType),
    "sha256": str,
    "val_sha256": str,
}
_ENTRY = {  # of the history
    "step": _is_count,
    "epochs": _is_number,
    "seconds": _is_number,
    "learning_rate": _is_number,
    "train_bits_per_char": _is_figure,
    "val_bits_per_char": _is_figure,
    "val_unk": _is_figure,
    "val_tokens": _is_figure,
    "best": bool,
}


@dataclass(frozen=True)
class Text:
    """How a run read its text, and what it found."""

    sources: list[str]
    encoding: str
    separator: str | None  # None: as the corpus says
    val: str | None
    val_fraction: float | None
    max_size: int | None = None  # megabytes
    sha256: str = ""  # of the documents
    val_sha256: str = ""  # of the tokens held out


@dataclass(frozen=True)
class Suspended:
    """A run between two steps."""

    model: ModelConfig
    train: TrainConfig
    tokens: VocabularyConfig
    text: Text
    given: dict[str, Any]  # options by name
    command: str
    history: list[dict[str, Any]]
    baselines: dict[str, float]  # bits per character by name
    seconds: float  # since the start
    steps: int  # of the budget
    planned: int  # of the budget at first
    saved: bool  # whether the model's file is this run's
    complete: bool
    init_from: dict[str, Any]  # where the first weights came from; empty: they were drawn
    snapshot: Snapshot

    @property
    def step(self) -> int:
        """How many steps are done."""
        return int(self.snapshot.numbers["step"])

    def save(self, path: Path) -> None:
        """Write it atomically.

        Raises:
            CheckpointError: it cannot be written; what was there is intact.
        """
        parts = ("model", "train", "tokens", "text")
        metadata = {name: asdict(getattr(self, name)) for name in parts}
        metadata["given"] = self.given
        metadata["run"] = {name: getattr(self, name) for name in _RUN}
        metadata["numbers"] = self.snapshot.numbers
        archive.write(path, KIND, metadata, self.snapshot.arrays)

    def check(self, given: Mapping[str, Any]) -> None:
        """Raise ConfigError where an option is not what it was in the run, budgets aside."""
        settings = {**asdict(self.model), **asdict(self.train), **asdict(self.tokens)}
        settings["split_on"] = self.text.separator
        settings["init_from"] = self.init_from.get("name")
        for name, value in given.items():
            was = self.given.get(name, settings[name])
            if name not in BUDGETS and value not in (was, settings[name]):
                raise ConfigError(
                    f"{setting(name)} must be {was!r} as in the run that is to go on, not "
                    f"{value!r}; leave it out, or start a new run with --force instead of --resume"
                )


def load(model: Path) -> Suspended:
    """The run that writes a model.

    Raises:
        CheckpointError: there is none, or its file cannot be read or trusted.
    """
    path = beside(model, RESUME)
    if not path.exists():
        raise CheckpointError(f"there is no run to resume: {path} does not exist")
    return read(path)


def read(path: Path) -> Suspended:
    """The run in a file.

    Raises:
        CheckpointError: it cannot be read or trusted.
    """
    with archive.opened(path, KIND) as file:
        config = _config(ModelConfig, file.metadata.get("model"))
        text = _typed(file.metadata.get("text"), _TEXT)
        run = _typed({"baselines": {}} | _object(file.metadata.get("run")), _RUN)
        if not all(isinstance(source, str) for source in text["sources"]):
            raise CheckpointError("its metadata names no text")
        if min(run["steps"], run["planned"]) < 1 or run["seconds"] < 0:
            raise CheckpointError("its budget is none")
        for entry in run["history"]:
            _typed(entry, _ENTRY)
        if run["init_from"]:
            _typed(run["init_from"], _ORIGIN)
        numbers = _object(file.metadata.get("numbers"))
        _check_progress(numbers, run)
        return Suspended(
            config,
            _config(TrainConfig, file.metadata.get("train")),
            _config(VocabularyConfig, file.metadata.get("tokens")),
            Text(**text),
            _object(file.metadata.get("given")),
            **run,
            snapshot=Snapshot(file.read(_layout(config, file.headers)), numbers),
        )


def longer(train: TrainConfig, budget: Mapping[str, Any]) -> TrainConfig:
    """The same training with the budget given, which must not be shorter.

    Raises:
        ConfigError: it is, or is of another kind.
    """
    for name, value in budget.items():
        was = getattr(train, name)
        if was is None:
            kind = next(kind for kind in BUDGETS if getattr(train, kind) is not None)
            raise ConfigError(
                f"{setting(name)} must be left out: the budget of the run is in {kind}"
            )
        if value < was:
            raise ConfigError(
                f"{setting(name)} must be at least {was:,}, the budget of the run that goes on"
            )
    return replace(train, **budget)


def check_output(path: Path) -> None:
    """Raise an error unless a model can be written, and what a run keeps beside it.

    Raises:
        ConfigError: the name is not one of a model.
        CheckpointError: something else is there, or the system would refuse.
    """
    files.check(path, MODEL)
    files.check_replaceable(beside(path, RESUME), archive.file_kind(KIND))
    for older in older_models(path):
        files.check_replaceable(older, MODEL)


def check_finished(model: Path) -> None:
    """Raise CheckpointError where the model is that of a run which has not reached its end."""
    path = beside(model, RESUME)
    if not path.exists():
        return
    try:
        found = load(model)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; --force starts a new run") from None
    if not found.complete:
        raise CheckpointError(
            f"{model} is an unfinished run, at step {found.step:,} of {found.steps:,}: add "
            "--resume to go on with it, choose another name, or --force to start a new one"
        )


def _layout(config: ModelConfig, headers: Mapping[str, Header]) -> dict[str, Header]:
    if config.cell == "ngram":
        return {}
    size = sum(math.prod(shape) for shape in parameter_shapes(config).values())
    _, state = headers.get("state", ("", ()))
    if len(state) != 1:
        raise CheckpointError("it holds no state")
    return {**dict.fromkeys(_VECTORS, (_FLOAT32, (size,))), "state": (_FLOAT32, state)}


def _config(kind: type[T], value: Any) -> T:
    try:
        return kind(**fields_of(value, kind))
    except TypeError:
        raise CheckpointError(f"its {kind.__name__} is incomplete") from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CheckpointError("its metadata is incomplete")
    return value


def _check_progress(numbers: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Raise CheckpointError where the steps done, the budget and the history do not agree."""
    step = numbers.get("step")
    if not _is_count(step) or step > run["steps"]:
        raise CheckpointError("its numbers are not those of a run")
    validated = any(entry["best"] for entry in run["history"])
    if validated != (numbers.get("best_loss", 0.0 if step else None) is not None):
        raise CheckpointError("its history is not that of its numbers")
    if run["complete"] and not validated:
        raise CheckpointError("it says that it is complete, and is not")


def _typed(value: Any, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """An object of the metadata with exactly these names, every value of its type, or as a test
    of its kind wants it."""
    found = _object(value)
    if found.keys() != kinds.keys() or not all(
        isinstance(found[name], kind) if isinstance(kind, type | tuple) else kind(found[name])
        for name, kind in kinds.items()
    ):
        raise CheckpointError("its metadata does not describe a run")
    return found
