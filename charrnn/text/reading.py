"""Read files as text in pieces: decoded, in NFC, with `\\n` as the only line end."""

import codecs
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from charrnn.errors import CharRNNError, ConfigError, CorpusError, setting
from charrnn.text.compression import compression, compression_of, unpack
from charrnn.text.encodings import excerpt_of, likely_encodings, seven_bit, utf16_without_mark
from charrnn.text.kinds import NO_TEXT, refuse
from charrnn.text.unicode import normalize

_PART = 1 << 18  # bytes to read at a time
_PACKED_PART = 1 << 14  # bytes of a compressed file to read at a time
_MB = 1 << 20
# A compressed file may unpack to 32 MB or to 20 times its size, above the ratio of any text.
_UNPACKED, _RATIO = 32, 20
# A text can be cut after a newline, and before ASCII, kana, Han, Hangul and emoji, which never
# compose with the character before them.
_COMPOSABLE = re.compile(
    r".*(?:\n|(?=[\0-\x7f\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3\U0001f300-\U0001faff]))",
    re.DOTALL,
)
_BYTES = "latin-1"  # valid for any bytes; asking for it turns off the checks for text
_NUL = "\0"
_CUT_OFF = "its last character is cut off; copy or download it again"
_BOM = "\ufeff"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LOOK_AHEAD = 20  # parts to read for proposing an encoding
_URL = re.compile(r"(?:https?|ftp):/")  # a path drops the second slash


def read_pieces(
    path: Path | str,
    encoding: str = "utf-8",
    max_size: int | None = None,
    *,
    compose: bool = True,
) -> Iterator[str]:
    """Yield the text of a file, or of standard input for "-", in pieces; see `decode`.

    A file whose name ends in .gz, .bz2 or .xz is unpacked.

    Args:
        max_size: limit in MB after unpacking. None: 32 MB or 20 times its size for a compressed
            file, no limit for others.
        compose: as in `decode`.

    Raises:
        CorpusError: it cannot be read, unpacked or decoded, is not text or is too large.
        ConfigError: the encoding is unknown.
    """
    try:
        if str(path) == "-":
            source = name_of(path)
            parts = _limited(_as_they_come(sys.stdin.buffer), source, max_size)
            yield from decode(parts, source, encoding, compose=compose)
        else:
            with Path(path).open("rb") as file:
                parts = _unpacked(file, str(path), max_size)
                yield from decode(parts, str(path), encoding, compose=compose)
    except OSError as error:
        refuse_url(str(path))
        raise CorpusError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise CorpusError(f"cannot read {str(path)!r}: not a file name") from None


def refuse_url(name: str, error: type[CharRNNError] = CorpusError) -> None:
    """Raise an error if a file name is a URL."""
    if _URL.match(name) and not re.search(r"\s", name):
        url = re.sub("/+", "//", name, count=1)
        raise error(f"{url} is a URL, not a file; download it first: curl -O {url}")


def name_of(path: Path | str) -> str:
    """Return the name of a file for an error."""
    return "standard input" if str(path) == "-" else str(path)


def read_text(path: Path | str, encoding: str = "utf-8", max_size: int | None = None) -> str:
    """Read a whole file; see `read_pieces`."""
    return "".join(read_pieces(path, encoding, max_size))


def _parts(file: BinaryIO, size: int | None = None) -> Iterator[bytes]:
    while part := file.read(size or _PART):
        yield part


def _as_they_come(file: BinaryIO) -> Iterator[bytes]:
    """Yield the bytes of a file or a pipe as they arrive."""
    read = file.read1 if isinstance(file, io.BufferedIOBase) else file.read
    while part := read(_PART):
        yield part


