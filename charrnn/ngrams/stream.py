"""One text, a token at a time, by an n-gram model, alone or below a network.

Letters: n the order, V vocabulary size, R numbers in the state of the network.

For a single context, looking at one number after another costs less than the calls that prepare
arrays of many.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from charrnn.ids import EOS
from charrnn.network.parameters import state_shape
from charrnn.network.stream import Stream
from charrnn.ngrams.ngram import NONE, TINY, NGram
from charrnn.ngrams.residual import Network, ResidualRNN

Array = np.ndarray

_FEW = 8  # children, that are faster added one by one


class NGramStream:
    """A stream of an n-gram model.

    Args:
        state: (n - 1,) before the first step, the nodes of the last 1..n - 1 tokens.
    """

    def __init__(self, ngram: NGram, state: Sequence[int]) -> None:
        self.ngram, self.state = ngram, [*state]
        self._rows = len(ngram.table)
        # Views whose numbers are Python's own, which takes half the time.
        self._tokens, self._first_child = ngram.tokens.data, ngram.first_child.data

    def step(self, token: int) -> Array:
        """log P (V,) of what may follow a token, in nats, not to be overwritten; see `Stream`."""
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
        probs: Array = self.ngram.table[dense]
        for node in longer:
            probs = self._interpolated(node, probs)
        np.maximum(probs, TINY, out=probs)
        np.log(probs, out=probs)
        return probs

    def _after(self, token: int) -> list[int]:
        """The state after a token."""
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

    def _interpolated(self, node: int, probs: Array) -> Array:
        """P (V,) after a context, given P after the one that is a token shorter."""
        ngram, children = self.ngram, slice(self._first_child[node], self._first_child[node + 1])
        probs = ngram.gamma[node] * probs
        tokens, alpha = ngram.tokens[children], ngram.alpha[children]
        if len(tokens) <= _FEW:
            for token, share in zip(tokens.tolist(), alpha.tolist(), strict=True):
                probs[token] += share
        else:
            probs[tokens] += alpha
        return probs


class ResidualStream:
    """A stream of a network and its n-gram model.

    Args:
        network: a stream of the network.
        ngram: one of the n-gram model.
        scale: the weight of its log P in the logits.
    """

    def __init__(self, network: Stream, ngram: NGramStream, scale: float, dtype: np.dtype) -> None:
        self.network, self.ngram = network, ngram
        self.scale = np.array(scale, dtype)  # as an array it need not be converted in each call
        self.logits = np.empty(ngram.ngram.vocab_size, dtype)

    def step(self, token: int) -> Array:
        """The logits (V,) after a token, which the next step overwrites; see `Stream`."""
        np.multiply(self.ngram.step(token), self.scale, out=self.logits)
        np.add(self.network.step(token), self.logits, out=self.logits)
        return self.logits


def residual_stream(model: ResidualRNN, state: Array) -> ResidualStream:
    """Read one text, a token at a time, from a state with one column on."""
    shape = state_shape(model.config)
    own, contexts = np.split(state, [math.prod(shape)])
    network = model.network.stream(own.reshape(*shape, 1))
    of_ngram = NGramStream(model.ngram, contexts[:, 0].astype(np.int64).tolist())
    return ResidualStream(network, of_ngram, model.config.ngram_scale, state.dtype)


def stream_of(model: Network | NGram, state: Array) -> Stream:
    """Read one text with a network, an n-gram model or both; see `residual_stream`."""
    if isinstance(model, NGram):
        return NGramStream(model, state[:, 0].tolist())
    if isinstance(model, ResidualRNN):
        return residual_stream(model, state)
    return model.stream(state)
