"""A training run: trains, saves, stops and goes on."""

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

_BITS = 1 / math.log(2)  # a nat in bits


class Run:
    """A training run and the checkpoint that it writes, if any.

    Where it has several processes, all of them make the same calls, and rank 0 writes the files.

    Args:
        output: None: nothing is written.
        given: the options that were set by hand.
        started: when, on `time.perf_counter`, less the time of runs that it goes on with.
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
        self.final: Mixed | ResidualRNN | None = None  # what is made of the trained network
        self._lasted: float | None = None  # of a complete run that is restored: seconds

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
        """Save what is worth it; a disk that is full for a while does not end hours of work."""
        try:
            if progress.best:
                self.save()
            if self.files is not None and self.files.suspending_is_due():
                self.suspend()
        except CheckpointError as error:
            reasons = (progress.trouble, f"{error}; training goes on")
            return replace(progress, trouble="; ".join(filter(None, reasons)))
        return progress

    def _finish(self) -> None:
        """End with what predicts best of the trained network, a mixture and a blend."""
        learner, network, history = self.trainer, self.trainer.model, self.record.history
        if not isinstance(network, ResidualRNN):
            return
        history[:] = [row for row in history if not row.mixed]
        with learner.interruptible():
            if fitting := learner.mixture:
                mixer = self.world.together(lambda: fitting.fit(network), alone=True)
                if mixer is not None:
                    self._keep_better(fitting.mixed(network, mixer), network)
            ngram = self.record.baselines.get("ngram", math.inf)
            if learner.validator and ngram < (history[-1].val_bits_per_char or 0.0):
                self._keep_better(best_blend(network, learner.validator), network)

    def _keep_better(self, model: Mixed | ResidualRNN, network: ResidualRNN) -> None:
        """End with a model made of the trained network, where it predicts better than others."""
        validator, history = self.trainer.validator, self.record.history
        of_network = best(row for row in history if not row.mixed)
        trained = of_network.val_bits_per_char if of_network else None
        if validator and trained is not None:
            now = history[-1].val_bits_per_char if history[-1].mixed else trained
            found = _finite(validated(model, network, validator, trained))
            if found is None or (now is not None and found >= now):
                return
            history[:] = [row for row in history if not row.mixed]
            row = replace(history[-1], val_bits_per_char=found, best=True, mixed=True)
            history.append(replace(row, seconds=self.seconds()))
        self.final = model

    def save(self) -> None:
        """Write the checkpoint; the first time, an older model there becomes NAME.previous.npz.

        Raises:
            CheckpointError: it cannot be written; what was there is intact.
        """
        if self.files is None:
            return
        if not self.record.saved:
            self.files.keep_previous()
            self.record.saved = True
            self.suspend()  # so that no later run takes this model for an older one
        self.files.save(self.checkpoint)

    def suspend(self) -> None:
        """Write what is needed to go on from here.

        Raises:
            CheckpointError: it cannot be written; what was there is intact.
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
        """Save what an interrupted run has, in a model and to resume.

        Raises:
            CheckpointError: it cannot be written.
        """
        if self.trainer.counters.step and not self.record.saved:
            self.save()
        self.suspend()

    def restore(self, suspended: Suspended) -> None:
        """Go on where a run of the same text and settings was; its budget may have been longer.

        Raises:
            CheckpointError: it is not such a run.
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
        """Write the checkpoint in the middle of a run."""
        if math.isfinite(self.trainer.counters.best_loss):
            with self.trainer.at_best():
                if self.record.complete:
                    self._finish()
                self.save()

    def compare(self) -> None:
        """Find the baselines that need no training."""
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
        """Find the baseline that needs the trained network."""
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
        """The latest weights while it trains; later the best ones, or what was made of them."""
        return self.final or self.trainer.model

    @property
    def world(self) -> World:
        """The processes that train."""
        return self.trainer.workers.world

    def seconds(self) -> float:
        """How long the run has lasted, or did where it was complete."""
        return time.perf_counter() - self.started if self._lasted is None else self._lasted

    def expected(self) -> tuple[float, int]:
        """How many seconds training takes, as measured, and bytes of memory."""
        return self.trainer.expected_seconds() + self.seconds(), peak_memory()

    @property
    def older_models(self) -> list[Path]:
        """The files of models that this output and those before it have replaced."""
        return [] if self.output is None else checkpoint.older_models(self.output)

    def flags(self) -> str:
        """The options that were planned, with which `--steps` repeats the run exactly."""
        return flags(self.model.config, self.trainer.config, self.trainer.budget.steps)

    def checkpoint(self) -> Checkpoint:
        """The model as it is now, with what is needed to use it and to train it again."""
        training = Training(
            config=self.trainer.config,
            corpus=self.data.corpus,
            record=self.record,
            result=self.result() if any(row.best for row in self.record.history) else None,
        )
        vocabulary, separator = self.data.vocabulary, self.data.corpus.separator
        return Checkpoint(self.model, vocabulary, separator, training.to_json())

    def result(self) -> Result:
        """The figures of the run, once it has validated."""
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
        """The record, with the seconds so far."""
        return replace(self.record, seconds=self.seconds())


def _row(progress: Progress, seconds: float) -> Validation:
    """The row of the history for a validation."""
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
    """None for what JSON has no word for."""
    return number if math.isfinite(number) else None
