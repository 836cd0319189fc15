"""Recovery from divergence: back to the best weights, with a lower learning rate."""

import math

import numpy as np

from charrnn.config import TrainConfig
from charrnn.errors import DivergedError, setting
from charrnn.ids import IGNORE
from charrnn.network.draws import Draws
from charrnn.network.optim import Adam
from charrnn.ngrams.residual import Network
from charrnn.training.batches import Chunk
from charrnn.training.snapshot import Counters

_EXPLODED = 1.25  # limit of the loss, relative to that of a uniform guess
_MEMORY = 16  # steps over which the loss is averaged, about
_MOST_TROUBLES = 5


class Recovery:
    """Keeps the best weights of a run, and returns to them when training diverges.

    Args:
        model: changed in place.
        optimizer: of the model, changed in place.
        config: of the run.
    """

    def __init__(self, model: Network, optimizer: Adam, config: TrainConfig) -> None:
        self.model, self.optimizer, self.config = model, optimizer, config
        self.best = model.parameters.flat.copy()  # at first the initial weights

    def keep(self) -> None:
        """Remember the current weights as the best."""
        self.best[:] = self.model.parameters.flat

    def take_best(self) -> None:
        """Give the model the best weights."""
        self.model.parameters.flat[:] = self.best

    def reason(self, counters: Counters, loss: float, norm: float) -> str:
        """Return why a step should not be taken; empty if all is well.

        Args:
            counters: of the run; the average loss is updated.
            loss: of the step, in nats per token.
            norm: of the gradient.
        """
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return "the loss is not a finite number"
        counters.recent_loss += (loss / self._guess - counters.recent_loss) / _MEMORY
        return "the loss is above that of a guess" if counters.recent_loss > _EXPLODED else ""

    def go_back(self, counters: Counters, reason: str, chunk: Chunk | None = None) -> str:
        """Return to the best weights with half the learning rate; return what happened, in words.

        Adam's mean is reset but not its mean square, so its next steps are small.

        Args:
            counters: of the run.
            reason: why.
            chunk: the chunk that the step learned from, if any.

        Raises:
            DivergedError: it has happened too often.
        """
        counters.troubles += 1
        if counters.troubles > _MOST_TROUBLES:
            raise self.diverged(counters.step, reason, chunk)
        counters.rate_factor /= 2
        counters.recent_loss = 0.0
        self.take_best()
        self.optimizer.mean[:] = 0
        rate = counters.rate_factor * self.config.learning_rate
        return f"{reason}: back to the best weights, with a learning rate of at most {rate:.2g}"

    def diverged(self, step: int, reason: str, chunk: Chunk | None = None) -> DivergedError:
        """Return to the best weights; return the error, which says what to change."""
        self.take_best()
        return DivergedError(
            f"training diverged at step {step}: {reason}; try {self._advice(chunk)}"
        )

    def _advice(self, chunk: Chunk | None) -> str:
        """Say what to change: the learning rate, unless the loss explodes without any step."""
        model, config = self.model.config, self.config
        if chunk is not None and self._explodes(chunk):
            advice = []
            if model.num_layers > 1:
                advice.append(f"fewer {setting('num_layers')} than {model.num_layers}")
            if model.activation == "relu":
                advice.append(f"another {setting('activation')} than relu")
            if advice:
                return " or ".join(advice)
        elif chunk is not None and self._explodes(chunk, Draws(np.random.default_rng(config.seed))):
            name = "recurrent_dropout" if model.recurrent_dropout else "dropout"
            return f"a lower {setting(name)} than {getattr(model, name):g}"
        rate = f"{setting('learning_rate')} than {config.learning_rate:g}"
        return f"a lower {rate}, or a lower {setting('clip_norm')}"

    def _explodes(self, chunk: Chunk, dropout: Draws | None = None) -> bool:
        """Whether the loss of a chunk, from zero state, exceeds that of a guess."""
        inputs, targets = chunk
        steps, columns = inputs.shape
        unrolled = self.model.unroll(steps, columns, training=True)
        state = self.model.zero_state(columns)
        nats, _, _ = unrolled.gradient(inputs, targets, state, dropout=dropout)
        return not nats.sum() <= _EXPLODED * self._guess * np.count_nonzero(targets != IGNORE)

    @property
    def _guess(self) -> float:
        """Loss of a uniform guess, in nats per token."""
        return math.log(self.model.config.vocab_size)
