"""What a run asks of what it trains: `Trainer` for networks, `NGramTrainer` for counts."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from charrnn.config import TrainConfig
from charrnn.mixing.mixed import LanguageModel
from charrnn.parallel.threads import Workers
from charrnn.training.budget import Budget
from charrnn.training.mixture import MixtureFitting
from charrnn.training.progress import Progress
from charrnn.training.snapshot import Counters, Snapshot
from charrnn.training.validator import Validator

Interruptible = Callable[[], AbstractContextManager[object]]  # what may be broken off at any moment


class Learner(Protocol):
    """A model that learns, step by step."""

    interruptible: Interruptible
    config: TrainConfig
    budget: Budget
    counters: Counters
    workers: Workers
    mixture: MixtureFitting | None  # what is fitted when it has learned
    validator: Validator | None  # None where nothing is held out

    @property
    def model(self) -> LanguageModel:
        """The latest weights while it learns, the best ones afterwards."""

    @property
    def passes(self) -> float:
        """How often the budget reads the training text."""

    @property
    def early(self) -> str:
        """Why a run with a budget of time ended before its time, empty where it did not."""

    def plan(self) -> None:
        """Plan as many steps as a budget of minutes has room for; no other budget changes."""

    def expected_seconds(self) -> float:
        """How long all steps and validations take, as measured."""

    def train(self) -> Iterator[Progress]:
        """Learn until the budget is used up, from where it stands."""

    def at_best(self) -> AbstractContextManager[object]:
        """A context in which the model has its best weights so far."""

    def snapshot(self) -> Snapshot:
        """Where it stands between two steps."""

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot; ValueError where it is not of such a run."""

    def extend(self) -> None:
        """Plan what is left of a budget that is longer than the one of the restored snapshot."""
