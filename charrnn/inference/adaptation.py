"""Dynamic evaluation: a model that keeps learning from the text it reads (Krause et al. 2018).

Each segment of the text is predicted first and learned from afterwards, so no prediction has seen
what it predicts. Every text starts from the weights of the checkpoint. The network and the weights
and counts of a mixture learn; n-gram models do not.

The network learns by gradient descent. The step of each weight is divided by the root mean square
of its gradients so far, as in RMSprop, and each weight decays towards its trained value.

A text can teach the wrong thing. So the unchanged network predicts too, and the prediction is a
mean of both, weighted by how well each predicted the segments before (Bayes' rule).

Letters: T steps, V vocabulary size, B = 1 column.
"""

import math
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from charrnn.errors import ConfigError, setting
from charrnn.ids import EOS, IGNORE
from charrnn.mixing.inputs import LENGTHS, TAIL
from charrnn.mixing.learning import LearningEvidence
from charrnn.mixing.mixed import MEMORY, LanguageModel, Mixed, UnrolledMixed
from charrnn.mixing.mixer import Mixer, log_softmax, target_log_probs
from charrnn.mixing.recall import Index
from charrnn.network.model import CharRNN
from charrnn.network.optim import clip_by_global_norm
from charrnn.network.unrolled import Prior
from charrnn.ngrams.ngram import NGram
from charrnn.ngrams.residual import Network, ResidualRNN, UnrolledResidual
from charrnn.storage.checkpoint import Checkpoint
from charrnn.text.unicode import normalize

Array = np.ndarray

SEGMENT = 16  # tokens between updates
RATE = 3.0  # of gradient descent on the mean loss of a segment
_CLIP = 1.0  # largest norm of a gradient
_EPSILON = 0.1  # added to root mean squares, which are 1 on average
_DECAY = 1e-3  # fraction of the way back to the trained weights per step, for an average gradient
_PRIOR = 10  # segments of an average weight, added to the count of squared gradients
_MIXING_RATE = 6e-4  # learning rate of SGD for the weights of a mixture, per prediction
_SHARE = 0.02  # of the belief, shared evenly after each segment, so that either can recover
_EXPLODED = 2.0  # nats per token; a segment predicted worse by more resets what was learned


class Descent:
    """Gradient descent scaled by root mean squares, with decay towards the trained weights.

    Args:
        weights: flat vector, updated in place.
        rate: learning rate.
    """

    def __init__(self, weights: Array, rate: float) -> None:
        self.weights, self.rate = weights, rate
        self.trained, self.squares = weights.copy(), np.zeros_like(weights)
        self.steps = 0
        self._scale, self._change, self._decay = np.empty((3, weights.size), weights.dtype)

    def step(self, gradient: Array) -> None:
        """Take a step, and decay towards the trained weights; overwrites the gradient."""
        if not np.isfinite(clip_by_global_norm(gradient, _CLIP)):
            return
        self.steps += 1
        scale, change, decay = self._scale, self._change, self._decay
        self.squares += np.multiply(gradient, gradient, out=scale)
        np.add(self.squares, _PRIOR / self.steps * self.squares.mean(), out=scale)
        np.sqrt(scale, out=scale)
        scale /= max(scale.mean(), np.finfo(scale.dtype).tiny)
        np.subtract(self.trained, self.weights, out=change)
        np.multiply(scale, _DECAY, out=decay)
        change *= np.minimum(decay, 0.5, out=decay)
        self.weights += change
        scale += _EPSILON
        gradient /= scale
        gradient *= self.rate
        self.weights -= gradient

    def restore(self) -> None:
        """Return to the trained weights."""
        self.weights[:] = self.trained


