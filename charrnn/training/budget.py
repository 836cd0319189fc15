"""How many steps a run has, and when it has to be over."""

import math
import time
from dataclasses import dataclass, field

from charrnn.config import TrainConfig
from charrnn.training.plan import MOST_PASSES

_TOY_STEPS = 2_000  # for texts so short that this is more; as the plan has it
_TOO_FEW = 0.95  # of the steps that there is time for; fewer as planned are kept, to be repeated
_TOO_LATE = 0.95  # of the steps: none are added to a learning rate that is nearly zero


@dataclass
class Budget:
    """How many steps a run has, and when it has to be over.

    Args:
        deadline: seconds on `time.perf_counter`, for everything.
        reserve: seconds needed at the end for what is neither training nor validating.
        most: steps after which more would only learn the text by heart.
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
        """The budget of a configuration; that of minutes is one step until it is planned.

        Args:
            started: when the process started on `time.perf_counter`; None: now.
        """
        if config.minutes is not None:
            deadline = (time.perf_counter() if started is None else started) + 60 * config.minutes
            return cls(1, deadline, most=max(_TOY_STEPS, MOST_PASSES * steps_per_epoch))
        if config.epochs is not None:
            return cls(max(1, round(config.epochs * steps_per_epoch)))
        return cls(config.steps or 1)

    def left(self) -> float:
        """Seconds for training and validating."""
        return self.deadline - self.reserve - time.perf_counter()

    def plan(self, steps: int) -> None:
        """Set the number of steps before the first one."""
        self.steps = self.planned = int(min(steps, self.most))

    def fraction(self, step: float) -> float:
        """The share used once `step` steps are done, at most 1."""
        return min(1.0, step / self.steps)

    def keep_time(self, step: int, step_seconds: float, other_seconds: float) -> None:
        """Take steps away where the rest would last too long, or add some where much time is left.

        Args:
            step: how many steps are done.
            step_seconds: how long a step takes.
            other_seconds: how long the validations to come take.
        """
        left = self.left() - other_seconds
        possible = min(self.most, step + max(1, int(left / max(step_seconds, 1e-9))))
        enough = _TOO_FEW if self.steps == self.planned else 1.0
        few, many = self.steps > possible, self.steps < enough * possible
        if few or (many and step < _TOO_LATE * self.steps):
            self.steps = int(possible)
