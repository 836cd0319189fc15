"""The interface of what a run trains: `Trainer` for networks, `NGramTrainer` for n-grams."""

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

Interruptible = Callable[[], AbstractContextManager[object]]  # work that Ctrl-C may abort at once


class Learner(Protocol):
    """A model that is trained step by step."""

    interruptible: Interruptible
    config: TrainConfig
    budget: Budget
    counters: Counters
    workers: Workers
    mixture: MixtureFitting | None  # fitted after training
    validator: Validator | None  # None if nothing is held out

    @property
    def model(self) -> LanguageModel:
        """The model with the latest weights during training, the best ones afterwards."""

    @property
    def passes(self) -> float:
        """Passes over the training text in the budget."""

    @property
    def early(self) -> str:
        """Why a run by minutes ended early; empty if it did not."""

    def plan(self) -> None:
        """Turn a budget in minutes into steps; other budgets stay unchanged."""

    def expected_seconds(self) -> float:
        """Return the measured duration of all steps and validations."""

    def train(self) -> Iterator[Progress]:
        """Train from the current step until the budget is used up."""

    def at_best(self) -> AbstractContextManager[object]:
        """Return a context in which the model has its best weights so far."""

    def snapshot(self) -> Snapshot:
        """Return what is needed to resume from here; call it between two steps."""

    def restore(self, snapshot: Snapshot) -> None:
        """Resume from a snapshot; raise ValueError if it belongs to another run."""

    def extend(self) -> None:
        """Plan the rest of a budget that is longer than that of the restored snapshot."""
