"""An n-gram model, alone or below a network, that reads one text token by token, for sampling.

Letters: n the order, V vocabulary size, R numbers in the state of the network.

For a single context, plain Python on a few numbers is faster than NumPy calls on arrays.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from copy import copy

import numpy as np

from charrnn.ids import EOS
from charrnn.network.parameters import state_shape
from charrnn.network.stream import Stream
from charrnn.ngrams.ngram import NONE, TINY, NGram
from charrnn.ngrams.residual import Network, ResidualRNN

Array = np.ndarray

_FEW = 12  # children of all contexts; up to here, adding them one by one is faster


class NGramStream:
    """A stream of an n-gram model.

    Args:
        ngram: the model.
        state: (n - 1,) before the first step: the nodes of the last 1..n - 1 tokens.
    """

    def __init__(self, ngram: NGram, state: Sequence[int]) -> None:
        self.ngram, self.state = ngram, [*state]
        self._rows = len(ngram.table)
        # Memoryviews give Python numbers, in half the time.
        self._tokens, self._first_child = ngram.tokens.data, ngram.first_child.data
        self._gamma = ngram.gamma.data

    def step(self, token: int) -> Array:
        """Read a token and return log P (V,) of the next in nats, up to an additive constant.

        The result may be a view of the model's arrays: do not overwrite it.
        """
        self.state = self._after(token)
        dense, longer = 0, []
        for node in self.state:
            if node < self._rows:
                dense = max(dense, node)
            elif node < self.ngram.num_contexts:
                longer.append(node)
        if not longer:
            log_probs: Array = self.ngram.log_table[dense]
            return log_probs
        first_child = self._first_child
        if sum(first_child[node + 1] - first_child[node] for node in longer) <= _FEW:
            return self._with_few(dense, longer)
        return self._with_many(dense, longer)

    def copy(self) -> "NGramStream":
        """See `Stream`."""
        return copy(self)

    def _after(self, token: int) -> list[int]:
        """Return the state after a token."""
        tokens, first_child, contexts = self._tokens, self._first_child, self.ngram.num_contexts
        after = [1 + max(token, EOS)]
        for node in self.state[:-1]:
            found = NONE
            if token > EOS and 0 <= node < contexts:
                first, stop = first_child[node], first_child[node + 1]
                place = bisect_left(tokens, token, first, stop)
                if place < stop and tokens[place] == token:
                    found = place + 1
            after.append(found)
        return after[: len(self.state)]

    def _with_few(self, dense: int, longer: list[int]) -> Array:
        """Compute log P (V,) up to a constant if the longer contexts have few children.

        All tokens but these children have log P after the context `dense`, plus the constant.

        Args:
            dense: a context with a row in the table.
            longer: contexts without one, the longest last.
        """
        ngram, left, shares = self.ngram, 1.0, dict[int, float]()
        for node in reversed(longer):
            children = slice(self._first_child[node], self._first_child[node + 1])
            alpha = ngram.alpha[children].tolist()
            for token, share in zip(self._tokens[children], alpha, strict=True):
                shares[token] = shares.get(token, 0.0) + left * share
            left *= self._gamma[node]
        probs: Array = ngram.table[dense]
        log_probs: Array = ngram.log_table[dense].copy()
        for token, share in shares.items():
            log_probs[token] += math.log1p(share / (left * max(TINY, probs.item(token))))
        return log_probs

    def _with_many(self, dense: int, longer: list[int]) -> Array:
        """Compute log P (V,) like `_with_few`, from whole distributions."""
        ngram, probs = self.ngram, self.ngram.table[dense]
        for node in longer:
            children = slice(self._first_child[node], self._first_child[node + 1])
            probs = ngram.gamma[node] * probs
            probs[ngram.tokens[children]] += ngram.alpha[children]
        np.maximum(probs, TINY, out=probs)
        found: Array = np.log(probs, out=probs)
        return found


class ResidualStream:
    """A stream of a network on top of an n-gram model.

    Args:
        network: stream of the network.
        ngram: stream of the n-gram model.
        scale: weight of its log P in the logits.
        dtype: of the logits.
    """

    def __init__(self, network: Stream, ngram: NGramStream, scale: float, dtype: np.dtype) -> None:
        self.network, self.ngram = network, ngram
        self.scale = np.array(scale, dtype)  # an array, because NumPy converts a float in each call
        self.logits = np.empty(ngram.ngram.vocab_size, dtype)
        self.log_probs = self.logits  # of the n-gram model in the last step, up to a constant

    def step(self, token: int) -> Array:
        """Read a token and return the logits (V,) of the next; the next step overwrites them."""
        self.log_probs = self.ngram.step(token)
        np.multiply(self.log_probs, self.scale, out=self.logits)
        np.add(self.network.step(token), self.logits, out=self.logits)
        return self.logits

    def copy(self) -> "ResidualStream":
        """See `Stream`."""
        other = copy(self)
        other.network, other.ngram = self.network.copy(), self.ngram.copy()
        other.logits = self.logits.copy()
        return other


def residual_stream(model: ResidualRNN, state: Array) -> ResidualStream:
    """Return a stream of a network and its n-gram model, from a state (R + n - 1, 1)."""
    shape = state_shape(model.config)
    own, contexts = np.split(state, [math.prod(shape)])
    network = model.network.stream(own.reshape(*shape, 1))
    of_ngram = NGramStream(model.ngram, contexts[:, 0].astype(np.int64).tolist())
    return ResidualStream(network, of_ngram, model.config.ngram_scale, state.dtype)


def stream_of(model: Network | NGram, state: Array) -> Stream:
    """Return a stream of a network, an n-gram model or both, from a state with one column."""
    if isinstance(model, NGram):
        return NGramStream(model, state[:, 0].tolist())
    if isinstance(model, ResidualRNN):
        return residual_stream(model, state)
    return model.stream(state)
