"""Ctrl-C and SIGTERM during training, which take effect after the current step."""

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 0.7  # seconds until a process with nothing to save is ended


class Interrupted(BaseException):
    """A signal that came during interruptible work."""


class Interrupts:
    """A context manager that only records the first signal; a second one ends the process at once.

    Args:
        grace: seconds in which further signals count as the first, as processes of mpiexec may get
            one Ctrl-C twice, from the terminal and from mpiexec.
    """

    def __init__(self, grace: float = 0.0) -> None:
        self.grace = grace
        self.signal = 0  # the one that came
        self._came = -math.inf  # when, on time.perf_counter
        self._breaks_off = False
        self._before: dict[int, Callable[..., Any] | int | None] = {}

    def __enter__(self) -> "Interrupts":
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        late = self.signal and self.grace  # its duplicate may still come
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if late else handler)

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Mark work that a signal may interrupt at any moment: it raises Interrupted.

        With several processes a signal waits, as the other processes would hang.
        """
        if self.signal and not self.grace:
            raise Interrupted
        self._breaks_off = not self.grace
        try:
            yield
        finally:
            self._breaks_off = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.perf_counter()
        if now < self._came + self.grace:
            return
        if self.signal:
            os._exit(exit_code(self.signal))
        self.signal, self._came = number, now
        if self._breaks_off:
            self._breaks_off = False
            raise Interrupted


@contextlib.contextmanager
def nothing_to_save() -> Iterator[None]:
    """Let a signal end the process soon, even in the middle of a long NumPy call.

    Python handles signals only between such calls, so a thread watches for them.
    """
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    done = threading.Event()

    def watch() -> None:
        number = os.read(reader, 1)
        os.close(reader)
        if number and not done.wait(_PATIENCE):
            os._exit(exit_code(number[0]))

    watcher = threading.Thread(target=watch, daemon=True)
    try:
        with contextlib.suppress(RuntimeError):  # no thread can be started: do without
            watcher.start()
        yield
    finally:
        done.set()
        signal.set_wakeup_fd(before)
        os.close(writer)


def exit_code(number: int) -> int:
    """Return the exit code that a shell reports for this signal."""
    return 128 + number
