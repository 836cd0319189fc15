"""Logarithmic mixing of predictions: context-dependent weights, learned by SGD.

Letters: D dense inputs, K sparse inputs, N positions, V vocabulary size, E pairs of a position and
a token, S sets of weights, R rows of all sets.

z(w) = Σ_d v_d · log P_d(w) + Σ_k v_k · x_k(w),   P = softmax(z)

P_d are distributions, first the base's, and x_k(w) is the opinion of input k on token w, in nats.
Each weight v is a sum: one row of each set, chosen by the context, plus a number of the input
itself, chosen by how much it knows here. PAQ compressors mix this way (Mahoney 2005), but bits
instead of tokens.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from charrnn.ids import IGNORE

Array = np.ndarray

LEVELS = 20  # how much an input knows: 0 to LEVELS - 1
_CLIP = 4.0  # nats; limit of the gradient of a weight at one position


@dataclass(frozen=True)
class Inputs:
    """The inputs of a mixture at N positions.

    Attributes:
        log_probs: (D, N, V) in nats, the base's first.
        sizes: (K·N,) number of tokens that sparse input k knows at position n, input by input.
        tokens: (E,) these tokens.
        values: (E,) x_k of these tokens, in nats; 0 for all others.
        rows: (S, N) the row of each set to use.
        levels: (D + K, N) how much each input knows.
    """

    log_probs: Array
    sizes: Array
    tokens: Array
    values: Array
    rows: Array
    levels: Array

    @property
    def places(self) -> Array:
        """The place (E,) of each pair in a flattened array (N, V)."""
        _, N, V = self.log_probs.shape
        first = np.arange(len(self.sizes)) % N * V
        found: Array = np.repeat(first, self.sizes) + self.tokens
        return found

    def split(self, size: int) -> Iterator["Inputs"]:
        """Yield the inputs of `size` positions at a time, a divisor of N."""
        N = self.log_probs.shape[1]
        groups = np.arange(len(self.sizes)) % N // size
        order = np.argsort(np.repeat(groups, self.sizes), kind="stable")
        ends = np.cumsum(np.bincount(groups, self.sizes).astype(np.int64))
        sizes = self.sizes.reshape(-1, N)
        for first, stop, end in zip(range(0, N, size), range(size, N + 1, size), ends, strict=True):
            own = slice(first, stop)
            pairs = order[end - sizes[:, own].sum() : end]
            yield Inputs(
                self.log_probs[:, own],
                sizes[:, own].reshape(-1),
                self.tokens[pairs],
                self.values[pairs],
                self.rows[:, own],
                self.levels[:, own],
            )


class Mixer:
    """The weights of a mixture.

    Args:
        sets: (R, D + K), the rows of all sets.
        own: (D + K, LEVELS), a number for each level of each input.
    """

    def __init__(self, sets: Array, own: Array) -> None:
        self.sets, self.own = sets, own

    @classmethod
    def initial(cls, num_rows: int, num_inputs: int) -> "Mixer":
        """Return the mixer that predicts what the base predicts."""
        own = np.zeros((num_inputs, LEVELS), np.float32)
        own[0] = 1
        return cls(np.zeros((num_rows, num_inputs), np.float32), own)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "Mixer":
        """Build a mixer from its `arrays`.

        Raises:
            ValueError: a weight is not a number.
        """
        if not all(np.isfinite(arrays[name]).all() for name in ("sets", "own")):
            raise ValueError("the weights of the mixture are not finite")
        return cls(arrays["sets"], arrays["own"])

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays by name."""
        return {"sets": self.sets, "own": self.own}

    def weights(self, inputs: Inputs) -> Array:
        """Return the weights v (D + K, N)."""
        found: Array = self.sets[inputs.rows].sum(axis=0).T
        found += self.own[np.arange(len(self.own))[:, None], inputs.levels]
        return found

    def logits(self, inputs: Inputs) -> Array:
        """Return the logits z (N, V)."""
        weights = self.weights(inputs)
        found = self._dense(inputs, weights)
        np.add.at(found.reshape(-1), inputs.places, self._sparse(inputs, weights))
        return found

    def logits_apart(self, inputs: Inputs, apart: Array) -> tuple[Array, Array]:
        """Return the logits z (N, V), and what some sparse inputs add to them.

        Args:
            inputs: what is mixed.
            apart: (K,) which sparse inputs.
        """
        weights = self.weights(inputs)
        found = self._dense(inputs, weights)
        added, places = self._sparse(inputs, weights), inputs.places
        share, whose = np.zeros_like(found), np.repeat(apart, found.shape[0])
        pairs = np.repeat(whose, inputs.sizes)
        np.add.at(share.reshape(-1), places[pairs], added[pairs])
        np.add.at(found.reshape(-1), places[~pairs], added[~pairs])
        found += share
        return found, share

    def _dense(self, inputs: Inputs, weights: Array) -> Array:
        """Return what the dense inputs add to the logits (N, V)."""
        dense = len(inputs.log_probs)
        found: Array = np.multiply(inputs.log_probs[0], weights[0][:, None], order="C")
        for own, log_probs in zip(weights[1:dense], inputs.log_probs[1:], strict=True):
            found += log_probs * own[:, None]
        return found

    def _sparse(self, inputs: Inputs, weights: Array) -> Array:
        """Return what the sparse inputs add to the logits, for each pair (E,)."""
        own = weights[len(inputs.log_probs) :].reshape(-1)
        found: Array = np.repeat(own, inputs.sizes) * inputs.values
        return found

    def gradient(self, inputs: Inputs, targets: Array) -> tuple[Array, Array]:
        """Compute log P of each target and the gradient of -log P by each weight.

        Returns:
            log P (N,) in nats, and the gradient (D + K, N); both 0 where the target is IGNORE.
        """
        log_probs = log_softmax(self.logits(inputs))
        found = target_log_probs(log_probs, targets)
        error = np.exp(log_probs, out=log_probs)
        error[np.arange(len(targets)), targets] -= 1
        error[targets == IGNORE] = 0
        dense = [np.einsum("nv,nv->n", each, error) for each in inputs.log_probs]
        parts = inputs.values * error.reshape(-1)[inputs.places]
        queries = np.repeat(np.arange(len(inputs.sizes)), inputs.sizes)
        others = np.bincount(queries, parts, len(inputs.sizes))
        return found, np.concatenate([*dense, others]).reshape(-1, len(targets))

    def learn(self, inputs: Inputs, targets: Array, rate: float) -> Array:
        """Take a step of SGD on -log P of targets (N,); return log P (N,) before it, in nats.

        Args:
            inputs: what is mixed.
            targets: (N,) ids; nothing is learned from IGNORE.
            rate: learning rate per position.
        """
        log_probs, step = self.gradient(inputs, targets)
        step = -rate * np.clip(step, -_CLIP, _CLIP)
        np.add.at(self.sets, inputs.rows, step.T)
        inputs_of = np.arange(len(self.own))[:, None]
        np.add.at(self.own, (inputs_of, inputs.levels), step)
        return log_probs


def log_softmax(logits: Array) -> Array:
    """Turn logits (N, V) into log P in nats, in place."""
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits


def target_log_probs(log_probs: Array, targets: Array) -> Array:
    """Return log P (N,) of targets (N,) from log P (N, V); 0 for IGNORE."""
    found = log_probs[np.arange(len(targets)), targets]
    return np.where(targets == IGNORE, 0, found)
