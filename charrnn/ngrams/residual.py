"""A network on top of an n-gram model: the network learns what counting cannot know.

Letters: T steps, B batch size (columns), V vocabulary size, N = T·B predictions, n the order.

logits = network + scale · log P of the n-gram model

In training each position's own occurrence is left out of the counts
(`charrnn.ngrams.leave_one_out`); otherwise the n-gram model would seem to know everything.

The state is one array (R + n - 1, B): the R numbers of the network's state, then the contexts of
the n-gram model, node numbers that float32 represents exactly.
"""

from collections.abc import Mapping

import numpy as np

from charrnn.config import ModelConfig
from charrnn.network.draws import Draws
from charrnn.network.model import CharRNN
from charrnn.network.parameters import Parameters
from charrnn.network.unrolled import Prior, Unrolled
from charrnn.ngrams.leave_one_out import LeaveOneOut
from charrnn.ngrams.ngram import NONE, NGram

Array = np.ndarray

MAX_NGRAMS = (1 << 24) - 1  # float32 represents node numbers up to here exactly


def ngram_config(config: ModelConfig) -> ModelConfig:
    """Return the configuration of the n-gram model beside a network of this configuration."""
    return ModelConfig(vocab_size=config.vocab_size, cell="ngram", order=config.ngram)


