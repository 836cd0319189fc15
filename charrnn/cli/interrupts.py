"""Ctrl-C and SIGTERM, which wait until a step is done."""

import math
import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
        self._before: dict[int, Callable[..., Any] | int | None] = {}

    def __enter__(self) -> "Interrupts":
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        late = self.signal and self.grace  # the same one may still come again
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if late else handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.perf_counter()
        if now < self._came + self.grace:
            return
        if self.signal:
            os._exit(exit_code(self.signal))
        self.signal, self._came = number, now


def exit_code(number: int) -> int:
    """What a shell reports of a process that such a signal ends."""
    return 128 + number
