"""What scoring finds: log P of each token of a text, and the sums over texts.

`log_prob` is that of the text, which compares with those of other texts and of other models: an
unknown character costs P(<UNK>) and its share among all that are unknown, see
`Vocabulary.unknown_nats`. `token_log_prob` is what the model says of its tokens, where all that is
unknown is one token, <UNK>, and flatters texts that the model cannot read.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import numpy as np

from charrnn.ids import IGNORE, UNK
from charrnn.inference.units import bits, perplexity
from charrnn.storage.checkpoint import check_finite
from charrnn.text.unicode import sum_composed
from charrnn.text.vocabulary import EOS_NAME, split_words

_TERMS = 4096  # of a sum that are kept


class Figures(ABC):
    """Bits per character and perplexity of anything with a log P: a text, or several together."""

    @property
    @abstractmethod
    def log_prob(self) -> float:
        """log P in nats, of everything that was predicted."""

    @property
    @abstractmethod
    def token_log_prob(self) -> float:
        """log P of the tokens in nats, where whatever is unknown is one token, <UNK>."""

    @property
    @abstractmethod
    def chars(self) -> int:
        """Characters predicted, and one for each <EOS> that counts."""

    @property
    @abstractmethod
    def num_tokens(self) -> int:
        """Tokens predicted, each <EOS> that counts among them."""

    @property
    def bits_per_char(self) -> float | None:
        """-log2 P per character; None where nothing was predicted."""
        return bits(-self.log_prob / self.chars) if self.num_tokens else None

    @property
    def perplexity(self) -> float | None:
        """Perplexity per token; None where nothing was predicted, or where no float holds it."""
        return perplexity(-self.log_prob / self.num_tokens) if self.num_tokens else None


@dataclass(frozen=True)
class Score(Figures):
    """The log-probabilities of a text's characters, and of its end where that counts."""

    text: str  # in NFC
    tokens: Sequence[str]  # as the model reads it: a string where they are characters
    log_probs: np.ndarray  # nats, one a token, and a last one for <EOS>
    unk: int  # tokens outside the vocabulary
    eos: bool  # whether the end counts
    cost: np.ndarray = field(default_factory=lambda: np.empty(0))
    """Nats that log_probs hold for spelling out the tokens that are unknown, one a token."""

    @cached_property
    def log_prob(self) -> float:
        """log P of the whole text, in nats."""
        return math.fsum(self.log_probs)

    @property
    def token_log_prob(self) -> float:
        """log P of its tokens, in nats, where whatever is unknown is one token, <UNK>."""
        return self.log_prob + math.fsum(self.cost)

    @property
    def num_tokens(self) -> int:
        """Tokens predicted, the end among them where it counts."""
        return len(self.log_probs)

    @property
    def chars(self) -> int:
        """Characters predicted, and one for <EOS> where it counts."""
        return len(self.text) + self.eos

    @property
    def prob(self) -> float:
        """P of the whole text."""
        return math.exp(self.log_prob)

    @property
    def per_token(self) -> list[tuple[str, float]]:
        """Each token, at last <EOS> where it counts, with its log P in nats."""
        return self._named(self.tokens, self.log_probs)

    @property
    def per_char(self) -> list[tuple[str, float]]:
        """Each character in NFC with its log P in nats, summed over all that it is composed of.

        Raises:
            ValueError: the tokens are words.
        """
        return self._named(self.text, self._by_char(self.log_probs))

    @property
    def per_word(self) -> list[tuple[str, float]]:
        """Each word, see `split_words`, at last <EOS> where it counts, with its log P in nats.

        That a word ends where it does is part of what follows it.
        """
        if not isinstance(self.tokens, str):
            return self.per_token
        log_probs, words = iter(self._by_char(self.log_probs)), split_words(self.text)
        sums = [math.fsum(islice(log_probs, len(word))) for word in words]
        return self._named(words, [*sums, *log_probs])

    @property
    def unknown_tokens(self) -> list[bool]:
        """Which of `per_token` the model does not know."""
        return [bool(cost) for cost in (*self.cost, *[0] * self.eos)]

    @property
    def unknown_chars(self) -> list[bool]:
        """Which of `per_char` the model does not know, or not all that they are composed of."""
        return [bool(cost) for cost in self._by_char((*self.cost, *[0] * self.eos))]

    def _by_char(self, values: Iterable[float]) -> list[float]:
        """The sum of the values of all tokens that a character is composed of, and the end's."""
        if not isinstance(self.tokens, str):
            raise ValueError("a model of words has no probability of a character")
        sums = [*values]
        if self.tokens != self.text:
            size = len(self.tokens)
            sums[:size] = sum_composed(self.text, sums[:size])
        return sums

    def _named(self, names: Sequence[str], log_probs: Iterable[float]) -> list[tuple[str, float]]:
        return list(zip([*names, *[EOS_NAME] * self.eos], map(float, log_probs), strict=True))


class Sum:
    """A sum of many numbers that is rounded only once in _TERMS terms."""

    def __init__(self) -> None:
        self._terms: list[float] = []

    def add(self, term: float) -> None:
        """Count a number in."""
        self._terms.append(term)
        if len(self._terms) == _TERMS:
            self._terms = [self.value]

    @property
    def value(self) -> float:
        """The sum so far."""
        return math.fsum(self._terms)


@dataclass
class Tally(Figures):
    """The figures of a text that is too long to keep each token's."""

    eos: bool  # whether the end counts
    chars: int = 0
    num_tokens: int = 0
    unk: int = 0
    unk_nats: float = 0.0  # what spelling out unknown tokens takes away from their log P
    _log_prob: Sum = field(default_factory=Sum)

    def add(self, tokens: np.ndarray, log_probs: np.ndarray) -> None:
        """Count tokens in, those of them that are not IGNORE.

        Raises:
            CheckpointError: the model predicts nothing.
        """
        self.num_tokens += int(np.count_nonzero(tokens != IGNORE))
        self.unk += int(np.count_nonzero(tokens == UNK))
        log_prob = float(log_probs.sum(dtype=np.float64))
        check_finite(log_prob)
        self._log_prob.add(log_prob)

    def merge(self, part: "Tally") -> None:
        """Count the tokens of another part of the text in."""
        self.num_tokens += part.num_tokens
        self.unk += part.unk
        self._log_prob.add(part.token_log_prob)

    @property
    def log_prob(self) -> float:
        """log P of the whole text, in nats."""
        return self.token_log_prob - self.unk_nats

    @property
    def token_log_prob(self) -> float:
        """log P of its tokens, as in Figures."""
        return self._log_prob.value


@dataclass
class Total(Figures):
    """All texts of a call together: nats and characters are summed, and divided once."""

    texts: int = 0
    chars: int = 0
    num_tokens: int = 0
    unk: int = 0
    _log_prob: Sum = field(default_factory=Sum)
    _token_log_prob: Sum = field(default_factory=Sum)

    def add(self, scores: Sequence[Score | Tally]) -> None:
        """Count a block of texts in."""
        self.texts += len(scores)
        self.chars += sum(score.chars for score in scores)
        self.num_tokens += sum(score.num_tokens for score in scores)
        self.unk += sum(score.unk for score in scores)
        self._log_prob.add(math.fsum(score.log_prob for score in scores))
        self._token_log_prob.add(math.fsum(score.token_log_prob for score in scores))

    @property
    def log_prob(self) -> float:
        """log P of all texts, in nats."""
        return self._log_prob.value

    @property
    def token_log_prob(self) -> float:
        """log P of their tokens, as in Figures."""
        return self._token_log_prob.value
