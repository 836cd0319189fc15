"""Every file that charrnn writes: whole or not at all, and never onto what it did not write.

A file that exists is replaced only by one of its own kind, which its first bytes tell. A link stays
a link: what it leads to is written. Pipes and devices, which hold nothing that could be lost, are
written to as they are. Folders that are missing are created.
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
_BEGINNING = 1024  # bytes in which a file says what it is
_MOST_LINKS = 40  # to follow, as Linux does


@dataclass(frozen=True)
class Kind:
    """A kind of file: what its name ends in, and how its content begins."""

    name: str
    endings: tuple[str, ...]
    start: re.Pattern[bytes]  # matches the first bytes of each such file, and of no other
    reserved: tuple[str, ...] = ()  # endings of what charrnn keeps beside such a file
    streams: bool = True  # whether a pipe or a device takes it too


MARK = "<!-- written by charrnn -->"  # in pages and pictures
PAGE = Kind("page", (".html", ".htm"), re.compile(rb"(?is)<!doctype html>.*" + MARK.encode()))
SVG = Kind(
    "picture", (".svg",), re.compile(rb"(?s)<(svg|\?xml) .*(>charrnn<|" + MARK.encode() + rb")")
)
PNG = Kind("picture", (".png",), re.compile(rb"(?s)\x89PNG.*Software\0charrnn"))
ANY = Kind("file", ("",), re.compile(b""))  # the caller keeps what was there
LOG = Kind("log", (".jsonl",), re.compile(rb'\{"step": \d+, "epochs": '))


def check(path: Path, kind: Kind, others: Iterable[Path | str] = ()) -> None:
    """Raise an error unless a file of that kind may be written to `path`; creates nothing.

    Args:
        others: files that the command reads, or writes besides this one.

    Raises:
        ConfigError: the name is not that of such a file.
        CheckpointError: a file of another kind, or one of the others, is there, or the system
            would refuse.
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
    """Raise CheckpointError if there is a file that is not one of that kind."""
    with _named(path):
        _check_replaceable(follow(path), kind)


def check_writable(path: Path) -> None:
    """Raise CheckpointError unless a file can be created at `path`, before hours of work."""
    with _named(path):
        target = follow(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = _create_beside(target)  # its name may be too long
        os.close(handle)
        os.unlink(temporary)


@contextlib.contextmanager
def atomic_write(path: Path, kind: Kind, like: Path | None = None) -> Iterator[IO[bytes]]:
    """A file to write that takes the name `path` only once it is whole and on the disk.

    It has the permissions of the file that it replaces.

    Args:
        like: a file whose permissions a new one gets, instead of those that the system gives.

    Raises:
        CheckpointError: the system refuses, or a file of another kind is there; what was there is
            intact and nothing is left behind.
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
    """A file to add lines to, opened; those that it holds stay.

    Raises:
        CheckpointError: the system refuses, or a file of another kind is there.
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
    """Remove what a process that was killed while writing `path` has left; no other may write."""
    with contextlib.suppress(OSError):
        target = follow(path)
        start = f".{target.name}."
        for file in target.parent.iterdir():
            if file.name.startswith(start) and file.name.endswith(_TEMPORARY):
                file.unlink(missing_ok=True)


def follow(path: Path) -> Path:
    """Where a link leads, whether or not there is a file yet; any other path as it is.

    Raises:
        OSError: links lead in a circle.
    """
    for _ in range(_MOST_LINKS):
        if not path.is_symlink() or _is_descriptor(path):
            return path
        path = path.parent / os.readlink(path)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what the system refuses into an error with the name of the file."""
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
            f"cannot write {path}: such a name is for a file that charrnn keeps beside a "
            f"{kind.name}; choose another name"
        )


def _check_replaceable(target: Path, kind: Kind) -> None:
    """Refuse what is there unless it is empty, or a file of that kind that may be written to."""
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
    """Refuse a folder that takes no new file; where it is missing, the one to create it in."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not stat.S_ISDIR(folder.stat().st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _create_beside(target: Path) -> tuple[int, str]:
    """A temporary file in the same folder, open to be written, and its path."""
    return tempfile.mkstemp(_TEMPORARY, f".{target.name}.", target.parent)


def _is_same(path: Path, other: Path | str) -> bool:
    """Whether both names are those of one file, which need not be there; "-" is standard input."""
    other = "/dev/stdin" if str(other) == "-" else other
    try:
        return os.path.samefile(path, other)
    except OSError:
        return os.path.realpath(path) == os.path.realpath(other)


def _is_stream(target: Path) -> bool:
    """Whether it is a pipe, a character device, or a file that is open already."""
    if _is_descriptor(target):
        return True
    try:
        mode = target.stat().st_mode
    except OSError:  # whoever opens it says so
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _is_descriptor(path: Path) -> bool:
    """Whether it stands for an open file of this process, as /proc/self/fd/1 on Linux."""
    folder = os.path.realpath(path.parent)
    return folder == os.path.realpath("/proc/self/fd") and path.name.isdecimal()


def _opened(stream: Path) -> IO[bytes]:
    """A stream to write to; the position in an open file is the one that its owner has."""
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
    """Put a rename on the disk, where folders can be opened."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
