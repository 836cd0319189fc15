"""Training: batches in, progress out, the best weights left in the model.

Letters: T steps, B batch size (streams side by side).
"""

import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count, pairwise

import numpy as np

from charrnn.batches import Batches
from charrnn.config import ModelConfig, TrainConfig
from charrnn.errors import DivergedError
from charrnn.evaluation import Evaluation, evaluate
from charrnn.functional import IGNORE
from charrnn.kneser_ney import MAX_SIZE, fit
from charrnn.kneser_ney import count as count_ngrams
from charrnn.optim import Adam, clip_by_global_norm, learning_rate
from charrnn.parallel import Workers
from charrnn.parameters import Parameters, weights_of
from charrnn.residual import Network
from charrnn.scheduled_sampling import ScheduledSampling
from charrnn.tokens import Encoded

Array = np.ndarray

_NUM_SHARDS = 2
_SHARD_COLUMNS = 16  # narrower shards lose more than a second thread wins
_VALIDATION_SHARE = 0.1  # of the time, at most, in a run with a budget of time
_MEASURING_SHARE = 0.02  # of the time that is left
_MOST_MEASURING = 3.0  # seconds
_USED_SHARE = 0.97  # of the time that is left: a little less than measured, as machines get slower
_TOO_FEW = 0.95  # of the steps that there is time for
_TOO_LATE = 0.8  # of the steps: none are added to a learning rate that is nearly zero
_STEPS_BETWEEN_LOOKS = 16  # at the clock
_MOST_PASSES = 60  # over the text, in a run with a budget of time
_TOY_STEPS = 1000  # for texts so short that this is more
_MUCH_WORSE = 1.05  # a loss by the best one before
_PATIENCE = 3  # validations in a row that are much worse


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step."""

    step: int
    epochs: float  # passes over the training split so far
    fraction: float  # of the budget, 0 to 1
    loss: float  # nats per character of this step
    learning_rate: float
    chars: int  # predicted so far
    seconds: float  # spent in training steps so far
    train_loss: float | None = None  # nats per character since the last validation, at this one
    validation: Evaluation | None = None
    best: bool = False  # whether the weights are the best so far, and worth saving


class Shards:
    """A model unrolled once for each share of the batch, so that threads can work side by side.

    How a batch is cut depends on its size alone, and gradients are summed in the order of the
    shards: the number of threads changes no result.
    """

    def __init__(self, model: Network, config: TrainConfig) -> None:
        B = config.batch_size
        shards = _NUM_SHARDS if B >= _NUM_SHARDS * _SHARD_COLUMNS else 1
        edges = [B * shard // shards for shard in range(shards + 1)]
        self.columns = [slice(a, b) for a, b in pairwise(edges)]
        sizes = [columns.stop - columns.start for columns in self.columns]
        self.unrolled = [model.unroll(config.seq_len, size, training=True) for size in sizes]
        rng = np.random.default_rng(config.seed)
        self.dropouts = rng.spawn(shards)
        self.sampling = [
            ScheduledSampling(model, size, own)
            for size, own in zip(sizes, rng.spawn(shards), strict=True)
        ]

    def gradient(
        self,
        inputs: Array,
        targets: Array,
        state: Array,
        workers: Workers,
        drawn: float = 0.0,
    ) -> tuple[float, Parameters, Array]:
        """One forward and backward pass over a chunk.

        Args:
            inputs: (T, B) ids.
            targets: (T, B) ids.
            state: (num_layers, num_states, H, B) before the chunk.
            drawn: the share of the inputs that the model draws itself.

        Returns:
            The sum of the loss in nats, the gradient of its mean (a work buffer that the next call
            overwrites), and the state after the chunk.
        """
        scale = 1 / max(1, int(np.count_nonzero(targets != IGNORE)))

        def run(shard: int) -> tuple[float, Array]:
            columns = self.columns[shard]
            own_inputs, own_state = inputs[:, columns], state[..., columns]
            if drawn > 0:
                own_inputs = self.sampling[shard].replace(own_inputs, own_state, drawn)
            nats, new_state, _ = self.unrolled[shard].gradient(
                own_inputs,
                targets[:, columns],
                own_state,
                scale=scale,
                dropout=self.dropouts[shard],
            )
            return float(nats.sum(dtype=np.float64)), new_state

        results = workers.map(run, range(len(self.columns)))
        gradients = self.unrolled[0].gradients
        for other in self.unrolled[1:]:
            gradients.flat += other.gradients.flat
        nats = math.fsum(nats for nats, _ in results)
        return nats, gradients, np.concatenate([state for _, state in results], axis=-1)


@dataclass
class Budget:
    """How many steps a run has, and when it has to be over.

    Args:
        deadline: seconds on `time.monotonic`, for everything.
        reserve: seconds needed at the end beside training and validating.
        most: steps after which more would only learn the text by heart.
    """

    steps: int
    deadline: float = math.inf
    reserve: float = 1.0
    most: float = math.inf
    planned: int = field(init=False)  # steps before any were added or taken away

    def __post_init__(self) -> None:
        self.planned = self.steps

    def fraction(self, step: int) -> float:
        """The share used once `step` steps are done, at most 1."""
        return min(1.0, step / self.steps)

    def keep_time(self, step: int, step_seconds: float, other_seconds: float) -> None:
        """Take steps away where the rest would last too long, or add some where much time is left.

        Args:
            step: how many steps are done.
            step_seconds: how long a step takes.
            other_seconds: how long the validations to come take.
        """
        left = self.deadline - self.reserve - other_seconds - time.monotonic()
        possible = min(self.most, step + max(1, int(left / max(step_seconds, 1e-9))))
        few, many = self.steps > possible, self.steps < _TOO_FEW * possible
        if few or (many and step < _TOO_LATE * self.steps):
            self.steps = int(possible)


class Trainer:
    """A training run.

    Args:
        model: trained in place; after `train` it holds the best weights.
        validation: None where there is no split, and the last weights are the best.
        count_eos: whether validation counts the ends of documents.
        chars_per_token: characters that a token stands for on average.
        started: when the process started on `time.monotonic`, for a budget in minutes.
    """

    def __init__(
        self,
        model: Network,
        batches: Batches,
        validation: Encoded | None,
        config: TrainConfig,
        *,
        count_eos: bool,
        workers: Workers,
        chars_per_token: float = 1.0,
        started: float | None = None,
    ) -> None:
        self.model, self.batches, self.config, self.workers = model, batches, config, workers
        self.validation, self.count_eos = validation, count_eos
        self.chars_per_token = chars_per_token
        self.budget = self._budget(time.monotonic() if started is None else started)
        self.step_seconds: float | None = None  # once `measure` has been called
        self.optimizer = Adam(
            model.parameters.flat,
            weight_decay=config.weight_decay,
            decayed=weights_of(model.config, model.parameters.flat.dtype),
        )
        self.shards = Shards(model, config)
        self.step = 0
        self.chars = 0.0  # predicted so far
        self.seconds = 0.0  # spent in training steps so far
        self.validations = 0
        self.validation_seconds = 0.0
        self.best: Array | None = None  # flat weights
        self.best_loss = math.inf
        self._nats_since, self._chars_since = 0.0, 0.0
        self._much_worse = 0  # validations in a row

    @property
    def overfitting(self) -> bool:
        """Whether a run with a budget of time had better stop: it learns the text by heart."""
        return self.config.minutes is not None and self._much_worse >= _PATIENCE

    @property
    def early(self) -> str:
        """Why a run with a budget of time ended before its time, empty where it did not."""
        if self.overfitting:
            return "validation got worse: the model was learning the text by heart"
        if self.step >= self.budget.most:
            return f"{_MOST_PASSES} passes over so short a text are enough"
        return ""

    def _budget(self, started: float) -> Budget:
        config = self.config
        if config.minutes is not None:
            return Budget(1, started + 60 * config.minutes)  # until `measure` is called
        if config.epochs is not None:
            return Budget(max(1, round(config.epochs * self.batches.steps_per_epoch)))
        return Budget(config.steps or 1)

    def measure(self) -> float:
        """Measure seconds a step; a budget of time becomes the steps that it has room for.

        Nothing changes but the budget and the number of validations, so that as many steps give
        the same model without a budget of time.
        """
        config, budget = self.config, self.budget
        left = budget.deadline - budget.reserve - time.monotonic()
        seconds = self._time_steps(min(_MOST_MEASURING, _MEASURING_SHARE * left))
        self.step_seconds = seconds
        if config.minutes is not None:
            left = budget.deadline - budget.reserve - time.monotonic()
            tokens = config.batch_size * config.seq_len
            each = len(self.validation.tokens) / tokens * seconds / 2 if self.validation else 0.0
            evaluations = int(_VALIDATION_SHARE * left / each) if each else config.evaluations
            evaluations = min(max(1, evaluations), config.evaluations)
            self.config = replace(config, evaluations=evaluations)
            steps = max(1, int(_USED_SHARE * (left - evaluations * each) / seconds))
            most = max(_TOY_STEPS, _MOST_PASSES * self.batches.steps_per_epoch)
            self.budget = Budget(min(steps, most), budget.deadline, budget.reserve, most)
        return seconds

    def _time_steps(self, limit: float) -> float:
        """How long a step takes, measured on copies for about `limit` seconds."""
        config, shards = self.config, Shards(self.model, self.config)
        state = self.model.zero_state(config.batch_size)
        optimizer, times = Adam(self.model.parameters.flat.copy()), []
        start = time.monotonic()
        for inputs, targets in self.batches.epoch(0):
            clock = time.monotonic()
            _, gradient, state = shards.gradient(inputs, targets, state, self.workers)
            clip_by_global_norm(gradient.flat, config.clip_norm)
            optimizer.update(gradient.flat, 0.0)
            times.append(time.monotonic() - clock)
            if time.monotonic() - start > limit and len(times) > 1:
                break
        return statistics.median(times[1:] or times)

    def train(self) -> Iterator[Progress]:
        """Run until the budget is used up.

        Yields:
            Progress after every step; where it says `best`, the caller should save the model.

        Raises:
            DivergedError: the loss or the gradient is not finite, or no validation ever was.
        """
        if self.config.minutes is not None and self.step_seconds is None:
            self.measure()
        try:
            for epoch in count():
                state = self.model.zero_state(self.config.batch_size)
                for inputs, targets in self.batches.epoch(epoch):
                    progress, state = self._update(inputs, targets, state)
                    if self._validation_is_due(progress):
                        progress = self._validate(progress)
                    yield progress
                    if progress.fraction == 1 or self.overfitting:
                        if self.best is None:
                            raise self._diverged()
                        return
        finally:
            if self.best is not None:
                self.model.parameters.flat[:] = self.best

    def _update(self, inputs: Array, targets: Array, state: Array) -> tuple[Progress, Array]:
        """One step of gradient descent on a chunk."""
        clock, config = time.monotonic(), self.config
        drawn = config.scheduled_sampling * self.budget.fraction(self.step)
        nats, gradient, state = self.shards.gradient(inputs, targets, state, self.workers, drawn)
        norm = clip_by_global_norm(gradient.flat, config.clip_norm)
        if not (math.isfinite(nats) and math.isfinite(norm)):
            raise self._diverged()
        self.step += 1
        fraction = self.budget.fraction(self.step)
        rate = learning_rate(fraction, config.learning_rate, config.warmup)
        self.optimizer.update(gradient.flat, rate)
        chars = np.count_nonzero(targets != IGNORE) * self.chars_per_token
        self.chars += chars
        self._nats_since, self._chars_since = self._nats_since + nats, self._chars_since + chars
        self.seconds += time.monotonic() - clock
        if config.minutes is not None and self.step % _STEPS_BETWEEN_LOOKS == 0:
            self._keep_time()
        epochs = self.step / self.batches.steps_per_epoch
        loss = nats / max(1.0, chars)
        progress = Progress(
            self.step, epochs, fraction, loss, rate, round(self.chars), self.seconds
        )
        return progress, state

    def _validation_is_due(self, progress: Progress) -> bool:
        if progress.fraction == 1:
            return True
        return progress.fraction * self.config.evaluations >= self.validations + 1

    def _keep_time(self) -> None:
        to_come = self.config.evaluations - self.validations
        each = self.validation_seconds / max(1, self.validations)
        self.budget.keep_time(self.step, self.seconds / self.step, to_come * each)

    def _validate(self, progress: Progress) -> Progress:
        """Measure the loss on the validation split and keep the weights if they are the best."""
        clock = time.monotonic()
        train_loss = self._nats_since / max(1.0, self._chars_since)
        self._nats_since, self._chars_since = 0.0, 0.0
        found, loss = None, train_loss
        if self.validation is not None:
            found = evaluate(self.model, self.validation, self.workers, count_eos=self.count_eos)
            loss = found.loss
            much_worse = loss > _MUCH_WORSE * self.best_loss
            self._much_worse = self._much_worse + 1 if much_worse else 0
        best = math.isfinite(loss) and (self.validation is None or loss < self.best_loss)
        if best:
            self.best, self.best_loss = self.model.parameters.flat.copy(), loss
        took = time.monotonic() - clock
        self.validations += 1
        self.validation_seconds += took
        return replace(progress, train_loss=train_loss, validation=found, best=best)

    def _diverged(self) -> DivergedError:
        return DivergedError(
            f"training diverged at step {self.step + 1}: the loss is not a finite number; try a "
            f"lower --learning-rate than {self.config.learning_rate:g}, or a lower --clip-norm"
        )


class NGramTrainer:
    """The same for an n-gram model, which is counted in one step."""

    def __init__(
        self,
        model_config: ModelConfig,
        split: Encoded,
        validation: Encoded | None,
        config: TrainConfig,
        *,
        count_eos: bool,
        workers: Workers,
    ) -> None:
        self.model_config, self.split, self.validation = model_config, split, validation
        self.config, self.count_eos, self.workers = config, count_eos, workers
        nothing = np.array([IGNORE])
        self.model = fit(model_config, count_ngrams(model_config, nothing))  # uniform as yet
        self.budget = Budget(1)
        self.early = ""
        self.step = 0
        self.chars = 0.0
        self.seconds = 0.0

    def train(self) -> Iterator[Progress]:
        """Count, and validate.

        Yields:
            The progress at the end.
        """
        clock = time.monotonic()
        counted = count_ngrams(self.model_config, self.split.tokens)
        self.model = fit(self.model_config, counted, self.config.max_ngrams or MAX_SIZE)
        self.step, self.chars = 1, self.split.count(eos=True)
        self.seconds = time.monotonic() - clock
        train = evaluate(self.model, self.split, self.workers, count_eos=self.count_eos)
        found = None
        if self.validation is not None:
            found = evaluate(self.model, self.validation, self.workers, count_eos=self.count_eos)
        yield Progress(
            1,
            1.0,
            1.0,
            train.loss,
            0.0,
            self.split.count(eos=True),
            self.seconds,
            train.loss,
            found,
            best=True,
        )
