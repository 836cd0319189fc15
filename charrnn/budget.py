"""How many steps a run has, and when it has to be over."""

import math
import time
from dataclasses import dataclass, field

_TOO_FEW = 0.95  # of the steps that there is time for
_TOO_LATE = 0.8  # of the steps: none are added to a learning rate that is nearly zero


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
