"""Training: batches in, progress out, the best weights left in the model.

Letters: T steps, B batch size (streams side by side).
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Any

import numpy as np

from charrnn.config import ModelConfig, TrainConfig
from charrnn.errors import ConfigError, DivergedError
from charrnn.ids import IGNORE
from charrnn.inference.evaluation import Evaluation, evaluate, measured_part, token_log_probs
from charrnn.network.draws import Draws
from charrnn.network.optim import Adam, clip_by_global_norm, learning_rate
from charrnn.network.parameters import weights_of
from charrnn.ngrams.kneser_ney import MAX_SIZE, fit
from charrnn.ngrams.kneser_ney import count as count_ngrams
from charrnn.ngrams.residual import Network, ResidualRNN
from charrnn.parallel.threads import Workers
from charrnn.text.tokens import Encoded
from charrnn.training.batches import Batches
from charrnn.training.budget import Budget
from charrnn.training.memory import most_ngrams
from charrnn.training.plan import MOST_PASSES
from charrnn.training.shards import Chunk, Shards

Array = np.ndarray
Interruptible = Callable[[], AbstractContextManager[object]]  # what may be broken off at any moment

_VALIDATION_SHARE = 0.1  # of the time, at most, in a run with a budget of time
_MEASURING_SHARE = 0.02  # of the time that is left
_MOST_MEASURING = 3.0  # seconds
_USED_SHARE = 0.97  # of the time that is left: a little less than measured, as machines get slower
_MEMORY_SHARE = 0.1  # of the time, over which that of a step is averaged
_TOY_STEPS = 2_000  # for texts so short that this is more; as the plan has it
_INSTANT = 1e-9  # seconds, for what takes none on a coarse clock
_MUCH_WORSE = 1.05  # a loss by the best one before
_PATIENCE = 3  # validations in a row that are much worse
_EXPLODED = 1.25  # the loss by that of a guess among all tokens
_MEMORY = 16  # steps, about, over which that loss is averaged
_MOST_TROUBLES = 5
_LARGEST = 10**15  # number that a run counts to
_LARGEST_MOMENT = 1e20  # more would overflow
# What is counted over a run, and has to go on where it stopped.
_NUMBERS = (
    *("step", "chars", "seconds", "validations", "validation_seconds", "best_loss"),
    *("nats_since", "chars_since", "much_worse", "recent_loss", "rate_factor", "troubles"),
)


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
    trouble: str = ""  # what went wrong in this step, and what was done about it


@dataclass(frozen=True)
class Snapshot:
    """What a run needs to go on as if it had never stopped.

    Args:
        arrays: vectors by name: the latest and the best weights, the two moments of Adam, and the
            carried state; views, of which the next step overwrites some.
        numbers: the others by name, as JSON can hold them.
    """

    arrays: dict[str, Array]
    numbers: dict[str, Any]


class Trainer:
    """A training run.

    Where it has several processes, each is one such object: of equal weights, with the columns of
    the batch that are its own. What depends on a clock is what rank 0 says.

    Args:
        model: trained in place; after `train` it holds the best weights.
        batches: of the streams that are this process's.
        validation: None where there is no split, and the last weights are the best.
        count_eos: whether validation counts the ends of documents.
        chars_per_token: characters that a token stands for on average.
        started: when the process started on `time.perf_counter`, for a budget in minutes.
    """

    interruptible: Interruptible = nullcontext

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
        self.budget = self._budget(time.perf_counter() if started is None else started)
        self.step_seconds: float | None = None  # as measured; in a run by the clock the latest
        self.steps_to_validate: float | None = None  # that take as long, as measured
        self.steps_to_compare = 0.0  # that take as long as what follows the last validation
        self.compared = 0.0  # the share of the split that is validated then without n-grams
        self._looked = 0.0  # at the clock, less the time of validations
        self.optimizer = Adam(
            model.parameters.flat,
            weight_decay=config.weight_decay,
            decayed=weights_of(model.config, model.parameters.flat.dtype),
        )
        self.shards = Shards(model, config, workers.world)
        self.state = model.zero_state(self.shards.num_streams)
        self.step = 0
        self.chars = 0.0  # predicted so far
        self.seconds = 0.0  # spent in training steps so far
        self.validations = 0
        self.validation_seconds = 0.0
        self.best = model.parameters.flat.copy()  # flat weights, good enough to go back to
        self.best_loss = math.inf  # nats per character of validation; inf: there was none
        self.nats_since, self.chars_since = 0.0, 0.0  # the last validation
        self.much_worse = 0  # validations in a row
        self.recent_loss = 0.0  # nats per token, by that of a guess among all tokens
        self.rate_factor = 1.0  # on the learning rate, halved at each trouble
        self.troubles = 0

    @property
    def steps_per_epoch(self) -> int:
        """Updates that a pass takes."""
        return -(-self.batches.steps_per_epoch // self.config.accumulate)

    @property
    def overfitting(self) -> bool:
        """Whether a run with a budget of time had better stop: it learns the text by heart."""
        return self.config.minutes is not None and self.much_worse >= _PATIENCE

    @property
    def early(self) -> str:
        """Why a run with a budget of time ended before its time, empty where it did not."""
        if self.overfitting:
            return "validation got worse: the model was learning the text by heart"
        if self.step >= self.budget.most:
            return f"{self.step / self.steps_per_epoch:,.0f} passes over so short a text are enough"
        return ""

    def _budget(self, started: float) -> Budget:
        config = self.config
        if config.minutes is not None:
            most = max(_TOY_STEPS, MOST_PASSES * self.steps_per_epoch)
            return Budget(1, started + 60 * config.minutes, most=most)  # until `measure` is called
        if config.epochs is not None:
            return Budget(max(1, round(config.epochs * self.steps_per_epoch)))
        return Budget(config.steps or 1)

    def measure(self) -> float:
        """Measure seconds a step; a budget of time becomes the steps that it has room for.

        Nothing changes but the budget and the number of validations, so that as many steps give
        the same model without a budget of time.
        """
        config, budget, world = self.config, self.budget, self.workers.world
        seconds = self._time_steps(min(_MOST_MEASURING, _MEASURING_SHARE * budget.left()))
        if config.minutes is not None:
            left, each = budget.left(), self.expected_to_validate()
            evaluations = int(_VALIDATION_SHARE * left / each) if each else config.evaluations
            evaluations = min(max(1, evaluations), config.evaluations)
            evaluations = world.broadcast(evaluations)
            self.config = replace(config, evaluations=evaluations)
            used = _USED_SHARE * (left - evaluations * each - self.steps_to_compare * seconds)
            steps = self.step + max(1, int(used / max(seconds, _INSTANT)))
            budget.plan(world.broadcast(steps))
        return seconds

    def _time_steps(self, limit: float) -> float:
        """How long a step takes, and validating by that, measured for about `limit` seconds.

        On copies, and in turns, so that what else the machine does slows down all.
        """
        config, world = self.config, self.workers.world
        shards = Shards(self.model, config, world)
        state = self.model.zero_state(shards.num_streams)
        optimizer, times = Adam(self.model.parameters.flat.copy()), []
        part, ratio = measured_part(self.validation.tokens) if self.validation else ([], 0.0)
        network = self.model.network if isinstance(self.model, ResidualRNN) else self.model
        models: tuple[Network, ...] = (self.model, network)
        start = time.perf_counter()
        for chunks in _grouped(self.batches.epoch(0), config.accumulate):
            clock = time.perf_counter()
            _, _, gradient, state = shards.gradient(chunks, state, self.workers)
            clip_by_global_norm(gradient, config.clip_norm)
            optimizer.update(gradient, 0.0)
            found = [time.perf_counter() - clock]
            for each in models:
                token_log_probs(each, part, self.workers)
                found.append(time.perf_counter() - clock - sum(found))
            times.append(found)
            if world.broadcast(time.perf_counter() - start > limit) and len(times) > 1:
                break
        seconds: float
        seconds, *others = map(statistics.median, zip(*(times[1:] or times), strict=True))
        steps = [ratio * each / max(seconds, _INSTANT) / world.size for each in others]
        self.step_seconds, self.steps_to_validate = seconds, steps[0]
        self.steps_to_compare = self.compared * steps[-1]
        return seconds

    def expected_to_validate(self) -> float:
        """Seconds that a validation takes, by those so far, or as measured before the first one."""
        if self.validations:
            return self.validation_seconds / self.validations
        return (self.steps_to_validate or 0.0) * (self.step_seconds or 0.0)

    def train(self) -> Iterator[Progress]:
        """Run until the budget is used up.

        Yields:
            Progress after every step; where it says `best`, the caller should save the model.

        Raises:
            DivergedError: again and again the loss was not finite, or above that of a guess.
        """
        if self.config.minutes is not None:
            if self.step_seconds is None:
                self.measure()
            elif self.steps_to_validate is None:
                self._time_steps(0.0)
        self._looked = time.perf_counter() - self.validation_seconds
        try:
            if self.chars_since and self._validation_is_due():  # where a run was interrupted in it
                yield self._validate(self._progress(self.nats_since / self.chars_since))
            chunks = self._chunks()
            while self.step < self.budget.steps and not self.overfitting:
                progress = self._update(next(chunks))
                yield self._validate(progress) if self._validation_is_due() else progress
            if math.isinf(self.best_loss):
                raise self._diverged("no validation was a finite number")
        except DivergedError:
            self._take_best()
            raise
        self._take_best()

    def _take_best(self) -> None:
        if math.isfinite(self.best_loss):
            self.model.parameters.flat[:] = self.best

    def snapshot(self) -> Snapshot:
        """Where the run stands between two steps; all processes call it together."""
        state = np.concatenate(self.workers.world.gather(self.state), axis=-1)
        arrays = {
            "weights": self.model.parameters.flat,
            "best": self.best,
            "mean": self.optimizer.mean,
            "square": self.optimizer.square,
            "state": state.ravel(),
        }
        numbers: dict[str, Any] = {name: getattr(self, name) for name in _NUMBERS}
        numbers["best_loss"] = self.best_loss if math.isfinite(self.best_loss) else None
        numbers["updates"] = self.optimizer.steps
        numbers["generators"] = self.shards.generators()
        return Snapshot(arrays, numbers)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of a run of the same configuration.

        Raises:
            ValueError: it is not of such a run.
        """
        numbers, arrays = dict(snapshot.numbers), snapshot.arrays
        if numbers.get("best_loss") is None:
            numbers["best_loss"] = math.inf
        try:
            for name in _NUMBERS:
                setattr(self, name, _restored(name, numbers[name], type(getattr(self, name))))
            self.optimizer.steps = _restored("updates", numbers["updates"], int)
            self.shards.restore(numbers["generators"])
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"its numbers are not those of a run: {error}") from None
        if self.step:
            self.step_seconds = self.seconds / self.step
        if (arrays["square"] < 0).any() or (np.abs(arrays["mean"]) > _LARGEST_MOMENT).any():
            raise ValueError("its moments are out of range")
        self.model.parameters.flat[:] = arrays["weights"]
        self.best = arrays["best"].copy()
        self.optimizer.mean[:], self.optimizer.square[:] = arrays["mean"], arrays["square"]
        state = arrays["state"].reshape(*self.state.shape[:-1], self.config.batch_size)
        if isinstance(self.model, ResidualRNN):
            self.model.check_state(state)
        self.state = state[..., self.workers.world.share(self.config.batch_size)].copy()

    def extend(self) -> None:
        """Plan what is left of a budget that is longer than the one of the restored snapshot."""
        if self.config.minutes is not None:
            self.measure()
        self.validations = int(self.budget.fraction(self.step) * self.config.evaluations)

    def _chunks(self) -> Iterator[list[Chunk]]:
        """The chunks (inputs, targets) of each step from this one on, pass after pass, no end."""
        epoch, start = divmod(self.step, self.steps_per_epoch)
        for number in count(epoch):
            if start == 0:
                self.state = self.model.zero_state(self.shards.num_streams)
            chunks = self.batches.epoch(number, start * self.config.accumulate)
            yield from _grouped(chunks, self.config.accumulate)
            start = 0

    def _update(self, chunks: list[Chunk]) -> Progress:
        """One step of gradient descent."""
        clock, config = time.perf_counter(), self.config
        drawn = config.scheduled_sampling * self.budget.fraction(self.step)
        nats, tokens, gradient, state = self.shards.gradient(
            chunks, self.state, self.workers, drawn
        )
        norm = clip_by_global_norm(gradient, config.clip_norm)
        self.step += 1
        if reason := self._reason_to_go_back(nats / max(1, tokens), norm):
            trouble = self._go_back(reason, chunks[0])
        else:
            trouble, self.state = "", state
            self.optimizer.update(gradient, self._learning_rate())
            chars = tokens * self.chars_per_token
            self.chars += chars
            self.nats_since, self.chars_since = self.nats_since + nats, self.chars_since + chars
        self.seconds += time.perf_counter() - clock
        progress = self._progress(nats / max(1.0, tokens * self.chars_per_token), trouble)
        if config.minutes is not None and progress.fraction < 1:
            self._keep_time()
        return progress

    def _learning_rate(self) -> float:
        """That of the step that is being made, or was made last."""
        halfway = self.budget.fraction(self.step - 0.5)  # at either end of the run the rate is 0
        config = self.config
        return self.rate_factor * learning_rate(halfway, config.learning_rate, config.warmup)

    def _progress(self, loss: float, trouble: str = "") -> Progress:
        """Where the run stands after a step of this loss in nats per character."""
        return Progress(
            self.step,
            self.step / self.steps_per_epoch,
            self.budget.fraction(self.step),
            loss,
            self._learning_rate(),
            round(self.chars),
            self.seconds,
            trouble=trouble,
        )

    def _reason_to_go_back(self, loss: float, norm: float) -> str:
        """Why this step had better not be taken, empty where all is well.

        Args:
            loss: nats per token.
            norm: of the gradient.
        """
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return "the loss is not a finite number"
        self.recent_loss += (loss / self._guess - self.recent_loss) / _MEMORY
        return "the loss is above that of a guess" if self.recent_loss > _EXPLODED else ""

    @property
    def _guess(self) -> float:
        """Nats per token of a guess among all tokens."""
        return math.log(self.model.config.vocab_size)

    def _go_back(self, reason: str, chunk: Chunk | None = None) -> str:
        """To the best weights, at half the learning rate; what happened, in words.

        Adam forgets its direction, but not how large gradients are, so that its next steps are
        small.
        """
        self.troubles += 1
        if self.troubles > _MOST_TROUBLES:
            raise self._diverged(reason, chunk)
        self.rate_factor /= 2
        self.recent_loss = 0.0
        self.model.parameters.flat[:] = self.best
        self.optimizer.mean[:] = 0
        self.state = self.model.zero_state(self.shards.num_streams)
        rate = self.rate_factor * self.config.learning_rate
        return f"{reason}: back to the best weights, with a learning rate of at most {rate:.2g}"

    def _validation_is_due(self) -> bool:
        fraction = self.budget.fraction(self.step)
        return fraction == 1 or fraction * self.config.evaluations >= self.validations + 1

    def _keep_time(self) -> None:
        """Take steps away, or add some, as the machine is slower or faster than before.

        The time of a step is all that passes between two of them, validations aside.
        """
        now, memory = time.perf_counter(), _MEMORY_SHARE * 60 * (self.config.minutes or 0.0)
        spent = now - self.validation_seconds - self._looked
        before = self.step_seconds or spent
        self._looked += spent
        self.step_seconds = before + min(1.0, before / memory) * (spent - before)
        to_come = max(1, self.config.evaluations - self.validations)
        other = to_come * self.expected_to_validate() + self.steps_to_compare * self.step_seconds
        self.budget.keep_time(self.step, self.step_seconds, other)
        self.budget.steps = self.workers.world.broadcast(self.budget.steps)

    def _validate(self, progress: Progress) -> Progress:
        """Measure the loss on the validation split and keep the weights if they are the best."""
        clock = time.perf_counter()
        train_loss = self.nats_since / self.chars_since if self.chars_since else math.inf
        found, loss, trouble = None, train_loss, progress.trouble
        if self.validation is not None:
            with self.interruptible():  # nothing has changed yet
                found = evaluate(
                    self.model, self.validation, self.workers, count_eos=self.count_eos
                )
            loss = found.loss
            much_worse = loss > _MUCH_WORSE * self.best_loss
            self.much_worse = self.much_worse + 1 if much_worse else 0
        self.nats_since, self.chars_since = 0.0, 0.0
        best = math.isfinite(loss) and (self.validation is None or loss < self.best_loss)
        if best:
            self.best[:], self.best_loss = self.model.parameters.flat, loss
        elif not math.isfinite(loss) and not trouble:
            trouble = self._go_back("the validation loss is not a finite number")
        self.validations += 1
        self.validation_seconds += time.perf_counter() - clock
        return replace(
            progress, train_loss=train_loss, validation=found, best=best, trouble=trouble
        )

    def _diverged(self, reason: str, chunk: Chunk | None = None) -> DivergedError:
        """The error, with what to change: the learning rate, unless it happens without a step."""
        self.model.parameters.flat[:] = self.best
        model, config, advice = self.model.config, self.config, ""
        if chunk is not None and self._explodes(chunk):
            layers = f"fewer --num-layers than {model.num_layers}" if model.num_layers > 1 else ""
            relu = "another --activation than relu" if model.activation == "relu" else ""
            advice = " or ".join(filter(None, (layers, relu)))
        elif chunk is not None and self._explodes(chunk, Draws(np.random.default_rng(config.seed))):
            name = "recurrent_dropout" if model.recurrent_dropout else "dropout"
            advice = f"a lower --{name.replace('_', '-')} than {getattr(model, name):g}"
        advice = advice or (
            f"a lower --learning-rate than {config.learning_rate:g}, or a lower --clip-norm"
        )
        return DivergedError(f"training diverged at step {self.step}: {reason}; try {advice}")

    def _explodes(self, chunk: Chunk, dropout: Draws | None = None) -> bool:
        """Whether a chunk is worse than a guess from the zero state, without another step."""
        inputs, targets = chunk
        steps, columns = inputs.shape
        unrolled = self.model.unroll(steps, columns, training=True)
        state = self.model.zero_state(columns)
        nats, _, _ = unrolled.gradient(inputs, targets, state, dropout=dropout)
        return not nats.sum() <= _EXPLODED * self._guess * np.count_nonzero(targets != IGNORE)


