"""How probable texts are: log P of whole sentences by the chain rule.

`log_prob` is that of the text, which compares with those of other texts and of other models: an
unknown character costs P(<UNK>) and its share among all that are unknown, see
`Vocabulary.unknown_nats`. `token_log_prob` is what the model says of its tokens, where all that is
unknown is one token, <UNK>, and flatters texts that the model cannot read.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from charrnn.errors import ConfigError
from charrnn.ids import EOS, IGNORE, UNK
from charrnn.inference.adaptation import Adaptive
from charrnn.inference.evaluation import BURN_IN, chunk_shape, token_log_probs, window_log_probs
from charrnn.ngrams.ngram import NGram
from charrnn.ngrams.residual import LanguageModel, Network
from charrnn.parallel.threads import Workers
from charrnn.storage.checkpoint import Checkpoint, check_finite
from charrnn.text.documents import WORDS, Documents
from charrnn.text.reading import regroup
from charrnn.text.tokens import Tokens, tokenize
from charrnn.text.unicode import normalize, sum_composed
from charrnn.text.vocabulary import EOS_NAME, Vocabulary

_STEPS = 128  # of a long text at a time
_GROUP = 4  # streams of a long text side by side in a thread
_MAX_EXPONENT = 700  # exp of more does not fit a float
_TERMS = 4096  # of a sum that are kept


@dataclass(frozen=True)
class Score:
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

    def figures(self) -> dict[str, float | None]:
        """`bits_per_char` and `perplexity`."""
        return _figures(self.log_prob, self.chars, self.num_tokens)

    @property
    def prob(self) -> float:
        """P of the whole text."""
        return math.exp(self.log_prob)

    @property
    def bits_per_char(self) -> float | None:
        """-log2 P by the character; None where nothing was predicted."""
        return self.figures()["bits_per_char"]

    @property
    def perplexity(self) -> float | None:
        """By the token; None where nothing was predicted, or where no float holds it."""
        return self.figures()["perplexity"]

    @property
    def per_token(self) -> list[tuple[str, float]]:
        """Each token, at last <EOS> where it counts, with its log P in nats."""
        return self._named(self.tokens, self.log_probs)

    @property
    def per_char(self) -> list[tuple[str, float]]:
        """The same for each character in NFC, with the log P of all that it is composed of.

        Raises:
            ValueError: the tokens are words.
        """
        return self._named(self.text, self._by_char(self.log_probs))

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
    """A sum of many numbers, rounded every so many terms only."""

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
class Tally:
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
        """log P of its tokens, as in Score."""
        return self._log_prob.value

    def figures(self) -> dict[str, float | None]:
        """`bits_per_char` and `perplexity`."""
        return _figures(self.log_prob, self.chars, self.num_tokens)


@dataclass
class Total:
    """All texts of a call together: nats and characters are summed, and divided once."""

    texts: int = 0
    chars: int = 0
    tokens: int = 0
    unk: int = 0
    _log_prob: Sum = field(default_factory=Sum)
    _token_log_prob: Sum = field(default_factory=Sum)

    def add(self, scores: Sequence[Score | Tally]) -> None:
        """Count a block of texts in."""
        self.texts += len(scores)
        self.chars += sum(score.chars for score in scores)
        self.tokens += sum(score.num_tokens for score in scores)
        self.unk += sum(score.unk for score in scores)
        self._log_prob.add(math.fsum(score.log_prob for score in scores))
        self._token_log_prob.add(math.fsum(score.token_log_prob for score in scores))

    def fields(self) -> dict[str, Any]:
        """What `score --total` prints."""
        log_prob = self._log_prob.value
        return {
            "texts": self.texts,
            "log_prob": log_prob,
            "chars": self.chars,
            "unk": self.unk,
            **_figures(log_prob, self.chars, self.tokens),
            "token_log_prob": self._token_log_prob.value,
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
        eos: whether the end of each text counts; None means unless the model was trained on
            whole files.
        context: predict each character from zero state after this many before it only.
        workers: threads that share the work.

    Raises:
        CorpusError: a text is not valid Unicode.
        ConfigError: a context is asked of an n-gram model, which has its own.
        CheckpointError: the model predicts nothing.
    """
    eos = checkpoint.count_eos if eos is None else eos
    texts = [normalize(text) for text in texts]
    tokens = [checkpoint.vocabulary.split(text) for text in texts]
    ids = [checkpoint.vocabulary.ids([split]) for split in tokens]
    targets = [np.append(own, EOS) for own in ids] if eos else ids
    if context is None:
        found = token_log_probs(checkpoint.model, targets, workers)
    else:
        found = window_log_probs(_windowed(checkpoint), targets, context, workers)
    read = zip(texts, tokens, ids, found, strict=True)
    return [scored(checkpoint.vocabulary, *each, eos) for each in read]


def scored(
    vocabulary: Vocabulary,
    text: str,
    tokens: Sequence[str],
    ids: np.ndarray,
    log_probs: np.ndarray,
    eos: bool,
) -> Score:
    """The score of a text.

    Args:
        text: in NFC.
        tokens: (N,) its own.
        ids: (N,) theirs.
        log_probs: nats of each of them, and of the end if it counts; overwritten.

    Raises:
        CheckpointError: the model predicts nothing.
    """
    check_finite(float(log_probs.sum()))
    cost = vocabulary.unknown_nats(tokens, ids)
    log_probs[: len(ids)] -= cost
    unk = int(np.count_nonzero(ids == UNK))
    return Score(text, tokens, log_probs, unk, eos, cost)


