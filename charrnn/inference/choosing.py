"""Choosing the next token: what is allowed, temperature, top-k, top-p, min-p, and the draw.

Letters: V vocabulary size, B batch size (samples side by side).
"""

import math
from bisect import bisect_right

import numpy as np

from charrnn.config import SampleConfig
from charrnn.ids import UNK
from charrnn.network.functional import sample_categorical

Array = np.ndarray

_LEAST, _MOST = 1e-200, 1e200  # sums of exp within these limits are precise


def choose(
    logits: Array,
    config: SampleConfig,
    uniforms: Array,
    allowed: Array | None = None,
    memory: Array | None = None,
) -> tuple[Array, Array]:
    """Choose a token for each column: remove <UNK> and what is not allowed, apply temperature,
    top-k, top-p and min-p, draw.

    A temperature between 0 and 1 sharpens what a model has learned. It does not sharpen what a
    memory adds from the text itself: else what was drawn twice would soon be drawn for ever.

    Args:
        logits: (V, B) float64.
        uniforms: (B,) random numbers in [0, 1), one for each draw.
        allowed: (V, B) whether each token may be drawn; None means all of them.
        memory: (V, B) what a memory of the text adds to the logits; None for nothing.

    Returns:
        Tokens (B,) and their log P (B,) in nats under the unchanged model.
    """
    with np.errstate(all="ignore"):
        log_probs = log_softmax(logits)
        kept = log_probs.copy()
        if not config.allow_unk:
            kept[UNK] = -np.inf
        if allowed is not None:
            kept[~allowed] = -np.inf
        if config.temperature == 0:
            tokens = kept.argmax(axis=0)
        else:
            if memory is not None and config.temperature < 1:
                kept -= (1 - config.temperature) * memory
            weights = np.exp((kept - kept.max(axis=0)) / config.temperature)
            if config.truncates:
                weights = _truncate(weights, config)
            tokens = sample_categorical(weights, uniforms)
        return tokens, log_probs[tokens, np.arange(len(tokens))]


class Chooser:
    """`choose` for one stream, in few NumPy calls."""

    def __init__(self, vocab_size: int, config: SampleConfig) -> None:
        self.config = config
        self.draws_from_all = config.temperature > 0 and not config.truncates
        self.scaled, self.weights, self.cumulative = np.empty((3, vocab_size))

    def choose(
        self,
        logits: Array,
        uniform: float,
        allowed: Array | None = None,
        memory: Array | None = None,
    ) -> tuple[int, float]:
        """Choose a token from logits (V,) by a random number from 0 to below 1.

        Numbers may overflow on the way, so callers silence NumPy's warnings.

        Args:
            allowed: (V,) whether each token may be drawn; None means all of them.
            memory: (V,) what a memory of the text adds to the logits; None for nothing.

        Returns:
            The token and its log P in nats under the unchanged model.
        """
        if self.draws_from_all and allowed is None:
            drawn, unk = self._accumulate(logits)
            total, temperature, sharpened = drawn + unk, self.config.temperature, logits
            if temperature != 1:
                if memory is not None and temperature < 1:
                    sharpened = logits - (1 - temperature) * memory
                drawn, _ = self._accumulate(np.divide(sharpened, temperature, out=self.scaled))
            if _LEAST < drawn < _MOST and _LEAST < total < _MOST:
                token = bisect_right(self.cumulative, uniform * drawn)
                return token, logits.item(token) - math.log(total)
        column = logits.astype(np.float64)[:, None]
        columns = None if allowed is None else allowed[:, None]
        memories = None if memory is None else memory[:, None]
        tokens, log_probs = choose(column, self.config, np.array([uniform]), columns, memories)
        return tokens.item(), log_probs.item()

    def _accumulate(self, logits: Array) -> tuple[float, float]:
        """Sum exp(logits) of all tokens that may be drawn; return the sum, and that of <UNK>."""
        weights = np.exp(logits, out=self.weights, dtype=np.float64)
        unk = 0.0
        if not self.config.allow_unk:
            unk, weights[UNK] = weights.item(UNK), 0
        np.add.accumulate(weights, out=self.cumulative)
        return self.cumulative.item(-1), unk


def log_softmax(logits: Array) -> Array:
    """Return log P of each token in nats from its logits (V, ...)."""
    logits = logits - logits.max(axis=0)
    shifted: Array = logits - np.log(np.exp(logits).sum(axis=0))
    return shifted


def _truncate(probs: Array, config: SampleConfig) -> Array:
    """Zero all but the top k, then all but the nucleus: the fewest that reach the share top_p;
    then what is less than min_p times as probable as the likeliest.

    Args:
        probs: (V, B); they need not sum to one.
    """
    order = np.argsort(-probs, axis=0, kind="stable")
    ranked = np.take_along_axis(probs, order, axis=0)
    if config.top_k is not None:
        ranked[config.top_k :] = 0
    before = np.cumsum(ranked, axis=0) - ranked
    ranked[before >= config.top_p * ranked.sum(axis=0)] = 0
    ranked[ranked < config.min_p * ranked[0]] = 0
    kept = np.empty_like(probs)
    np.put_along_axis(kept, order, ranked, axis=0)
    return kept
