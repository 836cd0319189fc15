"""How probable texts are: log P of whole sentences by the chain rule."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from charrnn.checkpoint import Checkpoint
from charrnn.errors import ConfigError
from charrnn.evaluation import token_log_probs, window_log_probs
from charrnn.model import CharRNN
from charrnn.parallel import Workers
from charrnn.vocabulary import EOS, EOS_NAME, UNK, normalize, sum_composed

_MAX_EXPONENT = 700  # exp of more does not fit a float


@dataclass(frozen=True)
class Score:
    """The log-probabilities of a text's characters, and of its end where that counts."""

    text: str  # in NFC
    tokens: Sequence[str]  # as the model reads it: a string where they are characters
    log_probs: np.ndarray  # nats, one a token, and a last one for <EOS>
    unk: int  # tokens outside the vocabulary
    eos: bool  # whether the end counts

    @property
    def log_prob(self) -> float:
        """log P of the whole text, in nats."""
        return math.fsum(self.log_probs)

    @property
    def chars(self) -> int:
        """Characters predicted, and one for <EOS> where it counts."""
        return len(self.text) + self.eos

    def figures(self) -> dict[str, float | None]:
        """`bits_per_char` and `perplexity`."""
        return _figures(self.log_prob, self.chars, len(self.log_probs))

    @property
    def per_token(self) -> list[tuple[str, float]]:
        """Each token, at last <EOS> where it counts, with its log P in nats."""
        return self._named(self.tokens, [*self.log_probs])

    @property
    def per_char(self) -> list[tuple[str, float]]:
        """The same for each character in NFC, with the log P of all that it is composed of.

        Raises:
            ValueError: the tokens are words.
        """
        if not isinstance(self.tokens, str):
            raise ValueError("a model of words has no probability of a character")
        sums = [*self.log_probs]
        if self.tokens != self.text:
            size = len(self.tokens)
            sums[:size] = sum_composed(self.text, sums[:size])
        return self._named(self.text, sums)

    def _named(self, names: Sequence[str], log_probs: Sequence[float]) -> list[tuple[str, float]]:
        return list(zip([*names, EOS_NAME][: len(log_probs)], map(float, log_probs), strict=True))


@dataclass
class Total:
    """All texts of a call together: nats and characters are summed, and divided once."""

    texts: int = 0
    chars: int = 0
    tokens: int = 0
    unk: int = 0
    _log_probs: list[float] = field(default_factory=list)  # one sum for each block of texts

    def add(self, scores: Sequence[Score]) -> None:
        """Count a block of texts in."""
        self.texts += len(scores)
        self.chars += sum(score.chars for score in scores)
        self.tokens += sum(len(score.log_probs) for score in scores)
        self.unk += sum(score.unk for score in scores)
        self._log_probs.append(math.fsum(score.log_prob for score in scores))

    def fields(self) -> dict[str, Any]:
        """What `score --total` prints."""
        log_prob = math.fsum(self._log_probs)
        return {
            "texts": self.texts,
            "log_prob": log_prob,
            "chars": self.chars,
            "unk": self.unk,
            **_figures(log_prob, self.chars, self.tokens),
        }


def _figures(log_prob: float, chars: int, tokens: int) -> dict[str, float | None]:
    """Bits per character and perplexity per token, None where nothing was predicted."""
    if not tokens:
        return {"bits_per_char": None, "perplexity": None}
    nats = -log_prob / tokens
    perplexity = math.exp(nats) if nats < _MAX_EXPONENT else None
    return {"bits_per_char": -log_prob / chars / math.log(2), "perplexity": perplexity}


def score(
    checkpoint: Checkpoint,
    texts: Sequence[str],
    *,
    eos: bool | None = None,
    context: int | None = None,
    workers: Workers,
) -> list[Score]:
    """Score texts side by side; each is a document of its own and none sees another.

    Args:
        eos: whether the end of each text counts; None means for a model trained on lines.
        context: predict each character from zero state after this many before it only.
        workers: threads that share the work.

    Raises:
        CorpusError: a text is not valid Unicode.
        ConfigError: a context is asked of an n-gram model, which has its own.
    """
    eos = checkpoint.lines if eos is None else eos
    texts = [normalize(text) for text in texts]
    tokens = [checkpoint.vocabulary.split(text) for text in texts]
    sequences = [checkpoint.vocabulary.ids([split]) for split in tokens]
    unks = [int(np.count_nonzero(sequence == UNK)) for sequence in sequences]
    if eos:
        sequences = [np.append(sequence, EOS) for sequence in sequences]
    if context is None:
        found = token_log_probs(checkpoint.model, sequences, workers)
    elif isinstance(checkpoint.model, CharRNN):
        found = window_log_probs(checkpoint.model, sequences, context, workers)
    else:
        raise ConfigError("an ngram sees the characters of its order; --context is for the others")
    return [
        Score(text, split, log_probs, unk, eos)
        for text, split, log_probs, unk in zip(texts, tokens, found, unks, strict=True)
    ]
