"""Turn documents into the tokens that a model reads.

Letters: N tokens, D documents, A characters in the alphabet, M numbers in all.

Each document ends with <EOS>, or with IGNORE if the split has cut it. What follows either of the
two starts from an empty state. So an array of tokens, and any slice of it, shows where documents
begin.
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
    """Return a vocabulary of the most frequent tokens, as `config` says."""
    if config.tokens == "char":
        return Vocabulary.from_counts(documents.char_counts(), config)
    counts = Counter[str]()
    for texts in documents.fragments():
        for text in texts:
            counts.update(split_words(text))
    return Vocabulary.from_counts(counts, config)


@dataclass(frozen=True)
class Tokens:
    """Tokens that are looked up when read, so that they take no memory beside the documents."""

    codes: Array  # (M,) numbers of characters or tokens
    ids: Array  # (A,) id of each number
    spans: Spans  # each document with its end
    cut: int = -1  # place in `codes` that reads as IGNORE, -1 for none

    @classmethod
    def of(cls, tokens: Array) -> "Tokens":
        """Wrap an array of ids (N,)."""
        ids = np.append(np.arange(tokens.max() + 1), IGNORE)  # -1 reads as IGNORE
        return cls(tokens, ids.astype(tokens.dtype), Spans.between(_stops(tokens)))

    def __len__(self) -> int:
        return self.spans.size

    @property
    def dtype(self) -> np.dtype:
        """Type of the ids."""
        return self.ids.dtype

    def shuffled(self, rng: np.random.Generator) -> "Tokens":
        """Return the tokens with the documents in random order."""
        return replace(self, spans=self.spans.shuffled(rng))

    def slice(self, start: int, stop: int) -> Array:
        """Return the ids from `start` to `stop`, read cyclically (stop - start,)."""
        return self._at(self.spans.places(start, stop))

    def side_by_side(self, starts: Array, length: int) -> Array:
        """Return `length` ids from each start (length, B)."""
        return self._at(self.places_side_by_side(starts, length))

    def places_side_by_side(self, starts: Array, length: int) -> Array:
        """Return the places of these tokens in `codes` (length, B)."""
        places = [self.spans.places(start, start + length) for start in starts]
        return np.stack(places, axis=1)

    def array(self) -> Array:
        """Return all ids (N,)."""
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
    """A split to evaluate a model on."""

    tokens: Array  # (N,) ids of each document, then <EOS>, or IGNORE if it is cut
    chars: int  # characters in NFC, whatever the tokens are, without ends of documents

    def sample(self, most: int) -> "Encoded":
        """Return about `most` tokens in evenly spaced sections, or all if there are fewer.

        A section begins with a document if one begins in its first half.
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
        """Return the number of characters to divide by, with or without one for each <EOS>."""
        return self.chars + (int(np.count_nonzero(self.tokens == EOS)) if eos else 0)


def evenly_spaced(size: int, most: int) -> list[tuple[int, int]]:
    """Return start and stop of evenly spaced sections that cover `most` of `size` in all."""
    if size <= most:
        return [(0, size)]
    length = most // _SECTIONS
    starts = np.linspace(0, size - length, _SECTIONS, dtype=int).tolist()
    return [(start, start + length) for start in starts]


def encode_documents(vocabulary: Vocabulary, documents: Documents) -> Encoded:
    """Encode all documents as one array of tokens."""
    return Encoded(tokenize(vocabulary, documents).array(), documents.chars)


def split_documents(tokens: Array) -> list[Array]:
    """Split tokens into documents, each a view with its <EOS> or IGNORE at the end."""
    return np.split(tokens, _stops(tokens)[:-1])


def _stops(tokens: Array) -> Array:
    return np.append(np.flatnonzero(tokens[:-1] <= EOS) + 1, len(tokens))