class UnrolledPair:
    """A network and a copy that learns, both reading one text, a segment at a time.

    The states (2 R, 1), or (2 R + n - 1, 1) with an n-gram model, hold the R numbers of the
    network's state, those of the copy's, and the contexts of the n-gram model.
    """

    def __init__(self, network: Network, rate: float) -> None:
        self.network, self.learner = network, network.copy()
        self.ngram = network.ngram if isinstance(network, ResidualRNN) else None
        trained, learning = _alone(network), _alone(self.learner)
        self.trained = trained.unroll(SEGMENT, 1)
        self.learning = learning.unroll(SEGMENT, 1, training=True)
        self.descent = Descent(self.learner.parameters.flat, rate)
        self.beliefs = np.array([0.5, 0.5])  # P(trained is better), P(learning is better)
        self.exploded = False
        self._added: Array | None = None  # (V, T), what the n-gram model adds to the logits

    def forward(self, inputs: Array, states: Array) -> tuple[Array, Array]:
        """Compute log P (T, V, 1) in nats after each input, and the states after the last step."""
        size = math.prod(self.learning.state_shape)
        before = states[:size], states[:size] if self.exploded else states[size : 2 * size]
        contexts = self._add_ngram(inputs, states[2 * size :])
        found, after = [], []
        for unrolled, state in zip((self.trained, self.learning), before, strict=True):
            own = state.reshape(unrolled.state_shape)
            logits, own = unrolled.forward(inputs, own, self._prior())
            found.append(log_softmax(np.ascontiguousarray(logits[..., 0])))
            after.append(own.reshape(-1, 1))
        if not np.isfinite(found[1]).all():
            found[1][:] = -np.inf
        self._log_probs = np.stack(found)
        shares = np.log(self.beliefs).astype(states.dtype)
        log_probs = np.logaddexp(*(self._log_probs + shares[:, None, None]))
        return log_probs[..., None], np.concatenate([*after, contexts], dtype=states.dtype)

    def parts(self, inputs: Array, states: Array) -> tuple[Array, Array, Array]:
        """Compute what `forward` does without the n-gram model; see `UnrolledResidual.parts`."""
        contexts = states[len(states) - (self.network.config.ngram - 1) :]
        read, _ = cast(NGram, self.ngram).contexts_after(inputs, contexts.astype(np.int64))
        log_probs, states = self.forward(inputs, states)
        return log_probs - cast(Array, self._added).T[..., None], read, states

    def _add_ngram(self, inputs: Array, contexts: Array) -> Array:
        """Set what the n-gram model adds to the logits; return the contexts after the inputs."""
        if self.ngram is None:
            return contexts
        read, after = self.ngram.contexts_after(inputs, contexts.astype(np.int64))
        self._added = self.ngram.distributions(read.reshape(len(read), -1))
        self._added *= self.network.config.ngram_scale
        return after

    def _prior(self) -> Prior | None:
        added = self._added
        return None if added is None else lambda part: added[:, part]

    def learn(self, targets: Array, rest: Array | None = None) -> None:
        """Learn from the segment that `forward` has predicted.

        Args:
            targets: (T, 1) ids.
            rest: (T, V), what a mixture adds to log P, so that the network learns what it lacks.
        """
        flat = targets[:, 0]
        trained, learned = (target_log_probs(each, flat).sum() for each in self._log_probs)
        lead = float(learned) - float(trained)
        odds = self.beliefs * np.exp([min(0.0, -lead), min(0.0, lead)])
        self.beliefs = (1 - _SHARE) * odds / odds.sum() + _SHARE / 2
        self.exploded = lead < -_EXPLODED * len(flat)
        if self.exploded:
            self.descent.restore()
            return
        if self._added is not None and rest is not None:
            self._added += rest.T
        self.learning.backward(targets, self._prior())
        gradient = self.learning.gradients.flat
        gradient /= max(1, np.count_nonzero(flat != IGNORE))
        self.descent.step(gradient)

    @property
    def better(self) -> Network:
        """The network that predicted the last segments better."""
        return self.learner if self.beliefs[1] > 0.5 else self.network


def _alone(network: Network) -> CharRNN:
    return network.network if isinstance(network, ResidualRNN) else network


