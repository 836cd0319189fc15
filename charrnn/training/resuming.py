"""The saved state of a run, NAME.resume.npz beside the model, to resume it exactly.

It is a file of `charrnn.storage.archive` with the arrays of `charrnn.training.snapshot.Snapshot`
and this metadata:

    format      "charrnn run"
    version     1
    model, train, tokens    the fields of ModelConfig, TrainConfig and VocabularyConfig
    text        how the text was read, and hashes to check that it is the same
    given       the options that the user set
    run         the fields of Record
    numbers     the numbers of the Snapshot
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

import numpy as np

from charrnn.config import ModelConfig, TrainConfig, VocabularyConfig
from charrnn.errors import CheckpointError, ConfigError, UnfinishedError, setting
from charrnn.network.parameters import parameter_shapes
from charrnn.storage import archive, files
from charrnn.storage.archive import Header
from charrnn.storage.checkpoint import MODEL, RESUME, beside, fields_of, older_models
from charrnn.storage.history import Validation, history
from charrnn.training.baselines import NAMES
from charrnn.training.finetuning import Origin
from charrnn.training.snapshot import Snapshot

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
_ORIGIN = {  # of the initial weights, unless they were drawn
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
    "field": (str, NoneType),
    "glob": (str, NoneType),
    "sha256": str,
    "val_sha256": str,
}


@dataclass(frozen=True)
class Text:
    """How a run read its text, with hashes of the text."""

    sources: list[str]
    encoding: str
    separator: str | None  # None: that of the corpus
    val: str | None
    val_fraction: float | None
    max_size: int | None = None  # megabytes
    field: str | None = None  # of data, with the documents
    glob: str | None = None  # of the files of a folder
    sha256: str = ""  # of the documents
    val_sha256: str = ""  # of the tokens held out


@dataclass(kw_only=True)
class Record:
    """What a run records about itself, and keeps when it is resumed."""

    command: str = ""
    history: list[Validation] = field(default_factory=list)
    baselines: dict[str, float] = field(default_factory=dict)  # bits per character by name
    seconds: float = 0.0  # from the start to the time of saving
    steps: int = 1  # of the budget
    planned: int = 1  # steps of the budget at the start
    saved: bool = False  # whether the model file was written by this run
    complete: bool = False
    init_from: Origin | None = None  # None: the initial weights were drawn

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name; an empty object for no origin."""
        found = asdict(self)
        return found | {"init_from": found["init_from"] or {}}

    @classmethod
    def from_json(cls, value: Any) -> "Record":
        """Read a record from an untrusted file.

        Raises:
            CheckpointError: it is not a valid record.
        """
        found = _typed({"baselines": {}} | _object(value), _RUN)
        rows, origin = history(found), found["init_from"]
        if [asdict(row) for row in rows] != found["history"]:
            raise CheckpointError("its history is not that of a run")
        if min(found["steps"], found["planned"]) < 1 or found["seconds"] < 0:
            raise CheckpointError("its budget is none")
        init_from = Origin(**_typed(origin, _ORIGIN)) if origin else None
        return cls(**found | {"history": rows, "init_from": init_from})


@dataclass(frozen=True)
class Suspended:
    """A run that is suspended between two steps.

    Args:
        given: the options that the user set.
    """

    model: ModelConfig
    train: TrainConfig
    tokens: VocabularyConfig
    text: Text
    given: Mapping[str, Any]
    record: Record
    snapshot: Snapshot

    @property
    def step(self) -> int:
        """Number of steps done."""
        return self.snapshot.counters.step

    def save(self, path: Path) -> None:
        """Write the run to a file, atomically.

        Raises:
            CheckpointError: it cannot be written; the old file is intact.
        """
        metadata = {
            "model": asdict(self.model),
            "train": asdict(self.train),
            "tokens": asdict(self.tokens),
            "text": asdict(self.text),
            "given": dict(self.given),
            "run": self.record.to_json(),
            "numbers": self.snapshot.numbers(),
        }
        archive.write(path, KIND, metadata, self.snapshot.arrays)

    def check(self, given: Mapping[str, Any]) -> None:
        """Raise ConfigError if an option other than the budget differs from the run's."""
        settings = {**asdict(self.model), **asdict(self.train), **asdict(self.tokens)}
        settings["split_on"] = self.text.separator
        settings["init_from"] = self.record.init_from and self.record.init_from.name
        for name, value in given.items():
            was = self.given.get(name, settings[name])
            if name not in BUDGETS and value not in (was, settings[name]):
                raise ConfigError(
                    f"{setting(name)} must be {was!r} to resume this run, not "
                    f"{value!r}; leave it out, or start a new run with {setting('force')} instead "
                    f"of {setting('resume')}"
                )


