"""A training run: train, save the model, stop and resume."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from charrnn.errors import CheckpointError, DivergedError, UnfinishedError
from charrnn.mixing.mixed import LanguageModel, Mixed
from charrnn.ngrams.residual import ResidualRNN
from charrnn.parallel.processes import World
from charrnn.resources import peak_memory
from charrnn.storage import checkpoint
from charrnn.storage.checkpoint import Checkpoint
from charrnn.storage.history import Validation, best
from charrnn.text.dataset import Dataset
from charrnn.training.baselines import NAMES, network_baseline, simple_baselines
from charrnn.training.blending import best_blend
from charrnn.training.learner import Learner
from charrnn.training.mixture import validated
from charrnn.training.progress import Progress
from charrnn.training.report import Result, Training, flags
from charrnn.training.resuming import Record, Suspended, Text
from charrnn.training.saving import Files

_BITS = 1 / math.log(2)  # bits in a nat


class Run:
    """A training run, with the checkpoint that it writes.

    If it has several processes, all make the same calls, and rank 0 writes the files.

    Args:
        data: the tokens.
        trainer: trains the model.
        output: the model file; None writes nothing.
        text: how the text was read.
        given: the options that the user set.
        record: what the run knows of itself.
        started: start in seconds of `time.perf_counter`, minus the time before it was resumed.
    """

    def __init__(
        self,
        data: Dataset,
        trainer: Learner,
        output: Path | None,
        text: Text,
        given: Mapping[str, Any],
        record: Record,
        started: float,
    ) -> None:
        self.data, self.trainer, self.output = data, trainer, output
        self.text, self.given, self.record, self.started = text, given, record, started
        self.files = None if output is None else Files(output, self.world, trainer.budget)
        self.final: Mixed | ResidualRNN | None = None  # made of the trained network, if better
        self._lasted: float | None = None  # seconds of a restored run that was complete

    def train(self) -> Iterator[Progress]:
        """Train; save the best weights so far, and at intervals what is needed to resume.

        Yields:
            Progress after every step; `trouble` says if something could not be saved.

        Raises:
            DivergedError: training diverged too often; what was saved before stays.
            CheckpointError: the output cannot be written at the start or at the end.
        """
        self.suspend()
        try:
            for progress in self.trainer.train():
                if progress.train_loss is not None:
                    self.record.history.append(_row(progress, self.seconds()))
                yield self._keep(progress)
            self._finish()
            self._compare_network()
        except DivergedError as error:
            if self.files is not None:  # it would only diverge again
                self.files.forget()
            kept = f"; the best model so far is in {self.output}" if self.record.saved else ""
            raise DivergedError(f"{error.message}{kept}") from None
        try:
            self.save()
            self.record.complete = True
            self.suspend()
        except CheckpointError as error:
            raise UnfinishedError(f"{error.message}; make that possible") from None

    def _keep(self, progress: Progress) -> Progress:
        """Save if there is reason to; if the disk is full, training goes on all the same."""
        try:
            if progress.best:
                self.save()
            if self.files is not None and self.files.suspending_is_due():
                self.suspend()
        except CheckpointError as error:
            reasons = (progress.trouble, f"{error}; training continues")
            return replace(progress, trouble="; ".join(filter(None, reasons)))
        return progress

    def _finish(self) -> None:
        """Choose what predicts best: the trained network, a mixture or a blend."""
        learner, network, history = self.trainer, self.trainer.model, self.record.history
        if not isinstance(network, ResidualRNN):
            return
        history[:] = [row for row in history if not row.mixed]
        with learner.interruptible():
            if fitting := learner.mixture:
                share = self.world.broadcast(fitting.affordable(learner.budget.left()))
                mixer = self.world.together(lambda: fitting.fit(network, share), alone=True)
                if mixer is not None:
                    self._keep_better(fitting.mixed(network, mixer), network, share)
            ngram = self.record.baselines.get("ngram", math.inf)
            if learner.validator and ngram < (history[-1].val_bits_per_char or 0.0):
                self._keep_better(best_blend(network, learner.validator), network)

    def _keep_better(
        self, model: Mixed | ResidualRNN, network: ResidualRNN, share: float = 1.0
    ) -> None:
        """Keep a model made of the trained network if it predicts better than those so far.

        Args:
            model: made of the network.
            network: the trained network.
            share: of the validation split to try it on.
        """
        validator, history = self.trainer.validator, self.record.history
        of_network = best(row for row in history if not row.mixed)
        trained = of_network.val_bits_per_char if of_network else None
        if validator and trained is not None:
            now = history[-1].val_bits_per_char if history[-1].mixed else trained
            found = _finite(validated(model, network, validator, trained, share))
            if found is None or (now is not None and found >= now):
                return
            history[:] = [row for row in history if not row.mixed]
            row = replace(history[-1], val_bits_per_char=found, best=True, mixed=True)
            history.append(replace(row, seconds=self.seconds()))
        self.final = model

    def save(self) -> None:
        """Write the checkpoint; the first time, rename an older model to NAME.previous.npz.

        Raises:
            CheckpointError: it cannot be written; the old file is intact.
        """
        if self.files is None:
            return
        if not self.record.saved:
            self.files.keep_previous()
            self.record.saved = True
            self.suspend()  # so that no later run mistakes this model for an older one
        self.files.save(self.checkpoint)

    def suspend(self) -> None:
        """Write what is needed to resume from here.

        Raises:
            CheckpointError: it cannot be written; the old file is intact.
        """
        if self.files is None:
            return
        budget = self.trainer.budget
        self.files.suspend(
            Suspended(
                model=self.trainer.model.config,
                train=self.trainer.config,
                tokens=self.data.vocabulary.config,
                text=self.text,
                given=self.given,
                record=replace(self._record(), steps=budget.steps, planned=budget.planned),
                snapshot=self.trainer.snapshot(),
            )
        )

    def stop(self) -> None:
        """Save an interrupted run: its model, and what is needed to resume.

        Raises:
            CheckpointError: it cannot be written.
        """
        if self.trainer.counters.step and not self.record.saved:
            self.save()
        self.suspend()

    def restore(self, suspended: Suspended) -> None:
        """Resume a run with the same text and settings; this run's budget may be longer.

        Raises:
            CheckpointError: it was another run.
        """
        trainer, unchanged = self.trainer, self.trainer.config == suspended.train
        self.record = suspended.record
        self.record.complete &= unchanged
        if self.record.complete:
            self._lasted = self.record.seconds
        else:
            for name in ("network", "unmixed"):
                self.record.baselines.pop(name, None)
            self.record.history[:] = [row for row in self.record.history if not row.mixed]
        try:
            trainer.restore(suspended.snapshot)
        except ValueError as error:
            raise CheckpointError(f"cannot resume {self.output}: {error}") from None
        if unchanged:
            trainer.budget.steps = suspended.record.steps
            trainer.budget.planned = suspended.record.planned
        else:
            trainer.extend()
        if self.files is not None and self.record.saved and not self.files.model_exists():
            self._save_best()

    def _save_best(self) -> None:
        """Write the checkpoint of the best weights in the middle of a run."""
        if math.isfinite(self.trainer.counters.best_loss):
            with self.trainer.at_best():
                if self.record.complete:
                    self._finish()
                self.save()

    def compare(self) -> None:
        """Compute the baselines that need no training, if not done yet."""
        validation, count_eos = self.data.validation, self.data.corpus.count_eos
        if validation is None or self.record.baselines:
            return
        self.record.baselines = simple_baselines(
            self.model,
            self.data.train,
            validation,
            self.data.split,
            count_eos=count_eos,
            workers=self.trainer.workers,
        )

    def _compare_network(self) -> None:
        """Compute the baselines that need the trained network, if not done yet."""
        validation, count_eos = self.data.validation, self.data.corpus.count_eos
        if validation is not None and "network" not in self.record.baselines:
            with self.trainer.interruptible():
                found = self.record.baselines | network_baseline(
                    self.trainer.model,
                    validation,
                    count_eos=count_eos,
                    workers=self.trainer.workers,
                )
            rows = [row for row in self.record.history if not row.mixed]
            if self.final and (unmixed := best(rows)):
                found["unmixed"] = unmixed.val_bits_per_char or 0.0
            self.record.baselines = {name: found[name] for name in NAMES if name in found}

    @property
    def model(self) -> LanguageModel:
        """The model: the latest weights during training, then the best ones or `final`."""
        return self.final or self.trainer.model

    @property
    def world(self) -> World:
        """The processes that train."""
        return self.trainer.workers.world

    def seconds(self) -> float:
        """Return the duration of the run so far."""
        return time.perf_counter() - self.started if self._lasted is None else self._lasted

    def expected(self) -> tuple[float, int]:
        """Return the measured duration of the whole run in seconds, and its memory in bytes."""
        return self.trainer.expected_seconds() + self.seconds(), peak_memory()

    @property
    def older_models(self) -> list[Path]:
        """The files of older models that were replaced at this output."""
        return [] if self.output is None else checkpoint.older_models(self.output)

    def flags(self) -> str:
        """Return the planned options as flags that repeat the run exactly."""
        return flags(self.model.config, self.trainer.config, self.trainer.budget.steps)

    def checkpoint(self) -> Checkpoint:
        """Return the current model, with vocabulary and metadata."""
        training = Training(
            config=self.trainer.config,
            corpus=self.data.corpus,
            record=self.record,
            result=self.result() if any(row.best for row in self.record.history) else None,
        )
        vocabulary, separator = self.data.vocabulary, self.data.corpus.separator
        return Checkpoint(self.model, vocabulary, separator, training.to_json())

    def result(self) -> Result:
        """Return the figures of a run that has validated."""
        counters = self.trainer.counters
        return Result.of(
            self.model,
            self.data,
            self._record(),
            seed=self.trainer.config.seed,
            checkpoint=None if self.output is None else str(self.output),
            chars_per_sec=counters.chars / counters.seconds if counters.seconds else None,
        )

    def _record(self) -> Record:
        """Return the record with the seconds so far."""
        return replace(self.record, seconds=self.seconds())


def _row(progress: Progress, seconds: float) -> Validation:
    """Return the row of the history for a validation."""
    found, train_loss = progress.validation, progress.train_loss or 0.0
    return Validation(
        step=progress.step,
        epochs=progress.epochs,
        seconds=seconds,
        learning_rate=progress.learning_rate,
        train_bits_per_char=_finite(train_loss * _BITS),
        val_bits_per_char=_finite(found.bits_per_char) if found else None,
        val_unk=found.unk if found else None,
        val_tokens=found.tokens if found else None,
        best=progress.best,
    )


def _finite(number: float) -> float | None:
    """Return None for nan and inf, which JSON lacks."""
    return number if math.isfinite(number) else None
