"""Recognize files that are not text by their first bytes, and say how to get text out of them."""

import shlex

from charrnn.errors import CorpusError
from charrnn.text.compression import compression_of

_ARCHIVE = "an archive", "unpack it first"
_DOCUMENT = "save it as plain text first"
NO_TEXT = "give a text file"
_KINDS = {
    b"%PDF-": ("a PDF", _DOCUMENT),
    b"\xd0\xcf\x11\xe0": ("an Office document", _DOCUMENT),
    b"PK\x03\x04": ("a zip archive, as .docx, .odt and .epub are", _DOCUMENT),
    b"7z\xbc\xaf'\x1c": _ARCHIVE,
    b"Rar!\x1a": _ARCHIVE,
    b"(\xb5/\xfd": ("a file compressed with zstd", "unpack it first"),
    b"\x89PNG\r\n": ("an image", NO_TEXT),
    b"\xff\xd8\xff": ("an image", NO_TEXT),
    b"GIF87a": ("an image", NO_TEXT),
    b"GIF89a": ("an image", NO_TEXT),
    b"\x93NUMPY": ("a NumPy array", NO_TEXT),
    b"SQLite format 3\0": ("a database", "export its text first"),
    b"\x7fELF": ("a program", NO_TEXT),
    b"]\0\0": ("a file compressed with lzma", "unpack it first"),
    **{bytes([0x80, protocol]): ("a Python pickle", NO_TEXT) for protocol in range(2, 6)},
}
_TAR, _PLACE_OF_TAR = b"ustar", 257
_PACKED_TARS = (".tgz", ".tbz", ".tbz2", ".txz")


def kind_of(data: bytes, source: str) -> tuple[str, str] | None:
    """Return the kind of a file with these first bytes, and what to do; None if it may be text.

    Args:
        source: the name of the file.
    """
    is_packed_tar = source.lower().endswith(_PACKED_TARS) and compression_of(data)
    if is_packed_tar or data[_PLACE_OF_TAR:].startswith(_TAR):
        return "a tar archive", f"unpack it first: tar -xf {shlex.quote(source)}"
    kind = next((kind for start, kind in _KINDS.items() if data.startswith(start)), None)
    if kind and data.startswith(b"PK"):
        if source.lower().endswith(".zip"):
            return "a zip archive", f"unpack it first: unzip {shlex.quote(source)}"
        if source.lower().endswith(".npz"):
            return "a model or a file of arrays", NO_TEXT
    return kind


def refuse(data: bytes, source: str) -> None:
    """Raise CorpusError if a file that begins with these bytes is not text."""
    if kind := kind_of(data, source):
        raise CorpusError(f"{source} is not text: it looks like {kind[0]}; {kind[1]}")
