"""Files to documents, documents to a training and a validation split, splits to batches.

Letters: T steps, B batch size (streams side by side), N tokens of a split.

A split is one array of tokens: those of each document and then <EOS>, or IGNORE where
the split has cut the document. Whatever follows one of the two starts afresh, so that this one
array tells where documents begin and end, and the arrays cut from it do too.
"""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from charrnn.errors import ConfigError, CorpusError
from charrnn.functional import IGNORE
from charrnn.resources import bundled_corpora, bundled_corpus
from charrnn.vocabulary import EOS, UNK, Vocabulary, normalize

Array = np.ndarray

DEFAULT_CORPUS = "english"
MIN_VALIDATION_CHARS = 100  # fewer say nothing about a model
MAX_VALIDATION_CHARS = 1_000_000  # more cost time and tell nothing new
VALIDATION_FRACTION = 0.1
_SPLIT_SEED = 20_240_229  # fixed: the split does not change with the seed of a run


@dataclass(frozen=True)
class Corpus:
    """Documents in NFC with `\\n` as the only line end; a whole file keeps its last newline."""

    name: str
    documents: list[str]
    lines: bool  # whether a document is a line, else it is a file

    @property
    def chars(self) -> int:
        """Characters in all documents."""
        return sum(map(len, self.documents))

    @cached_property
    def sha256(self) -> str:
        """A hash that tells whether two runs have seen the same documents."""
        digest = hashlib.sha256()
        for document in self.documents:
            digest.update(document.encode() + b"\xff")  # a byte that UTF-8 never has
        return digest.hexdigest()


@dataclass(frozen=True)
class Split:
    """Documents to train on and to validate on."""

    train: list[str]
    val: list[str]  # empty: too small to split, or not wanted
    cut: bool = False  # whether the last training document goes on in the validation split


def decode(data: bytes, source: str, encoding: str = "utf-8") -> str:
    """Bytes as text in NFC, without byte-order mark, with `\\n` for every line end.

    Args:
        source: what the bytes are called in an error.

    Raises:
        CorpusError: the bytes are not valid in that encoding.
        ConfigError: there is no such encoding.
    """
    try:
        text = data.decode(encoding)
    except UnicodeError as error:
        place = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        hint = _suggest_encoding(data)
        raise CorpusError(f"{source} is not valid {encoding.upper()}{place}; {hint}") from None
    except (LookupError, ValueError):
        raise ConfigError(f"unknown encoding {encoding!r}") from None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return normalize(text)


def _suggest_encoding(data: bytes) -> str:
    utf16 = ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ()
    for candidate in (*utf16, "cp949", "cp1252"):
        try:
            data.decode(candidate)
        except UnicodeError:
            continue
        return f"--encoding {candidate} would read it"
    return "name its encoding with --encoding"


def read_text(path: Path | str, encoding: str = "utf-8") -> str:
    """The text of a file, or of standard input for "-"; see `decode`.

    Raises:
        CorpusError: it cannot be read or decoded.
    """
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else Path(path).read_bytes()
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise CorpusError(f"cannot read {str(path)!r}: not a file name") from None
    return decode(data, "standard input" if str(path) == "-" else str(path), encoding)


def split_lines(text: str) -> list[str]:
    """The lines of a text that `decode` returned; a newline ends a line and starts none."""
    return strip_last_newline(text).split("\n") if text else []


def strip_last_newline(text: str) -> str:
    """A file's text without the newline that ends its last line."""
    return text.removesuffix("\n")


def read_corpus(
    sources: Sequence[str], *, lines: bool | None = None, encoding: str = "utf-8"
) -> Corpus:
    """Read files, folders (every *.txt below), bundled corpora by name, and "-".

    Args:
        sources: none means the bundled default.
        lines: whether every line is a document; None means only for bundled corpora.

    Raises:
        CorpusError: something is not there, cannot be read or holds no text.
    """
    sources = sources or [DEFAULT_CORPUS]
    files: list[Path | str] = []
    bundled = []
    for source in sources:
        found, is_bundled = _find(source)
        files += found
        bundled.append(is_bundled)
    lines = all(bundled) if lines is None else lines
    documents = [text for file in files for text in read_documents(file, lines, encoding)]
    if not any(map(strip_last_newline, documents)):
        raise CorpusError(f"there is no text in {', '.join(sources)}")
    others = f"+{len(sources) - 1}" if len(sources) > 1 else ""
    return Corpus(_name(sources[0]) + others, documents, lines)


def read_documents(file: Path | str, lines: bool, encoding: str = "utf-8") -> list[str]:
    """The documents of one file: its lines that are not empty, or itself unless it is empty.

    Raises:
        CorpusError: it cannot be read or decoded.
    """
    text = read_text(file, encoding)
    documents = split_lines(text) if lines else [text]
    return [document for document in documents if strip_last_newline(document)]


def _find(source: str) -> tuple[Sequence[Path | str], bool]:
    """The files that a source stands for, and whether they are bundled."""
    path = Path(source)
    if source == "-":
        return ["-"], False
    if not source:
        raise CorpusError("no such file: the name is empty")
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise CorpusError(f"cannot read {source}: {error.strerror}") from None
    if is_folder:
        files = sorted(file for file in path.rglob("*.txt") if file.is_file())
        if not files:
            raise CorpusError(f"the folder {source} holds no *.txt file")
        return files, False
    if exists:
        return [path], False
    file = bundled_corpus(source)
    if file is None:
        names = ", ".join(bundled_corpora())
        raise CorpusError(f"no such file: {source} (bundled corpora are {names})")
    return [file], True


