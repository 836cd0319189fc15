"""Documents to the tokens that a model reads.

Letters: N tokens, D documents, A characters in the alphabet, M numbers in all.

Tokens are those of each document and then <EOS>, or IGNORE where the split has cut the document.
Whatever follows one of the two starts afresh, so that an array of tokens tells where documents
begin and end, and the arrays cut from it do too.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from charrnn.config import VocabularyConfig
from charrnn.ids import EOS, IGNORE
from charrnn.text.documents import NUM_MARKS, Documents, Spans
from charrnn.text.vocabulary import Vocabulary, split_words

Array = np.ndarray

_SECTIONS = 16  # of a sample


def learn_vocabulary(documents: Documents, config: VocabularyConfig) -> Vocabulary:
    """The most frequent tokens of the documents, as many as `config` wants."""
    if config.tokens == "char":
        return Vocabulary.from_counts(documents.char_counts(), config)
    counts = Counter[str]()
    for texts in documents.fragments():
        for text in texts:
            counts.update(split_words(text))
    return Vocabulary.from_counts(counts, config)


@dataclass(frozen=True)
class Tokens:
    """Tokens looked up where they are read, so that they take no memory beside the documents."""

    codes: Array  # (M,) numbers
    ids: Array  # (A,) the id of each number
    spans: Spans  # each document with its end
    cut: int = -1  # the place in `codes` that stands for IGNORE, if there is one

    @classmethod
    def of(cls, tokens: Array) -> "Tokens":
        """Those of an array (N,)."""
        ids = np.append(np.arange(tokens.max() + 1), IGNORE)  # of each id and, at -1, of IGNORE
        return cls(tokens, ids.astype(tokens.dtype), Spans.between(_stops(tokens)))

    def __len__(self) -> int:
        return self.spans.size

    @property
    def dtype(self) -> np.dtype:
        """That of the ids."""
        return self.ids.dtype

    def shuffled(self, rng: np.random.Generator) -> "Tokens":
        """The same with the documents in a random order."""
        return replace(self, spans=self.spans.shuffled(rng))

    def slice(self, start: int, stop: int) -> Array:
        """Ids of the tokens from `start` to `stop`, which are read cyclically (stop - start,)."""
        return self._at(self.spans.places(start, stop))

    def side_by_side(self, starts: Array, length: int) -> Array:
        """Ids from each of these places on (length, B)."""
        return self._at(self.places_side_by_side(starts, length))

    def places_side_by_side(self, starts: Array, length: int) -> Array:
        """Where these tokens lie in `codes` (length, B)."""
        places = [self.spans.places(start, start + length) for start in starts]
        return np.stack(places, axis=1)

    def array(self) -> Array:
        """All ids (N,)."""
        return np.concatenate([self._at(places) for places in self.spans.parts()])

    def _at(self, places: Array) -> Array:
        found: Array = self.ids[self.codes[places]]
        found[places == self.cut] = IGNORE
        return found


def tokenize(vocabulary: Vocabulary, documents: Documents) -> Tokens:
    """The tokens of all documents; those that are not characters in NFC lie in an array."""
    if vocabulary.config.unit != "character":
        return _encoded(vocabulary, documents)
    ids = np.full(len(documents.alphabet), EOS, vocabulary.dtype)
    ids[NUM_MARKS:] = vocabulary.ids([documents.characters])
    return Tokens(documents.codes, ids, documents.spans, documents.cut_at)


def _encoded(vocabulary: Vocabulary, documents: Documents) -> Tokens:
    """Tokens in an array of their own."""
    found = bytearray()
    for texts in documents.fragments():
        found += _with_ends(vocabulary, texts)[:-1].tobytes()  # as the last text goes on
    codes = np.frombuffer(found, vocabulary.dtype)
    spans = Spans.between(np.flatnonzero(codes == EOS) + 1)
    ids = np.arange(len(vocabulary), dtype=vocabulary.dtype)
    return Tokens(codes, ids, spans, len(codes) - 1 if documents.cut else -1)


def _with_ends(vocabulary: Vocabulary, texts: Sequence[str]) -> Array:
    """The tokens of some texts, each with its <EOS>."""
    pieces = [vocabulary.split(text) for text in texts]
    ends = np.cumsum([len(piece) + 1 for piece in pieces]) - 1
    tokens = np.full(ends[-1] + 1, EOS, vocabulary.dtype)
    is_end = np.zeros(len(tokens), bool)
    is_end[ends] = True
    tokens[~is_end] = vocabulary.ids(pieces)
    return tokens


@dataclass(frozen=True)
class Encoded:
    """A split as a model is evaluated on it."""

    tokens: Array  # (N,) ids: each document and then <EOS>, or IGNORE where it was cut
    chars: int  # characters in NFC, whatever the tokens are; the ends of documents left out

    def sample(self, most: int) -> "Encoded":
        """About `most` of the tokens, in sections at equal distances; all where there are fewer.

        A section begins where a document does, if one begins in its first half.
        """
        if len(self.tokens) <= most:
            return self
        parts = []
        for start, stop in evenly_spaced(len(self.tokens), most):
            part = self.tokens[start:stop].copy()
            ends = np.flatnonzero(part[: len(part) // 2] <= EOS)
            if start and ends.size:
                part = part[ends[0] + 1 :]
            if part[-1] > EOS:
                part[-1] = IGNORE
            parts.append(part)
        tokens = np.concatenate(parts)
        share = np.mean(tokens > EOS) / np.mean(self.tokens > EOS)
        return Encoded(tokens, max(1, round(share * self.chars * len(tokens) / len(self.tokens))))

    def num_chars(self, *, eos: bool) -> int:
        """Characters to divide by, with one for each <EOS> or without them."""
        return self.chars + (int(np.count_nonzero(self.tokens == EOS)) if eos else 0)


def evenly_spaced(size: int, most: int) -> list[tuple[int, int]]:
    """Where sections at equal distances start and stop, which together are `most` of `size`."""
    if size <= most:
        return [(0, size)]
    length = most // _SECTIONS
    starts = np.linspace(0, size - length, _SECTIONS, dtype=int).tolist()
    return [(start, start + length) for start in starts]


def encode_documents(vocabulary: Vocabulary, documents: Documents) -> Encoded:
    """All documents as one array of tokens."""
    return Encoded(tokenize(vocabulary, documents).array(), documents.chars)


def split_documents(tokens: Array) -> list[Array]:
    """The documents of a split, each a view with its <EOS> or IGNORE at the end."""
    return np.split(tokens, _stops(tokens)[:-1])


def _stops(tokens: Array) -> Array:
    return np.append(np.flatnonzero(tokens[:-1] <= EOS) + 1, len(tokens))
