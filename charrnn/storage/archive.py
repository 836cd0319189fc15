"""Files of named arrays and one JSON text: written atomically, and validated when read.

A file is an uncompressed zip of .npy members: the arrays, and `metadata`, a JSON text whose
`format` and `version` identify the kind of file.
"""

import contextlib
import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from charrnn.errors import CheckpointError, ConfigError
from charrnn.resources import PREVIOUS, RESUME
from charrnn.storage import files
from charrnn.text.reading import refuse_url

Array = np.ndarray
Header = tuple[str, tuple[int, ...]]  # type and shape of an array

VERSION = 1
SUFFIX = ".npz"
_METADATA, _MEMBER = "metadata", ".npy"
# The limits of the metadata leave room for a vocabulary of all of Unicode and a long history.
_MAX_METADATA = 1 << 26  # bytes
_MAX_VALUES, _MAX_FIELDS = 3 << 19, 1 << 18  # Python needs far more memory for them than the file
_MAX_DEPTH = 50  # of nested lists
_MAX_DIRECTORY = 1 << 19  # bytes: some thousand arrays
_MAX_MESSAGE = 300  # characters of an error, as the file may have put text into it
_END, _LOCATOR, _END64 = 22, 20, 56  # bytes of the last parts of a zip
_DAMAGE = (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, OverflowError)  # from zipfile
_HEADER = re.compile(
    rb"\{'descr': '([<>|]?\w{1,20})', 'fortran_order': False, 'shape': \(([\d, ]{0,50})\), \} *\n"
)


