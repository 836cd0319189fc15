"""One trainer an output: a lock that a living process holds and a dead one does not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from charrnn.errors import CheckpointError
from charrnn.storage.lock import locked

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX locks")

HOLDER = """
import sys, time
from pathlib import Path
from charrnn.storage.lock import locked
with locked(Path(sys.argv[1])):
    print("inside", flush=True)
    time.sleep(60)
"""


def hold(path: Path) -> subprocess.Popen[str]:
    """A process that holds the lock of a path."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    return process


def test_only_one_is_inside(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with locked(path):
        with (
            pytest.raises(CheckpointError, match=r"another charrnn is training .*a\.npz"),
            locked(path),
        ):
            pass
        with locked(tmp_path / "b.npz"):
            pass
    with locked(path):
        pass
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_process_holds_no_lock(tmp_path: Path, number: int) -> None:
    path = tmp_path / "a.npz"
    process = hold(path)
    with pytest.raises(CheckpointError, match="another"), locked(path):
        pass
    process.send_signal(number)
    process.communicate()
    assert [file.name for file in tmp_path.iterdir()] == [".a.npz.lock"]
    with locked(path):
        pass
    assert not [*tmp_path.iterdir()]


def test_a_lock_that_another_removed_is_taken_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with locked(path):
        (tmp_path / ".a.npz.lock").unlink()
        with locked(path):  # as of a process that had opened the file before
            assert (tmp_path / ".a.npz.lock").exists()


def test_a_link_and_what_it_leads_to_have_one_lock(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.npz").symlink_to("folder/a.npz")
    with (
        locked(tmp_path / "link.npz"),
        pytest.raises(CheckpointError, match="another charrnn"),
        locked(tmp_path / "folder" / "a.npz"),
    ):
        pass
    assert not [*tmp_path.rglob("*.lock")]


def test_a_lock_is_never_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("text")
    (tmp_path / ".a.npz.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(CheckpointError, match="cannot write"), locked(tmp_path / "a.npz"):
        pass
    assert (tmp_path / "precious").read_text() == "text"


def test_a_folder_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"), locked(tmp_path / "x" / "a.npz"):
        pass
