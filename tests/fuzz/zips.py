"""A writer of zips that can lie about everything."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

_LOCAL, _CENTRAL, _END = b"PK\3\4", b"PK\1\2", b"PK\5\6"


@dataclass
class Entry:
    """A member; what is None is written as it is."""

    name: bytes
    data: bytes  # as it lies in the file
    method: int = 0  # 8: deflated
    flags: int = 0
    crc: int | None = None
    packed_size: int | None = None
    size: int | None = None
    offset: int | None = None
    extra: bytes = b""
    comment: bytes = b""
    version: int = 20


def zip_of(
    entries: Sequence[Entry],
    *,
    comment: bytes = b"",
    between: bytes = b"",
    repeat: int = 1,
    num_entries: int | None = None,
    directory_size: int | None = None,
    directory_start: int | None = None,
) -> bytes:
    """The bytes of a zip.

    Args:
        between: what comes between the directory and the end record.
        repeat: how often the directory lists all entries.
        num_entries, directory_size, directory_start: what the end record says; None: the truth.
    """
    parts, directory, offset = [], [], 0
    for entry in entries:
        local, central = _headers(entry, offset)
        parts += [local, entry.data]
        directory.append(central)
        offset += len(local) + len(entry.data)
    listed = b"".join(directory) * repeat
    end = struct.pack(
        "<4s4H2IH",
        _END,
        0,
        0,
        *[(len(entries) * repeat if num_entries is None else num_entries) & 0xFFFF] * 2,
        (len(listed) if directory_size is None else directory_size) & 0xFFFFFFFF,
        (offset if directory_start is None else directory_start) & 0xFFFFFFFF,
        len(comment) & 0xFFFF,
    )
    return b"".join([*parts, listed, between, end, comment])


def end64(num_entries: int, directory_size: int, directory_start: int, place: int) -> bytes:
    """The end record and its locator in the form for large files; `place` is where they lie."""
    numbers = (num_entries, num_entries, directory_size, directory_start)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *(n % 2**64 for n in numbers))
    return record + struct.pack("<4sLQL", b"PK\6\7", 0, place % 2**64, 1)


def _headers(entry: Entry, offset: int) -> tuple[bytes, bytes]:
    """The header before the data, and the entry in the directory."""
    crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
    packed = len(entry.data) if entry.packed_size is None else entry.packed_size
    size = len(entry.data) if entry.size is None else entry.size
    start = offset if entry.offset is None else entry.offset
    name, extra, comment = entry.name[:65535], entry.extra, entry.comment
    common = (entry.flags, entry.method, 0, 33, crc & 0xFFFFFFFF)
    sizes = (packed & 0xFFFFFFFF, size & 0xFFFFFFFF)
    local = struct.pack("<4s5H", _LOCAL, entry.version, *common[:4])
    local += struct.pack("<3I2H", common[4], *sizes, len(name), 0) + name
    central = struct.pack("<4s6H", _CENTRAL, 20, entry.version, *common[:4])
    central += struct.pack("<3I3H", common[4], *sizes, len(name), len(extra), len(comment))
    central += struct.pack("<2H2I", 0, 0, 0, start & 0xFFFFFFFF) + name + extra + comment
    return local, central
