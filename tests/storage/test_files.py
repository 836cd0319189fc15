"""Writing files: whole or not at all, through links, and onto nothing of another kind."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from charrnn.errors import CheckpointError, ConfigError
from charrnn.storage.files import (
    LOG,
    MARK,
    PAGE,
    PNG,
    SVG,
    Kind,
    append,
    atomic_write,
    check,
    follow,
)
from tests.commands import posix

OURS = f"<!doctype html>\n{MARK}old".encode()


def write(path: Path, data: bytes = OURS, kind: Kind = PAGE) -> None:
    with atomic_write(path, kind) as file:
        file.write(data)


def written(path: Path, kind: Kind) -> None:
    write(path, OURS, kind)


# What may be replaced


@pytest.mark.parametrize("data", [b"mine", b"<!doctype html>mine", b"\0" * 2000, b" " + OURS])
def test_a_file_of_another_kind_is_never_replaced(tmp_path: Path, data: bytes) -> None:
    (path := tmp_path / "a.html").write_bytes(data)
    for attempt in (check, append, written):
        with pytest.raises(CheckpointError, match="is not a page that charrnn wrote"):
            attempt(path, PAGE)
    assert path.read_bytes() == data
    assert [*tmp_path.iterdir()] == [path]


def test_an_empty_file_and_one_of_the_same_kind_are_replaced(tmp_path: Path) -> None:
    (path := tmp_path / "a.html").touch()
    for data in (OURS, OURS + b"new"):
        check(path, PAGE)
        write(path, data)
        assert path.read_bytes() == data


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        (PAGE, "text.txt", r"a page must end in \.html or \.htm, not '.*text\.txt'"),
        (SVG, "a.png", r"a picture must end in \.svg"),
        (PNG, "a", r"a picture must end in \.png"),
        (LOG, ".json", r"a log must end in \.jsonl"),
        (LOG, "a\0.jsonl", "not a file name"),
    ],
)
def test_a_name_of_another_kind_is_refused(
    tmp_path: Path, kind: Kind, name: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        check(tmp_path / name, kind)


def test_a_file_that_the_command_uses_is_refused_by_any_of_its_names(tmp_path: Path) -> None:
    (path := tmp_path / "a.html").write_bytes(OURS)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.html").symlink_to("a.html")
    (tmp_path / "hard.html").hardlink_to(path)
    (tmp_path / "new.html").symlink_to("gone")
    for name in ("a.html", "folder/../a.html", "link.html", "hard.html"):
        with pytest.raises(CheckpointError, match="also uses it, as"):
            check(tmp_path / name, PAGE, [path])
    with pytest.raises(CheckpointError, match="also uses it, as"):
        check(tmp_path / "new.html", PAGE, [tmp_path / "gone"])  # neither is there yet
    check(path, PAGE, [tmp_path / "b.html", "-"])


@posix
def test_standard_input_is_a_file_too(tmp_path: Path) -> None:
    (path := tmp_path / "a.html").write_bytes(OURS)
    before = os.dup(0)
    try:
        with path.open("rb") as file:
            os.dup2(file.fileno(), 0)
        with pytest.raises(CheckpointError, match="also uses it, as -"):
            check(path, PAGE, ["-"])
    finally:
        os.dup2(before, 0)
        os.close(before)


def test_checking_creates_nothing(tmp_path: Path) -> None:
    check(tmp_path / "new" / "er" / "a.html", PAGE)
    (tmp_path / "text").touch()
    with pytest.raises(CheckpointError, match="Not a directory"):
        check(tmp_path / "text" / "below" / "a.html", PAGE)
    assert [*tmp_path.iterdir()] == [tmp_path / "text"]


@pytest.mark.parametrize("denied", ["a.html", ""])
def test_what_may_not_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, denied: str
) -> None:
    write(path := tmp_path / "a.html")
    monkeypatch.setattr(os, "access", lambda file, mode: Path(file) != tmp_path / denied)
    with pytest.raises(CheckpointError, match=r"cannot write .* Permission denied"):
        check(path, PAGE)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.html").mkdir()
    for attempt in (check, append, written):
        with pytest.raises(CheckpointError, match="Is a directory"):
            attempt(tmp_path / "a.html", PAGE)


# Whole or not at all


def test_an_error_on_the_way_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write(path := tmp_path / "a.html")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"cannot write .*a\.html: No space left on device"):
        write(path, b"half")
    assert path.read_bytes() == OURS
    assert [*tmp_path.iterdir()] == [path]


def test_a_file_has_its_old_content_until_the_new_one_is_whole(tmp_path: Path) -> None:
    write(path := tmp_path / "a.html")
    with atomic_write(path, PAGE) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == OURS
    assert path.read_bytes() == b"new"


@posix
def test_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    write(path := tmp_path / "a.html")
    (tmp_path / "other").touch()
    assert mode(path) == mode(tmp_path / "other")
    path.chmod(0o640)
    write(path)
    assert mode(path) == 0o640
    with atomic_write(tmp_path / "b.html", PAGE, like=path):
        pass
    assert mode(tmp_path / "b.html") == 0o640


# Links, pipes and devices


@posix
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "one.html").symlink_to("two.html")
    (tmp_path / "two.html").symlink_to("store/../store/a")  # which is not there yet
    for data in (OURS, OURS + b"new"):
        write(tmp_path / "one.html", data)
        assert (tmp_path / "store" / "a").read_bytes() == data
        assert [*(tmp_path / "store").iterdir()] == [tmp_path / "store" / "a"]
    assert (tmp_path / "one.html").is_symlink()
    assert (tmp_path / "two.html").is_symlink()


@posix
def test_what_a_link_leads_to_is_what_counts(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "a.html").symlink_to("notes.txt")
    with pytest.raises(CheckpointError, match="is not a page that charrnn wrote"):
        write(tmp_path / "a.html")
    assert (tmp_path / "notes.txt").read_text() == "mine"


@posix
def test_links_in_a_circle_are_one_error(tmp_path: Path) -> None:
    (tmp_path / "a.html").symlink_to("b.html")
    (tmp_path / "b.html").symlink_to("a.html")
    for attempt in (check, append, written):
        with pytest.raises(CheckpointError, match="symbolic links"):
            attempt(tmp_path / "a.html", PAGE)
    with pytest.raises(OSError, match="symbolic links"):
        follow(tmp_path / "a.html")


@posix
def test_pipes_and_devices_are_written_to_as_they_are(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    read: list[bytes] = []
    for _ in range(2):  # a page, then a log
        reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
        reader.start()
        if read:
            with append(pipe, LOG) as file:
                file.write(b"log")
        else:
            write(pipe, b"page")
        reader.join()
    assert read == [b"page", b"log"]
    check(Path("/dev/null"), PAGE)
    write(Path("/dev/null"))
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the /proc of Linux")
def test_an_open_file_is_written_where_its_owner_stands(tmp_path: Path) -> None:
    with (tmp_path / "out.txt").open("w+b", buffering=0) as out:
        out.write(b"before ")
        for folder in ("/dev/fd", "/proc/self/fd"):
            check(Path(folder, str(out.fileno())), PAGE)
            write(Path(folder, str(out.fileno())), b"page ")
        out.write(b"after")
    assert (tmp_path / "out.txt").read_bytes() == b"before page page after"


# Logs


def test_lines_are_added_to_a_log(tmp_path: Path) -> None:
    path, lines = tmp_path / "new" / "a.jsonl", [b'{"step": 1, "epochs": 0.5}\n'] * 3
    for line in lines:
        with append(path, LOG) as file:
            file.write(line)
    assert path.read_bytes() == b"".join(lines)


def test_a_line_that_was_cut_off_stays_a_line_of_its_own(tmp_path: Path) -> None:
    (path := tmp_path / "a.jsonl").write_bytes(b'{"step": 1, "epochs": 0.5, "lo')
    with append(path, LOG) as file:
        file.write(b"{}\n")
    assert path.read_bytes().splitlines()[1:] == [b"{}"]


@pytest.mark.parametrize("data", [b'{"text": "a"}\n', b'{"step": 1, "loss": 2}\n', b"\n"])
def test_nothing_is_added_to_what_is_no_log(tmp_path: Path, data: bytes) -> None:
    (path := tmp_path / "a.jsonl").write_bytes(data)
    with pytest.raises(CheckpointError, match="is not a log that charrnn wrote"):
        append(path, LOG)
    assert path.read_bytes() == data
