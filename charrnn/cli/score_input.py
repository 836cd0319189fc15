"""The texts to score: from the command line, from files, or from a field of their records."""

import select
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charrnn.cli.options import refuse_file_name
from charrnn.config import LINES, WHOLE
from charrnn.errors import CharRNNError, ConfigError

# Texts and characters in the first block, which is soon ready, and how many times as many are in
# the largest. A single text may have more characters.
_TEXTS, _CHARS, _TIMES = 64, 1 << 12, 64
_SMALL = 1 << 15  # most bytes of files that are scored in a moment
STDIN = Path("-")


@dataclass(frozen=True)
class Given:
    """A text, its name in the output, and the record that it came in."""

    name: str
    text: str
    fields: dict[str, Any] | None = None  # of the record
    num_bytes: int = 0  # in the file, as UTF-8

    @property
    def object(self) -> dict[str, Any]:
        """The JSON object to add a score to."""
        return {"text": self.name} if self.fields is None else self.fields


def texts_and_files(texts: Sequence[str], files: Sequence[Path]) -> tuple[list[str], list[Path]]:
    """Return texts and files, with '-' among the texts moved to the files.

    Raises:
        ConfigError: a text is the name of a file, or standard input is given twice.
    """
    for text in texts:
        if text != "-":
            refuse_file_name(text, "--file")
    files = [STDIN for text in texts if text == "-"] + [*files]
    if files.count(STDIN) > 1:
        raise ConfigError("standard input can be read only once; give '-' once")
    return [text for text in texts if text != "-"], files


def unless_typed() -> Path:
    """Return standard input, for a command line without texts.

    Raises:
        ConfigError: it is a terminal.
    """
    if sys.stdin.isatty():
        raise ConfigError("nothing to score: give a TEXT or --file FILE")
    return STDIN


@dataclass(frozen=True)
class Sources:
    """Where texts come from, and how files are split into texts."""

    texts: Sequence[str]
    files: Sequence[Path]
    separator: str
    encoding: str
    max_size: int | None
    field: str | None = None  # files hold records with the text in this field

    def read(self) -> Iterator[Given]:
        """Yield everything to score; a text is its own name, a whole file has that of the file."""
        return (given for given in self.arriving() if given is not None)

    def arriving(self) -> Iterator[Given | None]:
        """Yield the same, with None where more of a pipe has to be read first."""
        for text in self.texts:
            yield Given(text, text)
        for file in self.files:
            yield from self._of_file(file)

    def apart(self) -> tuple[Iterator[Given | None], Sequence[Path]]:
        """Return texts to score in parallel, as they arrive, and files that are one text each."""
        if self.separator != WHOLE:
            return self.arriving(), ()
        return replace(self, files=()).arriving(), self.files

    def pieces(self, file: Path) -> Iterator[str]:
        """Yield the text of a whole file in pieces."""
        from charrnn.text.reading import read_pieces, strip_pieces

        return strip_pieces(read_pieces(file, self.encoding, self.max_size))

    def _of_file(self, file: Path) -> Iterator[Given | None]:
        from charrnn.text.corpus import mark
        from charrnn.text.documents import END
        from charrnn.text.reading import lines_in, read_pieces, read_text, strip_last_newline

        if self.field is not None:
            yield from _objects(file, self.field, self.encoding, self.max_size)
        elif self.separator != WHOLE:  # of lines the empty ones too
            pieces = read_pieces(file, self.encoding, self.max_size)
            is_line = self.separator == LINES
            ended = lines_in(pieces) if is_line else lines_in(mark(pieces, self.separator), END)
            for texts in ended:
                for text in texts:
                    yield Given(text, text, num_bytes=_size(text))
                yield from _pause(file)
        else:
            text = strip_last_newline(read_text(file, self.encoding, self.max_size))
            if text or file != STDIN:  # an empty file is shown by name
                yield Given(str(file), text)

    def num_bytes(self) -> int | None:
        """Size of all files, None if there are none or the size is unknown."""
        from charrnn.text.compression import compression

        plain = all(file.is_file() and not compression(str(file)) for file in self.files)
        return (sum(file.stat().st_size for file in self.files) or None) if plain else None

    @property
    def is_small(self) -> bool:
        """Whether all scores are there in a moment; of a whole file there is only one."""
        size = self.num_bytes() if self.files else 0
        return self.separator == WHOLE or (size is not None and size <= _SMALL)


def _size(line: str) -> int:
    """Return the bytes of a line with its end."""
    return len(line.encode("utf-8", "surrogatepass")) + 1


def _pause(file: Path) -> list[None]:
    """None where more of a pipe has to come first."""
    return [None] * (_must_wait() if file == STDIN else not file.is_file())


def _must_wait() -> bool:
    """Return whether standard input has nothing to read yet."""
    try:
        return not select.select([sys.stdin], [], [], 0)[0]
    except (OSError, ValueError):  # not a pipe
        return True


def blocks(texts: Iterable[Given | None]) -> Iterator[list[Given]]:
    """Yield blocks of texts to score in parallel, the first ones small.

    A block ends before an error and before a wait for more input.
    """
    block: list[Given] = []
    chars, times = 0, 1
    try:
        for text in texts:
            if text is not None:
                block.append(text)
                chars += len(text.text)
            is_full = len(block) >= times * _TEXTS or chars >= times * _CHARS
            if is_full or (text is None and block):
                yield block
                sys.stdout.flush()  # for a program that reads the results as they come
                times = min(2 * times, _TIMES) if is_full else times
                block, chars = [], 0
    except CharRNNError:
        if block:
            yield block
        raise
    if block:
        yield block


def _objects(file: Path, field: str, encoding: str, max_size: int | None) -> Iterator[Given | None]:
    """Yield the texts of records, with None where more of a pipe has to be read first.

    Raises:
        CorpusError: a record is broken, or has no text in this field; names where it stands.
    """
    from charrnn.text.fields import records
    from charrnn.text.reading import lines_of, name_of, read_pieces

    num_bytes = 0  # of the lines since the last record

    def lines() -> Iterator[str]:
        nonlocal num_bytes
        for line in lines_of(read_pieces(file, encoding, max_size, compose=False)):
            num_bytes += _size(line)
            yield line

    for record in records(lines(), field, name_of(file), strict=True):
        yield Given(record.text, record.text, record.fields, num_bytes)
        num_bytes = 0
        yield from _pause(file)
