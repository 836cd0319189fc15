"""Ctrl-C and SIGTERM, which wait until a step is done."""

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """A context manager inside which the first signal is only noted; the second one ends the
    process at once."""

    def __init__(self) -> None:
        self.signal = 0  # the one that came
        self._before: dict[int, Callable[..., Any] | int | None] = {}

    def __enter__(self) -> "Interrupts":
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that such a signal ends."""
        return 128 + self.signal

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            os._exit(self.exit_code)
        self.signal = number
