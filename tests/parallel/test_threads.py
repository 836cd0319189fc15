import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from charrnn.parallel import threads
from charrnn.parallel.helpers import FORKS
from charrnn.parallel.processes import World
from charrnn.parallel.threads import Workers, default_threads

_CPU = Path("/proc/cpuinfo")
CPU = _CPU.read_text(encoding="ascii", errors="replace").split() if _CPU.exists() else []


def test_results_come_in_the_order_of_the_items() -> None:
    for number in (1, 2, 5, None):
        with Workers(number) as workers:
            assert workers.map(lambda item: item * item, range(20)) == [n * n for n in range(20)]


def test_one_thread_is_the_caller() -> None:
    with Workers(1) as workers:
        assert workers.map(lambda _: threading.get_ident(), [0]) == [threading.get_ident()]


def test_several_threads_work_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=10)
    with Workers(2) as workers:
        assert sorted(workers.map(lambda _: meeting.wait(), range(2))) == [0, 1]


def test_an_error_in_a_thread_reaches_the_caller() -> None:
    with Workers(2) as workers, pytest.raises(ZeroDivisionError):
        workers.map(lambda item: 1 // item, [1, 0])


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_error_stops_the_items_that_are_running_or_wait(error: type[BaseException]) -> None:
    started, running = [], threading.Event()

    def work(item: int) -> None:
        started.append(item)
        if item == 0:
            running.wait(10)
            raise error
        running.set()
        while True:  # until it is stopped
            workers.check()

    with Workers(2) as workers:
        with pytest.raises(error):
            workers.map(work, range(9))
        assert sorted(started)[:2] == [0, 1]
        assert len(started) < 9
        workers.check()  # the stop has been reset
        assert workers.map(lambda item: item, range(3)) == [0, 1, 2]


def test_work_is_forked_only_where_that_is_asked_for_and_safe() -> None:
    world = World()
    world.size = 2
    for workers in (Workers(2), Workers(1, forks=True), Workers(2, world, forks=True)):
        with workers:
            assert not workers.forks
            assert not workers.fork(abs, 5, lambda: None)


@pytest.mark.skipif(not FORKS, reason="the system has no safe fork")
def test_helpers_are_one_less_than_cores_or_items_and_end_with_the_work() -> None:
    with Workers(3, forks=True) as workers:
        found = [workers.fork(lambda _: os.getpid(), number, lambda: None) for number in (2, 5)]
        assert [len(helpers) for helpers in found] == [1, 2]
        pids = {pid for helpers in found for pid in helpers.map(range(3))} - {os.getpid()}
        assert len(pids) == 3
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_there_is_at_least_one_thread() -> None:
    assert default_threads() >= 1


def test_where_no_thread_can_be_started_the_caller_works(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def full(self: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(self)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", full)
    with Workers(3) as workers:
        assert workers.threads == 1
        assert workers.map(lambda _: threading.get_ident(), [0]) == [threading.get_ident()]


def test_blas_gets_one_thread_whatever_the_user_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        monkeypatch.setenv(name, "7")
    threads.use_one_blas_thread()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
    assert os.environ["MKL_NUM_THREADS"] == "1"


def test_it_is_settled_before_numpy_is_imported() -> None:
    code = (
        "import sys; from charrnn.parallel import threads; threads.use_one_blas_thread(); "
        "assert 'numpy' not in sys.modules; import numpy as np; "
        "a = np.arange(6.0).reshape(2, 3); print((a @ a.T).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[5.0, 14.0], [14.0, 50.0]]"


SEEN = """
import numpy
from charrnn.parallel import threads
get, put = threads._openblas()
put(2)
first, second = threads.one_blas_thread(), threads.one_blas_thread()
seen = [get()]
for step in (first.__enter__, second.__enter__):
    step()
    seen.append(get())
for context in (first, second):  # as threads do, in any order
    context.__exit__(None, None, None)
    seen.append(get())
print(*seen)
"""


def test_a_blas_that_is_loaded_gets_one_thread_for_a_while() -> None:
    done = subprocess.run([sys.executable, "-c", SEEN], capture_output=True, text=True, check=True)
    if done.stdout.split() == ["1"] * 5:
        pytest.skip("NumPy has another BLAS here, or the machine has one core")
    assert done.stdout.split() == ["2", "1", "1", "1", "2"]


@pytest.mark.skipif("avx2" not in CPU, reason="the kernel that is asked for needs AVX2")
def test_the_kernel_of_blas_is_known_by_its_name() -> None:
    code = "from charrnn.parallel import threads; import numpy; print(threads.blas_kernel())"
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Haswell"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() in ("haswell", "")  # nothing with another BLAS
