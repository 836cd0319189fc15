"""Unpack compressed files (.gz, .bz2 and .xz) piece by piece."""

import bz2
import lzma
import zlib
from collections.abc import Iterable, Iterator

from charrnn.errors import CorpusError

SUFFIXES = (".gz", ".bz2", ".xz")
_FIRST_BYTES = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\xfd7zXZ\0": ".xz"}
_PART = 1 << 18  # bytes to unpack at a time
_XZ_MEMORY = 100 << 20  # bytes; xz -9 takes 65 MB, but a file may ask for 4 GB


def compression(name: str) -> str:
    """Return the suffix of a compressed file's name; "" for other files."""
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")


def plain_name(name: str) -> str:
    """Return a file's name without the suffix of its compression."""
    return name[: len(name) - len(compression(name))]


def is_text_file(name: str) -> bool:
    """Return whether a file's name ends in .txt, in upper or lower case, compressed or not."""
    return plain_name(name).lower().endswith(".txt")


def compression_of(data: bytes) -> str:
    """Return the suffix for a file with these first bytes; "" if it is not compressed."""
    return next((name for start, name in _FIRST_BYTES.items() if data.startswith(start)), "")


class _Gzip:
    """A gzip stream with the methods of BZ2Decompressor and LZMADecompressor."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        found = self._stream.decompress(self._stream.unconsumed_tail + data, max_length)
        self.needs_input = len(found) < max_length
        return found


_Stream = _Gzip | bz2.BZ2Decompressor | lzma.LZMADecompressor


def _begin(suffix: str) -> _Stream:
    if suffix == ".xz":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    return _Gzip() if suffix == ".gz" else bz2.BZ2Decompressor()


def unpack(parts: Iterable[bytes], suffix: str, source: str) -> Iterator[bytes]:
    """Unpack compressed bytes, in small parts.

    Args:
        parts: one or more compressed streams; zeros may follow each, as on tapes.
        source: name of the bytes in errors.

    Raises:
        CorpusError: the bytes are not such streams, are damaged or end too early.
    """
    stream, complete = _begin(suffix), False
    for part in parts:
        data = part
        while data := data.lstrip(b"\0") if complete else data:
            while data or not (stream.needs_input or stream.eof):
                if found := _unpacked(stream, data, suffix, source):
                    yield found
                data = b""
            if complete := stream.eof:
                data, stream = stream.unused_data, _begin(suffix)
    if not complete:
        raise CorpusError(
            f"{source} is cut off: its {suffix} data ends too early; copy or download it again"
        )


def _unpacked(stream: _Stream, data: bytes, suffix: str, source: str) -> bytes:
    try:
        return stream.decompress(data, _PART)
    except (zlib.error, lzma.LZMAError, OSError) as error:
        problem = f"{source} is not a {suffix} file, or is damaged: {error}"
        raise CorpusError(f"{problem}; another tool may still unpack it") from None
