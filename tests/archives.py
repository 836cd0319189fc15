"""Checkpoints taken apart and put together wrongly."""

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.errors import CheckpointError
from charrnn.storage.checkpoint import load


def refusal(path: Path | str) -> str:
    """The message with which `load` refuses a file; it names the file and is one line."""
    with pytest.raises(CheckpointError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def is_refused(path: Path) -> bool:
    """Whether `load` refuses a file; any error but CheckpointError goes through."""
    try:
        load(path)
    except CheckpointError:
        refusal(path)
        return True
    return False


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, **changed: bytes | None) -> None:
    """Put other bytes in place of members, `head__weight` for head.weight.npy; None: remove."""
    found: dict[str, bytes | None] = {**members(path)}
    found |= {name.replace("__", ".") + ".npy": data for name, data in changed.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in found.items():
            if data is not None:
                archive.writestr(name, data)


def npy(value: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(value))
    return file.getvalue()


def npy_with_header(header: str, version: int = 1, data: bytes = b"") -> bytes:
    """A .npy member with any header at all."""
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode("latin1") + data


def header(dtype: str, shape: str) -> str:
    return f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n"


def metadata(path: Path) -> dict[str, Any]:
    with np.load(path) as arrays:
        found: dict[str, Any] = json.loads(str(arrays["metadata"]))
    return found
