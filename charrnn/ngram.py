"""The autoregressive model of the last symbols: interpolated Kneser-Ney with modified discounts.

Letters: n the order, k = 1..n an order of the back-off, V vocabulary size, N tokens.

P_k(w | context) = (c - D(c)) / C(context) + γ(context) · P_{k-1}(w | context less its first token)

where c is the count of the k-gram, C the sum of the counts of its context, and γ what the discounts
D took away from them (Chen & Goodman 1998, modified Kneser-Ney). P_0 is uniform over the
vocabulary: that is where the mass of what was never seen comes from. At the highest order c counts
occurrences, below it the different tokens seen before the k-gram. A document starts with a marker
that is only ever context; k-grams that begin with it have nothing before them and keep their
occurrences.

Whole contexts do not fit 64 bits, so k-grams are numbered order by order: the key of a k-gram is
(number of its context)·V + token, its own number the rank of that key among all k-grams. A context
of k tokens is the k-gram before, and has its number. Of single tokens the number is the id, and the
start marker has the id of <EOS>, which is never context.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from charrnn.config import ModelConfig
from charrnn.functional import IGNORE
from charrnn.vocabulary import EOS

Array = np.ndarray

_NONE = -1  # the number of a context that was never seen, or that would reach over a start


@dataclass(frozen=True)
class Order:
    """The k-grams of one order.

    Attributes:
        keys: sorted int64, one a k-gram.
        probs: float32, P_k of the last token of each given the others.
        backoff: float32, γ of each context of k - 1 tokens, by its number.
    """

    keys: Array
    probs: Array
    backoff: Array

    def find(self, contexts: Array, tokens: Array, vocab_size: int) -> Array:
        """Numbers of the k-grams (context, token), _NONE where there is no such k-gram."""
        keys = contexts.astype(np.int64) * vocab_size + tokens
        places = np.searchsorted(self.keys, keys)
        found = self.keys[np.minimum(places, len(self.keys) - 1)] == keys
        return np.where(found & (contexts != _NONE), places, _NONE)


class NGram:
    """A model of order n: each token given the n - 1 before it.

    Args:
        config: with the order n and V, <EOS> and <UNK> among them.
        orders: the k-grams for k = 1..n.
    """

    def __init__(self, config: ModelConfig, orders: Sequence[Order]) -> None:
        self.config = config
        self.orders = tuple(orders)

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.config.vocab_size

    @property
    def size(self) -> int:
        """How many k-grams there are, of all orders."""
        return sum(len(order.keys) for order in self.orders)

    @property
    def arrays(self) -> dict[str, Array]:
        """Every array by its name in a checkpoint."""
        return {
            f"orders.{k}.{name}": getattr(order, name)
            for k, order in enumerate(self.orders, start=1)
            for name in ("keys", "probs", "backoff")
        }

    @classmethod
    def from_arrays(cls, config: ModelConfig, arrays: Mapping[str, Array]) -> "NGram":
        """A model from its `arrays`.

        Raises:
            ValueError: they are no k-grams with probabilities.
        """
        orders, num_contexts = [], 1
        for k in range(1, len(arrays) // 3 + 1):
            order = Order(*(arrays[f"orders.{k}.{name}"] for name in ("keys", "probs", "backoff")))
            keys, probs, backoff = order.keys, order.probs, order.backoff
            in_order = keys.size > 0 and keys[0] >= 0 and (keys[1:] > keys[:-1]).all()
            if not in_order or keys[-1] >= num_contexts * config.vocab_size:
                raise ValueError(f"the {k}-grams are not in order")
            possible = probs.min() > 0 and probs.max() <= 1
            if not possible or backoff.min() < 0 or backoff.max() > 1:
                raise ValueError(f"the probabilities of the {k}-grams are not all between 0 and 1")
            orders.append(order)
            num_contexts = len(keys)
        return cls(config, orders)

    @classmethod
    def fit(cls, config: ModelConfig, tokens: Array) -> "NGram":
        """Count and discount the k-grams of a split (N,), as `corpus.encode_documents` gives it."""
        vocab_size = config.vocab_size
        tokens = tokens.astype(np.int64)
        predicted = tokens != IGNORE
        starts = np.append(True, tokens[:-1] <= EOS)
        numbers = [tokens]  # of the k-gram that ends at each place
        all_keys, firsts = [np.arange(vocab_size)], []
        for k in range(2, config.order + 1):
            before = np.append(_NONE, numbers[-1][:-1])
            context = np.where(starts, EOS if k == 2 else _NONE, before)
            valid = predicted & (context != _NONE)
            if not valid.any():
                break  # no document is that long
            keys, first, inverse = np.unique(
                context[valid] * vocab_size + tokens[valid], return_index=True, return_inverse=True
            )
            number = np.full_like(tokens, _NONE)
            number[valid] = inverse
            numbers.append(number)
            all_keys.append(keys)
            firsts.append(np.flatnonzero(valid)[first])
        return cls(config, _discounted(vocab_size, all_keys, numbers, firsts))

    def zero_state(self, batch_size: int) -> Array:
        """The state before a document (n - 1, B): the numbers of its contexts of 1..n-1 tokens."""
        state = np.full((len(self.orders) - 1, batch_size), _NONE)
        state[:1] = EOS
        return state

    def unroll(self, seq_len: int, batch_size: int) -> "NGram":
        """Itself: unlike a network it needs no work buffers."""
        return self

    def forward(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """log P of whatever may follow each input, which serve as logits.

        Args:
            inputs: (T, B) ids of the tokens before; <EOS> or IGNORE where a document starts.
            state: (n - 1, B) before the first step.

        Returns:
            log P (T, V, B) in nats, and the state after the last step.
        """
        contexts, state = self._contexts(inputs, state)
        T, B = inputs.shape
        probs = np.empty((T, self.vocab_size, B))
        probs[:] = self.orders[0].probs[:, None]
        for order, numbers in zip(self.orders[1:], contexts, strict=True):
            for t, b in np.argwhere(numbers != _NONE):
                first = int(numbers[t, b]) * self.vocab_size
                part = slice(*np.searchsorted(order.keys, (first, first + self.vocab_size)))
                probs[t, :, b] *= order.backoff[numbers[t, b]]
                probs[t, order.keys[part] - first, b] = order.probs[part]
        return np.log(probs), state

    def log_probs(self, inputs: Array, targets: Array, state: Array) -> tuple[Array, Array]:
        """log P (T, B) of each target in nats, 0 where it is IGNORE, and the state afterwards.

        The same as `forward`, without the tokens that did not come.
        """
        contexts, state = self._contexts(inputs, state)
        tokens = np.maximum(targets, 0)
        probs = self.orders[0].probs[tokens].astype(np.float64)
        for order, numbers in zip(self.orders[1:], contexts, strict=True):
            found = order.find(numbers, tokens, self.vocab_size)
            lower = np.where(numbers == _NONE, 1.0, order.backoff[numbers]) * probs
            probs = np.where(found == _NONE, lower, order.probs[found])
        return np.where(targets == IGNORE, 0, np.log(probs)), state

    def _contexts(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Numbers (n - 1, T, B) of the contexts of 1..n-1 tokens at each step; the last ones."""
        going_on = inputs > EOS
        contexts = np.full((len(self.orders) - 1, *inputs.shape), _NONE)
        contexts[:1] = np.where(going_on, inputs, EOS)
        for k in range(2, len(self.orders)):
            before = np.concatenate([state[k - 2][None], contexts[k - 2][:-1]])
            found = self.orders[k - 1].find(before, inputs, self.vocab_size)
            contexts[k - 1] = np.where(going_on, found, _NONE)
        return contexts, contexts[:, -1]


