"""Surprisal: bits, entropy and rank of every character of a text, and which tokens were likelier.

Letters: T steps, B texts side by side, V vocabulary size, N tokens of a text, K likeliest tokens at
each of them.
"""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import Any

import numpy as np

from charrnn.ids import EOS, UNK
from charrnn.inference.choosing import log_softmax
from charrnn.inference.continuations import look_at
from charrnn.inference.scores import Score
from charrnn.inference.scoring import excerpts_of
from charrnn.inference.units import bits
from charrnn.parallel.threads import Workers
from charrnn.storage.checkpoint import Checkpoint, check_finite
from charrnn.text.unicode import places_of_parts
from charrnn.text.vocabulary import EOS_NAME, UNK_NAME, Vocabulary, split_words

Array = np.ndarray

LIKELIEST = 5  # K, tokens named at each place
_BEFORE = 40  # characters shown before a place


@dataclass(frozen=True)
class Step:
    """One prediction: the token that came, and those that were likeliest."""

    token: str
    known: bool  # whether it is in the vocabulary; else what is predicted is <UNK>
    log_prob: float  # nats, with what spelling out an unknown token costs
    entropy: float  # of the prediction, in nats: how surprising a token is on average
    rank: int  # of the token, or of <UNK>: 1 where no token was likelier
    # What `likeliest` is, for when it is asked for.
    expected: Callable[[], Sequence[tuple[str, float]]] = field(compare=False, repr=False)

    @property
    def likeliest(self) -> Sequence[tuple[str, float]]:
        """Tokens with log P in nats, the likeliest first."""
        return self.expected()

    @property
    def likelier(self) -> list[tuple[str, float]]:
        """The tokens that were likelier than the one that came."""
        return [(token, log_prob) for token, log_prob in self.likeliest[: self.rank - 1]]


@dataclass(frozen=True)
class Place:
    """A character of a text, or a word, or the end."""

    text: str
    steps: Sequence[Step]  # several where the model composes it

    @property
    def log_prob(self) -> float:
        """log P of all of it, in nats."""
        return math.fsum(step.log_prob for step in self.steps)

    @property
    def bits(self) -> float:
        """How surprising it is: -log2 P."""
        return bits(-self.log_prob)

    @property
    def entropy(self) -> float:
        """How surprising the model expected it to be, in bits: the sum over its steps."""
        return bits(math.fsum(step.entropy for step in self.steps))

    @property
    def rank(self) -> int:
        """The highest rank of its steps: 1 where the model would have guessed each of them."""
        return max(step.rank for step in self.steps)

    @property
    def known(self) -> bool:
        """Whether all of it is in the vocabulary."""
        return all(step.known for step in self.steps)

    @property
    def hardest(self) -> Step:
        """The least probable step."""
        return min(self.steps, key=lambda step: step.log_prob)


