"""Make a corpus from strings, documents or paths, as Python programs pass them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from charrnn.config import LINES, WHOLE, check_flag, check_float, check_int
from charrnn.errors import ConfigError, CorpusError, setting
from charrnn.resources import bundled_corpus
from charrnn.text.corpus import (
    PARAGRAPHS,
    Corpus,
    Split,
    mark,
    mark_documents,
    read_corpus,
    split_corpus,
)
from charrnn.text.reading import as_read, refuse_url

# A text or the name of a bundled corpus; a file or a folder; documents; files and folders.
Source = str | Path | Sequence[str] | Sequence[Path]

_LONGEST_NAME = 256  # characters
_LOOKED_AT = 100  # documents to check for names of files
_PART = 1 << 18  # characters to process at a time


def names_of(source: Source) -> list[str] | None:
    """Return a source as the command line names it, None for a text or documents.

    Raises:
        ConfigError: it is something else.
    """
    if isinstance(source, str):
        file = bundled_corpus(source)
        hidden = file and os.path.exists(source)  # by a file or a folder of that name
        return [str(file) if hidden else source] if file else None
    if isinstance(source, Path):
        return [str(source)]
    if not isinstance(source, Sequence) or isinstance(source, bytes):
        kind = "None" if source is None else type(source).__name__
        raise ConfigError(f"a text must be a string, a Path or a list of them, not {kind}")
    if source and all(isinstance(each, Path) for each in source):
        return [str(each) for each in source]
    if not all(isinstance(each, str) for each in source):
        raise ConfigError("a list of texts must contain only strings, or only Paths")
    return None


def read_source(
    source: Source,
    separator: str | None,
    encoding: str = "utf-8",
    max_size: int | None = None,
    *,
    field: str | None = None,
    glob: str | None = None,
) -> Corpus:
    """A corpus from a text, cut at the separator, from documents, or from files.

    Args:
        separator: None cuts bundled corpora into lines and other texts nowhere. Of documents it
            only says what lies between them in files; None is a newline, or a blank line where
            they hold newlines themselves.
        field: of files, the field that is read; see `read_corpus`.
        glob: of folders, the files that are read.

    Raises:
        ConfigError: it is something else, or no file where one is needed.
        CorpusError: it holds no text, is not valid Unicode, or a file cannot be read.
    """
    names = names_of(source)
    for option, text in (("encoding", encoding), ("field", field or ""), ("glob", glob or "")):
        _check_string(option, text)
    if max_size is not None:
        check_int("max_size", max_size, 1)
    if names is not None:
        return read_corpus(
            names,
            separator=separator,
            encoding=encoding,
            max_size=max_size,
            field=field,
            glob=glob,
        )
    for name, value in (("field", field), ("glob", glob)):
        if value is not None:
            raise ConfigError(f"{setting(name)} is for files: give a pathlib.Path")
    if isinstance(source, str):
        separator = WHOLE if separator is None else separator
        marked = _mark_text(source, separator)
    else:
        found = cast(Sequence[str], source)
        for text in found[:_LOOKED_AT]:
            _refuse_name(text)
        texts = [as_read(document) for document in found]
        if separator is None:
            separator = PARAGRAPHS if any("\n" in text[:-1] for text in texts) else LINES
        marked = mark_documents(texts)
    corpus = Corpus.collect("text", marked, separator)
    if not corpus.documents:
        raise CorpusError("there is no text to read: the source is empty")
    return corpus


def split_source(
    corpus: Corpus,
    val: Source | None,
    val_fraction: float | None,
    encoding: str = "utf-8",
    max_size: int | None = None,
    *,
    field: str | None = None,
    glob: str | None = None,
) -> Split:
    """Hold out a share of the corpus for validation, or read another text for it.

    Raises:
        ConfigError: the share is out of range.
        CorpusError: the other text cannot be read.
    """
    if val_fraction is not None:
        check_float("val_fraction", val_fraction, 0, 1, below=True)
    if val is None:
        return split_corpus(corpus, val_fraction)
    glob = glob if isinstance(val, Path) and val.is_dir() else None
    field = field if names_of(val) else None
    read = read_source(val, corpus.separator, encoding, max_size, field=field, glob=glob)
    return Split(split_corpus(corpus, 0).train, read.documents)


def separator(lines: bool | None, split_on: str | None, field: str | None = None) -> str | None:
    """Return the separator that splits a text into documents, None if neither is given.

    Args:
        field: of data, whose texts are not cut.

    Raises:
        ConfigError: both are given, one beside a field, or one is invalid.
        CorpusError: the separator is not valid Unicode.
    """
    if lines is not None:
        check_flag("lines", lines)
    if field is not None and (lines, split_on) != (None, None):
        other = "lines" if split_on is None else "split_on"
        raise ConfigError(f"{setting('field')} cannot be combined with {setting(other)}")
    if split_on is None:
        return None if lines is None else LINES if lines else WHOLE
    if lines is not None:
        raise ConfigError(f"{setting('split_on')} cannot be combined with {setting('lines')}")
    _check_string("split_on", split_on)
    if not split_on:
        raise ConfigError(f"{setting('split_on')} must be a text to split at, not ''")
    return as_read(split_on)


def _check_string(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ConfigError(f"{setting(name)} must be a string, not {value!r}")


def _mark_text(text: str, separator: str) -> Iterator[str]:
    """A text as `Corpus.collect` takes it, cut as that of a file is."""
    _refuse_name(text)
    text = as_read(text)
    return mark((text[start : start + _PART] for start in range(0, len(text), _PART)), separator)


def _refuse_name(text: str) -> None:
    """Raise CorpusError if a text is a URL or the name of an existing file or folder."""
    refuse_url(text)
    if len(text) < _LONGEST_NAME and os.path.exists(text):
        raise CorpusError(
            f"{text!r} is the name of a file or folder; pass pathlib.Path({text!r}) to read it, or "
            "add a newline if it is the text itself"
        )
