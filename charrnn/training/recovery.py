"""What a run does when it goes wrong: back to the best weights, at a lower learning rate."""

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

_EXPLODED = 1.25  # the loss by that of a guess among all tokens
_MEMORY = 16  # steps, about, over which that loss is averaged
_MOST_TROUBLES = 5


class Recovery:
    """The best weights of a run, which it goes back to when it goes wrong.

    Args:
        optimizer: of the model, whose parameters and moments a return changes in place.
    """

    def __init__(self, model: Network, optimizer: Adam, config: TrainConfig) -> None:
        self.model, self.optimizer, self.config = model, optimizer, config
        self.best = model.parameters.flat.copy()  # or good enough to go back to

    def keep(self) -> None:
        """Take the weights as they are for the best ones."""
        self.best[:] = self.model.parameters.flat

    def take_best(self) -> None:
        """Give the model the best weights."""
        self.model.parameters.flat[:] = self.best

    def reason(self, counters: Counters, loss: float, norm: float) -> str:
        """Why a step had better not be taken, empty where all is well.

        Args:
            loss: nats per token.
            norm: of the gradient.
        """
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return "the loss is not a finite number"
        counters.recent_loss += (loss / self._guess - counters.recent_loss) / _MEMORY
        return "the loss is above that of a guess" if counters.recent_loss > _EXPLODED else ""

    def go_back(self, counters: Counters, reason: str, chunk: Chunk | None = None) -> str:
        """Go back to the best weights, at half the learning rate; what happened, in words.

        Adam forgets its direction, but not how large gradients are, so that its next steps are
        small.

        Args:
            chunk: what the model was learning from.

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
        """The error, with what to change, once the model has its best weights again."""
        self.take_best()
        return DivergedError(
            f"training diverged at step {step}: {reason}; try {self._advice(chunk)}"
        )

    def _advice(self, chunk: Chunk | None) -> str:
        """What to change: the learning rate, unless it happens without a step."""
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
        """Whether a chunk is worse than a guess from the zero state, without another step."""
        inputs, targets = chunk
        steps, columns = inputs.shape
        unrolled = self.model.unroll(steps, columns, training=True)
        state = self.model.zero_state(columns)
        nats, _, _ = unrolled.gradient(inputs, targets, state, dropout=dropout)
        return not nats.sum() <= _EXPLODED * self._guess * np.count_nonzero(targets != IGNORE)

    @property
    def _guess(self) -> float:
        """Nats per token of a guess among all tokens."""
        return math.log(self.model.config.vocab_size)
