"""Copies of this process that share its work, each with an interpreter of its own.

Threads of one process take turns in the interpreter between NumPy's calls, which slows small
networks down by up to a fifth. Processes do not.
"""

import contextlib
import mmap
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    import numpy as np

FORKS = sys.platform == "linux"  # elsewhere system libraries do not survive it, or there is none

_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # which this process answers for all
_MOST_FILES = 1 << 16


def shared_zeros(size: int, dtype: "np.dtype") -> "np.ndarray":
    """Return a vector in memory that this process and later helpers all see and change."""
    import numpy as np

    return np.frombuffer(mmap.mmap(-1, size * dtype.itemsize), dtype)


class Helpers:
    """Processes that work when called and keep nothing in between, so that none is missed.

    A helper is forked: it knows everything as it was then, and later changes only in shared arrays.
    It ends with this process, however that ends. The threads of this process must be idle.

    Args:
        function: the work, whose items and results are sent between processes.
        number: of helpers; there are fewer where the system has no room.
        before: called by a helper before its share.
    """

    def __init__(
        self, function: Callable[[Any], Any], number: int, before: Callable[[], None]
    ) -> None:
        self._function, self._before = function, before
        self._helpers: list[_Helper] = []
        with contextlib.suppress(OSError):
            for _ in range(number):
                self._helpers.append(_Helper(self._share))

    def __len__(self) -> int:
        return len(self._helpers)

    def map(self, items: Sequence[Any]) -> list[Any]:
        """function(item) for every item, here and at all helpers, in the order of the items.

        The share of a helper that fails or was killed is done here, and it gets no other.
        """
        size = len(self._helpers) + 1
        shares = [items[number::size] for number in range(size)]
        results = [None] * len(items)
        try:
            for helper, share in zip(self._helpers, shares[1:], strict=True):
                helper.send(share)
            results[::size] = map(self._function, shares[0])
            for number, helper in enumerate([*self._helpers], start=1):
                found = helper.receive()
                if found is None:
                    helper.kill()
                    self._helpers.remove(helper)
                    found = [*map(self._function, shares[number])]
                results[number::size] = found
        except BaseException:  # Ctrl-C, say: what was asked for may still come
            self.close()
            raise
        return results

    def close(self) -> None:
        """End the helpers, whatever they are doing."""
        while self._helpers:
            self._helpers.pop().kill()

    def _share(self, items: Sequence[Any]) -> list[Any]:
        """What a helper does with its share."""
        self._before()
        return [*map(self._function, items)]


class _Helper:
    """One helper: a process and the connection to it.

    Raises:
        OSError: the system has no room for another process.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        from multiprocessing.connection import Pipe

        self._connection, theirs = Pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            with warnings.catch_warnings():  # other threads are idle, and a helper uses none
                warnings.simplefilter("ignore", DeprecationWarning)
                self.process = os.fork()
            if self.process == 0:
                _serve(theirs, function)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    def send(self, items: Any) -> None:
        """Ask for something, which `receive` returns."""
        with contextlib.suppress(OSError):  # it is dead, as `receive` will find
            self._connection.send(items)

    def receive(self) -> Any:
        """The result; None from a helper that is dead."""
        try:
            return self._connection.recv()
        except (OSError, EOFError):
            return None

    def kill(self) -> None:
        """End the process."""
        self._connection.close()
        with contextlib.suppress(OSError):  # it is gone already
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)


def _serve(connection: "Connection", function: Callable[[Any], Any]) -> None:
    """What a helper does all its life, which ends with that of the process it came from.

    Of the open files it keeps the connection only: neither locks nor pipes are to outlive the
    process that it came from.
    """
    try:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        os.closerange(0, connection.fileno())
        os.closerange(connection.fileno() + 1, _MOST_FILES)
        while True:
            connection.send(function(connection.recv()))
    finally:  # an error comes once more where this work is then done
        os._exit(1)
