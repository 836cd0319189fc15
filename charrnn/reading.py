"""Files to text: decoded, composed, with `\\n` for every line end, and a piece at a time."""

import codecs
import io
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from charrnn.errors import ConfigError, CorpusError
from charrnn.vocabulary import normalize

_PART = 1 << 18  # bytes read at a time
# ASCII, Han and Hangul compose with nothing before them, so that a text can be cut there.
_COMPOSABLE = re.compile(r".*(?=[\0-\x7f\u4e00-\u9fff\uac00-\ud7a3])", re.DOTALL)


def read_pieces(path: Path | str, encoding: str = "utf-8") -> Iterator[str]:
    """The text of a file, or of standard input for "-", in pieces; see `decode`.

    Raises:
        CorpusError: it cannot be read or decoded.
        ConfigError: there is no such encoding.
    """
    try:
        if str(path) == "-":
            yield from decode(sys.stdin.buffer, "standard input", encoding)
        else:
            with Path(path).open("rb") as file:
                yield from decode(file, str(path), encoding)
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise CorpusError(f"cannot read {str(path)!r}: not a file name") from None


def read_text(path: Path | str, encoding: str = "utf-8") -> str:
    """All of what `read_pieces` reads."""
    return "".join(read_pieces(path, encoding))


def decode(file: BinaryIO, source: str, encoding: str = "utf-8") -> Iterator[str]:
    """Bytes as text in NFC, without byte-order mark, with `\\n` for every line end, in pieces.

    Args:
        source: what the bytes are called in an error.

    Raises:
        CorpusError: the bytes are not valid in that encoding.
        ConfigError: there is no such encoding.
    """
    try:
        io.TextIOWrapper(io.BytesIO(), encoding)  # it knows which codecs are not for text
    except (LookupError, ValueError):
        raise ConfigError(f"unknown encoding {encoding!r}") from None
    pieces = regroup(_decoded(file, source, encoding), _COMPOSABLE)
    yield normalize(next(pieces, "").removeprefix("\ufeff"))
    yield from map(normalize, pieces)


def _decoded(file: BinaryIO, source: str, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    newlines = io.IncrementalNewlineDecoder(decoder, translate=True)
    size, data = 0, b"-"
    while data:
        data = file.read(_PART)
        size += len(data)
        try:
            text = newlines.decode(data, final=not data)
        except UnicodeError as error:
            reason = f"; {error}"
            if isinstance(error, UnicodeDecodeError):
                data = error.object  # with what was left of the part before
                hint = _suggest_encoding(data + file.read())
                reason = f" at byte {size - len(data) + error.start}; {hint}"
            raise CorpusError(f"{source} is not valid {encoding.upper()}{reason}") from None
        yield text


def _suggest_encoding(data: bytes) -> str:
    utf16 = ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ()
    for candidate in (*utf16, "cp949", "cp1252"):
        try:
            data.decode(candidate)
        except UnicodeError:
            continue
        return f"--encoding {candidate} would read it"
    return "name its encoding with --encoding"


def regroup(texts: Iterable[str], end: re.Pattern[str]) -> Iterator[str]:
    """The same text in pieces, each of them all that `end` matches at its start, but for the last.

    So that the pieces end where `end` says, however the text was cut before.
    """
    rest = ""
    for text in texts:
        rest += text
        if found := end.match(rest):
            yield found[0]
            rest = rest[found.end() :]
    yield rest


def strip_pieces(pieces: Iterable[str]) -> Iterator[str]:
    """The pieces of a text without the newline that ends it."""
    newline = ""
    for piece in pieces:
        text = newline + piece
        newline = "\n" if text.endswith("\n") else ""  # held back, as it may be the last
        yield text.removesuffix("\n")


def split_lines(text: str) -> list[str]:
    """The lines of a text that `decode` returned; a newline ends a line and starts none."""
    return strip_last_newline(text).split("\n") if text else []


def strip_last_newline(text: str) -> str:
    """A file's text without the newline that ends its last line."""
    return text.removesuffix("\n")
