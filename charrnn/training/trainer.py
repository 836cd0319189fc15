"""Train a network by truncated backpropagation through time and Adam, and keep the best weights.

Letters: T steps, B batch size (streams side by side).
"""

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from charrnn.config import TrainConfig
from charrnn.errors import DivergedError
from charrnn.network.optim import Adam, clip_by_global_norm, learning_rate
from charrnn.network.parameters import layers_of, weights_of
from charrnn.ngrams.residual import Network, ResidualRNN
from charrnn.parallel.threads import Workers
from charrnn.training.batches import Batches, Chunk
from charrnn.training.budget import Budget
from charrnn.training.clock import Clock, measure
from charrnn.training.learner import Interruptible
from charrnn.training.mixture import MixtureFitting
from charrnn.training.progress import Progress
from charrnn.training.recovery import Recovery
from charrnn.training.shards import Shards
from charrnn.training.snapshot import Counters, Snapshot
from charrnn.training.validator import Validator

Array = np.ndarray

_MEASURING_SHARE = 0.02  # of the remaining time, for measuring the pace
_MOST_MEASURING = 3.0  # seconds
_MUCH_WORSE = 1.05  # times the best validation loss
_PATIENCE = 3  # consecutive validations that are much worse, after which a run by minutes ends
_LARGEST_MOMENT = 1e20  # of Adam; more would overflow