def _unpacked(file: BinaryIO, source: str, max_size: int | None) -> Iterator[bytes]:
    """Yield the bytes of a file, unpacked if its name has a suffix of compressed files."""
    suffix = compression(source)
    if not suffix:
        return _limited(_as_they_come(file), source, max_size)
    if max_size is None:
        max_size = max(_UNPACKED, _RATIO * os.fstat(file.fileno()).st_size // _MB)
    return _limited(unpack(_parts(file, _PACKED_PART), suffix, source), source, max_size)


def _limited(parts: Iterable[bytes], source: str, max_size: int | None) -> Iterator[bytes]:
    """Yield the parts; raise CorpusError above `max_size` MB."""
    size = 0
    for part in parts:
        size += len(part)
        if max_size is not None and size > max_size * _MB:
            raise CorpusError(
                f"{source} holds more than {max_size:,} MB, the limit; "
                f"{setting('max_size')} sets another"
            )
        yield part


def decode(
    parts: Iterable[bytes], source: str, encoding: str = "utf-8", *, compose: bool = True
) -> Iterator[str]:
    """Decode bytes to text in pieces, in NFC, without byte-order marks, with `\\n` as line end.

    Marks are dropped anywhere, as each of several concatenated files begins with one.

    Args:
        source: name of the bytes in errors.
        compose: False keeps characters as they are, not in NFC.

    Raises:
        CorpusError: the bytes are not valid in this encoding, or are not text.
        ConfigError: the encoding is unknown.
    """
    try:
        io.TextIOWrapper(io.BytesIO(), encoding)  # raises for codecs that are not text encodings
    except (LookupError, ValueError):
        raise ConfigError(
            f"unknown encoding {encoding!r}; try utf-8, utf-16, cp949, cp1252 or latin-1"
        ) from None
    pieces = _decoded(iter(parts), source, encoding)
    yield from map(normalize, regroup(pieces, _COMPOSABLE)) if compose else pieces


def _decoded(parts: Iterator[bytes], source: str, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    newlines = io.IncrementalNewlineDecoder(decoder, translate=True)
    size, head = 0, ""  # the beginning, to check whether it is text
    only_ascii = True
    looking = codecs.lookup(encoding) != codecs.lookup(_BYTES)
    if looking:
        first = next(parts, b"")
        refuse(first, source)
        parts = chain([first], parts)
    for data in chain(parts, [b""]):
        size += len(data)
        try:
            text = newlines.decode(data, final=not data)
        except UnicodeError as error:
            reason = f": {error}; try another {setting('encoding')}"
            if isinstance(error, UnicodeDecodeError):
                cut_off = not data and not only_ascii
                data = error.object  # with the rest of the previous part
                advice = _CUT_OFF if cut_off else _advice(data, parts)
                reason = f" at byte {size - len(data) + error.start}; {advice}"
            raise CorpusError(f"{source} is not valid {encoding.upper()}{reason}") from None
        only_ascii = only_ascii and text.isascii()
        if looking:
            head += text
            looking = size < _PART and bool(data)
            if not looking:
                _refuse_other(head, source, encoding)
        yield text.replace(_BOM, "")


def _refuse_other(text: str, source: str, encoding: str) -> None:
    """Raise CorpusError if the beginning of a text shows another encoding, or is not text.

    A few NULs are allowed.
    """
    full_of_nuls = text.count(_NUL) * 100 > len(text)
    reason = "it is full of NULs" if full_of_nuls else "it contains escape sequences"
    if candidates := (
        utf16_without_mark(text.encode(encoding)) if full_of_nuls else seven_bit(text)
    ):
        ((name, excerpt),) = candidates.items()
        advice = f"{setting('encoding')} {name} would read it as {excerpt!r}"
        raise CorpusError(f"{source} is not {encoding.upper()}: {reason}; {advice}")
    if full_of_nuls:
        raise CorpusError(f"{source} is not text: {reason}; {NO_TEXT}")


def _advice(data: bytes, rest: Iterator[bytes]) -> str:
    """Say what to do with a file of which `data` is invalid and `rest` is unread."""
    if suffix := compression_of(data):
        return f"it is compressed; rename it to end in {suffix}"
    if data[:2] in _UTF16:
        candidates = {"utf-16": excerpt_of(data.decode("utf-16", "replace"))}
    elif b"\0" in data:
        candidates = utf16_without_mark(data)
        if not candidates:
            return f"it is not text; {NO_TEXT}"
    else:
        candidates = likely_encodings(data)
    decoders = {name: codecs.getincrementaldecoder(name)() for name in candidates}
    for part in chain([data], islice(rest, _LOOK_AHEAD), [b""]):
        for name, decoder in [*decoders.items()]:
            try:
                decoder.decode(part, final=not part)
            except UnicodeError:
                del decoders[name]
    if not decoders:
        return f"set its encoding with {setting('encoding')}"
    name, *others = decoders
    also = "".join(f", {other} as {candidates[other]!r}" for other in others)
    return f"{setting('encoding')} {name} would read it as {candidates[name]!r}{also}"


def regroup(texts: Iterable[str], end: re.Pattern[str]) -> Iterator[str]:
    """Regroup a text so that every piece but the last ends where `end` matches.

    The pieces do not depend on how the text was cut before.

    Args:
        end: matches up to an end, decided by the two characters around it or the one before it.
    """
    held: list[str] = []  # without an end
    last = ""  # the character that comes next
    for text in texts:
        text = last + text
        if found := end.match(text):
            yield "".join([*held, found[0]])
            held, text = [], text[found.end() :]
        held.append(text[:-1])
        last = text[-1:]
    yield "".join([*held, last])


def as_read(text: str) -> str:
    """A text as `decode` would return it: in NFC, with `\\n` for every line end.

    Raises:
        CorpusError: it holds half a surrogate pair.
    """
    return normalize(re.sub("\r\n?", "\n", text) if "\r" in text else text)


def strip_pieces(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the pieces of a text without its last newline."""
    newline = ""
    for piece in pieces:
        text = newline + piece
        newline = "\n" if text.endswith("\n") else ""  # held back: it may end the text
        yield text.removesuffix("\n")


def lines_of(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a text in pieces, as `split_lines` returns them for a whole text."""
    return chain.from_iterable(lines_in(pieces))


def lines_in(pieces: Iterable[str], end: str = "\n") -> Iterator[list[str]]:
    """Yield lists of lines: those that end in each piece, then a last one without an end.

    Args:
        end: the character that ends a line.
    """
    begun: list[str] = []  # a line that has not ended
    for piece in pieces:
        first, *others = piece.split(end)
        begun.append(first)
        if others:
            yield ["".join(begun), *others[:-1]]
            begun = others[-1:]
    if any(begun):
        yield ["".join(begun)]


def split_lines(text: str) -> list[str]:
    """Return the lines of a text from `decode`; a newline ends a line and does not start one."""
    return strip_last_newline(text).split("\n") if text else []


def strip_last_newline(text: str) -> str:
    """Return a text without its last newline."""
    return text.removesuffix("\n")