def write(path: Path, kind: str, metadata: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a file of this kind atomically.

    Raises:
        CheckpointError: it cannot be written; an older file is intact.
    """
    text = json.dumps(
        {"format": kind, "version": VERSION, **metadata}, allow_nan=False, ensure_ascii=False
    )
    members: dict[str, Any] = {_METADATA: np.array(text), **arrays}
    with files.atomic_write(path, file_kind(kind)) as file:
        np.savez(file, **members)


def file_kind(kind: str) -> files.Kind:
    """Return how `charrnn.storage.files` recognizes a file of this kind: by its JSON text."""
    text = f'{{"format": "{kind}", "version": '
    encoded = (re.escape(text.encode(encoding)) for encoding in ("utf-32-le", "utf-32-be"))
    start = re.compile(rb"(?s)PK\x03\x04.*(" + b"|".join(encoded) + b")")
    return files.Kind("model", (SUFFIX,), start, reserved=(RESUME, *PREVIOUS), streams=False)


@contextlib.contextmanager
def opened(path: Path | str, kind: str) -> Iterator["Archive"]:
    """Open a file of this kind for reading.

    Raises:
        CheckpointError: it cannot be read, or has another kind or version. Errors raised while it
            is open get the name of the file.
    """
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise CheckpointError("it is a folder, not a model")
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would block
            raise CheckpointError("it is not a regular file")
        with open(path, "rb") as file:
            _check_directory(file, found.st_size)
            with zipfile.ZipFile(file) as archive:
                yield Archive(archive, found.st_size, kind)
    except (CheckpointError, ConfigError) as error:
        text = str(error)
        reason = text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}..."
        raise CheckpointError(f"cannot load {path}: {reason}") from None
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:  # it cannot be opened
            refuse_url(str(path), CheckpointError)
            raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
        raise CheckpointError(f"{path} is not a charrnn model, or damaged") from None


def _check_directory(file: IO[bytes], size: int) -> None:
    """Refuse a zip whose directory is too long to read quickly.

    The end of the file holds its length, or a record just before it in zip64.
    """
    start = max(0, size - _END - _LOCATOR - _END64)
    file.seek(start)
    data = file.read(size - start)
    end64, locator, end = data[:_END64], data[_END64:-_END], data[-_END:]
    if not (end.startswith(b"PK\5\6") and end.endswith(b"\0\0")):
        raise zipfile.BadZipFile  # or it has a comment, which charrnn never writes
    length = int.from_bytes(end[12:16], "little")
    if locator.startswith(b"PK\6\7"):
        if not end64.startswith(b"PK\6\6") or int.from_bytes(locator[8:16], "little") != start:
            raise zipfile.BadZipFile
        length = int.from_bytes(end64[40:48], "little")
    if length > _MAX_DIRECTORY:
        raise CheckpointError("it has too many arrays, or its directory is damaged")


class Archive:
    """An open file: its metadata and the headers of its arrays, whose values are not read yet.

    Raises:
        CheckpointError: `write` would not write such a file.
    """

    def __init__(self, archive: zipfile.ZipFile, file_size: int, kind: str) -> None:
        self._archive, self._file_size = archive, file_size
        infos = archive.infolist()
        if not all(info.filename.endswith(_MEMBER) for info in infos):
            raise zipfile.BadZipFile  # or two members could have one name without the ending
        self._members = {info.filename.removesuffix(_MEMBER): info for info in infos}
        if len(self._members) != len(infos):
            raise CheckpointError("it has two members of the same name")
        total = sum(info.file_size for info in infos)
        if total > file_size or any(info.compress_type for info in infos):
            raise CheckpointError("its members are compressed or overlap, which charrnn never does")
        metadata = self._members.pop(_METADATA, None)
        if metadata is None:
            raise CheckpointError("it has no metadata, so it is not a charrnn model")
        self.metadata = _parse(self._text(metadata), kind)
        self.headers: dict[str, Header] = {}
        for name, info in self._members.items():
            with archive.open(info) as file:
                self.headers[name] = _header(file)

    def check(self, layout: Mapping[str, Header]) -> None:
        """Raise CheckpointError unless the arrays have these names, types and shapes."""
        if layout.keys() != self.headers.keys():
            names = ", ".join(map(repr, sorted(layout.keys() ^ self.headers.keys())[:3]))
            raise CheckpointError(f"its arrays do not fit its configuration ({names})")
        for name, (dtype, shape) in layout.items():
            if self.headers[name] != (dtype, shape):
                found, found_shape = self.headers[name]
                raise CheckpointError(f"{name} is {found} {found_shape}, not {dtype} {shape}")
        if sum(map(_num_bytes, layout.values())) > self._file_size:
            raise CheckpointError("it is too small for its arrays")

    def read(self, layout: Mapping[str, Header]) -> dict[str, Array]:
        """Read the arrays, which must have exactly these names, types and shapes, and be finite.

        Raises:
            CheckpointError: they do not.
        """
        self.check(layout)
        arrays = {name: self._array(name, header) for name, header in layout.items()}
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise CheckpointError(f"{name} has values that are not finite")
        return arrays

    def _array(self, name: str, header: Header) -> Array:
        info = self._members[name]
        with self._archive.open(info) as file:
            dtype, shape = _header(file)
            if info.file_size != file.tell() + _num_bytes(header):
                raise CheckpointError(f"{name} is cut off")
            return np.frombuffer(file.read(), dtype).reshape(shape)

    def _text(self, info: zipfile.ZipInfo) -> str:
        """Read the JSON text, a zero-dimensional Unicode array."""
        with self._archive.open(info) as file:
            dtype, shape = _header(file)
            size = info.file_size - file.tell()
            if shape != () or dtype[1:] != f"U{size // 4}" or size > _MAX_METADATA:
                raise CheckpointError("its metadata is not text, or too long")
            encoding = "utf-32-be" if dtype[0] == ">" else "utf-32-le"
            return file.read().decode(encoding, "surrogatepass")


def _num_bytes(header: Header) -> int:
    dtype, shape = header
    return np.dtype(dtype).itemsize * math.prod(shape)


def _header(file: IO[bytes]) -> Header:
    """Read type and shape from the start of a .npy member of version 1.

    With a pattern, as NumPy's reader evaluates literals, warns and raises more than ValueError.
    """
    start = file.read(10)
    found = _HEADER.fullmatch(file.read(int.from_bytes(start[8:], "little")))
    if not start.startswith(b"\x93NUMPY\x01\x00") or not found:
        raise CheckpointError("it has an array of an unknown format")
    return found[1].decode(), tuple(map(int, re.findall(rb"\d+", found[2])))


def _parse(text: str, kind: str) -> dict[str, Any]:
    if text.count(",") > _MAX_VALUES or sum(map(text.count, "[{:")) > _MAX_FIELDS:
        raise CheckpointError("its metadata is too long")
    try:
        metadata = json.loads(text, parse_constant=_refuse, parse_float=_parse_float)
    except (ValueError, RecursionError):
        raise CheckpointError("its metadata is not JSON, or nested too deeply") from None
    if _is_deep(metadata):
        raise CheckpointError("its metadata is nested too deeply")
    if not isinstance(metadata, dict) or metadata.get("format") != kind:
        raise CheckpointError(f"its metadata does not say that it is a {kind} file")
    if metadata.get("version") != VERSION:
        raise CheckpointError(
            f"it has format version {str(metadata.get('version'))[:20]}, but this charrnn reads "
            f"version {VERSION}; use the charrnn version that wrote it"
        )
    return metadata


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _parse_float(number: str) -> float:
    if math.isfinite(found := float(number)):
        return found
    raise ValueError(f"{number[:20]} is too large for a float")


def _is_deep(value: Any) -> bool:
    """Return whether lists and objects are nested so deeply that recursion could fail."""
    level: list[Any] = [[value]]
    for _ in range(1 + _MAX_DEPTH):
        parts = [each.values() if isinstance(each, dict) else each for each in level]
        level = [each for part in parts for each in part if isinstance(each, dict | list)]
    return bool(level)
