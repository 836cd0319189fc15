"""Read sources into documents, and split documents into training and validation text."""

import hashlib
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from charrnn.config import LINES, WHOLE
from charrnn.errors import CorpusError, did_you_mean
from charrnn.resources import bundled_corpora, bundled_corpus
from charrnn.text.compression import is_text_file, plain_name
from charrnn.text.documents import END, LINE_END, Documents
from charrnn.text.duplicates import fingerprints
from charrnn.text.kinds import kind_of
from charrnn.text.reading import name_of, read_pieces, refuse_url, strip_pieces

Array = np.ndarray

DEFAULT_CORPUS = "stories"
MIN_VALIDATION_CHARS = 100  # with fewer, nothing is held out
FEW_CHARS = 1000  # with fewer, the validation figure is unreliable
_ENOUGH_CHARS = 900  # to hold out if a thousand or more are wanted
MAX_VALIDATION_CHARS = 1_000_000  # more would only cost time
VALIDATION_FRACTION = 0.1
_MOST_NEIGHBOURS = 1000  # files that an error looks at to name a similar one
_HEAD = 512  # bytes that tell what a file is
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
) -> Corpus:
    """Read files, folders (every *.txt below), bundled corpora by name, and "-".

    Files ending in .gz, .bz2 or .xz are unpacked, in folders too.

    Args:
        sources: empty means the bundled default.
        separator: text in NFC at which files are split into documents; LINES splits into lines,
            WHOLE not at all. None: LINES if all sources are bundled corpora, else WHOLE.
        max_size: largest file in MB; see `charrnn.text.reading.read_pieces`.

    Raises:
        CorpusError: a source does not exist, cannot be read or is empty.
    """
    sources = sources or [DEFAULT_CORPUS]
    found = [_find(source) for source in sources]
    if separator is None:
        separator = LINES if all(bundled for _, bundled in found) else WHOLE
    files = chain.from_iterable(files for files, _ in found)
    texts = chain.from_iterable(_marked(file, separator, encoding, max_size) for file in files)
    corpus = Corpus.collect(corpus_name(sources), texts, separator)
    if not corpus.documents:
        raise CorpusError(f"there is no text in {', '.join(map(name_of, sources))}")
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


def _find(source: str) -> tuple[Sequence[Path | str], bool]:
    """The files that a source stands for, and whether they are bundled."""
    path = Path(source)
    if source == "-":
        return ["-"], False
    if not source:
        raise CorpusError("no such file: the name is empty")
    refuse_url(source)
    try:
        is_folder, exists = path.is_dir(), path.exists()
        files = _text_files(path) if is_folder else []
    except OSError as error:
        raise CorpusError(f"cannot read {error.filename or source}: {error.strerror}") from None
    if is_folder:
        if not files:
            raise CorpusError(f"the folder {source} holds no *.txt file{_other_files(path)}")
        return files, False
    if exists:
        return [path], False
    file = bundled_corpus(source)
    if file is None:
        names = bundled_corpora()
        near = {_stem(name): name for name in [*_neighbours(path), *names]}
        hint = did_you_mean(_stem(source), near)
        raise CorpusError(f"no such file: {source} (bundled corpora are {', '.join(names)}){hint}")
    return [file], True


def _stem(source: str) -> str:
    """A file's name without what all names of texts have, which makes no two names alike."""
    return Path(plain_name(source)).stem


def _neighbours(path: Path) -> list[str]:
    """Texts and folders beside a file that is not there, of the first so many entries."""
    try:
        with os.scandir(path.parent) as entries:
            beside = list(islice(entries, _MOST_NEIGHBOURS))
        found = [each.name for each in beside if is_text_file(each.name) or each.is_dir()]
    except (OSError, ValueError):
        return []
    return [str(path.parent / name) for name in found]


def corpus_name(sources: Sequence[str]) -> str:
    """What a corpus of these sources is called."""
    sources = sources or [DEFAULT_CORPUS]
    others = f"+{len(sources) - 1}" if len(sources) > 1 else ""
    return _name(sources[0]) + others


def _text_files(folder: Path) -> list[Path]:
    """Every *.txt below, packed or not; once where it is both.

    Linked folders are not entered, so that one that holds itself is no endless one.

    Raises:
        OSError: a folder cannot be read.
    """

    def fail(error: OSError) -> None:
        raise error

    found: dict[Path, Path] = {}  # by their names unpacked
    for place, _, names in os.walk(folder, onerror=fail):
        for name in sorted(names):
            file = Path(place, name)
            if is_text_file(name) and file.is_file():
                found.setdefault(file.with_name(plain_name(name)), file)
    return sorted(found.values())


def _other_files(folder: Path) -> str:
    """The end of an error: what a folder without text files holds, and what to type for it."""
    suffixes: Counter[str] = Counter()
    first: dict[str, Path] = {}
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names)[:_MOST_NEIGHBOURS]:
            if (suffix := Path(name).suffix) and not name.startswith("."):
                suffixes[suffix] += 1
                first.setdefault(suffix, Path(place, name))
    if not suffixes:
        return ""
    ((suffix, number),) = suffixes.most_common(1)
    found = f", but {number:,} *{suffix}"
    with first[suffix].open("rb") as file:
        if kind := kind_of(file.read(_HEAD), first[suffix].name):
            return f"{found}, which look like {kind[0]}"
    where = shlex.quote(str(first[suffix].parent))
    return f"{found}; give them by name: {where}/*{suffix}"


def _name(source: str) -> str:
    if source == "-":
        return "stdin"
    path = Path(source)
    if path.is_fifo():  # such as <(command), whose own name says nothing
        return "pipe"
    return Path(plain_name(path.resolve().name)).stem or "corpus"


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