def load(model: Path) -> Suspended:
    """Load the suspended run of a model file.

    Raises:
        CheckpointError: there is none, or its file cannot be read or trusted.
    """
    path = beside(model, RESUME)
    if not path.exists():
        raise CheckpointError(
            f"there is no run to resume: {path} does not exist; train without {setting('resume')} "
            "to start one"
        )
    return read(path)


def read(path: Path) -> Suspended:
    """Load the run in a NAME.resume.npz.

    Raises:
        CheckpointError: it cannot be read or trusted.
    """
    with archive.opened(path, KIND) as file:
        metadata = file.metadata
        config = _config(ModelConfig, metadata.get("model"))
        text = _typed({"field": None, "glob": None} | _object(metadata.get("text")), _TEXT)
        if not all(isinstance(source, str) for source in text["sources"]):
            raise CheckpointError("its metadata names no text")
        record = Record.from_json(metadata.get("run"))
        arrays = file.read(_layout(config, file.headers))
        try:
            snapshot = Snapshot.read(arrays, _object(metadata.get("numbers")))
        except ValueError as error:
            raise CheckpointError(str(error)) from None
        _check_progress(snapshot, record)
        return Suspended(
            model=config,
            train=_config(TrainConfig, metadata.get("train")),
            tokens=_config(VocabularyConfig, metadata.get("tokens")),
            text=Text(**text),
            given=_object(metadata.get("given")),
            record=record,
            snapshot=snapshot,
        )


def longer(train: TrainConfig, budget: Mapping[str, Any]) -> TrainConfig:
    """Return a configuration with a longer budget.

    Args:
        train: the configuration of the run.
        budget: the new budget by name; empty for the same one.

    Raises:
        ConfigError: the budget is shorter, or of another kind.
    """
    for name, value in budget.items():
        was = getattr(train, name)
        if was is None:
            kind = next(kind for kind in BUDGETS if getattr(train, kind) is not None)
            raise ConfigError(
                f"{setting(name)} must be left out: the budget of the run is in {setting(kind)}"
            )
        if value < was:
            raise ConfigError(
                f"{setting(name)} must be at least {was:,}, the budget of the run that goes on"
            )
    return replace(train, **budget)


def check_output(path: Path) -> None:
    """Check that a run can write its model, and the files beside it.

    Raises:
        ConfigError: the name is not one of a model.
        CheckpointError: a file of another kind is there, or the system would refuse.
    """
    files.check(path, MODEL)
    files.check_replaceable(beside(path, RESUME), archive.file_kind(KIND))
    for older in older_models(path):
        files.check_replaceable(older, MODEL)


def check_finished(model: Path) -> None:
    """Raise CheckpointError if a model file belongs to an unfinished run with at least one step."""
    path = beside(model, RESUME)
    if not path.exists():
        return
    try:
        found = load(model)
    except CheckpointError as error:
        raise CheckpointError(f"{error.message}; {setting('force')} starts a new run") from None
    if found.step and not found.record.complete:
        raise UnfinishedError(
            f"{model} is an unfinished run, at step {found.step:,} of {found.record.steps:,}: "
            f"choose another name, or {setting('force')} to start a new run"
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


def _check_progress(snapshot: Snapshot, record: Record) -> None:
    """Raise CheckpointError if steps, budget and history contradict each other."""
    if snapshot.counters.step > record.steps:
        raise CheckpointError("its numbers are not those of a run")
    validated = any(row.best for row in record.history)
    if validated != math.isfinite(snapshot.counters.best_loss):
        raise CheckpointError("its history is not that of its numbers")
    if record.complete and not validated:
        raise CheckpointError("it says that it is complete, and is not")


def _typed(value: Any, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object of the metadata, checked to have exactly these names.

    Args:
        value: the object.
        kinds: for each name, the type of the value, or a function that checks it.

    Raises:
        CheckpointError: it does not match.
    """
    found = _object(value)
    if found.keys() != kinds.keys() or not all(
        isinstance(found[name], kind) if isinstance(kind, type | tuple) else kind(found[name])
        for name, kind in kinds.items()
    ):
        raise CheckpointError("its metadata does not describe a run")
    return found
