"""The files of a run: its model, the older model it replaces, and the state to resume from."""

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

_SAVING_SHARE = 0.02  # largest share of the time for saving what a killed run needs to resume
_LEAST_TO_LOSE = 1.0  # seconds between two savings at least
_LEAVING = 0.5  # seconds for the process to end


class Files:
    """Writes the files of a run.

    If the run has several processes, all make the same calls, and rank 0 writes.

    Args:
        path: the model file.
        world: the processes of the run.
        budget: its reserve is updated to the time that writing takes at the end of the run.
    """

    def __init__(self, path: Path, world: World, budget: Budget) -> None:
        self.path, self.world, self.budget = path, world, budget
        self._next_suspend = math.inf  # in seconds of time.perf_counter
        self._seconds: dict[str, float] = {}  # that the last file of each kind took

    def keep_previous(self) -> None:
        """Rename an older model to NAME.previous.npz.

        Raises:
            CheckpointError: the system refuses.
        """
        self._alone(lambda: checkpoint.keep_previous(self.path))

    def save(self, make: Callable[[], Checkpoint]) -> None:
        """Write a model.

        Args:
            make: returns it; called on rank 0 only.

        Raises:
            CheckpointError: it cannot be written; the old file is intact.
        """
        with self._timed("save"):
            self._alone(lambda: checkpoint.save(make(), self.path))

    def suspend(self, run: Suspended) -> None:
        """Write what is needed to resume from here.

        Raises:
            CheckpointError: it cannot be written; the old file is intact.
        """
        self._next_suspend = time.perf_counter() + _LEAST_TO_LOSE
        with self._timed("suspend"):
            self._alone(lambda: run.save(checkpoint.beside(self.path, checkpoint.RESUME)))
        pause = max(_LEAST_TO_LOSE, self._seconds["suspend"] / _SAVING_SHARE)
        self._next_suspend = time.perf_counter() + pause

    def suspending_is_due(self) -> bool:
        """Whether a crash would lose more time than writing takes."""
        return self.world.broadcast(time.perf_counter() > self._next_suspend)

    def forget(self) -> None:
        """Remove what is needed to resume."""
        if self.world.speaks:
            checkpoint.beside(self.path, checkpoint.RESUME).unlink(missing_ok=True)

    def model_exists(self) -> bool:
        """Whether the model file exists, from whatever run."""
        return self._alone(self.path.exists)

    def _alone(self, function: Callable[[], T]) -> T:
        """Call a function that uses files on rank 0 only; an error is raised on all ranks."""
        return self.world.together(function, alone=True)

    @contextlib.contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        """Time a write, and reserve time for the last ones: two models, and the run."""
        clock = time.perf_counter()
        yield
        self._seconds[kind] = time.perf_counter() - clock
        suspending = self._seconds.get("suspend", 0.0)
        saving = self._seconds.get("save", suspending)
        self.budget.reserve = _LEAVING + suspending + 2 * saving
