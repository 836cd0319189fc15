"""Write files atomically, and never over a file that charrnn did not write.

A file is replaced only by one of its own kind, told by its first bytes. Links are followed. Pipes
and devices, which cannot lose data, are written to directly. Missing folders are created.
"""

import contextlib
import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from charrnn.errors import CheckpointError, ConfigError

_TEMPORARY = ".tmp"
_BEGINNING = 1024  # bytes that tell the kind of a file
_MOST_LINKS = 40  # to follow, as Linux does


@dataclass(frozen=True)
class Kind:
    """A kind of file: its endings, and the first bytes of its content."""

    name: str
    endings: tuple[str, ...]
    start: re.Pattern[bytes]  # matches the first bytes of these files only
    reserved: tuple[str, ...] = ()  # endings of files that charrnn keeps beside it
    streams: bool = True  # whether a pipe or a device will do


MARK = "<!-- written by charrnn -->"  # in pages and pictures
PAGE = Kind("page", (".html", ".htm"), re.compile(rb"(?is)<!doctype html>.*" + MARK.encode()))
SVG = Kind(
    "picture", (".svg",), re.compile(rb"(?s)<(svg|\?xml) .*(>charrnn<|" + MARK.encode() + rb")")
)
PNG = Kind("picture", (".png",), re.compile(rb"(?s)\x89PNG.*Software\0charrnn"))
ANY = Kind("file", ("",), re.compile(b""))  # the caller preserves the old content
LOG = Kind("log", (".jsonl",), re.compile(rb'\{"step": \d+, "epochs": '))


def check(path: Path, kind: Kind, others: Iterable[Path | str] = ()) -> None:
    """Raise an error unless a file of this kind may be written to `path`; create nothing.

    Args:
        others: other files that the command reads or writes.

    Raises:
        ConfigError: the name does not fit the kind.
        CheckpointError: `path` is a file of another kind or one of the others, or is not writable.
    """
    if "\0" in str(path):
        raise ConfigError(f"cannot write {str(path)!r}: not a file name")
    with _named(path):
        target = follow(path)
        if kind.streams and _is_stream(target):
            return
        _check_name(path, kind)
        for other in others:
            if _is_same(path, other):
                raise CheckpointError(f"cannot write {path}: this command also uses it, as {other}")
        _check_replaceable(target, kind)
        _check_folder(target.parent)


def check_replaceable(path: Path, kind: Kind) -> None:
    """Raise CheckpointError if `path` is a file of another kind."""
    with _named(path):
        _check_replaceable(follow(path), kind)


def check_writable(path: Path) -> None:
    """Raise CheckpointError unless a file can be created at `path`; called before long work."""
    with _named(path):
        target = follow(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = _create_beside(target)  # its name may be too long
        os.close(handle)
        os.unlink(temporary)


@contextlib.contextmanager
def atomic_write(path: Path, kind: Kind, like: Path | None = None) -> Iterator[IO[bytes]]:
    """Open a file to write that gets the name `path` only when it is whole and on the disk.

    It keeps the permissions of the file that it replaces.

    Args:
        like: a file whose permissions a new file gets.

    Raises:
        CheckpointError: `path` is not writable, or a file of another kind; an old file is intact,
            and no temporary file is left.
    """
    temporary = None
    with _named(path):
        target = follow(path)
        if kind.streams and _is_stream(target):
            with _opened(target) as file:
                yield file
            return
        try:
            _check_replaceable(target, kind)
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = _create_beside(target)
            with open(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, _permissions(target, like))
            os.replace(temporary, target)
            temporary = None
            _sync_folder(target.parent)
        finally:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)


def append(path: Path, kind: Kind) -> IO[bytes]:
    """Open a file to append lines to.

    Raises:
        CheckpointError: it is not writable, or a file of another kind.
    """
    with _named(path):
        target = follow(path)
        if _is_stream(target):
            return _opened(target)
        _check_replaceable(target, kind)
        target.parent.mkdir(parents=True, exist_ok=True)
        file = open(target, "a+b")  # noqa: SIM115
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":  # a killed process left its last line unfinished
                file.write(b"\n")
        return file


def remove_leftovers(path: Path) -> None:
    """Remove temporary files of a process killed while it wrote `path`; no other may be writing."""
    with contextlib.suppress(OSError):
        target = follow(path)
        start = f".{target.name}."
        for file in target.parent.iterdir():
            if file.name.startswith(start) and file.name.endswith(_TEMPORARY):
                file.unlink(missing_ok=True)


def follow(path: Path) -> Path:
    """Return the target of a link, which need not exist; other paths are returned unchanged.

    Raises:
        OSError: links form a circle.
    """
    for _ in range(_MOST_LINKS):
        if not path.is_symlink() or _is_descriptor(path):
            return path
        path = path.parent / os.readlink(path)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn an OSError into a CheckpointError with the name of the file."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}") from None


def _check_name(path: Path, kind: Kind) -> None:
    name = path.name.lower()
    if not name.endswith(kind.endings):
        endings = " or ".join(kind.endings)
        raise ConfigError(f"the name of a {kind.name} must end in {endings}, not {str(path)!r}")
    if name.endswith(kind.reserved):
        raise ConfigError(
            f"cannot write {path}: charrnn itself keeps files of such names beside a {kind.name}; "
            "choose another name"
        )


def _check_replaceable(target: Path, kind: Kind) -> None:
    """Refuse to replace a file unless it is empty, or of this kind and writable."""
    try:
        found = target.stat()
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise CheckpointError(f"cannot write {target}: it is not a regular file")
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    with target.open("rb") as file:
        beginning = file.read(_BEGINNING)
    if beginning and not kind.start.match(beginning):
        raise CheckpointError(
            f"cannot write {target}: it exists and is not a {kind.name} that charrnn wrote; choose "
            "another name, or delete it first"
        )


def _check_folder(folder: Path) -> None:
    """Refuse a folder in which no file can be created; if it is missing, check its parent."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not stat.S_ISDIR(folder.stat().st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _create_beside(target: Path) -> tuple[int, str]:
    """Open a temporary file in the same folder; return its descriptor and path."""
    return tempfile.mkstemp(_TEMPORARY, f".{target.name}.", target.parent)


def _is_same(path: Path, other: Path | str) -> bool:
    """Return whether two names are the same file, which need not exist; "-" is standard input."""
    other = "/dev/stdin" if str(other) == "-" else other
    try:
        return os.path.samefile(path, other)
    except OSError:
        return os.path.realpath(path) == os.path.realpath(other)


def _is_stream(target: Path) -> bool:
    """Return whether the target is a pipe, a character device or an open descriptor."""
    if _is_descriptor(target):
        return True
    try:
        mode = target.stat().st_mode
    except OSError:  # reported when it is opened
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _is_descriptor(path: Path) -> bool:
    """Return whether a path is an open file of this process, such as /proc/self/fd/1 on Linux."""
    folder = os.path.realpath(path.parent)
    return folder == os.path.realpath("/proc/self/fd") and path.name.isdecimal()


def _opened(stream: Path) -> IO[bytes]:
    """Open a stream to write to; an open descriptor keeps its position."""
    return open(os.dup(int(stream.name)) if _is_descriptor(stream) else stream, "wb")


def _permissions(target: Path, like: Path | None) -> int:
    for file in (target, like):
        with contextlib.suppress(FileNotFoundError):
            if file is not None:
                return stat.S_IMODE(file.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Flush a rename to the disk, on systems where folders can be opened."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
