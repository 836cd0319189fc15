"""The autoregressive model of the last symbols: interpolated Kneser-Ney with modified discounts.

Letters: n the order, k = 1..n an order of the back-off, V vocabulary size, N tokens.

P_k(w | context) = (c - D(c)) / C(context) + γ(context) · P_{k-1}(w | context less its first token)

where c is the count of the k-gram, C the sum of the counts of its context, and γ what the discounts
D took away from them (Chen & Goodman 1998, modified Kneser-Ney). P_0 is uniform over the
vocabulary: that is where the mass of what was never seen comes from. At the highest order c counts
occurrences, below it the different tokens seen before the k-gram. A document starts with a marker
that is only ever context; k-grams that begin with it have nothing before them and keep their
occurrences.

A model can be pruned to a stated size. What goes are the k-grams without which the text would lose
the least log-likelihood (the weighted difference of Seymore & Rosenfeld 1996); what stays keeps its
probability, and γ is computed anew so that every distribution still adds up to one.

Whole contexts do not fit 64 bits, so k-grams are numbered order by order: the key of a k-gram is
(number of its context)·V + token, its own number the rank of that key among all k-grams. A context
of k tokens is the k-gram before, and has its number. Of single tokens the number is the id, and the
start marker has the id of <EOS>, which is never context. So a model that has a k-gram has its
context too; the k-gram less its first token may have been pruned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from charrnn.config import ModelConfig
from charrnn.functional import IGNORE
from charrnn.vocabulary import EOS

Array = np.ndarray

_NONE = -1  # the number of a context that is not there, or that would reach over a start
_NO_MASS = 1e-12  # less probability than this is what rounding leaves of none


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

    def rounded(self) -> "Order":
        """In float32, from the float64 that it was computed in."""
        return Order(self.keys, self.probs.astype(np.float32), self.backoff.astype(np.float32))


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
            possible = 0 < probs.min() <= probs.max() <= 1
            if not possible or not 0 < backoff.min() <= backoff.max() < np.inf:
                raise ValueError(f"the probabilities or weights of the {k}-grams are out of range")
            orders.append(order)
            num_contexts = len(keys)
        return cls(config, orders)

    @classmethod
    def fit(cls, config: ModelConfig, tokens: Array, max_size: int | None = None) -> "NGram":
        """Count, discount and prune the k-grams of a split.

        Args:
            tokens: (N,), as `tokens.encode_documents` gives it.
            max_size: at most so many k-grams stay, and the unigrams in any case; None: all.
        """
        counted = _count(config, tokens)
        orders = _discounted(counted)
        if max_size is not None and max_size < sum(len(order.keys) for order in orders):
            orders = _pruned(counted, orders, max_size)
        return cls(config, [order.rounded() for order in orders])

    def zero_state(self, batch_size: int) -> Array:
        """The state before a document (n - 1, B): the numbers of its contexts of 1..n-1 tokens."""
        state = np.full((len(self.orders) - 1, batch_size), _NONE)
        state[:1] = EOS
        return state

    def unroll(self, seq_len: int, batch_size: int) -> "NGram":
        """Itself: unlike a network it needs no work buffers."""
        return self

    def run(self, inputs: Array, state: Array) -> Array:
        """The state after inputs (T, B), without predicting anything."""
        return self._contexts(inputs, state)[1]

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


@dataclass(frozen=True)
class _Counted:
    """The k-grams of one order as they are in a text, each array int64, one number a k-gram.

    Attributes:
        keys: sorted.
        contexts: number of all but the last token, among the (k - 1)-grams.
        shorter: number of all but the first token, among the (k - 1)-grams.
        times: occurrences.
    """

    keys: Array
    contexts: Array
    shorter: Array
    times: Array


def _count(config: ModelConfig, tokens: Array) -> list[_Counted]:
    """The k-grams of tokens (N,) for k = 1..n, less where no document is that long."""
    vocab_size = config.vocab_size
    tokens = tokens.astype(np.int64)
    predicted = tokens != IGNORE
    starts = np.append(True, tokens[:-1] <= EOS)
    none = np.zeros(vocab_size, np.int64)  # the empty context
    times = np.bincount(tokens[predicted], minlength=vocab_size)
    counted = [_Counted(np.arange(vocab_size), none, none, times)]
    number = tokens  # of the k-gram that ends at each place
    for k in range(2, config.order + 1):
        context = np.where(starts, EOS if k == 2 else _NONE, np.append(_NONE, number[:-1]))
        places = np.flatnonzero(predicted & (context != _NONE))
        if not places.size:
            break
        keys, firsts, inverse, times = np.unique(
            context[places] * vocab_size + tokens[places],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        counted.append(_Counted(keys, keys // vocab_size, number[places[firsts]], times))
        number = np.full_like(tokens, _NONE)
        number[places] = inverse
    return counted


def _discounted(counted: Sequence[_Counted]) -> list[Order]:
    """Counts to probabilities, order by order from below, all in float64."""
    orders: list[Order] = []
    for k, grams in enumerate(counted, start=1):
        counts = grams.times
        if k < len(counted):
            different = np.bincount(counted[k].shorter, minlength=len(counts))
            counts = np.where(different > 0, different, counts)
        num_contexts = len(orders[-1].keys) if orders else 1
        totals = np.bincount(grams.contexts, counts, num_contexts)
        discounts = _discounts(counts)[np.minimum(counts, 3)]
        removed = np.bincount(grams.contexts, discounts, num_contexts)
        with np.errstate(invalid="ignore"):
            backoff = np.where(totals > 0, removed / totals, 1.0)
        lower = orders[-1].probs[grams.shorter] if orders else 1 / len(grams.keys)
        probs = backoff[grams.contexts] * lower
        probs += (counts - discounts) / np.maximum(totals[grams.contexts], 1)
        orders.append(Order(grams.keys, probs, backoff))
    return orders


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


def _pruned(counted: Sequence[_Counted], orders: Sequence[Order], max_size: int) -> list[Order]:
    """The k-grams that `_kept` chooses, with new keys and the γ that fit them, all in float64."""
    kept = _kept(counted, orders, max_size)
    vocab_size = len(orders[0].keys)
    pruned = [orders[0]]
    # Of every k-gram of the text, kept or not: P_k in the pruned model, and its number there.
    probs, numbers = orders[0].probs, orders[0].keys
    for grams, order, keep in zip(counted[1:], orders[1:], kept[1:], strict=True):
        if not keep.any():
            break
        contexts, lower = numbers[grams.contexts], probs[grams.shorter]
        num_contexts = len(pruned[-1].keys)
        backoff = _mass_left(contexts[keep], order.probs[keep], num_contexts)
        backoff /= _mass_left(contexts[keep], lower[keep], num_contexts)
        keys = contexts[keep] * vocab_size + grams.keys[keep] % vocab_size
        pruned.append(Order(keys, order.probs[keep], backoff))
        backed_off = np.where(contexts == _NONE, 1.0, backoff[contexts]) * lower
        probs = np.where(keep, order.probs, backed_off)
        numbers = np.where(keep, np.cumsum(keep) - 1, _NONE)
    return pruned


def _mass_left(contexts: Array, probs: Array, num_contexts: int) -> Array:
    """What the probabilities of the tokens after each context leave for all other tokens."""
    return np.maximum(1 - np.bincount(contexts, probs, num_contexts), _NO_MASS)


def _kept(counted: Sequence[_Counted], orders: Sequence[Order], max_size: int) -> list[Array]:
    """For each order, whether each k-gram is one of the `max_size` that are worth most.

    A k-gram is worth the log-likelihood that the text loses if it backs off instead, or, if that is
    more, what a longer one is worth whose context it is. Shorter ones win a tie, so that none is
    kept without its context.
    """
    worths = [np.full(len(orders[0].keys), np.inf)]
    for grams, order, below in zip(counted[1:], orders[1:], orders[:-1], strict=True):
        backed_off = order.backoff[grams.contexts] * below.probs[grams.shorter]
        worths.append(grams.times * np.log(order.probs / backed_off))
    for k in range(len(worths) - 1, 0, -1):
        np.maximum.at(worths[k - 1], counted[k].contexts, worths[k])
    ranking = np.argsort(-np.concatenate(worths), kind="stable")
    kept = np.zeros(len(ranking), np.bool_)
    kept[ranking[: max(max_size, len(worths[0]))]] = True
    return np.split(kept, np.cumsum([len(worth) for worth in worths])[:-1])
