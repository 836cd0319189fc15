"""Read sources into documents, and split documents into training and validation text."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from charrnn.config import LINES, WHOLE
from charrnn.errors import CorpusError, setting
from charrnn.text.documents import END, LINE_END, Documents
from charrnn.text.duplicates import fingerprints
from charrnn.text.fields import read_field
from charrnn.text.finding import corpus_name, find
from charrnn.text.reading import name_of, read_pieces, strip_pieces

Array = np.ndarray

PARAGRAPHS = "\n\n"  # between documents that hold newlines
MIN_VALIDATION_CHARS = 100  # with fewer, nothing is held out
FEW_CHARS = 1000  # with fewer, the validation figure is unreliable
_ENOUGH_CHARS = 900  # to hold out if a thousand or more are wanted
MAX_VALIDATION_CHARS = 1_000_000  # more would only cost time
VALIDATION_FRACTION = 0.1
_PART = 1 << 18  # characters of documents to join at a time
_SPLIT_SEED = 20_240_229  # fixed, so that the split does not depend on the seed of a run


@dataclass(frozen=True)
class Corpus:
    """Documents in NFC with `\\n` as the only line end; files lose their last newline."""

    name: str
    documents: Documents
    separator: str  # where files were split: LINES, another text, or WHOLE
    chars: int  # in all documents, with last newlines
    sha256: str  # hash of the documents

    @classmethod
    def collect(cls, name: str, texts: Iterable[str], separator: str) -> "Corpus":
        """Collect a corpus from pieces of text with END or LINE_END after each document."""
        digest = hashlib.sha256()
        documents = Documents.collect(_hashed(texts, digest.update))
        chars = int(documents.lengths.sum())
        return cls(name, documents, separator, chars, digest.hexdigest())

    @property
    def count_eos(self) -> bool:
        """Whether the end of a document counts: unless documents are whole files."""
        return self.separator != WHOLE


def _hashed(texts: Iterable[str], update: Callable[[bytes], None]) -> Iterator[str]:
    """Yield the texts, and pass their UTF-8 bytes to `update`, with 0xff at ends of documents."""
    for text in texts:
        data = text.replace(LINE_END, "\n" + END).encode("utf-8", "surrogatepass")
        update(data.replace(END.encode("utf-8", "surrogatepass"), b"\xff"))
        yield text


@dataclass(frozen=True)
class Split:
    """Documents to train on and to validate on."""

    train: Documents
    val: Documents  # empty: the text is too small, or nothing is to be held out


def read_corpus(
    sources: Sequence[str],
    *,
    separator: str | None = None,
    encoding: str = "utf-8",
    max_size: int | None = None,
    field: str | None = None,
    glob: str | None = None,
) -> Corpus:
    """Read files, folders (every *.txt below), bundled corpora by name, and "-".

    Files ending in .gz, .bz2 or .xz are unpacked, in folders too.

    Args:
        sources: empty means the bundled default.
        separator: text in NFC at which files are split into documents; LINES splits into lines,
            WHOLE not at all. None: LINES if all sources are bundled corpora, else WHOLE.
        max_size: largest file in MB; see `charrnn.text.reading.read_pieces`.
        field: the field of JSON Lines, CSV or TSV whose values are the documents, whatever the
            separator is; see `charrnn.text.fields.read_field`.
        glob: which files of folders to read instead of *.txt, such as `*.md`.

    Raises:
        CorpusError: a source does not exist, cannot be read or is empty.
        ConfigError: there is a glob and no folder.
    """
    files, bundled = find(sources, glob, field)
    if field is not None:
        values = (read_field(file, field, encoding, max_size) for file in files)
        texts, separator = mark_documents(chain.from_iterable(values)), LINES
    else:
        if separator is None:
            separator = LINES if bundled else WHOLE
        marked = (_marked(file, separator, encoding, max_size) for file in files)
        texts = chain.from_iterable(marked)
    try:
        corpus = Corpus.collect(corpus_name(sources), texts, separator)
    except CorpusError as error:
        if glob is None:
            raise
        raise CorpusError(f"{error.message}; a narrower {setting('glob')} leaves it out") from None
    if not corpus.documents:
        where = f"field {field!r} of " if field is not None else ""
        raise CorpusError(f"there is no text in {where}{', '.join(map(name_of, sources))}")
    if field is not None and "\n" in corpus.documents.characters:
        return replace(corpus, separator=PARAGRAPHS)
    return corpus


def read_documents(
    file: Path | str, separator: str, encoding: str = "utf-8", max_size: int | None = None
) -> Documents:
    """Read the documents of one file that are not empty; see `read_corpus`.

    Raises:
        CorpusError: it cannot be read or decoded.
    """
    return Documents.collect(_marked(file, separator, encoding, max_size))


def _marked(file: Path | str, separator: str, encoding: str, max_size: int | None) -> Iterator[str]:
    """Read a file in pieces, with END or LINE_END after each document."""
    return mark(read_pieces(file, encoding, max_size), separator)


def mark_documents(documents: Iterable[str]) -> Iterator[str]:
    """Documents as `Corpus.collect` takes them, many at a time; empty ones are left out."""
    block: list[str] = []
    chars = 0
    for document in documents:
        if text := document.removesuffix("\n"):
            block += [text, END if text == document else LINE_END]
            chars += len(text)
        if chars > _PART:
            yield "".join(block)
            block, chars = [], 0
    yield "".join(block)


def mark(pieces: Iterable[str], separator: str) -> Iterator[str]:
    """Yield a text, given in pieces in NFC, with END or LINE_END after each document.

    A separator that is a whole line includes the newlines before and after it.
    """
    return _marked_whole(pieces) if separator == WHOLE else _marked_parts(pieces, separator)


def _marked_parts(pieces: Iterable[str], separator: str) -> Iterator[str]:
    """Put END after every part that is not empty; parts lose newlines if newlines separate."""
    newline = "" if separator.strip("\n") else "\n"
    gap = re.compile(f"{END}[{END}{newline}]+")
    if newline:  # the last part ends like the others
        pieces = chain(pieces, separator)
    last = END
    for piece in chain(strip_pieces(_with_ends(pieces, separator)), END):
        text = gap.sub(END, last + piece)
        yield text[1:]
        last = text[-1]


def _with_ends(pieces: Iterable[str], separator: str) -> Iterator[str]:
    """Replace each separator by END; a separator may lie across pieces."""
    anywhere = re.escape(separator)
    alone = rf"\n?(?<![^\n]){anywhere}(?![^\n])\n?"  # on its line
    pattern = re.compile(anywhere if "\n" in separator else f"{alone}|{anywhere}")
    text = "\n"  # text not yet searched, after the character before it
    for piece in chain(filter(None, pieces), [""]):
        text += piece
        found, done = "", 1
        for match in pattern.finditer(text, 1):
            if piece and match.end() == len(text):
                break  # it may go on in the next piece
            found += text[done : match.start()] + END
            done = match.end()
        stop = max(done, len(text) - len(separator) - 2) if piece else len(text)
        yield found + text[done:stop]
        text = text[stop - 1 :]


def _marked_whole(pieces: Iterable[str]) -> Iterator[str]:
    newline, empty = "", True
    for piece in pieces:
        text = newline + piece
        newline = "\n" if text.endswith("\n") else ""  # held back: it may end the text
        text = text.removesuffix("\n")
        empty = empty and not text
        yield text
    if not empty:
        yield LINE_END if newline else END


def split_corpus(corpus: Corpus, fraction: float | None = None) -> Split:
    """Hold out a share of the corpus for validation.

    Of one document, its last characters are held out, counted with its last newline. Of several,
    whole documents are drawn with a fixed seed until the share is reached, equal ones together; if
    too few are small enough, the end of a large one is held out too.

    Args:
        fraction: share of the characters; None: a tenth, but at most a million.
    """
    if fraction is None:
        fraction = min(VALIDATION_FRACTION, MAX_VALIDATION_CHARS / corpus.chars)
    documents, size = corpus.documents, corpus.chars * fraction
    held_out = np.zeros(len(documents), bool)
    if size < MIN_VALIDATION_CHARS:
        return Split(documents, documents.select(held_out))
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(documents))
    lengths = documents.lengths
    _, groups, counts = np.unique(fingerprints(documents), return_inverse=True, return_counts=True)
    _, firsts = np.unique(groups[order], return_index=True)
    drawn = groups[order][np.sort(firsts)]
    held_out = np.isin(groups, _fitting(drawn, np.bincount(groups, lengths), size))
    missing = size - lengths[held_out].sum()
    if size - missing >= (max(size / 2, _ENOUGH_CHARS) if size >= FEW_CHARS else 1):
        return Split(documents.select(~held_out), documents.select(held_out))
    large = [index for index in order if not held_out[index] and lengths[index] > missing]
    if large:
        index = next((index for index in large if counts[groups[index]] == 1), large[0])
        return Split(*documents.cut_off(index, int(lengths[index] - missing), held_out))
    if not held_out.any():  # nearly all documents are equal
        held_out[_fitting(order, lengths, size)] = True
    return Split(documents.select(~held_out), documents.select(held_out))


def _fitting(order: Array, lengths: Array, room: float) -> list[int]:
    """Return documents, in this order, that together fit into `room` characters."""
    found, shortest = [], lengths.min()
    for index in order:
        if room < shortest:
            break
        if lengths[index] <= room:
            found.append(index)
            room -= lengths[index]
    return found
