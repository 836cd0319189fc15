"""What a file of `charrnn.storage.archive` holds, to be changed and packed again."""

import copy
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.zips import Entry, zip_of

Array = np.ndarray
Hostile = bytes | Callable[[Path], None]
"""The bytes of a file, or what makes something else at a path."""


@dataclass
class Content:
    """Metadata and arrays, and members that take their place as bytes."""

    metadata: dict[str, Any]
    arrays: dict[str, Array]
    members: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Content":
        """Those of a genuine file."""
        with np.load(path) as found:
            arrays = {name: found[name] for name in found if name != "metadata"}
            return cls(json.loads(str(found["metadata"])), arrays)

    def copy(self) -> "Content":
        """A copy whose metadata can be changed, and whose arrays can be replaced."""
        return Content(copy.deepcopy(self.metadata), dict(self.arrays), dict(self.members))

    def entries(self) -> list[Entry]:
        """The members as they are written."""
        found = {"metadata.npy": b""} | {f"{name}.npy": b"" for name in self.arrays}
        for name in found:
            if name not in self.members:
                value = self.arrays.get(name.removesuffix(".npy"))
                found[name] = npy(np.array(json.dumps(self.metadata)) if value is None else value)
        return [Entry(name.encode(), data) for name, data in (found | self.members).items()]

    def pack(self) -> bytes:
        """The file."""
        return zip_of(self.entries())


def npy(array: Array) -> bytes:
    """A .npy member; object arrays are pickled."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def text_npy(text: str) -> bytes:
    """A member of metadata with any text, surrogates too."""
    return npy_of(text.encode("utf-32-le", "surrogatepass"), f"'<U{len(text)}'", "()")


def npy_of(data: bytes, dtype: str, shape: str, version: int = 1) -> bytes:
    """A .npy member that says of its data whatever it likes."""
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return npy_with(header, data, version)


def npy_with(header: bytes, data: bytes, version: int = 1) -> bytes:
    """A .npy member with any header."""
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data
