"""The budget of a run: its number of steps, and its deadline."""

import math
import time
from dataclasses import dataclass, field

from charrnn.config import TrainConfig
from charrnn.training.plan import MOST_PASSES

_TOY_STEPS = 2_000  # allowed in any case, as in the plan
_TOO_FEW = 0.95  # of the possible steps; above, the planned steps stay, so the run is repeatable
_TOO_LATE = 0.95  # of the steps; afterwards the learning rate is near 0, and none are added


@dataclass
class Budget:
    """The number of steps of a run, and its deadline.

    Args:
        steps: number of steps.
        deadline: when the whole run has to end, in seconds of `time.perf_counter`.
        reserve: seconds at the end for everything but training and validation.
        most: limit of the steps, above which a run would only memorize the text.
    """

    steps: int
    deadline: float = math.inf
    reserve: float = 1.0
    most: float = math.inf
    planned: int = field(init=False)  # steps before any were added or taken away

    def __post_init__(self) -> None:
        self.planned = self.steps

    @classmethod
    def of(
        cls, config: TrainConfig, steps_per_epoch: int, started: float | None = None
    ) -> "Budget":
        """Return the budget of a configuration; with minutes it has one step until `plan`.

        Args:
            config: with the budget.
            steps_per_epoch: steps of a pass over the training split.
            started: start of the process in seconds of `time.perf_counter`; None for now.
        """
        if config.minutes is not None:
            deadline = (time.perf_counter() if started is None else started) + 60 * config.minutes
            return cls(1, deadline, most=max(_TOY_STEPS, MOST_PASSES * steps_per_epoch))
        if config.epochs is not None:
            return cls(max(1, round(config.epochs * steps_per_epoch)))
        return cls(config.steps or 1)

    def left(self) -> float:
        """Return the seconds left for training and validation."""
        return self.deadline - self.reserve - time.perf_counter()

    def plan(self, steps: int) -> None:
        """Set the number of steps before the first one."""
        self.steps = self.planned = int(min(steps, self.most))

    def fraction(self, step: float) -> float:
        """Return the fraction of the budget that `step` steps use, at most 1."""
        return min(1.0, step / self.steps)

    def keep_time(self, step: int, step_seconds: float, other_seconds: float) -> None:
        """Remove steps if the rest would take too long, or add some if much time is left.

        Args:
            step: steps done.
            step_seconds: duration of a step.
            other_seconds: duration of the remaining validations and of the end of the run.
        """
        left = self.left() - other_seconds
        possible = min(self.most, step + max(1, int(left / max(step_seconds, 1e-9))))
        enough = _TOO_FEW if self.steps == self.planned else 1.0
        few, many = self.steps > possible, self.steps < enough * possible
        if few or (many and step < _TOO_LATE * self.steps):
            self.steps = int(possible)
