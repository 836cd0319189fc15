"""One process at a time writes a file."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from charrnn.errors import CheckpointError, setting
from charrnn.storage.files import follow

try:
    import fcntl
except ImportError:  # Windows, where two trainers on one output are the user's own care
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only process inside for this path.

    The lock is on an open file, .NAME.lock beside it, or beside what a link leads to: the system
    takes it back when a process ends, however that happens, so that what a dead one leaves locks
    nobody out.

    Raises:
        CheckpointError: another process is inside, or the folder cannot be written.
    """
    if fcntl is None:
        yield
        return
    handle = None
    try:
        target = follow(path)
        lock = target.with_name(f".{target.name}.lock")
        while handle is None or not _is(lock, handle):  # another has removed it on leaving
            if handle is not None:
                os.close(handle)
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle) if handle is not None else None
        raise CheckpointError(
            f"another charrnn is training {path}: wait for its end, or choose another "
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
    """Whether the path leads to the open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