class ResidualRNN:
    """A network and an n-gram model with the same vocabulary.

    Args:
        network: its configuration has the order and the scale of the n-gram model.
        ngram: at most MAX_NGRAMS k-grams.
        left_out: leave-one-out counts for training, at most MAX_NGRAMS k-grams.

    Raises:
        ValueError: there are too many k-grams.
    """

    def __init__(self, network: CharRNN, ngram: NGram, left_out: LeaveOneOut | None = None) -> None:
        if max(ngram.size, left_out.ngram.size if left_out else 0) > MAX_NGRAMS:
            raise ValueError("the n-gram model is too large to stand beside a network")
        self.network, self.ngram, self.left_out = network, ngram, left_out
        self.config = network.config

    @classmethod
    def from_arrays(cls, config: ModelConfig, arrays: Mapping[str, Array]) -> "ResidualRNN":
        """Build a model from its `arrays`.

        Raises:
            ValueError: those of the n-gram part do not describe a model.
        """
        ngram = NGram.from_arrays(ngram_config(config), arrays)
        return cls(CharRNN.from_arrays(config, arrays), ngram)

    def copy(self) -> "ResidualRNN":
        """Return a model with a copy of the parameters; the n-gram model is shared."""
        return ResidualRNN(self.network.copy(), self.ngram)

    @property
    def parameters(self) -> Parameters:
        """The parameters of the network."""
        return self.network.parameters

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.config.vocab_size

    @property
    def size(self) -> int:
        """Number of parameters of the network."""
        return self.network.size

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays of a checkpoint by name."""
        return {**self.network.arrays, **self.ngram.arrays}

    def zero_state(self, batch_size: int) -> Array:
        """Return the state before a document (R + n - 1, B)."""
        network, contexts = self.network.zero_state(batch_size), self.ngram.zero_state(batch_size)
        return np.concatenate([network.reshape(-1, batch_size), contexts]).astype(network.dtype)

    def check_state(self, state: Array) -> None:
        """Raise ValueError unless a state (R + n - 1, B) holds contexts of the n-gram model."""
        ngram = self.left_out.ngram if self.left_out else self.ngram
        contexts = state[len(state) - (ngram.config.order - 1) :]
        within = (contexts >= NONE) & (contexts <= ngram.size) & (contexts == np.floor(contexts))
        if not within.all():
            raise ValueError("its state holds no contexts of its n-gram model")

    def unroll(
        self, seq_len: int, batch_size: int, *, training: bool = False
    ) -> "UnrolledResidual":
        """Return the model with work buffers for chunks of at most T steps and exactly B columns.

        Args:
            training: whether weights may change from call to call, and targets are left out of the
                counts.
        """
        left_out = self.left_out if training else None
        ngram = left_out.ngram if left_out else self.ngram
        network = self.network.unroll(seq_len, batch_size, training=training)
        return UnrolledResidual(network, ngram, left_out)


class UnrolledResidual:
    """A network and its n-gram model over at most T steps; the interface is that of `Unrolled`."""

    def __init__(self, unrolled: Unrolled, ngram: NGram, left_out: LeaveOneOut | None) -> None:
        self.unrolled, self.ngram, self.left_out = unrolled, ngram, left_out

    @property
    def gradients(self) -> Parameters:
        """Gradient of every parameter, which `gradient` fills."""
        return self.unrolled.gradients

    def run(self, inputs: Array, state: Array) -> Array:
        """Return the state after inputs (T, B), without predicting anything."""
        network, contexts = self._split(state)
        return _joined(self.unrolled.run(inputs, network), self.ngram.run(inputs, contexts))

    def forward(
        self, inputs: Array, state: Array, *, targets: Array | None = None
    ) -> tuple[Array, Array]:
        """Compute the logits (T, V, B) after each input, and the state after the last step.

        Args:
            inputs: (T, B) ids, the token before each step.
            state: (R + n - 1, B) before the first step.
            targets: (T, B) ids, the token after each input; training leaves it out of the counts.
        """
        network, contexts = self._split(state)
        prior, after = self._prior(inputs, contexts, targets)
        logits, network = self.unrolled.forward(inputs, network, prior)
        return logits, _joined(network, after)

    def parts(self, inputs: Array, state: Array) -> tuple[Array, Array, Array]:
        """Compute the two parts of `forward` separately.

        Returns:
            The network's logits (T, V, B), the n-gram model's contexts (n, T, B) after each input,
            and the state after the last step.
        """
        network, contexts = self._split(state)
        read, after = self.ngram.contexts_after(inputs, contexts)
        logits, network = self.unrolled.forward(inputs, network)
        return logits, read, _joined(network, after)

    def log_probs(self, inputs: Array, targets: Array, state: Array) -> tuple[Array, Array]:
        """Compute log P (T, B) of each target in nats, 0 for IGNORE, and the state after them."""
        network, contexts = self._split(state)
        prior, after = self._prior(inputs, contexts)
        found, network = self.unrolled.log_probs(inputs, targets, network, prior)
        return found, _joined(network, after)

    def gradient(
        self,
        inputs: Array,
        targets: Array,
        state: Array,
        *,
        scale: float = 1.0,
        dropout: Draws | None = None,
        trace: list[Array] | None = None,
    ) -> tuple[Array, Array, Array]:
        """Run forward and backward: fill `gradients`; arguments as for `Unrolled.gradient`.

        Returns:
            The loss (T, B) of each target in nats, the state after the last step, and the gradient
            of the network's state before the first step.
        """
        network, contexts = self._split(state)
        prior, after = self._prior(inputs, contexts, targets)
        nats, network, dstate = self.unrolled.gradient(
            inputs, targets, network, prior=prior, scale=scale, dropout=dropout, trace=trace
        )
        return nats, _joined(network, after), dstate

    def _split(self, state: Array) -> tuple[Array, Array]:
        """Split a state into the network's and the n-gram model's."""
        rows = len(state) - (self.ngram.config.order - 1)
        network = state[:rows].reshape(self.unrolled.state_shape)
        return network, state[rows:].astype(np.int64)

    def _prior(
        self, inputs: Array, contexts: Array, targets: Array | None = None
    ) -> tuple[Prior, Array]:
        """Return what the n-gram model adds to the logits, and its state after the inputs."""
        read, after = self.ngram.contexts_after(inputs, contexts)
        columns = read.reshape(len(read), -1)  # (n, N)

        def prior(part: slice) -> Array:
            if self.left_out is None or targets is None:
                log_probs = self.ngram.distributions(columns[:, part])
            else:
                own = np.maximum(targets.reshape(-1)[part], 0)
                log_probs = self.left_out.distributions(columns[:, part], own)
            log_probs *= self.unrolled.config.ngram_scale
            return log_probs

        return prior, after


def _joined(network: Array, contexts: Array) -> Array:
    parts = network.reshape(-1, network.shape[-1]), contexts
    return np.concatenate(parts, dtype=network.dtype, casting="unsafe")


Network = CharRNN | ResidualRNN