def _restored(name: str, value: Any, kind: type[int] | type[float]) -> Any:
    """A number of a snapshot, which may be from a file.

    Raises:
        ValueError, TypeError: it is none of this kind, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int | kind):
        raise TypeError(f"{name} is no {kind.__name__}")
    if not (0 <= value <= _LARGEST or (name == "best_loss" and value == math.inf)):
        raise ValueError(f"{name} is out of range")
    return kind(value)


def _grouped(chunks: Iterator[Chunk], size: int) -> Iterator[list[Chunk]]:
    """So many at a time; the last ones may be fewer."""
    while group := list(islice(chunks, size)):
        yield group


class NGramTrainer:
    """The same for an n-gram model, which is counted in one step."""

    interruptible: Interruptible = nullcontext

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

    def snapshot(self) -> Snapshot:
        """Nothing but whether it is done, as it is done in a moment."""
        return Snapshot({}, {"step": self.step})

    def restore(self, snapshot: Snapshot) -> None:
        """Count again, as that is all there is to go on with; what was not finished starts anew."""
        self.step = int(bool(snapshot.numbers["step"]))
        if self.step:
            self._count()

    def train(self) -> Iterator[Progress]:
        """Count, and validate.

        Yields:
            The progress at the end.

        Raises:
            ConfigError: there are more k-grams than the machine can hold.
        """
        if self.step:
            return
        with self.interruptible():
            self._count()
            train = evaluate(self.model, self.split, self.workers, count_eos=self.count_eos)
            found = None
            if self.validation is not None:
                found = evaluate(
                    self.model, self.validation, self.workers, count_eos=self.count_eos
                )
        self.step = 1
        yield Progress(
            1,
            1.0,
            1.0,
            train.loss,
            0.0,
            self.split.num_chars(eos=True),
            self.seconds,
            train.loss,
            found,
            best=True,
        )

    def _count(self) -> None:
        clock, tokens = time.perf_counter(), self.split.tokens
        try:
            counted = count_ngrams(self.model_config, tokens, most_ngrams(len(tokens)))
        except ValueError as error:
            raise ConfigError(f"{error}: lower --order") from None
        self.model = fit(self.model_config, counted, self.config.max_ngrams or MAX_SIZE)
        self.chars = self.split.num_chars(eos=True)
        self.seconds = time.perf_counter() - clock
