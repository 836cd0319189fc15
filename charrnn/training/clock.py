"""Timing of a run: turn a budget in minutes into steps, and keep to it."""

import statistics
import time
from dataclasses import dataclass, field

from charrnn.config import TrainConfig
from charrnn.inference.evaluation import measured_part, token_log_probs
from charrnn.network.optim import Adam, clip_by_global_norm
from charrnn.ngrams.residual import Network, ResidualRNN
from charrnn.parallel.processes import World
from charrnn.parallel.threads import Workers
from charrnn.training.baselines import num_scored
from charrnn.training.batches import Batches
from charrnn.training.budget import Budget
from charrnn.training.shards import Shards
from charrnn.training.snapshot import Counters
from charrnn.training.validator import Validator

_VALIDATION_SHARE = 0.1  # largest share of the time for validation
_USED_SHARE = 0.97  # of the remaining time to plan for, because machines get slower
_MEMORY_SHARE = 0.1  # of the time, over which the duration of a step is averaged
_INSTANT = 1e-9  # seconds, in place of 0 on a coarse clock


@dataclass
class Pace:
    """Duration of a step, and of everything else as a number of steps."""

    step_seconds: float  # as measured; updated in a run by the clock
    steps_to_validate: float
    steps_to_finish: float  # fit a mixture, score the network without n-grams


@dataclass
class Clock:
    """Keeps a run on time; rank 0 decides for all processes.

    Args:
        budget: planned and adjusted here.
        minutes: the budget; None for a budget in steps or epochs.
        world: the processes of the run.
        pace: None until it is measured.
    """

    budget: Budget
    minutes: float | None
    world: World
    pace: Pace | None = None
    _looked: float = field(default=0.0, init=False)  # time of the last look, minus validations

    def plan(self, counters: Counters, evaluations: int) -> int:
        """Plan as many steps as there is time for; return how many validations to make."""
        pace, left = self._pace, self.budget.left()
        each = self.seconds_to_validate(counters)
        affordable = int(_VALIDATION_SHARE * left / each) if each else evaluations
        evaluations = self.world.broadcast(min(max(1, affordable), evaluations))
        used = left - evaluations * each - pace.steps_to_finish * pace.step_seconds
        steps = int(_USED_SHARE * used / max(pace.step_seconds, _INSTANT))
        self.budget.plan(self.world.broadcast(counters.step + max(1, steps)))
        return evaluations

    def start(self, counters: Counters) -> None:
        """Start timing steps."""
        self._looked = time.perf_counter() - counters.validation_seconds

    def keep_time(self, counters: Counters, evaluations: int) -> None:
        """Remove or add steps if the machine has become slower or faster.

        The duration of a step is the time between two calls, without validations.
        """
        pace, memory = self._pace, _MEMORY_SHARE * 60 * (self.minutes or 0.0)
        spent = time.perf_counter() - counters.validation_seconds - self._looked
        self._looked += spent
        before = pace.step_seconds or spent
        pace.step_seconds = before + min(1.0, before / memory) * (spent - before)
        other = max(1, evaluations - counters.validations) * self.seconds_to_validate(counters)
        other += pace.steps_to_finish * pace.step_seconds
        self.budget.keep_time(counters.step, pace.step_seconds, other)
        self.budget.steps = self.world.broadcast(self.budget.steps)

    def seconds_to_validate(self, counters: Counters) -> float:
        """Return the duration of a validation: the mean so far, or as measured before the first."""
        if counters.validations:
            return counters.validation_seconds / counters.validations
        return self.pace.steps_to_validate * self.pace.step_seconds if self.pace else 0.0

    @property
    def _pace(self) -> Pace:
        assert self.pace is not None, "nothing has been measured"
        return self.pace


def measure(
    model: Network,
    batches: Batches,
    validator: Validator | None,
    config: TrainConfig,
    workers: Workers,
    limit: float,
) -> Pace:
    """Measure the pace of a run for about `limit` seconds, at least two steps.

    Copies are measured, so nothing changes. Steps and validations alternate, so that other work on
    the machine slows down both.

    Args:
        model: the model to be trained.
        batches: its training data.
        validator: None if nothing is held out.
        config: of the run.
        workers: threads and processes of the run.
        limit: seconds.
    """
    shards = Shards(model, config, workers.world)
    state = model.zero_state(shards.num_streams)
    optimizer, times = Adam(model.parameters.flat.copy()), []
    part, _, ratio = measured_part(validator.split.tokens) if validator else ([], [], 0.0)
    network = model.network if isinstance(model, ResidualRNN) else model
    start = time.perf_counter()
    for chunks in batches.steps():
        clock = time.perf_counter()
        _, _, gradient, state = shards.gradient(chunks, state, workers)
        clip_by_global_norm(gradient, config.clip_norm)
        optimizer.update(gradient, 0.0)
        found = [time.perf_counter() - clock]
        for each in (model, network):
            token_log_probs(each, part, workers)
            found.append(time.perf_counter() - clock - sum(found))
        times.append(found)
        if workers.world.broadcast(time.perf_counter() - start > limit) and len(times) > 1:
            break
    shards.close()
    seconds: float
    seconds, *others = map(statistics.median, zip(*(times[1:] or times), strict=True))
    with_ngram, without = (
        ratio * each / max(seconds, _INSTANT) / workers.world.size for each in others
    )
    return Pace(seconds, with_ngram, _compared(model, validator) * without)


def _compared(model: Network, validator: Validator | None) -> float:
    """Return the share of the validation split that `network_baseline` predicts."""
    if validator is None or not isinstance(model, ResidualRNN):
        return 0.0
    return min(1.0, num_scored(model) / len(validator.split.tokens))
