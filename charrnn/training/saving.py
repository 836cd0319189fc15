"""The files of a run: its model, the one that it replaces, and what it needs to resume."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from charrnn.parallel.processes import World
from charrnn.storage import checkpoint
from charrnn.storage.checkpoint import Checkpoint
from charrnn.training.budget import Budget
from charrnn.training.resuming import Suspended

T = TypeVar("T")

_SAVING_SHARE = 0.02  # of the time, at most, for what a run that is killed needs to go on
_LEAST_TO_LOSE = 1.0  # seconds
_LEAVING = 0.5  # seconds that a process takes to end


class Files:
    """Writes a model and, beside it, what is needed to resume the run.

    Where a run has several processes, all of them make the same calls, and rank 0 writes.

    Args:
        budget: its reserve is kept at what writing takes at the end of the run.
    """

    def __init__(self, path: Path, world: World, budget: Budget) -> None:
        self.path, self.world, self.budget = path, world, budget
        self._next_suspend = math.inf  # when, on time.perf_counter
        self._seconds: dict[str, float] = {}  # for the last file of a kind

    def keep_previous(self) -> None:
        """Keep an older model as NAME.previous.npz.

        Raises:
            CheckpointError: the system refuses.
        """
        self._alone(lambda: checkpoint.keep_previous(self.path))

    def save(self, make: Callable[[], Checkpoint]) -> None:
        """Write a model.

        Raises:
            CheckpointError: it cannot be written; what was there is intact.
        """
        with self._timed("save"):
            self._alone(lambda: checkpoint.save(make(), self.path))

    def suspend(self, run: Suspended) -> None:
        """Write what is needed to go on from here.

        Raises:
            CheckpointError: it cannot be written; what was there is intact.
        """
        self._next_suspend = time.perf_counter() + _LEAST_TO_LOSE
        with self._timed("suspend"):
            self._alone(lambda: run.save(checkpoint.beside(self.path, checkpoint.RESUME)))
        pause = max(_LEAST_TO_LOSE, self._seconds["suspend"] / _SAVING_SHARE)
        self._next_suspend = time.perf_counter() + pause

    def suspending_is_due(self) -> bool:
        """Whether more would be lost with the process than writing costs."""
        return self.world.broadcast(time.perf_counter() > self._next_suspend)

    def forget(self) -> None:
        """Remove what is needed to go on."""
        if self.world.speaks:
            checkpoint.beside(self.path, checkpoint.RESUME).unlink(missing_ok=True)

    def model_exists(self) -> bool:
        """Whether there is a model, of whatever run."""
        return self._alone(self.path.exists)

    def _alone(self, function: Callable[[], T]) -> T:
        """What has to do with files, which is for one process; an error is that of all of them."""
        return self.world.together(function, alone=True)

    @contextlib.contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        """Reserve as much time for the end of the run, where two models are written and the run."""
        clock = time.perf_counter()
        yield
        self._seconds[kind] = time.perf_counter() - clock
        suspending = self._seconds.get("suspend", 0.0)
        saving = self._seconds.get("save", suspending)
        self.budget.reserve = _LEAVING + suspending + 2 * saving