def score_pieces(
    checkpoint: Checkpoint, pieces: Iterable[str], *, eos: bool | None, adapt: bool = False
) -> Tally:
    """Score one long text in constant memory, the state carried through all of it.

    Args:
        pieces: the text in NFC.
        eos: as for `score`.
        adapt: let the network learn from what it has predicted, see `charrnn.inference.adaptation`.

    Raises:
        ConfigError: an n-gram model is to learn.
    """
    tally, model = Tally(checkpoint.count_eos if eos is None else eos), _scorer(checkpoint, adapt)
    steps, _ = chunk_shape(checkpoint.model, _STEPS, 1)
    unrolled, state = model.unroll(steps, 1), model.zero_state(1)
    last = EOS
    for tokens in _encoded(checkpoint.vocabulary, pieces, [tally]):
        inputs, targets = np.append(last, tokens[:-1])[:, None], tokens[:, None]
        last = tokens[-1]
        for start in range(0, len(tokens), steps):
            part = slice(start, start + steps)
            log_probs, state = unrolled.log_probs(inputs[part], targets[part], state)
            tally.add(targets[part], log_probs)
    return tally


def score_windows(
    checkpoint: Checkpoint,
    pieces: Iterable[str],
    contexts: Sequence[int],
    *,
    eos: bool | None,
    workers: Workers,
) -> list[Tally]:
    """Score one long text in constant memory with each of several contexts, see `score`.

    Args:
        pieces: the text in NFC.
        contexts: how many tokens before each are seen.
        eos: as for `score`.

    Raises:
        ConfigError: a context is asked of an n-gram model.
    """
    model = _windowed(checkpoint)
    tallies = [Tally(checkpoint.count_eos if eos is None else eos) for _ in contexts]
    before = np.empty(0, np.int64)  # the tokens that the next ones see
    for tokens in _encoded(checkpoint.vocabulary, pieces, tallies):
        read = np.concatenate([before, tokens])
        for context, tally in zip(contexts, tallies, strict=True):
            found = window_log_probs(model, [read], context, workers, skip=len(before))
            tally.add(tokens, found[0])
        before = read[-max(contexts) :]
    return tallies


def _windowed(checkpoint: Checkpoint) -> Network:
    if isinstance(checkpoint.model, NGram):
        raise ConfigError("an ngram sees the characters of its order; --context is for the others")
    return checkpoint.model


def _scorer(checkpoint: Checkpoint, adapt: bool) -> LanguageModel | Adaptive:
    if not adapt:
        return checkpoint.model
    if isinstance(checkpoint.model, NGram):
        raise ConfigError("an ngram does not learn; --adapt is for networks")
    return Adaptive(checkpoint.model)


def _encoded(
    vocabulary: Vocabulary, pieces: Iterable[str], tallies: Sequence[Tally]
) -> Iterator[np.ndarray]:
    """The ids of a text's tokens, a piece at a time, at last <EOS> where it counts; what does not
    depend on the model is counted into the tallies."""
    if vocabulary.config.tokens == "word":
        pieces = regroup(pieces, WORDS)
    for piece in pieces:
        tokens = vocabulary.split(piece)
        ids = vocabulary.ids([tokens])
        cost = math.fsum(vocabulary.unknown_nats(tokens, ids))
        for tally in tallies:
            tally.chars += len(piece)
            tally.unk_nats += cost
        if len(ids):
            yield ids
    for tally in tallies:
        tally.chars += tally.eos
    if tallies[0].eos:
        yield np.array([EOS])


def score_in_streams(
    checkpoint: Checkpoint,
    documents: Documents,
    streams: int,
    *,
    eos: bool | None,
    workers: Workers,
) -> Tally:
    """Score one long text cut into streams that run side by side.

    Each is preceded by the last BURN_IN tokens before it, which are fed and not counted, so that
    the cut costs next to nothing. The processes of a run share the streams.

    Args:
        documents: the text, one document, or none where it is empty.
        eos: as for `score`.
    """
    if not documents:
        return score_pieces(checkpoint, [], eos=eos)
    tally = Tally(checkpoint.count_eos if eos is None else eos)
    deque(_encoded(checkpoint.vocabulary, chain.from_iterable(documents.fragments()), [tally]), 0)
    tokens = tokenize(checkpoint.vocabulary, documents)
    size = len(tokens) - (not tally.eos)
    edges = np.linspace(0, size, streams + 1).astype(np.int64)

    def run(first: int) -> Tally:
        part = Tally(tally.eos)
        _score_streams(checkpoint, tokens, edges[first : first + _GROUP + 1], part, workers)
        return part

    world, groups = workers.world, range(0, streams, _GROUP)
    parts = world.gather(workers.map(run, groups[world.rank :: world.size]))
    for group in range(len(groups)):
        tally.merge(parts[group % world.size][group // world.size])
    return tally


def _score_streams(
    checkpoint: Checkpoint, tokens: Tokens, edges: np.ndarray, tally: Tally, workers: Workers
) -> None:
    """Score the streams between edges (B + 1,), side by side."""
    starts, stops = edges[:-1], edges[1:]
    B = len(starts)
    steps, _ = chunk_shape(checkpoint.model, _STEPS, B)
    unrolled, state = checkpoint.model.unroll(steps, B), checkpoint.model.zero_state(B)
    for step in range(-BURN_IN, int((stops - starts).max()), steps):
        workers.check()
        firsts = (starts + step).tolist()
        chunk = np.stack([tokens.slice(first - 1, first + steps) for first in firsts], axis=1)
        places = np.arange(steps)[:, None] + firsts
        inputs = np.where(places > 0, chunk[:-1], EOS)  # nothing is before the text
        counted = (places >= starts) & (places < stops)
        targets = np.where(counted, chunk[1:], IGNORE)
        log_probs, state = unrolled.log_probs(inputs, targets, state)
        tally.add(targets, log_probs)