@dataclass(frozen=True)
class Surprise:
    """A score, and of each of its tokens the rank and the likeliest ones in its place."""

    score: Score
    vocabulary: Vocabulary
    ids: Array  # (N,)
    entropies: Array  # (N,) nats
    ranks: Array  # (N,)
    likeliest: Array  # (N, K) ids
    log_probs: Array  # (N, K) nats, of the likeliest

    def __len__(self) -> int:
        """How many places the text has."""
        return len(self._names)

    def places(self) -> Iterator[Place]:
        """Every place of the text in its order."""
        return map(self.place, range(len(self)))

    def tokens(self) -> Iterator[Place]:
        """A place for each token that the model reads, and for the end where it counts."""
        for index in range(len(self.score.log_probs)):
            step = self._step(index)
            yield Place(step.token, [step])

    def words(self) -> Iterator[Place]:
        """A place for each word, see `split_words`, and for the end where it counts."""
        places = self.places()
        if not isinstance(self.score.tokens, str):
            yield from places
            return
        for word in split_words(self.score.text):
            own = islice(places, len(word))
            yield Place(word, [step for place in own for step in place.steps])
        yield from places

    def place(self, index: int) -> Place:
        """One place of the text."""
        steps = [index] if self._parts is None else self._parts[index]
        return Place(self._names[index], [*map(self._step, steps)])

    def worst(self, count: int) -> list[tuple[str, Place]]:
        """The most surprising places where something was likelier, each after the text before it.

        Of that text at most its last characters, as many as fit a line.
        """
        log_probs = [log_prob for _, log_prob in self._per_place]
        order = heapq.nsmallest(count, range(len(self)), key=log_probs.__getitem__)
        found = ((index, self.place(index)) for index in order)
        return [
            ("".join(self._names[max(0, index - _BEFORE) : index])[-_BEFORE:], place)
            for index, place in found
            if place.hardest.rank > 1
        ]

    @property
    def _per_place(self) -> list[tuple[str, float]]:
        return self.score.per_char if isinstance(self.score.tokens, str) else self.score.per_token

    @cached_property
    def _names(self) -> Sequence[str]:
        return [name for name, _ in self._per_place]

    @cached_property
    def _parts(self) -> list[list[int]] | None:
        """The tokens that each character is composed of, None where places are tokens."""
        score = self.score
        if not isinstance(score.tokens, str) or score.tokens == score.text:
            return None
        parts: list[list[int]] = [[] for _ in self._names]
        for token, place in enumerate(places_of_parts(score.text)):
            parts[place].append(token)
        if score.eos:
            parts[-1].append(len(score.tokens))
        return parts

    def _step(self, index: int) -> Step:
        tokens = self.score.tokens
        return Step(
            tokens[index] if index < len(tokens) else EOS_NAME,
            self.ids.item(index) != UNK,
            self.score.log_probs.item(index),
            self.entropies.item(index),
            self.ranks.item(index),
            partial(self._expected, index),
        )

    def _expected(self, index: int) -> list[tuple[str, float]]:
        names = map(self._name, self.likeliest[index].tolist())
        return list(zip(names, self.log_probs[index].tolist(), strict=True))

    def _name(self, token: int) -> str:
        return {EOS: EOS_NAME, UNK: UNK_NAME}.get(token) or self.vocabulary.token(token)


def surprises(
    checkpoint: Checkpoint,
    texts: Sequence[str],
    *,
    given: str | Sequence[str] = "",
    eos: bool | None = None,
    workers: Workers,
) -> list[Surprise]:
    """Score texts, and keep what the model expected at each of their tokens.

    Args:
        given: what stands before the texts, as for `score`.
        eos: whether the end counts; None means unless the model was trained on whole files.

    Raises:
        CorpusError: a text is not valid Unicode.
        CheckpointError: the model predicts nothing.
    """
    vocabulary, eos = checkpoint.vocabulary, checkpoint.count_eos if eos is None else eos
    excerpts = excerpts_of(vocabulary, texts, given)
    targets = [excerpt.targets(eos) for excerpt in excerpts]
    pasts = [excerpt.past for excerpt in excerpts]
    found = look_at(checkpoint.model, pasts, targets, _look, workers)
    return [
        Surprise(excerpt.score(vocabulary, own, eos), vocabulary, ids, *expected)
        for excerpt, ids, (own, *expected) in zip(excerpts, targets, found, strict=True)
    ]


def _look(unrolled: Any, inputs: Array, targets: Array, state: Array) -> tuple[list[Array], Array]:
    """log P, entropy in nats and rank (T, B) of the targets, and ids and log P (T, B, K) of the
    likeliest; see `continuations.Look`."""
    logits, state = unrolled.forward(inputs, state)  # (T, V, B)
    with np.errstate(all="ignore"):
        log_probs = log_softmax(logits.transpose(1, 0, 2).astype(np.float64))  # (V, T, B)
        log_probs = np.ascontiguousarray(log_probs.transpose(1, 2, 0))
    check_finite(float(log_probs.sum()))
    entropies = -np.einsum("tbv,tbv->tb", np.exp(log_probs), log_probs)
    own = np.take_along_axis(log_probs, np.maximum(targets, 0)[..., None], axis=-1)
    K = min(LIKELIEST, log_probs.shape[-1])
    best = np.sort(np.argpartition(-log_probs, K - 1, axis=-1)[..., :K], axis=-1)
    found = np.take_along_axis(log_probs, best, axis=-1)
    order = np.argsort(-found, axis=-1, kind="stable")
    ranks = 1 + (log_probs > own).sum(axis=-1)
    likeliest = [np.take_along_axis(each, order, axis=-1) for each in (best, found)]
    return [own[..., 0], entropies, ranks, *likeliest], state
