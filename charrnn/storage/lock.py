"""A lock, so that only one process at a time trains a model."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from charrnn.errors import CheckpointError, setting
from charrnn.storage.files import follow

try:
    import fcntl
except ImportError:  # Windows: nothing prevents two runs from writing the same file
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this path.

    The lock is on an open file, .NAME.lock beside the target. The system releases it when the
    process ends, however that happens, so that a dead process blocks nobody.

    Raises:
        CheckpointError: another process holds it, or the folder is not writable.
    """
    if fcntl is None:
        yield
        return
    handle = None
    try:
        target = follow(path)
        lock = target.with_name(f".{target.name}.lock")
        while handle is None or not _is(lock, handle):  # its last holder removed the file
            if handle is not None:
                os.close(handle)
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle) if handle is not None else None
        raise CheckpointError(
            f"another charrnn is training {path}; wait until it is done, or choose another "
            f"{setting('output')}"
        ) from None
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}") from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink()
        os.close(handle)


def _is(path: Path, handle: int) -> bool:
    """Return whether the path is the open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
