"""Train an n-gram model: count the text, in one step."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from charrnn.config import ModelConfig, TrainConfig
from charrnn.errors import ConfigError, setting
from charrnn.ids import IGNORE
from charrnn.inference.evaluation import evaluate
from charrnn.ngrams.kneser_ney import MAX_SIZE, count_ngrams, fit
from charrnn.parallel.threads import Workers
from charrnn.text.tokens import Encoded
from charrnn.training.budget import Budget
from charrnn.training.learner import Interruptible
from charrnn.training.memory import most_ngrams
from charrnn.training.mixture import MixtureFitting
from charrnn.training.progress import Progress
from charrnn.training.snapshot import Counters, Snapshot
from charrnn.training.validator import Validator


class NGramTrainer:
    """A `Learner` for n-gram models, which takes a single step.

    Args:
        model_config: with the order.
        split: the training split.
        validator: None if nothing is held out.
        config: of the run.
        count_eos: whether the ends of documents count in the loss on `split`.
        workers: threads that evaluate the model.
    """

    interruptible: Interruptible = contextlib.nullcontext
    mixture: MixtureFitting | None = None
    passes = 1.0
    early = ""

    def __init__(
        self,
        model_config: ModelConfig,
        split: Encoded,
        validator: Validator | None,
        config: TrainConfig,
        *,
        count_eos: bool,
        workers: Workers,
    ) -> None:
        self.model_config, self.split, self.validator = model_config, split, validator
        self.config, self.count_eos, self.workers = config, count_eos, workers
        nothing = np.array([IGNORE])
        self.model = fit(model_config, count_ngrams(model_config, nothing))  # uniform at first
        self.budget = Budget(1)
        self.counters = Counters()

    def train(self) -> Iterator[Progress]:
        """Count and validate.

        Yields:
            The progress after the only step.

        Raises:
            ConfigError: there are more k-grams than fit into memory.
        """
        counters = self.counters
        if counters.step:
            return
        with self.interruptible():
            start = time.perf_counter()
            self._count()
            seconds = time.perf_counter() - start
            train = evaluate(self.model, self.split, self.workers, count_eos=self.count_eos)
            found = self.validator.evaluate(self.model) if self.validator else None
        counters.chars, counters.seconds = self.split.num_chars(eos=True), seconds
        counters.best_loss = (found or train).loss
        counters.step = counters.validations = 1
        yield Progress(
            step=1,
            epochs=1.0,
            fraction=1.0,
            loss=train.loss,
            learning_rate=0.0,
            chars=round(counters.chars),
            seconds=counters.seconds,
            train_loss=train.loss,
            validation=found,
            best=True,
        )

    def _count(self) -> None:
        tokens = self.split.tokens
        try:
            counted = count_ngrams(self.model_config, tokens, most_ngrams(len(tokens)))
        except ValueError as error:
            raise ConfigError(f"{error}: lower {setting('order')}") from None
        self.model = fit(self.model_config, counted, self.config.max_ngrams or MAX_SIZE)

    def plan(self) -> None:
        """Do nothing: counting is one step whatever the budget."""

    def extend(self) -> None:
        """Do nothing: a longer budget counts no more."""

    def expected_seconds(self) -> float:
        """Return 0: counting takes a moment."""
        return 0.0

    def at_best(self) -> contextlib.AbstractContextManager[object]:
        """Return an empty context: a counted model is the best one."""
        return contextlib.nullcontext()

    def snapshot(self) -> Snapshot:
        """Return the counters alone: counting again takes a moment."""
        return Snapshot(replace(self.counters))

    def restore(self, snapshot: Snapshot) -> None:
        """Restore the counters, and count again if the snapshot had counted."""
        self.counters = replace(snapshot.counters)
        if self.counters.step:
            self._count()
