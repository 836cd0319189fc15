"""Score texts: log P of a whole text, the sum over its tokens by the chain rule.

Letters: T steps, B streams side by side, N tokens.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from charrnn.errors import ConfigError, setting
from charrnn.ids import EOS, IGNORE, UNK
from charrnn.inference.adaptation import Adaptive, check_learns
from charrnn.inference.continuations import each_log_prob, look_at
from charrnn.inference.evaluation import (
    BURN_IN,
    chunk_shape,
    past,
    state_after,
    stream_chunks,
    token_log_probs,
    window_log_probs,
)
from charrnn.inference.scores import Score, Tally
from charrnn.mixing.mixed import LanguageModel, Mixed
from charrnn.ngrams.ngram import NGram
from charrnn.ngrams.residual import Network
from charrnn.parallel.threads import Workers
from charrnn.storage.checkpoint import Checkpoint, check_finite
from charrnn.text.documents import WORDS, Documents
from charrnn.text.reading import regroup
from charrnn.text.tokens import Tokens, tokenize
from charrnn.text.unicode import normalize
from charrnn.text.vocabulary import Vocabulary

_STEPS = 128  # of a long text at a time
_GROUP = 4  # streams of a long text side by side in a thread


def score(
    checkpoint: Checkpoint,
    texts: Sequence[str],
    *,
    given: str | Sequence[str] = "",
    eos: bool | None = None,
    context: int | None = None,
    workers: Workers,
) -> list[Score]:
    """Score texts, each as a separate document.

    Args:
        checkpoint: the model.
        texts: the texts.
        given: prefix that the texts continue, one for all or one for each; see `Excerpt`.
        eos: whether the end of each text counts; None: unless the model was trained on whole files.
        context: tokens that each prediction sees, without a prefix; None for all tokens before.
        workers: threads that share the work.

    Raises:
        CorpusError: a text is not valid Unicode.
        ConfigError: a context was given for an n-gram model, which has a fixed one.
        CheckpointError: the model's predictions are not finite.
    """
    eos = checkpoint.count_eos if eos is None else eos
    excerpts = excerpts_of(checkpoint.vocabulary, texts, given)
    targets = [excerpt.targets(eos) for excerpt in excerpts]
    if context is not None:
        found = window_log_probs(_windowed(checkpoint), targets, context, workers)
    elif any(len(excerpt.past) for excerpt in excerpts):
        pasts = [excerpt.past for excerpt in excerpts]
        looked = look_at(checkpoint.model, pasts, targets, each_log_prob, workers)
        found = [log_probs for (log_probs,) in looked]
    else:
        found = token_log_probs(checkpoint.model, targets, workers)
    pairs = zip(excerpts, found, strict=True)
    return [excerpt.score(checkpoint.vocabulary, own, eos) for excerpt, own in pairs]


@dataclass(frozen=True)
class Excerpt:
    """The tokens of a text that continues a prefix.

    Prefix and text are tokenized together. A word, or a composed character, that begins in the
    prefix and ends in the text counts as a whole.
    """

    text: str  # in NFC
    tokens: Sequence[str]  # (N,) its own
    ids: np.ndarray  # (N,) theirs
    past: np.ndarray  # ids of what is given

    @classmethod
    def read(cls, vocabulary: Vocabulary, text: str, given: str = "") -> "Excerpt":
        """Cut a text into tokens.

        Raises:
            CorpusError: one of both is not valid Unicode.
        """
        if not given:
            text = normalize(text)
            tokens = vocabulary.split(text)
            return cls(text, tokens, vocabulary.ids([tokens]), np.empty(0, vocabulary.dtype))
        before, whole = (vocabulary.split(normalize(each)) for each in (given, given + text))
        start = _common(before, whole)
        ids, tokens = vocabulary.ids([whole]), whole[start:]
        return cls(normalize("".join(tokens)), tokens, ids[start:], ids[:start])

    def targets(self, eos: bool) -> np.ndarray:
        """The ids to predict."""
        return np.append(self.ids, EOS) if eos else self.ids

    def score(self, vocabulary: Vocabulary, log_probs: np.ndarray, eos: bool) -> Score:
        """The score of the text.

        Args:
            log_probs: nats of each token, and of the end if it counts; overwritten.

        Raises:
            CheckpointError: the model predicts nothing.
        """
        check_finite(float(log_probs.sum()))
        cost = vocabulary.unknown_nats(self.tokens, self.ids)
        log_probs[: len(self.ids)] -= cost
        unk = int(np.count_nonzero(self.ids == UNK))
        return Score(self.text, self.tokens, log_probs, unk, eos, cost)


def excerpts_of(
    vocabulary: Vocabulary, texts: Sequence[str], given: str | Sequence[str]
) -> list[Excerpt]:
    """Each text after what is given, one for all or one for each."""
    before = [given] * len(texts) if isinstance(given, str) else given
    return [Excerpt.read(vocabulary, *pair) for pair in zip(texts, before, strict=True)]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many tokens two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    shorter = min(len(one), len(other))
    return next((place for place, (a, b) in pairs if a != b), shorter)


def score_pieces(
    checkpoint: Checkpoint, pieces: Iterable[str], *, eos: bool | None, adapt: bool = False
) -> Tally:
    """Score one long text in constant memory.

    Args:
        checkpoint: the model.
        pieces: the text in NFC, in pieces of any size.
        eos: as for `score`.
        adapt: use dynamic evaluation, see `charrnn.inference.adaptation`.

    Raises:
        ConfigError: `adapt` is set for an n-gram model.
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


def _windowed(checkpoint: Checkpoint) -> Network | Mixed:
    if isinstance(checkpoint.model, NGram):
        raise ConfigError(f"{setting('context')} needs a network; this is an n-gram model")
    return checkpoint.model


def _scorer(checkpoint: Checkpoint, adapt: bool) -> LanguageModel | Adaptive:
    return Adaptive(check_learns(checkpoint.model)) if adapt else checkpoint.model


def _encoded(
    vocabulary: Vocabulary, pieces: Iterable[str], tallies: Sequence[Tally]
) -> Iterator[np.ndarray]:
    """Yield the ids of a text's tokens in pieces, and <EOS> if it counts.

    Characters and the cost of unknown tokens are added to the tallies.
    """
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

    Each stream has a burn-in: the BURN_IN tokens before it are read but not counted, so cutting
    hardly changes the result. The processes of a run share the streams.

    Args:
        checkpoint: the model.
        documents: the text as one document, or none if it is empty.
        streams: B.
        eos: as for `score`.
        workers: threads and processes that share the work.
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
    """Score the streams between edges (B + 1,) side by side, into `tally`."""
    B = len(edges) - 1
    steps, _ = chunk_shape(checkpoint.model, _STEPS, B)

    def read(part: slice) -> np.ndarray:
        return tokens.slice(part.start, part.stop)

    pasts = [past(read, start - BURN_IN) for start in edges[:-1].tolist()]
    unrolled, state = checkpoint.model.unroll(steps, B), state_after(checkpoint.model, pasts)
    for places, counted in stream_chunks(edges, steps, BURN_IN):
        workers.check()
        firsts = places[0].tolist()
        chunk = np.stack([tokens.slice(first - 1, first + steps) for first in firsts], axis=1)
        inputs = np.where(places > 0, chunk[:-1], EOS)
        targets = np.where(counted, chunk[1:], IGNORE)
        log_probs, state = unrolled.log_probs(inputs, targets, state)
        tally.add(targets, log_probs)
