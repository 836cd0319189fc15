"""Surprisal: the bits of every character of a text, and which tokens were likelier there.

Letters: T steps, V vocabulary size, N tokens of a text, K likeliest tokens at each of them.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from charrnn.ids import EOS, UNK
from charrnn.inference.choosing import log_softmax
from charrnn.inference.scores import Score
from charrnn.inference.scoring import scored
from charrnn.inference.units import bits
from charrnn.storage.checkpoint import Checkpoint, check_finite
from charrnn.text.unicode import normalize, places_of_parts
from charrnn.text.vocabulary import EOS_NAME, UNK_NAME, Vocabulary

Array = np.ndarray

LIKELIEST = 5  # K, tokens named at each place
_BEFORE = 40  # characters shown before a place
_STEPS = 128  # steps of a chunk
_MAX_LOGITS = 1 << 21  # logits of a chunk; a large vocabulary gets shorter chunks


@dataclass(frozen=True)
class Step:
    """One prediction: the token that came, and those that were likeliest."""

    token: str
    known: bool  # whether it is in the vocabulary; else what is predicted is <UNK>
    log_prob: float  # nats, with what spelling out an unknown token costs
    rank: int  # of the token, or of <UNK>: 1 where no token was likelier
    likeliest: Sequence[tuple[str, float]]  # tokens with log P, the likeliest first

    @property
    def likelier(self) -> list[tuple[str, float]]:
        """The tokens that were likelier than the one that came."""
        return [(token, log_prob) for token, log_prob in self.likeliest[: self.rank - 1]]


@dataclass(frozen=True)
class Place:
    """A character of a text, or a word, or the end."""

    text: str
    steps: Sequence[Step]  # several where the model composes the character

    @property
    def log_prob(self) -> float:
        """log P of all of it, in nats."""
        return math.fsum(step.log_prob for step in self.steps)

    @property
    def bits(self) -> float:
        """How surprising it is: -log2 P."""
        return bits(-self.log_prob)

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
    ranks: Array  # (N,)
    likeliest: Array  # (N, K) ids
    log_probs: Array  # (N, K) nats, of the likeliest

    def __len__(self) -> int:
        """How many places the text has."""
        return len(self._names)

    def places(self) -> Iterator[Place]:
        """Every place of the text in its order."""
        return map(self.place, range(len(self)))

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
        likeliest = zip(self.likeliest[index], self.log_probs[index], strict=True)
        return Step(
            tokens[index] if index < len(tokens) else EOS_NAME,
            bool(self.ids[index] != UNK),
            float(self.score.log_probs[index]),
            int(self.ranks[index]),
            [(self._name(int(token)), float(log_prob)) for token, log_prob in likeliest],
        )

    def _name(self, token: int) -> str:
        return {EOS: EOS_NAME, UNK: UNK_NAME}.get(token) or self.vocabulary.token(token)


def surprise(checkpoint: Checkpoint, text: str, *, eos: bool | None = None) -> Surprise:
    """Score a text, and keep what the model expected at each of its tokens.

    Args:
        eos: whether the end counts; None means unless the model was trained on whole files.

    Raises:
        CorpusError: the text is not valid Unicode.
        CheckpointError: the model predicts nothing.
    """
    model, vocabulary = checkpoint.model, checkpoint.vocabulary
    eos = checkpoint.count_eos if eos is None else eos
    text = normalize(text)
    tokens = vocabulary.split(text)
    read = vocabulary.ids([tokens])
    ids = np.append(read, EOS) if eos else read
    inputs = np.append(EOS, ids[:-1])
    T = max(1, min(_STEPS, _MAX_LOGITS // len(vocabulary)))
    unrolled, state = model.unroll(T, 1), model.zero_state(1)
    K = min(LIKELIEST, len(vocabulary))
    parts = [(np.empty(0), np.empty(0, int), np.empty((0, K), int), np.empty((0, K)))]
    for start in range(0, len(ids), T):
        part = slice(start, start + T)
        logits, state = unrolled.forward(inputs[part, None], state)
        parts.append(_look(logits[:, :, 0], ids[part]))
    own, *expected = map(np.concatenate, zip(*parts, strict=True))
    score = scored(vocabulary, text, tokens, read, own, eos)
    return Surprise(score, vocabulary, ids, *expected)


def _look(logits: Array, ids: Array) -> tuple[Array, Array, Array, Array]:
    """log P (T,) and rank (T,) of the tokens that came, and ids and log P (T, K) of the likeliest.

    Args:
        logits: (T, V).
        ids: (T,) of the tokens that came.
    """
    with np.errstate(all="ignore"):
        log_probs = log_softmax(logits.T.astype(np.float64)).T
    check_finite(float(log_probs.sum()))
    own = np.take_along_axis(log_probs, ids[:, None].astype(int), axis=1)
    K = min(LIKELIEST, log_probs.shape[1])
    best = np.sort(np.argpartition(-log_probs, K - 1, axis=1)[:, :K], axis=1)
    found = np.take_along_axis(log_probs, best, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    ranks = 1 + (log_probs > own).sum(axis=1)
    return own[:, 0], ranks, *(np.take_along_axis(a, order, axis=1) for a in (best, found))
