"""The autoregressive model of the last tokens: interpolated k-grams in one trie.

Letters: n the order, k = 1..n a length, V vocabulary size, M k-grams of all lengths, C contexts,
N positions, T steps, B batch size.

P(w | context) = α(context, w) + γ(context) · P(w | context less its first token)

with γ(context) = 1 - Σ_w α(context, w), so that every distribution adds up to one; before the empty
context comes 1/V, which is where the mass of what was never seen comes from. A context that the
model does not have leaves P as it is. Where the α come from is the business of
`charrnn.ngrams.kneser_ney`.

The k-grams are nodes of a trie: node 0 is the empty context, and the children of a node are the
k-grams that are one token longer. Nodes are numbered by length, then by parent, then by token, so
that the children of a node lie side by side, and three arrays say everything: the last token of
each k-gram, how many children each node has, and α. A k-gram is found by its key, (number of its
parent)·V + token, as the keys are in order. Of single tokens all V are there. The start of a
document is <EOS> as a context, which no token ever has before it otherwise.

What has been read is a column of contexts: the nodes of the last 0, 1, .. n - 1 tokens, NONE for
those that are not there or would reach over a start.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np

from charrnn.config import ModelConfig
from charrnn.ids import EOS, IGNORE

Array = np.ndarray

NONE = -1  # the number of a node that is not there
_MAX_NGRAMS = 1 << 31  # int32 numbers them
_DENSE = 1 << 20  # numbers in the table of whole distributions
_BLOCK = 1 << 16  # contexts, or their children, that are prepared at a time
_MOST_SLOTS = 1 << 22  # four bytes each
TINY = 1e-12  # a smaller probability is what rounding leaves of one


class NGram:
    """A model of order n: each token given the n - 1 before it.

    Args:
        config: with the order n and V, <EOS> and <UNK> among them.
        tokens: (M,) the last token of each k-gram, in the order of the nodes.
        children: (C,) how many children the first C nodes have; all others have none.
        alpha: (M,) α of each k-gram, float16 or more precise.

    Raises:
        ValueError: the arrays make no model.
    """

    def __init__(self, config: ModelConfig, tokens: Array, children: Array, alpha: Array) -> None:
        self.config = config
        self.arrays = {"ngram.tokens": tokens, "ngram.children": children, "ngram.alpha": alpha}
        V, M, C = config.vocab_size, len(tokens), len(children)
        if not (0 < C <= M < _MAX_NGRAMS and children[0] == V and len(alpha) == M):
            raise ValueError("the n-gram's arrays do not fit together")
        if children.max() > V or children.sum(dtype=np.int64) != M:
            raise ValueError("the n-gram's arrays do not fit together")
        self.tokens, self.alpha, self.num_contexts = tokens, alpha, C
        # Context x < C has the children at places first_child[x] up to first_child[x + 1] of
        # `tokens` and `alpha`, which are the nodes one further.
        self.first_child = np.zeros(C + 1, np.int32)
        np.cumsum(children, dtype=np.int32, out=self.first_child[1:])
        self.gamma = np.ones(C + 1, np.float32)  # the last one is that of all other nodes
        # Node x is at place x, between one for the root and one after all, which no key may find.
        self.keys: Array = np.empty(M + 2, np.int32 if (M + 1) * V < 1 << 31 else np.int64)
        self.keys[[0, -1]] = -V - 1, np.iinfo(self.keys.dtype).max
        for start, stop in self._blocks():
            self._fill(start, stop)
        if tokens.max() >= V or (self.keys[1:] <= self.keys[:-1]).any():
            raise ValueError("the k-grams are not in order")
        if _is_deeper(self.first_child, config.order):
            raise ValueError("the k-grams are longer than the order")

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Ranges of contexts that have at most _BLOCK children, or V: what is computed from them
        takes little memory however many k-grams there are."""
        start = 0
        while start < self.num_contexts:
            room = int(self.first_child[start]) + _BLOCK
            stop = int(self.first_child.searchsorted(room, "right")) - 1
            stop = max(start + 1, min(stop, start + _BLOCK, self.num_contexts))
            yield start, stop
            start = stop

    def _fill(self, start: int, stop: int) -> None:
        """Compute the keys of the children of some contexts and the γ of these.

        Raises:
            ValueError: these contexts make no model.
        """
        first, last = self.first_child[start], self.first_child[stop]
        children = self.arrays["ngram.children"][start:stop]
        parents = np.repeat(np.arange(start, stop), children)
        if (parents > np.arange(first, last)).any():
            raise ValueError("the k-grams are no trie")
        left = 1 - np.bincount(parents - start, self.alpha[first:last], stop - start)
        if not (np.isfinite(left).all() and left.min() > 0):
            raise ValueError("the probabilities of the k-grams are out of range")
        self.gamma[start:stop] = left
        parents *= self.vocab_size
        parents += self.tokens[first:last]
        self.keys[1 + first : 1 + last] = parents

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.config.vocab_size

    @property
    def size(self) -> int:
        """How many k-grams there are, of all lengths."""
        return len(self.tokens)

    @property
    def num_bytes(self) -> int:
        """What its arrays take in a checkpoint."""
        return sum(array.nbytes for array in self.arrays.values())

    @classmethod
    def from_arrays(cls, config: ModelConfig, arrays: Mapping[str, Array]) -> "NGram":
        """A model from its `arrays`.

        Raises:
            ValueError: they are no k-grams with probabilities.
        """
        return cls(config, *(arrays[f"ngram.{name}"] for name in ("tokens", "children", "alpha")))

    def zero_state(self, batch_size: int) -> Array:
        """The state before a document (n - 1, B): the nodes of the last 1..n - 1 tokens."""
        state = np.full((self.config.order - 1, batch_size), NONE)
        state[:1] = 1 + EOS
        return state

    def unroll(self, seq_len: int, batch_size: int) -> "NGram":
        """Return self: unlike a network it needs no work buffers."""
        return self

    def run(self, inputs: Array, state: Array) -> Array:
        """The state after inputs (T, B), without predicting anything."""
        return self.contexts_after(inputs, state)[1]

    def forward(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """log P of whatever may follow each input, which serve as logits.

        Args:
            inputs: (T, B) ids of the tokens before; <EOS> or IGNORE where a document starts.
            state: (n - 1, B) before the first step.

        Returns:
            log P (T, V, B) in nats, and the state after the last step.
        """
        contexts, state = self.contexts_after(inputs, state)
        with np.errstate(all="ignore"):
            log_probs = self.distributions(contexts.reshape(len(contexts), -1))
        return log_probs.reshape(-1, *inputs.shape).transpose(1, 0, 2), state

    def log_probs(self, inputs: Array, targets: Array, state: Array) -> tuple[Array, Array]:
        """log P (T, B) of each target in nats, 0 where it is IGNORE, and the state afterwards.

        Agrees with `forward`, but computes no probability of tokens that did not come.
        """
        contexts, state = self.contexts_after(inputs, state)
        found = self.descend(contexts, np.maximum(targets, 0))
        probs = np.full(targets.shape, 1 / self.vocab_size)
        with np.errstate(all="ignore"):
            for gamma, longer in zip(self.left_by(contexts), found, strict=True):
                probs *= gamma
                probs += np.where(longer == NONE, 0, self.alpha[longer - 1])
            return np.where(targets == IGNORE, 0, np.log(np.maximum(probs, TINY))), state

    def contexts_after(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """The contexts (n, T, B) after each of inputs (T, B), and the state after the last."""
        n = self.config.order
        going_on = inputs > EOS
        contexts = np.empty((n, *inputs.shape), np.int64)
        contexts[0] = 0
        contexts[1:2] = 1 + np.maximum(inputs, EOS)
        if len(inputs) == 1:  # as in sampling many texts: all lengths at once
            found = self.descend(state[:-1], inputs[0])
            contexts[2:, 0] = np.where(going_on[0], found, NONE)
            return contexts, contexts[1:, 0]
        for k in range(2, n):
            before = np.concatenate([state[k - 2][None], contexts[k - 1][:-1]])
            contexts[k] = np.where(going_on, self.descend(before, inputs), NONE)
        return contexts, contexts[1:, -1]

    def descend(self, nodes: Array, tokens: Array) -> Array:
        """Find the children of nodes (..., N) that tokens (N,) lead to, else NONE."""
        keys = nodes.astype(self.keys.dtype) * self.vocab_size
        keys += tokens.astype(self.keys.dtype)  # of another type all of them would be converted
        found: Array = self.slots.take(_hashes(keys, len(self.slots))).astype(np.int64)
        missed = np.flatnonzero(self.keys.take(found) != keys)
        sought = keys.reshape(-1)[missed]
        places = self.keys.searchsorted(sought)
        found.reshape(-1)[missed] = np.where(self.keys.take(places) == sought, places, NONE)
        return found

    @cached_property
    def slots(self) -> Array:
        """A node by each hash of a key, 0 where there is none: most children are found at once."""
        size = min(_MOST_SLOTS, 2 << self.size.bit_length())
        slots = np.zeros(size, np.int32)
        for start in range(1, self.size + 1, _BLOCK):
            keys = self.keys[start : min(start + _BLOCK, self.size + 1)]
            slots[_hashes(keys, size)] = np.arange(start, start + len(keys))
        return slots

    def left_by(self, contexts: Array) -> Array:
        """γ of contexts of any shape; of those that are not there it is 1."""
        found: Array = self.gamma[np.minimum(contexts, self.num_contexts)]
        return found

    def distributions(self, contexts: Array) -> Array:
        """log P (V, N) of every token after contexts (n, N)."""
        dense = np.where(contexts < len(self.table), contexts, 0).max(axis=0)
        probs = self.table[dense]
        self.add_longer(probs, contexts, dense, self.left_by(contexts), 1.0)
        return self.logs(probs)

    @staticmethod
    def logs(probs: Array) -> Array:
        """log P (V, N) from P (N, V), which is overwritten."""
        np.maximum(probs, TINY, out=probs)
        found: Array = np.log(probs, out=probs).T
        return found

    def add_longer(
        self, probs: Array, contexts: Array, start: Array, gamma: Array, scale: Array | float
    ) -> Array:
        """Turn P after some contexts into P after longer ones, in place.

        Args:
            probs: (N, V), P after `start`.
            contexts: (n, N).
            start: (N,) one of the contexts of each position.
            gamma: (n, N), of the contexts.
            scale: (n, N), what to multiply the α of the children of each context by.

        Returns:
            (n, N) what the α of each context were multiplied by in the end.
        """
        longer, left, weights = self.weights(contexts, start, gamma, scale)
        probs *= left[:, None]
        nodes, (_, positions) = contexts[longer], np.nonzero(longer)
        first = self.first_child[nodes]
        counts = self.first_child[nodes + 1] - first
        children = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        places = np.repeat(positions * self.vocab_size, counts) + self.tokens[children]
        values = np.repeat(weights[longer], counts) * self.alpha[children]
        np.add.at(probs.reshape(-1), places, values)
        return weights

    def weights(
        self, contexts: Array, start: Array, gamma: Array, scale: Array | float
    ) -> tuple[Array, Array, Array]:
        """What P after longer contexts consists of; all arguments are those of `add_longer`.

        Returns:
            (n, N) which contexts have α to add, (N,) what to multiply P after `start` by, and
            (n, N) what to multiply these α by.
        """
        longer = (contexts > start) & (contexts < self.num_contexts)
        # Of a context remains what all longer ones leave to it.
        left = np.ones((len(contexts) + 1, len(start)), np.float32)
        np.cumprod(np.where(longer, gamma, 1)[::-1], axis=0, out=left[-2::-1])
        return longer, left[0], left[1:] * scale

    @cached_property
    def table(self) -> Array:
        """P (L, V) of every token after each of the first L nodes, float32."""
        V, n = self.vocab_size, self.config.order
        size = max(1, min(self.size + 1, _DENSE // max(V, n)))
        root = np.full((1, V), self.gamma[0] / V, np.float32)
        root += self.alpha[:V]
        parents, tokens = np.divmod(self.keys[1:size], V)
        contexts = np.zeros((n, size), np.int64)
        contexts[1:2, 1:] = 1 + tokens
        contexts[1:, 0] = NONE
        for k in range(2, n):
            contexts[k, 1:] = self.descend(contexts[k - 1, parents], tokens)
        table = np.repeat(root, size, axis=0)
        self.add_longer(table, contexts, np.zeros(size, np.int64), self.left_by(contexts), 1.0)
        return table

    @cached_property
    def log_table(self) -> Array:
        """The logarithms (L, V) of `table`, in nats."""
        found: Array = np.log(np.maximum(self.table, TINY))
        return found


def _hashes(keys: Array, size: int) -> Array:
    """Numbers below `size`, a power of two, that spread the keys (Knuth 1973, section 6.4)."""
    shift = np.uint32(33 - size.bit_length())
    found: Array = (keys.astype(np.uint32) * np.uint32(2654435769)) >> shift
    return found


def _is_deeper(first_child: Array, order: int) -> bool:
    """Whether there are k-grams longer than the order."""
    last = 1  # nodes of less than k tokens
    for _ in range(order):
        last = 1 + int(first_child[min(last, len(first_child) - 1)])
    return last <= int(first_child[-1])
