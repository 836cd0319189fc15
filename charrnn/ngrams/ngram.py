"""The n-gram model: each token given the n - 1 before it, as interpolated k-grams in a trie.

Letters: n the order, k = 1..n a length, V vocabulary size, M k-grams of all lengths, C contexts,
N positions, T steps, B batch size.

P(w | context) = α(context, w) + γ(context) · P(w | context without its first token)

γ(context) = 1 - Σ_w α(context, w), so every distribution sums to 1. The recursion ends below the
empty context with 1/V, the probability of tokens never seen. A context that is not in the model
leaves P unchanged: the model backs off. `charrnn.ngrams.kneser_ney` estimates α.

The k-grams are the nodes of a trie. Node 0 is the empty context; the children of a node are the
k-grams one token longer. Nodes are numbered by length, then by parent, then by token, so the
children of a node are adjacent, and three arrays describe the trie: the last token of each k-gram,
the number of children of each node, and α. A k-gram is found by binary search for its key, (number
of its parent)·V + token. All V single tokens are present. As a context, <EOS> means the start of a
document.

The state after some text is a column of contexts: the nodes of the last 0, 1, .. n - 1 tokens, NONE
for those that are not in the model or would reach across the start of a document.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np

from charrnn.config import ModelConfig
from charrnn.ids import EOS, IGNORE

Array = np.ndarray

NONE = -1  # in place of a node that is not in the model
_MAX_NGRAMS = 1 << 31  # numbered by int32
_DENSE = 1 << 20  # size of the table of whole distributions, in numbers
_BLOCK = 1 << 16  # contexts, or their children, prepared at a time
_MOST_SLOTS = 1 << 22  # of the hash table, four bytes each
TINY = 1e-12  # smaller probabilities are rounding errors


class NGram:
    """An n-gram model of order n.

    Args:
        config: with the order n and V, which includes <EOS> and <UNK>.
        tokens: (M,) the last token of each k-gram, in the order of the nodes.
        children: (C,) number of children of the first C nodes; the others have none.
        alpha: (M,) α of each k-gram, float16 or more precise.

    Raises:
        ValueError: the arrays do not describe a model.
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
        # The children of context x < C are at first_child[x] up to first_child[x + 1] in `tokens`
        # and `alpha`. Node numbers are one higher, because node 0 is the empty context.
        self.first_child = np.zeros(C + 1, np.int32)
        np.cumsum(children, dtype=np.int32, out=self.first_child[1:])
        self.gamma = np.ones(C + 1, np.float32)  # the last one is for all other nodes
        # The key of node x is at place x, between two sentinels that no search may find.
        self.keys: Array = np.empty(M + 2, np.int32 if (M + 1) * V < 1 << 31 else np.int64)
        self.keys[[0, -1]] = -V - 1, np.iinfo(self.keys.dtype).max
        for start, stop in self._blocks():
            self._fill(start, stop)
        if tokens.max() >= V or (self.keys[1:] <= self.keys[:-1]).any():
            raise ValueError("the k-grams are not in order")
        if _is_deeper(self.first_child, config.order):
            raise ValueError("the k-grams are longer than the order")

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Yield ranges of contexts with at most _BLOCK children (or V), to bound working memory."""
        start = 0
        while start < self.num_contexts:
            room = int(self.first_child[start]) + _BLOCK
            stop = int(self.first_child.searchsorted(room, "right")) - 1
            stop = max(start + 1, min(stop, start + _BLOCK, self.num_contexts))
            yield start, stop
            start = stop

    def _fill(self, start: int, stop: int) -> None:
        """Compute γ of the contexts from start to stop, and the keys of their children.

        Raises:
            ValueError: the arrays do not describe a model.
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
        """M, the number of k-grams of all lengths."""
        return len(self.tokens)

    @property
    def num_bytes(self) -> int:
        """Size of the arrays in a checkpoint, in bytes."""
        return sum(array.nbytes for array in self.arrays.values())

    @classmethod
    def from_arrays(cls, config: ModelConfig, arrays: Mapping[str, Array]) -> "NGram":
        """Build a model from its `arrays`.

        Raises:
            ValueError: they do not describe a model.
        """
        return cls(config, *(arrays[f"ngram.{name}"] for name in ("tokens", "children", "alpha")))

    def zero_state(self, batch_size: int) -> Array:
        """Return the state before a document (n - 1, B): the nodes of the last 1..n - 1 tokens."""
        state = np.full((self.config.order - 1, batch_size), NONE)
        state[:1] = 1 + EOS
        return state

    def unroll(self, seq_len: int, batch_size: int) -> "NGram":
        """Return self: unlike a network it needs no work buffers."""
        return self

    def run(self, inputs: Array, state: Array) -> Array:
        """Return the state after inputs (T, B), without predicting anything."""
        return self.contexts_after(inputs, state)[1]

    def forward(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Compute log P of every token after each input; it serves as logits.

        Args:
            inputs: (T, B) ids, the token before each step; <EOS> or IGNORE where a document starts.
            state: (n - 1, B) before the first step.

        Returns:
            log P (T, V, B) in nats, and the state after the last step.
        """
        contexts, state = self.contexts_after(inputs, state)
        with np.errstate(all="ignore"):
            log_probs = self.distributions(contexts.reshape(len(contexts), -1))
        return log_probs.reshape(-1, *inputs.shape).transpose(1, 0, 2), state

    def log_probs(self, inputs: Array, targets: Array, state: Array) -> tuple[Array, Array]:
        """Compute log P (T, B) of each target in nats, 0 for IGNORE, and the state after them.

        Agrees with `forward`, but computes the probabilities of the targets only.
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
        """Return the contexts (n, T, B) after each input (T, B), and the state after the last."""
        n = self.config.order
        going_on = inputs > EOS
        contexts = np.empty((n, *inputs.shape), np.int64)
        contexts[0] = 0
        contexts[1:2] = 1 + np.maximum(inputs, EOS)
        if len(inputs) == 1:  # as in sampling: all lengths at once
            found = self.descend(state[:-1], inputs[0])
            contexts[2:, 0] = np.where(going_on[0], found, NONE)
            return contexts, contexts[1:, 0]
        for k in range(2, n):
            before = np.concatenate([state[k - 2][None], contexts[k - 1][:-1]])
            contexts[k] = np.where(going_on, self.descend(before, inputs), NONE)
        return contexts, contexts[1:, -1]

    def descend(self, nodes: Array, tokens: Array) -> Array:
        """Return the child of each node (..., N) by token (N,), NONE if there is none."""
        keys = nodes.astype(self.keys.dtype) * self.vocab_size
        keys += tokens.astype(self.keys.dtype)  # with another dtype, every search would convert
        found: Array = self.slots.take(_hashes(keys, len(self.slots))).astype(np.int64)
        missed = np.flatnonzero(self.keys.take(found) != keys)
        sought = keys.reshape(-1)[missed]
        places = self.keys.searchsorted(sought)
        found.reshape(-1)[missed] = np.where(self.keys.take(places) == sought, places, NONE)
        return found

    @cached_property
    def slots(self) -> Array:
        """A hash table from keys to nodes, 0 for none; it finds most children without a search."""
        size = min(_MOST_SLOTS, 2 << self.size.bit_length())
        slots = np.zeros(size, np.int32)
        for start in range(1, self.size + 1, _BLOCK):
            keys = self.keys[start : min(start + _BLOCK, self.size + 1)]
            slots[_hashes(keys, size)] = np.arange(start, start + len(keys))
        return slots

    def left_by(self, contexts: Array) -> Array:
        """Return γ of contexts of any shape; 1 for nodes without children and for NONE."""
        found: Array = self.gamma[np.minimum(contexts, self.num_contexts)]
        return found

    def distributions(self, contexts: Array) -> Array:
        """Return log P (V, N) in nats of every token after contexts (n, N)."""
        dense = np.where(contexts < len(self.table), contexts, 0).max(axis=0)
        probs = self.table[dense]
        self.add_longer(probs, contexts, dense, self.left_by(contexts), 1.0)
        return self.logs(probs)

    @staticmethod
    def logs(probs: Array) -> Array:
        """Return log P (V, N) in nats from P (N, V), which is overwritten."""
        np.maximum(probs, TINY, out=probs)
        found: Array = np.log(probs, out=probs).T
        return found

    def add_longer(
        self, probs: Array, contexts: Array, start: Array, gamma: Array, scale: Array | float
    ) -> Array:
        """Turn P after one context of each position into P after its longest, in place.

        Args:
            probs: (N, V), P after `start`.
            contexts: (n, N) of each position.
            start: (N,), one of the contexts of each position.
            gamma: (n, N), γ of the contexts.
            scale: (n, N), factor of the α after each context.

        Returns:
            (n, N), the total weight of the α after each context in P.
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
        """Return the weights of the sum that `add_longer` makes; the arguments are the same.

        Returns:
            Which contexts (n, N) add their α, the weight (N,) of P after `start`, and the weights
            (n, N) of these α.
        """
        longer = (contexts > start) & (contexts < self.num_contexts)
        # The weight of a context is the product of γ of all longer ones.
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
    """Hash keys to numbers below `size`, a power of two (Knuth 1973, section 6.4)."""
    shift = np.uint32(33 - size.bit_length())
    found: Array = (keys.astype(np.uint32) * np.uint32(2654435769)) >> shift
    return found


def _is_deeper(first_child: Array, order: int) -> bool:
    """Whether there are k-grams longer than the order."""
    last = 1  # number of nodes of fewer than k tokens
    for _ in range(order):
        last = 1 + int(first_child[min(last, len(first_child) - 1)])
    return last <= int(first_child[-1])
