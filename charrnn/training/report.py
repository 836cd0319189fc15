"""The report of a run: its figures, the metadata of its model, and the options that repeat it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from charrnn.config import ModelConfig, TrainConfig
from charrnn.mixing.mixed import LanguageModel
from charrnn.text.corpus import Corpus
from charrnn.text.dataset import Dataset
from charrnn.training.finetuning import Origin
from charrnn.training.resuming import Record

_PLANNED = (
    *("hidden_size", "num_layers", "embedding_size", "dropout", "recurrent_dropout"),
    *("weight_decay", "ngram"),
    *("batch_size", "seq_len", "learning_rate", "evaluations", "steps"),
)
_OPTIONAL = ("val_unk_share", "init_from")  # left out of the JSON if None


@dataclass(frozen=True, kw_only=True)
class Result:
    """The figures of a run, at the best step where they depend on it."""

    checkpoint: str | None
    cell: str
    parameters: int
    vocab_size: int
    steps: int
    epochs: float | None
    seconds: float  # since the start, everything included
    chars_per_sec: float | None  # in training steps; None if the clock has not moved
    train_bits_per_char: float | None
    val_bits_per_char: float | None
    val_unk: int | None
    best_step: int
    seed: int
    val_unk_share: float | None = None  # of the tokens, unless these are characters
    init_from: Origin | None = None
    baselines: Mapping[str, float]

    @classmethod
    def of(
        cls,
        model: LanguageModel,
        data: Dataset,
        record: Record,
        *,
        seed: int,
        checkpoint: str | None,
        chars_per_sec: float | None,
    ) -> "Result":
        """Collect the figures of a run that has validated.

        Args:
            model: the model.
            data: the tokens.
            record: the record of the run, with the seconds so far.
            seed: of the run.
            checkpoint: path of the model file, if any.
            chars_per_sec: training speed.
        """
        rows = [row for row in record.history if row.best]
        best, of_network = rows[-1], [row for row in rows if not row.mixed][-1]
        tokens = best.val_tokens if data.vocabulary.config.unit != "character" else None
        return cls(
            checkpoint=checkpoint,
            cell=model.config.cell,
            parameters=model.size,
            vocab_size=len(data.vocabulary),
            steps=record.history[-1].step,
            epochs=record.history[-1].epochs,
            seconds=record.seconds,
            chars_per_sec=chars_per_sec,
            train_bits_per_char=best.train_bits_per_char,
            val_bits_per_char=best.val_bits_per_char,
            val_unk=best.val_unk,
            best_step=of_network.step,
            seed=seed,
            val_unk_share=(best.val_unk or 0) / tokens if tokens else None,
            init_from=record.init_from,
            baselines=record.baselines,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, without those that do not apply."""
        found = asdict(self)
        return {name: value for name, value in found.items() if not _is_missing(name, value)}


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a model was trained: the metadata of its checkpoint.

    Args:
        result: None before the first validation.
    """

    config: TrainConfig
    corpus: Corpus
    record: Record
    result: Result | None

    def to_json(self) -> dict[str, Any]:
        """Return the metadata that `charrnn.storage.checkpoint` describes."""
        found: dict[str, Any] = {
            "command": self.record.command,
            "config": asdict(self.config),
            "corpus": {
                "name": self.corpus.name,
                "documents": len(self.corpus.documents),
                "chars": self.corpus.chars,
                "sha256": self.corpus.sha256,
            },
            "result": self.result.to_json() if self.result else {},
            "history": [asdict(row) for row in self.record.history],
        }
        if self.record.init_from:
            found["init_from"] = asdict(self.record.init_from)
        return found


def flags(model: ModelConfig, config: TrainConfig, steps: int) -> str:
    """Return the planned options as flags that repeat a run of `steps` steps exactly."""
    settings = asdict(model) | asdict(config) | {"steps": steps}
    return " ".join(f"--{name.replace('_', '-')} {settings[name]}" for name in _PLANNED)


def _is_missing(name: str, value: object) -> bool:
    return name in _OPTIONAL and value is None
