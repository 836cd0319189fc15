"""Ctrl-C and SIGTERM, which wait until a step is done."""

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
_PATIENCE = 0.7  # seconds that a process which has nothing to save may take to end


class Interrupted(BaseException):
    """A signal that came where the work may be broken off."""


class Interrupts:
    """A context manager inside which the first signal is only noted; the second one ends the
    process at once.

    Args:
        grace: seconds in which further ones are taken for the first, as the processes of mpiexec
            may get one Ctrl-C from the terminal and once more from it.
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
        late = self.signal and self.grace  # the same one may still come again
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if late else handler)

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Work that may be broken off at any moment: a signal raises Interrupted.

        With several processes it does not, as the others would wait for this one.
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
    """Work after which a signal ends the process soon, even in the middle of a long NumPy call.

    Python handles signals between such calls only, so that a thread looks for them too.
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
        with contextlib.suppress(RuntimeError):  # no thread can be started: nobody looks
            watcher.start()
        yield
    finally:
        done.set()
        signal.set_wakeup_fd(before)
        os.close(writer)


def exit_code(number: int) -> int:
    """What a shell reports of a process that such a signal ends."""
    return 128 + number