def _discounted(
    vocab_size: int, all_keys: list[Array], numbers: list[Array], firsts: list[Array]
) -> list[Order]:
    """Counts to probabilities, order by order from below.

    Args:
        all_keys: the keys of each order.
        numbers: for each order, the number of the k-gram that ends at each place (N,).
        firsts: for each order from 2 on, a place where each k-gram ends.
    """
    orders: list[Order] = []
    highest = len(all_keys)
    for k, keys in enumerate(all_keys, start=1):
        ending = numbers[k - 1]
        counts = np.bincount(ending[ending >= 0], minlength=len(keys))
        if k < highest:
            different = np.bincount(ending[firsts[k - 1]], minlength=len(keys))
            counts = np.where(different > 0, different, counts)
        context = keys // vocab_size
        num_contexts = len(all_keys[k - 2]) if k > 1 else 1
        totals = np.bincount(context, counts, minlength=num_contexts)
        discounts = _discounts(counts)[np.minimum(counts, 3)]
        removed = np.bincount(context, discounts, minlength=num_contexts)
        with np.errstate(invalid="ignore"):
            backoff = np.where(totals > 0, removed / totals, 1.0)
        lower = 1 / vocab_size if k == 1 else orders[-1].probs[numbers[k - 2][firsts[k - 2]]]
        probs = backoff[context] * lower
        probs += np.where(counts > 0, (counts - discounts) / np.maximum(totals[context], 1), 0.0)
        orders.append(Order(keys, probs, backoff))
    return [Order(o.keys, o.probs.astype(np.float32), o.backoff.astype(np.float32)) for o in orders]


def _discounts(counts: Array) -> Array:
    """What to take from a k-gram that was counted 0, 1, 2, and 3 times or more."""
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == times)) for times in (1, 2, 3, 4))
    if not n1 or not n2:
        return np.array([0.0, 0.5, 0.5, 0.5])  # too little text to estimate them from
    y = n1 / (n1 + 2 * n2)
    d1 = 1 - 2 * y * n2 / n1
    d2 = 2 - 3 * y * n3 / n2
    d3 = 3 - 4 * y * n4 / n3 if n3 else d2
    return np.array([0.0, *np.clip((d1, d2, d3), 0.01, (1, 2, 3))])