def _name(source: str) -> str:
    return "stdin" if source == "-" else Path(source).resolve().stem or "corpus"


def split_corpus(corpus: Corpus, fraction: float | None = None) -> Split:
    """Hold out a share of the corpus for validation.

    One document: its last characters, counted before its last newline is stripped. Several: whole
    documents, drawn with a fixed seed until the share is reached; where each is larger than the
    share, the last characters of the first one drawn.

    Args:
        fraction: share of the characters; None means a tenth, but at most a million.
    """
    if fraction is None:
        fraction = min(VALIDATION_FRACTION, MAX_VALIDATION_CHARS / corpus.chars)
    documents = corpus.documents
    size = corpus.chars * fraction
    if size < MIN_VALIDATION_CHARS:
        return Split(_ended(documents), [])
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(documents))
    room, held_out = size, set()
    for index in order:
        if len(documents[index]) <= room:
            held_out.add(index)
            room -= len(documents[index])
    if held_out:
        train = [text for index, text in enumerate(documents) if index not in held_out]
        return Split(_ended(train), _ended([documents[index] for index in sorted(held_out)]))
    text = documents[order[0]]
    end = int(len(text) - size)
    others = _ended([documents[index] for index in sorted(order[1:])])
    return Split([*others, text[:end]], _ended([text[end:]]), cut=True)


def _ended(documents: Sequence[str]) -> list[str]:
    return [strip_last_newline(document) for document in documents]


@dataclass(frozen=True)
class Encoded:
    """A split as a model reads it."""

    tokens: Array  # (N,) ids: each document and then <EOS>, or IGNORE where it was cut
    chars: int  # characters in NFC, whatever the tokens are; the ends of documents left out

    def count(self, *, eos: bool) -> int:
        """Characters to divide by, with one for each <EOS> or without them."""
        return self.chars + (int(np.count_nonzero(self.tokens == EOS)) if eos else 0)


def encode_documents(
    vocabulary: Vocabulary, documents: Sequence[str], cut: bool = False
) -> Encoded:
    """All documents as one array of tokens, each with its <EOS>.

    Args:
        cut: the last document goes on elsewhere; it ends with IGNORE instead.
    """
    pieces = [vocabulary.split(document) for document in documents]
    ends = np.cumsum([len(piece) + 1 for piece in pieces]) - 1
    tokens = np.empty(ends[-1] + 1, vocabulary.dtype)
    is_end = np.zeros(len(tokens), bool)
    is_end[ends] = True
    tokens[~is_end] = vocabulary.ids(pieces)
    tokens[ends] = EOS
    if cut:
        tokens[-1] = IGNORE
    return Encoded(tokens, sum(map(len, documents)))


def split_documents(tokens: Array) -> list[Array]:
    """The documents of a split, each a view with its <EOS> or IGNORE at the end."""
    return np.split(tokens, np.flatnonzero(tokens[:-1] <= EOS) + 1)


@dataclass(frozen=True)
class Batches:
    """The chunks (inputs, targets) of a training split, pass after pass.

    The tokens of a pass, documents shuffled, form a ring. B streams start at equal distances on
    it, at an offset drawn anew for each pass, and each reads T tokens at a time until it arrives
    where the next one started. What a pass draws depends on the seed and its number alone.

    Args:
        tokens: (N,) as `encode_documents` returns them.
        unk_rate: share of the tokens read as <UNK>, drawn afresh in each pass.
        restart_rate: share of the chunks of a stream in which it starts afresh once.
        line_end: the token after which such a restart is placed, if the chunk has one.
    """

    tokens: Array
    batch_size: int
    seq_len: int
    seed: int
    unk_rate: float = 0.0
    restart_rate: float = 0.0
    line_end: int = IGNORE

    @property
    def steps_per_epoch(self) -> int:
        """Chunks that a pass takes."""
        return -(-len(self.tokens) // (self.batch_size * self.seq_len))

    def epoch(self, number: int) -> Iterator[tuple[Array, Array]]:
        """The chunks of one pass: inputs (T, B), the token before each target, and targets."""
        rng = np.random.default_rng((self.seed, number))
        N, B, T = len(self.tokens), self.batch_size, self.seq_len
        ring = self._draw(rng)
        starts = rng.integers(N) + np.arange(B) * N // B
        for step in range(self.steps_per_epoch):
            places = starts + np.arange(step * T - 1, (step + 1) * T)[:, None]
            chunk = ring[places % N]
            inputs, targets = chunk[:-1].copy(), chunk[1:]
            self._restart(inputs, rng)
            yield inputs, targets

    def _draw(self, rng: np.random.Generator) -> Array:
        """A copy of the tokens with the documents shuffled and <UNK> put in."""
        documents = split_documents(self.tokens)
        order = rng.permutation(len(documents))
        ring = np.concatenate([documents[index] for index in order])
        places = rng.integers(len(ring), size=rng.binomial(len(ring), self.unk_rate))
        ring[places] = np.where(ring[places] > EOS, UNK, ring[places])
        return ring

    def _restart(self, inputs: Array, rng: np.random.Generator) -> None:
        for column in np.flatnonzero(rng.random(self.batch_size) < self.restart_rate):
            line_ends = np.flatnonzero(inputs[:, column] == self.line_end)
            inputs[line_ends[0] if line_ends.size else 0, column] = EOS