@dataclass(frozen=True)
class Adaptive:
    """A model that learns from what it reads, afresh after each `unroll`.

    Args:
        model: not changed.
        rate: learning rate of the network.
    """

    model: Network | Mixed
    rate: float = RATE

    def zero_state(self, batch_size: int) -> Array:
        """Return the states before a document, without the memory of a mixture."""
        network = self.model.base if isinstance(self.model, Mixed) else self.model
        state = network.zero_state(1).reshape(-1, 1)
        contexts = network.ngram.config.order - 1 if isinstance(network, ResidualRNN) else 0
        return np.concatenate([state[: len(state) - contexts], state])

    def unroll(self, seq_len: int, batch_size: int) -> "UnrolledAdaptive":
        """Return a fresh learner for one text, whatever the sizes."""
        return UnrolledAdaptive(self.model, self.rate)


class UnrolledAdaptive:
    """A model that learns while it reads one text; the interface is that of `Unrolled`."""

    def __init__(self, model: Network | Mixed, rate: float) -> None:
        self.networks = UnrolledPair(model.base if isinstance(model, Mixed) else model, rate)
        self.mixed, self.memory = None, Index(LENGTHS, MEMORY)
        if isinstance(model, Mixed):
            mixer = Mixer(*(array.copy() for array in model.mixer.arrays.values()))
            own = Mixed(model.base, model.counts, mixer)
            own.evidence = self.evidence = LearningEvidence(model.counts)
            self.mixed = UnrolledMixed(own, cast(UnrolledResidual, self.networks))

    def log_probs(self, inputs: Array, targets: Array, states: Array) -> tuple[Array, Array]:
        """Compute log P (T, 1) of each target in nats, 0 for IGNORE, learning as it reads.

        Returns:
            log P, and the states after the last step.
        """
        found = np.empty(targets.shape)
        for start in range(0, len(targets), SEGMENT):
            part = slice(start, start + SEGMENT)
            with np.errstate(all="ignore"):
                found[part, 0], states = self._learn(inputs[part], targets[part], states)
        return found, states

    def _learn(self, inputs: Array, targets: Array, states: Array) -> tuple[Array, Array]:
        """Predict a segment, then learn from it; return log P (T,) and the states after it."""
        flat, rest = targets[:, 0], None
        if self.mixed is None:
            log_probs, states = self.networks.forward(inputs, states)
            found = target_log_probs(log_probs[..., 0], flat)
        else:
            own = self.memory.read(inputs[:, 0], TAIL)
            mixed, states = self.mixed.collect(inputs, states, *own)
            mixer, found = self.mixed.model.mixer, np.empty(len(flat))
            rest = np.empty((len(flat), self.mixed.model.vocab_size), states.dtype)
            for at, each in mixed:
                rest[at] = mixer.logits(each) - each.log_probs[0]
                found[at] = mixer.learn(each, flat[at], _MIXING_RATE)
                self.evidence.learn(flat[at])
        self.networks.learn(targets, rest)
        return found, states

    @property
    def learned(self) -> Network | Mixed:
        """The model with what it has learned, with the network that predicts better."""
        network = self.networks.better
        if self.mixed is None:
            return network
        own = self.mixed.model
        return Mixed(cast(ResidualRNN, network), self.evidence.learned, own.mixer)


def check_learns(model: LanguageModel) -> Network | Mixed:
    """Return the model; raise ConfigError if it is an n-gram model, which cannot learn."""
    if isinstance(model, NGram):
        raise ConfigError(f"{setting('adapt')} needs a network; this is an n-gram model")
    return model


def learned_from(checkpoint: Checkpoint, text: str) -> Checkpoint:
    """Return a checkpoint whose model has learned from a text.

    Raises:
        ConfigError: it is an n-gram model.
        CorpusError: the text is not valid Unicode.
    """
    adaptive = Adaptive(check_learns(checkpoint.model))
    tokens = checkpoint.vocabulary.encode(normalize(text))
    inputs, unrolled = np.append(EOS, tokens[:-1])[:, None], adaptive.unroll(SEGMENT, 1)
    unrolled.log_probs(inputs[: len(tokens)], tokens[:, None], adaptive.zero_state(1))
    return replace(checkpoint, model=unrolled.learned)
