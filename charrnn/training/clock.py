"""How long the parts of a run take, so that a budget of minutes becomes steps and is kept."""

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

_VALIDATION_SHARE = 0.1  # of the time, at most, in a run with a budget of time
_USED_SHARE = 0.97  # of the time that is left: a little less than measured, as machines get slower
_MEMORY_SHARE = 0.1  # of the time, over which that of a step is averaged
_INSTANT = 1e-9  # seconds, for what takes none on a coarse clock


@dataclass
class Pace:
    """How long a step takes, and how many steps take as long as what is no step."""

    step_seconds: float  # as measured; in a run by the clock the latest
    steps_to_validate: float
    steps_to_finish: float  # to fit a mixture, and to score the network without n-grams


@dataclass
class Clock:
    """Keeps a run on time; what depends on it is what rank 0 says.

    Args:
        minutes: the budget, None where it is none of time.
        pace: as measured, None before.
    """

    budget: Budget
    minutes: float | None
    world: World
    pace: Pace | None = None
    _looked: float = field(default=0.0, init=False)  # less the time of validations

    def plan(self, counters: Counters, evaluations: int) -> int:
        """Plan as many steps as there is time for; how many validations, at most `evaluations`."""
        pace, left = self._pace, self.budget.left()
        each = self.seconds_to_validate(counters)
        affordable = int(_VALIDATION_SHARE * left / each) if each else evaluations
        evaluations = self.world.broadcast(min(max(1, affordable), evaluations))
        used = left - evaluations * each - pace.steps_to_finish * pace.step_seconds
        steps = int(_USED_SHARE * used / max(pace.step_seconds, _INSTANT))
        self.budget.plan(self.world.broadcast(counters.step + max(1, steps)))
        return evaluations

    def start(self, counters: Counters) -> None:
        """Begin to time the steps."""
        self._looked = time.perf_counter() - counters.validation_seconds

    def keep_time(self, counters: Counters, evaluations: int) -> None:
        """Take steps away, or add some, as the machine is slower or faster than before.

        The time of a step is all that passes between two of them, validations aside.
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
        """How long a validation takes, by those so far, or as measured before the first one."""
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
    """Measure the pace of a run for about `limit` seconds, two steps at least.

    On copies, so that nothing changes, and in turns, so that what else the machine does slows down
    all.
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
    """The share of the validation split that the network is scored on without its n-grams."""
    if validator is None or not isinstance(model, ResidualRNN):
        return 0.0
    return min(1.0, num_scored(model) / len(validator.split.tokens))