class Trainer:
    """A `Learner` for networks.

    If a run has several processes, each has a trainer with equal weights and its own columns of the
    batch.

    Args:
        model: trained in place; after `train` it has the best weights.
        batches: with the streams of this process.
        validator: None if nothing is held out; then the last weights are the best.
        config: of the run.
        workers: threads and processes of the run.
        chars_per_token: average length of a token in characters.
        started: start of the process in seconds of `time.perf_counter`, for a budget in minutes.
    """

    interruptible: Interruptible = contextlib.nullcontext
    mixture: MixtureFitting | None = None

    def __init__(
        self,
        model: Network,
        batches: Batches,
        validator: Validator | None,
        config: TrainConfig,
        *,
        workers: Workers,
        chars_per_token: float = 1.0,
        started: float | None = None,
    ) -> None:
        self.model, self.batches, self.validator = model, batches, validator
        self.config, self.workers, self.chars_per_token = config, workers, chars_per_token
        self.optimizer = Adam(
            model.parameters.flat,
            weight_decay=config.weight_decay,
            decayed=weights_of(model.config, model.parameters.flat.dtype),
            cautious=layers_of(model.config),
        )
        self.shards = Shards(model, config, workers.world)
        self.state = model.zero_state(self.shards.num_streams)  # carried from chunk to chunk
        self.counters = Counters()
        self.budget = Budget.of(config, batches.steps_per_epoch, started)
        self.clock = Clock(self.budget, config.minutes, workers.world)
        self.recovery = Recovery(model, self.optimizer, config)

    def train(self) -> Iterator[Progress]:
        """Train until the budget is used up.

        Yields:
            Progress after every step; if `best` is set, the caller should save the model.

        Raises:
            DivergedError: training diverged too often.
        """
        self._start_clock()
        batches = self.batches.steps(self.counters.step)
        try:
            if self.counters.chars_since and self._validation_is_due():  # it was interrupted
                yield self._validate(self._progress(self._train_loss()))
            while self.counters.step < self.budget.steps and not self.overfitting:
                progress = self._step(next(batches))
                if self._validation_is_due():
                    progress = self._validate(progress)
                yield progress
            if math.isinf(self.counters.best_loss):
                raise self.recovery.diverged(
                    self.counters.step, "no validation was a finite number"
                )
        except DivergedError:
            self._take_best()
            raise
        finally:
            self.shards.close()
        self._take_best()

    def _step(self, chunks: list[Chunk]) -> Progress:
        """Take one step of gradient descent."""
        start, counters, config = time.perf_counter(), self.counters, self.config
        if counters.step % self.batches.steps_per_epoch == 0:
            self.state = self._zero_state()
        drawn = config.scheduled_sampling * self.budget.fraction(counters.step)
        nats, tokens, gradient, state = self.shards.gradient(
            chunks, self.state, self.workers, drawn
        )
        norm = clip_by_global_norm(gradient, config.clip_norm)
        counters.step += 1
        chars, trouble = tokens * self.chars_per_token, ""
        if reason := self.recovery.reason(counters, nats / max(1, tokens), norm):
            trouble = self._go_back(reason, chunks[0])
        else:
            self.state = state
            self.optimizer.update(gradient, self._learning_rate())
            counters.chars += chars
            counters.nats_since += nats
            counters.chars_since += chars
        counters.seconds += time.perf_counter() - start
        progress = self._progress(nats / max(1.0, chars), trouble)
        if config.minutes is not None and progress.fraction < 1:
            self.clock.keep_time(counters, config.evaluations)
        return progress

    def _validate(self, progress: Progress) -> Progress:
        """Compute the validation loss, and keep the weights if they are the best so far."""
        start, counters, trouble = time.perf_counter(), self.counters, progress.trouble
        train_loss, found = self._train_loss(), None
        if self.validator is not None:
            with self.interruptible():  # nothing has changed yet
                found = self.validator.evaluate(self.model)
            much_worse = found.loss > _MUCH_WORSE * counters.best_loss
            counters.much_worse = counters.much_worse + 1 if much_worse else 0
        loss = found.loss if found else train_loss
        counters.nats_since = counters.chars_since = 0.0
        best = math.isfinite(loss) and (found is None or loss < counters.best_loss)
        if best:
            self.recovery.keep()
            counters.best_loss = loss
        elif not math.isfinite(loss) and not trouble:
            trouble = self._go_back("the validation loss is not a finite number")
        counters.validations += 1
        counters.validation_seconds += time.perf_counter() - start
        return replace(
            progress, train_loss=train_loss, validation=found, best=best, trouble=trouble
        )

    def _go_back(self, reason: str, chunk: Chunk | None = None) -> str:
        trouble = self.recovery.go_back(self.counters, reason, chunk)
        self.state = self._zero_state()
        return trouble

    def _take_best(self) -> None:
        if math.isfinite(self.counters.best_loss):
            self.recovery.take_best()

    def _zero_state(self) -> Array:
        return self.model.zero_state(self.shards.num_streams)

    def _learning_rate(self) -> float:
        """Return the learning rate of the current step."""
        halfway = self.budget.fraction(self.counters.step - 0.5)  # the rate is 0 at either end
        rate = learning_rate(halfway, self.config.learning_rate, self.config.warmup)
        return self.counters.rate_factor * rate

    def _train_loss(self) -> float:
        """Return the training loss since the last validation, in nats per character."""
        counters = self.counters
        return counters.nats_since / counters.chars_since if counters.chars_since else math.inf

    def _validation_is_due(self) -> bool:
        fraction = self.budget.fraction(self.counters.step)
        return fraction == 1 or fraction * self.config.evaluations >= self.counters.validations + 1

    def _progress(self, loss: float, trouble: str = "") -> Progress:
        """Return the progress after a step with this loss in nats per character."""
        counters = self.counters
        return Progress(
            step=counters.step,
            epochs=counters.step / self.batches.steps_per_epoch,
            fraction=self.budget.fraction(counters.step),
            loss=loss,
            learning_rate=self._learning_rate(),
            chars=round(counters.chars),
            seconds=counters.seconds,
            trouble=trouble,
        )

    @property
    def passes(self) -> float:
        """Passes over the training text in the budget."""
        return self.budget.steps / self.batches.steps_per_epoch

    @property
    def overfitting(self) -> bool:
        """Whether a run by minutes should stop, because it overfits."""
        return self.config.minutes is not None and self.counters.much_worse >= _PATIENCE

    @property
    def early(self) -> str:
        """Why a run by minutes ended early; empty if it did not."""
        if self.overfitting:
            return "validation got worse: the model was learning the text by heart"
        if self.counters.step >= self.budget.most:
            passes = self.counters.step / self.batches.steps_per_epoch
            return f"{passes:,.0f} passes over so short a text are enough"
        return ""

    # The clock

    def plan(self) -> None:
        """Measure the pace, and turn a budget in minutes into steps.

        Only the budget and the number of validations change, so a run with that many steps gives
        the same model.
        """
        self._measure(min(_MOST_MEASURING, _MEASURING_SHARE * self.budget.left()))
        if self.config.minutes is not None:
            evaluations = self.clock.plan(self.counters, self.config.evaluations)
            self.config = replace(self.config, evaluations=evaluations)

    def expected_seconds(self) -> float:
        """Return the measured duration of all steps and validations."""
        counters = self.counters
        if self.clock.pace is None and not counters.step:
            self.plan()
        pace = self.clock.pace
        step_seconds = pace.step_seconds if pace else counters.seconds / counters.step
        seconds = self.config.evaluations * self.clock.seconds_to_validate(counters)
        return step_seconds * self.budget.steps + seconds

    def _start_clock(self) -> None:
        if self.config.minutes is not None and self.clock.pace is None:
            if self.counters.step:  # a restored run has its steps planned
                self._measure(0.0)
            else:
                self.plan()
        self.clock.start(self.counters)

    def _measure(self, limit: float) -> None:
        """Measure the pace for about `limit` seconds."""
        pace = measure(self.model, self.batches, self.validator, self.config, self.workers, limit)
        if self.mixture and isinstance(self.model, ResidualRNN) and pace.step_seconds:
            validation = self.validator.split.tokens if self.validator else self.state[:0]
            seconds = self.mixture.seconds(self.model, validation, self.workers)
            pace.steps_to_finish += seconds / pace.step_seconds
        self.clock.pace = pace

    # Stopping and resuming

    @contextlib.contextmanager
    def at_best(self) -> Iterator[None]:
        """Return a context in which the model has its best weights so far."""
        weights = self.model.parameters.flat
        latest = weights.copy()
        self.recovery.take_best()
        yield
        weights[:] = latest

    def snapshot(self) -> Snapshot:
        """Return what is needed to resume from here; all processes call it together."""
        state = np.concatenate(self.workers.world.gather(self.state), axis=-1)
        arrays = {
            "weights": self.model.parameters.flat,
            "best": self.recovery.best,
            "mean": self.optimizer.mean,
            "square": self.optimizer.square,
            "state": state.ravel(),
        }
        return Snapshot(
            replace(self.counters), arrays, self.optimizer.steps, self.shards.generators()
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Resume from a snapshot of a run with the same configuration.

        Raises:
            ValueError: it belongs to another run.
        """
        arrays, batch_size = snapshot.arrays, self.config.batch_size
        try:
            self.shards.restore(snapshot.generators)
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"its numbers are not those of a run: {error}") from None
        if (arrays["square"] < 0).any() or (np.abs(arrays["mean"]) > _LARGEST_MOMENT).any():
            raise ValueError("its moments are out of range")
        self.counters = replace(snapshot.counters)
        self.model.parameters.flat[:] = arrays["weights"]
        self.recovery.best[:] = arrays["best"]
        self.optimizer.steps = snapshot.updates
        self.optimizer.mean[:], self.optimizer.square[:] = arrays["mean"], arrays["square"]
        state = arrays["state"].reshape(*self.state.shape[:-1], batch_size)
        if isinstance(self.model, ResidualRNN):
            self.model.check_state(state)
        self.state = state[..., self.workers.world.share(batch_size)].copy()

    def extend(self) -> None:
        """Plan the rest of a budget that is longer than that of the restored snapshot."""
        if self.config.minutes is not None:
            self.plan()
        fraction = self.budget.fraction(self.counters.step)
        self.counters.validations = int(fraction * self.config.evaluations)
