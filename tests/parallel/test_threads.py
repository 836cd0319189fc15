import threading

import pytest

from charrnn.parallel.threads import Workers, default_threads


def test_results_come_in_the_order_of_the_items() -> None:
    for threads in (1, 2, 5, None):
        with Workers(threads) as workers:
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
        workers.check()  # nothing is stopped any more
        assert workers.map(lambda item: item, range(3)) == [0, 1, 2]


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
