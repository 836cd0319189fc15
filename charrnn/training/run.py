"""A training run and the checkpoint that it writes: trains, saves, stops and goes on."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from charrnn.errors import CheckpointError, DivergedError
from charrnn.ngrams.residual import LanguageModel, ResidualRNN
from charrnn.parallel.processes import World
from charrnn.resources import peak_memory
from charrnn.storage import checkpoint
from charrnn.storage.checkpoint import Checkpoint
from charrnn.text.dataset import Dataset
from charrnn.training.baselines import NAMES, network_baseline, num_scored, simple_baselines
from charrnn.training.resuming import Suspended, Text
from charrnn.training.trainer import NGramTrainer, Progress, Trainer

T = TypeVar("T")

_BITS = 1 / math.log(2)  # a nat in bits
_SAVING_SHARE = 0.02  # of the time, at most, for what a run that is killed needs to go on
_LEAST_TO_LOSE = 1.0  # seconds
_LEAVING = 0.5  # seconds that a process takes to end
_PLANNED = (
    *("hidden_size", "num_layers", "embedding_size", "dropout", "recurrent_dropout"),
    *("weight_decay", "ngram"),
    *("batch_size", "seq_len", "learning_rate", "evaluations", "steps"),
)


@dataclass
class Run:
    """One training run and the checkpoint that it writes, if any.

    Where it has several processes, all of them make the same calls, and rank 0 writes the files.
    """

    data: Dataset
    trainer: Trainer | NGramTrainer
    output: Path | None  # None: nothing is written
    text: Text
    command: str
    given: dict[str, Any]  # options set by hand
    started: float
    history: list[dict[str, Any]] = field(default_factory=list)  # one entry a validation
    baselines: dict[str, float] = field(default_factory=dict)
    init_from: dict[str, Any] = field(default_factory=dict)  # where the first weights come from
    saved: bool = False  # whether the file of the output is this run's
    complete: bool = False
    ended: float | None = None  # of a complete run that is restored: seconds that it lasted
    _next_suspend: float = math.inf  # when, on time.perf_counter
    _writing: dict[str, float] = field(default_factory=dict)  # seconds for the last file of a kind

    @property
    def model(self) -> LanguageModel:
        """The network: the latest weights while it trains, the best ones afterwards."""
        return self.trainer.model

    @property
    def world(self) -> World:
        """The processes that train."""
        return self.trainer.workers.world

    def _alone(self, function: Callable[[], T]) -> T:
        """What has to do with files, which is for one process; an error is that of all of them."""
        return self.world.together(function, alone=True)

    def train(self) -> Iterator[Progress]:
        """Train, and save whenever the weights are the best so far, and now and then to resume.

        Yields:
            Progress after every step; where something could not be saved, its trouble says so.

        Raises:
            DivergedError: the loss was not finite again and again; what was saved before stays.
            CheckpointError: the output cannot be written at the start or at the end.
        """
        self.suspend()
        try:
            for progress in self.trainer.train():
                if progress.train_loss is not None:
                    self.history.append(_entry(progress, self.seconds()))
                yield self._keep(progress)
            self._compare_network()
        except DivergedError as error:
            if self.output is not None and self.world.speaks:  # it would only diverge again
                checkpoint.beside(self.output, checkpoint.RESUME).unlink(missing_ok=True)
            kept = f"; the best model so far is in {self.output}" if self.saved else ""
            raise DivergedError(f"{error}{kept}") from None
        try:
            self.save()
            self.complete = True
            self.suspend()
        except CheckpointError as error:
            raise CheckpointError(f"{error}; make that possible and go on with --resume") from None

    def compare(self) -> None:
        """Find the baselines that need no training, and keep time for the one that does."""
        validation, count_eos = self.data.validation, self.data.corpus.count_eos
        if validation is None:
            return
        if isinstance(self.trainer, Trainer) and isinstance(self.model, ResidualRNN):
            share = num_scored(self.model) / len(validation.tokens)
            self.trainer.compared = min(1.0, share)
        if not self.baselines:
            self.baselines = simple_baselines(
                self.model,
                self.data.train,
                validation,
                self.data.split,
                count_eos=count_eos,
                workers=self.trainer.workers,
            )

    def _compare_network(self) -> None:
        """Find the baseline that needs the trained network."""
        validation, count_eos = self.data.validation, self.data.corpus.count_eos
        if validation is not None and "network" not in self.baselines:
            with self.trainer.interruptible():
                found = self.baselines | network_baseline(
                    self.model, validation, count_eos=count_eos, workers=self.trainer.workers
                )
            self.baselines = {name: found[name] for name in NAMES if name in found}

    def seconds(self) -> float:
        """How long the run has lasted."""
        return time.perf_counter() - self.started if self.ended is None else self.ended

    def _keep(self, progress: Progress) -> Progress:
        """Save what is worth it; a disk that is full for a while does not end hours of work."""
        try:
            if progress.best:
                self.save()
            if self.world.broadcast(time.perf_counter() > self._next_suspend):
                self.suspend()
        except CheckpointError as error:
            reasons = (progress.trouble, f"{error}; training goes on")
            return replace(progress, trouble="; ".join(filter(None, reasons)))
        return progress

    @property
    def older_models(self) -> list[Path]:
        """The files of models that this output and those before it have replaced."""
        return [] if self.output is None else checkpoint.older_models(self.output)

    def flags(self) -> str:
        """The options that were planned, with which `--steps` repeats the run exactly."""
        settings = asdict(self.model.config) | asdict(self.trainer.config)
        settings["steps"] = self.trainer.budget.steps
        return " ".join(f"--{name.replace('_', '-')} {settings[name]}" for name in _PLANNED)

    @property
    def passes(self) -> float:
        """How often the run reads the training text."""
        if isinstance(self.trainer, NGramTrainer):
            return 1.0
        return self.trainer.budget.steps / self.trainer.steps_per_epoch

    @property
    def num_ngrams(self) -> int:
        """How many k-grams stand beside the network."""
        return self.model.ngram.size if isinstance(self.model, ResidualRNN) else 0

    @property
    def chars_per_sec(self) -> float | None:
        """How fast it trains, None where the clock has not moved."""
        seconds = self.trainer.seconds
        return self.trainer.chars / seconds if seconds else None

    def expected(self) -> tuple[float, int]:
        """How many seconds training takes, as measured, and bytes of memory."""
        seconds = 0.0
        if isinstance(self.trainer, Trainer):
            trainer = self.trainer
            seconds = (trainer.step_seconds or trainer.measure()) * trainer.budget.steps
            seconds += trainer.config.evaluations * trainer.expected_to_validate()
        return self.seconds() + seconds, peak_memory()

    def save(self) -> None:
        """Write the checkpoint; the first time, an older model there becomes NAME.previous.npz.

        Raises:
            CheckpointError: it cannot be written; what was there is intact.
        """
        output = self.output
        if output is None:
            return
        if not self.saved:
            self._alone(lambda: checkpoint.keep_previous(output))
            self.saved = True
            self.suspend()  # so that no later run takes this model for an older one
        with self._timed("save"):
            self._alone(lambda: checkpoint.save(self.checkpoint(), output))

    def suspend(self) -> None:
        """Write what is needed to go on from here.

        Raises:
            CheckpointError: it cannot be written; what was there is intact.
        """
        output = self.output
        if output is None:
            return
        self._next_suspend = time.perf_counter() + _LEAST_TO_LOSE
        suspended = Suspended(
            self.model.config,
            self.trainer.config,
            self.data.vocabulary.config,
            self.text,
            self.given,
            self.command,
            self.history,
            self.baselines,
            self.seconds(),
            self.trainer.budget.steps,
            self.trainer.budget.planned,
            self.saved,
            self.complete,
            self.init_from,
            self.trainer.snapshot(),
        )
        with self._timed("suspend"):
            self._alone(lambda: suspended.save(checkpoint.beside(output, checkpoint.RESUME)))
        pause = max(_LEAST_TO_LOSE, self._writing["suspend"] / _SAVING_SHARE)
        self._next_suspend = time.perf_counter() + pause

    @contextlib.contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        """Reserve as much time for the end of the run, where two models are written and the run."""
        clock = time.perf_counter()
        yield
        self._writing[kind] = time.perf_counter() - clock
        suspending = self._writing.get("suspend", 0.0)
        saving = self._writing.get("save", suspending)
        self.trainer.budget.reserve = _LEAVING + suspending + 2 * saving

    def restore(self, suspended: Suspended) -> None:
        """Go on where a run of the same text and settings was; its budget may have been longer.

        Raises:
            CheckpointError: it is not such a run.
        """
        trainer, unchanged = self.trainer, self.trainer.config == suspended.train
        self.history, self.saved = suspended.history, suspended.saved
        self.baselines, self.init_from = suspended.baselines, suspended.init_from
        self.complete = suspended.complete and unchanged
        if self.complete:
            self.ended = suspended.seconds
        else:
            self.baselines.pop("network", None)
        try:
            trainer.restore(suspended.snapshot)
        except ValueError as error:
            raise CheckpointError(f"cannot resume {self.output}: {error}") from None
        if unchanged:
            trainer.budget.steps, trainer.budget.planned = suspended.steps, suspended.planned
        elif isinstance(trainer, Trainer):
            trainer.extend()
        output = self.output
        if self.saved and output is not None and not self._alone(output.exists):
            self._save_best()

    def stop(self) -> None:
        """Save what an interrupted run has, in a model and to resume.

        Raises:
            CheckpointError: it cannot be written.
        """
        if self.trainer.step and not self.saved:
            self.save()
        self.suspend()

    def _save_best(self) -> None:
        """Write the checkpoint in the middle of a run."""
        if isinstance(self.trainer, NGramTrainer):
            if self.trainer.step:
                self.save()
        elif math.isfinite(self.trainer.best_loss):
            weights = self.trainer.model.parameters.flat
            latest = weights.copy()
            weights[:] = self.trainer.best
            self.save()
            weights[:] = latest

    def checkpoint(self) -> Checkpoint:
        """The model as it is now, with what is needed to use it and to train it again."""
        training = {
            "command": self.command,
            "config": asdict(self.trainer.config),
            "corpus": {
                "name": self.data.corpus.name,
                "documents": len(self.data.corpus.documents),
                "chars": self.data.corpus.chars,
                "sha256": self.data.corpus.sha256,
            },
            "result": self.result() if any(entry["best"] for entry in self.history) else {},
            "history": self.history,
        }
        if self.init_from:
            training["init_from"] = self.init_from
        return Checkpoint(self.model, self.data.vocabulary, self.data.corpus.separator, training)

    def result(self) -> dict[str, Any]:
        """The figures of the run, those of the best step where steps differ.

        `chars_per_sec` counts training steps only; `seconds` is everything since the start.
        """
        best = [entry for entry in self.history if entry["best"]][-1]
        fields = {
            "checkpoint": self.output and str(self.output),
            "cell": self.model.config.cell,
            "parameters": self.model.size,
            "vocab_size": len(self.data.vocabulary),
            "steps": self.history[-1]["step"],
            "epochs": self.history[-1]["epochs"],
            "seconds": self.seconds(),
            "chars_per_sec": self.chars_per_sec,
            "train_bits_per_char": best["train_bits_per_char"],
            "val_bits_per_char": best["val_bits_per_char"],
            "val_unk": best["val_unk"],
            "best_step": best["step"],
            "seed": self.trainer.config.seed,
        }
        if self.data.vocabulary.config.unit != "character" and best["val_tokens"]:
            fields["val_unk_share"] = best["val_unk"] / best["val_tokens"]
        if self.init_from:
            fields["init_from"] = self.init_from
        return fields | {"baselines": self.baselines}


def _entry(progress: Progress, seconds: float) -> dict[str, Any]:
    found, train_loss = progress.validation, progress.train_loss or 0.0
    return {
        "step": progress.step,
        "epochs": progress.epochs,
        "seconds": seconds,
        "learning_rate": progress.learning_rate,
        "train_bits_per_char": _finite(train_loss * _BITS),
        "val_bits_per_char": _finite(found.bits_per_char) if found else None,
        "val_unk": found.unk if found else None,
        "val_tokens": found.tokens if found else None,
        "best": progress.best,
    }


def _finite(number: float) -> float | None:
    """None for what JSON has no word for."""
    return number if math.isfinite(number) else None
