"""Helper processes share work, and end when they should."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.parallel import helpers
from charrnn.parallel.helpers import Helpers, shared_zeros

pytestmark = pytest.mark.skipif(not helpers.FORKS, reason="the system has no safe fork")


@pytest.fixture
def started() -> Iterator[Callable[..., Helpers]]:
    found: list[Helpers] = []

    def start(
        function: Callable[[Any], Any], number: int, before: Callable[[], None] = lambda: None
    ) -> Helpers:
        found.append(Helpers(function, number, before))
        return found[-1]

    yield start
    for each in found:
        each.close()


def pid_and_square(item: int) -> tuple[int, int]:
    return os.getpid(), item * item


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_results_come_in_the_order_of_the_items(
    started: Callable[..., Helpers], number: int
) -> None:
    found = started(pid_and_square, number)
    assert len(found) == number
    for size in (1, 4, 7):
        results = found.map(range(size))
        assert [square for _, square in results] == [item * item for item in range(size)]
        assert results[0][0] == os.getpid()
        assert len({pid for pid, _ in results}) == min(size, number + 1)


def test_large_items_and_results_pass_both_ways(started: Callable[..., Helpers]) -> None:
    items = [np.full(1 << 20, item) for item in range(4)]
    for item, found in zip(items, started(lambda item: item + 1, 1).map(items), strict=True):
        np.testing.assert_array_equal(found, item + 1)


def test_a_helper_sees_what_changes_in_shared_memory_only(started: Callable[..., Helpers]) -> None:
    shared, own = shared_zeros(3, np.dtype(np.float32)), np.zeros(3, np.float32)
    taken = np.zeros(3, np.float32)

    def work(item: int) -> tuple[float, float, float]:
        seen = shared[item], own[item], taken[item]
        shared[item] *= 2
        return seen

    found = started(work, 1, lambda: taken.__setitem__(slice(None), shared))
    shared[:], own[:] = 7, 8
    assert found.map([0, 1]) == [(7, 8, 0), (7, 0, 7)]
    np.testing.assert_array_equal(shared, [14, 14, 7])


def test_the_work_of_a_killed_helper_is_done_here(started: Callable[..., Helpers]) -> None:
    here = os.getpid()

    def work(item: int) -> int:
        if item == 4 and os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return item + 1

    found = started(work, 2)
    assert found.map(range(6)) == [1, 2, 3, 4, 5, 6]
    assert len(found) == 1
    assert found.map(range(6)) == [1, 2, 3, 4, 5, 6]
    assert len(found) == 1  # 4 is in this process's share now
    assert found.map([0, 4]) == [1, 5]
    assert not found


def test_an_error_at_a_helper_comes_here_once_more(started: Callable[..., Helpers]) -> None:
    with pytest.raises(ZeroDivisionError):
        started(lambda item: 1 // item, 1).map([1, 0])


def test_an_error_here_ends_the_helpers(started: Callable[..., Helpers]) -> None:
    found = started(lambda item: 1 // item, 1)
    with pytest.raises(ZeroDivisionError):
        found.map([0, 1])
    assert not found


def test_signals_from_the_terminal_are_for_this_process(started: Callable[..., Helpers]) -> None:
    here = os.getpid()

    def work(item: int) -> int:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
        return item

    found = started(work, 1)
    assert found.map([1, 2]) == [1, 2]
    assert len(found) == 1


def test_where_the_system_has_no_room_there_are_fewer(
    started: Callable[..., Helpers], monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = os.fork
    pids: list[int] = []

    def full() -> int:
        if pids:
            raise BlockingIOError("Resource temporarily unavailable")
        pids.append(fork())
        return pids[-1]

    monkeypatch.setattr(os, "fork", full)
    found = started(pid_and_square, 3)
    assert len(found) == 1
    assert [square for _, square in found.map([2, 3])] == [4, 9]


def test_closing_leaves_no_process(started: Callable[..., Helpers]) -> None:
    found = started(lambda _: os.getpid(), 2)
    pids = found.map(range(3))[1:]
    found.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


PARENT = """
import os, sys, time
from charrnn.parallel.helpers import Helpers
file = open(sys.argv[1], "w")
found = Helpers(lambda _: os.getpid(), 2, lambda: None)
print(*found.map(range(3)), flush=True)
time.sleep(60)
"""


def test_helpers_end_with_a_process_that_is_killed_and_hold_no_files(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        files = [os.listdir(f"/proc/{pid}/fd") for pid in pids[1:]]
        parent.kill()
    assert [len(each) for each in files] == [1, 1]  # the connection
    deadline = time.monotonic() + 10
    while running := [pid for pid in pids[1:] if _runs(pid)]:
        assert time.monotonic() < deadline, running
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
